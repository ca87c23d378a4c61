/*
 * Builds a guest's memory as the toolstack does, and takes the digest of it as the hypervisor does
 * (vmm/life/seal.c). The memory is a stretch of our own address space: only pages that something is
 * written to cost anything.
 */
#include "dom0-lite/bothy/expect/expect.h"
#include <elf.h>
#include <string.h>
#include <sys/mman.h>
#include <xen/xen.h>
#include <xen/elfnote.h>
#include <xen/features.h>
#include <xen/arch-x86/hvm/start_info.h>
#include <xen/hvm/save.h>

#define SPACE           (1ull << 32)
#define SPECIAL         0xfeff8000u     /* eight pages of libxc's; the rest of them stays empty */
enum {
	SPECIAL_PAGES = 8, SPECIAL_STORE = 4, SPECIAL_IDENTITY = 6, SPECIAL_CONSOLE = 7,
	MODULES_MOST = 2, RAM = 1, RESERVED = 2, ACPI_TABLES = 3,
	PAGE_USED = 1, PAGE_SHARED = 2,
};

struct memory {
	u8 *at;
	u8 used[SPACE / GUEST_PAGE];
	u64 ram;                            /* bytes of it below 4 GiB */
	u64 next;                           /* where the toolstack puts the next part */
};

static struct memory memory;
static struct acpi acpi;

/* Says that the bytes are written now, and returns their place. */
static u8 *use(u64 at, u64 size)
{
	memset(memory.used + at / GUEST_PAGE, PAGE_USED, (at + size - 1) / GUEST_PAGE - at / GUEST_PAGE + 1);
	return memory.at + at;
}

/* Takes the next pages for a part of the guest. Returns false if there are too few. */
static bool take(u64 size, u64 *at)
{
	*at = memory.next;
	if (size > memory.ram || ROUND_UP(size, (u64)GUEST_PAGE) > memory.ram - memory.next)
		return false;
	memory.next += ROUND_UP(size, (u64)GUEST_PAGE);
	return true;
}

/* ---- the kernel ---- */

struct kernel {
	struct bytes image;
	u64 low, high;                      /* where it is in memory */
	u64 entry;
	bool has_entry, is_linux, rsdp_anywhere, late_modules, has_symbols;
};

static bool within(u64 at, u64 size, u64 whole) { return at <= whole && size <= whole - at; }

/* Reads program header n, of either class. Returns false if there is none. */
static bool header(const struct kernel *k, unsigned n, Elf64_Phdr *out)
{
	Elf64_Ehdr e = { 0 };
	Elf32_Ehdr narrow;
	Elf32_Phdr p;
	bool wide = k->image.at[EI_CLASS] == ELFCLASS64;

	if (wide) {
		memcpy(&e, k->image.at, sizeof(e));
	} else {
		memcpy(&narrow, k->image.at, sizeof(narrow));
		e.e_phoff = narrow.e_phoff;
		e.e_phnum = narrow.e_phnum;
		e.e_phentsize = narrow.e_phentsize;
	}
	if (n >= e.e_phnum || e.e_phentsize < (wide ? sizeof(*out) : sizeof(p)) ||
	    !within(e.e_phoff, (n + 1ull) * e.e_phentsize, k->image.size))
		return false;
	if (wide) {
		memcpy(out, k->image.at + e.e_phoff + n * e.e_phentsize, sizeof(*out));
	} else {
		memcpy(&p, k->image.at + e.e_phoff + n * e.e_phentsize, sizeof(p));
		*out = (Elf64_Phdr){ .p_type = p.p_type, .p_flags = p.p_flags, .p_offset = p.p_offset, .p_paddr = p.p_paddr,
				     .p_filesz = p.p_filesz, .p_memsz = p.p_memsz };
	}
	return true;
}

/* A note's value: a number, or a text, which ends within it. */
static void read_note(struct kernel *k, u32 type, const u8 *at, u32 size)
{
	const char *text = size && !at[size - 1] ? (const char *)at : "";
	u64 number = 0;

	if (size == 4 || size == 8)
		memcpy(&number, at, size);
	switch (type) {
	case XEN_ELFNOTE_PHYS32_ENTRY:
		k->entry = number;
		k->has_entry = true;
		break;
	case XEN_ELFNOTE_GUEST_OS:
		k->is_linux = !strcmp(text, "linux");
		break;
	case XEN_ELFNOTE_MOD_START_PFN:
		k->late_modules = number;
		break;
	case XEN_ELFNOTE_FEATURES:
		k->rsdp_anywhere |= strstr(text, "linux_rsdp_unrestricted") != NULL;
		break;
	case XEN_ELFNOTE_SUPPORTED_FEATURES:
		k->rsdp_anywhere |= number >> XENFEAT_linux_rsdp_unrestricted & 1;
		break;
	case XEN_ELFNOTE_BSD_SYMTAB:
		k->has_symbols = !strcmp(text, "yes");
		break;
	}
}

static void read_notes(struct kernel *k, const u8 *at, u64 left)
{
	Elf64_Nhdr n;

	while (left >= sizeof(n)) {
		u64 name, whole;

		memcpy(&n, at, sizeof(n));
		name = ROUND_UP((u64)n.n_namesz, 4);
		whole = sizeof(n) + name + ROUND_UP((u64)n.n_descsz, 4);
		if (sizeof(n) + name + n.n_descsz > left)
			return;
		if (n.n_namesz == 4 && !memcmp(at + sizeof(n), "Xen", 4))
			read_note(k, n.n_type, at + sizeof(n) + name, n.n_descsz);
		if (whole >= left)
			return;
		at += whole;
		left -= whole;
	}
}

static bool is_loaded(const Elf64_Phdr *p) { return p->p_type == PT_LOAD && p->p_flags & (PF_R | PF_W | PF_X); }

static const char *open_kernel(struct kernel *k)
{
	Elf64_Phdr p;

	if (k->image.size < sizeof(Elf64_Ehdr) || memcmp(k->image.at, ELFMAG, SELFMAG))
		return "the kernel isn't an ELF image";
	k->low = SPACE;
	for (unsigned n = 0; header(k, n, &p); n++) {
		if ((p.p_type == PT_NOTE || is_loaded(&p)) && !within(p.p_offset, p.p_filesz, k->image.size))
			return "the kernel is truncated";
		if (p.p_type == PT_NOTE && p.p_offset)
			read_notes(k, k->image.at + p.p_offset, p.p_filesz);
		if (!is_loaded(&p))
			continue;
		if (p.p_filesz > p.p_memsz)
			return "a segment of the kernel is larger in the file than in memory";
		if (!within(p.p_paddr, p.p_memsz, SPACE))
			return "a segment of the kernel lies beyond 4 GiB";
		k->low = MIN(k->low, p.p_paddr);
		k->high = MAX(k->high, p.p_paddr + p.p_memsz);
	}
	if (!k->has_entry)
		return "the kernel has no entry for PVH guests";
	if (k->has_symbols)
		return "the kernel wants its symbols loaded, which isn't known here";
	return k->low < k->high && !(k->low % GUEST_PAGE) ? NULL : "the kernel doesn't begin with a page";
}

static const char *load_kernel(const struct kernel *k)
{
	Elf64_Phdr p;
	u64 at;

	memory.next = k->low;
	if (k->low > memory.ram || !take(k->high - k->low, &at))
		return "the guest's memory is too small for its kernel";
	for (unsigned n = 0; header(k, n, &p); n++) {
		if (!is_loaded(&p) || !p.p_memsz)
			continue;
		memcpy(use(p.p_paddr, p.p_memsz), k->image.at + p.p_offset, p.p_filesz);
		memset(memory.at + p.p_paddr + p.p_filesz, 0, p.p_memsz - p.p_filesz);
	}
	return NULL;
}

/* ---- what the guest is told ---- */

static u64 load_acpi(const struct kernel *k, struct hvm_memmap_table_entry *map)
{
	u64 end = ACPI_BASE + (1ull + acpi.pages) * GUEST_PAGE;
	/* Older Linux looks for it only at the end of the first megabyte. */
	u64 rsdp = k->is_linux && !k->rsdp_anywhere ? 0x100000 - ACPI_RSDP : end;

	memcpy(use(rsdp, ACPI_RSDP), acpi.rsdp, ACPI_RSDP);
	memcpy(use(ACPI_BASE, ACPI_INFO), acpi.info, ACPI_INFO);
	memcpy(use(ACPI_BASE + GUEST_PAGE, (u64)acpi.pages * GUEST_PAGE), acpi.tables, (u64)acpi.pages * GUEST_PAGE);
	map[0] = (struct hvm_memmap_table_entry){ rsdp / GUEST_PAGE * GUEST_PAGE, ACPI_RSDP + rsdp % GUEST_PAGE, ACPI_TABLES, 0 };
	map[1] = (struct hvm_memmap_table_entry){ ACPI_BASE, GUEST_PAGE, ACPI_TABLES, 0 };
	map[2] = (struct hvm_memmap_table_entry){ ACPI_BASE + GUEST_PAGE, (u64)acpi.pages * GUEST_PAGE, ACPI_TABLES, 0 };
	return rsdp;
}

/* Writes the start info at `at`: its head, the command line, the list of modules with room for their command lines, the memory map. */
static void put_start_info(u64 at, const char *cmdline, u64 rsdp, u64 ramdisk, u64 ramdisk_size, const struct hvm_memmap_table_entry *map, u32 entries)
{
	struct hvm_start_info s = { .magic = XEN_HVM_START_MAGIC_VALUE, .version = 1, .rsdp_paddr = rsdp, .memmap_entries = entries };
	struct hvm_modlist_entry module = { .paddr = ramdisk, .size = ramdisk_size };
	u64 list = at + sizeof(s);

	if (cmdline) {
		s.cmdline_paddr = at + sizeof(s);
		strcpy((char *)memory.at + s.cmdline_paddr, cmdline);
		list += ROUND_UP(strlen(cmdline) + 1, 8);
	}
	if (ramdisk_size) {
		s.nr_modules = 1;
		s.modlist_paddr = list;
		memcpy(memory.at + list, &module, sizeof(module));
	}
	s.memmap_paddr = list + MODULES_MOST * (sizeof(module) + MAX_GUEST_CMDLINE);
	memcpy(memory.at + s.memmap_paddr, map, entries * sizeof(*map));
	memcpy(memory.at + at, &s, sizeof(s));
}

/* The page directory with which CPUs of Intel run a guest that has no paging yet. */
static void put_identity(void)
{
	u32 *entry = (u32 *)(void *)use(SPECIAL + SPECIAL_IDENTITY * GUEST_PAGE, GUEST_PAGE);

	for (u32 i = 0; i < GUEST_PAGE / sizeof(*entry); i++)
		entry[i] = i << 22 | 0xe7;      /* present, writable, the user's, accessed, dirty, large */
}

static const char *build(const struct guest_parts *g, const struct kernel *k, u64 *start)
{
	struct hvm_memmap_table_entry map[6] = { { .type = RAM } };
	u64 all = (u64)g->memory << 20, size, rsdp, ramdisk = 0;
	bool late = k->late_modules;
	const char *why = load_kernel(k);
	u32 entries = 5;

	if (why)
		return why;
	map[0].size = memory.ram;
	map[1] = (struct hvm_memmap_table_entry){ SPECIAL, SPECIAL_PAGES * GUEST_PAGE, RESERVED, 0 };
	if (all > memory.ram)
		map[entries++] = (struct hvm_memmap_table_entry){ SPACE, all - memory.ram, RAM, 0 };
	size = sizeof(struct hvm_start_info) + MODULES_MOST * (sizeof(struct hvm_modlist_entry) + MAX_GUEST_CMDLINE) + entries * sizeof(map[0]) +
	       (g->cmdline ? ROUND_UP(strlen(g->cmdline) + 1, 8) : 0);
	if (g->ramdisk.size && !late && !take(g->ramdisk.size, &ramdisk))
		return "the guest's memory is too small for its initrd";
	if (!take(size, start))
		return "the guest's memory is too small for its command line";
	if (g->ramdisk.size && late && !take(g->ramdisk.size, &ramdisk))
		return "the guest's memory is too small for its initrd";
	if (g->ramdisk.size)
		memcpy(use(ramdisk, g->ramdisk.size), g->ramdisk.at, g->ramdisk.size);
	rsdp = load_acpi(k, map + 2);
	use(*start, size);
	put_start_info(*start, g->cmdline, rsdp, ramdisk, g->ramdisk.size, map, entries);
	put_identity();
	memory.used[SPECIAL / GUEST_PAGE + SPECIAL_STORE] = PAGE_SHARED;
	memory.used[SPECIAL / GUEST_PAGE + SPECIAL_CONSOLE] = PAGE_SHARED;
	return NULL;
}

/* ---- the digest ---- */

/* The first vCPU at its start. The others wait. */
static void measure_vcpu(struct sha256 *sum, u64 entry, u64 start)
{
	struct hvm_hw_cpu c = {
		.rip = entry, .rbx = start, .rflags = 2, .cr0 = 0x11, .dr6 = 0xffff0ff0, .dr7 = 0x400,
		.cs_limit = ~0u, .ds_limit = ~0u, .es_limit = ~0u, .ss_limit = ~0u, .tr_limit = 0x67,
		.cs_arbytes = 0xc9b, .ds_arbytes = 0xc93, .es_arbytes = 0xc93, .ss_arbytes = 0xc93, .tr_arbytes = 0x8b,
		.flags = XEN_X86_FPU_INITIALISED,
	};
	u32 id = 0, fcw = 0x37f, mxcsr = 0x1f80;

	memcpy(c.fpu_regs, &fcw, 2);
	memcpy(c.fpu_regs + 24, &mxcsr, sizeof(mxcsr));
	sha256_add(sum, &id, sizeof(id));
	sha256_add(sum, &c, sizeof(c));
}

static bool is_empty(const u8 *page)
{
	static const u8 zeroes[GUEST_PAGE];

	return !memcmp(page, zeroes, GUEST_PAGE);
}

static void measure(u64 entry, u64 start, u8 digest[SHA256_BYTES])
{
	struct sha256 sum;

	sha256_start(&sum);
	for (u64 n = 0; n < SPACE / GUEST_PAGE; n++) {
		bool shared = memory.used[n] == PAGE_SHARED;
		u64 number = n | (shared ? BIT(63) : 0);

		if (!memory.used[n] || (!shared && is_empty(memory.at + n * GUEST_PAGE)))
			continue;
		sha256_add(&sum, &number, sizeof(number));
		sha256_add(&sum, memory.at + n * GUEST_PAGE, shared ? 0 : GUEST_PAGE);
	}
	measure_vcpu(&sum, entry, start);
	sha256_end(&sum, digest);
}

const char *expect_digest(const struct guest_parts *g, u8 digest[SHA256_BYTES])
{
	struct kernel k = { .image = g->kernel };
	const char *why = open_kernel(&k);
	u64 start;

	if (why)
		return why;
	if (!acpi_build(&acpi, g->dsdt, g->vcpus, g->maxvcpus, g->again))
		return "the ACPI tables have no room in 16 pages";
	memset(&memory, 0, sizeof(memory));
	memory.ram = MIN((u64)g->memory << 20, (u64)ACPI_BASE);
	memory.at = mmap(NULL, SPACE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (memory.at == MAP_FAILED)
		return "there are no 4 GiB of address space to build the guest in";
	why = build(g, &k, &start);
	if (!why)
		measure(k.entry, start, digest);
	munmap(memory.at, SPACE);
	return why;
}
