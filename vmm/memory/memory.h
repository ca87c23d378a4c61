/*
 * Long memory operations go on where they stopped: the first argument says so, in the bits above
 * the sub-operation.
 */
#ifndef VMM_MEMORY_MEMORY_H
#define VMM_MEMORY_MEMORY_H

#include "vmm/hypercall.h"

#define MEMORY_START_SHIFT 6
#define MEMORY_START_MAX   (~0ull >> (MEMORY_START_SHIFT + 1))

struct xen_memory_reservation;
#define MEMORY_NARROW_LIST BIT(31)  /* in its mem_flags, for us: the list's numbers have 32 bits */
/*
 * Copies n frame numbers of *r's list, from number `at` on, to gfn[]. Returns 0, or -EFAULT.
 */
int memory_copy_list(struct vcpu *v, u64 *gfn, const struct xen_memory_reservation *r, u64 at, u64 n);

/* Returns the place to go on from; 0 in a first call. */
static inline u64 memory_start(const struct hypercall *hc) { return hc->a[0] >> MEMORY_START_SHIFT; }

/*
 * Returns true if `done` isn't all. The place to go on from is then in hc->a[0], and the handler
 * returns HC_AGAIN.
 */
static inline bool memory_again(struct hypercall *hc, u64 done, u64 all)
{
	if (done == all)
		return false;
	hc->a[0] = (hc->a[0] & (BIT(MEMORY_START_SHIFT) - 1)) | done << MEMORY_START_SHIFT;
	return true;
}

#endif
