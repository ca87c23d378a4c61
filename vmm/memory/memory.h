/* How a long memory operation goes on: the bits of its first argument above the sub-operation say from where. */
#ifndef VMM_MEMORY_MEMORY_H
#define VMM_MEMORY_MEMORY_H

#include "vmm/hypercall.h"

#define MEMORY_START_SHIFT 6
#define MEMORY_START_MAX   (~0ull >> (MEMORY_START_SHIFT + 1))

static inline u64 memory_start(const struct hypercall *hc) { return hc->a[0] >> MEMORY_START_SHIFT; }

/* True if `done` is not all: then the place to go on is noted, and the handler returns HC_AGAIN. */
static inline bool memory_again(struct hypercall *hc, u64 done, u64 all)
{
	if (done == all)
		return false;
	hc->a[0] = (hc->a[0] & (BIT(MEMORY_START_SHIFT) - 1)) | done << MEMORY_START_SHIFT;
	return true;
}

#endif
