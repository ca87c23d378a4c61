/* units: drivers/acpi.c drivers/acpi_build.c */
/* ACPI: a machine's tables, then each of them broken; and the tables that dom0 gets. */
#include "tests/unit/fake.h"
#include "drivers/acpi.h"
#include <stdlib.h>

/* Physical memory of these tests: each table is a block of its own, so that the sanitiser guards its end. */
static struct { paddr_t pa; u8 *data; size_t len; } block[64];
static unsigned nr_blocks;

static const void *map(paddr_t pa, size_t len)
{
	for (unsigned i = 0; i < nr_blocks; i++)
		if (pa == block[i].pa)
			return len <= block[i].len ? block[i].data : NULL;
	return NULL;
}

static void *put_block(paddr_t pa, const void *data, size_t len)
{
	u8 *p = malloc(len);

	memcpy(p, data, len);
	block[nr_blocks].pa = pa;
	block[nr_blocks].data = p;
	block[nr_blocks++].len = len;
	return p;
}

static void forget_blocks(void)
{
	while (nr_blocks)
		free(block[--nr_blocks].data);
}

static void fix(void *table)
{
	struct acpi_header *h = table;

	h->checksum = 0;
	h->checksum = (u8)-acpi_checksum(h, h->length);
}

/* A table of `len` bytes with its header filled in; the contents follow in `body`. */
static void *put_table(paddr_t pa, const char *signature, const void *body, size_t len)
{
	struct { struct acpi_header h; u8 body[512]; } t = { .h = { .length = (u32)(sizeof(t.h) + len), .revision = 1 } };
	void *p;

	memcpy(t.h.signature, signature, 4);
	memcpy(t.body, body, len);
	p = put_block(pa, &t, sizeof(t.h) + len);
	fix(p);
	return p;
}

/* --- the machine ---------------------------------------------------------------------------------------------------------- */

enum { RSDT = 0x1000, XSDT = 0x2000, MADT = 0x3000, FADT = 0x4000, DSDT = 0x5000, HPET = 0x6000, MCFG = 0x7000, SSDT = 0x8000 };

static struct acpi_rsdp rsdp;
static struct acpi acpi;
static struct acpi_info info;
static struct acpi_madt *madt;
static struct acpi_fadt *fadt;
static struct acpi_header *dsdt, *xsdt;

static const u8 madt_body[] = {
	0, 0, 0xe0, 0xfe, 1, 0, 0, 0,                   /* LAPIC address, PCAT_COMPAT */
	0, 8, 0, 4, 1, 0, 0, 0,                         /* CPU: UID 0, APIC id 4 */
	0, 8, 1, 6, 0, 0, 0, 0,                         /* disabled */
	0, 8, 2, 255, 0, 0, 0, 0,                       /* place holder */
	9, 16, 0, 0, 0x2c, 1, 0, 0, 1, 0, 0, 0, 7, 0, 0, 0,     /* x2APIC: id 300, UID 7 */
	1, 12, 9, 0, 0, 0, 0xc0, 0xfe, 0, 0, 0, 0,      /* I/O APIC 9 at GSI 0 */
	2, 10, 0, 0, 2, 0, 0, 0, 0, 0,                  /* IRQ 0 is GSI 2 */
	2, 10, 0, 9, 9, 0, 0, 0, 13, 0,                 /* IRQ 9 is GSI 9, level, high */
	3, 8, 5, 0, 21, 0, 0, 0,                        /* NMI source GSI 21 */
	4, 6, 255, 0, 0, 1,                             /* LINT1 of all is NMI */
	5, 12, 0, 0, 0, 0, 0xe1, 0xfe, 0, 0, 0, 0,      /* LAPIC address override */
	0x7f, 4, 1, 2,                                  /* unknown */
};

static const u8 dsdt_body[] = {
	0x10, 0x20, '_', 'S', '5', '_', 0x70,           /* the name in some other role */
	0x08, '_', 'S', '4', '_', 0x12, 0x06, 0x04, 0x0a, 0x06, 0x0a, 0x06, 0, 0,
	0x08, '_', 'S', '5', '_', 0x12, 0x08, 0x04, 0x0a, 0x07, 0x0a, 0x05, 0x00, 0x00, 0x5b,
};

static void put_machine(void)
{
	static const u64 tables[] = { FADT, MADT, HPET, MCFG, SSDT };
	static const u8 hpet_body[20] = { [4] = 0, [5] = 64, [8] = 0, [9] = 0, [10] = 0xd0, [11] = 0xfe };
	static const u8 mcfg_body[24] = { [8 + 3] = 0xb0, [8 + 10] = 0, [8 + 11] = 0xff };
	struct acpi_fadt f = {
		.dsdt = 0xbad, .x_dsdt = DSDT, .sci_irq = 9, .smi_cmd = 0xb2, .acpi_enable = 0xf1, .pm1a_control = 0x604, .pm_timer = 0x608,
		.flags = ACPI_FADT_RESET | BIT(8) /* a 32-bit timer */, .reset = { .space = ACPI_SPACE_IO, .width = 8, .address = 0xcf9 },
		.reset_value = 6, .x_pm1b_control = { .space = ACPI_SPACE_IO, .address = 0x704 },
	};

	forget_blocks();
	fake_log_clear();
	xsdt = put_table(XSDT, "XSDT", tables, sizeof(tables));
	madt = put_table(MADT, "APIC", madt_body, sizeof(madt_body));
	fadt = put_table(FADT, "FACP", &f.facs, sizeof(f) - sizeof(f.header));
	dsdt = put_table(DSDT, "DSDT", dsdt_body, sizeof(dsdt_body));
	put_table(HPET, "HPET", hpet_body, sizeof(hpet_body));
	put_table(MCFG, "MCFG", mcfg_body, sizeof(mcfg_body));
	put_table(SSDT, "SSDT", "aml", 3);
	rsdp = (struct acpi_rsdp){ .signature = "RSD PTR", .revision = 2, .rsdt = RSDT, .length = 36, .xsdt = XSDT };
	rsdp.signature[7] = ' ';
	rsdp.checksum = (u8)-acpi_checksum(&rsdp, 20);
	rsdp.extended_checksum = (u8)-acpi_checksum(&rsdp, 36);
}

static void parse(void)
{
	assert_int_equal(acpi_init(&acpi, &rsdp, sizeof(rsdp), map), 0);
	acpi_parse(&acpi, &info);
}

static unsigned lines_logged(void)
{
	unsigned n = 0;

	for (const char *p = fake_log; *p; p++)
		n += *p == '\n';
	return n;
}

static void a_good_machine_is_read(void **state)
{
	put_machine();
	parse();
	assert_string_equal(fake_log, "");

	assert_int_equal(info.nr_cpus, 2);
	assert_int_equal(info.apic_id[0], 4);
	assert_int_equal(info.apic_id[1], 300);

	assert_int_equal(info.pm1a_control, 0x604);
	assert_int_equal(info.pm1b_control, 0x704);
	assert_int_equal(info.pm_timer, 0x608);
	assert_int_equal(info.reset, 0xcf9);
	assert_int_equal(info.reset_value, 6);
	assert_true(info.has_s5);
	assert_int_equal(info.slp_typ_a, 7);
	assert_int_equal(info.slp_typ_b, 5);

}

static void old_machine_has_an_rsdt(void **state)
{
	static const u32 tables[] = { FADT, MADT };

	put_machine();
	put_table(RSDT, "RSDT", tables, sizeof(tables));
	assert_int_equal(acpi_init(&acpi, &rsdp, 20, map), 0);
	assert_int_equal(acpi.nr_tables, 2);
	xsdt->checksum++;       /* a broken XSDT: the RSDT serves */
	assert_int_equal(acpi_init(&acpi, &rsdp, 36, map), 0);
	assert_int_equal(acpi.nr_tables, 2);
	assert_logged("XSDT");
}

static void fadt_of_acpi_1_is_enough(void **state)
{
	put_machine();
	fadt->header.length = ACPI_FADT_V1_SIZE;
	fadt->dsdt = DSDT;
	fix(fadt);
	parse();
	assert_string_equal(fake_log, "");
	assert_int_equal(info.pm1a_control, 0x604);
	assert_int_equal(info.pm1b_control, 0);
	assert_int_equal(info.reset, 0);
	assert_true(info.has_s5);
}

static void without_a_root_there_is_an_error(void **state)
{
	put_machine();
	assert_int_equal(acpi_init(&acpi, &rsdp, 0, map), -EINVAL);
	assert_logged("no root pointer");
	rsdp.checksum++;
	assert_int_equal(acpi_init(&acpi, &rsdp, 36, map), -EINVAL);
	assert_logged("checksum");
	put_machine();
	xsdt->length = 35;
	assert_int_equal(acpi_init(&acpi, &rsdp, 36, map), -EINVAL);    /* and no RSDT either */
}

/* Each table with a wrong checksum, a wrong length, or cut: gone, with one line that names it, and the others still there. */
static void broken_tables_are_named_and_left_out(void **state)
{
	struct acpi_header **const table[] = { (void *)&madt, (void *)&fadt, &dsdt };

	for (unsigned i = 0; i < ARRAY_SIZE(table); i++) {
		for (unsigned how = 0; how < 5; how++) {
			char name[5] = "";

			put_machine();
			memcpy(name, (*table[i])->signature, 4);
			switch (how) {
			case 0: (*table[i])->checksum++; break;
			case 1: (*table[i])->length += 1000; break;
			case 2: (*table[i])->length = 20; break;
			case 3: (*table[i])->length = ~0u; break;
			case 4:
				if (*table[i] == dsdt)
					continue;       /* a DSDT may be just a header */
				(*table[i])->length = 37;
				fix(*table[i]);
			}
			parse();
			assert_logged(name);
			assert_int_equal(lines_logged(), 1);
			assert_int_equal(info.has_madt, table[i] != (void *)&madt);
			assert_int_equal(info.pm_timer != 0, table[i] != (void *)&fadt);
			assert_int_equal(info.has_s5, table[i] != &dsdt && table[i] != (void *)&fadt);
						}
	}
}

static void broken_madt_entry_ends_the_list(void **state)
{
	static const u8 lengths[] = { 0, 1, 7, 200 };

	for (unsigned i = 0; i < ARRAY_SIZE(lengths); i++) {
		put_machine();
		((u8 *)madt)[sizeof(*madt) + 8 + 1] = lengths[i];
		fix(madt);
		parse();
		assert_int_equal(info.nr_cpus, 1);
		assert_logged("byte 52");
		assert_int_equal(lines_logged(), 1);
	}
}

static void s5_needs_a_whole_package(void **state)
{
	u32 full = (u32)(sizeof(*dsdt) + sizeof(dsdt_body));

	for (u32 length = sizeof(*dsdt); length < full; length++) {
		bool whole = length >= full - 3;    /* what follows SLP_TYPb isn't read */

		put_machine();
		block[3].data = realloc(block[3].data, length);
		dsdt = (void *)block[3].data;
		block[3].len = length;
		dsdt->length = length;
		fix(dsdt);
		parse();
		assert_int_equal(info.has_s5, whole);
		assert_int_equal(lines_logged(), !whole);
	}
}

static void wrong_registers_are_not_ports(void **state)
{
	put_machine();
	fadt->x_pm1b_control.space = ACPI_SPACE_MEMORY;
	fadt->x_pm1a_control = (struct acpi_gas){ .space = ACPI_SPACE_IO, .address = 0x12345 };
	fadt->pm_timer = 0x10000;
	fadt->flags = 0;
	fix(fadt);
	parse();
	assert_int_equal(info.pm1b_control, 0);
	assert_int_equal(info.pm1a_control, 0x604);
	assert_int_equal(info.pm_timer, 0);
	assert_int_equal(info.reset, 0);
}

static void too_many_cpus_are_counted_off(void **state)
{
	struct { struct acpi_header h; u32 lapic, flags; struct acpi_madt_x2apic cpu[300]; } big = { .h.length = sizeof(big) };

	put_machine();
	memcpy(big.h.signature, "APIC", 4);
	for (unsigned i = 0; i < 300; i++)
		big.cpu[i] = (struct acpi_madt_x2apic){ .entry = { 9, 16 }, .apic_id = i, .uid = i, .flags = 1 };
	fix(&big);
	free(block[1].data);
	block[1].data = memcpy(malloc(sizeof(big)), &big, sizeof(big));
	block[1].len = sizeof(big);
	parse();
	assert_int_equal(info.nr_cpus, ACPI_MAX_CPUS);
	assert_logged("more CPUs");
	assert_int_equal(lines_logged(), 1);
}

/* By both kinds of entry; a disabled one may be a place holder with the id of one that counts. */
static void a_cpu_listed_twice_counts_once(void **state)
{
	static const u8 body[] = {
		0, 0, 0xe0, 0xfe, 1, 0, 0, 0,
		0, 8, 0, 4, 1, 0, 0, 0, 0, 8, 1, 6, 0, 0, 0, 0,
		9, 16, 0, 0, 4, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0,
		9, 16, 0, 0, 6, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0,
		9, 16, 0, 0, 6, 0, 0, 0, 1, 0, 0, 0, 2, 0, 0, 0,
	};

	put_machine();
	free(block[1].data);
	block[1].data = malloc(36 + sizeof(body));
	block[1].len = 36 + sizeof(body);
	madt = (void *)block[1].data;
	memset(madt, 0, 36);
	memcpy(madt, "APIC", 4);
	madt->header.length = 36 + sizeof(body);
	memcpy((u8 *)madt + 36, body, sizeof(body));
	fix(madt);
	parse();
	assert_int_equal(info.nr_cpus, 2);
	assert_int_equal(info.apic_id[0], 4);
	assert_int_equal(info.apic_id[1], 6);
	assert_string_equal(fake_log, "");
}

/* --- what dom0 gets ------------------------------------------------------------------------------------------------------- */

/* The n-th entry of a type, or NULL. */
static const void *entry(const u8 *table, size_t len, u8 type, unsigned n)
{
	const u8 *p = table + sizeof(struct acpi_madt);

	while (p < table + len && (p[0] != type || n--))
		p += p[1];
	return p < table + len ? p : NULL;
}

static void dom0_madt_has_its_cpus_and_our_wiring(void **state)
{
	const struct acpi_madt_override *override;
	static const u32 ids[] = { 4, 6, 300 };
	u8 buf[256] __aligned(8);
	int len;

	put_machine();
	parse();
	len = acpi_build_madt(buf, sizeof(buf), acpi_find(&acpi, "APIC"), ids, ARRAY_SIZE(ids), 1 << 11 | 1 << 9);
	assert_int_equal(len, 44 + 8 + 8 + 16 + 12 + 10 + 10 + 8 + 10);
	assert_int_equal(acpi_checksum(buf, (size_t)len), 0);

	/* Read as dom0 will. */
	free(block[1].data);
	block[1].data = memcpy(malloc((size_t)len), buf, (size_t)len);
	block[1].len = (size_t)len;
	parse();
	assert_string_equal(fake_log, "");
	assert_int_equal(((struct acpi_madt *)(void *)buf)->flags, 0);
	assert_int_equal(info.nr_cpus, 3);
	assert_memory_equal(info.apic_id, ids, sizeof(ids));
	for (u8 i = 0; i < 2; i++)
		assert_int_equal(((const struct acpi_madt_lapic *)entry(buf, (size_t)len, ACPI_MADT_LAPIC, i))->uid, i);
	assert_int_equal(((const struct acpi_madt_x2apic *)entry(buf, (size_t)len, ACPI_MADT_X2APIC, 0))->uid, 2);
	assert_non_null(entry(buf, (size_t)len, ACPI_MADT_IOAPIC, 0));
	assert_null(entry(buf, (size_t)len, ACPI_MADT_IOAPIC, 1));
	/* The firmware's two, and one for the interrupt that it has made level-triggered without a word. */
	override = entry(buf, (size_t)len, ACPI_MADT_OVERRIDE, 1);
	assert_int_equal(override->flags, 13);
	override = entry(buf, (size_t)len, ACPI_MADT_OVERRIDE, 2);
	assert_true(override->irq == 11 && override->gsi == 11 && override->flags == 15);
	assert_null(entry(buf, (size_t)len, ACPI_MADT_OVERRIDE, 3));
	assert_non_null(entry(buf, (size_t)len, ACPI_MADT_NMI_SOURCE, 0));
}

static void small_buffers_are_refused(void **state)
{
	static const u32 ids[] = { 0, 1 };
	static const paddr_t extra[] = { 0x100000 };
	u8 buf[256] __aligned(8);

	put_machine();
	parse();
	for (size_t len = 0; len < 44 + 8 + 8 + 12 + 10 + 10 + 8; len++)
		assert_int_equal(acpi_build_madt(buf, len, acpi_find(&acpi, "APIC"), ids, 2, 0), -ENOSPC);
	for (size_t len = 0; len < 36 + 4 * 8; len++)
		assert_int_equal(acpi_build_xsdt(buf, len, &acpi, extra, 1), -ENOSPC);
}

static void dom0_xsdt_hides_what_is_ours(void **state)
{
	static const paddr_t extra[] = { 0x123456000 };
	static const u64 expected[] = { FADT, MCFG, SSDT, 0x123456000 };
	u8 buf[256] __aligned(8);
	struct acpi_rsdp root;
	int len;

	put_machine();
	parse();
	len = acpi_build_xsdt(buf, sizeof(buf), &acpi, extra, 1);
	assert_int_equal(len, 36 + sizeof(expected));
	assert_int_equal(acpi_checksum(buf, (size_t)len), 0);
	assert_memory_equal(buf, "XSDT", 4);
	assert_memory_equal(buf + 36, expected, sizeof(expected));

	put_block(0x9000, buf, (size_t)len);
	acpi_build_rsdp(&root, &acpi, 0x9000);
	assert_int_equal(acpi_init(&acpi, &root, sizeof(root), map), 0);
	assert_int_equal(acpi.nr_tables, 4);
}

/* Each of the names by itself, spelt here once more. */
static void none_of_the_hidden_is_seen(void **state)
{
	static const char hidden[][5] = {
		"APIC", "HPET", "DMAR", "IVRS", "SRAT", "SLIT", "HMAT", "PPTT", "BGRT", "FPDT", "TPM2", "TCPA", "HEST", "BERT", "EINJ", "ERST", "WAET",
	};
	static const paddr_t extra[] = { 0x123456000 };
	u8 buf[256] __aligned(8);

	put_machine();
	parse();
	for (unsigned i = 0; i < ARRAY_SIZE(hidden); i++) {
		int before = acpi_build_xsdt(buf, sizeof(buf), &acpi, extra, 1);

		acpi.table[acpi.nr_tables++] = 0x10000 + i;
		put_table(0x10000 + i, hidden[i], "", 0);
		assert_int_equal(acpi_build_xsdt(buf, sizeof(buf), &acpi, extra, 1), before);
	}
}

/* 255 is "all" in the short entry, so neither an id nor a UID. */
static void short_entries_end_at_254(void **state)
{
	static const u32 ids[] = { 254, 255, 256 };
	u8 buf[256] __aligned(8);

	put_machine();
	parse();
	assert_true(acpi_build_madt(buf, sizeof(buf), acpi_find(&acpi, "APIC"), ids, ARRAY_SIZE(ids), 0) > 0);
	assert_int_equal(buf[44], ACPI_MADT_LAPIC);
	assert_int_equal(buf[44 + 8], ACPI_MADT_X2APIC);
	assert_int_equal(buf[44 + 8 + 16], ACPI_MADT_X2APIC);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_good_machine_is_read),
		cmocka_unit_test(old_machine_has_an_rsdt),
		cmocka_unit_test(fadt_of_acpi_1_is_enough),
		cmocka_unit_test(without_a_root_there_is_an_error),
		cmocka_unit_test(broken_tables_are_named_and_left_out),
		cmocka_unit_test(broken_madt_entry_ends_the_list),
		cmocka_unit_test(s5_needs_a_whole_package),
		cmocka_unit_test(wrong_registers_are_not_ports),
		cmocka_unit_test(too_many_cpus_are_counted_off),
		cmocka_unit_test(a_cpu_listed_twice_counts_once),
		cmocka_unit_test(dom0_madt_has_its_cpus_and_our_wiring),
		cmocka_unit_test(small_buffers_are_refused),
		cmocka_unit_test(dom0_xsdt_hides_what_is_ours),
		cmocka_unit_test(none_of_the_hidden_is_seen),
		cmocka_unit_test(short_entries_end_at_254),
	};
	int failed = cmocka_run_group_tests(tests, NULL, NULL);

	forget_blocks();
	return failed;
}
