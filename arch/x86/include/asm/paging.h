/* The hypervisor's own address space: W^X image, direct map of RAM, stacks with guard pages, device registers. */
#ifndef ASM_PAGING_H
#define ASM_PAGING_H

#include "lib/base.h"
#include <asm/page.h>

extern paddr_t image_phys;      /* [I] where GRUB put the image */

/* Before anything else on the boot CPU: early tables reach 4 GiB. Panics if there is no memory. */
void paging_init(paddr_t max_ram);
/* Switches this CPU to the final tables. */
void paging_activate(void);
/* Maps the stacks of pCPU `cpu`; -ENOMEM. */
int paging_map_stacks(unsigned cpu);
/* Device registers, uncached; never unmapped. Panics if there is no room. */
volatile void *map_device(paddr_t pa, u64 size);
/* Makes [pa, pa+size), which is not RAM of the direct map, readable there (firmware tables). */
const void *map_firmware(paddr_t pa, size_t size);

#endif
