/* units: lib/string.c */
/* The string functions against those of the host, over all small lengths, alignments and overlaps. Ours have our_ in front. */
#include "tests/unit/fake.h"

#define DECLARE(ret, name, ...) ret our_##name(__VA_ARGS__)
DECLARE(void *, memcpy, void *, const void *, size_t);
DECLARE(void *, memmove, void *, const void *, size_t);
DECLARE(void *, memset, void *, int, size_t);
DECLARE(int, memcmp, const void *, const void *, size_t);
DECLARE(size_t, strlen, const char *);
DECLARE(size_t, strnlen, const char *, size_t);

static void fill_pattern(u8 *p, size_t n)
{
	for (size_t i = 0; i < n; i++)
		p[i] = (u8)(i * 7 + 1);
}

static void copies_and_fills_are_exact(void **state)
{
	u8 src[96], ours[96], theirs[96];

	fill_pattern(src, sizeof(src));
	for (size_t at = 0; at < 16; at++) {
		for (size_t n = 0; n <= 64; n++) {
			memset(ours, 0xee, sizeof(ours));
			memset(theirs, 0xee, sizeof(theirs));
			assert_ptr_equal(our_memcpy(ours + at, src + 3, n), ours + at);
			memcpy(theirs + at, src + 3, n);
			assert_memory_equal(ours, theirs, sizeof(ours));
			assert_ptr_equal(our_memset(ours + at, 0x1234, n), ours + at);
			memset(theirs + at, 0x34, n);
			assert_memory_equal(ours, theirs, sizeof(ours));
		}
	}
}

static void moves_survive_every_overlap(void **state)
{
	u8 ours[64], theirs[64];

	for (size_t from = 0; from < 24; from++) {
		for (size_t to = 0; to < 24; to++) {
			for (size_t n = 0; n <= 40; n++) {
				fill_pattern(ours, sizeof(ours));
				fill_pattern(theirs, sizeof(theirs));
				assert_ptr_equal(our_memmove(ours + to, ours + from, n), ours + to);
				memmove(theirs + to, theirs + from, n);
				assert_memory_equal(ours, theirs, sizeof(ours));
			}
		}
	}
}

static int sign(int x)
{
	return (x > 0) - (x < 0);
}

static void comparisons_agree_with_the_host(void **state)
{
	static const char *const s[] = { "", "a", "ab", "abc", "abd", "b", "\xff", "a\xff", "ab\x80" };

	for (unsigned i = 0; i < ARRAY_SIZE(s); i++) {
		assert_int_equal(our_strlen(s[i]), strlen(s[i]));
		assert_int_equal(our_strnlen(s[i], 2), strnlen(s[i], 2));
		for (unsigned j = 0; j < ARRAY_SIZE(s); j++) {
			size_t n = MIN(strlen(s[i]), strlen(s[j]));

			assert_int_equal(sign(our_memcmp(s[i], s[j], n)), sign(memcmp(s[i], s[j], n)));
		}
	}
}

static void strlcpy_always_ends_the_copy(void **state)
{
	char buf[8] = "xxxxxxx";

	assert_int_equal(strlcpy(buf, "hello", 4), 5);
	assert_string_equal(buf, "hel");
	assert_int_equal(buf[4], 'x');
	assert_int_equal(strlcpy(buf, "hello", sizeof(buf)), 5);
	assert_string_equal(buf, "hello");
	assert_int_equal(strlcpy(buf, "no", 0), 2);
	assert_string_equal(buf, "hello");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(copies_and_fills_are_exact),
		cmocka_unit_test(moves_survive_every_overlap),
		cmocka_unit_test(comparisons_agree_with_the_host),
		cmocka_unit_test(strlcpy_always_ends_the_copy),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
