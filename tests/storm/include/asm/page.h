/*
 * The storm's memory: an array. Wherever the hypervisor turns a frame into an address, a CPU may be held up for a while, as a real one
 * is by its firmware or its hypervisor: between two looks at something that others change.
 */
#ifndef ASM_PAGE_H
#define ASM_PAGE_H

#include "lib/base.h"

#define STORM_MEMORY (128ull << 20)
extern u8 storm_memory[];
void storm_hold_up(void);

#define DIRECTMAP_BASE ((u64)storm_memory)
#define IMAGE_BASE      0xffffffff80000000ull
#define FRAME_TABLE_BASE 0xffffc00000000000ull
#define STACKS_BASE     0xffffffffa0000000ull
#define DEVICES_BASE    0xffffffffc0000000ull

static inline void *phys_to_virt(paddr_t pa)
{
	storm_hold_up();
	return storm_memory + pa;
}

static inline void *mfn_to_virt(mfn_t mfn) { return phys_to_virt(mfn.v << PAGE_SHIFT); }
static inline paddr_t virt_to_phys(const void *va) { return (paddr_t)((const u8 *)va - storm_memory); }
static inline mfn_t virt_to_mfn(const void *va) { return MFN(virt_to_phys(va) >> PAGE_SHIFT); }
static inline void clear_page(void *va) { __builtin_memset(va, 0, PAGE_SIZE); }

#endif
