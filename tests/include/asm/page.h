/* The machine's memory on the host: an arena stands in for RAM, so that physical address n is byte n of it. */
#ifndef ASM_PAGE_H
#define ASM_PAGE_H

#include "lib/base.h"

extern u8 fake_arena[];     /* FAKE_ARENA_SIZE bytes, touched only where used */
#define FAKE_ARENA_SIZE (256ull << 20)

#define DIRECTMAP_BASE ((u64)fake_arena)
#define IMAGE_BASE      0xffffffff80000000ull
#define FRAME_TABLE_BASE 0xffffc00000000000ull
#define STACKS_BASE     0xffffffffa0000000ull
#define DEVICES_BASE    0xffffffffc0000000ull

static inline void *phys_to_virt(paddr_t pa) { return fake_arena + pa; }
static inline void *mfn_to_virt(mfn_t mfn) { return phys_to_virt(mfn.v << PAGE_SHIFT); }
static inline paddr_t virt_to_phys(const void *va) { return (paddr_t)((const u8 *)va - fake_arena); }
static inline mfn_t virt_to_mfn(const void *va) { return MFN(virt_to_phys(va) >> PAGE_SHIFT); }
static inline void clear_page(void *va) { __builtin_memset(va, 0, PAGE_SIZE); }

#endif
