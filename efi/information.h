/* Builds what a Multiboot2 loader tells: the other side of boot/multiboot2.h, and of nothing else. */
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

/* Into `size` bytes at buf. The tags follow in any order, information_end() comes last. */
void information_start(struct information *i, void *buf, size_t size);
void information_cmdline(struct information *i, const char *text);
void information_loader(struct information *i, const char *name);
void information_module(struct information *i, u64 start, u64 size, const char *cmdline);
/* Sorts the firmware's map in place and joins neighbours: `size` bytes of descriptors of `each` bytes. */
void information_memory(struct information *i, void *map, size_t size, size_t each);
/* ACPI's root pointer: a copy. */
void information_rsdp(struct information *i, const void *rsdp, size_t size, bool is_new);
void information_efi(struct information *i, u64 system_table, u64 load_base);
/* False if it did not fit. */
bool information_end(struct information *i);

#endif
