/* units: boot/multiboot2.c */
/* The boot loader's information: a complete one, then each way in which it can be wrong or cut. */
#include "tests/unit/fake.h"
#include "boot/multiboot2.h"
#include "mm/memory_map.h"

static u8 buf[16384];
static size_t used;
static struct boot_info info;

static void put(const void *data, size_t len)
{
	if (len)    /* data may be NULL, which memcpy doesn't like */
		memcpy(buf + used, data, len);
	used += len;
}

static void put32(u32 x) { put(&x, 4); }
static void put64(u64 x) { put(&x, 8); }
static void start(void) { memset(buf, 0, sizeof(buf)); used = 8; }

/* A tag with two parts of payload, padded to 8. */
static void put_tag(u32 type, const void *data, size_t len, const char *text)
{
	size_t text_len = text ? strlen(text) + 1 : 0;

	put32(type);
	put32((u32)(8 + len + text_len));
	put(data, len);
	put(text, text_len);
	used = ROUND_UP(used, 8);
}

static void put_module(u32 from, u32 to, const char *text)
{
	const u32 range[2] = { from, to };

	put_tag(3, range, sizeof(range), text);
}

static void put_map_entry(u64 base, u64 size, u32 type)
{
	put64(base), put64(size), put32(type), put32(0);
}

static void put_map(unsigned entries)
{
	put32(6), put32(16 + 24 * entries), put32(24), put32(0);
}

static void put_small_map(void)
{
	put_map(1);
	put_map_entry(0, MiB(64), 1);
}

/* Parses a copy of exactly the right size, where the sanitiser sees each byte too many. */
static const char *parse(void)
{
	const char *why = "unset";
	u8 *copy;
	int rc;

	put_tag(0, NULL, 0, NULL);
	memcpy(buf, &used, 4);
	copy = test_malloc(used);
	memcpy(copy, buf, used);
	rc = multiboot2_parse(copy, used, &info, &why);
	test_free(copy);
	assert_int_equal(rc, why ? -EINVAL : 0);
	return why;
}

static void put_everything(void)
{
	static const u8 rsdp1[20] = "RSD PTR old", rsdp2[36] = "RSD PTR new";
	const u32 base = 0x7000000;
	const u64 efi = 0x7f000000;

	start();
	put_tag(1, NULL, 0, "dom0_mem=1G console=com1");
	put_tag(2, NULL, 0, "GRUB 2.06");
	put_module(0x1000000, 0x2000000, "root=/dev/sda1 ro");
	put_module(0x3000000, 0x3000001, "");
	put_map(5);
	put_map_entry(0, 0x9f000, 1);
	put_map_entry(0x9f000, 0x1000, 2);
	put_map_entry(0xf0000, 0x10000, 2);
	put_map_entry(MiB(1), MiB(1), 1);
	put_map_entry(MiB(2), GiB(8), 1);
	put_tag(8, "\0\0\0\xe0\0\0\0\0\0\x10\0\0\0\4\0\0\0\3\0\0\x20\1\0\0", 24, NULL);
	put_tag(14, rsdp1, sizeof(rsdp1), NULL);
	put_tag(15, rsdp2, sizeof(rsdp2), NULL);
	put_tag(99, "what the future brings", 20, NULL);
	put_tag(12, &efi, 8, NULL);
	put_tag(18, NULL, 0, NULL);
	put_tag(21, &base, 4, NULL);
}

static void everything_is_read(void **state)
{
	put_everything();
	assert_null(parse());
	assert_string_equal(info.cmdline, "dom0_mem=1G console=com1");
	assert_int_equal(info.nr_modules, 2);
	assert_int_equal(info.module[0].start, 0x1000000);
	assert_int_equal(info.module[0].end, 0x2000000);
	assert_string_equal(info.module[0].cmdline, "root=/dev/sda1 ro");
	assert_string_equal(info.module[1].cmdline, "");
	assert_int_equal(info.nr_memory, 4);
	assert_int_equal(info.memory[2].start, 0xf0000);
	assert_int_equal(info.memory[2].type, MEMORY_RESERVED);
	assert_int_equal(info.memory[3].start, MiB(1));
	assert_int_equal(info.memory[3].size, MiB(1) + GiB(8));
	assert_int_equal(info.rsdp_size, 36);
	assert_string_equal((char *)info.rsdp, "RSD PTR new");
}

static void newer_rsdp_wins_in_either_order(void **state)
{
	static const u8 rsdp1[20] = "RSD PTR old", rsdp2[36] = "RSD PTR new";

	start();
	put_small_map();
	put_tag(15, rsdp2, sizeof(rsdp2), NULL);
	put_tag(14, rsdp1, sizeof(rsdp1), NULL);
	assert_null(parse());
	assert_int_equal(info.rsdp_size, 36);
	start();
	put_small_map();
	put_tag(15, rsdp2, 35, NULL);
	put_tag(14, rsdp1, sizeof(rsdp1), NULL);
	assert_null(parse());
	assert_int_equal(info.rsdp_size, 20);
	assert_string_equal((char *)info.rsdp, "RSD PTR old");
}

static void little_is_enough(void **state)
{
	start();
	put_small_map();
	assert_null(parse());
	assert_int_equal(info.nr_modules, 0);
	assert_string_equal(info.cmdline, "");
	assert_int_equal(info.rsdp_size, 0);
}

static void truncated_modules_are_refused(void **state)
{
	start();
	put_small_map();
	put_module(0x1000, 0x1000, "empty");
	assert_string_equal(parse(), "truncated module: it ends where it starts");
	start();
	put_small_map();
	put_module(0x2000, 0x1000, "backwards");
	assert_non_null(parse());
	start();
	put_small_map();
	put_tag(3, "1234567", 7, NULL);
	assert_non_null(parse());
}

static void nine_modules_are_refused(void **state)
{
	start();
	put_small_map();
	for (unsigned i = 0; i < 8; i++)
		put_module(0x1000, 0x2000, "m");
	assert_null(parse());
	used -= 8;
	put_module(0x1000, 0x2000, "m");
	assert_string_equal(parse(), "there are more than 8 modules");
}

static void long_texts_are_refused(void **state)
{
	char text[1100];

	memset(text, 'x', sizeof(text));
	text[1023] = '\0';
	start();
	put_small_map();
	put_tag(1, NULL, 0, text);
	put_module(1, 2, text);
	assert_null(parse());
	assert_int_equal(strlen(info.cmdline), 1023);
	assert_int_equal(strlen(info.module[0].cmdline), 1023);
	text[1023] = 'x';
	text[1024] = '\0';
	start();
	put_small_map();
	put_tag(1, NULL, 0, text);
	assert_string_equal(parse(), "the hypervisor's command line is too long");
	start();
	put_small_map();
	put_module(1, 2, text);
	assert_string_equal(parse(), "a module's command line is too long");
}

static void text_without_end_is_refused(void **state)
{
	start();
	put_small_map();
	put_tag(1, "no end", 6, NULL);
	assert_non_null(parse());
}

static void wrong_memory_maps_are_refused(void **state)
{
	start();
	assert_string_equal(parse(), "it has no memory map");
	start();
	put_map(1);
	put_map_entry(0, 0, 1);
	assert_string_equal(parse(), "it has no memory map");
	start();
	put32(6), put32(16 + 24), put32(23), put32(0);
	put_map_entry(0, MiB(1), 1);
	assert_string_equal(parse(), "the memory map's entries are too small");
	start();
	put_map(1);
	put_map_entry(~0ull - 5, 7, 1);
	assert_string_equal(parse(), "an entry of the memory map wraps around");
	start();
	put_small_map();
	put_small_map();
	assert_string_equal(parse(), "there are two memory maps");
}

static void long_memory_map_is_joined_or_refused(void **state)
{
	start();
	put_map(400);
	for (unsigned i = 0; i < 400; i++)
		put_map_entry(i * MiB(1), MiB(1), i < 200 ? 1 : 2);
	assert_null(parse());
	assert_int_equal(info.nr_memory, 2);
	assert_int_equal(info.memory[1].size, MiB(200));
	start();
	put_map(129);
	for (unsigned i = 0; i < 129; i++)
		put_map_entry(i * MiB(1), MiB(1), 1 + i % 2);
	assert_string_equal(parse(), "the memory map has more than 128 entries");
}

static void larger_map_entries_are_read(void **state)
{
	start();
	put32(6), put32(16 + 2 * 40), put32(40), put32(1);
	put_map_entry(0, MiB(1), 1), put64(77), put64(78);
	put_map_entry(MiB(2), MiB(1), 1), put64(77), put64(78);
	assert_null(parse());
	assert_int_equal(info.nr_memory, 2);
	assert_int_equal(info.memory[1].start, MiB(2));
}

static void every_truncation_is_refused(void **state)
{
	const char *why;
	size_t full;

	put_everything();
	assert_null(parse());
	full = used;
	for (size_t size = 0; size < full; size++) {
		u8 *copy = test_malloc(size);

		memcpy(copy, buf, size);
		if (size >= 4)
			memcpy(copy, &size, 4);     /* shorter, and says so */
		assert_int_equal(multiboot2_parse(copy, size, &info, &why), -EINVAL);
		assert_non_null(why);
		if (size >= 4)
			memcpy(copy, &full, 4);     /* shorter than it says */
		assert_int_equal(multiboot2_parse(copy, size, &info, &why), -EINVAL);
		test_free(copy);
	}
}

static void wrong_tag_sizes_are_refused(void **state)
{
	static const u32 sizes[] = { 0, 7, 1000, 0x80000000, 0xffffffff, 0xfffffff8 };

	for (unsigned i = 0; i < ARRAY_SIZE(sizes); i++) {
		start();
		put_small_map();
		put32(77), put32(sizes[i]);
		assert_string_equal(parse(), "a tag reaches beyond its end");
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(everything_is_read),
		cmocka_unit_test(newer_rsdp_wins_in_either_order),
		cmocka_unit_test(little_is_enough),
		cmocka_unit_test(truncated_modules_are_refused),
		cmocka_unit_test(nine_modules_are_refused),
		cmocka_unit_test(long_texts_are_refused),
		cmocka_unit_test(text_without_end_is_refused),
		cmocka_unit_test(wrong_memory_maps_are_refused),
		cmocka_unit_test(long_memory_map_is_joined_or_refused),
		cmocka_unit_test(larger_map_entries_are_read),
		cmocka_unit_test(every_truncation_is_refused),
		cmocka_unit_test(wrong_tag_sizes_are_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
