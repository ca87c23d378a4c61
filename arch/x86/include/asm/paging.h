/* The hypervisor's own address space: W^X image, direct map of RAM, stacks with guard pages, device registers. */
#ifndef ASM_PAGING_H
#define ASM_PAGING_H

#include <asm/page.h>

extern paddr_t image_phys;      /* [I] where GRUB put the image */

/*
 * Makes the final tables of the image and of all RAM in memory_map, on the early ones, which reach 4 GiB. take_page gives zeroed
 * pages below that, until paging_use_allocator(), which also makes the boot CPU's stacks. Panics if there is no memory.
 */
void paging_init(void *(*take_page)(void));
void paging_use_allocator(void);
/* Switches this CPU to the final tables. */
void paging_activate(void);
/* Maps [pa, pa+size), page-aligned, at va with PT_* flags, in place of what was there. Flushes no TLB. Panics if there is no memory. */
void paging_map(u64 va, paddr_t pa, u64 size, u32 flags);
/* Maps the stacks of pCPU `cpu`; -ENOMEM. */
int paging_map_stacks(unsigned cpu);
/* Device registers, uncached; never unmapped. Panics if there is no room. */
volatile void *map_device(paddr_t pa, u64 size);
/* Makes [pa, pa+size), which is not RAM of the direct map, readable there (firmware tables). */
const void *map_firmware(paddr_t pa, size_t size);

#endif
