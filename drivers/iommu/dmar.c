/*
 * Intel's DMAR table (VT-d specification, "BIOS Considerations"): the units, and the memory that
 * devices use by firmware's order. Scopes aren't read, because all devices have one table.
 */
#include "drivers/iommu/unit.h"

struct dmar {
	struct acpi_header header;
	u8 width, flags, reserved[10];
} __packed;

struct remapping {              /* how each structure starts */
	u16 type, length;
} __packed;
enum { DRHD = 0, RMRR = 1 };

struct drhd {
	struct remapping r;
	u8 flags, size;
	u16 segment;
	u64 base;
} __packed;

struct rmrr {
	struct remapping r;
	u16 reserved, segment;
	u64 start, last;
} __packed;

_Static_assert(sizeof(struct dmar) == 48 && sizeof(struct drhd) == 16 && sizeof(struct rmrr) == 24, "VT-d, BIOS Considerations");

static size_t size_of(u16 type)
{
	return type == DRHD ? sizeof(struct drhd) : type == RMRR ? sizeof(struct rmrr) : sizeof(struct remapping);
}

static void read_structure(const struct remapping *r, struct iommu_found *found)
{
	const struct drhd *d = (const void *)r;
	const struct rmrr *m = (const void *)r;

	if (r->type == DRHD) {
		struct iommu_unit *u = iommu_add_unit(found, d->base);

		if (u)
			u->segment = d->segment;
	} else if (r->type == RMRR) {
		iommu_add_reserved(found, m->start, m->last + 1);
	}
}

void dmar_parse(const struct acpi_header *table, struct iommu_found *found)
{
	const u8 *end = (const u8 *)table + table->length;

	if (table->length < sizeof(struct dmar)) {
		iommu_malformed(found, table, table);
		return;
	}
	for (const u8 *p = (const u8 *)table + sizeof(struct dmar); p < end; p += ((const struct remapping *)p)->length) {
		const struct remapping *r = (const void *)p;

		if ((size_t)(end - p) < sizeof(*r) || r->length > end - p || r->length < size_of(r->type)) {
			iommu_malformed(found, table, p);
			return;
		}
		read_structure(r, found);
	}
}
