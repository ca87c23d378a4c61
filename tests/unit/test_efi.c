/* units: efi/config.c efi/information.c boot/multiboot2.c */
/* bothy.efi's own parts: its configuration file, and the information that it makes, read back by the hypervisor's reader. */
#include "tests/unit/fake.h"
#include <stdio.h>
#include "boot/multiboot2.h"
#include "efi/config.h"
#include "efi/information.h"
#include "mm/memory_map.h"

static struct config config;
static unsigned line;

/* A copy of exactly the right size, where the sanitiser sees each byte too many. */
static const char *parse(const char *text, size_t size)
{
	char *copy = test_malloc(size + !size);
	const char *why;

	if (size)
		memcpy(copy, text, size);
	why = config_parse(copy, size, &config, &line);
	test_free(copy);
	return why;
}
static const char *parse_text(const char *text) { return parse(text, strlen(text)); }

static void a_configuration_is_read(void **state)
{
	assert_null(parse_text("# Bothy\n\ntitle   Debian, on Bothy\nbothy dom0_mem=2G  console=com1,115200\nlinux\t/vmlinuz \n"
			       "  initrd \\EFI\\initrd.img\noptions root=/dev/sda2 ro\noptions quiet"));
	assert_string_equal(config.bothy, "dom0_mem=2G  console=com1,115200");
	assert_string_equal(config.kernel, "/vmlinuz");
	assert_string_equal(config.initrd, "\\EFI\\initrd.img");
	assert_string_equal(config.options, "root=/dev/sda2 ro quiet");
}

static void an_editor_of_windows_does_no_harm(void **state)
{
	assert_null(parse_text("\xef\xbb\xbflinux vmlinuz\r\n\r\noptions ro\r\n"));
	assert_string_equal(config.kernel, "vmlinuz");
	assert_string_equal(config.options, "ro");
	assert_string_equal(config.initrd, "");
}

static void wrong(const char *text, unsigned at, const char *what)
{
	const char *why = parse_text(text);

	assert_non_null(why);
	if (!__builtin_strstr(why, what))
		fail_msg("'%s' does not say '%s'", why, what);
	assert_int_equal(line, at);
}

static void a_wrong_line_is_named(void **state)
{
	char text[2048];

	wrong("", 0, "no kernel");
	wrong("bothy console=com1\n# linux /vmlinuz\n", 0, "no kernel");
	wrong("linux /vmlinuz\nkernel /vmlinuz\n", 2, "none of");
	wrong("linuxx /vmlinuz\n", 1, "none of");
	wrong("\n\nlinux\n", 3, "nothing follows");
	wrong("linux a\nlinux b\n", 2, "second time");
	wrong("linux a\ninitrd \x01\n", 2, "no text");
	memset(text, 'a', sizeof(text));
	memcpy(text, "linux ", 6);
	text[300] = '\0';
	wrong(text, 1, "too long");
	assert_non_null(parse("linux a\n\0", 9));
}

/* To the last byte: in two lines that are joined, and in one. */
static void a_value_fills_its_place(void **state)
{
	size_t most = sizeof(config.options) - 1;
	char text[4096];

	for (size_t joined = 0; joined < 2; joined++)
		for (size_t more = 0; more < 2; more++) {
			int n = snprintf(text, sizeof(text), "linux a\n%soptions ", joined ? "options b\n" : "");
			size_t len = most - (joined ? 2 : 1) + more;

			memset(text + n, 'x', len);
			assert_int_equal(parse(text, (size_t)n + len) != NULL, more);
		}
}

/* Whatever is in the file: no byte outside it is read, and each text ends. */
static void any_bytes_are_read_safely(void **state)
{
	static const char *const words[] = { "linux", "initrd", "options", "bothy", "title", " ", "\t", "\n", "\r\n", "#", "/a", "\xff", "\1" };
	char text[256];

	for (unsigned n = 0; n < 20000; n++) {
		size_t len = 0;

		for (unsigned i = fake_random() % 20; i > 0 && len < sizeof(text) - 16; i--) {
			const char *w = words[fake_random() % ARRAY_SIZE(words)];

			memcpy(text + len, w, strlen(w));
			len += strlen(w);
		}
		if (parse(text, len) == NULL)
			assert_true(config.kernel[0]);
		assert_true(strnlen(config.options, sizeof(config.options)) < sizeof(config.options));
	}
}

enum { LOADER_DATA = 2, BOOT_DATA = 4, CONVENTIONAL = 7, ACPI_RECLAIM = 9, ACPI_NVS = 10, MMIO = 11, RUNTIME_DATA = 6 };
/* The firmware's descriptors are larger than the specification's. */
struct descriptor { struct efi_memory m; u64 more; };
static struct descriptor map[] = {
	{ .m = { CONVENTIONAL, 0, 0, 0, 0xa0, 0 } },
	{ .m = { CONVENTIONAL, 0, MiB(1), 0, 0x700, 0 } },
	{ .m = { MMIO, 0, 0xffc00000, 0, 0x400, 0 } },
	{ .m = { LOADER_DATA, 0, MiB(8), 0, 0x100, 0 } },
	{ .m = { ACPI_RECLAIM, 0, MiB(10), 0, 1, 0 } },
	{ .m = { ACPI_NVS, 0, MiB(10) + 0x1000, 0, 1, 0 } },
	{ .m = { BOOT_DATA, 0, MiB(9), 0, 0x100, 0 } },
	{ .m = { RUNTIME_DATA, 0, MiB(10) + 0x2000, 0, 2, 0 } },
	{ .m = { CONVENTIONAL, 0, GiB(4), 0, 0x40000, 0 } },
};

static size_t build(u8 *buf, size_t size)
{
	static const u8 rsdp[36] = "RSD PTR ";
	struct descriptor copy[ARRAY_SIZE(map)];
	struct information i;

	memcpy(copy, map, sizeof(map));
	information_start(&i, buf, size);
	information_cmdline(&i, "console=com1");
	information_loader(&i, "bothy.efi");
	information_module(&i, 0x7000000, 0x1234, "root=/dev/sda2");
	information_module(&i, 0x6000000, 0x10, "");
	information_efi(&i, 0x7f000000, 0x8000000);
	information_rsdp(&i, rsdp, 20, false);
	information_rsdp(&i, rsdp, 36, true);
	information_memory(&i, copy, sizeof(copy), sizeof(copy[0]));
	return information_end(&i) ? i.used : 0;
}

static void the_information_is_what_the_hypervisor_reads(void **state)
{
	static const struct boot_memory want[] = {
		{ 0, 0xa0000, MEMORY_RAM }, { MiB(1), MiB(9), MEMORY_RAM }, { MiB(10), 0x1000, MEMORY_ACPI },
		{ MiB(10) + 0x1000, 0x1000, MEMORY_NVS }, { MiB(10) + 0x2000, 0x2000, MEMORY_RESERVED },
		{ 0xffc00000, 0x400000, MEMORY_RESERVED }, { GiB(4), GiB(1), MEMORY_RAM },
	};
	static u8 buf[4096];
	static struct boot_info info;
	const char *why;
	size_t used = build(buf, sizeof(buf));

	assert_true(used > 0);
	assert_int_equal(multiboot2_parse(buf, used, &info, &why), 0);
	assert_string_equal(info.cmdline, "console=com1");
	assert_int_equal(info.nr_modules, 2);
	assert_int_equal(info.module[0].start, 0x7000000);
	assert_int_equal(info.module[0].end, 0x7001234);
	assert_string_equal(info.module[0].cmdline, "root=/dev/sda2");
	assert_int_equal(info.module[1].end, 0x6000010);
	assert_int_equal(info.rsdp_size, 36);
	assert_int_equal(info.nr_memory, ARRAY_SIZE(want));
	for (unsigned i = 0; i < ARRAY_SIZE(want); i++) {
		assert_int_equal(info.memory[i].start, want[i].start);
		assert_int_equal(info.memory[i].size, want[i].size);
		assert_int_equal(info.memory[i].type, want[i].type);
	}
}

static void what_does_not_fit_is_noticed(void **state)
{
	u8 *buf = test_malloc(4096);
	size_t need = build(buf, 4096);

	test_free(buf);
	for (size_t size = 8; size < need; size++) {
		buf = test_malloc(size);
		assert_int_equal(build(buf, size), 0);
		test_free(buf);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_configuration_is_read),
		cmocka_unit_test(an_editor_of_windows_does_no_harm),
		cmocka_unit_test(a_wrong_line_is_named),
		cmocka_unit_test(a_value_fills_its_place),
		cmocka_unit_test(any_bytes_are_read_safely),
		cmocka_unit_test(the_information_is_what_the_hypervisor_reads),
		cmocka_unit_test(what_does_not_fit_is_noticed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
