/* units: lib/cmdline.c */
/* The command line: what each option does, and that a wrong one costs a line in the log and nothing else. */
#include "tests/unit/fake.h"
#include "lib/cmdline.h"
#include "drivers/iommu/iommu.h"
#include "vmm/versions.h"
#include <stdio.h>

static struct cmdline parse(const char *line)
{
	struct cmdline c;

	fake_log_clear();
	cmdline_parse(line, &c);
	return c;
}

static void defaults(void **state)
{
	struct cmdline c = parse("");

	assert_int_equal(c.dom0_mem, 0);
	assert_int_equal(c.dom0_max_vcpus, 0);
	assert_int_equal(c.console, CONSOLE_COM1);
	assert_int_equal(c.baud, 115200);
	assert_int_equal(c.log_level, 2);
	assert_int_equal(c.xen_minor, 17);
	assert_string_equal(c.cpuid, "");
	assert_false(c.noreboot);
	assert_false(c.no_speculation_guards);
	assert_string_equal(fake_log, "");
}

static void every_option(void **state)
{
	struct cmdline c = parse("  dom0_mem=1G dom0_max_vcpus=4\tconsole=com2,9600 loglvl=debug  noreboot spec=no xen=4.20 cpuid=-avx2,-rdseed help");

	assert_int_equal(c.dom0_mem, GiB(1));
	assert_int_equal(c.dom0_max_vcpus, 4);
	assert_int_equal(c.console, CONSOLE_COM2);
	assert_int_equal(c.baud, 9600);
	assert_int_equal(c.log_level, 3);
	assert_int_equal(c.xen_minor, 20);
	assert_string_equal(c.cpuid, "-avx2,-rdseed help");
	assert_true(c.help);
	assert_true(c.noreboot);
	assert_true(c.no_speculation_guards);
	assert_string_equal(fake_log, "");
}

static void sizes(void **state)
{
	assert_int_equal(parse("dom0_mem=512M").dom0_mem, MiB(512));
	assert_int_equal(parse("dom0_mem=524288k").dom0_mem, MiB(512));
	assert_int_equal(parse("dom0_mem=2g").dom0_mem, GiB(2));
	assert_int_equal(parse("dom0_mem=4194304G").dom0_mem, BIT(52));
}

static void levels_and_consoles(void **state)
{
	assert_int_equal(parse("loglvl=err").log_level, 0);
	assert_int_equal(parse("").iommu, IOMMU_ON);
	assert_int_equal(parse("iommu=no").iommu, IOMMU_OFF);
	assert_int_equal(parse("iommu=verbose iommu=strict").iommu, IOMMU_STRICT);
	assert_false(parse("").filter_interrupts);
	assert_true(parse("intremap=yes").filter_interrupts);
	assert_false(parse("intremap=yes intremap=no").filter_interrupts);
	assert_int_equal(parse("loglvl=warn").log_level, 1);
	assert_int_equal(parse("loglvl=info").log_level, 2);
	assert_int_equal(parse("console=none").console, CONSOLE_NONE);
	assert_int_equal(parse("console=com2").console, CONSOLE_COM2);
	assert_int_equal(parse("console=com1,57600").baud, 57600);
}

/* Debian's wrapper looks for the toolstack of this release; what is served is the same for all. */
static void releases(void **state)
{
	static const char *const wrong[] = { "4", "4.", "4.16", "4.23.0", "4.170", "4.2", "5.17", "04.17", "4.17.0", "-4.17", "4.4294967313", "" };

	for (u32 minor = 17; minor <= 22; minor++) {
		char line[32];

		snprintf(line, sizeof(line), "xen=4.%u", minor);
		assert_int_equal(parse(line).xen_minor, minor);
		assert_string_equal(fake_log, "");
	}
	/* A later toolstack than are served: the newest that is. */
	assert_int_equal(parse("xen=4.23").xen_minor, 22);
	assert_logged("\"xen=4.23\": Xen 4.22's toolstack is the newest that is served, so 4.22 is reported");
	for (unsigned i = 0; i < ARRAY_SIZE(wrong); i++) {
		char line[64];

		snprintf(line, sizeof(line), "xen=4.19 xen=%s", wrong[i]);
		assert_int_equal(parse(line).xen_minor, 19);
		assert_logged("xen= has to be a release from " XEN_RELEASES);
	}
}

static void the_last_one_counts(void **state)
{
	assert_int_equal(parse("dom0_mem=1G dom0_mem=2G").dom0_mem, GiB(2));
	assert_false(parse("spec=no spec=yes").no_speculation_guards);
	assert_int_equal(parse("dom0_mem=1G dom0_mem=x").dom0_mem, GiB(1));
}

static void unknown_options_are_named(void **state)
{
	static const char *const unknown[] = { "numa=on", "dom0mem=1G", "noreboots", "help=1", "dom0_mem", "=", "-", "NOREBOOT" };

	for (unsigned i = 0; i < ARRAY_SIZE(unknown); i++) {
		char line[64];

		snprintf(line, sizeof(line), "%s dom0_mem=1G", unknown[i]);
		assert_int_equal(parse(line).dom0_mem, GiB(1));
		snprintf(line, sizeof(line), "\"%s\" is unknown", unknown[i]);
		assert_logged(line);
	}
}

static void malformed_values_change_nothing(void **state)
{
	static const char *const wrong[] = {
		"dom0_mem=", "dom0_mem=G", "dom0_mem=1", "dom0_mem=1T", "dom0_mem=1GG", "dom0_mem=0M", "dom0_mem=-1G", "dom0_mem=1.5G",
		"dom0_mem=4194305G", "dom0_mem=18446744073709551617K", "dom0_mem=99999999999999999999999M", "dom0_max_vcpus=",
		"dom0_max_vcpus=0", "dom0_max_vcpus=129", "dom0_max_vcpus=2x", "console=", "console=com3", "console=com1,",
		"console=com1,0", "console=com1,100000", "console=com11", "console=none,9600", "loglvl=", "loglvl=warning", "loglvl=3", "iommu=", "iommu=on", "iommu=no,strict", "iommu=strictly",
		"spec=", "spec=off", "spec=nothing", "cpuid=", "cpuid=avx2",
	};
	struct cmdline expected = parse("");

	for (unsigned i = 0; i < ARRAY_SIZE(wrong); i++) {
		struct cmdline c = parse(wrong[i]);

		assert_memory_equal(&c, &expected, sizeof(c));
		assert_logged(wrong[i]);
		assert_logged("has to be");
	}
	parse("dom0_mem=1T");
	assert_logged("Option \"dom0_mem=1T\" is ignored: dom0_mem= has to be a size such as 512M or 2G\n");
}

static void help_prints_every_option(void **state)
{
	assert_true(parse("help").help);
	cmdline_print_help();
	assert_logged("dom0_mem=");
	assert_logged("dom0_max_vcpus=");
	assert_logged("console=");
	assert_logged("loglvl=");
	assert_logged("noreboot");
	assert_logged("help");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(defaults),
		cmocka_unit_test(every_option),
		cmocka_unit_test(sizes),
		cmocka_unit_test(levels_and_consoles),
		cmocka_unit_test(releases),
		cmocka_unit_test(the_last_one_counts),
		cmocka_unit_test(unknown_options_are_named),
		cmocka_unit_test(malformed_values_change_nothing),
		cmocka_unit_test(help_prints_every_option),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
