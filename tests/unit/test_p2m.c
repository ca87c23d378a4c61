/* units: mm/p2m.c mm/p2m_log.c mm/pt.c mm/buddy.c */
/* The p2m: who holds which frame, what is flushed before what, and a random model that counts every reference. */
#include "mm/pt.h"
#include "tests/unit/fake.h"
#include "mm/page.h"
#include "mm/p2m.h"
#include "mm/p2m_log.h"
#include <asm/hvm_flush.h>

#define OWNER 7

static struct p2m p2m;
static u64 free_at_start;

/* What a test wants looked at when the CPUs are told to forget. */
static unsigned flushes;
static struct page *alive_at_flush;
static gfn_t gone_at_flush;

void hvm_flush_others(struct p2m *p, u64 gen)
{
	assert_ptr_equal(p, &p2m);
	assert_int_equal(gen, p2m.tlb_gen);
	flushes++;
	if (alive_at_flush) {
		mfn_t mfn;

		assert_true(alive_at_flush->count > 0);
		p2m_lookup(&p2m, gone_at_flush, &mfn);
		assert_true(mfn.v != page_to_mfn(alive_at_flush).v);
	}
}

/* The layer above takes its own locks, which come before the p2m's. */
static void released(struct page *pg)
{
	assert_int_equal(pg->owner, OWNER);
	assert_int_equal(fake_locks_held(), 0);
}

static int setup(void **state)
{
	free_at_start = page_free_count();
	flushes = 0;
	alive_at_flush = NULL;
	return p2m_init(&p2m);
}

/* Everything goes, and not one frame is missing. */
static int teardown(void **state)
{
	u64 next = 0;

	while (!p2m_relinquish(&p2m, &next, 100))
		assert_int_equal(fake_locks_held(), 0);
	p2m_destroy(&p2m);
	assert_int_equal(p2m.table_pages, 0);
	assert_int_equal(fake_locks_held(), 0);
	assert_int_equal(page_free_count(), free_at_start);
	return 0;
}

static struct page *ram(unsigned order)
{
	struct page *pg = page_alloc(order);

	assert_non_null(pg);
	page_assign(pg, order, OWNER);
	return pg;
}

static int map_ram(u64 gfn, unsigned order)
{
	return p2m_map(&p2m, GFN(gfn), page_to_mfn(ram(order)), order, P2M_RAM);
}

static void holes_and_limits(void **state)
{
	enum p2m_type type;
	mfn_t mfn;
	u64 value;

	assert_null(p2m_get_page(&p2m, GFN(5), &type, false));
	assert_null(p2m_get_page(&p2m, GFN(P2M_MAX_GFN), &type, false));
	assert_null(p2m_get_page(&p2m, INVALID_GFN, &type, false));
	assert_int_equal(p2m_lookup(&p2m, INVALID_GFN, &mfn), P2M_HOLE);
	assert_null(p2m_read_u64(&p2m, (gpa_t){ ~7ull }, &value));
	assert_int_equal(p2m_remove(&p2m, GFN(5), INVALID_MFN), -ENOENT);
	assert_int_equal(p2m_remove(&p2m, INVALID_GFN, INVALID_MFN), -ENOENT);
	assert_int_equal(p2m_set_nx(&p2m, INVALID_GFN, 1, true), -ENOENT);
	assert_int_equal(p2m_map(&p2m, GFN(P2M_MAX_GFN), MFN(5), 0, P2M_MMIO), -EINVAL);
	assert_int_equal(p2m_map(&p2m, INVALID_GFN, MFN(5), 0, P2M_MMIO), -EINVAL);
	assert_int_equal(p2m_map(&p2m, GFN(1), MFN(512), 9, P2M_MMIO), -EINVAL);
	assert_int_equal(p2m_map(&p2m, GFN(512), MFN(1), 9, P2M_MMIO), -EINVAL);
	assert_int_equal(p2m_map(&p2m, GFN(P2M_MAX_GFN - 1), MFN(5), 0, P2M_MMIO), 0);
	assert_int_equal(p2m_lookup(&p2m, GFN(P2M_MAX_GFN - 1), &mfn), P2M_MMIO);
	assert_int_equal(mfn.v, 5);
	assert_int_equal(p2m.max_gfn, P2M_MAX_GFN - 1);
	assert_int_equal(flushes, 0);
}

static void rights(void **state)
{
	static const struct { enum p2m_type type; bool read, write; u64 bits; } want[] = {
		{ P2M_RAM, true, true, BIT(1) },
		{ P2M_SHARED, true, true, BIT(1) | BIT(63) },
		{ P2M_FOREIGN, true, true, BIT(1) | BIT(63) },
		{ P2M_GRANT_RW, true, true, BIT(1) | BIT(63) },
		{ P2M_GRANT_RO, true, false, BIT(63) },
		{ P2M_MMIO, false, false, BIT(1) | BIT(63) },
	};
	struct page *pg = ram(0);

	for (unsigned i = 0; i < ARRAY_SIZE(want); i++) {
		enum p2m_type type;
		struct page *got;
		unsigned level;
		u64 entry;

		if (want[i].type <= P2M_FOREIGN)
			assert_true(page_get(pg));
		assert_int_equal(p2m_map(&p2m, GFN(3), page_to_mfn(pg), 0, want[i].type), 0);
		pt_find(&pt_shape_x86, p2m.root, 3 * PAGE_SIZE, &entry, &level);
		assert_int_equal(entry & (BIT(1) | BIT(3) | BIT(4) | BIT(63)), want[i].bits);
		got = p2m_get_page(&p2m, GFN(3), &type, false);
		assert_ptr_equal(got, want[i].read ? pg : NULL);
		if (got) {
			assert_int_equal(type, want[i].type);
			page_put(got);
		}
		got = p2m_get_page(&p2m, GFN(3), NULL, true);
		assert_ptr_equal(got, want[i].write ? pg : NULL);
		if (got)
			page_put(got);
	}
	assert_int_equal(p2m_remove(&p2m, GFN(3), INVALID_MFN), 0);
	assert_int_equal(pg->count, 1);
	page_put(pg);
}

/* The frame that a guest might still write to must not be free before every CPU has forgotten it. */
static void flush_before_drop(void **state)
{
	struct page *pg = ram(0);

	assert_int_equal(p2m_map(&p2m, GFN(9), page_to_mfn(pg), 0, P2M_RAM), 0);
	assert_int_equal(flushes, 0);
	alive_at_flush = pg;
	gone_at_flush = GFN(9);
	assert_int_equal(p2m_remove(&p2m, GFN(9), MFN(page_to_mfn(pg).v + 1)), -ENOENT);
	assert_int_equal(flushes, 0);
	assert_int_equal(p2m_remove(&p2m, GFN(9), page_to_mfn(pg)), 0);
	assert_int_equal(flushes, 1);
	assert_int_equal(pg->count, 0);

	alive_at_flush = NULL;
	pg = ram(0);
	assert_int_equal(p2m_map(&p2m, GFN(9), page_to_mfn(pg), 0, P2M_RAM), 0);
	alive_at_flush = pg;
	assert_int_equal(map_ram(9, 0), 0);
	assert_int_equal(flushes, 2);
	assert_int_equal(pg->count, 0);
	alive_at_flush = NULL;

	/* A grant's reference is its maptrack's, not ours; but a flush there must be. */
	pg = ram(0);
	assert_int_equal(p2m_map(&p2m, GFN(10), page_to_mfn(pg), 0, P2M_GRANT_RW), 0);
	assert_int_equal(p2m_remove(&p2m, GFN(10), page_to_mfn(pg)), 0);
	assert_int_equal(flushes, 3);
	assert_int_equal(pg->count, 1);
	page_put(pg);
}

static void one_flush_for_many(void **state)
{
	struct p2m_retired r = { 0 };

	for (u64 i = 0; i < 32; i++)
		assert_int_equal(map_ram(100 + i, 0), 0);
	for (u64 i = 0; i < 32; i++)
		assert_int_equal(p2m_take(&p2m, GFN(100 + i), INVALID_MFN, &r), 0);
	assert_int_equal(flushes, 0);
	p2m_retire(&p2m, &r);
	assert_int_equal(flushes, 1);
	p2m_retire(&p2m, &r);
	assert_int_equal(flushes, 1);
}

static unsigned level_at(u64 gfn)
{
	unsigned level;
	u64 entry;

	pt_find(&pt_shape_x86, p2m.root, gfn << PAGE_SHIFT, &entry, &level);
	return level;
}

static void superpages(void **state)
{
	struct page *pg;
	mfn_t mfn;

	assert_int_equal(map_ram(512, 9), 0);
	assert_int_equal(level_at(512), 1);
	/* A table is there already: filled, and what was in it goes. */
	assert_int_equal(map_ram(1024 + 17, 0), 0);
	assert_int_equal(map_ram(1024, 9), 0);
	assert_int_equal(level_at(1024), 0);
	assert_int_equal(flushes, 1);
	/* One out of a superpage: the others stay. */
	pg = p2m_get_page(&p2m, GFN(512 + 3), NULL, true);
	assert_int_equal(pg->count, 2);
	assert_int_equal(p2m_remove(&p2m, GFN(512 + 3), page_to_mfn(pg)), 0);
	assert_int_equal(pg->count, 1);
	page_put(pg);
	for (u64 i = 0; i < 512; i++)
		assert_int_equal(p2m_lookup(&p2m, GFN(512 + i), &mfn), i == 3 ? P2M_HOLE : P2M_RAM);
	/* A superpage over a superpage; a gigabyte of device memory with RAM in the middle of it. */
	assert_int_equal(map_ram(2048, 9), 0);
	assert_int_equal(map_ram(2048, 9), 0);
	assert_int_equal(level_at(2048), 1);
	assert_int_equal(p2m_map(&p2m, GFN(BIT(18)), MFN(BIT(18)), 18, P2M_MMIO), 0);
	assert_int_equal(level_at(BIT(18)), 2);
	assert_int_equal(map_ram(BIT(18) + 1000, 0), 0);
	assert_int_equal(p2m_lookup(&p2m, GFN(BIT(18) + 999), &mfn), P2M_MMIO);
	assert_int_equal(mfn.v, BIT(18) + 999);
	assert_int_equal(p2m_map(&p2m, GFN(BIT(18)), MFN(BIT(18)), 18, P2M_MMIO), 0);
	assert_int_equal(p2m_lookup(&p2m, GFN(BIT(18) + 1000), &mfn), P2M_MMIO);
	assert_int_equal(level_at(BIT(18)), 1);
	assert_int_equal(level_at(BIT(18) + 1000), 0);
}

/* A guest may ask for extents of any size: each entry that one of them covers is let go as a single one would be. */
static void between_sizes(void **state)
{
	struct page *lent = ram(0), *shared = ram(0);

	assert_int_equal(map_ram(513, 0), 0);
	assert_true(page_get(shared));
	assert_int_equal(p2m_map(&p2m, GFN(514), page_to_mfn(shared), 0, P2M_SHARED), 0);
	assert_int_equal(p2m_map(&p2m, GFN(515), page_to_mfn(lent), 0, P2M_GRANT_RW), 0);
	assert_int_equal(flushes, 0);
	assert_int_equal(map_ram(512, 2), 0);
	assert_int_equal(flushes, 1);
	assert_int_equal(shared->count, 1);
	/* Out of the middle of a superpage; and more of them than one flush takes. */
	assert_int_equal(map_ram(1024, 9), 0);
	assert_int_equal(map_ram(1024 + 256, 8), 0);
	assert_int_equal(map_ram(1024 + 256, 8), 0);
	page_put(lent);
	page_put(shared);
}

static void not_executable(void **state)
{
	unsigned level;
	u64 entry;

	assert_int_equal(map_ram(512, 9), 0);
	assert_int_equal(p2m_set_nx(&p2m, GFN(512 + 7), 1, true), 0);
	assert_true(p2m_is_nx(&p2m, GFN(512 + 7)) && !p2m_is_nx(&p2m, GFN(512 + 6)) && !p2m_is_nx(&p2m, GFN(512 + 8)));
	assert_int_equal(flushes, 1);
	for (u64 i = 0; i < 512; i++) {
		pt_find(&pt_shape_x86, p2m.root, (512 + i) << PAGE_SHIFT, &entry, &level);
		assert_int_equal(entry >> 63, i == 7);
		assert_int_equal(p2m_lookup(&p2m, GFN(512 + i), NULL), P2M_RAM);
	}
	assert_int_equal(p2m_set_nx(&p2m, GFN(512 + 7), 1, false), 0);
	pt_find(&pt_shape_x86, p2m.root, (512 + 7) << PAGE_SHIFT, &entry, &level);
	assert_int_equal(entry >> 63, 0);
	assert_false(p2m_is_nx(&p2m, GFN(512 + 7)));
}

/* A kernel's whole image: each frame of the range and no other; large pages stay where the range covers them. */
static void a_range_is_not_executable(void **state)
{
	enum { FIRST = 512 + 300, END = 4 * 512 + 5 };
	u64 tables;
	unsigned level;
	u64 entry;

	for (u64 gfn = 512; gfn < 5 * 512; gfn += 512)
		assert_int_equal(map_ram(gfn, 9), 0);
	tables = p2m.table_pages;
	assert_int_equal(p2m_set_nx(&p2m, GFN(FIRST), END - FIRST, true), 0);
	assert_int_equal(p2m.table_pages, tables + 2);
	assert_int_equal(flushes, 1);
	for (u64 gfn = 512; gfn < 5 * 512; gfn++) {
		pt_find(&pt_shape_x86, p2m.root, gfn << PAGE_SHIFT, &entry, &level);
		assert_int_equal(entry >> 63, gfn >= FIRST && gfn < END);
		assert_int_equal(p2m_is_nx(&p2m, GFN(gfn)), gfn >= FIRST && gfn < END);
	}
	assert_int_equal(p2m_set_nx(&p2m, GFN(FIRST), END - FIRST, false), 0);
	for (u64 gfn = 512; gfn < 5 * 512; gfn++) {
		pt_find(&pt_shape_x86, p2m.root, gfn << PAGE_SHIFT, &entry, &level);
		assert_int_equal(entry >> 63, 0);
		assert_false(p2m_is_nx(&p2m, GFN(gfn)));
	}
	/* Not if it is anything else, anywhere in the range: rights of the rest would be given with it. */
	assert_int_equal(p2m_set_nx(&p2m, GFN(4 * 512), 513, true), -ENOENT);
	assert_int_equal(p2m_map(&p2m, GFN(2 * 512 + 9), MFN(1000), 0, P2M_MMIO), 0);
	assert_int_equal(p2m_set_nx(&p2m, GFN(FIRST), END - FIRST, true), -ENOENT);
	pt_find(&pt_shape_x86, p2m.root, FIRST << PAGE_SHIFT, &entry, &level);
	assert_int_equal(entry >> 63, 0);
	assert_false(p2m_is_nx(&p2m, GFN(FIRST)));
}

/* What the CPU reads for the guest at gpa; false if it may not. */
static bool guest_reads(u64 gpa, u64 *value)
{
	unsigned level;
	u64 entry;

	pt_find(&pt_shape_x86, p2m.root, gpa, &entry, &level);
	if (entry & 1)
		*value = *(u64 *)phys_to_virt(pt_target(&pt_shape_x86, entry, level, gpa));
	return entry & 1 && !(entry & BIT(1)) && entry >> 63;
}

/* Ones for whoever reads there, and a hole for all others: nothing can be had of the frames behind it. */
static void holes_show_ones(void **state)
{
	u64 value = 0, highest, tables;
	mfn_t mfn;

	assert_int_equal(map_ram(5, 0), 0);
	highest = p2m.max_gfn;
	assert_int_equal(p2m_fill_hole(&p2m, GFN(0xfed80)), 0);
	assert_int_equal(p2m_fill_hole(&p2m, GFN(6)), 0);
	assert_true(guest_reads(0xfed803c0, &value) && value == ~0ull);
	assert_true(guest_reads(6 * PAGE_SIZE + 8, &value) && value == ~0ull);
	assert_int_equal(p2m.max_gfn, highest);
	for (u64 gfn = 6; gfn; gfn = gfn == 6 ? 0xfed80 : 0) {
		enum p2m_type type;

		assert_int_equal(p2m_lookup(&p2m, GFN(gfn), &mfn), P2M_HOLE);
		assert_int_equal(mfn.v, INVALID_MFN.v);
		assert_null(p2m_get_page(&p2m, GFN(gfn), &type, false));
		assert_null(p2m_read_u64(&p2m, (gpa_t){ gfn << PAGE_SHIFT }, &value));
		assert_int_equal(p2m_remove(&p2m, GFN(gfn), INVALID_MFN), -ENOENT);
		assert_int_equal(p2m_set_nx(&p2m, GFN(gfn), 1, false), -ENOENT);
	}
	/* What is there is left alone. */
	assert_int_equal(p2m_fill_hole(&p2m, GFN(5)), 0);
	assert_int_equal(p2m_lookup(&p2m, GFN(5), NULL), P2M_RAM);
	assert_int_equal(p2m_fill_hole(&p2m, GFN(P2M_MAX_GFN)), -EINVAL);
	assert_int_equal(flushes, 0);

	/* What comes takes its place alone, and CPUs forget what they saw there. */
	assert_int_equal(map_ram(0xfed80, 0), 0);
	assert_int_equal(flushes, 1);
	assert_int_equal(p2m_lookup(&p2m, GFN(0xfed80), NULL), P2M_RAM);
	assert_true(guest_reads(0xfed81000, &value) && value == ~0ull);
	assert_int_equal(map_ram(0xfec00, 9), 0);
	assert_int_equal(p2m_lookup(&p2m, GFN(0xfed81), NULL), P2M_RAM);

	/* Looking at the whole of the first 4 GiB takes a table for each that has none yet. */
	tables = p2m.table_pages;
	for (u64 gfn = 0; gfn < BIT(20); gfn++)
		assert_int_equal(p2m_fill_hole(&p2m, GFN(gfn)), 0);
	assert_int_equal(p2m.table_pages, tables + 2);
	/* Everywhere else is as much as mempool allows. */
	for (u64 gfn = BIT(20); gfn < P2M_MAX_GFN && !p2m_fill_hole(&p2m, GFN(gfn)); gfn += BIT(18))
		;
	assert_int_equal(p2m.table_pages, p2m.mempool / PAGE_SIZE);
}

/* In the service domain's only the page itself: its devices are in the pages beside. */
static void a_hole_among_devices(void **state)
{
	u64 value = 0;

	p2m.identity = true;
	assert_int_equal(p2m_fill_hole(&p2m, GFN(0xfed80)), 0);
	assert_true(guest_reads(0xfed803c0, &value) && value == ~0ull);
	assert_false(guest_reads(0xfed81000, &value));
	assert_false(guest_reads(0xfed7fff8, &value));
}

static void entry_reads(void **state)
{
	struct page *pg = ram(9);
	u64 value;

	*(u64 *)((u8 *)page_to_virt(pg) + 0x3ff8) = 0x1122334455667788;
	assert_int_equal(p2m_map(&p2m, GFN(512), page_to_mfn(pg), 9, P2M_RAM), 0);
	assert_non_null(p2m_read_u64(&p2m, (gpa_t){ MiB(2) + 0x3ff8 }, &value));
	assert_int_equal(value, 0x1122334455667788);
	assert_null(p2m_read_u64(&p2m, (gpa_t){ MiB(4) }, &value));
	assert_int_equal(pg->count, 1);
}

/* A frame moved through a wide address space leaves tables behind: only as many as the domain may have. */
static void tables_are_limited(void **state)
{
	u64 free = page_free_count(), gfn = 0;

	while (gfn < P2M_MAX_GFN && !p2m_map(&p2m, GFN(gfn), MFN(5), 0, P2M_MMIO))
		gfn += BIT(18);
	assert_true(gfn > 0);
	assert_in_range(free - page_free_count(), 1, MiB(4) / PAGE_SIZE);
	assert_int_equal(p2m_map(&p2m, GFN(gfn), MFN(5), 0, P2M_MMIO), -ENOMEM);
	/* Where tables are there, all goes on; and the tools may raise the limit. */
	assert_int_equal(p2m_map(&p2m, GFN(1), MFN(5), 0, P2M_MMIO), 0);
	p2m.mempool += 2 * PAGE_SIZE;
	assert_int_equal(p2m_map(&p2m, GFN(gfn), MFN(5), 0, P2M_MMIO), 0);
	/* The service domain's tables are as many as its devices' memory needs. */
	p2m.mempool = 0;
	p2m.identity = true;
	assert_int_equal(p2m_map(&p2m, GFN(gfn + BIT(18)), MFN(5), 0, P2M_MMIO), 0);
}

/* A block of the hypervisor's own is counted at its head alone; the service domain may map the rest, and name it in a call. */
static void uncounted(void **state)
{
	struct page *block = page_alloc(1), *pg;

	for (u64 i = 0; i < 2; i++)
		assert_int_equal(p2m_map(&p2m, GFN(5 + i), MFN(page_to_mfn(block).v + i), 0, P2M_GRANT_RO), 0);
	pg = p2m_get_page(&p2m, GFN(5), NULL, false);
	assert_ptr_equal(pg, block);
	page_put(pg);
	/* Not for ever. */
	assert_null(p2m_get_page(&p2m, GFN(6), NULL, false));
	/* Nor where a count is at its end. */
	block->count = UINT32_MAX;
	assert_null(p2m_get_page(&p2m, GFN(5), NULL, false));
	block->count = 1;
	for (u64 i = 0; i < 2; i++)
		assert_int_equal(p2m_remove(&p2m, GFN(5 + i), INVALID_MFN), 0);
	page_free(block, 1);
}

static void no_memory(void **state)
{
	struct p2m none;
	static struct page *taken[65536];
	u64 nr = 0;
	struct page *pg = ram(0);

	assert_int_equal(map_ram(512, 9), 0);
	while ((taken[nr] = page_alloc(0)))
		nr++;
	/* Each failure drops the reference that the entry would have taken over. */
	assert_true(page_get(pg) && page_get(pg));
	assert_int_equal(p2m_map(&p2m, GFN(BIT(30)), page_to_mfn(pg), 0, P2M_RAM), -ENOMEM);
	assert_int_equal(pg->count, 2);
	assert_int_equal(p2m_map(&p2m, GFN(512), page_to_mfn(pg), 0, P2M_RAM), -ENOMEM);
	assert_int_equal(p2m_remove(&p2m, GFN(512), INVALID_MFN), -ENOMEM);
	assert_int_equal(p2m_set_nx(&p2m, GFN(512), 1, true), -ENOMEM);
	assert_int_equal(p2m_lookup(&p2m, GFN(512), NULL), P2M_RAM);
	assert_int_equal(p2m_init(&none), -ENOMEM);
	assert_int_equal(flushes, 0);
	assert_int_equal(pg->count, 1);
	page_put(pg);
	while (nr)
		page_free(taken[--nr], 0);
}

static void closed(void **state)
{
	struct page *lent = ram(0);
	u64 next = 0;

	assert_int_equal(map_ram(1, 0), 0);
	assert_int_equal(map_ram(600, 0), 0);
	assert_false(p2m_relinquish(&p2m, &next, 1));
	assert_int_equal(p2m_map(&p2m, GFN(5), MFN(5), 0, P2M_MMIO), -ESRCH);
	assert_true(page_get(lent));
	assert_int_equal(p2m_map(&p2m, GFN(5), page_to_mfn(lent), 0, P2M_FOREIGN), -ESRCH);
	assert_int_equal(lent->count, 1);
	assert_int_equal(p2m_map(&p2m, GFN(5), page_to_mfn(lent), 0, P2M_GRANT_RW), -ESRCH);
	assert_int_equal(lent->count, 1);
	page_put(lent);
	while (!p2m_relinquish(&p2m, &next, 1))
		;
	assert_int_equal(flushes, 1);
	/* Called again when all is done. */
	assert_true(p2m_relinquish(&p2m, &next, 1));
}

/* A step of a domain's end is short, however much memory it had, and however large its pages. */
static void steps_are_bounded(void **state)
{
	u64 next = 0, free;
	unsigned steps = 1;

	for (u64 gfn = 0; gfn < 1000; gfn++)
		assert_int_equal(map_ram(gfn, 0), 0);
	assert_int_equal(map_ram(1024, 9), 0);
	free = page_free_count();
	for (; !p2m_relinquish(&p2m, &next, 100); steps++) {
		assert_in_range(page_free_count() - free, 0, 100);
		free = page_free_count();
	}
	assert_in_range(steps, 26, 28);
	assert_int_equal(p2m.table_pages, 1);
}

/* Most tables for the least memory: one frame in each gigabyte. They go in the same steps, and only the root is left for the last reference. */
static void tables_go_in_steps(void **state)
{
	u64 next = 0, free, tables, seen = 0;
	mfn_t mfn;

	for (u64 i = 0; i < 500; i++)
		assert_int_equal(map_ram(i << 18, 0), 0);
	tables = p2m.table_pages;
	assert_int_equal(tables, 1 + 1 + 2 * 500);
	free = page_free_count();
	while (!p2m_relinquish(&p2m, &next, 100)) {
		/* Six holes count as a frame: less than two of these tables in a step, which have 512 each. */
		assert_in_range(page_free_count() - free, 0, 3);
		assert_in_range(tables - p2m.table_pages, 0, 2);
		free = page_free_count();
		tables = p2m.table_pages;
		/* A look-up by others finds what is left. */
		seen += p2m_lookup(&p2m, GFN(499ull << 18), &mfn) == P2M_RAM;
		assert_int_equal(p2m_lookup(&p2m, GFN(0), &mfn), P2M_HOLE);
	}
	assert_in_range(seen, 100, 2000);
	assert_int_equal(p2m.table_pages, 1);
}

/* The tables of others may be going: a look-up takes the lock, unless this CPU runs a vCPU of the very domain. */
static void only_own_tables_stay(void **state)
{
	u16 taken = p2m.lock.next;

	assert_int_equal(map_ram(1, 0), 0);
	assert_int_equal((u16)(p2m.lock.next - taken), 1);
	p2m_lookup(&p2m, GFN(1), NULL);
	assert_int_equal((u16)(p2m.lock.next - taken), 2);
	page_put(p2m_get_page(&p2m, GFN(1), NULL, true));
	assert_int_equal((u16)(p2m.lock.next - taken), 3);
	this_cpu()->guest_p2m = &p2m;
	p2m_lookup(&p2m, GFN(1), NULL);
	page_put(p2m_get_page(&p2m, GFN(1), NULL, true));
	this_cpu()->guest_p2m = NULL;
	assert_int_equal((u16)(p2m.lock.next - taken), 3);
}

/* --- the model -------------------------------------------------------------------------------------------------------------- */

#define BASE  ((u64)(BIT(18) - 512)) /* around a gigabyte's end */
#define SPAN  2048
#define OTHER 16                /* frames that others own, and that only lend references */

static struct { enum p2m_type type; u64 mfn; } want[SPAN];
static struct page *other[OTHER];

static void check_all(unsigned step)
{
	unsigned held[OTHER] = { 0 };

	for (u64 i = 0; i < SPAN; i++) {
		mfn_t mfn;
		enum p2m_type type = p2m_lookup(&p2m, GFN(BASE + i), &mfn);

		if (type != want[i].type || (type && mfn.v != want[i].mfn))
			fail_msg("gfn %lu is wrong after step %u, SEED=%lu", BASE + i, step, fake_random_seed());
		if (type == P2M_RAM && (mfn_to_page(mfn)->count != 1 || mfn_to_page(mfn)->owner != OWNER))
			fail_msg("RAM at %lu has count %u after step %u, SEED=%lu", BASE + i, mfn_to_page(mfn)->count, step, fake_random_seed());
		for (unsigned o = 0; (type == P2M_SHARED || type == P2M_FOREIGN) && o < OTHER; o++)
			held[o] += page_to_mfn(other[o]).v == mfn.v;
	}
	for (unsigned o = 0; o < OTHER; o++)
		assert_int_equal(other[o]->count, 1 + held[o]);
}

static void note(u64 at, u64 n, enum p2m_type type, u64 mfn)
{
	for (u64 i = 0; i < n; i++) {
		want[at + i].type = type;
		want[at + i].mfn = mfn + i;
	}
}

static void random_map(u64 at)
{
	enum p2m_type type = (enum p2m_type)(P2M_RAM + fake_random() % P2M_MMIO);
	unsigned order = fake_random() % 8 ? 0 : (unsigned)(fake_random() % 10);
	struct page *pg = other[fake_random() % OTHER];
	mfn_t mfn = page_to_mfn(pg);

	if (order && type != P2M_MMIO)
		type = P2M_RAM;
	at = ROUND_DOWN(at, BIT(order));
	if (type == P2M_RAM)
		mfn = page_to_mfn(ram(order));
	else if (type == P2M_MMIO)
		mfn = MFN((fake_random() % 1000 + 1000) << order);
	else if (type == P2M_SHARED || type == P2M_FOREIGN)
		assert_true(page_get(pg));
	assert_int_equal(p2m_map(&p2m, GFN(BASE + at), mfn, order, type), 0);
	note(at, BIT(order), type, mfn.v);
}

static void random_take(u64 at)
{
	struct p2m_retired r = { 0 };
	u64 most = fake_random() % 200, n = MIN(SPAN - at, most);

	for (u64 i = 0; i < n; i++)
		assert_int_equal(p2m_take(&p2m, GFN(BASE + at + i), INVALID_MFN, &r), want[at + i].type ? 0 : -ENOENT);
	p2m_retire(&p2m, &r);
	note(at, n, P2M_HOLE, 0);
}

static void random_remove(u64 at)
{
	bool right = fake_random() % 2;
	mfn_t expect = right ? MFN(want[at].mfn) : fake_random() % 2 ? INVALID_MFN : MFN(1);
	bool hit = want[at].type && (expect.v == INVALID_MFN.v || expect.v == want[at].mfn);

	assert_int_equal(p2m_remove(&p2m, GFN(BASE + at), expect), hit ? 0 : -ENOENT);
	if (hit)
		note(at, 1, P2M_HOLE, 0);
}

static void random_get(u64 at)
{
	bool write = fake_random() % 2, page = want[at].type != P2M_HOLE && want[at].type != P2M_MMIO;
	struct page *pg = p2m_get_page(&p2m, GFN(BASE + at), NULL, write);

	if (!page || (write && want[at].type == P2M_GRANT_RO)) {
		assert_null(pg);
	} else {
		assert_int_equal(page_to_mfn(pg).v, want[at].mfn);
		page_put(pg);
	}
}

static void model(void **state)
{
	memset(want, 0, sizeof(want));
	for (unsigned o = 0; o < OTHER; o++)
		other[o] = ram(0);
	for (unsigned step = 0; step < 20000; step++) {
		u64 at = fake_random() % SPAN;

		switch (fake_random() % 8) {
		case 0: case 1: case 2:
			random_map(at);
			break;
		case 3:
			random_take(at);
			break;
		case 4:
			random_remove(at);
			break;
		case 5:
			assert_int_equal(p2m_set_nx(&p2m, GFN(BASE + at), 1, fake_random() % 2), want[at].type == P2M_RAM ? 0 : -ENOENT);
			break;
		case 6:
			/* Whatever is there stays, and so does a hole. */
			assert_int_equal(p2m_fill_hole(&p2m, GFN(BASE + at)), 0);
			break;
		default:
			random_get(at);
		}
		if (step % 64 == 0)
			check_all(step);
	}
	check_all(20000);
	/* Grants must be gone before their frames go. */
	for (u64 i = 0; i < SPAN; i++)
		if (want[i].type == P2M_GRANT_RW || want[i].type == P2M_GRANT_RO)
			assert_int_equal(p2m_remove(&p2m, GFN(BASE + i), INVALID_MFN), 0);
	for (unsigned o = 0; o < OTHER; o++)
		page_put(other[o]);
}

/* ---- the dirty log ---- */

static u64 dirty[1024 / 64];    /* of two steps */

static u64 log_step(enum p2m_log_op op)
{
	u64 count = 0;

	for (u64 gfn = 0; gfn < 1024; gfn += P2M_LOG_FRAMES)
		count += p2m_log_step(&p2m, GFN(gfn), op, &dirty[gfn / 64]);
	p2m_flush(&p2m);
	return count;
}

static bool is_dirty(u64 gfn) { return dirty[gfn / 64] >> (gfn % 64) & 1; }

static u64 entry_of(u64 gfn)
{
	struct pt pt = { .root = p2m.root, .fmt = p2m_format };
	u64 entry;

	pt_lookup(&pt, gfn << PAGE_SHIFT, &entry);
	return entry;
}

/* What was written since, by the guest or by us for it, and only that; each look-up still says RAM. */
static void writes_are_logged(void **state)
{
	enum p2m_type type;
	struct page *pg;

	assert_int_equal(map_ram(3, 0) | map_ram(4, 0) | map_ram(1023, 0) | map_ram(1024, 0), 0);
	assert_int_equal(p2m_map(&p2m, GFN(5), page_to_mfn(ram(0)), 0, P2M_SHARED), 0);
	assert_int_equal(log_step(P2M_LOG_CLEAN), 3);
	assert_true(is_dirty(3) && is_dirty(4) && is_dirty(1023) && !is_dirty(5));
	assert_int_equal(log_step(P2M_LOG_CLEAN), 0);
	assert_int_equal(entry_of(3) & BIT(1), 0);
	assert_int_equal(entry_of(5) & BIT(1), BIT(1));
	assert_int_equal(entry_of(1024) & BIT(1), BIT(1));
	pg = p2m_get_page(&p2m, GFN(3), &type, false);
	assert_int_equal(type, P2M_RAM);
	assert_int_equal(p2m_lookup(&p2m, GFN(3), NULL), P2M_RAM);
	page_put(pg);
	assert_int_equal(log_step(P2M_LOG_PEEK), 0);
	pg = p2m_get_page(&p2m, GFN(3), &type, true);
	assert_int_equal(type, P2M_RAM);
	page_put(pg);
	this_cpu()->guest_p2m = &p2m;
	assert_true(p2m_make_dirty(&p2m, GFN(1023)));
	assert_true(p2m_make_dirty(&p2m, GFN(1023)));
	this_cpu()->guest_p2m = NULL;
	assert_true(p2m_make_dirty(&p2m, GFN(1023)));
	assert_false(p2m_make_dirty(&p2m, GFN(5)));
	assert_false(p2m_make_dirty(&p2m, GFN(6)));
	assert_int_equal(log_step(P2M_LOG_PEEK), 2);
	assert_int_equal(log_step(P2M_LOG_CLEAN), 2);
	assert_true(is_dirty(3) && !is_dirty(4) && is_dirty(1023));
	/* A clean page with as many references as its count can hold can't be had, and nothing breaks. */
	pg = p2m_get_page(&p2m, GFN(4), &type, false);
	page_put(pg);
	pg->count = UINT32_MAX;
	assert_null(p2m_get_page(&p2m, GFN(4), &type, true));
	pg->count = 1;
	assert_int_equal(log_step(P2M_LOG_CLEAN), 1);
	/* New frames are dirty, and frames that went are not. */
	assert_int_equal(map_ram(7, 0), 0);
	assert_int_equal(p2m_remove(&p2m, GFN(3), INVALID_MFN), 0);
	assert_int_equal(log_step(P2M_LOG_CLEAN), 1);
	assert_true(is_dirty(7));
	log_step(P2M_LOG_OFF);
	assert_int_equal(entry_of(4) & BIT(1), BIT(1));
	assert_int_equal(entry_of(1023) & BIT(1), BIT(1));
}

/* A read-only entry of another kind isn't RAM: nobody gets to write there. */
static void lent_frames_are_not_logged(void **state)
{
	assert_int_equal(p2m_map(&p2m, GFN(3), MFN(300), 0, P2M_GRANT_RO), 0);
	assert_int_equal(log_step(P2M_LOG_CLEAN), 0);
	assert_false(p2m_make_dirty(&p2m, GFN(3)));
	assert_null(p2m_get_page(&p2m, GFN(3), NULL, true));
	log_step(P2M_LOG_OFF);
	assert_int_equal(entry_of(3) & BIT(1), 0);
}

/* Whoever holds a frame may write to it at any time, also after its last look-up. */
static void held_frames_stay_dirty(void **state)
{
	struct page *pg;

	assert_int_equal(map_ram(3, 0) | map_ram(512, 9), 0);
	pg = p2m_get_page(&p2m, GFN(3), NULL, true);
	assert_int_equal(log_step(P2M_LOG_CLEAN), 513);
	assert_int_equal(log_step(P2M_LOG_CLEAN), 1);
	assert_true(is_dirty(3));
	page_put(pg);
	/* What it wrote after the last round is in this one. */
	assert_int_equal(log_step(P2M_LOG_CLEAN), 1);
	assert_int_equal(log_step(P2M_LOG_CLEAN), 0);
	pg = p2m_get_page(&p2m, GFN(700), NULL, true);
	assert_int_equal(log_step(P2M_LOG_CLEAN), 1);
	assert_int_equal(log_step(P2M_LOG_CLEAN), 1);
	assert_true(is_dirty(700));
	page_put(pg);
}

/* The first write splits a large page; without memory for that, all of it counts as written. */
static void large_pages_are_split(void **state)
{
	u64 tables = p2m.table_pages;

	assert_int_equal(map_ram(0, 9) | map_ram(512, 9), 0);
	assert_int_equal(log_step(P2M_LOG_CLEAN), 1024);
	assert_int_equal(log_step(P2M_LOG_CLEAN), 0);
	tables = p2m.table_pages;
	assert_true(p2m_make_dirty(&p2m, GFN(5)));
	assert_int_equal(p2m.table_pages, tables + 1);
	p2m.mempool = 0;
	assert_true(p2m_make_dirty(&p2m, GFN(600)));
	assert_int_equal(p2m.table_pages, tables + 1);
	assert_int_equal(log_step(P2M_LOG_CLEAN), 513);
	assert_true(is_dirty(5) && !is_dirty(6) && is_dirty(512) && is_dirty(1023));
	p2m.mempool = MiB(4);
	log_step(P2M_LOG_ALL);
	assert_int_equal(entry_of(6) & BIT(1), BIT(1));
	assert_int_equal(entry_of(1000) & BIT(1), BIT(1));
}

/* They form again if all of their frames are there in one piece, with all rights: as the very entry that was split. */
static void large_pages_form_again(void **state)
{
	u64 tables, whole, generation;
	mfn_t mfn, other;

	assert_int_equal(map_ram(0, 9) | map_ram(512, 9), 0);
	tables = p2m.table_pages;
	whole = entry_of(6);
	log_step(P2M_LOG_CLEAN);
	assert_true(p2m_make_dirty(&p2m, GFN(5)) && p2m_make_dirty(&p2m, GFN(600)));
	log_step(P2M_LOG_ALL);
	assert_int_equal(p2m.table_pages, tables + 2);
	/* Not while one frame is away, another one, or another type. */
	assert_int_not_equal(p2m_lookup(&p2m, GFN(700), &mfn), P2M_HOLE);
	assert_true(page_get(mfn_to_page(mfn)));
	assert_int_equal(p2m_remove(&p2m, GFN(700), INVALID_MFN), 0);
	generation = p2m_generation(&p2m);
	log_step(P2M_LOG_OFF);
	assert_int_equal(p2m.table_pages, tables + 1);
	assert_int_equal(entry_of(6), whole);
	assert_true(p2m_generation(&p2m) > generation + 1);     /* log_step's own, and one for the table */
	assert_int_equal(map_ram(700, 0), 0);
	assert_int_not_equal(p2m_lookup(&p2m, GFN(700), &other), P2M_HOLE);
	assert_int_not_equal(other.v, mfn.v);
	log_step(P2M_LOG_OFF);
	assert_int_equal(p2m.table_pages, tables + 1);
	assert_true(page_get(mfn_to_page(mfn)));
	assert_int_equal(p2m_map(&p2m, GFN(700), mfn, 0, P2M_SHARED), 0);
	log_step(P2M_LOG_OFF);
	assert_int_equal(p2m.table_pages, tables + 1);
	assert_int_equal(p2m_map(&p2m, GFN(700), mfn, 0, P2M_RAM), 0);
	log_step(P2M_LOG_OFF);
	assert_int_equal(p2m.table_pages, tables);
	/* It is one like others: it splits, and its frames go one by one. */
	assert_int_equal(p2m_remove(&p2m, GFN(511), INVALID_MFN), 0);
	assert_int_equal(p2m.table_pages, tables + 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(holes_and_limits, setup, teardown),
		cmocka_unit_test_setup_teardown(rights, setup, teardown),
		cmocka_unit_test_setup_teardown(flush_before_drop, setup, teardown),
		cmocka_unit_test_setup_teardown(one_flush_for_many, setup, teardown),
		cmocka_unit_test_setup_teardown(superpages, setup, teardown),
		cmocka_unit_test_setup_teardown(between_sizes, setup, teardown),
		cmocka_unit_test_setup_teardown(not_executable, setup, teardown),
		cmocka_unit_test_setup_teardown(a_range_is_not_executable, setup, teardown),
		cmocka_unit_test_setup_teardown(holes_show_ones, setup, teardown),
		cmocka_unit_test_setup_teardown(a_hole_among_devices, setup, teardown),
		cmocka_unit_test_setup_teardown(entry_reads, setup, teardown),
		cmocka_unit_test_setup_teardown(tables_are_limited, setup, teardown),
		cmocka_unit_test_setup_teardown(uncounted, setup, teardown),
		cmocka_unit_test_setup_teardown(no_memory, setup, teardown),
		cmocka_unit_test_setup_teardown(closed, setup, teardown),
		cmocka_unit_test_setup_teardown(steps_are_bounded, setup, teardown),
		cmocka_unit_test_setup_teardown(tables_go_in_steps, setup, teardown),
		cmocka_unit_test_setup_teardown(only_own_tables_stay, setup, teardown),
		cmocka_unit_test_setup_teardown(writes_are_logged, setup, teardown),
		cmocka_unit_test_setup_teardown(lent_frames_are_not_logged, setup, teardown),
		cmocka_unit_test_setup_teardown(held_frames_stay_dirty, setup, teardown),
		cmocka_unit_test_setup_teardown(large_pages_are_split, setup, teardown),
		cmocka_unit_test_setup_teardown(large_pages_form_again, setup, teardown),
		cmocka_unit_test_setup_teardown(model, setup, teardown),
	};

	fake_memory_init(16384);
	page_add_range(MiB(1), MiB(64));
	p2m_init_holes();
	page_set_release(released);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
