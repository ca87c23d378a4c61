/*
 * A list of tags, each at a multiple of 8. Bytes that don't fit are counted, and information_end()
 * reports that. Multiboot2 specification 2.0, chapter 3.
 */
#include "boot/multiboot2.h"
#include "efi/information.h"
#include "lib/string.h"
#include "mm/memory_map.h"

static void put_bytes(struct information *i, const void *data, size_t len)
{
	if (i->used <= i->size && len <= i->size - i->used)
		memcpy(i->buf + i->used, data, len);
	i->used += len;
}

static void put_u32(struct information *i, u32 v) { put_bytes(i, &v, sizeof(v)); }
static void put_u64(struct information *i, u64 v) { put_bytes(i, &v, sizeof(v)); }

/* Starts a tag with its head; the contents follow. */
static void put_tag(struct information *i, u32 type, size_t len)
{
	static const u8 zeros[8];

	put_bytes(i, zeros, -i->used & 7);
	put_u32(i, type);
	put_u32(i, (u32)(8 + len));
}

static void put_text(struct information *i, u32 type, const char *text)
{
	put_tag(i, type, strlen(text) + 1);
	put_bytes(i, text, strlen(text) + 1);
}

void information_start(struct information *i, void *buf, size_t size)
{
	*i = (struct information){ .buf = buf, .size = size };
	put_u64(i, 0);
}

void information_cmdline(struct information *i, const char *text) { put_text(i, MULTIBOOT2_CMDLINE, text); }
void information_loader(struct information *i, const char *name) { put_text(i, MULTIBOOT2_LOADER_NAME, name); }

void information_module(struct information *i, u64 start, u64 size, const char *cmdline)
{
	put_tag(i, MULTIBOOT2_MODULE, 8 + strlen(cmdline) + 1);
	put_u32(i, (u32)start);
	put_u32(i, (u32)(start + size));
	put_bytes(i, cmdline, strlen(cmdline) + 1);
}

/*
 * UEFI specification 2.10, 7.2.3, table 7.10: the memory that is free once the boot services have
 * ended.
 */
static u32 type_of(const struct efi_memory *m)
{
	enum { LOADER_CODE = 1, BOOT_SERVICES_DATA = 4, CONVENTIONAL = 7, UNUSABLE = 8, ACPI_RECLAIM = 9, ACPI_NVS = 10 };

	if ((m->type >= LOADER_CODE && m->type <= BOOT_SERVICES_DATA) || m->type == CONVENTIONAL)
		return MEMORY_RAM;
	return m->type == UNUSABLE ? MEMORY_UNUSABLE : m->type == ACPI_RECLAIM ? MEMORY_ACPI : m->type == ACPI_NVS ? MEMORY_NVS :
	       MEMORY_RESERVED;
}

/* Sorts by address. The map comes nearly sorted, so insertion is fast. */
static void sort_map(u8 *map, size_t n, size_t each)
{
	struct efi_memory a, b;

	for (size_t i = 1; i < n; i++)
		for (size_t at = i; at > 0; at--) {
			memcpy(&a, map + (at - 1) * each, sizeof(a));
			memcpy(&b, map + at * each, sizeof(b));
			if (a.start <= b.start)
				break;
			memcpy(map + (at - 1) * each, &b, sizeof(b));
			memcpy(map + at * each, &a, sizeof(a));
		}
}

static void put_range(struct information *i, u64 start, u64 end, u32 type)
{
	if (start == end)
		return;
	put_u64(i, start);
	put_u64(i, end - start);
	put_u32(i, type);
	put_u32(i, 0);
}

void information_memory(struct information *i, void *map, size_t size, size_t each)
{
	enum { ENTRY = 24 };
	size_t head = 0;
	u64 start = 0, end = 0;
	u32 type = 0, len;

	sort_map(map, size / each, each);
	put_tag(i, MULTIBOOT2_MEMORY_MAP, 0);
	head = i->used - 8;
	put_u32(i, ENTRY);
	put_u32(i, 0);
	for (size_t n = 0; n < size / each; n++) {
		struct efi_memory m;

		memcpy(&m, (u8 *)map + n * each, sizeof(m));
		if (type_of(&m) != type || m.start != end) {
			put_range(i, start, end, type);
			start = m.start;
			type = type_of(&m);
		}
		end = m.start + m.pages * PAGE_SIZE;
	}
	put_range(i, start, end, type);
	len = (u32)(i->used - head);
	if (i->used <= i->size)
		memcpy(i->buf + head + 4, &len, sizeof(len));
}

void information_rsdp(struct information *i, const void *rsdp, size_t size, bool is_new)
{
	put_tag(i, is_new ? MULTIBOOT2_ACPI_NEW : MULTIBOOT2_ACPI_OLD, size);
	put_bytes(i, rsdp, size);
}

void information_efi(struct information *i, u64 system_table, u64 load_base)
{
	put_tag(i, MULTIBOOT2_EFI64, 8);
	put_u64(i, system_table);
	put_tag(i, MULTIBOOT2_LOAD_BASE, 4);
	put_u32(i, (u32)load_base);
}

bool information_end(struct information *i)
{
	u32 total;

	put_tag(i, MULTIBOOT2_END, 0);
	if (i->used > i->size)
		return false;
	total = (u32)i->used;
	memcpy(i->buf, &total, sizeof(total));
	return true;
}
