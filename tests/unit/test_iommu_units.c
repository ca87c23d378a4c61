/* units: drivers/iommu/iommu.c drivers/iommu/vtd.c drivers/iommu/amdvi.c drivers/iommu/dmar.c drivers/iommu/ivrs.c drivers/iommu/check.c drivers/iommu/pci.c mm/p2m.c mm/p2m_log.c mm/pt.c mm/buddy.c mm/memory_map.c */
/*
 * The two vendors' drivers against models of their units, which are written from the manuals. A model works while the driver waits: each look at the
 * clock is a step. It has a cache of translations that forgets only what it is told to.
 */
#include "tests/unit/fake.h"
#include <asm/hvm_flush.h>
#include <asm/paging.h>
#include "drivers/acpi.h"
#include "drivers/iommu/iommu.h"
#include "drivers/iommu/unit.h"
#include "mm/memory_map.h"
#include "mm/p2m.h"
#include "mm/page.h"
#include <stdlib.h>
#include <string.h>

enum { OWNER = 7, GFNS = 1024 };
#define NOTHING (~0ull)

static struct p2m p2m;
static u64 regs[0x4000 / 8];
static u64 cached[GFNS];                /* the frame's address, and these */
enum { WRITES = 1, READS = 2 };
static void (*step)(void);
static bool dead;                       /* the unit does nothing more */

#define R32(at) (*(u32 *)((u8 *)regs + (at)))
#define R64(at) (regs[(at) / 8])

/* ---- the machine ---- */

static struct acpi_header *dmar, *ivrs;
const struct acpi_header *acpi_find(const struct acpi *acpi, const char signature[4])
{
	return !memcmp(signature, "DMAR", 4) ? dmar : !memcmp(signature, "IVRS", 4) ? ivrs : NULL;
}

volatile void *map_device(paddr_t pa, u64 size)
{
	assert_true(size <= sizeof(regs));
	return regs;
}

u64 time_now(void)
{
	fake_time += 1000000;
	if (step && !dead)
		step();
	return fake_time;
}

static u32 config_address, capability, base_low;
u32 inl(u16 port)
{
	return port != 0xcfc ? config_address : config_address == 0x80000240 ? capability : config_address == 0x80000244 ? base_low : ~0u;
}
void outl(u16 port, u32 v)
{
	if (port == 0xcf8)
		config_address = v;
	else if (config_address == 0x80000244)
		base_low = v;
}

void hvm_flush_others(struct p2m *p, u64 gen) {}
static void reserve(paddr_t start, u64 size) {}

/* Memory as a unit without a look into the caches sees it. */
static u8 shadow[MiB(64)];
static bool coherent;
void clflush(const void *at)
{
	u64 line = virt_to_phys(at) & ~63ull;

	memcpy(&shadow[line], phys_to_virt(line), 64);
}
static u64 mem(u64 at)
{
	assert_true(at < MiB(64) && !(at & 7));
	return coherent ? *(u64 *)phys_to_virt(at) : *(u64 *)&shadow[at];
}

static struct acpi_header *table(const char *signature, const void *data, size_t len)
{
	struct acpi_header *h = malloc(48 + len);

	memset(h, 0, 48);
	memcpy(h->signature, signature, 4);
	h->length = (u32)(48 + len);
	memcpy((u8 *)h + 48, data, len);
	return h;
}

/* ---- a VT-d unit ---- */

enum { NO_COMMAND = 0xbad, FRCD = 0x220 };
static unsigned forgot_context, forgot_all, forgot_domain, forgot_page, waited, wrote_buffer;

static void vtd_queue(void)
{
	u64 queue = R64(0x90);

	assert_int_equal(queue & 0xfff, 0);     /* 256 commands of 16 bytes */
	for (; R64(0x80) != R64(0x88); R64(0x80) = (R64(0x80) + 16) % 4096) {
		u64 lo = mem(queue + R64(0x80)), hi = mem(queue + R64(0x80) + 8);

		switch (lo & 15) {
		case 1:
			assert_int_equal(lo >> 4 & 3, 1);
			forgot_context++;
			break;
		case 2:
			assert_int_equal(lo >> 6 & 3, 3);       /* CAP says that it drains both ways */
			if ((lo >> 4 & 3) != 1)
				assert_int_equal(lo >> 16 & 0xffff, 1);
			if ((lo >> 4 & 3) == 3) {
				forgot_page++;
				assert_int_equal(hi & 0xfff, 0);
				if (hi >> 12 < GFNS)
					cached[hi >> 12] = NOTHING;
				break;
			}
			(lo >> 4 & 3) == 1 ? forgot_all++ : forgot_domain++;
			memset(cached, 0xff, sizeof(cached));
			break;
		case 5:
			assert_true(lo & BIT(5));
			waited++;
			*(u32 *)phys_to_virt(hi) = (u32)(lo >> 32);
			break;
		default:
			fail_msg("command %lx", lo);
		}
	}
}

static void vtd_step(void)
{
	u32 c = R32(0x18);

	if (c != NO_COMMAND) {
		/* TE and QIE are states, SRTP and WBF are orders. */
		wrote_buffer += c >> 27 & 1;
		R32(0x1c) = (R32(0x1c) & BIT(30)) | (c & (BIT(31) | BIT(26)));
		if (c & BIT(30)) {
			assert_false(R32(0x1c) & BIT(26) && !forgot_context);
			R32(0x1c) |= BIT(30);
		}
		if (c & BIT(31))
			assert_true(R32(0x1c) & BIT(30) && forgot_context && forgot_all && waited);
		R32(0x18) = NO_COMMAND;
	}
	if (R32(0x1c) & BIT(26))
		vtd_queue();
}

/* A device's walk: root, context, the levels that the context names. */
static u64 vtd_walk(u16 source, u64 gfn)
{
	u64 root, lo, hi, entry, rights = 3, addr = gfn << 12;
	unsigned level;

	assert_true(R32(0x1c) & BIT(31));
	root = mem(R64(0x20) + (source >> 8) * 16);
	assert_true(root & 1 && !(root & 0xffe));
	lo = mem((root & PAGE_MASK) + (source & 255) * 16);
	hi = mem((root & PAGE_MASK) + (source & 255) * 16 + 8);
	assert_int_equal(lo & 0xfff, 1);
	assert_int_equal(hi >> 8, 1);
	level = (unsigned)(hi & 7) + 2;
	assert_true(R64(8) & BIT(8 + level - 2));       /* the unit has such tables */
	for (u64 at = lo & PAGE_MASK; level--; at = entry & PAGE_MASK) {
		entry = mem(at + (addr >> (12 + 9 * level) & 511) * 8);
		rights &= entry;
		if (!(entry & 3))
			return 0;
		if (!level || entry & BIT(7)) {
			assert_true(level < 1 || R64(8) & BIT(33 + level));
			return (entry & PAGE_MASK & ~(BIT(12 + 9 * level) - 1)) | (addr & (BIT(12 + 9 * level) - 1)) | READS | rights >> 1;
		}
	}
	fail_msg("no leaf");
	return 0;
}

/* ---- an AMD unit ---- */

static unsigned forgot_devices;
static bool forgot_everything;

static void amd_step(void)
{
	if ((R64(0x18) & (BIT(0) | BIT(12))) != (BIT(0) | BIT(12)))
		return;
	assert_int_equal(R64(0x08) >> 56, 8);
	for (; R64(0x2000) != R64(0x2008); R64(0x2000) = (R64(0x2000) + 16) % 4096) {
		u64 at = (R64(0x08) & 0xffffffffff000) + R64(0x2000), lo = mem(at), hi = mem(at + 8);

		switch (lo >> 60) {
		case 1:
			waited++;
			assert_int_equal(lo & 7, 5);
			*(u64 *)phys_to_virt(lo & 0xffffffffffff8) = hi;
			break;
		case 2:
			forgot_devices++;
			break;
		case 3:
			assert_int_equal(lo >> 32 & 0xffff, 1);
			if (hi & 1) {
				assert_int_equal(hi, 0x7ffffffffffff003);
				forgot_domain++;
				memset(cached, 0xff, sizeof(cached));
			} else {
				forgot_page++;
				if (hi >> 12 < GFNS)
					cached[hi >> 12] = NOTHING;
			}
			break;
		case 8:
			forgot_everything = true;
			memset(cached, 0xff, sizeof(cached));
			break;
		default:
			fail_msg("command %lx", lo);
		}
	}
}

static u64 amd_walk(u16 source, u64 gfn)
{
	u64 at = (R64(0) & 0xffffffffff000) + source * 32ull, entry = mem(at), rights = ~0ull, addr = gfn << 12;
	unsigned level = entry >> 9 & 7;

	assert_int_equal(R64(0) & 511, 511);            /* the table is there for every source */
	assert_int_equal(entry & 3, 3);
	assert_int_equal(mem(at + 8), 1);
	for (;;) {
		unsigned size;

		rights &= entry;
		if (!(entry & 1) || !(rights & BIT(61)))
			return 0;
		size = 12 + 9 * (level - 1);
		entry = mem((entry & 0xffffffffff000) + (addr >> size & 511) * 8);
		if (!(entry & 1))
			return 0;
		assert_true((entry >> 9 & 7) < level);
		level = entry >> 9 & 7;
		if (!level)
			return (entry & 0xffffffffff000 & ~(BIT(size) - 1)) | (addr & (BIT(size) - 1)) | READS | (rights & entry & BIT(62)) >> 62;
	}
}

/* ---- the same work for both ---- */

static u64 (*walk)(u16 source, u64 gfn);

static u64 touch(u64 gfn)
{
	if (cached[gfn] == NOTHING) {
		u64 is = walk((u16)fake_random(), gfn);

		if (!is)
			return 0;
		cached[gfn] = is;
	}
	return cached[gfn];
}

static void assert_same(void)
{
	for (u64 gfn = 0; gfn < GFNS; gfn++) {
		mfn_t mfn;
		enum p2m_type type = p2m_lookup(&p2m, GFN(gfn), &mfn);
		u64 want = type == P2M_RAM || type == P2M_GRANT_RW ? mfn.v << 12 | READS | WRITES : type == P2M_GRANT_RO ? mfn.v << 12 | READS : 0;
		u64 is = walk((u16)fake_random(), gfn);

		if (is != want || (cached[gfn] != NOTHING && cached[gfn] != want))
			fail_msg("gfn %lx: the p2m has %lx, the unit's walk %lx, its cache %lx", gfn, want, is, cached[gfn]);
	}
}

static struct page *ram(unsigned order)
{
	struct page *pg = page_alloc(order);

	assert_non_null(pg);
	page_assign(pg, order, OWNER);
	return pg;
}

static void work(void)
{
	u64 next = 0;

	memset(cached, 0xff, sizeof(cached));
	p2m_init(&p2m);
	p2m.mirror = iommu_init(NULL, IOMMU_STRICT, false, reserve);
	assert_non_null(p2m.mirror);
	p2m.identity = true;
	assert_same();
	for (u64 gfn = 0; gfn < GFNS; gfn += 512)
		assert_int_equal(p2m_map(&p2m, GFN(gfn), page_to_mfn(ram(9)), 9, P2M_RAM), 0);
	assert_same();
	for (unsigned round = 0; round < 400; round++) {
		u64 gfn = fake_random() % GFNS;

		for (unsigned n = 0; n < 8; n++)
			touch(fake_random() % GFNS);
		touch(gfn);
		switch (fake_random() % 4) {
		case 0: p2m_remove(&p2m, GFN(gfn), INVALID_MFN); break;
		case 1: p2m_map(&p2m, GFN(gfn), MFN(300 + fake_random() % 100), 0, P2M_GRANT_RO); break;
		case 2: p2m_map(&p2m, GFN(gfn), page_to_mfn(ram(0)), 0, P2M_RAM); break;
		default: p2m_map(&p2m, GFN(gfn), MFN(300), 0, P2M_GRANT_RW); break;
		}
		if (round % 8 == 0)
			assert_same();
	}
	assert_same();
	assert_true(forgot_page + forgot_domain > 100);
	p2m_map(&p2m, GFN(1), MFN(300), 0, P2M_GRANT_RW);
	dead = true;
	expect_panic(p2m_remove(&p2m, GFN(1), INVALID_MFN));
	dead = false;
	p2m.mirror = NULL;
	while (!p2m_relinquish(&p2m, &next, 1000))
		;
	p2m_destroy(&p2m);
	assert_int_equal(fake_locks_held(), 0);
}

#define CAP(levels) (6 | (u64)(levels) << 8 | 38ull << 16 | (u64)FRCD / 16 << 24 | 3ull << 34 | 1ull << 39 | 1ull << 40 | 18ull << 48 | 3ull << 54)

static void begin_vtd(u64 cap, u64 ecap)
{
	static const struct { u16 type, length; u8 flags, size; u16 segment; u64 base; } __packed drhd = { 0, 16, 1, 0, 0, 0xfed90000 };

	free(dmar);
	dmar = table("DMAR", &drhd, sizeof(drhd));
	memset(regs, 0, sizeof(regs));
	R64(0x08) = cap;
	R64(0x10) = ecap;
	R32(0x18) = NO_COMMAND;
	coherent = ecap & 1;
	step = vtd_step;
	walk = vtd_walk;
	forgot_context = forgot_all = forgot_domain = forgot_page = waited = 0;
	fake_log_clear();
}

static void vtd_3_levels(void **state)
{
	begin_vtd(CAP(2), 2);
	work();
	assert_int_equal(forgot_all, 1);
	assert_true(forgot_page && forgot_domain);
	assert_logged("tables of 3 levels, written back");
}

/* Four levels, small pages only, and no forgetting of single pages. */
static void vtd_4_levels(void **state)
{
	begin_vtd((CAP(6) & ~(3ull << 34) & ~BIT(39)) | BIT(7), 3);
	work();
	assert_int_equal(forgot_page, 0);
	assert_logged("tables of 4 levels\n");
}

/* A unit with a buffer of its own writes that back before each change is used. */
static void vtd_buffer(void **state)
{
	begin_vtd(CAP(4) | BIT(4), 3);
	wrote_buffer = 0;
	work();
	assert_true(wrote_buffer > 100);
}

/* Firmware's translation stays on until the tables are exchanged, and its closed ranges are opened. */
static void vtd_left_on(void **state)
{
	begin_vtd(CAP(4) | BIT(5), 3);
	R32(0x64) = BIT(31);
	R32(0x1c) = BIT(31) | BIT(30);
	forgot_context = forgot_all = waited = 1;       /* by firmware */
	assert_non_null(iommu_init(NULL, IOMMU_ON, false, reserve));
	assert_int_equal(forgot_context, 2);
	assert_int_equal(R32(0x64), 0);
	assert_true(R32(0x1c) & BIT(31));
	/* And is off if it isn't used. */
	begin_vtd(CAP(4), 3);
	R32(0x1c) = BIT(31) | BIT(30);
	assert_null(iommu_init(NULL, IOMMU_OFF, false, reserve));
	assert_false(R32(0x1c) & BIT(31));
}

static void vtd_lacks(void **state)
{
	begin_vtd(~0ull, 3);
	assert_null(iommu_init(NULL, IOMMU_ON, false, reserve));
	assert_logged("read as ones");
	begin_vtd(CAP(4), 1);
	assert_null(iommu_init(NULL, IOMMU_ON, false, reserve));
	assert_logged("no queue of invalidations");
	begin_vtd(CAP(8), 3);
	assert_null(iommu_init(NULL, IOMMU_ON, false, reserve));
	assert_logged("no size of table in common");
	begin_vtd(CAP(4), 3);
	dead = true;
	assert_null(iommu_init(NULL, IOMMU_ON, false, reserve));
	dead = false;
	assert_logged("not every IOMMU can be started");
}

static void vtd_reports(void **state)
{
	begin_vtd(CAP(4), 3);
	assert_non_null(iommu_init(NULL, IOMMU_ON, false, reserve));
	fake_time += 10 * NS_PER_S;
	iommu_report();
	fake_log_clear();
	R64(FRCD + 16) = 0x7000;
	R64(FRCD + 24) = BIT(63) | BIT(62) | 6ull << 32 | 0x18;
	R32(0x34) = 1 << 8 | 2;                         /* record 1 is pending */
	step = NULL;
	{
		struct iommu_unit u = { .regs = (volatile u8 *)regs, .size = PAGE_SIZE, .features = { CAP(4), 3 } };
		struct iommu_fault f;

		assert_true(vtd_ops.next_fault(&u, &f));
		assert_int_equal(f.source, 0x18);
		assert_int_equal(f.addr, 0x7000);
		assert_int_equal(f.code, 6);
		assert_false(f.write || f.lost);
		assert_string_equal(f.why, "no right to read");
		assert_int_equal(R32(FRCD + 28), BIT(31));      /* only F is written: it clears the record */
		R32(0x34) = 1;
		assert_false(vtd_ops.next_fault(&u, &f));
		assert_int_equal(R32(0x34), 1);                 /* the overflow is cleared by a one, too */
		R32(0x34) = 200 << 8 | 2;                       /* a record that isn't there */
		assert_false(vtd_ops.next_fault(&u, &f));
	}
}

static void begin_amd(u64 features, u32 cap)
{
	static const struct { u8 type, flags; u16 length, device, cap; u64 base; u16 segment, info; u32 features; } __packed ivhd =
		{ 0x10, 0, 24, 2, 0x40, 0xfed80000, 0, 0, 0 };

	free(dmar);
	dmar = NULL;
	free(ivrs);
	ivrs = table("IVRS", &ivhd, sizeof(ivhd));
	memset(regs, 0, sizeof(regs));
	R64(0x30) = features;
	capability = cap;
	base_low = 0;
	coherent = true;
	step = amd_step;
	walk = amd_walk;
	forgot_devices = forgot_domain = forgot_page = waited = 0;
	forgot_everything = false;
	fake_log_clear();
}

static void amd_forgets_all(void **state)
{
	begin_amd(BIT(6), 0);
	work();
	assert_true(forgot_everything && !forgot_devices && forgot_page && forgot_domain);
	assert_int_equal(base_low, 0xfed80001);         /* the registers are switched on */
	assert_true(iommu_hides_functions());
}

static void amd_forgets_one_by_one(void **state)
{
	begin_amd(0, BIT(26));
	base_low = 0xfed80001;
	work();
	assert_int_equal(forgot_devices, 65536);
	/* It remembers what was empty, so new entries are told too. */
	assert_true(waited > 300);
}

/* If a device's message with this delivery mode comes through: 2.2.2.1. */
static bool passes(u16 source, unsigned mode)
{
	static const u8 pass_bit[] = { [4] = 58, [5] = 56, [7] = 57 };
	u64 entry = mem((R64(0) & 0xffffffffff000) + source * 32ull + 16);

	if (!(entry & 1))
		return true;
	return mode <= 1 ? (entry >> 60 & 3) == 1 : entry & BIT(pass_bit[mode]);
}

static void amd_interrupts(void **state)
{
	for (unsigned filter = 0; filter < 2; filter++) {
		begin_amd(BIT(6), 0);
		assert_non_null(iommu_init(NULL, IOMMU_STRICT, filter, reserve));
		assert_int_equal(iommu_filters_interrupts(), filter);
		for (unsigned i = 0; i < 200; i++) {
			u16 source = (u16)fake_random();

			assert_true(passes(source, 0) && passes(source, 1));
			assert_int_equal(passes(source, 4), !filter);
			assert_int_equal(passes(source, 5), !filter);
			assert_int_equal(passes(source, 7), !filter);
		}
	}
	assert_logged("NMI, INIT and ExtINT are blocked");
	begin_vtd(CAP(4), 3);
	assert_non_null(iommu_init(NULL, IOMMU_STRICT, true, reserve));
	assert_logged("not with VT-d");
	assert_false(iommu_filters_interrupts());
	begin_amd(BIT(6), 0);
	assert_null(iommu_init(NULL, IOMMU_OFF, true, reserve));
	assert_false(iommu_filters_interrupts());
}

static void amd_reports(void **state)
{
	struct iommu_unit u = { .regs = (volatile u8 *)regs };
	struct iommu_fault f;

	begin_amd(BIT(6), 0);
	assert_non_null(iommu_init(NULL, IOMMU_ON, false, reserve));
	step = NULL;
	R64(0x2020) = 0;
	u.events = phys_to_virt(R64(0x10) & 0xffffffffff000);
	assert_false(amdvi_ops.next_fault(&u, &f));
	/* The tail may be ahead of the entry. */
	R64(0x2010) = 4080;
	R64(0x2018) = 0;
	assert_false(amdvi_ops.next_fault(&u, &f));
	((u64 *)u.events)[510] = 2ull << 60 | BIT(53) | 1ull << 32 | 0x18;
	((u64 *)u.events)[511] = 0x7008;
	assert_true(amdvi_ops.next_fault(&u, &f));
	assert_int_equal(f.source, 0x18);
	assert_int_equal(f.addr, 0x7008);
	assert_int_equal(f.code, 2);
	assert_true(f.write && !f.lost);
	assert_int_equal(R64(0x2010), 0);
	assert_int_equal(((u64 *)u.events)[510], 0);
	/* The log was full: it is switched on again, and the rest stays as it was. */
	R64(0x2020) = 1;
	R64(0x18) = 0x1405;
	assert_false(amdvi_ops.next_fault(&u, &f));
	assert_int_equal(R64(0x18), 0x1405);
	assert_int_equal(R64(0x2020), 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(vtd_3_levels), cmocka_unit_test(vtd_4_levels), cmocka_unit_test(vtd_buffer), cmocka_unit_test(vtd_left_on), cmocka_unit_test(vtd_lacks),
		cmocka_unit_test(vtd_reports), cmocka_unit_test(amd_forgets_all), cmocka_unit_test(amd_forgets_one_by_one), cmocka_unit_test(amd_interrupts), cmocka_unit_test(amd_reports),
	};

	fake_memory_init(16384);
	memory_map_add(0, MiB(64), MEMORY_RAM);
	page_add_range(MiB(1), MiB(64));
	p2m_init_holes();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
