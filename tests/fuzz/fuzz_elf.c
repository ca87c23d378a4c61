/* units: lib/elf.c */
/* A kernel image: everything that elf_open lets through must be readable, and the note search must stay in its memory. */
#include "tests/fuzz/fuzz.h"
#include "lib/elf.h"
#include "lib/string.h"

int LLVMFuzzerTestOneInput(const u8 *data, size_t size)
{
	struct elf elf;
	struct elf_segment seg;
	const char *why = NULL;
	unsigned next = 0;
	u64 value;

	elf_find_xen_note(data, size, ELF_NOTE_XEN_PHYS32_ENTRY, &value);
	if (elf_open(&elf, data, size, &why) != 0) {
		BUG_ON(!why);
		return 0;
	}
	while (elf_next_segment(&elf, &next, &seg)) {
		BUG_ON(seg.file_size > seg.mem_size || seg.paddr + seg.mem_size < seg.paddr);
		fuzz_use(seg.data, seg.file_size);
	}
	for (u32 type = 0; type < 20; type++)
		elf_xen_note(&elf, type, &value);
	return 0;
}
