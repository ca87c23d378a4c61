/* The rule of most operations that name a domain: a guest may name itself, the service domain anybody. */
#ifndef VMM_TARGET_H
#define VMM_TARGET_H

#include "vmm/domain.h"
#include "vmm/hypercall.h"

/* The domain that v names, with a reference (domain_put it), in *out: 0, -ESRCH if there is none, -EPERM if it isn't v's to name. */
static inline int target_get(struct vcpu *v, u16 domid, struct domain **out)
{
	struct domain *d = domain_get_target(v, domid);

	if (!d)
		return -ESRCH;
	if (d != v->domain && !v->domain->privileged) {
		domain_put(d);
		return -EPERM;
	}
	*out = d;
	return 0;
}

#endif
