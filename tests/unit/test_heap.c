/* units: mm/heap.c mm/buddy.c */
/* The heap: what it promises about size, alignment and contents, and that it gives everything back. */
#include "tests/unit/fake.h"
#include "mm/heap.h"
#include "mm/page.h"

static void small_objects_are_zero_and_aligned(void **state)
{
	for (size_t size = 0; size < 4096; size += 7) {
		u8 *p = kzalloc(size);

		assert_non_null(p);
		assert_int_equal((uintptr_t)p % 16, 0);
		for (size_t i = 0; i < size; i++)
			assert_int_equal(p[i], 0);
		memset(p, 0xff, size);
		kfree(p);
	}
}

static void large_objects_are_page_aligned(void **state)
{
	static const size_t sizes[] = { 4096, 4097, 8192, 12289, MiB(2), MiB(2) + 1 };

	for (unsigned i = 0; i < ARRAY_SIZE(sizes); i++) {
		u8 *p = kzalloc(sizes[i]);

		assert_non_null(p);
		assert_int_equal((uintptr_t)p % PAGE_SIZE, 0);
		assert_int_equal(p[0] | p[sizes[i] - 1], 0);
		memset(p, 0xff, sizes[i]);
		kfree(p);
	}
}

static void all_memory_comes_back(void **state)
{
	enum { N = 3000 };
	static u8 *p[N];
	static size_t size[N];
	u64 before = page_free_count();

	print_message("SEED=%#lx\n", fake_random_seed());
	for (unsigned round = 0; round < 20000; round++) {
		unsigned i = fake_random() % N;

		if (p[i]) {
			for (size_t j = 0; j < size[i]; j++)
				assert_int_equal(p[i][j], (u8)i);
			kfree(p[i]);
			p[i] = NULL;
			continue;
		}
		size[i] = fake_random() % (fake_random() % 8 ? 300 : 9000);
		p[i] = kzalloc(size[i]);
		assert_non_null(p[i]);
		memset(p[i], (u8)i, size[i]);
	}
	for (unsigned i = 0; i < N; i++)
		kfree(p[i]);
	assert_int_equal(page_free_count(), before);
	assert_int_equal(fake_locks_held(), 0);
}

/* Of each size there is room for a whole number in a page; whoever asks for one byte more gets the next size. */
static void pages_are_filled(void **state)
{
	static const u16 sizes[] = { 16, 32, 48, 64, 96, 128, 192, 256, 336, 448, 576, 800, 1008, 1344, 2032 };

	for (unsigned i = 0; i < ARRAY_SIZE(sizes); i++) {
		unsigned n = (PAGE_SIZE - 32) / sizes[i];
		u64 before = page_free_count();
		void *p[254], *one;

		for (unsigned k = 0; k < n; k++)
			p[k] = kzalloc(sizes[i]);
		assert_int_equal(page_free_count(), before - 1);
		one = kzalloc(sizes[i]);
		assert_int_equal(page_free_count(), before - 2);
		kfree(one);
		/* A full page that gets one back has room for one. */
		kfree(p[n / 2]);
		p[n / 2] = kzalloc(sizes[i] - 1u);
		assert_int_equal(page_free_count(), before - 1);
		one = kzalloc(sizes[i] + 1u);
		assert_int_equal(page_free_count(), before - 2);
		kfree(one);
		for (unsigned k = 0; k < n; k++)
			kfree(p[k]);
		assert_int_equal(page_free_count(), before);
	}
}

static void out_of_memory_is_null(void **state)
{
	void **chain = NULL, **next;
	u64 before = page_free_count();

	assert_null(kzalloc(GiB(1)));
	assert_null(kzalloc(SIZE_MAX));
	while ((next = kzalloc(4096)))
		*next = chain, chain = next;
	assert_null(kzalloc(24));
	assert_int_equal(page_free_count(), 0);
	for (; chain; chain = next)
		next = *chain, kfree(chain);
	assert_int_equal(page_free_count(), before);
}

static void wrong_frees_are_bugs(void **state)
{
	u8 *p = kzalloc(100), *keep = kzalloc(100), *page = kzalloc(4096);

	kfree(NULL);
	expect_bug(kfree(p + 16));
	kfree(p);
	expect_bug(kfree(p));
	kfree(keep);
	kfree(page);
	expect_bug(kfree(page));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(small_objects_are_zero_and_aligned),
		cmocka_unit_test(large_objects_are_page_aligned),
		cmocka_unit_test(all_memory_comes_back),
		cmocka_unit_test(pages_are_filled),
		cmocka_unit_test(out_of_memory_is_null),
		cmocka_unit_test(wrong_frees_are_bugs),
	};

	fake_memory_init(16384);
	page_add_range(MiB(1), MiB(64));
	return cmocka_run_group_tests(tests, NULL, NULL);
}
