/* units: */
/* Lists and bitmaps: headers only. */
#include "tests/unit/fake.h"
#include "lib/bitmap.h"
#include "lib/list.h"

struct item {
	int value;
	struct list link;
};

/* From the front to the back along `next`, and the same way home along `prev`. */
static void assert_values(struct list *head, const int *value, int n)
{
	struct list *l = head->next;

	for (int i = 0; i < n; i++, l = l->next)
		assert_int_equal(container_of(l, struct item, link)->value, value[i]);
	assert_ptr_equal(l, head);
	for (int i = n; i-- > 0; ) {
		l = l->prev;
		assert_int_equal(container_of(l, struct item, link)->value, value[i]);
	}
	assert_ptr_equal(l->prev, head);
}

static void list_keeps_order_and_survives_removal(void **state)
{
	struct item item[4] = { { .value = 0 }, { .value = 1 }, { .value = 2 }, { .value = 3 } };
	struct list head;

	list_init(&head);
	assert_null(list_first(&head, struct item, link));
	for (int i = 4; i-- > 0; )
		list_add(&head, &item[i].link);
	assert_values(&head, (const int[]){ 0, 1, 2, 3 }, 4);
	list_remove(&item[1].link);
	list_remove(&item[3].link);
	assert_values(&head, (const int[]){ 0, 2 }, 2);
	assert_true(list_empty(&item[1].link));
	list_remove(&item[1].link);
	assert_ptr_equal(list_first(&head, struct item, link), &item[0]);
	list_remove(&item[0].link);
	list_remove(&item[2].link);
	assert_true(list_empty(&head));
}

static void bits_are_found_in_every_place(void **state)
{
	enum { BITS = 200 };
	u64 map[BITMAP_WORDS(BITS)];

	for (size_t bit = 0; bit < 256; bit++) {
		memset(map, 0, sizeof(map));
		bitmap_set(map, bit);
		assert_int_equal(bitmap_find_next(map, BITS, 0), MIN(bit, BITS));
		assert_int_equal(bitmap_find_next(map, BITS, bit), MIN(bit, BITS));
		assert_int_equal(bitmap_find_next(map, BITS, bit + 1), BITS);
	}
	bitmap_set(map, 5);
	bitmap_set(map, 6);
	bitmap_clear(map, 5);
	assert_int_equal(bitmap_find_next(map, BITS, 0), 6);
}

static void logarithms(void **state)
{
	for (unsigned n = 1; n < 64; n++) {
		assert_int_equal(ilog2(BIT(n)), n);
		assert_int_equal(ilog2(BIT(n) - 1), n - 1);
		assert_int_equal(ilog2_up(BIT(n)), n);
		assert_int_equal(ilog2_up(BIT(n) + 1), n + 1);
	}
	assert_int_equal(ilog2_up(1), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(list_keeps_order_and_survives_removal),
		cmocka_unit_test(bits_are_found_in_every_place),
		cmocka_unit_test(logarithms),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
