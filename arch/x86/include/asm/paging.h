/*
 * The hypervisor's own address space: W^X image, direct map of RAM, stacks with guard pages, device
 * registers.
 */
#ifndef ASM_PAGING_H
#define ASM_PAGING_H

#include <asm/page.h>

extern paddr_t image_phys;      /* [I] machine address of the image */

/*
 * Makes the final page tables, of the image and of all RAM in memory_map. The early tables, which
 * reach 4 GiB, are still in use: so take_page must give zeroed pages below that. Panics if there is
 * no memory. Context: boot CPU, once.
 */
void paging_init(void *(*take_page)(void));
/*
 * Takes further tables from the allocator instead of take_page, and makes the boot CPU's stacks.
 * Panics if there is no memory.
 */
void paging_use_allocator(void);
/* Switches the calling CPU to the final tables. */
void paging_activate(void);
/*
 * Maps [pa, pa+size), page-aligned, at va with PT_* flags, and replaces mappings there. Flushes no
 * TLB. Panics if there is no memory.
 */
void paging_map(u64 va, paddr_t pa, u64 size, u32 flags);
/* Maps the stacks of CPU `cpu`. Returns 0. Errors: -ENOMEM if there is no memory. */
int paging_map_stacks(unsigned cpu);
/*
 * Maps device registers, uncached and for good. Returns their address. Panics if there is no
 * memory.
 */
volatile void *map_device(paddr_t pa, u64 size);
/*
 * Maps [pa, pa+size) (firmware tables), which is not RAM, read-only in the direct map. Returns its
 * address, or NULL if pa is above 46 bits, size above 64 MiB, or there is no memory.
 */
const void *map_firmware(paddr_t pa, size_t size);

#endif
