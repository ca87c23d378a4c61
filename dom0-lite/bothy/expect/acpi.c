/*
 * The ACPI tables of a PVH guest. The structures are those of the ACPI specification, and their
 * contents and places what libxl chooses: each table begins at the next multiple of its alignment
 * behind the last byte of the one before. Fields are written by their offsets.
 */
#include "dom0-lite/bothy/expect/expect.h"
#include <string.h>

enum {
	HEADER = 36, CHECKSUM = 9,          /* of every table: its length, and where its checksum is */
	FACS = 64, FADT_1 = 116, FADT_5 = 268, MADT = 44, RSDP_1 = 20, RSDP_2 = 36,
	/* libxl reserves room for what only other guests have: 16 overrides, and an I/O APIC. */
	MADT_RESERVED = 16 * 10 + 12,
	LAPIC_ENTRY = 8,
	PM1_EVENT = 0xb000, PM1_CONTROL = 0xb004, PM_TIMER = 0xb008, GPE0 = 0xafe0, RESET = 0xcf9, SPACE_IO = 1,
	/* FADT flags: WBINVD, C1, no RTC in fixed space, a timer of 32 bits, the platform's clock. */
	FLAGS = 1 << 0 | 1 << 2 | 1 << 6 | 1 << 8 | 1 << 15,
	FLAGS_NO_BUTTONS = 1 << 4 | 1 << 5,
	BOOT_NO_VGA = 1 << 2, BOOT_NO_RTC = 1 << 5,
};

static void put(u8 *at, u32 offset, u64 value, u32 size) { memcpy(at + offset, &value, size); }

static void sum(u8 *table, u32 at, u32 size)
{
	u8 all = 0;

	table[at] = 0;
	for (u32 i = 0; i < size; i++)
		all = (u8)(all + table[i]);
	table[at] = (u8)-all;
}

static void header(u8 *table, const char *signature, u32 size, u8 revision)
{
	memcpy(table, signature, 4);
	put(table, 4, size, 4);
	table[8] = revision;
	memcpy(table + 10, "Xen", 3);
	memcpy(table + 16, "HVM", 3);
	memcpy(table + 28, "HVML", 4);
}

/* Where the next table goes. `last`: the offset of the last byte in use. */
struct room { struct acpi *a; u64 last; };

/* Returns the offset of `size` bytes. It is 0 for the first table, and if there is no room. */
static u32 take(struct room *r, u32 size, u32 align)
{
	u64 at = ROUND_UP(r->last, (u64)align);

	if (size > sizeof(r->a->tables) || at + size > sizeof(r->a->tables))
		return 0;
	r->last = at + size - 1;
	return (u32)at;
}

static u32 address(u32 offset) { return ACPI_BASE + GUEST_PAGE + offset; }

/* A register in I/O space, in ACPI's generic form. */
static void put_register(u8 *at, u32 offset, u8 bits, u64 port)
{
	at[offset] = SPACE_IO;
	at[offset + 1] = bits;
	put(at, offset + 4, port, 8);
}

/* What both FADTs have. `timer`: the PM timer is in it, which PVH guests don't have. */
static void build_fadt(u8 *t, u32 size, u8 revision, u32 facs, u32 dsdt, bool timer, u32 flags)
{
	header(t, "FACP", size, revision);
	put(t, 36, address(facs), 4);
	put(t, 40, address(dsdt), 4);
	put(t, 46, 9, 2);                   /* the SCI */
	put(t, 56, PM1_EVENT, 4);
	put(t, 64, PM1_CONTROL, 4);
	put(t, 80, GPE0, 4);
	t[88] = 4;                          /* bytes of these registers */
	t[89] = 2;
	t[92] = 4;
	if (timer) {
		put(t, 76, PM_TIMER, 4);
		t[91] = 4;
	}
	put(t, 96, 0xfff, 2);               /* no C2, no C3 */
	put(t, 98, 0xfff, 2);
	put(t, 112, flags, 4);
}

static void extend_fadt(u8 *t, u32 facs, u32 dsdt)
{
	put(t, 109, BOOT_NO_VGA | BOOT_NO_RTC, 2);
	put_register(t, 116, 8, RESET);
	t[128] = 6;
	put(t, 132, address(facs), 8);
	put(t, 140, address(dsdt), 8);
	put_register(t, 148, 32, PM1_EVENT);
	put_register(t, 172, 16, PM1_CONTROL);
}

/* The local APICs; their numbers are even. Returns the offset of the first one. */
static u32 build_madt(u8 *t, u32 vcpus, u32 maxvcpus)
{
	header(t, "APIC", MADT + maxvcpus * LAPIC_ENTRY, 2);
	put(t, 36, 0xfee00000, 4);
	put(t, 40, 1, 4);                   /* says that it has PICs too */
	for (u32 i = 0; i < maxvcpus; i++) {
		u8 *e = t + MADT + i * LAPIC_ENTRY;

		e[1] = LAPIC_ENTRY;
		e[2] = (u8)i;
		e[3] = (u8)(2 * i);
		e[4] = i < vcpus;
	}
	sum(t, CHECKSUM, MADT + maxvcpus * LAPIC_ENTRY);
	return MADT;
}

bool acpi_build(struct acpi *a, struct bytes dsdt, u32 vcpus, u32 maxvcpus, bool again)
{
	struct room r = { .a = a };
	u32 facs, dsdt_at, old, fadt, madt, xsdt, rsdt;
	u8 *t = a->tables;

	memset(a, 0, sizeof(*a));
	facs = take(&r, FACS, 64);
	dsdt_at = take(&r, (u32)MIN(dsdt.size, sizeof(a->tables) + 1), 16);
	old = take(&r, FADT_1, 16);
	fadt = take(&r, FADT_5, 16);
	madt = take(&r, MADT + MADT_RESERVED + maxvcpus * LAPIC_ENTRY, 16);
	xsdt = take(&r, HEADER + 2 * 8, 16);
	rsdt = take(&r, HEADER + 2 * 4, 16);
	if (!dsdt_at || !old || !fadt || !madt || !xsdt || !rsdt)
		return false;
	a->pages = (u32)(ROUND_UP(r.last, (u64)GUEST_PAGE) / GUEST_PAGE);
	memcpy(t + facs, "FACS", 4);
	put(t + facs, 4, FACS, 4);
	t[facs + 32] = 1;                   /* its version */
	memcpy(t + dsdt_at, dsdt.at, dsdt.size);
	/*
	 * The old FADT is a copy of a variable of libxl. Only after that does libxl take out of the
	 * variable what the guest lacks, so the next guest's old FADT lacks it too.
	 */
	build_fadt(t + old, FADT_1, 1, facs, dsdt_at, !again, again ? FLAGS | FLAGS_NO_BUTTONS : FLAGS);
	sum(t + old, CHECKSUM, FADT_1);
	build_fadt(t + fadt, FADT_5, 5, facs, dsdt_at, false, FLAGS | FLAGS_NO_BUTTONS);
	extend_fadt(t + fadt, facs, dsdt_at);
	sum(t + fadt, CHECKSUM, FADT_5);

	put(a->info, 2, maxvcpus, 2);
	put(a->info, 12, address(madt + CHECKSUM), 4);
	put(a->info, 16, address(madt + build_madt(t + madt, vcpus, maxvcpus)), 4);

	header(t + xsdt, "XSDT", HEADER + 2 * 8, 1);
	put(t + xsdt, HEADER, address(fadt), 8);
	put(t + xsdt, HEADER + 8, address(madt), 8);
	sum(t + xsdt, CHECKSUM, HEADER + 2 * 8);
	header(t + rsdt, "RSDT", HEADER + 2 * 4, 1);
	put(t + rsdt, HEADER, address(old), 4);
	put(t + rsdt, HEADER + 4, address(madt), 4);
	sum(t + rsdt, CHECKSUM, HEADER + 2 * 4);

	memcpy(a->rsdp, "RSD PTR ", 8);
	memcpy(a->rsdp + 9, "Xen", 3);
	a->rsdp[15] = 2;
	put(a->rsdp, 16, address(rsdt), 4);
	put(a->rsdp, 20, RSDP_2, 4);
	put(a->rsdp, 24, address(xsdt), 8);
	sum(a->rsdp, 8, RSDP_1);
	sum(a->rsdp, 32, RSDP_2);
	return true;
}

/* Returns the size of a DSDT of Xen's at `at`, or 0. */
static u32 dsdt_size(const u8 *at, size_t left)
{
	u32 size;
	u8 all = 0;

	if (left < HEADER || memcmp(at, "DSDT", 4) || memcmp(at + 10, "Xen", 4))
		return 0;
	memcpy(&size, at + 4, sizeof(size));
	if (size < HEADER || size > left)
		return 0;
	for (u32 i = 0; i < size; i++)
		all = (u8)(all + at[i]);
	return all ? 0 : size;
}

struct bytes acpi_find_dsdt(struct bytes library)
{
	struct bytes found = { 0 };

	for (size_t at = 0; at < library.size; at++) {
		u32 size = library.at[at] == 'D' ? dsdt_size(library.at + at, library.size - at) : 0;

		if (size && found.size)
			return (struct bytes){ 0 };
		if (size)
			found = (struct bytes){ library.at + at, size };
	}
	return found;
}
