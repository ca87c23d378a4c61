/* units: mm/memory_map.c */
/* The firmware's memory map and sets of ranges against a reference that is too simple to be wrong: one byte per frame. */
#include <string.h>
#include "tests/unit/fake.h"
#include "mm/memory_map.h"

#define FRAMES 64u

static void assert_map_is(const u8 *type)
{
	unsigned at = 0;

	for (unsigned i = 0; i < memory_map_nr; i++) {
		const struct memory_range *m = &memory_map[i];

		assert_true(m->start < m->end && m->start >= at * PAGE_SIZE);
		for (; at < m->start >> PAGE_SHIFT; at++)
			assert_int_equal(type[at], 0);
		for (; at < m->end >> PAGE_SHIFT; at++)
			assert_int_equal(type[at], m->type);
	}
	for (; at < FRAMES; at++)
		assert_int_equal(type[at], 0);
}

static void map_in_any_order(void **state)
{
	for (unsigned round = 0; round < 3000; round++) {
		u8 type[FRAMES] = { 0 };

		memory_map_nr = 0;
		for (unsigned n = 0; n < 12; n++) {
			unsigned from = fake_random() % FRAMES, size = fake_random() % (FRAMES - from), t = 1 + fake_random() % 3;

			memory_map_add(from * PAGE_SIZE, size * PAGE_SIZE, t);
			for (unsigned i = from; i < from + size; i++)
				if (!type[i] || (type[i] == MEMORY_RAM && t != MEMORY_RAM))
					type[i] = (u8)t;
			assert_map_is(type);
		}
		for (unsigned n = 0; n < 20; n++) {
			unsigned from = fake_random() % FRAMES, size = fake_random() % (FRAMES - from);

			assert_int_equal(memory_map_has_ram(from * PAGE_SIZE, size * PAGE_SIZE), memchr(type + from, MEMORY_RAM, size) != NULL);
		}
	}
}

static void parts_of_frames_are_no_ram(void **state)
{
	memory_map_nr = 0;
	memory_map_add(0, 0x9fc00, MEMORY_RAM);
	memory_map_add(MiB(1) + 1, PAGE_SIZE, MEMORY_RAM);
	assert_true(memory_map_has_ram(0x9e000, PAGE_SIZE));
	assert_false(memory_map_has_ram(0x9f000, PAGE_SIZE));
	assert_false(memory_map_has_ram(MiB(1), MiB(1)));
	assert_int_equal(memory_map_end_of_ram(), MiB(1) + 1 + PAGE_SIZE);
}

static void full_map_keeps_what_it_has(void **state)
{
	memory_map_nr = 0;
	for (unsigned i = 0; i < MEMORY_MAP_MAX; i++)
		memory_map_add(2 * i * PAGE_SIZE, PAGE_SIZE, MEMORY_RAM);
	memory_map_add(MiB(64), PAGE_SIZE, MEMORY_RAM);
	assert_int_equal(memory_map_nr, MEMORY_MAP_MAX);
	assert_int_equal(memory_map[MEMORY_MAP_MAX - 1].start, 2 * (MEMORY_MAP_MAX - 1) * PAGE_SIZE);
}

static void sets_of_ranges(void **state)
{
	for (unsigned round = 0; round < 3000; round++) {
		struct range_set s = { 0 };
		u8 in[FRAMES] = { 0 };

		for (unsigned i = 0; i < FRAMES; i += 16) {
			assert_true(range_set_add(&s, i * PAGE_SIZE, (i + 12) * PAGE_SIZE));
			memset(in + i, 1, 12);
		}
		for (unsigned n = 0; n < 6; n++) {
			unsigned from = fake_random() % FRAMES, size = 1 + fake_random() % (FRAMES - from), frames = 0;
			unsigned want = 1 + fake_random() % 8, align = 1u << fake_random() % 4, least = fake_random() % 8, limit = fake_random() % (FRAMES + 1);
			unsigned at = limit > want ? (limit - want) / align * align : 0;

			assert_true(range_set_remove(&s, from * PAGE_SIZE, (from + size) * PAGE_SIZE));
			memset(in + from, 0, size);
			for (unsigned i = 0; i < s.nr; i++)
				for (u64 f = s.r[i].start >> PAGE_SHIFT; f < s.r[i].end >> PAGE_SHIFT; f++, frames++)
					assert_true(in[f]);
			for (unsigned i = 0; i < FRAMES; i++)
				frames -= in[i];
			assert_int_equal(frames, 0);
			while (at && (at < least || memchr(in + at, 0, want)))
				at = at < least ? 0 : at - align;
			assert_int_equal(range_set_find(&s, want * PAGE_SIZE, align * PAGE_SIZE, least * PAGE_SIZE, limit * PAGE_SIZE), at * PAGE_SIZE);
		}
	}
}

static void full_set_says_so(void **state)
{
	struct range_set s = { 0 };

	for (unsigned i = 0; i < MEMORY_MAP_MAX; i++)
		assert_true(range_set_add(&s, 4 * i * PAGE_SIZE, (4 * i + 3) * PAGE_SIZE));
	assert_false(range_set_add(&s, MiB(64), MiB(65)));
	assert_false(range_set_remove(&s, PAGE_SIZE, 2 * PAGE_SIZE));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(map_in_any_order),
		cmocka_unit_test(parts_of_frames_are_no_ram),
		cmocka_unit_test(full_map_keeps_what_it_has),
		cmocka_unit_test(sets_of_ranges),
		cmocka_unit_test(full_set_says_so),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
