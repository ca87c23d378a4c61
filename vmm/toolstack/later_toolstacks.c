/* Small calls that toolstacks make from 4.20 on. */
#include "vmm/domain/refuse.h"
#include "vmm/hypercall.h"
#include "vmm/versions.h"

/* Toolstacks ask this for every guest, and give up at any other error. */
long hc_domctl_set_llc_colors(struct vcpu *v, struct hypercall *hc, void *arg)
{
	const struct llc_colors *op = arg;

	return op->number ? refuse_say(-EOPNOTSUPP, "llc_colors=: caches are not divided; leave it out") : -EOPNOTSUPP;
}
