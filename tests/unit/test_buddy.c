/* units: mm/buddy.c */
/* The page allocator against a reference that is too simple to be wrong: one byte per frame, and what each block should be. */
#include "tests/unit/fake.h"
#include "mm/page.h"

#define FRAMES 16384u           /* 64 MiB; frames 0..255 and a hole stay reserved */
#define HOLE_START 5000u
#define HOLE_END   5003u
#define HOME_END   3001u        /* frames below are the service domain's: taken last */

static unsigned released[4];    /* per owner */

static void count_release(struct page *pg)
{
	assert_in_range(pg->owner, 1, 3);
	assert_int_equal(fake_locks_held(), 0);
	released[pg->owner]++;
}

static u64 usable(void)
{
	return FRAMES - 256 - (HOLE_END - HOLE_START);
}

/* Everything was given back, so the largest blocks must be whole again. */
static void assert_all_merged(void)
{
	struct page *pg;
	u64 free = page_free_count();

	assert_int_equal(free, usable());
	pg = page_alloc(12);    /* 16 MiB: there are two (frames 8192.. and 12288..) */
	assert_non_null(pg);
	assert_int_equal(page_to_mfn(pg).v % 4096, 0);
	page_free(pg, 12);
	assert_int_equal(page_free_count(), free);
}

static void blocks_are_aligned_and_from_the_top(void **state)
{
	struct page *pg[13], *top = page_alloc(12);

	assert_int_equal(page_to_mfn(top).v, FRAMES - 4096);
	page_free(top, 12);
	for (unsigned order = 0; order <= 12; order++) {
		pg[order] = page_alloc(order);
		assert_non_null(pg[order]);
		assert_int_equal(page_to_mfn(pg[order]).v % BIT(order), 0);
		assert_int_equal(pg[order]->count, 1);
		assert_int_equal(pg[order]->state, PAGE_HEAP);
	}
	for (unsigned order = 0; order <= 12; order++)
		page_free(pg[order], order);
	assert_all_merged();
}

static void too_large_is_null(void **state)
{
	assert_null(page_alloc(14));
	assert_null(page_alloc(18));
	expect_bug(page_alloc(19));
	assert_all_merged();
}

static void zeroed_page_is_zero(void **state)
{
	u8 *va = page_alloc_zeroed();

	memset(va, 1, PAGE_SIZE);
	page_free_virt(va);
	va = page_alloc_zeroed();
	for (unsigned i = 0; i < PAGE_SIZE; i++)
		assert_int_equal(va[i], 0);
	page_free_virt(va);
	assert_all_merged();
}

static void assign_gives_each_frame_its_own_life(void **state)
{
	struct page *pg = page_alloc(9);

	page_assign(pg, 9, 2);
	for (unsigned i = 0; i < 512; i++) {
		assert_int_equal(pg[i].count, 1);
		assert_int_equal(pg[i].owner, 2);
		assert_int_equal(pg[i].state, PAGE_DOMAIN);
	}
	released[2] = 0;
	for (unsigned i = 0; i < 512; i++)
		page_put(&pg[i * 37 % 512]);
	assert_int_equal(released[2], 512);
	assert_all_merged();
}

static void last_reference_frees(void **state)
{
	struct page *pg = page_alloc(0);

	page_assign(pg, 0, 1);
	released[1] = 0;
	assert_true(page_get(pg));
	assert_true(page_get(pg));
	page_put(pg);
	page_put(pg);
	assert_int_equal(released[1], 0);
	page_put(pg);
	assert_int_equal(released[1], 1);
	assert_false(page_get(pg));
	expect_bug(page_put(pg));
	pg->count = 0;
	assert_all_merged();
}

/* A count that wrapped would free a frame in use. */
static void references_saturate(void **state)
{
	struct page *pg = page_alloc(0);

	pg->count = UINT32_MAX;
	assert_false(page_get(pg));
	pg->count = 1;
	page_free(pg, 0);
}

/* A look-up that comes too late may hold a reference while the frame is freed, or given away: it then must not be lost. */
static void late_lookup_keeps_the_frame(void **state)
{
	struct page *pg = page_alloc(9);
	u64 free = page_free_count();

	assert_true(page_get(pg));
	page_free(pg, 9);
	assert_int_equal(page_free_count(), free);
	page_put(pg);
	assert_int_equal(page_free_count(), free + 512);

	pg = page_alloc(9);
	assert_true(page_get(pg));
	page_assign(pg, 9, 1);
	assert_int_equal(pg->count, 2);
	page_put(pg);
	for (unsigned i = 0; i < 512; i++)
		page_put(&pg[i]);
	assert_all_merged();
}

static void claim_takes_exact_frames(void **state)
{
	u64 free = page_free_count();

	assert_int_equal(page_claim(MFN(1001), 2222, 3), 0);
	assert_int_equal(page_free_count(), free - 2222);
	assert_int_equal(frame_table[1000].state, PAGE_FREE);
	assert_int_equal(frame_table[3223].state, PAGE_FREE);
	for (unsigned i = 1001; i < 3223; i++) {
		assert_int_equal(frame_table[i].state, PAGE_DOMAIN);
		assert_int_equal(frame_table[i].owner, 3);
		assert_int_equal(frame_table[i].count, 1);
	}
	assert_int_equal(page_claim(MFN(3222), 10, 3), -EBUSY);
	assert_int_equal(page_claim(MFN(990), 12, 3), -EBUSY);
	assert_int_equal(page_claim(MFN(HOLE_START - 1), 2, 3), -EBUSY);
	assert_int_equal(page_claim(MFN(FRAMES - 1), 2, 3), -EBUSY);
	assert_int_equal(page_claim(MFN(FRAMES - 1), 1, 3), 0);
	page_put(&frame_table[FRAMES - 1]);
	assert_int_equal(page_claim(MFN(~0ull), 2, 3), -EBUSY);
	assert_int_equal(page_claim(MFN(1), ~0ull, 3), -EBUSY);
	assert_int_equal(page_claim(MFN(1000), 0, 3), 0);
	assert_int_equal(page_free_count(), free - 2222);
	for (unsigned i = 1001; i < 3223; i++)
		page_put(&frame_table[i]);
	assert_all_merged();
}

static void wrong_frees_are_bugs(void **state)
{
	struct page *pg = page_alloc(3);

	expect_bug(page_free(pg, 2));
	expect_bug(page_free(pg + 1, 0));
	page_free(pg, 3);
	expect_bug(page_free(pg, 3));
	expect_bug(page_put(&frame_table[HOLE_START]));
	frame_table[HOLE_START].count = 0;
	assert_all_merged();
}

static bool is_home(const struct page *pg)
{
	return page_to_mfn(pg).v < HOME_END;
}

/* What the service domain has given up is for itself, as long as there is anything else: only those frames can come back to it. */
static void home_is_taken_last(void **state)
{
	static struct page *got[FRAMES];
	u64 free = page_free_count(), common = FRAMES - HOME_END - (HOLE_END - HOLE_START), n = 0;

	/* Fragments at home attract nobody, whatever was freed last. */
	assert_int_equal(page_claim(MFN(1000), 2, 3), 0);
	page_put(mfn_to_page(MFN(1000)));
	page_put(mfn_to_page(MFN(1001)));
	for (; n < common; n++) {
		got[n] = page_alloc(0);
		assert_false(is_home(got[n]));
	}
	for (; (got[n] = page_alloc(0)); n++)
		assert_true(is_home(got[n]));
	assert_int_equal(n, free);
	while (n--)
		page_free(got[n], 0);
	assert_all_merged();
}

/* Tables that stay must not have to come from home because guests have taken all else. */
static void domains_leave_the_hypervisor_some(void **state)
{
	static struct page *got[FRAMES];
	u64 free = page_free_count(), n, kept = 0;
	struct page *own;

	for (n = 0; (got[n] = page_alloc_domain(0, 2)) && !is_home(got[n]); n++)
		assert_int_equal(got[n]->owner, 2);
	kept = FRAMES - HOME_END - (HOLE_END - HOLE_START) - n;
	assert_in_range(kept, 1024, 1100);
	own = page_alloc(0);
	assert_false(is_home(own));
	page_free(own, 0);
	/* With home used up a domain gets what is left, to the last frame. */
	while (got[n] && (got[++n] = page_alloc_domain(0, 2)))
		;
	assert_int_equal(n, free);
	assert_null(page_alloc(0));
	while (n--)
		page_put(got[n]);
	assert_all_merged();
}

/* A block is at home or not: nothing merges across the border, and no block is cut there. */
static void blocks_end_where_home_does(void **state)
{
	u64 free = page_free_count();

	assert_int_equal(page_claim(MFN(HOME_END - 1), 2, 3), 0);
	page_put(mfn_to_page(MFN(HOME_END)));
	page_put(mfn_to_page(MFN(HOME_END - 1)));
	assert_int_equal(page_claim(MFN(HOME_END - 20), 40, 3), 0);
	for (u64 i = HOME_END - 20; i < HOME_END + 20; i++)
		page_put(mfn_to_page(MFN(i)));
	assert_int_equal(page_free_count(), free);
	assert_all_merged();
}

/* --- random operations against the reference ------------------------------------------------------------------------------ */

enum { MAX_BLOCKS = 600, ROUNDS = 60000 };
struct block { u32 frame; u8 order; u16 owner; u8 refs; };  /* owner 0: the hypervisor's */
static struct block block[MAX_BLOCKS];
static unsigned nr_blocks;
static u8 taken[FRAMES];
static u64 nr_taken;

static void mark(u32 frame, u64 n, u8 value)
{
	for (u64 i = frame; i < frame + n; i++) {
		assert_true(i >= 256 && i < FRAMES && (i < HOLE_START || i >= HOLE_END));
		assert_int_equal(taken[i], !value);
		taken[i] = value;
	}
	nr_taken += value ? n : -n;
}

static bool model_fits(unsigned order)
{
	for (u64 frame = 0; frame + BIT(order) <= FRAMES; frame += BIT(order)) {
		u64 i = 0;

		while (i < BIT(order) && !taken[frame + i] && frame + i >= 256 && (frame < HOME_END) == (frame + i < HOME_END) &&
		       (frame + i < HOLE_START || frame + i >= HOLE_END))
			i++;
		if (i == BIT(order))
			return true;
	}
	return false;
}

static void random_alloc(void)
{
	unsigned order = fake_random() % 3 ? fake_random() % 4 : fake_random() % 13;
	u16 owner = fake_random() % 4;
	struct page *pg = owner ? page_alloc_domain(order, owner) : page_alloc(order);

	if (!pg) {
		assert_false(model_fits(order));
		return;
	}
	mark((u32)page_to_mfn(pg).v, BIT(order), 1);
	block[nr_blocks++] = (struct block){ (u32)page_to_mfn(pg).v, (u8)order, owner, 1 };
}

static void random_claim(void)
{
	u32 frame = fake_random() % FRAMES, n = fake_random() % 40 + 1;
	bool free = frame + n <= FRAMES;

	for (u32 i = frame; free && i < frame + n; i++)
		free = !taken[i] && i >= 256 && (i < HOLE_START || i >= HOLE_END);
	assert_int_equal(page_claim(MFN(frame), n, 1), free ? 0 : -EBUSY);
	if (!free)
		return;
	mark(frame, n, 1);
	for (u32 i = 0; i < n && nr_blocks < MAX_BLOCKS; i++)
		block[nr_blocks++] = (struct block){ frame + i, 0, 1, 1 };
}

static void drop(unsigned i)
{
	struct block b = block[i];

	if (b.owner) {
		for (u64 f = b.frame; f < b.frame + BIT(b.order); f++)
			page_put(&frame_table[f]);
	} else {
		page_put(&frame_table[b.frame]);
	}
	if (--block[i].refs)
		return;
	mark(b.frame, BIT(b.order), 0);
	block[i] = block[--nr_blocks];
}

static void random_reference(struct block *b)
{
	u64 frames = b->owner ? BIT(b->order) : 1;

	if (b->refs == 3)
		return;
	b->refs++;
	for (u64 i = 0; i < frames; i++)
		assert_true(page_get(&frame_table[b->frame + i]));
}

static void random_operations_match_the_model(void **state)
{
	print_message("SEED=%#lx\n", fake_random_seed());
	for (unsigned i = 0; i < ROUNDS; i++) {
		unsigned op = fake_random() % 16;

		if (op < 7 && nr_blocks < MAX_BLOCKS)
			random_alloc();
		else if (op < 8 && nr_blocks + 40 < MAX_BLOCKS)
			random_claim();
		else if (op < 10 && nr_blocks)
			random_reference(&block[fake_random() % nr_blocks]);
		else if (nr_blocks)
			drop(fake_random() % nr_blocks);
		assert_int_equal(page_free_count(), usable() - nr_taken);
	}
	while (nr_blocks)
		drop(nr_blocks - 1);
	assert_int_equal(nr_taken, 0);
	assert_all_merged();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(blocks_are_aligned_and_from_the_top),
		cmocka_unit_test(too_large_is_null),
		cmocka_unit_test(zeroed_page_is_zero),
		cmocka_unit_test(assign_gives_each_frame_its_own_life),
		cmocka_unit_test(last_reference_frees),
		cmocka_unit_test(references_saturate),
		cmocka_unit_test(late_lookup_keeps_the_frame),
		cmocka_unit_test(claim_takes_exact_frames),
		cmocka_unit_test(wrong_frees_are_bugs),
		cmocka_unit_test(home_is_taken_last),
		cmocka_unit_test(domains_leave_the_hypervisor_some),
		cmocka_unit_test(blocks_end_where_home_does),
		cmocka_unit_test(random_operations_match_the_model),
	};

	fake_memory_init(FRAMES);
	page_set_release(count_release);
	page_set_home(HOME_END);
	page_add_range(MiB(1) - 5, HOLE_START * PAGE_SIZE + 100);
	page_add_range(HOLE_END * PAGE_SIZE, MiB(64) + 1);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
