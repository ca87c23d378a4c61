/*
 * ACPI without AML: the firmware's static tables say which CPUs, I/O APICs and ports there are, and how to switch off; and the
 * tables that the service domain gets to see are those with the CPUs exchanged for its own.
 */
#ifndef DRIVERS_ACPI_H
#define DRIVERS_ACPI_H

#include "drivers/acpi_tables.h"

/* Makes [pa, pa + len) readable, for good: a pointer to it, or NULL if that can't be. */
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

/* What the tables say. A table that is missing or malformed leaves its fields 0. */
struct acpi_info {
	/* MADT */
	bool has_madt;
	unsigned nr_cpus;
	u32 apic_id[ACPI_MAX_CPUS];     /* of the CPUs that are enabled */

	/* FADT; ports, 0 if there is none */
	u16 pm1a_control, pm1b_control;
	u16 pm_timer;
	u16 reset;                  /* writing reset_value here restarts the machine */
	u8 reset_value;
	paddr_t dsdt;

	/* DSDT's \_S5: SLP_TYP values that power the machine off when written to PM1a and PM1b */
	bool has_s5;
	u8 slp_typ_a, slp_typ_b;

	bool too_many_cpus;         /* for apic_id[] */
};

/*
 * Reads the root table that the RSDP names (`size` bytes of it: 20 or 36, as the boot loader copied them). 0, or -EINVAL if there
 * is no usable one, which the log then explains.
 */
int acpi_init(struct acpi *acpi, const void *rsdp, size_t size, acpi_map_fn *map);

/* The first whole and valid table with the signature, readable in full, or NULL. Malformed ones are named in the log. */
const struct acpi_header *acpi_find(const struct acpi *acpi, const char signature[4]);

/* Fills *info from all the tables above. What is malformed is named in the log, one line each, and left out. */
void acpi_parse(const struct acpi *acpi, struct acpi_info *info);

/*
 * dom0's MADT into buf (8-byte aligned, `len` bytes): no 8259, vCPU i with UID i and APIC id apic_id[i], then the I/O APICs, interrupt
 * overrides and NMI sources of `native` (as acpi_find returned it), and an override for each ISA interrupt in the mask `level` that has none.
 * Returns its size in bytes, or -ENOSPC.
 */
int acpi_build_madt(void *buf, size_t len, const struct acpi_header *native, const u32 *apic_id, unsigned nr_vcpus, u16 level);

/*
 * dom0's XSDT: the firmware's tables, except those that describe what dom0 must not drive or has differently, then the tables at
 * extra[]. Returns its size in bytes, or -ENOSPC.
 */
int acpi_build_xsdt(void *buf, size_t len, const struct acpi *acpi, const paddr_t *extra, unsigned nr_extra);

/* dom0's root pointer, to an XSDT at `xsdt`. */
void acpi_build_rsdp(struct acpi_rsdp *rsdp, const struct acpi *acpi, paddr_t xsdt);

/* Sum of the bytes: 0 for a good table. */
u8 acpi_checksum(const void *p, size_t len);

#endif
