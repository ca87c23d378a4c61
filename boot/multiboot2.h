/* The boot loader's information, copied out of its memory so that its memory can be used again. */
#ifndef BOOT_MULTIBOOT2_H
#define BOOT_MULTIBOOT2_H

#define BOOT_MAX_MODULES 8
#define BOOT_MAX_MEMMAP  128

/* EAX at the image's entry, if a Multiboot2 loader started it. */
#define MULTIBOOT2_BOOTLOADER_MAGIC 0x36d76289

/* Types of tags: Multiboot2 specification 2.0, section 3.6. */
enum multiboot2_tag {
	MULTIBOOT2_END = 0, MULTIBOOT2_CMDLINE = 1, MULTIBOOT2_LOADER_NAME = 2, MULTIBOOT2_MODULE = 3, MULTIBOOT2_MEMORY_MAP = 6,
	MULTIBOOT2_EFI64 = 12, MULTIBOOT2_ACPI_OLD = 14, MULTIBOOT2_ACPI_NEW = 15,
	MULTIBOOT2_EFI_BOOT_SERVICES = 18, MULTIBOOT2_LOAD_BASE = 21,
};

struct boot_memory {
	paddr_t start;
	u64 size;           /* bytes, never 0; start + size doesn't wrap */
	u32 type;           /* MEMORY_* (mm/memory_map.h); others exist and mean "reserved" */
};

struct boot_module {
	paddr_t start, end; /* start < end */
	char cmdline[1024];
};

struct boot_info {
	char cmdline[1024];
	struct boot_module module[BOOT_MAX_MODULES];
	unsigned nr_modules;
	/* in the loader's order; neighbours of one type are joined */
	struct boot_memory memory[BOOT_MAX_MEMMAP];
	unsigned nr_memory;
	u8 rsdp[36];            /* the best copy of ACPI's root pointer */
	unsigned rsdp_size;     /* 36 (ACPI 2.0), 20 (ACPI 1.0) or 0: the loader found none */
};

/*
 * Reads the information structure of the Multiboot2 specification (2.0, chapter 3) at `data`, of
 * which `size` bytes can be read. Nothing in *out points into `data`. Returns 0. Errors: -EINVAL if
 * it is malformed; *why then says how, and *out must not be used.
 */
int multiboot2_parse(const void *data, size_t size, struct boot_info *out, const char **why);

#endif
