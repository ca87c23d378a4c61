/* The lists of frame numbers that memory calls read: those of 32-bit guests have 32-bit numbers. */
#include <xen/memory.h>
#include "vmm/memory/guest_access.h"
#include "vmm/memory/memory.h"
#include "vmm/versions.h"

int memory_copy_list(struct vcpu *v, u64 *gfn, const struct xen_memory_reservation *r, u64 at, u64 n)
{
	bool narrow = r->mem_flags & MEMORY_NARROW_LIST;
	u32 size = narrow ? sizeof(u32) : sizeof(u64), *small = (u32 *)gfn;

	if (copy_from_guest(v, gfn, HANDLE(r->extent_start) + at * size, n * size))
		return -EFAULT;
	/* From the last one on, because they are widened where they are. */
	while (narrow && n--)
		gfn[n] = small[n];
	return 0;
}
