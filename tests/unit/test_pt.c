/* units: mm/pt.c mm/buddy.c */
/* The page-table walker: sizes chosen, splits, unmapping, and that no walk ever meets a half-made state. */
#include "tests/unit/fake.h"
#include "mm/page.h"
#include "mm/pt.h"
#include <pthread.h>

#define ANY (PT_4K | PT_2M | PT_1G)

static u64 nr_tables, allowed;

/* Fails after `allowed` pages. */
static void *alloc(void)
{
	if (!allowed)
		return NULL;
	allowed--;
	return page_alloc_zeroed();
}

static struct pt pt;

static int setup(void **state)
{
	allowed = ~0ull;
	nr_tables = 0;
	return pt_init(&pt, &pt_npt, alloc, &nr_tables);
}

static int teardown(void **state)
{
	u64 at = 0, left = ~0ull;
	unsigned level;

	while (pt_take_next(&pt, &at, &left, &level, page_free_virt))
		;
	assert_int_equal(at, BIT(48));
	assert_int_equal(nr_tables, 1);
	pt_destroy(&pt, page_free_virt);
	assert_int_equal(nr_tables, 0);
	return 0;
}

/* Level of the leaf that maps addr, or -1. */
static int level_of(u64 addr)
{
	unsigned level;
	u64 entry;

	pt_find(&pt.fmt->shape, pt.root, addr, &entry, &level);
	return entry ? (int)level : -1;
}

static void largest_pages(void **state)
{
	/* 4 KiB below a 2-MiB boundary to 8 KiB above 1 GiB + 2 MiB: one of each size on the way up, and small ones at the end. */
	u64 start = GiB(1) - MiB(2) - KiB(4), size = KiB(4) + MiB(2) + GiB(1) + MiB(2) + KiB(8);

	assert_int_equal(pt_map(&pt, start, start + GiB(4), size, PT_WRITE, ANY), 0);
	assert_int_equal(level_of(start), 0);
	assert_int_equal(level_of(GiB(1) - MiB(2)), 1);
	assert_int_equal(level_of(GiB(1)), 2);
	assert_int_equal(level_of(GiB(2)), 1);
	assert_int_equal(level_of(GiB(2) + MiB(2) + KiB(4)), 0);
	assert_int_equal(level_of(GiB(2) + MiB(2) + KiB(8)), -1);
	assert_int_equal(level_of(start - 1), -1);
	for (u64 a = start; a < start + size; a += KiB(4))
		assert_int_equal(pt_lookup(&pt, a + 5, NULL), a + GiB(4) + 5);
}

static void sizes_and_alignment(void **state)
{
	/* Not allowed, or not aligned alike on both sides. */
	assert_int_equal(pt_map(&pt, GiB(1), 0, GiB(1), PT_WRITE, PT_2M), 0);
	assert_int_equal(level_of(GiB(1)), 1);
	assert_int_equal(pt_map(&pt, GiB(2), KiB(4), MiB(4), PT_WRITE, ANY), 0);
	assert_int_equal(level_of(GiB(2)), 0);
	assert_int_equal(pt_map(&pt, 1, 0, KiB(4), 0, ANY), -EINVAL);
	assert_int_equal(pt_map(&pt, 0, 1, KiB(4), 0, ANY), -EINVAL);
	assert_int_equal(pt_map(&pt, 0, 0, 1, 0, ANY), -EINVAL);
	assert_int_equal(pt_map(&pt, BIT(48) - KiB(4), 0, KiB(8), 0, ANY), -EINVAL);
	assert_int_equal(pt_map(&pt, BIT(48) - KiB(4), 0, KiB(4), 0, ANY), 0);
	/* A sign-extended address of the host, up to the very end. */
	assert_int_equal(pt_map(&pt, 0xffffffff80000000ull, 0, GiB(2), 0, ANY), 0);
	assert_int_equal(pt_lookup(&pt, ~0ull, NULL), GiB(2) - 1);
}

/* Empties what is mapped in the range, page by page. */
static int unmap(struct pt *tree, u64 addr, u64 size)
{
	for (u64 end = addr + size; addr < end; addr += KiB(4)) {
		unsigned level = 0;
		u64 *slot;

		if (pt_lookup(tree, addr, NULL) == ~0ull)
			continue;
		slot = pt_slot(tree, addr, &level);
		if (!slot)
			return -ENOMEM;
		pt_write(slot, 0);
	}
	return 0;
}

static void split_on_demand(void **state)
{
	u64 before, entry;

	assert_int_equal(pt_map(&pt, 0, GiB(8), GiB(1), PT_WRITE | PT_EXEC, ANY), 0);
	pt_lookup(&pt, 0, &entry);
	*pt_find(&pt.fmt->shape, pt.root, 0, &before, &(unsigned){ 0 }) |= PT_SW(5);
	assert_int_equal(unmap(&pt, MiB(10) + KiB(8), KiB(4)), 0);
	for (u64 a = 0; a < GiB(1); a += KiB(4)) {
		if (a == MiB(10) + KiB(8)) {
			assert_int_equal(pt_lookup(&pt, a, NULL), ~0ull);
			continue;
		}
		assert_int_equal(pt_lookup(&pt, a, &entry), GiB(8) + a);
		assert_int_equal(entry & PT_SW_MASK, PT_SW(5));
		assert_true((entry & BIT(1)) && !(entry & BIT(63)));
	}
	assert_int_equal(level_of(0), 1);
	assert_int_equal(level_of(MiB(10)), 0);
	assert_int_equal(nr_tables, 4);
}

static void protect(void **state)
{
	u64 entry;

	assert_int_equal(pt_map(&pt, 0, 0, MiB(4), PT_WRITE | PT_EXEC, ANY), 0);
	assert_int_equal(pt_protect(&pt, MiB(2) - KiB(4), MiB(1000), PT_WRITE), 0);
	pt_lookup(&pt, MiB(2) - KiB(8), &entry);
	assert_true(!(entry & BIT(63)));
	pt_lookup(&pt, MiB(2) - KiB(4), &entry);
	assert_true((entry & BIT(63)) && (entry & BIT(1)));
	assert_int_equal(pt_protect(&pt, 0, MiB(4), 0), 0);
	for (u64 a = 0; a < MiB(4); a += KiB(4)) {
		assert_int_equal(pt_lookup(&pt, a, &entry), a);
		assert_true((entry & BIT(63)) && !(entry & BIT(1)));
	}
	assert_int_equal(pt_lookup(&pt, MiB(4), NULL), ~0ull);
	assert_int_equal(level_of(MiB(2)), 1);
}

/* A tree goes in parts: leaves from the left, each table as soon as nothing is in it, and no more slots at a time than asked for. */
static void taken_down(void **state)
{
	u64 at = 0, left = 1, want[] = { 0, KiB(4), GiB(1) - KiB(4), GiB(1), GiB(1) + MiB(2), GiB(513), BIT(48) - KiB(4) };
	unsigned level, nr = 0, steps = 0;

	for (unsigned i = 0; i < ARRAY_SIZE(want); i++)
		assert_int_equal(pt_map(&pt, want[i], GiB(1) + want[i], want[i] == GiB(1) ? MiB(2) : KiB(4), PT_WRITE, ANY), 0);
	while (at < BIT(48)) {
		u64 tables = nr_tables, entry = pt_take_next(&pt, &at, &left, &level, page_free_virt);

		assert_in_range(tables - nr_tables, 0, 3);
		for (unsigned i = 0; i < ARRAY_SIZE(want); i++)
			assert_int_equal(pt_lookup(&pt, want[i], NULL), want[i] < at ? ~0ull : GiB(1) + want[i]);
		if (entry) {
			assert_int_equal(entry & pt.fmt->shape.addr, GiB(1) + want[nr]);
			assert_int_equal(level, want[nr] == GiB(1));
			nr++;
		}
		if (!left) {
			left = 1;
			steps++;
		}
	}
	assert_int_equal(nr, ARRAY_SIZE(want));
	/* Each slot of the root and the twelve tables below it, once, but for those where tables hang. */
	assert_int_equal(steps, 13 * 512 - 12);
	assert_int_equal(nr_tables, 1);
}

static void not_while_tables_are_left(void **state)
{
	assert_int_equal(pt_map(&pt, 0, 0, KiB(4), PT_WRITE, ANY), 0);
	expect_bug(pt_destroy(&pt, page_free_virt));
}

static void no_memory(void **state)
{
	assert_int_equal(pt_map(&pt, 0, GiB(8), GiB(1), PT_WRITE, ANY), 0);
	/* Two tables are needed; with none, and then with only one, nothing that is mapped changes. */
	for (u64 have = 0; have < 2; have++) {
		allowed = have;
		assert_int_equal(unmap(&pt, KiB(4), KiB(4)), -ENOMEM);
		for (u64 a = 0; a < GiB(1); a += KiB(4))
			assert_int_equal(pt_lookup(&pt, a, NULL), GiB(8) + a);
	}
	allowed = 1;
	assert_int_equal(unmap(&pt, KiB(4), KiB(4)), 0);
	allowed = 0;
	assert_int_equal(pt_map(&pt, GiB(512), 0, KiB(4), 0, ANY), -ENOMEM);
	assert_int_equal(pt_init(&(struct pt){ 0 }, &pt_npt, alloc, NULL), -ENOMEM);
}

/* Another thread walks without a lock while leaves are split and changed: what was mapped is mapped at every moment. */
#define RACE_SIZE MiB(400)
static bool race_over;
static u64 race_wrong;

static void *race_reader(void *arg)
{
	u64 a = 0;

	while (!__atomic_load_n(&race_over, __ATOMIC_RELAXED)) {
		race_wrong += pt_lookup(&pt, a, NULL) != a + GiB(16);
		a = (a + KiB(4) + KiB(4) * 511 * (a & MiB(2) ? 1 : 0)) % RACE_SIZE;
	}
	return NULL;
}

static void walks_during_changes(void **state)
{
	pthread_t reader;

	assert_int_equal(pt_map(&pt, 0, GiB(16), GiB(1), PT_WRITE | PT_EXEC, ANY), 0);
	assert_int_equal(pthread_create(&reader, NULL, race_reader, NULL), 0);
	for (u64 a = 0; a < RACE_SIZE; a += MiB(2))
		assert_int_equal(pt_protect(&pt, a + (a / MiB(2) % 512) * KiB(4), KiB(4), 0), 0);
	__atomic_store_n(&race_over, true, __ATOMIC_RELAXED);
	pthread_join(reader, NULL);
	assert_int_equal(race_wrong, 0);
}

static void entries(void **state)
{
	/* NPT: user bit everywhere, accessed and dirty set; the host's tables without the user bit, devices uncached. */
	assert_int_equal(pt_leaf(&pt_npt, KiB(4), 0, PT_WRITE | PT_EXEC), 0x1067);
	assert_int_equal(pt_leaf(&pt_npt, MiB(2), 1, PT_WRITE | PT_DEVICE), 0x80000000002000e7ull);
	assert_int_equal(pt_leaf(&pt_x86_64, KiB(4), 0, PT_WRITE), 0x8000000000001063ull);
	assert_int_equal(pt_leaf(&pt_x86_64, KiB(4), 0, PT_EXEC), 0x1061);
	assert_int_equal(pt_leaf(&pt_x86_64, KiB(4), 0, PT_WRITE | PT_DEVICE), 0x800000000000107bull);
}

/* Random ranges against a plain array of one entry per page. */
#define MODEL_PAGES (3 * 512)
#define MODEL_BASE  (GiB(1) - MiB(2))   /* across a boundary of two tables */

static void model(void **state)
{
	static u64 want[MODEL_PAGES];

	memset(want, 0xff, sizeof(want));
	for (unsigned step = 0; step < 3000; step++) {
		u64 first = fake_random() % MODEL_PAGES, n = 1 + fake_random() % (MODEL_PAGES - first);
		u64 pa = (fake_random() % 4096) << (fake_random() % 2 ? 21 : 12);

		if (fake_random() % 4)
			n = MIN(n, 8);
		if (fake_random() % 2)
			first = ROUND_DOWN(first, 512);
		if (fake_random() % 3) {
			assert_int_equal(pt_map(&pt, MODEL_BASE + first * KiB(4), pa, n * KiB(4), PT_WRITE, ANY), 0);
			for (u64 i = 0; i < n; i++)
				want[first + i] = pa + i * KiB(4);
		} else {
			assert_int_equal(unmap(&pt, MODEL_BASE + first * KiB(4), n * KiB(4)), 0);
			memset(&want[first], 0xff, n * sizeof(*want));
		}
		for (u64 i = 0; i < MODEL_PAGES; i++)
			if (pt_lookup(&pt, MODEL_BASE + i * KiB(4), NULL) != want[i])
				fail_msg("page %lu wrong after step %u, SEED=%lu", i, step, fake_random_seed());
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(largest_pages, setup, teardown),
		cmocka_unit_test_setup_teardown(sizes_and_alignment, setup, teardown),
		cmocka_unit_test_setup_teardown(split_on_demand, setup, teardown),
		cmocka_unit_test_setup_teardown(protect, setup, teardown),
		cmocka_unit_test_setup_teardown(taken_down, setup, teardown),
		cmocka_unit_test_setup_teardown(not_while_tables_are_left, setup, teardown),
		cmocka_unit_test_setup_teardown(no_memory, setup, teardown),
		cmocka_unit_test_setup_teardown(walks_during_changes, setup, teardown),
		cmocka_unit_test_setup_teardown(entries, setup, teardown),
		cmocka_unit_test_setup_teardown(model, setup, teardown),
	};

	fake_memory_init(8192);
	page_add_range(MiB(1), MiB(32));
	return cmocka_run_group_tests(tests, NULL, NULL);
}
