/* units: drivers/acpi.c drivers/acpi_build.c */
/*
 * Firmware tables. The input is physical memory from address 0 on, the root pointer first. Checksums would stop nearly every
 * change of the fuzzer's, so each table's is put right when it is first mapped in full.
 */
#include "tests/fuzz/fuzz.h"
#include "drivers/acpi.h"
#include "lib/string.h"
#include <stdlib.h>

static u8 *memory;
static size_t memory_size;

/* Exactly the bytes asked for, in a block of their own, so that one byte too many is seen. */
static struct { paddr_t pa; size_t len; void *copy; } mapped[4096];
static unsigned nr_mapped;

static void fix_checksum(struct acpi_header *h, size_t len)
{
	if (len <= sizeof(*h) && (len < sizeof(*h) || h->length != len))
		return;
	h->checksum = 0;
	h->checksum = (u8)-acpi_checksum(h, len);
}

static const void *map(paddr_t pa, size_t len)
{
	for (unsigned i = 0; i < nr_mapped; i++)
		if (mapped[i].pa == pa && mapped[i].len == len)
			return mapped[i].copy;
	if (pa > memory_size || len > memory_size - pa || nr_mapped == ARRAY_SIZE(mapped))
		return NULL;
	mapped[nr_mapped].pa = pa;
	mapped[nr_mapped].len = len;
	mapped[nr_mapped].copy = malloc(len);
	memcpy(mapped[nr_mapped].copy, memory + pa, len);
	fix_checksum(mapped[nr_mapped].copy, len);
	return mapped[nr_mapped++].copy;
}

static void build_for_dom0(const struct acpi *acpi)
{
	static const u32 ids[] = { 0, 1, 300 };
	static const paddr_t extra[] = { 0x1000 };
	static u8 buf[4096] __aligned(8);
	const struct acpi_header *madt = acpi_find(acpi, "APIC");
	int len;

	if (madt && madt->length >= sizeof(struct acpi_madt)) {
		len = acpi_build_madt(buf, sizeof(buf), madt, ids, ARRAY_SIZE(ids), madt->checksum << 4);
		BUG_ON(len > 0 && acpi_checksum(buf, (size_t)len) != 0);
	}
	len = acpi_build_xsdt(buf, sizeof(buf), acpi, extra, ARRAY_SIZE(extra));
	BUG_ON(len > 0 && acpi_checksum(buf, (size_t)len) != 0);
}

int LLVMFuzzerTestOneInput(const u8 *data, size_t size)
{
	static struct acpi acpi;
	static struct acpi_info info;
	struct acpi_rsdp rsdp;

	if (size < sizeof(rsdp))
		return 0;
	memory = (u8 *)(uintptr_t)data;
	memory_size = size;
	memcpy(&rsdp, data, sizeof(rsdp));
	memcpy(rsdp.signature, "RSD PTR ", 8);
	rsdp.checksum = 0;
	rsdp.checksum = (u8)-acpi_checksum(&rsdp, 20);
	rsdp.extended_checksum = 0;
	rsdp.extended_checksum = (u8)-acpi_checksum(&rsdp, sizeof(rsdp));
	if (acpi_init(&acpi, &rsdp, sizeof(rsdp), map) == 0) {
		acpi_parse(&acpi, &info);
		build_for_dom0(&acpi);
	}
	while (nr_mapped)
		free(mapped[--nr_mapped].copy);
	return 0;
}
