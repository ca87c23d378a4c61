/*
 * Reads the boot loader's information: a list of tags, each with a type and a size. Each reader
 * gets a tag's payload with its exact length and copies the fields that it knows. It returns NULL,
 * or the error in words.
 */
#include "boot/multiboot2.h"
#include "lib/string.h"

struct tag {
	/* size is in bytes, with this header; the next tag begins at the next multiple of 8 */
	u32 type, size;
};

struct info_header {
	u32 total_size, reserved;
};

struct module_tag {
	u32 start, end;
	/* then the command line */
};

struct memory_map_tag {
	u32 entry_size, entry_version;
	/* then the entries */
};

struct memory_map_entry {
	u64 base, length;
	u32 type, reserved;
};

#define RSDP_V1_SIZE 20
#define RSDP_V2_SIZE 36

typedef const char *tag_reader(const u8 *p, size_t len, struct boot_info *out);

/* Copies a text. Returns false unless it ends within the tag and fits into `buf`. */
static bool copy_text(char *buf, size_t size, const u8 *text, size_t len)
{
	size_t n = strnlen((const char *)text, len);

	if (n == len || n >= size)
		return false;
	memcpy(buf, text, n + 1);
	return true;
}

static const char *read_cmdline(const u8 *p, size_t len, struct boot_info *out)
{
	return copy_text(out->cmdline, sizeof(out->cmdline), p, len) ? NULL : "the hypervisor's command line is too long";
}

static const char *read_module(const u8 *p, size_t len, struct boot_info *out)
{
	struct boot_module *m = &out->module[out->nr_modules];
	struct module_tag tag;

	if (len < sizeof(tag))
		return "a module's tag is too short";
	memcpy(&tag, p, sizeof(tag));
	if (out->nr_modules == BOOT_MAX_MODULES)
		return "there are more than 8 modules";
	if (tag.end <= tag.start)
		return "truncated module: it ends where it starts";
	m->start = tag.start;
	m->end = tag.end;
	if (!copy_text(m->cmdline, sizeof(m->cmdline), p + sizeof(tag), len - sizeof(tag)))
		return "a module's command line is too long";
	out->nr_modules++;
	return NULL;
}

/*
 * Adds an entry, joined with its neighbour if it continues that one. UEFI's map has many more
 * pieces than differences.
 */
static const char *add_memory(struct boot_info *out, const struct memory_map_entry *e)
{
	struct boot_memory *last = out->nr_memory ? &out->memory[out->nr_memory - 1] : NULL;

	if (e->length == 0)
		return NULL;
	if (e->base + e->length < e->base)
		return "an entry of the memory map wraps around";
	if (last && last->type == e->type && last->start + last->size == e->base) {
		last->size += e->length;
		return NULL;
	}
	if (out->nr_memory == BOOT_MAX_MEMMAP)
		return "the memory map has more than 128 entries";
	out->memory[out->nr_memory++] = (struct boot_memory){ .start = e->base, .size = e->length, .type = e->type };
	return NULL;
}

static const char *read_memory_map(const u8 *p, size_t len, struct boot_info *out)
{
	struct memory_map_tag tag;
	struct memory_map_entry entry;

	if (len < sizeof(tag))
		return "the memory map's tag is too short";
	memcpy(&tag, p, sizeof(tag));
	if (tag.entry_size < sizeof(entry))
		return "the memory map's entries are too small";
	if (out->nr_memory)
		return "there are two memory maps";
	for (size_t at = sizeof(tag); len - at >= tag.entry_size; at += tag.entry_size) {
		const char *why;

		memcpy(&entry, p + at, sizeof(entry));
		why = add_memory(out, &entry);
		if (why)
			return why;
	}
	return NULL;
}

/* Keeps the newer copy of a table, whatever their order. ACPI's own parser will check it. */
static void take_rsdp(const u8 *p, size_t len, size_t size, struct boot_info *out)
{
	if (len < size || out->rsdp_size >= size)
		return;
	memcpy(out->rsdp, p, size);
	out->rsdp_size = (unsigned)size;
}

static const char *read_acpi_old(const u8 *p, size_t len, struct boot_info *out)
{
	take_rsdp(p, len, RSDP_V1_SIZE, out);
	return NULL;
}

static const char *read_acpi_new(const u8 *p, size_t len, struct boot_info *out)
{
	take_rsdp(p, len, RSDP_V2_SIZE, out);
	return NULL;
}

static tag_reader *const readers[] = {
	[MULTIBOOT2_CMDLINE] = read_cmdline,
	[MULTIBOOT2_MODULE] = read_module,
	[MULTIBOOT2_MEMORY_MAP] = read_memory_map,
	[MULTIBOOT2_ACPI_OLD] = read_acpi_old,
	[MULTIBOOT2_ACPI_NEW] = read_acpi_new,
};

/* Reads the tags from `p` to the end tag, which must come within `left` bytes. */
static const char *read_tags(const u8 *p, size_t left, struct boot_info *out)
{
	for (;;) {
		const char *why = NULL;
		struct tag tag;

		if (left < sizeof(tag))
			return "it has no end tag";
		memcpy(&tag, p, sizeof(tag));
		if (tag.type == MULTIBOOT2_END)
			return NULL;
		if (tag.size < sizeof(tag) || tag.size > left)
			return "a tag reaches beyond its end";
		if (tag.type < ARRAY_SIZE(readers) && readers[tag.type])
			why = readers[tag.type](p + sizeof(tag), tag.size - sizeof(tag), out);
		if (why)
			return why;
		tag.size = MIN(ROUND_UP((u64)tag.size, 8), left);
		p += tag.size;
		left -= tag.size;
	}
}

int multiboot2_parse(const void *data, size_t size, struct boot_info *out, const char **why)
{
	struct info_header header;

	memset(out, 0, sizeof(*out));
	*why = "it is too short";
	if (size < sizeof(header))
		return -EINVAL;
	memcpy(&header, data, sizeof(header));
	if (header.total_size < sizeof(header) || header.total_size > size)
		return -EINVAL;
	*why = read_tags((const u8 *)data + sizeof(header), header.total_size - sizeof(header), out);
	if (!*why && out->nr_memory == 0)
		*why = "it has no memory map";
	return *why ? -EINVAL : 0;
}
