/* units: lib/elf.c */
/* ELF images: a good one, then the same with each field wrong. */
#include "tests/unit/fake.h"
#include "lib/elf.h"

/* The layout of the image under test: header, three program headers, a note, 64 bytes of "code". */
struct image {
	u8 ident[16];
	u16 type, machine;
	u32 version;
	u64 entry, phoff, shoff;
	u32 flags;
	u16 ehsize, phentsize, phnum, shentsize, shnum, shstrndx;
	struct {
		u32 type, flags;
		u64 offset, vaddr, paddr, filesz, memsz, align;
	} ph[3];
	struct {
		u32 namesz, descsz, type;
		char name[4];
		u8 desc[8];
	} note[2];
	u8 code[64];
};

static struct image good_image(void)
{
	struct image m = {
		.ident = { 0x7f, 'E', 'L', 'F', 2, 1, 1 }, .type = 2, .machine = 62, .version = 1, .entry = 0xffffffff81000000,
		.phoff = offsetof(struct image, ph), .ehsize = 64, .phentsize = 56, .phnum = 3,
		.note = {
			{ 4, 4, 5, "Xen", { 1 } },
			{ 4, 8, 18, "Xen", { 0x50, 0x08, 0x00, 0x01 } },
		},
	};

	m.ph[0].type = 1;
	m.ph[0].offset = offsetof(struct image, code);
	m.ph[0].vaddr = 0xffffffff81000000;
	m.ph[0].paddr = MiB(16);
	m.ph[0].filesz = sizeof(m.code);
	m.ph[0].memsz = 4096;
	m.ph[1].type = 4;
	m.ph[1].offset = offsetof(struct image, note) + 4;     /* the first note has 4 bytes of description: see put_notes */
	m.ph[1].filesz = sizeof(m.note) - 4;
	m.ph[2].type = 1;       /* empty: to be skipped */
	memmove((u8 *)m.note + 4, m.note, 20);
	memset(m.code, 0xcc, sizeof(m.code));
	return m;
}

static const char *open_error(const void *image, size_t size)
{
	struct elf elf;
	const char *why = "unset";

	assert_int_equal(elf_open(&elf, image, size, &why), -EINVAL);
	assert_non_null(why);
	return why;
}

static void good_image_is_read(void **state)
{
	struct image m = good_image();
	struct elf elf;
	struct elf_segment seg;
	const char *why;
	unsigned next = 0;
	u64 value;

	assert_int_equal(elf_open(&elf, &m, sizeof(m), &why), 0);
	assert_int_equal(elf.entry, 0xffffffff81000000);
	assert_true(elf_next_segment(&elf, &next, &seg));
	assert_int_equal(seg.paddr, MiB(16));
	assert_ptr_equal(seg.data, m.code);
	assert_int_equal(seg.file_size, 64);
	assert_int_equal(seg.mem_size, 4096);
	assert_false(elf_next_segment(&elf, &next, &seg));
	assert_true(elf_xen_note(&elf, ELF_NOTE_XEN_PHYS32_ENTRY, &value));
	assert_int_equal(value, 0x1000850);
	assert_true(elf_xen_note(&elf, 5, &value));
	assert_int_equal(value, 1);
	assert_false(elf_xen_note(&elf, 6, &value));
}

static void wrong_headers_are_refused(void **state)
{
	struct image m = good_image();

	m.ident[0] = 0;
	assert_string_equal(open_error(&m, sizeof(m)), "it isn't an ELF image");
	m = good_image();
	m.ident[4] = 1;
	assert_string_equal(open_error(&m, sizeof(m)), "it isn't for x86-64");
	m = good_image();
	m.machine = 3;
	open_error(&m, sizeof(m));
	m = good_image();
	m.type = 1;
	assert_string_equal(open_error(&m, sizeof(m)), "it isn't executable");
	m = good_image();
	m.phentsize = 55;
	open_error(&m, sizeof(m));
	m = good_image();
	m.phnum = 0;
	open_error(&m, sizeof(m));
	m = good_image();
	m.phoff = sizeof(m) - 100;
	open_error(&m, sizeof(m));
	m.phoff = ~0ull;
	open_error(&m, sizeof(m));
}

static void wrong_segments_are_refused(void **state)
{
	struct image m = good_image();

	m.ph[0].filesz = sizeof(m);
	open_error(&m, sizeof(m));
	m = good_image();
	m.ph[0].offset = ~0ull;
	open_error(&m, sizeof(m));
	m = good_image();
	m.ph[0].memsz = 63;
	open_error(&m, sizeof(m));
	m = good_image();
	m.ph[0].paddr = ~0ull - 100;
	open_error(&m, sizeof(m));
	m.ph[0].paddr = MiB(16);
	m.ph[0].memsz = ~0ull - MiB(16);        /* its end, rounded up, would be 0 */
	assert_string_equal(open_error(&m, sizeof(m)), "a segment lies beyond the end of memory");
	m = good_image();
	m.ph[1].filesz = sizeof(m);
	open_error(&m, sizeof(m));
}

static void every_truncation_is_refused(void **state)
{
	struct image m = good_image();

	for (size_t size = 0; size < sizeof(m); size++) {
		u8 *cut = test_malloc(size);    /* of its exact size, so that the sanitiser sees a byte too many */

		memcpy(cut, &m, size);
		open_error(cut, size);
		test_free(cut);
	}
}

static void broken_notes_are_not_found(void **state)
{
	struct image m = good_image();
	u8 *note = (u8 *)m.note + 4;
	struct elf elf;
	const char *why;
	u64 value;

	for (u32 length = 0; length < sizeof(m.note) - 4; length++) {
		m.ph[1].filesz = length;
		assert_int_equal(elf_open(&elf, &m, sizeof(m), &why), 0);
		assert_false(elf_xen_note(&elf, 18, &value));
	}
	m.ph[1].filesz = sizeof(m.note) - 4;
	for (unsigned byte = 0; byte < 8; byte++) {      /* lengths that lead anywhere */
		u8 was = note[byte];

		note[byte] = 0xff;
		assert_int_equal(elf_open(&elf, &m, sizeof(m), &why), 0);
		assert_false(elf_xen_note(&elf, 18, &value));
		note[byte] = was;
	}
}

/* A name's length is rounded up to where the description begins. */
static void notes_with_other_names_are_passed(void **state)
{
	static const u32 notes[] = { 6, 4, 1, 0x2041424c, 0x0000434f, 7, 4, 8, 18, 0x006e6558, 0x01000850, 0 };
	struct image m = good_image();
	struct elf elf;
	const char *why;
	u64 value;

	m.ph[1].offset = offsetof(struct image, code);
	m.ph[1].filesz = sizeof(notes);
	memcpy(m.code, notes, sizeof(notes));
	assert_int_equal(elf_open(&elf, &m, sizeof(m), &why), 0);
	assert_true(elf_xen_note(&elf, 18, &value));
	assert_int_equal(value, 0x1000850);
}

static void note_is_found_in_raw_memory(void **state)
{
	static const u32 note[] = { 4, 8, 18, 0x006e6558, 0x01000850, 0 };
	u32 *mem = test_calloc(1024, 4);
	u64 value;

	assert_false(elf_find_xen_note(mem, 4096, 18, &value));
	for (unsigned at = 0; at <= 1024 - 6; at += 53) {
		for (unsigned i = 0; i < 1024; i++)
			mem[i] = 4;
		memcpy(mem + at, note, sizeof(note));
		assert_true(elf_find_xen_note(mem, 4096, 18, &value));
		assert_int_equal(value, 0x1000850);
		assert_false(elf_find_xen_note(mem, 4096, 19, &value));
		assert_false(elf_find_xen_note(mem, (at + 6) * 4 - 1, 18, &value));
	}
	mem[1023] = 4;
	for (unsigned len = 0; len < 32; len++)
		assert_false(elf_find_xen_note(mem, len, 18, &value));
	test_free(mem);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(good_image_is_read),
		cmocka_unit_test(wrong_headers_are_refused),
		cmocka_unit_test(wrong_segments_are_refused),
		cmocka_unit_test(every_truncation_is_refused),
		cmocka_unit_test(broken_notes_are_not_found),
		cmocka_unit_test(notes_with_other_names_are_passed),
		cmocka_unit_test(note_is_found_in_raw_memory),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
