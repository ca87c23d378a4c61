/*
 * Reads ELF64 images: kernels that come as plain ELF files, and the notes of kernels that have
 * unpacked themselves.
 */
#include "lib/elf.h"
#include "lib/string.h"

/* System V ABI, "Object Files". */
struct elf_header {
	u8 magic[4];
	u8 class, data, version;
	u8 os_abi, abi_version, pad[7];
	u16 type, machine;
	u32 object_version;
	u64 entry, phoff, shoff;
	u32 flags;
	u16 ehsize, phentsize, phnum, shentsize, shnum, shstrndx;
};

struct elf_phdr {
	u32 type, flags;
	u64 offset, vaddr, paddr, filesz, memsz, align;
};

struct elf_note {
	u32 namesz, descsz, type;
};

enum { CLASS_64 = 2, DATA_LITTLE = 1, TYPE_EXEC = 2, TYPE_DYN = 3, MACHINE_X86_64 = 62, PT_LOAD = 1, PT_NOTE = 4 };

static bool in_range(u64 offset, u64 len, u64 size)
{
	return offset <= size && len <= size - offset;
}

static void read_phdr(const struct elf *elf, unsigned i, struct elf_phdr *out)
{
	/* it may be unaligned */
	memcpy(out, elf->headers + i * elf->header_size, sizeof(*out));
}

static const char *check_phdr(const struct elf *elf, const struct elf_phdr *ph)
{
	if (ph->type != PT_LOAD && ph->type != PT_NOTE)
		return NULL;
	if (!in_range(ph->offset, ph->filesz, elf->size))
		return "a segment reaches beyond the end of the image (truncated?)";
	if (ph->type == PT_NOTE)
		return NULL;
	if (ph->filesz > ph->memsz)
		return "a segment is larger in the image than in memory";
	if (!in_range(ph->paddr, ph->memsz, BIT(52)))
		return "a segment lies beyond the end of memory";
	return NULL;
}

static const char *check_header(const struct elf_header *h, size_t size)
{
	if (memcmp(h->magic, "\177ELF", 4) != 0)
		return "it isn't an ELF image";
	if (h->class != CLASS_64 || h->data != DATA_LITTLE || h->machine != MACHINE_X86_64)
		return "it isn't for x86-64";
	if (h->type != TYPE_EXEC && h->type != TYPE_DYN)
		return "it isn't executable";
	if (h->phnum == 0 || h->phentsize < sizeof(struct elf_phdr))
		return "it has no program headers";
	if (!in_range(h->phoff, (u64)h->phnum * h->phentsize, size))
		return "its program headers lie beyond the end of the image (truncated?)";
	return NULL;
}

int elf_open(struct elf *elf, const void *image, size_t size, const char **why)
{
	struct elf_header h;

	*why = "it is too short for an ELF header";
	if (size < sizeof(h))
		return -EINVAL;
	memcpy(&h, image, sizeof(h));
	*why = check_header(&h, size);
	if (*why)
		return -EINVAL;
	*elf = (struct elf){
		.image = image, .size = size, .entry = h.entry,
		.headers = (const u8 *)image + h.phoff, .nr_headers = h.phnum, .header_size = h.phentsize,
	};
	for (unsigned i = 0; i < elf->nr_headers; i++) {
		struct elf_phdr ph;

		read_phdr(elf, i, &ph);
		*why = check_phdr(elf, &ph);
		if (*why)
			return -EINVAL;
	}
	return 0;
}

bool elf_next_segment(const struct elf *elf, unsigned *next, struct elf_segment *out)
{
	while (*next < elf->nr_headers) {
		struct elf_phdr ph;

		read_phdr(elf, (*next)++, &ph);
		if (ph.type != PT_LOAD || ph.memsz == 0)
			continue;
		*out = (struct elf_segment){
			.paddr = ph.paddr, .vaddr = ph.vaddr, .data = elf->image + ph.offset,
			.file_size = ph.filesz, .mem_size = ph.memsz,
		};
		return true;
	}
	return false;
}

/*
 * Reads a Xen note of the type at `p`, of which `len` bytes can be read. Returns false if it is
 * another note.
 */
static bool read_xen_note(const u8 *p, size_t len, u32 type, u64 *value)
{
	struct elf_note note;
	size_t name = sizeof(note), desc = name + 4;

	if (len < desc)
		return false;
	memcpy(&note, p, sizeof(note));
	if (note.namesz != 4 || note.type != type || (note.descsz != 4 && note.descsz != 8) ||
	    len < desc + note.descsz || memcmp(p + name, "Xen", 4) != 0)
		return false;
	*value = 0;
	memcpy(value, p + desc, note.descsz);
	return true;
}

/* Returns the bytes from this note to the next one, or more than `len` if the note is cut off. */
static u64 note_length(const u8 *p, size_t len)
{
	struct elf_note note;

	if (len < sizeof(note))
		return len + 1;
	memcpy(&note, p, sizeof(note));
	return sizeof(note) + ROUND_UP((u64)note.namesz, 4) + ROUND_UP((u64)note.descsz, 4);
}

bool elf_xen_note(const struct elf *elf, u32 type, u64 *value)
{
	for (unsigned i = 0; i < elf->nr_headers; i++) {
		struct elf_phdr ph;
		const u8 *p;
		u64 left, step;

		read_phdr(elf, i, &ph);
		if (ph.type != PT_NOTE)
			continue;
		p = elf->image + ph.offset;
		for (left = ph.filesz; left; p += step, left -= step) {
			if (read_xen_note(p, left, type, value))
				return true;
			step = note_length(p, left);
			if (step > left)
				break;
		}
	}
	return false;
}

bool elf_find_xen_note(const void *mem, size_t len, u32 type, u64 *value)
{
	const u8 *p = mem;

	for (; len >= sizeof(struct elf_note) + 8; p += 4, len -= 4) {
		/*
		 * Nearly all steps cost one comparison: the length of a name of 4 is rare in
		 * memory.
		 */
		if (*(const u32 *)(const void *)p == 4 && read_xen_note(p, len, type, value))
			return true;
	}
	return false;
}
