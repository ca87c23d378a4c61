/*
 * ACPI without AML. The firmware's static tables name the CPUs, I/O APICs and ports, and say how to
 * switch off. The service domain sees the same tables, with the CPUs exchanged for its own.
 */
#ifndef DRIVERS_ACPI_H
#define DRIVERS_ACPI_H

#include "drivers/acpi_tables.h"

/*
 * Makes [pa, pa + len) readable for good. Returns a pointer to it, or NULL if it can't be mapped.
 */
typedef const void *acpi_map_fn(paddr_t pa, size_t len);

#define ACPI_MAX_TABLES 128

/* The tables that the firmware lists. */
struct acpi {
	acpi_map_fn *map;
	struct acpi_rsdp rsdp;
	unsigned nr_tables;
	paddr_t table[ACPI_MAX_TABLES];
};

#define ACPI_MAX_CPUS      256

/* The information from the tables. A missing or malformed table leaves its fields 0. */
struct acpi_info {
	/* MADT */
	bool has_madt;
	unsigned nr_cpus;
	u32 apic_id[ACPI_MAX_CPUS];     /* APIC ids of the enabled CPUs */

	/* FADT; ports, 0 if there is none */
	u16 pm1a_control, pm1b_control;
	u16 pm_timer;
	u16 reset;                  /* writing reset_value here restarts the machine */
	u8 reset_value;
	paddr_t dsdt;

	/* DSDT's \_S5: SLP_TYP values that power the machine off when written to PM1a and PM1b */
	bool has_s5;
	u8 slp_typ_a, slp_typ_b;

	bool too_many_cpus;         /* more CPUs than apic_id[] can hold */
};

/*
 * Reads the root table that the RSDP names. The boot loader copied `size` bytes of the RSDP: 20 or
 * 36. Returns 0. Errors: -EINVAL if there is no usable root table; the log says why.
 */
int acpi_init(struct acpi *acpi, const void *rsdp, size_t size, acpi_map_fn *map);

/*
 * Returns the first whole and valid table with the signature, readable in full, or NULL. The log
 * names malformed tables.
 */
const struct acpi_header *acpi_find(const struct acpi *acpi, const char signature[4]);

/* Fills *info from the tables. Malformed parts are left out, and the log names each in one line. */
void acpi_parse(const struct acpi *acpi, struct acpi_info *info);

/*
 * Writes the service domain's MADT into buf (8-byte aligned, `len` bytes). It says that there is no
 * 8259, and lists vCPU i with UID i and APIC id apic_id[i]. The I/O APICs, interrupt overrides and
 * NMI sources of `native` (from acpi_find) follow. Each ISA interrupt in the mask `level` gets an
 * override unless it has one. Returns the size in bytes. Errors: -ENOSPC if buf is too small.
 */
int acpi_build_madt(void *buf, size_t len, const struct acpi_header *native, const u32 *apic_id, unsigned nr_vcpus, u16 level);

/*
 * Writes the service domain's XSDT: the firmware's tables, except those for hardware that it must
 * not drive or has differently, then the tables at extra[]. Returns the size in bytes. Errors:
 * -ENOSPC if buf is too small.
 */
int acpi_build_xsdt(void *buf, size_t len, const struct acpi *acpi, const paddr_t *extra, unsigned nr_extra);

/* Writes the service domain's root pointer, to an XSDT at `xsdt`. */
void acpi_build_rsdp(struct acpi_rsdp *rsdp, const struct acpi *acpi, paddr_t xsdt);

/* Returns the sum of the bytes, which is 0 for a good table. */
u8 acpi_checksum(const void *p, size_t len);

#endif
