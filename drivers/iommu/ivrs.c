/*
 * AMD's IVRS table (AMD I/O Virtualization Technology Specification, "I/O Virtualization ACPI
 * Table", 5.2): the units, and the memory that devices use by firmware's order. Device entries
 * aren't read, because all devices have one table.
 */
#include "drivers/iommu/unit.h"

struct block {                  /* 5.2.2: how each block starts */
	u8 type, flags;
	u16 length, device;
} __packed;
/* The kinds of a unit's block, from the oldest, and of memory's. */
enum { IVHD = 0x10, IVHD_EXTENDED = 0x11, IVHD_ACPI = 0x40, IVMD_ALL = 0x20, IVMD_RANGE = 0x22 };

struct ivhd {
	struct block b;
	u16 capability;
	u64 base;
	u16 segment, info;
	u32 features;
} __packed;

struct ivmd {
	struct block b;
	u16 aux;
	u64 reserved;
	u64 start, size;
} __packed;

enum { HEADER_SIZE = 48 };
_Static_assert(sizeof(struct ivhd) == 24 && sizeof(struct ivmd) == 32, "AMD IOMMU 5.2.2");

static bool is_unit(u8 type) { return type == IVHD || type == IVHD_EXTENDED || type == IVHD_ACPI; }
static bool is_memory(u8 type) { return type >= IVMD_ALL && type <= IVMD_RANGE; }

static size_t size_of_block(u8 type)
{
	return is_unit(type) ? sizeof(struct ivhd) : is_memory(type) ? sizeof(struct ivmd) : sizeof(struct block);
}

/* Firmware describes a unit once in each form that it knows: the first one adds the unit. */
static void read_unit(const struct ivhd *h, struct iommu_found *found)
{
	struct iommu_unit *u;

	for (unsigned i = 0; i < found->nr_units; i++)
		if (found->unit[i].function == h->b.device && found->unit[i].segment == h->segment)
			return;
	u = iommu_add_unit(found, h->base);
	if (!u)
		return;
	u->segment = h->segment;
	u->function = h->b.device;
	u->capability = h->capability;
	u->features[1] = h->b.flags;
}

void ivrs_parse(const struct acpi_header *table, struct iommu_found *found)
{
	const u8 *end = (const u8 *)table + table->length;

	if (table->length < HEADER_SIZE) {
		iommu_malformed(found, table, table);
		return;
	}
	for (const u8 *p = (const u8 *)table + HEADER_SIZE; p < end; p += ((const struct block *)p)->length) {
		const struct block *b = (const void *)p;
		const struct ivmd *m = (const void *)p;

		if ((size_t)(end - p) < sizeof(*b) || b->length > end - p || b->length < size_of_block(b->type)) {
			iommu_malformed(found, table, p);
			return;
		}
		if (is_unit(b->type))
			read_unit((const void *)p, found);
		else if (is_memory(b->type))
			iommu_add_reserved(found, m->start, m->start + m->size);
	}
}
