/*
 * The manuals' rules for what units read. Emulators let more pass than the hardware does, so debug
 * builds look at each entry and command that the drivers make. Each function returns NULL, or the
 * rule that is broken.
 */
#include "drivers/iommu/unit.h"

#define BITS(last, first) (((2ull << ((last) - (first))) - 1) << (first))

/* A leaf's frame has the size of its level. */
static bool misaligned(const struct pt *t, u64 entry, unsigned level)
{
	return entry & t->fmt->shape.addr & (BIT(pt_shift(&t->fmt->shape, level)) - 1);
}

/* VT-d specification, "Second-Stage Paging Entries". */
const char *vtd_check_entry(const struct pt *t, u64 entry, unsigned level)
{
	if (!pt_present(&t->fmt->shape, entry))
		return NULL;
	if (entry & BIT(62))
		return "bit 62 is reserved without device TLBs";
	if (entry & BIT(11))
		return "bit 11 is reserved without snoop control";
	if (pt_is_table(&t->fmt->shape, entry, level))
		return (entry & 3) == 3 ? NULL : "a table's entry has both rights";
	if (level > 2)
		return "only levels 0 to 2 have leaves";
	return misaligned(t, entry, level) ? "a leaf's address is a multiple of its size" : NULL;
}

/* VT-d specification, "Root Entry" and "Context Entry". */
const char *vtd_check_context(const u64 root[2], const u64 context[2], unsigned levels)
{
	if (root[1] || root[0] & BITS(11, 1))
		return "root entry: bits 127:64 and 11:1 are reserved";
	if (!(root[0] & 1) || !(context[0] & 1))
		return "the entry is not present, and faults of its devices are reported as errors";
	if (context[0] & BITS(11, 4))
		return "context entry: bits 11:4 are reserved";
	if (context[0] & BITS(3, 2))
		return "context entry: type 0 translates by the second stage";
	if ((context[1] & 7) != levels - 2)
		return "context entry: the width isn't that of the table";
	return context[1] & (BIT(7) | BITS(63, 24)) ? "context entry: bits 127:88 and 71 are reserved" : NULL;
}

/* VT-d specification, "Queued Invalidation Interface". */
const char *vtd_check_command(const u64 c[2])
{
	switch (c[0] & 0xf) {
	case 1:
		return c[1] || c[0] & (BITS(63, 50) | BITS(15, 6)) ? "context: reserved bits" : !(c[0] & BITS(5, 4)) ? "context: no range" : NULL;
	case 2:
		if (!(c[0] & BITS(5, 4)))
			return "pages: no range";
		if ((c[0] >> 4 & 3) != 3 && c[1])
			return "pages: an address that isn't used";
		return c[0] & (BITS(63, 32) | BITS(15, 8)) || c[1] & BITS(11, 7) ? "pages: reserved bits" : NULL;
	case 5:
		return c[0] & BITS(31, 8) || c[1] & 3 ? "wait: reserved bits" : NULL;
	default:
		return "an unknown command";
	}
}

/* AMD specification, "I/O Page Tables", 2.2.3. */
const char *amdvi_check_entry(const struct pt *t, u64 entry, unsigned level)
{
	unsigned next = entry >> 9 & 7;

	if (!(entry & 1))
		return NULL;
	if (entry & (BIT(63) | BITS(58, 52)))
		return "bits 63 and 58:52 are reserved";
	if (next && next != 7 && next != level)
		return "the table below has another level";
	if (next == 7)
		return "a size in the address is not used here";
	if (!level && next)
		return "there is no table below the last level";
	if (next)
		return entry & (BIT(60) | BIT(59)) ? "a table's entry: bits 60:59 are reserved" :
		       (entry >> 61 & 3) == 3 ? NULL : "a table's entry has both rights";
	return misaligned(t, entry, level) ? "a leaf's address is a multiple of its size" : NULL;
}

/* AMD specification, "Device Table", 2.2.2. */
const char *amdvi_check_device(const u64 d[4])
{
	unsigned mode = d[0] >> 9 & 7;

	if ((d[0] & 3) != 3)
		return "an entry that isn't valid lets its device reach everything";
	if (d[0] & (BIT(63) | BITS(6, 2)))
		return "bits 63 and 6:2 are reserved";
	if (!mode || mode > 6)
		return "the table has 1 to 6 levels";
	if (d[0] & BITS(60, 52))
		return "guest translation isn't used";
	if (d[1] & BIT(32))
		return "device TLBs aren't used";
	return d[3] || (d[2] && d[2] != (BIT(60) | BIT(0))) ? "all interrupts pass, or only fixed and arbitrated ones" : NULL;
}

/* AMD specification, "Commands", 2.4. */
const char *amdvi_check_command(const u64 c[2])
{
	switch (c[0] >> 60) {
	case 1:
		return c[0] & BITS(59, 52) ? "wait: bits 59:52 are reserved" : c[0] & 1 ? NULL : "wait: nothing is stored";
	case 2:
		return c[1] || c[0] & BITS(59, 16) ? "device: reserved bits" : NULL;
	case 3:
		return c[0] & (BITS(59, 48) | BITS(31, 0)) || c[1] & BITS(11, 2) ? "pages: reserved bits" : NULL;
	case 8:
		return c[1] || c[0] & BITS(59, 0) ? "all: reserved bits" : NULL;
	default:
		return "an unknown command";
	}
}
