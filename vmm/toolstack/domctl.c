/*
 * domctl: a domain's life, its limits and its settings. The vCPUs' part is in domctl_vcpu.c, their
 * state in vmm/life/domctl_context.c.
 */
#include "lib/string.h"
#include "sched/timer.h"
#include "vmm/domain.h"
#include "vmm/domain/record.h"
#include "vmm/domain/refuse.h"
#include "vmm/hypercall.h"
#include "vmm/life/life.h"
#include "vmm/toolstack/control.h"
#include "vmm/vcpu.h"
#include "vmm/versions.h"

#define ROVING_DOMID 0xffffu    /* domain_create chooses */
#define PAUSES_MAX   255        /* by the toolstack; far from the end of u32 */

long hc_domctl_createdomain(struct vcpu *v, struct hypercall *hc, void *arg)
{
	const struct createdomain *c = arg;
	u16 domid = hc->head->domain == 0 || hc->head->domain >= DOMID_FIRST_RESERVED ? ROVING_DOMID : hc->head->domain;
	struct domain *d;
	long rc = refuse(__HYPERVISOR_domctl, hc->head), seal = rc ? 0 : seal_choose(c->ssidref);

	if (rc || seal < 0)
		return rc ?: seal;
	rc = domain_create(domid, c->max_vcpus, c->max_evtchn_port, c->max_grant_frames, c->max_maptrack_frames, &d);
	if (!rc) {
		/* The domain is in the table, so other CPUs may look at it. */
		spin_lock(&d->lock);
		memcpy(d->handle, c->handle, sizeof(d->handle));
		d->create_flags = c->flags;
		__atomic_store_n(&d->seal.state, seal ? SEAL_WANTED : SEAL_OPEN, __ATOMIC_RELAXED);
		spin_unlock(&d->lock);
		hc->head->domain = d->domid;
	}
	return rc;
}

/*
 * Destroys a step at a time: HC_AGAIN makes the caller come back to the hypercall. libxc 4.17 takes
 * -EAGAIN for a failure, whatever abi.md A.6 says.
 */
long hc_domctl_destroydomain(struct vcpu *v, struct hypercall *hc, void *arg)
{
	long rc;

	if (hc->target == dom0 || hc->target == v->domain)
		return -EINVAL;
	/*
	 * Many domains may be destroyed at once, and each step takes long. So a caller doesn't wait
	 * for another's step with interrupts off.
	 */
	if (!spin_trylock(&control_lock))
		return HC_AGAIN;
	rc = domain_destroy(hc->target);
	spin_unlock(&control_lock);
	return rc == -EAGAIN ? HC_AGAIN : rc;
}

long hc_domctl_pausedomain(struct vcpu *v, struct hypercall *hc, void *arg)
{
	struct domain *d = hc->target;
	bool ok;

	if (d == dom0 || d == v->domain)
		return -EINVAL;
	/* Pause before counting: once it is counted, another CPU may take it back. */
	domain_pause(d);
	spin_lock(&d->lock);
	ok = d->controller_pauses < PAUSES_MAX;
	d->controller_pauses += ok;
	spin_unlock(&d->lock);
	if (!ok)
		domain_unpause(d);
	return ok ? 0 : -EINVAL;
}

long hc_domctl_unpausedomain(struct vcpu *v, struct hypercall *hc, void *arg)
{
	struct domain *d = hc->target;
	long rc = seal_step(d);

	spin_lock(&d->lock);
	if (!rc && !d->controller_pauses)
		rc = -EINVAL;
	d->controller_pauses -= !rc;
	spin_unlock(&d->lock);
	if (!rc)
		domain_unpause(d);
	return rc;
}

/* Describes the first domain with this id or a higher one; the toolstack walks all domains so. */
long hc_domctl_getdomaininfo(struct vcpu *v, struct hypercall *hc, void *arg)
{
	struct domain *d = hc->head->domain < DOMID_FIRST_RESERVED ? domain_get_next(hc->head->domain) : NULL;

	if (!d)
		return hc->head->domain < DOMID_FIRST_RESERVED ? -ESRCH : -EINVAL;
	domain_describe(d, arg);
	hc->head->domain = d->domid;
	domain_put(d);
	return 0;
}

long hc_domctl_max_mem(struct vcpu *v, struct hypercall *hc, void *arg)
{
	const struct xen_domctl_max_mem *op = arg;
	struct domain *d = hc->target;
	u64 max = op->max_memkb >> (PAGE_SHIFT - 10);
	u64 tot = __atomic_load_n(&d->tot_pages, __ATOMIC_RELAXED);
	u64 beyond = __atomic_load_n(&d->beyond, __ATOMIC_RELAXED);

	/*
	 * The limit may be below what the domain has; then it gets no more. `beyond` falls to the
	 * frames that the domain has above the limit, so with a higher limit there is less beyond
	 * it.
	 */
	__atomic_store_n(&d->max_pages, max, __ATOMIC_RELAXED);
	domain_drop_beyond(d, beyond - MIN(beyond, tot - MIN(tot, max)));
	return 0;
}

/*
 * Makes the vCPUs that createdomain announced. Returns 0, or HC_AGAIN if a step didn't do for all.
 * Errors: -EINVAL if the domain is dying, -ENOMEM without memory; the vCPUs made so far stay until
 * destroydomain. Locks: control_lock is held.
 */
static long create_vcpus(struct domain *d)
{
	if (d->dying)
		return -EINVAL;
	for (u32 i = 0; i < d->max_vcpus; i++) {
		int rc;

		if (d->vcpu[i])
			continue;
		/* First each CPU's queue may have to grow, in a step of its own. */
		rc = timer_prepare(TIMERS_PER_VCPU) ?: vcpu_create(d, i);
		if (rc < 0)
			return rc;
		/*
		 * Look at the clock only after a vCPU: waiting for the lock may use up the time of
		 * every step, which would then make none.
		 */
		if (rc || step_over())
			return HC_AGAIN;
	}
	return 0;
}

long hc_domctl_max_vcpus(struct vcpu *v, struct hypercall *hc, void *arg)
{
	const struct xen_domctl_max_vcpus *op = arg;

	return op->max == hc->target->max_vcpus ? create_vcpus(hc->target) : -EINVAL;
}

long hc_domctl_settimeoffset(struct vcpu *v, struct hypercall *hc, void *arg)
{
	const struct xen_domctl_settimeoffset *op = arg;

	__atomic_store_n(&hc->target->time_offset, op->time_offset_seconds, __ATOMIC_RELAXED);
	domain_update_wallclock(hc->target);
	return 0;
}

long hc_domctl_get_address_size(struct vcpu *v, struct hypercall *hc, void *arg)
{
	*(struct xen_domctl_address_size *)arg = (struct xen_domctl_address_size){ .size = 64 };
	return 0;
}

long hc_domctl_getnodeaffinity(struct vcpu *v, struct hypercall *hc, void *arg)
{
	struct xen_domctl_nodeaffinity *op = arg;

	return bitmap_to_guest(v, &op->nodemap, BIT(0));
}

/* The p2m takes its tables from the heap as it needs them, but no more than this size. */
long hc_domctl_paging_mempool(struct vcpu *v, struct hypercall *hc, void *arg)
{
	struct xen_domctl_paging_mempool *op = arg;
	u64 *size = &hc->target->p2m.mempool;

	if (hc->head->cmd == XEN_DOMCTL_get_paging_mempool_size)
		op->size = __atomic_load_n(size, __ATOMIC_RELAXED);
	else if (op->size % PAGE_SIZE)
		return -EINVAL;
	else
		__atomic_store_n(size, op->size, __ATOMIC_RELAXED);
	return 0;
}
