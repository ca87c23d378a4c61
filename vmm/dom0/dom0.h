/* Building the service domain. */
#ifndef VMM_DOM0_DOM0_H
#define VMM_DOM0_DOM0_H

#include "mm/memory_map.h"

struct acpi;
struct p2m_mirror;

struct dom0_config {
	struct range_set ram;           /* its memory, identity-mapped; nothing else uses it */
	unsigned vcpus;
	const void *kernel;             /* the image, in the direct map, not within `ram` */
	u64 kernel_size;
	paddr_t initrd;                 /* address from the boot loader; may be within `ram` */
	u64 initrd_size;                /* 0: none */
	const char *cmdline;
	const struct p2m_mirror *iommu; /* what devices see; NULL: all memory, so swiotlb=force */
	const struct acpi *acpi;
};

/*
 * Moves `bytes` of RAM, or all if there is less, from *ram to *chosen. It starts at the bottom,
 * because Linux needs low memory for its kernel, for DMA zones and for real-mode code.
 */
void dom0_choose_memory(struct range_set *ram, u64 bytes, struct range_set *chosen);
/*
 * Builds and starts the service domain. If it can't, it panics with a line that says what to do.
 * Context: the boot CPU, once, with all CPUs up.
 */
void dom0_build(const struct dom0_config *config);

#endif
