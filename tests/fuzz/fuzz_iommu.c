/* units: drivers/iommu/dmar.c drivers/iommu/ivrs.c */
/*
 * The tables that name IOMMUs. The first byte chooses DMAR or IVRS, and the input is the table's body. The table stands in a block of exactly its
 * length, so that one byte too many is seen. What comes out has to be what ring 0 can rely on.
 */
#include "tests/fuzz/fuzz.h"
#include "drivers/iommu/unit.h"
#include "lib/string.h"
#include <stdlib.h>

static unsigned added, reserved, malformed;

/* The real ones are policy (iommu.c), and unit tests have them. */
struct iommu_unit *iommu_add_unit(struct iommu_found *f, paddr_t base)
{
	added++;
	if (f->nr_units == ARRAY_SIZE(f->unit) || base == 0)
		return NULL;
	f->unit[f->nr_units].base = base;
	return &f->unit[f->nr_units++];
}

void iommu_add_reserved(struct iommu_found *f, paddr_t start, paddr_t end) { reserved++; }

void iommu_malformed(struct iommu_found *f, const struct acpi_header *table, const void *at)
{
	BUG_ON((const u8 *)at < (const u8 *)table || (const u8 *)at > (const u8 *)table + table->length);
	malformed++;
}

int LLVMFuzzerTestOneInput(const u8 *data, size_t size)
{
	static struct iommu_found found;
	struct acpi_header *table;

	if (size < 1)
		return 0;
	added = reserved = malformed = 0;
	memset(&found, 0, sizeof(found));
	table = malloc(sizeof(*table) + size - 1);
	memset(table, 0, sizeof(*table));
	memcpy(table + 1, data + 1, size - 1);
	table->length = (u32)(sizeof(*table) + size - 1);
	if (data[0] & 1)
		ivrs_parse(table, &found);
	else
		dmar_parse(table, &found);
	/* Each structure has at least four bytes, and a table ends with the first that can't be read. */
	BUG_ON((added + reserved) * 4 > size || malformed > 1);
	free(table);
	return 0;
}
