/*
 * AMD-Vi: registers, the device table, the ring of commands, the ring of events. Numbers of
 * sections: AMD I/O Virtualization Technology Specification, named in docs/references.md.
 */
#include "drivers/iommu/unit.h"
#include "lib/config.h"
#include "mm/page.h"

/* Registers, 3.4. */
enum {
	DEVICES = 0x00, COMMANDS = 0x08, EVENTS = 0x10, CONTROL = 0x18, EXCLUDED = 0x20, FEATURES = 0x30,
	COMMAND_HEAD = 0x2000, COMMAND_TAIL = 0x2008, EVENT_HEAD = 0x2010, EVENT_TAIL = 0x2018, STATUS = 0x2020, REGISTERS = 0x4000,
};
/* CONTROL, 3.4.3 */
#define TRANSLATE      BIT(0)
#define LOG_EVENTS     BIT(2)
#define COHERENT       BIT(10)
#define USE_COMMANDS   BIT(12)
/* The IVHD block's flags 0 to 3 (tunnel, PassPW, ResPassPW, isochronous) where CONTROL has them. */
#define BOARD(flags)   (((flags) & 1) << 1 | ((flags) & 6) << 7 | ((flags) & 8) << 8)
#define RING_OF_256    (8ull << 56)     /* a ring's size; an entry has 16 bytes */
#define OVERFLOW       BIT(0)           /* STATUS */
#define HAS_FORGET_ALL BIT(6)           /* FEATURES */

/* Entries, 2.2.3: present 0, level of the table below 11:9 or 0, readable 61, writable 62. */
#define AMDVI_PRESENT  BIT(0)
#define AMDVI_NEXT(n)  ((u64)(n) << 9)
#define AMDVI_COHERENT BIT(60)
#define AMDVI_R        BIT(61)
#define AMDVI_W        BIT(62)
#define AMDVI_TABLE(n) (AMDVI_PRESENT | AMDVI_NEXT(n) | AMDVI_R | AMDVI_W)
#define AMDVI_LEAF     (AMDVI_PRESENT | AMDVI_COHERENT | AMDVI_R)

static const struct pt_format pt_amdvi = {
	.shape = { .levels = 4, .bits = 9, .present = AMDVI_PRESENT, .addr = 0x000ffffffffff000ull, .leaf_mask = AMDVI_NEXT(7), .leaf_value = 0 },
	.sizes = PT_4K | PT_2M | PT_1G,
	.table = { 0, AMDVI_TABLE(1), AMDVI_TABLE(2), AMDVI_TABLE(3) },
	.leaf = { AMDVI_LEAF, AMDVI_LEAF, AMDVI_LEAF },
	.flag = { { .on = AMDVI_W } },
};

/*
 * The device table, 2.2.2: an entry for each bus, device and function. All are valid and equal: an
 * entry that isn't valid lets its device reach everything.
 */
#define ENTRIES      65536u
#define DEVICE_VALID (BIT(0) | BIT(1))
/* Fixed and arbitrated interrupts are forwarded. The bits that let NMI, INIT and ExtINT pass are 0. */
#define ORDINARY_INTERRUPTS (BIT(0) | 1ull << 60)
static u64 (*devices)[4];
enum { DEVICES_ORDER = 9 };
_Static_assert(ENTRIES * sizeof(*devices) == PAGE_SIZE << DEVICES_ORDER, "the size of the device table");

static const char *amdvi_probe(struct iommu_unit *u, struct iommu_limits *all)
{
	enum { BASE = 4, ENABLED = 1 };
	u64 features;
	u32 low;

	if (!u->segment) {
		low = iommu_read_config(u->function, u->capability + BASE);
		if (!(low & ENABLED))
			iommu_write_config(u->function, u->capability + BASE, (u32)u->base | ENABLED);
	}
	features = *iommu_reg64(u, FEATURES);
	if (features == ~0ull)
		return "its registers read as ones";
	u->features[0] = features;
	all->levels &= BIT(4);
	/* The specification lets a unit keep entries that aren't present; its capability says so. */
	all->forgets_nothing |= !u->segment && (iommu_read_config(u->function, u->capability) & BIT(26));
	return NULL;
}

static const struct pt_format *amdvi_format(const struct iommu_limits *all) { return &pt_amdvi; }

static bool amdvi_give_table(const struct pt *table, bool filter_interrupts)
{
	struct page *pg = page_alloc(DEVICES_ORDER);

	if (!pg)
		return false;
	devices = page_to_virt(pg);
	for (unsigned i = 0; i < ENTRIES; i++) {
		devices[i][0] = DEVICE_VALID | AMDVI_NEXT(table->fmt->shape.levels) | table->root.v << PAGE_SHIFT | AMDVI_R | AMDVI_W;
		devices[i][1] = IOMMU_DOMAIN;
		devices[i][2] = filter_interrupts ? ORDINARY_INTERRUPTS : 0;      /* 0: all pass */
		devices[i][3] = 0;
	}
	if (DEBUG_BUILD)
		BUG_ON(amdvi_check_device(devices[ENTRIES - 1]));
	return true;
}

/* ---- commands, 2.4 ---- */

enum { WAIT = 1, FORGET_DEVICE = 2, FORGET_PAGES = 3, FORGET_ALL = 8 };
#define CODE(n)       ((u64)(n) << 60)
#define WAIT_STORES   BIT(0)
#define WAIT_FLUSHES  BIT(2)
/* FORGET_PAGES with the range of all addresses, and the tables' entries too. */
#define EVERY_PAGE    (0x7ffffffffffff000ull | BIT(0) | BIT(1))

static void amdvi_forget(struct iommu_unit *u, u64 gfn)
{
	iommu_command(u, CODE(FORGET_PAGES) | (u64)IOMMU_DOMAIN << 32, gfn == IOMMU_ALL_PAGES ? EVERY_PAGE : gfn << PAGE_SHIFT);
}

static void amdvi_wait(struct iommu_unit *u, paddr_t at, u32 value)
{
	iommu_command(u, CODE(WAIT) | WAIT_STORES | WAIT_FLUSHES | at, value);
}

/* ---- start and stop ---- */

/* Units without a command for that forget one device after the other, some at a time. */
static bool forget_devices(struct iommu_unit *u)
{
	enum { AT_ONCE = 128 };

	for (u32 id = 0; id < ENTRIES; id++) {
		iommu_command(u, CODE(FORGET_DEVICE) | id, 0);
		if (id % AT_ONCE == AT_ONCE - 1 && !iommu_obeys(u))
			return false;
	}
	amdvi_forget(u, IOMMU_ALL_PAGES);
	return iommu_obeys(u);
}

static void amdvi_stop(struct iommu_unit *u) { *iommu_reg64(u, CONTROL) = 0; }

static const char *amdvi_start(struct iommu_unit *u)
{
	static const u32 zeroed[] = { EXCLUDED, COMMAND_HEAD, COMMAND_TAIL, EVENT_HEAD, EVENT_TAIL };

	u->events = page_alloc_zeroed();
	if (!u->events)
		return "no memory";
	amdvi_stop(u);
	*iommu_reg64(u, DEVICES) = virt_to_phys(devices) | ((PAGE_SIZE << DEVICES_ORDER) / PAGE_SIZE - 1);
	*iommu_reg64(u, COMMANDS) = virt_to_phys(u->queue) | RING_OF_256;
	*iommu_reg64(u, EVENTS) = virt_to_phys(u->events) | RING_OF_256;
	for (unsigned i = 0; i < ARRAY_SIZE(zeroed); i++)
		*iommu_reg64(u, zeroed[i]) = 0;
	*iommu_reg64(u, STATUS) = OVERFLOW;
	iommu_hide_function(u);
	*iommu_reg64(u, CONTROL) = TRANSLATE | LOG_EVENTS | COHERENT | USE_COMMANDS | BOARD(u->features[1]);
	if (u->features[0] & HAS_FORGET_ALL) {
		iommu_command(u, CODE(FORGET_ALL), 0);
		return iommu_obeys(u) ? NULL : "it doesn't answer";
	}
	return forget_devices(u) ? NULL : "it doesn't answer";
}

/* ---- events, 2.5 ---- */

static const char *const events[] = {
	[1] = "a bad entry of the device table", [2] = "no right", [3] = "the device table can't be read", [4] = "a table can't be read",
	[5] = "a bad command", [6] = "the commands can't be read", [7] = "a device doesn't answer", [8] = "a forbidden request",
};

static bool amdvi_next_fault(struct iommu_unit *u, struct iommu_fault *f)
{
	u64 head = *iommu_reg64(u, EVENT_HEAD) % PAGE_SIZE & ~15ull, control = *iommu_reg64(u, CONTROL);
	volatile u64 *e = (volatile u64 *)(u->events + head);
	bool lost = *iommu_reg64(u, STATUS) & OVERFLOW;

	/* The unit may move the tail before the entry is in memory; then it comes with the next call. */
	if (head == (*iommu_reg64(u, EVENT_TAIL) % PAGE_SIZE & ~15ull) || !(e[0] >> 60)) {
		/* It has stopped logging, and goes on when it is switched on again. */
		if (lost) {
			*iommu_reg64(u, CONTROL) = control & ~LOG_EVENTS;
			*iommu_reg64(u, STATUS) = OVERFLOW;
			*iommu_reg64(u, CONTROL) = control | LOG_EVENTS;
		}
		return false;
	}
	f->source = (u16)e[0];
	f->code = (unsigned)(e[0] >> 60);
	f->why = f->code < ARRAY_SIZE(events) ? events[f->code] : "another reason";
	f->write = e[0] >> 53 & 1;
	f->addr = e[1];
	f->lost = lost;
	e[0] = e[1] = 0;
	*iommu_reg64(u, EVENT_HEAD) = (head + 16) % PAGE_SIZE;
	return true;
}

const struct iommu_ops amdvi_ops = {
	.name = "AMD-Vi", .signature = "IVRS", .registers = REGISTERS, .commands_end = COMMAND_TAIL,
	.parse = ivrs_parse, .probe = amdvi_probe, .format = amdvi_format, .give_table = amdvi_give_table, .start = amdvi_start,
	.stop = amdvi_stop, .forget = amdvi_forget, .wait = amdvi_wait, .next_fault = amdvi_next_fault,
	.check_entry = amdvi_check_entry, .check_command = amdvi_check_command,
};
