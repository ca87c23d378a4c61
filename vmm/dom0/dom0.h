/* Building the service domain. */
#ifndef VMM_DOM0_DOM0_H
#define VMM_DOM0_DOM0_H

#include "mm/memory_map.h"

struct acpi;

struct dom0_config {
	struct range_set ram;           /* its memory, identity-mapped; free of everything else */
	unsigned vcpus;
	const void *kernel;             /* the image, in the direct map, not within `ram` */
	u64 kernel_size;
	paddr_t initrd;                 /* where the loader put it; may be within `ram` */
	u64 initrd_size;                /* 0: none */
	const char *cmdline;
	bool iommu;                     /* DMA is translated: no need for swiotlb=force */
	const struct acpi *acpi;
};

/*
 * Chooses `bytes` of the free RAM: from the bottom, because the kernel's place, DMA zones and real-mode code are there. What is chosen is
 * removed from *ram.
 */
void dom0_choose_memory(struct range_set *ram, u64 bytes, struct range_set *chosen);
/* Builds and starts dom0. Panics with a line that says what to do if it can't. */
void dom0_build(const struct dom0_config *config);

#endif
