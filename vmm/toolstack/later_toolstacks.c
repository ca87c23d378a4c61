/* Small calls that toolstacks make from 4.20 or 4.21 on. */
#include <xen/domctl.h>
#include "vmm/domain.h"
#include "vmm/domain/refuse.h"
#include "vmm/hypercall.h"
#include "vmm/vcpu.h"
#include "vmm/versions.h"

/* Toolstacks ask this for every guest, and give up at any other error. */
long hc_domctl_set_llc_colors(struct vcpu *v, struct hypercall *hc, void *arg)
{
	const struct llc_colors *op = arg;

	return op->number ? refuse_say(-EOPNOTSUPP, "llc_colors=: caches are not divided; leave it out") : -EOPNOTSUPP;
}

static void describe_state(struct domain *d, struct domain_state *s)
{
	u8 dying = __atomic_load_n(&d->dying, __ATOMIC_RELAXED);

	s->state = DOMAIN_STATE_EXISTS | (dying == DOMAIN_ENDING ? DOMAIN_STATE_DYING : dying ? DOMAIN_STATE_DEAD : 0);
	s->capabilities = d->privileged ? DOMAIN_CAN_CONTROL | DOMAIN_CAN_HARDWARE : 0;
	s->unique_id = d->unique_id;
	spin_lock(&d->lock);
	if (d->shutting_down)
		s->state |= DOMAIN_STATE_SHUTDOWN;
	if (d->create_flags & XEN_DOMCTL_CDF_xs_domain)
		s->capabilities |= DOMAIN_CAN_STORE;
	spin_unlock(&d->lock);
}

/*
 * Describes the header's domain; for DOMID_INVALID the next one that has changed, and then says
 * which it is. xenstored from 4.21 on asks this until the answer is -ENOENT. Only who hears
 * VIRQ_DOM_EXC may do so, because each change is told once.
 */
long hc_domctl_get_domain_state(struct vcpu *v, struct hypercall *hc, void *arg)
{
	struct domain_state *s = arg;
	bool any = hc->head->domain == DOMID_INVALID;
	struct domain *d;

	if (s->pad)
		return -EINVAL;
	if (any && !__atomic_load_n(&v->domain->evtchn.global_virq[VIRQ_DOM_EXC], __ATOMIC_RELAXED))
		return -EACCES;
	if (any)
		hc->head->domain = domain_next_changed();
	if (hc->head->domain == DOMID_INVALID)
		return -ENOENT;
	*s = (struct domain_state){ 0 };
	d = domain_get(hc->head->domain);
	if (!d)
		return any ? 0 : -ESRCH;
	describe_state(d, s);
	domain_put(d);
	return 0;
}
