/*
 * What digest a sealed guest will have (docs/sealed.md), computed from the files that it is made of.
 * The toolstack builds the guest in a way of its own, so all that it writes into the guest's memory
 * is built here too: as Xen's toolstack 4.17 to 4.20 does it for a PVH guest.
 */
#ifndef EXPECT_H
#define EXPECT_H

#include "lib/sha256.h"

struct bytes { const u8 *at; size_t size; };

/* ---- config.c: xl's configuration of a guest ---- */

struct config {
	char *kernel, *ramdisk, *cmdline;   /* NULL: there is none */
	u32 memory;                         /* MiB */
	u32 vcpus, maxvcpus;
};

/*
 * Reads what a guest is made of from the text of an xl.cfg. Returns NULL, or what keeps us from
 * telling the guest's digest.
 */
const char *config_read(const char *text, struct config *c);

/* ---- acpi.c: the tables that libxl gives a PVH guest ---- */

enum {
	GUEST_PAGE = 4096, ACPI_PAGES_MOST = 16, VCPUS_MOST = 128,
	ACPI_RSDP = 64, ACPI_INFO = 48,     /* bytes */
};
#define ACPI_BASE 0xfc000000u           /* the info page; the tables follow */

struct acpi {
	u8 tables[ACPI_PAGES_MOST * GUEST_PAGE];
	u32 pages;                          /* as many as the tables need */
	u8 info[ACPI_INFO], rsdp[ACPI_RSDP];
};

/*
 * Finds the DSDT for PVH guests in the bytes of the library libxenlight. Returns an empty one if
 * there isn't exactly one.
 */
struct bytes acpi_find_dsdt(struct bytes library);
/*
 * Builds the tables of a guest of which `vcpus` of `maxvcpus` are on. `again`: as a program builds
 * them that has built a guest before, such as xl at a reboot. Returns false if they have no room.
 */
bool acpi_build(struct acpi *a, struct bytes dsdt, u32 vcpus, u32 maxvcpus, bool again);

/* ---- build.c ---- */

struct guest_parts {
	struct bytes kernel;                /* an ELF image */
	struct bytes ramdisk;               /* as the guest finds it */
	const char *cmdline;                /* NULL: there is none */
	struct bytes dsdt;
	u32 memory, vcpus, maxvcpus;        /* as in struct config */
	bool again;                         /* as for acpi_build */
};

/* Computes the digest. Returns NULL, or what is wrong. */
const char *expect_digest(const struct guest_parts *g, u8 digest[SHA256_BYTES]);

/* ---- files.c ---- */

/* Reads a whole file. Returns false after a line on stderr. */
bool file_read(const char *path, struct bytes *out);
/*
 * Unpacks a kernel if it is a bzImage, or compressed by gzip. Programs of the machine do that: gzip,
 * xz, zstd and so on. Returns false after a line on stderr.
 */
bool file_unpack_kernel(const char *path, struct bytes *kernel);
/* Does what the toolstack does with an initrd that is compressed by gzip. Returns as above. */
bool file_unpack_ramdisk(const char *path, struct bytes *ramdisk);

/* The command `bothy seal`. argv[0] is "seal". Returns an exit status. */
int seal(int argc, char **argv);

#endif
