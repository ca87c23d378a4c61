/*
 * The hypervisor's address space: one direct map of all RAM, read-write and never executable, and
 * what lies above it.
 */
#ifndef ASM_PAGE_H
#define ASM_PAGE_H

#define DIRECTMAP_BASE  0xffff800000000000ull
#define FRAME_TABLE_BASE 0xffffc00000000000ull /* struct page of each frame */
#define IMAGE_BASE      0xffffffff80000000ull  /* link address of the image */
#define STACKS_BASE     0xffffffffa0000000ull  /* per-CPU stacks, each below a guard page */
#define DEVICES_BASE    0xffffffffc0000000ull  /* uncached device registers */

static inline void *phys_to_virt(paddr_t pa) { return (void *)(DIRECTMAP_BASE + pa); }
static inline void *mfn_to_virt(mfn_t mfn) { return phys_to_virt(mfn.v << PAGE_SHIFT); }
/* Returns the physical address of `va`, which must be in the direct map. */
static inline paddr_t virt_to_phys(const void *va) { return (u64)va - DIRECTMAP_BASE; }
static inline mfn_t virt_to_mfn(const void *va) { return MFN(virt_to_phys(va) >> PAGE_SHIFT); }

static inline void clear_page(void *va)
{
	u64 n = PAGE_SIZE / 8;

	__asm__ volatile("rep stosq" : "+D"(va), "+c"(n) : "a"(0ull) : "memory");
}

#endif
