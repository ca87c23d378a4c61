/*
 * Intel's VT-d: registers, the root and context tables, the queue of invalidations, fault reports.
 * The titles in this file are those of Intel's VT-d specification, named in docs/references.md.
 */
#include <asm/paging.h>
#include "drivers/iommu/unit.h"
#include "lib/config.h"
#include "mm/page.h"

/* "Register Descriptions" */
enum {
	CAP = 0x08, ECAP = 0x10, COMMAND = 0x18, STATUS = 0x1c, ROOT = 0x20, FAULT_STATUS = 0x34, FAULT_CONTROL = 0x38,
	PROTECTED = 0x64, QUEUE_TAIL = 0x88, QUEUE = 0x90,
};
/* COMMAND and STATUS have the same bits. Those of KEEP are states, and a command repeats them. */
#define TRANSLATE  BIT(31)
#define SET_ROOT   BIT(30)
#define WRITE_BUFFER BIT(27)
#define USE_QUEUE  BIT(26)
#define KEEP       (TRANSLATE | BIT(28) | USE_QUEUE | BIT(25) | BIT(23))
/* "Capability Register" */
#define CAP_BUFFER        BIT(4)
#define CAP_CACHING       BIT(7)
#define CAP_PROTECTED     (BIT(5) | BIT(6))
#define CAP_3_LEVELS      BIT(9)
#define CAP_4_LEVELS      BIT(10)
#define CAP_2M            BIT(34)
#define CAP_2M_AND_1G     (3ull << 34)
#define CAP_PAGES         BIT(39)
#define CAP_DRAINS(cap)   ((cap) >> 54 & 3)
#define CAP_FAULTS(cap)   ((u32)((cap) >> 24 & 0x3ff) * 16)
#define CAP_NR_FAULTS(cap) ((u32)((cap) >> 40 & 0xff) + 1)
/* "Extended Capability Register" */
#define ECAP_COHERENT     BIT(0)
#define ECAP_QUEUE        BIT(1)

/* "Second-Stage Paging Entries": readable 0, writable 1; above level 0 a leaf has bit 7. */
#define VTD_RIGHTS (BIT(0) | BIT(1))
#define VTD_PAGE   BIT(7)
#define VTD_FORMAT(n) { \
	.shape = { .levels = (n), .bits = 9, .present = VTD_RIGHTS, .addr = 0x000ffffffffff000ull, .leaf_mask = VTD_PAGE, .leaf_value = VTD_PAGE }, \
	.sizes = PT_4K | PT_2M | PT_1G, \
	.table = { 0, VTD_RIGHTS, VTD_RIGHTS, VTD_RIGHTS }, \
	.leaf = { BIT(0), BIT(0) | VTD_PAGE, BIT(0) | VTD_PAGE }, \
	.flag = { { .on = BIT(1) } }, \
}
static const struct pt_format pt_vtd3 = VTD_FORMAT(3), pt_vtd4 = VTD_FORMAT(4);

/* A "Root Entry" for each bus, and a "Context Entry" for each device and function. */
#define ENTRIES 256
static u64 (*root)[2], (*context)[2];

static const char *vtd_probe(struct iommu_unit *u, struct iommu_limits *all)
{
	u64 cap = *iommu_reg64(u, CAP), ecap = *iommu_reg64(u, ECAP);
	u32 end = CAP_FAULTS(cap) + CAP_NR_FAULTS(cap) * 16;

	if (cap == ~0ull || ecap == ~0ull)
		return "its registers read as ones";
	if (!(ecap & ECAP_QUEUE))
		return "it has no queue of invalidations";
	if (end > u->size) {
		u->size = ROUND_UP(end, PAGE_SIZE);
		u->regs = map_device(u->base, u->size);
	}
	u->features[0] = cap;
	u->features[1] = ecap;
	all->levels &= (u32)((cap & CAP_3_LEVELS ? BIT(3) : 0) | (cap & CAP_4_LEVELS ? BIT(4) : 0));
	all->sizes &= PT_4K | (cap & CAP_2M ? PT_2M : 0) | ((cap & CAP_2M_AND_1G) == CAP_2M_AND_1G ? PT_1G : 0);
	all->coherent &= (ecap & ECAP_COHERENT) != 0;
	all->forgets_nothing |= (cap & (CAP_CACHING | CAP_BUFFER)) != 0;
	all->forgets_only_all |= !(cap & CAP_PAGES);
	/* It remaps all interrupts or none, and Linux would have to know how. */
	all->filters_interrupts = false;
	return NULL;
}

static const struct pt_format *vtd_format(const struct iommu_limits *all)
{
	return all->levels & BIT(4) ? &pt_vtd4 : all->levels & BIT(3) ? &pt_vtd3 : NULL;
}

/* All buses have one context table, and all its entries are equal. */
static bool vtd_give_table(const struct pt *table, bool filter_interrupts)
{
	unsigned levels = table->fmt->shape.levels;

	root = page_alloc_zeroed();
	context = page_alloc_zeroed();
	if (!root || !context)
		return false;
	for (unsigned i = 0; i < ENTRIES; i++) {
		root[i][0] = virt_to_phys(context) | 1;
		context[i][0] = table->root.v << PAGE_SHIFT | 1;
		context[i][1] = IOMMU_DOMAIN << 8 | (levels - 2);
	}
	if (DEBUG_BUILD)
		BUG_ON(vtd_check_context(root[ENTRIES - 1], context[ENTRIES - 1], levels));
	if (table->written) {
		table->written(root, PAGE_SIZE);
		table->written(context, PAGE_SIZE);
	}
	return true;
}

/* Sets a bit of COMMAND, or clears it, and waits until STATUS says the same. */
static bool command(const struct iommu_unit *u, u32 bit, bool on)
{
	u32 keep = *iommu_reg32(u, STATUS) & (u32)KEEP & ~bit;

	*iommu_reg32(u, COMMAND) = keep | (on ? bit : 0);
	/* The buffer's bit is cleared when the work is done. */
	return iommu_wait32(iommu_reg32(u, STATUS), bit, on && bit != WRITE_BUFFER ? bit : 0);
}

/* ---- "Queued Invalidation Interface" ---- */

enum { FORGET_CONTEXT = 1, FORGET_PAGES = 2, WAIT = 5 };
#define ALL_OF_UNIT   (1u << 4)
#define ALL_OF_DOMAIN (2u << 4)
#define ONE_PAGE      (3u << 4)
#define WAIT_WRITES   BIT(5)
#define DRAIN_SHIFT   6

#define FORGET(u, range) (FORGET_PAGES | (range) | CAP_DRAINS((u)->features[0]) << DRAIN_SHIFT)

static void vtd_forget(struct iommu_unit *u, u64 gfn)
{
	u64 domain = (u64)IOMMU_DOMAIN << 16;

	if (gfn == IOMMU_ALL_PAGES)
		iommu_command(u, FORGET(u, ALL_OF_DOMAIN) | domain, 0);
	else
		iommu_command(u, FORGET(u, ONE_PAGE) | domain, gfn << PAGE_SHIFT);
}

/* The commands before are obeyed behind what is still in the unit's buffer. */
static void vtd_wait(struct iommu_unit *u, paddr_t at, u32 value)
{
	if (u->features[0] & CAP_BUFFER)
		command(u, WRITE_BUFFER, true);
	iommu_command(u, WAIT | WAIT_WRITES | (u64)value << 32, at);
}

/* ---- start and stop ---- */

static void clear_fault(const struct iommu_unit *u, u32 n)
{
	*iommu_reg32(u, CAP_FAULTS(u->features[0]) + n * 16 + 12) = BIT(31);
}

/*
 * If firmware has left the unit on, its tables are exchanged under it, so that no device is free
 * for a moment.
 */
static const char *vtd_start(struct iommu_unit *u)
{
	enum { MASKED = 1u << 31, OVERFLOW = 1 };

	*iommu_reg32(u, FAULT_CONTROL) = MASKED;        /* we ask, and the unit sends no interrupts */
	if (u->features[0] & CAP_BUFFER && !command(u, WRITE_BUFFER, true))
		return "it doesn't write its buffer back";
	if (!command(u, USE_QUEUE, false))
		return "it doesn't leave its queue";
	*iommu_reg64(u, ROOT) = virt_to_phys(root);
	if (!command(u, SET_ROOT, true))
		return "it doesn't take a root table";
	*iommu_reg64(u, QUEUE_TAIL) = 0;
	*iommu_reg64(u, QUEUE) = virt_to_phys(u->queue);
	if (!command(u, USE_QUEUE, true))
		return "it doesn't use its queue";
	iommu_command(u, FORGET_CONTEXT | ALL_OF_UNIT, 0);
	iommu_command(u, FORGET(u, ALL_OF_UNIT), 0);
	if (!iommu_obeys(u))
		return "it doesn't answer";
	for (u32 n = 0; n < CAP_NR_FAULTS(u->features[0]); n++)
		clear_fault(u, n);
	*iommu_reg32(u, FAULT_STATUS) = OVERFLOW;
	if (!command(u, TRANSLATE, true))
		return "it doesn't translate";
	/* Firmware may have closed ranges of memory to all devices. */
	if (u->features[0] & CAP_PROTECTED)
		*iommu_reg32(u, PROTECTED) = 0;
	return NULL;
}

static void vtd_stop(struct iommu_unit *u)
{
	if (*iommu_reg32(u, STATUS) & TRANSLATE && !command(u, TRANSLATE, false))
		printk(LOG_WARN "IOMMU at %lx: it doesn't stop\n", u->base);
	if (u->features[0] & CAP_PROTECTED)
		*iommu_reg32(u, PROTECTED) = 0;
}

/* ---- blocked accesses, "Primary Fault Logging" ---- */

static const char *const reasons[] = {
	[1] = "no root entry", [2] = "no context entry", [3] = "a bad context entry", [4] = "beyond the table",
	[5] = "no right to write", [6] = "no right to read", [7] = "a table can't be read", [8] = "the root table can't be read",
	[9] = "a context table can't be read", [10] = "a bad root entry", [11] = "a bad context entry", [12] = "a bad entry",
	[13] = "a request of a forbidden type",
};

static bool vtd_next_fault(struct iommu_unit *u, struct iommu_fault *f)
{
	enum { OVERFLOW = 1, PENDING = 2 };
	u32 status = *iommu_reg32(u, FAULT_STATUS), n = status >> 8 & 0xff, at;
	u64 hi;

	if (!(status & PENDING) || n >= CAP_NR_FAULTS(u->features[0])) {
		if (status & OVERFLOW)
			*iommu_reg32(u, FAULT_STATUS) = OVERFLOW;
		return false;
	}
	at = CAP_FAULTS(u->features[0]) + n * 16;
	hi = *iommu_reg64(u, at + 8);
	f->addr = *iommu_reg64(u, at) & PAGE_MASK;
	f->source = (u16)hi;
	f->write = !(hi >> 62 & 1);
	f->code = (u8)(hi >> 32);
	f->why = f->code < ARRAY_SIZE(reasons) && reasons[f->code] ? reasons[f->code] : "another reason";
	f->lost = status & OVERFLOW;
	clear_fault(u, n);
	return true;
}

const struct iommu_ops vtd_ops = {
	.name = "VT-d", .signature = "DMAR", .registers = PAGE_SIZE, .commands_end = QUEUE_TAIL,
	.parse = dmar_parse, .probe = vtd_probe, .format = vtd_format, .give_table = vtd_give_table, .start = vtd_start,
	.stop = vtd_stop, .forget = vtd_forget, .wait = vtd_wait, .next_fault = vtd_next_fault,
	.check_entry = vtd_check_entry, .check_command = vtd_check_command,
};
