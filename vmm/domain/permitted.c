/* The rule that says which domain may name which. */
#include "vmm/domain.h"
#include "vmm/vcpu.h"

int domain_get_permitted(struct vcpu *v, u16 domid, struct domain **out)
{
	struct domain *d = domain_resolve(v, domid);

	if (!d)
		return -ESRCH;
	if (d != v->domain && !v->domain->privileged) {
		domain_put(d);
		return -EPERM;
	}
	*out = d;
	return 0;
}
