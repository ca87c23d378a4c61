/*
 * Which memory devices reach. One I/O table follows the service domain's p2m: its RAM and what is
 * granted to it, and nothing else that the p2m has. An entry leaves the I/O table before it leaves
 * the p2m, and every unit has forgotten it before its frame can become free.
 */
#include <asm/cpu.h>
#include <asm/insn.h>
#include <asm/paging.h>
#include <asm/spinlock.h>
#include <asm/time.h>
#include "drivers/acpi.h"
#include "drivers/iommu/iommu.h"
#include "drivers/iommu/unit.h"
#include "lib/config.h"
#include "lib/string.h"
#include "mm/memory_map.h"
#include "mm/p2m_mirror.h"
#include "mm/page.h"

/* A device of the service domain may make accesses for ever, and must not push all else out of the log. */
#define LINES_PER_SECOND 10u
#define LINES_OF_DEVICE  16u    /* since the boot; devices of the same number on all buses are one */
#define COUNT_SECONDS    16u    /* between two lines that only count */
#define FAULTS_AT_ONCE   64u    /* bounds one report's time; the units drop what comes meanwhile */

static const struct iommu_ops *ops;
static struct iommu_found found;
static struct iommu_limits all;
static u64 tables;              /* [LOCK_P2M] pages of the table */
static struct pt io;            /* what devices see; changes: [LOCK_P2M] of the service domain */

/* [LOCK_P2M], nr: [a] too. The frames that the units have to forget; more than fit: everything. */
static struct { unsigned nr; u64 gfn[8]; } stale;

static u64 *opened;             /* [LOCK_P2M] the slot of the page that was opened last, or NULL */
static u64 small_leaf[2];       /* [I] the bits of a small page's entry, without and with the right to write */

/*
 * [LOCK_P2M] The table of small pages that was used last, because grants lie side by side. It has no
 * reserved page. Such a table is never replaced, nor freed. The index is ~0 if there is none.
 */
#define SMALL_PAGES (PAGE_SIZE / sizeof(u64))
static struct { u64 index, *table; } near;

/* ---- the mirror ---- */

static bool for_devices(enum p2m_type type) { return type == P2M_RAM || type == P2M_GRANT_RW || type == P2M_GRANT_RO; }

static void forget_later(u64 gfn, bool only_one)
{
	unsigned nr = stale.nr;

	if (only_one && nr < ARRAY_SIZE(stale.gfn))
		stale.gfn[nr++] = gfn;
	else
		nr = ARRAY_SIZE(stale.gfn) + 1;
	__atomic_store_n(&stale.nr, nr, __ATOMIC_RELAXED);
}

/* A range that firmware reserves for devices stays as it is, whatever the service domain maps there. */
static bool overlaps_reserved(u64 gfn, u64 frames)
{
	for (unsigned i = 0; i < found.nr_reserved; i++)
		if (gfn < found.reserved[i].end >> PAGE_SHIFT && found.reserved[i].start >> PAGE_SHIFT < gfn + frames)
			return true;
	return false;
}

static unsigned level_of(unsigned order)
{
	unsigned level = order / io.fmt->shape.bits;

	while (!(all.sizes & BIT(level)))
		level--;
	return level;
}

static u64 behind(u64 gfn, unsigned level)
{
	u64 frames = BIT(level * io.fmt->shape.bits);

	return (gfn & ~(frames - 1)) + frames;
}

/* Makes the tables for slots of at most this level, also for holes. Devices see the same in them. */
static bool make_slots(u64 gfn, u64 end, unsigned most, bool also_holes)
{
	const struct pt_shape *s = &io.fmt->shape;
	unsigned level;
	u64 entry;

	for (; gfn < end; gfn = behind(gfn, level)) {
		pt_find(s, io.root, gfn << PAGE_SHIFT, &entry, &level);
		if (level <= most || !(also_holes || pt_present(s, entry)))
			continue;
		level = most;
		if (!pt_slot(&io, gfn << PAGE_SHIFT, &level))
			return false;
		/* A unit may remember the large leaf that has just been split, or that there was no table. */
		if (pt_present(s, entry) || all.forgets_nothing)
			forget_later(gfn, false);
	}
	return true;
}

/*
 * A line that is flushed from the cache needs no fence for the unit to see it. The flush is ordered
 * with later writes (SDM vol. 2, "CLFLUSH"), and one of these tells the unit or the device.
 */
static inline void write_back_line(const void *at)
{
	if (!all.coherent)
		clflush(at);
}

static inline void put_entry(u64 *slot, u64 entry)
{
	pt_write(slot, entry);
	write_back_line(slot);
}

static inline void empty_slot(u64 gfn, u64 *slot, unsigned level)
{
	if (!pt_read(slot))
		return;
	put_entry(slot, 0);
	forget_later(gfn, !level);
}

/* All memory is taken before the first slot is emptied: without it devices see what they saw. */
static __noinline int open_slots(gfn_t gfn, unsigned order, enum p2m_type type)
{
	const struct pt_shape *s = &io.fmt->shape;
	u64 entry, *slot, end = gfn.v + BIT(order);
	unsigned level;

	if (end > pt_end(s) >> PAGE_SHIFT || (for_devices(type) && overlaps_reserved(gfn.v, end - gfn.v)))
		return for_devices(type) ? -EINVAL : 0;
	if (!make_slots(gfn.v, end, level_of(order), for_devices(type)))
		return -ENOMEM;
	for (u64 at = gfn.v; at < end; at = behind(at, level)) {
		slot = pt_find(s, io.root, at << PAGE_SHIFT, &entry, &level);
		if (!overlaps_reserved(at, 1))
			empty_slot(at, slot, level);
		if (!level && !overlaps_reserved(ROUND_DOWN(at, SMALL_PAGES), SMALL_PAGES)) {
			near.index = at / SMALL_PAGES;
			near.table = slot - at % SMALL_PAGES;
		}
	}
	return 0;
}

static int open_frames(gfn_t gfn, unsigned order, enum p2m_type type)
{
	bool is_near = !order && gfn.v / SMALL_PAGES == near.index;

	opened = is_near ? near.table + gfn.v % SMALL_PAGES : NULL;
	if (!is_near)
		return open_slots(gfn, order, type);
	empty_slot(gfn.v, opened, 0);
	return 0;
}

/* In debug builds, looks at each entry on the way to an address. */
static void audit(u64 addr)
{
	const struct pt_shape *s = &io.fmt->shape;
	u64 table = io.root.v << PAGE_SHIFT;

	for (unsigned level = s->levels; level-- > 0; ) {
		u64 entry = *pt_index(s, table, addr, level);
		const char *broken = ops->check_entry(&io, entry, level);

		if (broken)
			panic("an entry of the I/O table breaks a rule: %s (%lx, level %u)", broken, entry, level);
		if (!pt_is_table(s, entry, level))
			return;
		table = entry & s->addr;
	}
}

static void set_frames(gfn_t gfn, mfn_t mfn, unsigned order, enum p2m_type type)
{
	u64 addr = gfn.v << PAGE_SHIFT, pa = mfn.v << PAGE_SHIFT;

	if (!for_devices(type))
		return;
	/* The tables are there: open_frames has made them. */
	if (opened)
		put_entry(opened, pa | small_leaf[type != P2M_GRANT_RO]);
	else if (pt_map(&io, addr, pa, PAGE_SIZE << order, type == P2M_GRANT_RO ? 0 : PT_WRITE, all.sizes))
		BUG();
	if (all.forgets_nothing)
		forget_later(gfn.v, !order);
	if (DEBUG_BUILD)
		audit(addr);
}

/* ---- the units' queues of commands ---- */

void iommu_command(struct iommu_unit *u, u64 lo, u64 hi)
{
	u64 *slot = (u64 *)(u->queue + u->tail);

	slot[0] = lo;
	slot[1] = hi;
	if (DEBUG_BUILD)
		BUG_ON(ops->check_command(slot));
	write_back_line(slot);
	u->tail = (u->tail + 16) % PAGE_SIZE;
}

static u32 *end_word(const struct iommu_unit *u) { return (u32 *)(u->queue + PAGE_SIZE); }

static void begin_commands(struct iommu_unit *u)
{
	ops->wait(u, virt_to_phys(end_word(u)), ++u->waits);
	/* The commands are in memory before the unit hears of them. */
	smp_mb();
	*iommu_reg64(u, ops->commands_end) = u->tail;
}

/* Acquire: the unit wrote the word behind everything that it did before. */
static bool have_ended(const struct iommu_unit *u) { return __atomic_load_n(end_word(u), __ATOMIC_ACQUIRE) == u->waits; }

/* The clock is read only if the unit takes its time. */
static bool ends(const struct iommu_unit *u)
{
	return have_ended(u) || (iommu_wait32(end_word(u), ~0u, u->waits) && have_ended(u));
}

bool iommu_obeys(struct iommu_unit *u)
{
	begin_commands(u);
	return ends(u);
}

static void begin_flush(struct iommu_unit *u)
{
	if (all.forgets_only_all || stale.nr > ARRAY_SIZE(stale.gfn))
		ops->forget(u, IOMMU_ALL_PAGES);
	else
		for (unsigned i = 0; i < stale.nr; i++)
			ops->forget(u, stale.gfn[i]);
	begin_commands(u);
}

/*
 * The number falls to 0 only when the units have answered, so a CPU that finds nothing stale can go
 * on. Acquire, and release below: what it does then comes behind the answer.
 */
static void forget_stale(struct p2m *p2m)
{
	if (!IOMMU_FLUSHES || !__atomic_load_n(&stale.nr, __ATOMIC_ACQUIRE))
		return;
	spin_lock(&p2m->lock);
	if (stale.nr) {
		for (unsigned i = 0; i < found.nr_units; i++)
			begin_flush(&found.unit[i]);
		for (unsigned i = 0; i < found.nr_units; i++)
			if (!ends(&found.unit[i]))
				panic("the IOMMU at %lx no longer answers", found.unit[i].base);
		__atomic_store_n(&stale.nr, 0, __ATOMIC_RELEASE);
	}
	spin_unlock(&p2m->lock);
}

static const struct p2m_mirror mirror = { .open = open_frames, .set = set_frames, .flush = forget_stale };

/* ---- what firmware says ---- */

void iommu_malformed(struct iommu_found *f, const struct acpi_header *table, const void *at)
{
	printk(LOG_WARN "ACPI: the %.4s table is read up to byte %zu, where it is malformed\n",
	       table->signature, (size_t)((const u8 *)at - (const u8 *)table));
	f->wrong++;
}

struct iommu_unit *iommu_add_unit(struct iommu_found *f, paddr_t base)
{
	const char *why = f->nr_units == ARRAY_SIZE(f->unit) ? "there are too many" :
			  !base || base & ~PAGE_MASK || base >= BIT(46) ? "no registers can be there" :
			  memory_map_has_ram(base, PAGE_SIZE) ? "this is RAM" : NULL;

	for (unsigned i = 0; i < f->nr_units; i++)
		if (f->unit[i].base == base)
			return NULL;    /* listed twice */
	if (why) {
		printk(LOG_WARN "IOMMU at %lx left out: %s\n", base, why);
		f->wrong++;
		return NULL;
	}
	f->unit[f->nr_units].base = base;
	return &f->unit[f->nr_units++];
}

void iommu_add_reserved(struct iommu_found *f, paddr_t start, paddr_t end)
{
	paddr_t from = start & PAGE_MASK, to = ROUND_UP(end, PAGE_SIZE);
	const char *why = f->nr_reserved == ARRAY_SIZE(f->reserved) ? "there are too many" :
			  start >= end || to <= from || to >= BIT(46) || to - from > GiB(4) ? "no memory can be there" :
			  memory_map_has_ram(from, to - from) ? "it is RAM" : NULL;

	if (why) {
		printk(LOG_WARN "memory that firmware reserves for devices, from %lx to %lx, left out: %s\n", start, end, why);
		return;
	}
	f->reserved[f->nr_reserved].start = from;
	f->reserved[f->nr_reserved++].end = to;
}

/* ---- start ---- */

void iommu_write_back(const void *at, size_t bytes)
{
	for (u64 line = (u64)at & ~63ull; line < (u64)at + bytes; line += 64)
		clflush((const void *)line);
	/* Also keeps the next write to a unit's register behind. */
	smp_mb();
}

__noinline bool iommu_wait32(const volatile u32 *reg, u32 mask, u32 value)
{
	u64 since = time_now();

	while ((*reg & mask) != value)
		if (time_now() - since > NS_PER_S)
			return false;
	return true;
}

static const char *find_units(const struct acpi *acpi, bool filter_interrupts)
{
	static const struct iommu_ops *const vendors[] = { &vtd_ops, &amdvi_ops };
	const struct acpi_header *table = NULL;
	const char *why;

	memset(&found, 0, sizeof(found));
	all = (struct iommu_limits){ .levels = ~0u, .sizes = PT_4K | PT_2M | PT_1G, .coherent = true, .filters_interrupts = filter_interrupts };
	for (unsigned i = 0; i < ARRAY_SIZE(vendors) && !table; i++) {
		ops = vendors[i];
		table = acpi_find(acpi, ops->signature);
	}
	if (!table)
		return "firmware lists no IOMMU";
	ops->parse(table, &found);
	for (unsigned i = 0; i < found.nr_units; i++) {
		struct iommu_unit *u = &found.unit[i];

		u->size = ops->registers;
		u->regs = map_device(u->base, u->size);
		why = ops->probe(u, &all);
		if (why) {
			printk(LOG_WARN "IOMMU at %lx: %s\n", u->base, why);
			found.nr_units = i;
			return "not every IOMMU can be used";
		}
	}
	/* The devices of a unit that isn't known would reach everything. */
	return !found.nr_units ? "no IOMMU is left" : found.wrong ? "firmware's list of IOMMUs can't be trusted" : NULL;
}

static const char *make_table(void)
{
	const struct pt_format *format = ops->format(&all);

	if (!format)
		return "the IOMMUs have no size of table in common";
	near.index = ~0ull;
	if (pt_init(&io, format, page_alloc_zeroed, &tables))
		return "no memory";
	for (unsigned i = 0; i < ARRAY_SIZE(small_leaf); i++)
		small_leaf[i] = pt_leaf(format, 0, 0, i ? PT_WRITE : 0);
	if (!all.coherent) {
		io.written = iommu_write_back;
		iommu_write_back(mfn_to_virt(io.root), PAGE_SIZE);
	}
	for (unsigned i = 0; i < found.nr_reserved; i++)
		if (pt_map(&io, found.reserved[i].start, found.reserved[i].start, found.reserved[i].end - found.reserved[i].start, PT_WRITE, all.sizes))
			return "the ranges that firmware reserves for devices can't be mapped";
	return ops->give_table(&io, all.filters_interrupts) ? NULL : "no memory";
}

static const char *start_units(void)
{
	for (unsigned i = 0; i < found.nr_units; i++) {
		struct iommu_unit *u = &found.unit[i];
		struct page *queue = page_alloc(1);
		const char *why = queue ? NULL : "no memory";

		if (queue) {
			u->queue = memset(page_to_virt(queue), 0, 2 * PAGE_SIZE);
			why = ops->start(u);
		}
		if (why) {
			printk(LOG_WARN "IOMMU at %lx: %s\n", u->base, why);
			return "not every IOMMU can be started";
		}
	}
	return NULL;
}

static void tell(bool verbose)
{
	printk(LOG_INFO "DMA is remapped by %s (units: %u), with tables of %u levels%s\n", ops->name, found.nr_units,
	       io.fmt->shape.levels, all.coherent ? "" : ", written back from the caches");
	for (unsigned i = 0; verbose && i < found.nr_units; i++)
		printk(LOG_INFO "IOMMU at %lx, PCI segment %u: features %lx %lx\n", found.unit[i].base, found.unit[i].segment,
		       found.unit[i].features[0], found.unit[i].features[1]);
	for (unsigned i = 0; verbose && i < found.nr_reserved; i++)
		printk(LOG_INFO "reserved for devices: %lx to %lx\n", found.reserved[i].start, found.reserved[i].end);
}

const struct p2m_mirror *iommu_init(const struct acpi *acpi, enum iommu_option option, bool filter_interrupts,
				    void (*reserve)(paddr_t start, u64 size))
{
	const char *why = find_units(acpi, filter_interrupts);

	if (!why && option == IOMMU_OFF)
		why = "iommu=no";
	if (!why)
		why = make_table() ?: start_units();
	if (!why) {
		for (unsigned i = 0; i < found.nr_units; i++)
			reserve(found.unit[i].base, found.unit[i].size);
		iommu_reserve_functions(acpi, reserve);
		tell(option != IOMMU_ON);
		if (filter_interrupts)
			printk(LOG_INFO "intremap=yes: %s\n", all.filters_interrupts ? "devices' NMI, INIT and ExtINT are blocked" :
			       "not with VT-d, so devices send all kinds of interrupts");
		return &mirror;
	}
	if (option == IOMMU_STRICT)
		panic("DMA isn't remapped, although the option iommu=strict asks for it: %s", why);
	/* Firmware may have left one on; then its table would block the service domain. */
	for (unsigned i = 0; i < found.nr_units; i++)
		ops->stop(&found.unit[i]);
	found.nr_units = 0;
	printk(LOG_INFO "DMA isn't remapped (%s): devices of the service domain reach all memory, and \"swiotlb=force\" is added to its command line\n", why);
	return NULL;
}

bool iommu_filters_interrupts(void) { return found.nr_units && all.filters_interrupts; }

/* ---- blocked accesses ---- */

void iommu_report(void)
{
	static u64 second;
	static unsigned lines, dropped;
	static u8 told[256];
	struct iommu_fault f;
	unsigned left = FAULTS_AT_ONCE;

	if (!found.nr_units)
		return;
	if (second != time_now() / NS_PER_S) {
		second = time_now() / NS_PER_S;
		lines = 0;
		if (dropped && second % COUNT_SECONDS == 0) {
			printk(LOG_WARN "%u more accesses by devices were blocked\n", dropped);
			dropped = 0;
		}
	}
	for (unsigned i = 0; i < found.nr_units; i++)
		while (left && ops->next_fault(&found.unit[i], &f)) {
			u8 *of_device = &told[f.source % ARRAY_SIZE(told)];

			left--;
			if (lines == LINES_PER_SECOND || *of_device == LINES_OF_DEVICE) {
				dropped++;
				continue;
			}
			lines++;
			printk(LOG_WARN "device %04x:%02x:%02x.%u of d0 %s %lx: blocked, %s (code %u)%s%s\n", found.unit[i].segment,
			       f.source >> 8, f.source >> 3 & 31, f.source & 7, f.write ? "writes" : "reads", f.addr, f.why, f.code,
			       f.lost ? "; reports were lost" : "", ++*of_device == LINES_OF_DEVICE ? "; its others are only counted" : "");
		}
}
