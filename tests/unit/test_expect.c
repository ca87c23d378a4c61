/* units: dom0-lite/bothy/expect/acpi.c dom0-lite/bothy/expect/build.c dom0-lite/bothy/expect/config.c dom0-lite/bothy/expect/files.c dom0-lite/bothy/expect/seal.c lib/sha256.c */
/*
 * The digest that a sealed guest will have. tests/system/seal.test compares it with the hypervisor's. Here each part of a guest has to count, and
 * files that are damaged have to be refused.
 */
#include "tests/unit/fake.h"
#include <elf.h>
#include <stdlib.h>
#include <unistd.h>
#include "dom0-lite/bothy/bothy.h"
#include "dom0-lite/bothy/expect/expect.h"

enum { DSDT = 100, KERNEL = 4096, CODE = 1024 };

static u8 library[400], kernel[KERNEL];

/* The command does one thing and ends, so it frees nothing. */
const char *__asan_default_options(void);
const char *__asan_default_options(void) { return "detect_leaks=0"; }

static u8 sum(const u8 *at, u32 size)
{
	u8 all = 0;

	while (size--)
		all = (u8)(all + *at++);
	return all;
}

static void put32(u8 *at, u32 v) { memcpy(at, &v, sizeof(v)); }
static u32 get32(const u8 *at) { u32 v; memcpy(&v, at, sizeof(v)); return v; }
static u64 get64(const u8 *at) { u64 v; memcpy(&v, at, sizeof(v)); return v; }

static void make_dsdt(u8 *at)
{
	memset(at, 7, DSDT);
	memcpy(at, "DSDT", 4);
	put32(at + 4, DSDT);
	memcpy(at + 10, "Xen\0\0", 6);
	at[9] = (u8)(at[9] - sum(at, DSDT));
}

/* ---- ACPI ---- */

static void dsdts(void **state)
{
	struct bytes b;

	memset(library, 0xee, sizeof(library));
	assert_int_equal(acpi_find_dsdt((struct bytes){ library, sizeof(library) }).size, 0);
	memcpy(library + 3, "DSDT", 4);
	make_dsdt(library + 33);
	b = acpi_find_dsdt((struct bytes){ library, sizeof(library) });
	assert_ptr_equal(b.at, library + 33);
	assert_int_equal(b.size, DSDT);
	/* It is cut off. */
	assert_int_equal(acpi_find_dsdt((struct bytes){ library, 33 + DSDT - 1 }).size, 0);
	/* Two of them: which is it? */
	make_dsdt(library + 200);
	assert_int_equal(acpi_find_dsdt((struct bytes){ library, sizeof(library) }).size, 0);
	library[250]++;
	assert_int_equal(acpi_find_dsdt((struct bytes){ library, sizeof(library) }).size, DSDT);
	library[33 + 12]++;
	assert_int_equal(acpi_find_dsdt((struct bytes){ library, sizeof(library) }).size, 0);
}

/* Returns the table at a guest's address. */
static const u8 *table(const struct acpi *a, u64 address, const char *signature)
{
	const u8 *t = a->tables + (address - ACPI_BASE - GUEST_PAGE);

	assert_in_range(address, ACPI_BASE + GUEST_PAGE, ACPI_BASE + (1 + a->pages) * GUEST_PAGE - 1);
	assert_memory_equal(t, signature, 4);
	if (memcmp(signature, "FACS", 4))
		assert_int_equal(sum(t, get32(t + 4)), 0);
	return t;
}

static void tables(void **state)
{
	static struct acpi a, again;
	static u8 large[ACPI_PAGES_MOST * GUEST_PAGE];
	struct bytes dsdt = { library, DSDT };
	const u8 *xsdt, *rsdt, *fadt, *old, *madt;

	make_dsdt(library);
	assert_true(acpi_build(&a, dsdt, 2, 3, false));
	assert_int_equal(a.pages, 1);
	assert_memory_equal(a.rsdp, "RSD PTR ", 8);
	assert_int_equal(sum(a.rsdp, 20), 0);
	assert_int_equal(sum(a.rsdp, 36), 0);
	xsdt = table(&a, get64(a.rsdp + 24), "XSDT");
	rsdt = table(&a, get32(a.rsdp + 16), "RSDT");
	fadt = table(&a, get64(xsdt + 36), "FACP");
	madt = table(&a, get64(xsdt + 44), "APIC");
	old = table(&a, get32(rsdt + 36), "FACP");
	assert_ptr_equal(table(&a, get32(rsdt + 40), "APIC"), madt);
	assert_int_equal(get32(fadt + 4), 268);
	assert_int_equal(get32(old + 4), 116);
	assert_memory_equal(table(&a, get64(fadt + 140), "DSDT"), library, DSDT);
	assert_int_equal(get32(fadt + 40), get64(fadt + 140));
	table(&a, get32(old + 36), "FACS");
	/* Three vCPUs, of which two are on. */
	assert_int_equal(get32(madt + 4), 44 + 3 * 8);
	for (u32 i = 0; i < 3; i++) {
		assert_int_equal(get32(madt + 44 + 8 * i), 0x0800 | i << 16 | (2 * i) << 24);
		assert_int_equal(get32(madt + 48 + 8 * i), i < 2);
	}
	assert_int_equal(get32(a.info + 16), get64(xsdt + 44) + 44);
	/* The next guest of the same program has another old FADT, and nothing else. */
	assert_true(acpi_build(&again, dsdt, 2, 3, true));
	old = table(&again, get32(rsdt + 36), "FACP");
	assert_int_equal(get32(old + 76), 0);
	assert_memory_not_equal(a.tables, again.tables, sizeof(a.tables));
	memcpy(again.tables + (old - again.tables), a.tables + (old - again.tables), 116);
	assert_memory_equal(&a, &again, sizeof(a));
	/* No room. */
	assert_false(acpi_build(&a, (struct bytes){ large, sizeof(large) }, 2, 3, false));
	assert_false(acpi_build(&a, (struct bytes){ large, sizeof(large) - 200 }, 2, 3, false));
	assert_true(acpi_build(&a, (struct bytes){ large, sizeof(large) - 4096 }, 2, 3, false));
	assert_int_equal(a.pages, ACPI_PAGES_MOST);
}

/* ---- the configuration ---- */

static void configurations(void **state)
{
	static const struct { const char *text, *why; } wrong[] = {
		{ "", "type=\"pvh\" is missing" }, { "type='hvm'\nkernel='k'\nmemory=1", "type=\"pvh\" is missing" },
		{ "type='pvh'\nmemory=1", "no kernel=" }, { "type='pvh'\nkernel='k'", "no memory=" },
		{ "type='pvh'\nkernel='k'\nmemory=1\nmaxmem=2", "maxmem=" }, { "memory='x'", "memory=" }, { "memory=-1", "memory=" }, { "memory=0", "memory=" },
		{ "vcpus=129", "vcpus=" }, { "type='pvh'\nkernel='k'\nmemory=1\nvcpus=3\nmaxvcpus=2", "less than vcpus=" },
		{ "bootloader='pygrub'", "bootloader= in the configuration changes" }, { "vnuma=[[]]", "vnuma=" }, { "kernel=['k']", "is a list" },
		{ "kernel='k", "can't be read" }, { "kernel='k' x", "can't be read" }, { "kernel", "can't be read" }, { "=3", "can't be read" },
		{ "disk=[ 'a', ", "can't be read" }, { "disk=[ 'a ]", "can't be read" }, { "cmdline='\\n'", "can't be read" }, { "a=", "can't be read" },
		{ "abcdefghijklmnopqrstuvwxyzabcdefghijklmnopqrstuvwxyz=1", "can't be read" },
	};
	struct config c;

	for (unsigned i = 0; i < ARRAY_SIZE(wrong); i++) {
		const char *why = config_read(wrong[i].text, &c);

		if (!why || !__builtin_strstr(why, wrong[i].why))
			fail_msg("'%s': %s", wrong[i].text, why ?: "was read");
	}
	assert_null(config_read("# a comment with 'quotes\nname = \"n\" ; type=\"pvh\"\n kernel\t= '/a \"b\"'  # more\nramdisk=\"\\\"r\\\"\"\n"
				"disk = [ 'a]', # ]\n  \"b['\",\n [ 1, 2 ] ]\nmemory=0x10\nmemory = '20'\r\nvcpus=2\nmaxvcpus=4\nextra='x y'\nroot='r'", &c));
	assert_string_equal(c.kernel, "/a \"b\"");
	assert_string_equal(c.ramdisk, "\"r\"");
	assert_string_equal(c.cmdline, "root=r x y");
	assert_int_equal(c.memory, 20);
	assert_int_equal(c.vcpus, 2);
	assert_int_equal(c.maxvcpus, 4);
	assert_null(config_read("type='pvh'\nkernel='k'\nmemory=1\nmaxmem=1\nroot='r'\ncmdline='c'", &c));
	assert_string_equal(c.cmdline, "c");
	assert_null(c.ramdisk);
	assert_int_equal(c.maxvcpus, 1);
}

/* ---- the digest ---- */

static Elf64_Phdr *headers(void) { return (void *)(kernel + sizeof(Elf64_Ehdr)); }

/* A kernel of one segment and one note, which names its entry. */
static void make_kernel(void)
{
	static const u32 note[] = { 4, 4, 18, 0x006e6558, 0x100010 };
	Elf64_Ehdr *e = (void *)kernel;

	memset(kernel, 0, sizeof(kernel));
	memcpy(e->e_ident, ELFMAG, SELFMAG);
	e->e_ident[EI_CLASS] = ELFCLASS64;
	e->e_phoff = sizeof(*e);
	e->e_phnum = 2;
	e->e_phentsize = sizeof(Elf64_Phdr);
	headers()[0] = (Elf64_Phdr){ .p_type = PT_LOAD, .p_flags = PF_R, .p_offset = CODE, .p_paddr = 0x100000, .p_filesz = 16, .p_memsz = 0x3000 };
	headers()[1] = (Elf64_Phdr){ .p_type = PT_NOTE, .p_offset = 512, .p_filesz = sizeof(note) };
	memcpy(kernel + 512, note, sizeof(note));
	memset(kernel + CODE, 0x90, 16);
}

/* Adds a note; its value is a number or a short text. */
static void add_note(u32 type, u64 value)
{
	u32 note[] = { 4, 8, type, 0x006e6558, (u32)value, (u32)(value >> 32) };

	memcpy(kernel + 512 + headers()[1].p_filesz, note, sizeof(note));
	headers()[1].p_filesz += sizeof(note);
}

static struct guest_parts parts(void)
{
	make_kernel();
	make_dsdt(library);
	return (struct guest_parts){ .kernel = { kernel, sizeof(kernel) }, .ramdisk = { (const u8 *)"initrd", 6 }, .cmdline = "words",
				     .dsdt = { library, DSDT }, .memory = 16, .vcpus = 1, .maxvcpus = 2 };
}

static u8 seen[32][SHA256_BYTES];
static unsigned nr_seen;

/* The guest's digest is one that no other guest has had so far. */
static void is_new(const struct guest_parts *g)
{
	u8 digest[SHA256_BYTES];

	assert_null(expect_digest(g, digest));
	for (unsigned i = 0; i < nr_seen; i++)
		if (!memcmp(seen[i], digest, sizeof(digest)))
			fail_msg("guest %u has the digest of guest %u", nr_seen, i);
	memcpy(seen[nr_seen++], digest, sizeof(digest));
}

static void is_first(const struct guest_parts *g)
{
	u8 digest[SHA256_BYTES];

	assert_null(expect_digest(g, digest));
	assert_memory_equal(digest, seen[0], sizeof(digest));
}

/* Each part of a guest changes its digest. */
static void digests(void **state)
{
	struct guest_parts g = parts();

	nr_seen = 0;
	is_new(&g);
	is_first(&g);
	g.cmdline = "word"; is_new(&g);
	g.cmdline = ""; is_new(&g);
	g.cmdline = NULL; is_new(&g);
	g = parts();
	g.ramdisk.size = 5; is_new(&g);
	g.ramdisk.size = 0; is_new(&g);
	g = parts();
	g.memory = 17; is_new(&g);
	g.memory = 4032; is_new(&g);
	g.memory = 5000; is_new(&g);
	g = parts();
	g.vcpus = 2; is_new(&g);
	g.maxvcpus = 3; is_new(&g);
	g = parts();
	g.again = true; is_new(&g);
	g = parts();
	library[50]++; is_new(&g);
	g = parts();
	kernel[CODE]++; is_new(&g);
	g = parts();
	kernel[512 + 16]++; is_new(&g);
	g = parts();
	/* The kernel's zeroes at the end count by their place alone: the start info comes behind them. */
	headers()[0].p_memsz = 0x4000; is_new(&g);
	headers()[0].p_memsz = 0x2fff; is_first(&g);
	g = parts();
	/* Old Linux finds the RSDP at another place. New Linux says that it needs that no more, in one of two ways. */
	add_note(6, 0x78756e696c); is_new(&g);
	add_note(17, 1 << 15); is_first(&g);
	/* The initrd comes last then. */
	add_note(16, 1); is_new(&g);
}

/* A file of the 32-bit class describes the same guest. */
static void narrow(void **state)
{
	struct guest_parts g = parts();
	Elf64_Phdr load = headers()[0], note = headers()[1];
	Elf32_Ehdr *e = (void *)kernel;
	Elf32_Phdr *p = (void *)(kernel + sizeof(*e));

	memset(kernel, 0, 512);
	memcpy(e->e_ident, ELFMAG, SELFMAG);
	e->e_ident[EI_CLASS] = ELFCLASS32;
	e->e_phoff = sizeof(*e);
	e->e_phnum = 2;
	e->e_phentsize = sizeof(*p);
	p[0] = (Elf32_Phdr){ .p_type = PT_LOAD, .p_flags = PF_R, .p_offset = CODE, .p_paddr = (u32)load.p_paddr, .p_filesz = 16, .p_memsz = (u32)load.p_memsz };
	p[1] = (Elf32_Phdr){ .p_type = PT_NOTE, .p_offset = 512, .p_filesz = (u32)note.p_filesz };
	is_first(&g);
}

static void refused(const struct guest_parts *g, const char *what)
{
	u8 digest[SHA256_BYTES];
	const char *why = expect_digest(g, digest);

	if (!why || !__builtin_strstr(why, what))
		fail_msg("wanted '%s': %s", what, why ?: "was taken");
}

static void damages(void **state)
{
	struct guest_parts g = parts();

	g.kernel.size = 63; refused(&g, "isn't an ELF image");
	g.kernel.size = CODE + 15; refused(&g, "truncated");
	g.kernel.size = 100; refused(&g, "no entry");
	g = parts();
	kernel[0] = 0; refused(&g, "isn't an ELF image");
	g = parts();
	headers()[0].p_filesz = ~0ull; refused(&g, "truncated");
	g = parts();
	headers()[0].p_paddr = 0xfffff000; refused(&g, "beyond 4 GiB");
	headers()[0].p_paddr = ~0ull - 1; refused(&g, "beyond 4 GiB");
	headers()[0].p_paddr = 0x100001; refused(&g, "begin with a page");
	headers()[0].p_paddr = 16 << 20; refused(&g, "too small for its kernel");
	headers()[0].p_paddr = (16 << 20) - 0x2000; refused(&g, "too small for its kernel");
	headers()[0].p_paddr = (16 << 20) - 0x3000; refused(&g, "too small for its initrd");
	headers()[0].p_paddr = (16 << 20) - 0x4000; refused(&g, "too small for its command line");
	headers()[0].p_filesz = 2000; headers()[0].p_memsz = 1999; refused(&g, "larger in the file");
	g = parts();
	headers()[1].p_type = PT_NULL; refused(&g, "no entry");
	g = parts();
	put32(kernel + 512, 0xfffffff0); refused(&g, "no entry");
	put32(kernel + 512, 4); put32(kernel + 512 + 4, 0xfffffff0); refused(&g, "no entry");
	g = parts();
	add_note(11, 0x736579); refused(&g, "symbols");
	g = parts();
	g.dsdt.size = 1 << 20; refused(&g, "no room");
}

/* ---- files ---- */

static const u8 gzipped[] = {
	0x1f, 0x8b, 0x08, 0x00, 0x00, 0x00, 0x00, 0x00, 0x02, 0x03, 0xcb, 0x48, 0xcd, 0xc9, 0xc9, 0xd7, 0x51, 0xc8, 0x4e, 0x2d, 0xca, 0x4b, 0xcd, 0x01,
	0x00, 0x50, 0x8f, 0xce, 0x74, 0x0d, 0x00, 0x00, 0x00,
};

static void packed_files(void **state)
{
	static u8 image[0x400 + sizeof(gzipped)], twice[2 * sizeof(gzipped)];
	struct bytes b = { gzipped, sizeof(gzipped) };

	/* As the toolstack unpacks an initrd: 16 bytes more, and never less than it was. */
	assert_true(file_unpack_ramdisk("initrd", &b));
	assert_int_equal(b.size, sizeof(gzipped));
	assert_memory_equal(b.at, "hello, kernel\0\0\0", 16);
	memcpy(twice, gzipped, sizeof(gzipped));
	memcpy(twice + sizeof(gzipped), gzipped, sizeof(gzipped));
	b = (struct bytes){ twice, sizeof(twice) };
	assert_false(file_unpack_ramdisk("two parts", &b));
	twice[15]++;
	b = (struct bytes){ twice, sizeof(gzipped) };
	assert_false(file_unpack_ramdisk("damaged", &b));
	b = (struct bytes){ (const u8 *)"070701 cpio", 11 };
	assert_true(file_unpack_ramdisk("plain", &b));
	assert_int_equal(b.size, 11);

	/* A bzImage of one sector, and the payload 0x200 bytes behind it. */
	memcpy(image + 0x202, "HdrS", 4);
	image[0x1f1] = 0;
	put32(image + 0x248, (u32)(sizeof(image) - sizeof(gzipped)) - 5 * 512);
	put32(image + 0x24c, sizeof(gzipped));
	b = (struct bytes){ image, sizeof(image) };
	assert_false(file_unpack_kernel("before its beginning", &b));
	image[0x1f1] = 1;
	put32(image + 0x248, 0);
	memcpy(image + 0x400, gzipped, sizeof(gzipped));
	assert_true(file_unpack_kernel("bzImage", &b));
	assert_int_equal(b.size, 13);
	assert_memory_equal(b.at, "hello, kernel", 13);
	b = (struct bytes){ image, sizeof(image) - 1 };
	assert_false(file_unpack_kernel("cut off", &b));
	b = (struct bytes){ image, sizeof(image) };
	image[0x400] = 0;
	assert_false(file_unpack_kernel("packed in an unknown way", &b));
	b = (struct bytes){ kernel, sizeof(kernel) };
	make_kernel();
	assert_true(file_unpack_kernel("plain", &b));
	assert_ptr_equal(b.at, kernel);
}

/* ---- the command ---- */

static int command(const char *first, const char *second, const char *third, const char *fourth)
{
	char *argv[] = { "seal", (char *)first, (char *)second, (char *)third, (char *)fourth, NULL };
	int argc = 1;

	while (argv[argc])
		argc++;
	return seal(argc, argv);
}

static void commands(void **state)
{
	char library_name[] = "/tmp/bothy-test-XXXXXX.so.4.17.0", config_name[] = "/tmp/bothy-test-XXXXXX", kernel_name[] = "/tmp/bothy-test-XXXXXX", text[300];
	int library_fd = mkstemps(library_name, 10), config_fd = mkstemp(config_name), kernel_fd = mkstemp(kernel_name);
	static const char nobodys[] = "--digest=0000000000000000000000000000000000000000000000000000000000000000";
	char option[sizeof(library_name) + 12];
	struct guest_parts g = parts();
	u8 digest[SHA256_BYTES];
	char own[sizeof(nobodys)];

	assert_int_equal(command("--help", NULL, NULL, NULL), END_OK);
	assert_int_equal(command(NULL, NULL, NULL, NULL), END_USAGE);
	assert_int_equal(command("--expect", NULL, NULL, NULL), END_USAGE);
	assert_int_equal(command("--expect", "a", "b", NULL), END_USAGE);
	assert_int_equal(command("--expect", "--vcpus=1", "b", NULL), END_USAGE);
	assert_int_equal(command("--expect", "--digest=0", "b", NULL), END_USAGE);
	assert_int_equal(command("--expect", "--memory=0", "b", NULL), END_USAGE);
	assert_int_equal(command("--expect", "--memory=16", "--vcpus=129", "b"), END_USAGE);
	assert_int_equal(command("--expect", "--no-such", "b", NULL), END_USAGE);
	assert_int_equal(command("--expect", "/nowhere", NULL, NULL), END_FAILED);
	snprintf(option, sizeof(option), "--toolstack=%s", library_name);
	memset(library + DSDT, 0, sizeof(library) - DSDT);
	assert_int_equal(write(library_fd, library, sizeof(library)), sizeof(library));
	assert_int_equal(write(kernel_fd, kernel, sizeof(kernel)), sizeof(kernel));
	snprintf(text, sizeof(text), "type='pvh'\nkernel='%s'\nmemory=16\ncmdline='words'\nmaxvcpus=2\n", kernel_name);
	assert_int_equal(write(config_fd, text, strlen(text)), strlen(text));
	assert_int_equal(command("--expect", option, config_name, NULL), END_OK);
	assert_int_equal(command("--expect", option, config_name, nobodys), END_DIFFERS);
	/* The guest's own digest, and the one that it has when it is built anew. */
	g.ramdisk.size = 0;
	for (g.again = false;; g.again = true) {
		assert_null(expect_digest(&g, digest));
		strlcpy(own, nobodys, sizeof(own));
		for (unsigned i = 0; i < SHA256_BYTES; i++)
			snprintf(own + 9 + 2 * i, 3, "%02x", digest[i]);
		assert_int_equal(command("--expect", option, config_name, own), END_OK);
		if (g.again)
			break;
	}
	/* A library of another name is one of an unknown version. */
	assert_int_equal(command("--expect", "--toolstack=/proc/self/exe", config_name, NULL), END_FAILED);
	unlink(library_name);
	unlink(config_name);
	unlink(kernel_name);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(dsdts), cmocka_unit_test(tables), cmocka_unit_test(configurations), cmocka_unit_test(digests), cmocka_unit_test(narrow),
		cmocka_unit_test(damages), cmocka_unit_test(packed_files), cmocka_unit_test(commands),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
