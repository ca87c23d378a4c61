/* units: lib/printf.c */
/* Formatted output against the host's, which is also how each format here is known to mean what C says. */
#include "tests/unit/fake.h"
#include <stdio.h>

int our_snprintf(char *buf, size_t size, const char *fmt, ...);

#define same(...) do { \
	char ours_[128], theirs_[128]; \
	int n_ = our_snprintf(ours_, sizeof(ours_), __VA_ARGS__); \
	assert_int_equal(n_, snprintf(theirs_, sizeof(theirs_), __VA_ARGS__)); \
	assert_string_equal(ours_, theirs_); \
} while (0)

#pragma GCC diagnostic ignored "-Wformat"      /* some formats are odd on purpose */

static void integers(void **state)
{
	static const long values[] = { 0, 1, -1, 9, 10, 255, -255, INT32_MAX, INT32_MIN, UINT32_MAX, INT64_MAX, INT64_MIN };

	for (unsigned i = 0; i < ARRAY_SIZE(values); i++) {
		long v = values[i];

		same("%d %u %x", (int)v, (u32)v, (u32)v);
		same("%ld %lu %lx %llx %lld", v, v, v, (long long)v, (long long)v);
		same("%zu %zx %zd", (size_t)v, (size_t)v, (ssize_t)v);
		same("[%8d] [%-8d] [%08d] [%8u] [%-8u] [%08u]", (int)v, (int)v, (int)v, (u32)v, (u32)v, (u32)v);
		same("[%20lx] [%-20lx] [%020lx] [%#lx] [%#020lx] [%#20lx]", v, v, v, v, v, v);
		same("[%-08d] [%0-8x]", (int)v, (u32)v);
	}
}

static void text(void **state)
{
	same("plain");
	same("100%%");
	same("%s and %10s and %-10s|", "one", "two", "three");
	same("%.2s %.0s|%.*s|%5.1s|", "abc", "abc", 3, "abcdef", "xyz");
	same("%c%c [%4c] [%-4c]", 'a', 'b', 'c', 'd');
}

static void null_string_is_shown(void **state)
{
	char buf[32];

	our_snprintf(buf, sizeof(buf), "%s", (char *)NULL);
	assert_string_equal(buf, "(null)");
}

static void long_text_is_cut_but_counted(void **state)
{
	char buf[8];

	memset(buf, 'x', sizeof(buf));
	assert_int_equal(our_snprintf(buf, 5, "%s-%d", "abc", 1234), 8);
	assert_string_equal(buf, "abc-");
	assert_int_equal(buf[5], 'x');
	assert_int_equal(our_snprintf(buf, 1, "abc"), 3);
	assert_string_equal(buf, "");
	assert_int_equal(our_snprintf(NULL, 0, "%100d", 1), 100);
}

static void unknown_conversions_stay_visible(void **state)
{
	char buf[64];

	our_snprintf(buf, sizeof(buf), "a %q b %5y c");
	assert_string_equal(buf, "a %q b %5y c");
	our_snprintf(buf, sizeof(buf), "%p %X %+d %hd %*d");
	assert_string_equal(buf, "%p %X %+d %hd %*d");
	our_snprintf(buf, sizeof(buf), "end %");
	assert_string_equal(buf, "end %");
	our_snprintf(buf, sizeof(buf), "end %-08l");
	assert_string_equal(buf, "end %-08l");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(integers),
		cmocka_unit_test(text),
		cmocka_unit_test(null_string_is_shown),
		cmocka_unit_test(long_text_is_cut_but_counted),
		cmocka_unit_test(unknown_conversions_stay_visible),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
