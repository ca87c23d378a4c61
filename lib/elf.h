/*
 * ELF64 images in memory: the segments to load, and the notes named "Xen" that say how to start a
 * kernel. We trust nothing in an image: elf_open checks all that the other functions rely on.
 */
#ifndef LIB_ELF_H
#define LIB_ELF_H

/* Types of Xen notes (xen/elfnote.h has them all). */
#define ELF_NOTE_XEN_PHYS32_ENTRY 18

struct elf {
	const u8 *image;
	size_t size;            /* bytes */
	u64 entry;              /* as in the header: virtual */
	const u8 *headers;      /* program headers */
	unsigned nr_headers;
	size_t header_size;
};

/*
 * A PT_LOAD segment: `file_size` bytes at `data` go to `paddr`. Zeros follow, up to mem_size (>=
 * file_size).
 */
struct elf_segment {
	paddr_t paddr;
	u64 vaddr;
	const void *data;
	u64 file_size, mem_size;
};

/*
 * Checks the image and fills *elf; the image must stay in place while *elf is in use. Returns 0.
 * Errors: -EINVAL if the image is malformed; *why then says how.
 */
int elf_open(struct elf *elf, const void *image, size_t size, const char **why);

/*
 * Gives the segments to load one by one. Start with *next == 0. Returns false after the last. Empty
 * segments are left out.
 */
bool elf_next_segment(const struct elf *elf, unsigned *next, struct elf_segment *out);

/*
 * Reads the value of the image's first Xen note of the type (4 or 8 bytes long). Returns false if
 * there is none.
 */
bool elf_xen_note(const struct elf *elf, u32 type, u64 *value);

/*
 * Looks for the note itself in `len` bytes of memory at `mem` (4-byte aligned). This finds the note
 * of a kernel that has unpacked itself and left no ELF header. Takes the first place that looks
 * like a Xen note of the type with a value of 4 or 8 bytes. Returns false if there is none.
 */
bool elf_find_xen_note(const void *mem, size_t len, u32 type, u64 *value);

#endif
