/* Builds the information of a Multiboot2 loader, for boot/multiboot2.h and no other reader. */
#ifndef EFI_INFORMATION_H
#define EFI_INFORMATION_H

#include "lib/base.h"

struct information {
	u8 *buf;
	size_t size, used;      /* used > size: it did not fit */
};

/* EFI_MEMORY_DESCRIPTOR (UEFI specification 2.10, 7.2); the firmware's may be larger. */
struct efi_memory {
	u32 type, pad;
	u64 start, virtual_start, pages, attributes;
};

/*
 * Starts the information in `size` bytes at buf. Add tags in any order, and then call
 * information_end().
 */
void information_start(struct information *i, void *buf, size_t size);
/*
 * Each of these adds a tag: the command line, the loader's name, a module at [start, start + size),
 * and below the UEFI system table with the image's load address.
 */
void information_cmdline(struct information *i, const char *text);
void information_loader(struct information *i, const char *name);
void information_module(struct information *i, u64 start, u64 size, const char *cmdline);
/*
 * Adds the firmware's map: `size` bytes of descriptors of `each` bytes. Sorts them in place and
 * joins neighbours.
 */
void information_memory(struct information *i, void *map, size_t size, size_t each);
/* Adds a copy of ACPI's root pointer. */
void information_rsdp(struct information *i, const void *rsdp, size_t size, bool is_new);
void information_efi(struct information *i, u64 system_table, u64 load_base);
/* Adds the end tag and the total size. Returns false if the tags did not fit. */
bool information_end(struct information *i);

#endif
