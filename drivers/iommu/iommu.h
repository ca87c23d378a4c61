/*
 * DMA remapping. Devices reach only what the service domain's I/O table shows: its RAM, what is
 * granted to it, and the ranges that firmware reserves for devices. Every device of the machine has
 * this one table.
 */
#ifndef DRIVERS_IOMMU_IOMMU_H
#define DRIVERS_IOMMU_IOMMU_H

struct acpi;
struct p2m_mirror;

/* What the option iommu= says. Strict: as verbose, and the machine doesn't boot without one. */
enum iommu_option { IOMMU_ON, IOMMU_OFF, IOMMU_VERBOSE, IOMMU_STRICT };

/*
 * Starts every IOMMU of the machine with an empty table, which blocks all DMA. Calls `reserve` for
 * each range of registers. Returns the mirror for the service domain's p2m; NULL if DMA isn't
 * remapped, and the log says why. Panics instead if `option` is IOMMU_STRICT. With
 * `filter_interrupts`, units that can block devices' NMI, INIT and ExtINT messages. Context: boot
 * CPU, once, with interrupts off and the allocator up.
 */
const struct p2m_mirror *iommu_init(const struct acpi *acpi, enum iommu_option option, bool filter_interrupts,
				    void (*reserve)(paddr_t start, u64 size));
/* Returns true if every unit blocks devices' NMI, INIT and ExtINT messages. Context: after iommu_init. */
bool iommu_filters_interrupts(void);
/*
 * Logs the accesses that were blocked since the last call, at most some lines a second. Context:
 * one CPU, from time to time.
 */
void iommu_report(void);

/*
 * True if the service domain must not write PCI's address port directly: a function of PCI is
 * hidden from it.
 */
bool iommu_hides_functions(void);
/* Writes PCI's address port; the configuration of a hidden function is never selected. */
void iommu_select_config(u32 address);
/* Reads PCI's address port. */
u32 iommu_selected_config(void);

#endif
