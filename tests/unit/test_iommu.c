/* units: drivers/iommu/iommu.c drivers/iommu/dmar.c drivers/iommu/ivrs.c drivers/iommu/check.c drivers/iommu/pci.c mm/p2m.c mm/p2m_log.c mm/pt.c mm/buddy.c mm/memory_map.c */
/* What devices reach: a vendor of the test's own has a cache of translations and sees memory only as it was written back. */
#include "tests/unit/fake.h"
#include <asm/hvm_flush.h>
#include <asm/paging.h>
#include "drivers/acpi.h"
#include "drivers/iommu/iommu.h"
#include "drivers/iommu/unit.h"
#include "mm/memory_map.h"
#include "mm/p2m_mirror.h"
#include "mm/page.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { OWNER = 7, GFNS = 2048, UNITS = 2, RESERVED_GFN = 0xe0000 };

static struct p2m p2m;
static const struct p2m_mirror *mirror;
static const struct pt *given;          /* the table that the units have */
static u64 root_frame;

/* ---- the machine ---- */

static struct acpi_header *dmar, *ivrs, *mcfg;
const struct acpi_header *acpi_find(const struct acpi *acpi, const char signature[4])
{
	return !memcmp(signature, "DMAR", 4) ? dmar : !memcmp(signature, "IVRS", 4) ? ivrs : !memcmp(signature, "MCFG", 4) ? mcfg : NULL;
}

static u8 registers[0x4000];
volatile void *map_device(paddr_t pa, u64 size)
{
	assert_true(size <= sizeof(registers));
	return registers;
}

static u32 config_address;
u32 inl(u16 port) { return port == 0xcf8 ? config_address : ~0u; }
void outl(u16 port, u32 v)
{
	if (port == 0xcf8)
		config_address = v;
}

void hvm_flush_others(struct p2m *p, u64 gen) {}

/* Memory as units without a look into the caches see it: line by line, when it is written back. */
static u8 seen[MiB(64)];
void clflush(const void *at)
{
	u64 line = virt_to_phys(at) & ~63ull;

	assert_true(line < sizeof(seen));
	memcpy(&seen[line], phys_to_virt(line), 64);
}

static struct { paddr_t start; u64 size; } kept[16];
static unsigned nr_kept;
static void reserve(paddr_t start, u64 size)
{
	kept[nr_kept].start = start;
	kept[nr_kept++].size = size;
}

/* ---- the vendor ---- */

/* What a device may still use of a gfn, as look() says it; 0: nothing. */
static u64 cached[GFNS];
static unsigned flushes, flushed_pages, started, stopped, faults_left;
static unsigned fail_probe, fail_start;         /* the number of the unit, from 1 */
static bool deaf, caches_nothing, lost, only_small;

#define RW 3ull
static const struct pt_format format = {
	.shape = { .levels = 3, .bits = 9, .present = RW, .addr = 0x000ffffffffff000ull, .leaf_mask = BIT(7), .leaf_value = BIT(7) },
	.sizes = PT_4K | PT_2M | PT_1G, .table = { 0, RW, RW }, .leaf = { 1, 1 | BIT(7), 1 | BIT(7) }, .flag = { { .on = 2 } },
};

static const char *fake_probe(struct iommu_unit *u, struct iommu_limits *all)
{
	static unsigned nr;

	all->coherent = false;
	all->sizes &= only_small ? PT_4K : PT_4K | PT_2M;
	all->forgets_nothing = caches_nothing;
	return fail_probe == nr++ % UNITS + 1 ? "it is broken" : NULL;
}

static const struct pt_format *fake_format(const struct iommu_limits *all) { return &format; }
static bool fake_give(const struct pt *table, bool filter_interrupts)
{
	given = table;
	root_frame = table->root.v;
	return true;
}
static const char *fake_start(struct iommu_unit *u) { return fail_start == ++started ? "it doesn't start" : NULL; }
static void fake_stop(struct iommu_unit *u) { stopped++; }
static void fake_forget(struct iommu_unit *u, u64 gfn)
{
	if (gfn == IOMMU_ALL_PAGES)
		memset(cached, 0, sizeof(cached));
	else if (gfn < GFNS)
		cached[gfn] = 0;
	flushed_pages += gfn != IOMMU_ALL_PAGES;
}
u64 time_now(void) { return fake_time += deaf ? NS_PER_S / 2 : 0; }
static void fake_wait(struct iommu_unit *u, paddr_t at, u32 value)
{
	flushes++;
	if (!deaf)
		*(u32 *)phys_to_virt(at) = value;
}
static const char *fake_check(const u64 command[2]) { return NULL; }
static u16 source = 0x118;
static bool fake_fault(struct iommu_unit *u, struct iommu_fault *f)
{
	if (!faults_left)
		return false;
	faults_left--;
	*f = (struct iommu_fault){ .source = source, .addr = 0x7000, .write = true, .lost = lost, .code = 5, .why = "no right to write" };
	return true;
}

#define FAKE(vendor, table, reader) \
const struct iommu_ops vendor = { \
	.name = "fake", .signature = table, .registers = PAGE_SIZE, .parse = reader, .probe = fake_probe, .format = fake_format, .give_table = fake_give, \
	.start = fake_start, .stop = fake_stop, .forget = fake_forget, .wait = fake_wait, .check_command = fake_check, .next_fault = fake_fault, .check_entry = vtd_check_entry, \
}
FAKE(vtd_ops, "DMAR", dmar_parse);
FAKE(amdvi_ops, "IVRS", ivrs_parse);

/* ---- tables of firmware ---- */

static u8 body[512];
static size_t used;
static void put(const void *data, size_t len)
{
	memcpy(body + used, data, len);
	used += len;
}
static void put_drhd(u64 base)
{
	struct { u16 type, length; u8 flags, size; u16 segment; u64 base; } __packed d = { 0, sizeof(d), 0, 0, 0, base };

	put(&d, sizeof(d));
}
static void put_rmrr(u64 start, u64 last)
{
	struct { u16 type, length, r, segment; u64 start, last; } __packed m = { 1, sizeof(m), 0, 0, start, last };

	put(&m, sizeof(m));
}
static void put_ivhd(u8 type, u16 function, u64 base)
{
	struct { u8 type, flags; u16 length, device, cap; u64 base; u16 segment, info; u32 features; u8 rest[16]; } __packed h =
		{ .type = type, .flags = 5, .length = sizeof(h), .device = function, .cap = 0x40, .base = base };

	put(&h, sizeof(h));
}
static void put_ivmd(u8 type, u64 start, u64 size)
{
	struct { u8 type, flags; u16 length, device, aux; u64 r, start, size; } __packed m = { type, 8, sizeof(m), 0, 0, 0, start, size };

	put(&m, sizeof(m));
}
/* The table in a block of exactly its length. */
static struct acpi_header *table(const char *signature)
{
	struct acpi_header *h = malloc(48 + used);

	memset(h, 0, 48);
	memcpy(h->signature, signature, 4);
	h->length = (u32)(48 + used);
	memcpy((u8 *)h + 48, body, used);
	used = 0;
	return h;
}

static struct iommu_found found;
static void parse(const char *signature)
{
	struct acpi_header *h = table(signature);

	fake_log_clear();
	memset(&found, 0, sizeof(found));
	(memcmp(signature, "DMAR", 4) ? ivrs_parse : dmar_parse)(h, &found);
	free(h);
}

static void dmar_tables(void **state)
{
	static const u8 nothing[4], too_long[] = { 0, 0, 200, 0 }, too_short[] = { 0, 0, 8, 0, 0, 0, 0, 0 }, other[] = { 2, 0, 8, 0, 0, 0, 0, 0 };

	put(other, sizeof(other));
	put_drhd(0xfed90000);
	put_rmrr(0xe0000800, 0xe00fffff);
	put_drhd(0xfed91000);
	put_drhd(0xfed90000);           /* twice */
	parse("DMAR");
	assert_int_equal(found.nr_units, 2);
	assert_int_equal(found.unit[1].base, 0xfed91000);
	assert_int_equal(found.nr_reserved, 1);
	assert_int_equal(found.reserved[0].start, 0xe0000000);
	assert_int_equal(found.reserved[0].end, 0xe0100000);
	assert_int_equal(found.wrong, 0);

	/* A range with RAM costs only itself; a unit that can't be one costs trust in the list. */
	put_rmrr(MiB(8), MiB(9) - 1);
	put_rmrr(0xe0000000, 0xdfffffff);
	put_rmrr(0xe0000000, ~0ull);
	parse("DMAR");
	assert_int_equal(found.nr_reserved, 0);
	assert_int_equal(found.wrong, 0);
	assert_logged("it is RAM");
	for (unsigned i = 0; i < 4; i++) {
		static const u64 bases[] = { 0, 0xfed90800, MiB(8), BIT(50) };

		put_drhd(bases[i]);
		parse("DMAR");
		assert_int_equal(found.nr_units, 0);
		assert_int_equal(found.wrong, 1);
	}
	for (unsigned i = 0; i < 3; i++) {
		const u8 *bad = i == 0 ? nothing : i == 1 ? too_long : too_short;

		put_drhd(0xfed90000);
		put(bad, i == 2 ? sizeof(too_short) : 4);
		put_drhd(0xfed91000);
		parse("DMAR");
		assert_int_equal(found.nr_units, 1);
		assert_int_equal(found.wrong, 1);
		assert_logged("is read up to byte 64");
	}
	for (u64 i = 0; i < IOMMU_UNITS; i++)
		found.unit[i].base = 1;
	found.nr_units = IOMMU_UNITS;
	assert_null(iommu_add_unit(&found, 0xfed90000));
	found.nr_reserved = IOMMU_RESERVED;
	iommu_add_reserved(&found, 0xe0000000, 0xe0001000);
	assert_logged("there are too many");
}

static void ivrs_tables(void **state)
{
	put_ivhd(0x10, 2, 0xfed80000);
	put_ivhd(0x11, 2, 0xfed80000);
	put_ivhd(0x40, 2, 0xfed80000);
	put_ivhd(0x40, 0x4002, 0xfd280000);
	put_ivmd(0x20, 0xe0000000, 0x1000);
	put_ivmd(0x22, 0xe0002000, 0x2000);
	put_ivmd(0x23, 0xe0009000, 0x2000);     /* another type */
	parse("IVRS");
	assert_int_equal(found.nr_units, 2);
	assert_int_equal(found.unit[1].function, 0x4002);
	assert_int_equal(found.unit[0].capability, 0x40);
	assert_int_equal(found.unit[0].features[1], 5);
	assert_int_equal(found.nr_reserved, 2);
	assert_int_equal(found.reserved[1].end, 0xe0004000);
	assert_int_equal(found.wrong, 0);
	put_ivhd(0x11, 2, 0xfed80000);
	body[2] = 23;                           /* shorter than what is read */
	parse("IVRS");
	assert_int_equal(found.nr_units, 0);
	assert_int_equal(found.wrong, 1);
	put_ivmd(0x20, ~0ull, 2);               /* the end wraps */
	parse("IVRS");
	assert_int_equal(found.nr_reserved, 0);
}

/* ---- without an IOMMU ---- */

static void begin(unsigned units)
{
	for (unsigned i = 0; i < units; i++)
		put_drhd(0xfed90000 + i * PAGE_SIZE);
	put_rmrr((u64)RESERVED_GFN << PAGE_SHIFT, ((u64)RESERVED_GFN << PAGE_SHIFT) + 0x3fff);
	free(dmar);
	dmar = table("DMAR");
	started = stopped = fail_probe = fail_start = nr_kept = 0;
	fake_log_clear();
}

static void not_in_use(void **state)
{
	free(dmar);
	dmar = NULL;
	fake_log_clear();
	assert_null(iommu_init(NULL, IOMMU_ON, false, reserve));
	assert_logged("DMA isn't remapped (firmware lists no IOMMU)");
	expect_panic(iommu_init(NULL, IOMMU_STRICT, false, reserve));

	begin(UNITS);
	assert_null(iommu_init(NULL, IOMMU_OFF, false, reserve));
	assert_logged("iommu=no");
	assert_int_equal(stopped, UNITS);
	assert_int_equal(nr_kept, 0);

	begin(0);
	assert_null(iommu_init(NULL, IOMMU_ON, false, reserve));
	assert_logged("no IOMMU is left");

	begin(1);
	put_drhd(0);
	free(dmar);
	put_drhd(0xfed90000);
	put_drhd(0);
	dmar = table("DMAR");
	assert_null(iommu_init(NULL, IOMMU_ON, false, reserve));
	assert_logged("can't be trusted");
}

/* One unit that fails leaves its devices without a table: then all are stopped. */
static void all_or_none(void **state)
{
	begin(UNITS);
	fail_start = 2;
	assert_null(iommu_init(NULL, IOMMU_ON, false, reserve));
	assert_int_equal(stopped, 2);
	assert_logged("it doesn't start");
	assert_logged("not every IOMMU can be started");
	assert_int_equal(nr_kept, 0);
	iommu_report();
	begin(UNITS);
	fail_start = 1;
	expect_panic(iommu_init(NULL, IOMMU_STRICT, false, reserve));
}

/* ---- the mirror ---- */

/* What a device reaches: the frame's address, and these. */
enum { WRITES = 1, READS = 2 };

/* A device's walk through memory as it was written back. */
static u64 look(u64 gfn)
{
	const struct pt_shape *s = &format.shape;
	u64 addr = gfn << PAGE_SHIFT, at = root_frame << PAGE_SHIFT, entry, rights = 2;

	for (unsigned level = 2;; level--) {
		entry = *(u64 *)&seen[at + (addr >> pt_shift(s, level) & 511) * 8];
		rights &= entry;
		if (!pt_present(s, entry))
			return 0;
		if (!pt_is_table(s, entry, level))
			return pt_target(s, entry, level, addr) | READS | rights >> 1;
		at = entry & s->addr;
	}
}

/* A device uses a page, so the unit remembers the translation. */
static u64 touch(u64 gfn)
{
	if (!cached[gfn])
		cached[gfn] = look(gfn);
	return cached[gfn];
}

static u64 wanted(u64 gfn)
{
	mfn_t mfn;
	enum p2m_type type = p2m_lookup(&p2m, GFN(gfn), &mfn);

	return type == P2M_RAM || type == P2M_GRANT_RW ? mfn.v << PAGE_SHIFT | READS | WRITES : type == P2M_GRANT_RO ? mfn.v << PAGE_SHIFT | READS : 0;
}

static void assert_same(void)
{
	for (u64 gfn = 0; gfn < GFNS; gfn++) {
		u64 want = wanted(gfn);

		if (look(gfn) != want || (cached[gfn] && cached[gfn] != want))
			fail_msg("gfn %lx: the p2m has %lx, the table %lx, the cache %lx", gfn, want, look(gfn), cached[gfn]);
	}
}

static struct page *ram(unsigned order)
{
	struct page *pg = page_alloc(order);

	assert_non_null(pg);
	page_assign(pg, order, OWNER);
	return pg;
}

static int start(void **state)
{
	begin(UNITS);
	mirror = iommu_init(NULL, IOMMU_VERBOSE, false, reserve);
	assert_non_null(mirror);
	assert_int_equal(started, UNITS);
	assert_int_equal(nr_kept, UNITS);
	assert_int_equal(kept[1].start, 0xfed91000);
	assert_logged("DMA is remapped by fake (units: 2)");
	memset(cached, 0, sizeof(cached));
	flushes = flushed_pages = 0;
	p2m_init(&p2m);
	p2m.mirror = mirror;
	p2m.identity = true;
	return 0;
}

static int end(void **state)
{
	u64 next = 0;

	for (u64 gfn = 0; gfn < GFNS; gfn++)
		p2m_remove(&p2m, GFN(gfn), INVALID_MFN);
	while (!p2m_relinquish(&p2m, &next, 100))
		;
	p2m_destroy(&p2m);
	assert_int_equal(fake_locks_held(), 0);
	return 0;
}

/* Its RAM and what is granted to it, with the rights; not what it only looks into. */
static void what_devices_see(void **state)
{
	struct page *pg = ram(0);
	u64 pa = page_to_mfn(pg).v << PAGE_SHIFT;

	assert_int_equal(p2m_map(&p2m, GFN(1), page_to_mfn(pg), 0, P2M_RAM), 0);
	assert_int_equal(look(1), pa | READS | WRITES);
	for (unsigned i = 0; i < 6; i++) {
		static const struct { enum p2m_type type; bool seen, write; } types[] = {
			{ P2M_GRANT_RW, true, true }, { P2M_GRANT_RO, true, false }, { P2M_SHARED, false, false },
			{ P2M_GRANT_RO, true, false }, { P2M_FOREIGN, false, false }, { P2M_MMIO, false, false },
		};

		if (types[i].type == P2M_SHARED || types[i].type == P2M_FOREIGN)
			page_get(pg);
		assert_int_equal(p2m_map(&p2m, GFN(2), page_to_mfn(pg), 0, types[i].type), 0);
		assert_int_equal(look(2), types[i].seen ? pa | READS | types[i].write : 0);
	}
	assert_int_equal(p2m_fill_hole(&p2m, GFN(5)), 0);
	assert_int_equal(look(5), 0);
}

/* One wait for all entries of a call, none for new ones, and more than fit are forgotten together. */
static void one_wait(void **state)
{
	struct p2m_retired r;
	struct page *pg = ram(0);

	p2m_nothing_retired(&r);
	for (u64 i = 0; i < 20; i++)
		assert_int_equal(p2m_enter(&p2m, GFN(i), page_to_mfn(pg), 0, P2M_GRANT_RW, &r), 0);
	p2m_retire(&p2m, &r);
	assert_int_equal(flushes, 0);
	for (u64 i = 0; i < 8; i++)
		assert_int_equal(p2m_take(&p2m, GFN(i), page_to_mfn(pg), &r), 0);
	assert_int_equal(flushes, 0);
	p2m_retire(&p2m, &r);
	assert_int_equal(flushes, UNITS);
	assert_int_equal(flushed_pages, 8 * UNITS);
	for (u64 i = 8; i < 20; i++)
		assert_int_equal(p2m_take(&p2m, GFN(i), page_to_mfn(pg), &r), 0);
	p2m_retire(&p2m, &r);
	assert_int_equal(flushes, 2 * UNITS);
	assert_int_equal(flushed_pages, 8 * UNITS);
	page_put(pg);
}

/* A frame must not be free while a unit may still translate to it. */
static struct page *watched;
static void flush_then_free(void **state)
{
	watched = ram(0);
	assert_int_equal(p2m_map(&p2m, GFN(3), page_to_mfn(watched), 0, P2M_RAM), 0);
	assert_int_equal(touch(3), wanted(3));
	deaf = true;
	expect_panic(p2m_remove(&p2m, GFN(3), INVALID_MFN));
	deaf = false;
	assert_logged("no longer answers");
	assert_int_equal(watched->count, 1);
	assert_int_equal(look(3), 0);
	page_put(watched);
}

/* Without memory for a table nothing changes, in the p2m nor in the mirror. */
static void no_memory(void **state)
{
	struct page *taken[16384], *pg = ram(0);
	unsigned nr = 0;

	assert_int_equal(p2m_map(&p2m, GFN(0), page_to_mfn(ram(9)), 9, P2M_RAM), 0);
	assert_int_equal(look(5), wanted(5));
	/* The p2m's own tables for this are there, the mirror's are not. */
	assert_int_equal(p2m_map(&p2m, GFN(BIT(18) + 1), MFN(1), 0, P2M_MMIO), 0);
	while ((taken[nr] = page_alloc(0)))
		nr++;
	assert_int_equal(p2m_map(&p2m, GFN(BIT(18) + 2), page_to_mfn(pg), 0, P2M_GRANT_RW), -ENOMEM);
	assert_int_equal(p2m_lookup(&p2m, GFN(BIT(18) + 2), NULL), P2M_HOLE);
	assert_int_equal(p2m_remove(&p2m, GFN(5), INVALID_MFN), -ENOMEM);
	assert_int_equal(look(5), wanted(5));
	assert_int_equal(look(6), wanted(6));
	while (nr)
		page_free(taken[--nr], 0);
	assert_int_equal(p2m_remove(&p2m, GFN(5), INVALID_MFN), 0);
	assert_same();
	page_put(pg);
}

/* Tables for some of the entries only: then none of the old ones has gone. */
static void no_memory_for_all(void **state)
{
	struct page *taken[16384];
	unsigned nr = 0;

	assert_int_equal(p2m_map(&p2m, GFN(0), MFN(2048), 10, P2M_GRANT_RW), 0);
	while ((taken[nr] = page_alloc(0)))
		nr++;
	page_free(taken[--nr], 0);
	assert_int_equal(p2m_map(&p2m, GFN(0), MFN(4096), 11, P2M_GRANT_RO), -ENOMEM);
	assert_same();
	assert_int_equal(look(1023), 3071ull << PAGE_SHIFT | READS | WRITES);
	while (nr)
		page_free(taken[--nr], 0);
	assert_int_equal(p2m_map(&p2m, GFN(0), MFN(4096), 11, P2M_GRANT_RO), 0);
	assert_same();
}

/* Reserved ranges stay, and devices' addresses end where the table ends. */
static void limits(void **state)
{
	u64 pa = (u64)RESERVED_GFN << PAGE_SHIFT, beyond = BIT(27);
	struct p2m_retired r;

	assert_int_equal(look(RESERVED_GFN), pa | READS | WRITES);
	assert_int_equal(p2m_map(&p2m, GFN(RESERVED_GFN), MFN(RESERVED_GFN), 0, P2M_MMIO), 0);
	assert_int_equal(look(RESERVED_GFN), pa | READS | WRITES);
	assert_int_equal(p2m_map(&p2m, GFN(RESERVED_GFN + 3), MFN(1), 0, P2M_GRANT_RW), -ENOMEM);
	assert_int_equal(p2m_remove(&p2m, GFN(RESERVED_GFN), INVALID_MFN), 0);
	assert_int_equal(look(RESERVED_GFN), pa | READS | WRITES);
	assert_int_equal(look(RESERVED_GFN + 4), 0);
	/* Also when the page beside them has just been used. */
	assert_int_equal(p2m_map(&p2m, GFN(RESERVED_GFN + 4), MFN(300), 0, P2M_GRANT_RW), 0);
	assert_int_equal(p2m_map(&p2m, GFN(RESERVED_GFN + 3), MFN(300), 0, P2M_GRANT_RW), -ENOMEM);
	assert_int_equal(look(RESERVED_GFN + 3), (pa + 3 * PAGE_SIZE) | READS | WRITES);
	assert_int_equal(p2m_remove(&p2m, GFN(RESERVED_GFN + 4), INVALID_MFN), 0);
	/* A hole that covers them and other pages: those go. */
	assert_int_equal(p2m_map(&p2m, GFN(RESERVED_GFN + 4), page_to_mfn(ram(0)), 0, P2M_RAM), 0);
	assert_int_equal(look(RESERVED_GFN + 4), wanted(RESERVED_GFN + 4));
	p2m_nothing_retired(&r);
	assert_int_equal(p2m_clear(&p2m, GFN(RESERVED_GFN & ~511ull), 9, &r), 0);
	p2m_retire(&p2m, &r);
	assert_int_equal(look(RESERVED_GFN + 4), 0);
	assert_int_equal(look(RESERVED_GFN + 3), (pa + 3 * PAGE_SIZE) | READS | WRITES);
	assert_int_equal(p2m_map(&p2m, GFN(beyond), MFN(1), 0, P2M_MMIO), 0);
	assert_int_equal(p2m_map(&p2m, GFN(beyond), MFN(1), 0, P2M_GRANT_RW), -ENOMEM);
	assert_int_equal(p2m_remove(&p2m, GFN(beyond), INVALID_MFN), 0);
}

/* Units that remember what was empty are told of new entries too. */
static void remembers_holes(void **state)
{
	struct page *pg = ram(0);

	assert_int_equal(p2m_map(&p2m, GFN(1), page_to_mfn(pg), 0, P2M_GRANT_RW), 0);
	assert_int_equal(flushes, UNITS);
	/* Of a new table too, which the command for one page doesn't tell. */
	assert_int_equal(flushed_pages, 0);
	assert_int_equal(p2m_map(&p2m, GFN(2), page_to_mfn(pg), 0, P2M_GRANT_RW), 0);
	assert_int_equal(flushes, 2 * UNITS);
	assert_int_equal(flushed_pages, UNITS);
	page_put(pg);
}

static void change(u64 gfn)
{
	unsigned order = fake_random() % 8 ? 0 : 9;
	struct p2m_retired r;
	struct page *pg;

	if (order)
		gfn &= ~511ull;
	switch (fake_random() % 8) {
	case 0:
	case 1:
		p2m_remove(&p2m, GFN(gfn), INVALID_MFN);
		break;
	case 2:
		p2m_nothing_retired(&r);
		while (p2m_clear(&p2m, GFN(gfn), order, &r) == -EAGAIN)
			p2m_retire(&p2m, &r);
		p2m_retire(&p2m, &r);
		break;
	case 3:
		p2m_map(&p2m, GFN(gfn), page_to_mfn(ram(0)), 0, P2M_FOREIGN);
		break;
	case 4:
	case 5:
		p2m_map(&p2m, GFN(gfn), MFN(300 + fake_random() % 100), 0, fake_random() & 1 ? P2M_GRANT_RW : P2M_GRANT_RO);
		break;
	default:
		pg = page_alloc(order);
		if (!pg)
			return;
		page_assign(pg, order, OWNER);
		p2m_map(&p2m, GFN(gfn), page_to_mfn(pg), order, P2M_RAM);
	}
}

/* Whatever happens to the p2m, a device sees the same, and no unit remembers anything else. */
static void as_the_p2m(void **state)
{
	for (unsigned round = 0; round < 3000; round++) {
		for (unsigned n = 0; n < 8; n++)
			touch(fake_random() % GFNS);
		change(fake_random() % GFNS);
		assert_same();
	}
	assert_true(flushed_pages > 100);
}

/* ---- reports, hidden functions, rules ---- */

static unsigned count(const char *text)
{
	unsigned n = 0;

	for (const char *at = fake_log; (at = strstr(at, text)); at++)
		n++;
	return n;
}

static void few_lines(void **state)
{
	fake_time = 100 * NS_PER_S;
	iommu_report();
	fake_log_clear();
	faults_left = 1;
	iommu_report();
	assert_logged("device 0000:01:03.0 of d0 writes 7000: blocked, no right to write (code 5)\n");
	faults_left = 200;
	iommu_report();
	assert_int_equal(faults_left, 136);
	for (unsigned i = 0; i < 9; i++)
		iommu_report();
	assert_int_equal(faults_left, 0);
	assert_int_equal(count("blocked, no right"), 10);
	fake_log_clear();
	fake_time += NS_PER_S;
	lost = true;
	faults_left = 1;
	iommu_report();
	assert_logged("reports were lost");
	assert_int_equal(count("more accesses"), 0);
	lost = false;
	/* The device has had 11 lines of its 16. */
	fake_time += NS_PER_S;
	faults_left = 9;
	iommu_report();
	assert_int_equal(count("blocked, no right"), 6);
	assert_int_equal(count("its others are only counted"), 1);
	/* Another one has not. Bus 2 has a device of the same number as the first. */
	faults_left = 1;
	source = 0x110;
	iommu_report();
	assert_int_equal(count("device 0000:01:02.0 of d0"), 1);
	faults_left = 1;
	source = 0x218;
	iommu_report();
	assert_int_equal(count("device 0000:02:03.0 of d0"), 0);
	source = 0x118;
	fake_time = 112 * NS_PER_S;
	iommu_report();
	assert_logged("196 more accesses by devices were blocked");
}

static void hidden_functions(void **state)
{
	static const struct iommu_unit unit = { .function = 0x0102 }, other = { .function = 0x0208, .segment = 1 };
	struct { struct acpi_header h; u64 r; struct { u64 base; u16 segment; u8 first, last; u32 r; } __packed range[3]; } __packed m = {
		.h.length = sizeof(m), .range = { { 0xb0000000, 0, 0, 0, 0 }, { 0xc0000000, 0, 1, 255, 0 }, { 0xd0000000, 1, 0, 255, 0 } },
	};

	assert_false(iommu_hides_functions());
	iommu_hide_function(&unit);
	iommu_hide_function(&other);
	assert_true(iommu_hides_functions());
	iommu_select_config(0x80000000 | 0x0103 << 8 | 0x10);
	assert_int_equal(iommu_selected_config(), 0x80010310);
	iommu_select_config(0x80000000 | 0x0102 << 8 | 0x44);
	assert_int_equal(iommu_selected_config() & BIT(31), 0);
	/* The bits between the enabling one and the bus are some chipsets' wider registers. */
	iommu_select_config(0x8f000000 | 0x0102 << 8);
	assert_int_equal(iommu_selected_config() & BIT(31), 0);
	/* The ports don't reach other segments. */
	iommu_select_config(0x80000000 | 0x0208 << 8);
	assert_int_equal(iommu_selected_config(), 0x80020800);
	mcfg = &m.h;
	nr_kept = 0;
	iommu_read_config(0x0102, 0x40);
	iommu_reserve_functions(NULL, reserve);
	assert_int_equal(nr_kept, 2);
	assert_int_equal(kept[0].start, 0xc0102000);
	assert_int_equal(kept[1].start, 0xd0208000);
	assert_int_equal(iommu_selected_config() & BIT(31), 0);
	mcfg = NULL;
}

static void rules(void **state)
{
	static const struct pt t = { .fmt = &format };
	static const u64 root[2] = { 0x5001 }, context[2] = { 0x6001, 1 << 8 | 1 }, device[4] = { 0x6000000000007803ull | 4 << 9, 1 };
	static const struct { u64 entry; unsigned level; bool good; } entries[] = {
		{ 0, 0, true }, { 0x1003, 0, true }, { 0x1001, 0, true }, { 0x200083, 1, true }, { 0x201083, 1, false }, { 0x1003, 1, true },
		{ 0x1001, 1, false }, { 0x1803, 0, false }, { BIT(62) | 0x1003, 0, false },
	}, amd[] = {
		{ 0, 0, true }, { 7ull << 60 | 0x1001, 0, true }, { 3ull << 61 | 0x1201, 1, true }, { 3ull << 61 | 0x1401, 1, false },
		{ 7ull << 60 | 0x1201, 1, false }, { 1ull << 61 | 0x1201, 1, false }, { 7ull << 60 | BIT(52) | 0x1001, 0, false },
		{ 7ull << 60 | 0x1001, 1, false }, { 7ull << 60 | 0x1e01, 0, false },
	};

	for (unsigned i = 0; i < ARRAY_SIZE(entries); i++)
		assert_int_equal(!vtd_check_entry(&t, entries[i].entry, entries[i].level), entries[i].good);
	for (unsigned i = 0; i < ARRAY_SIZE(amd); i++)
		assert_int_equal(!amdvi_check_entry(&t, amd[i].entry, amd[i].level), amd[i].good);
	assert_null(vtd_check_context(root, context, 3));
	assert_non_null(vtd_check_context(root, context, 4));
	assert_null(amdvi_check_device(device));
	for (unsigned bit = 0; bit < 64; bit++) {
		u64 filtering[4] = { device[0], 1, BIT(0) | BIT(60) }, bad[4] = { device[0], 1, filtering[2] ^ BIT(bit) };

		assert_null(amdvi_check_device(filtering));
		assert_non_null(amdvi_check_device(bad));
	}
	for (unsigned bit = 1; bit < 12; bit++) {
		u64 bad[2] = { root[0] | BIT(bit) }, worse[2] = { context[0] | BIT(bit), context[1] };

		assert_non_null(vtd_check_context(bad, context, 3));
		if (bit > 1)    /* bit 1 silences a device's reports */
			assert_non_null(vtd_check_context(root, worse, 3));
	}
	for (unsigned bit = 0; bit < 7; bit++) {
		u64 bad[4] = { device[0] ^ BIT(bit), device[1] };

		assert_non_null(amdvi_check_device(bad));
	}
	assert_null(vtd_check_command((u64[]){ 1 | 1 << 4, 0 }));
	assert_null(vtd_check_command((u64[]){ 2 | 3 << 4 | 3 << 6 | 1 << 16, 0x5000 }));
	assert_null(vtd_check_command((u64[]){ 5 | 1 << 5 | 7ull << 32, 0x5000 }));
	assert_non_null(vtd_check_command((u64[]){ 2 | 2 << 4, 0x5000 }));
	assert_non_null(vtd_check_command((u64[]){ 2, 0 }));
	assert_non_null(vtd_check_command((u64[]){ 3, 0 }));
	assert_null(amdvi_check_command((u64[]){ 1ull << 60 | 0x5005, 9 }));
	assert_null(amdvi_check_command((u64[]){ 3ull << 60 | 1ull << 32, 0x7ffffffffffff003 }));
	assert_null(amdvi_check_command((u64[]){ 8ull << 60, 0 }));
	assert_non_null(amdvi_check_command((u64[]){ 3ull << 60 | 1ull << 32, 0x5008 }));
	assert_non_null(amdvi_check_command((u64[]){ 8ull << 60 | 1, 0 }));
	assert_non_null(amdvi_check_command((u64[]){ 4ull << 60, 0 }));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(dmar_tables), cmocka_unit_test(ivrs_tables), cmocka_unit_test(rules),
		cmocka_unit_test(not_in_use), cmocka_unit_test(all_or_none),
		cmocka_unit_test_setup_teardown(what_devices_see, start, end),
		cmocka_unit_test_setup_teardown(one_wait, start, end),
		cmocka_unit_test_setup_teardown(flush_then_free, start, end),
		cmocka_unit_test_setup_teardown(no_memory, start, end),
		cmocka_unit_test_setup_teardown(limits, start, end),
		cmocka_unit_test_setup_teardown(as_the_p2m, start, end),
		cmocka_unit_test(few_lines), cmocka_unit_test(hidden_functions),
	};
	const struct CMUnitTest holes[] = { cmocka_unit_test_setup_teardown(remembers_holes, start, end) };
	const struct CMUnitTest small[] = { cmocka_unit_test_setup_teardown(no_memory_for_all, start, end) };
	int failed;

	fake_memory_init(16384);
	memory_map_add(0, MiB(64), MEMORY_RAM);
	page_add_range(MiB(1), MiB(64));
	p2m_init_holes();
	printf("seed %lu\n", fake_random_seed());
	failed = cmocka_run_group_tests(tests, NULL, NULL);
	only_small = true;
	failed += cmocka_run_group_tests(small, NULL, NULL);
	only_small = false;
	caches_nothing = true;
	return failed + cmocka_run_group_tests(holes, NULL, NULL);
}
