/*
 * An unprivileged process of the service domain let CPUID be the last instruction below 4 GiB of
 * 32-bit code. The hypervisor does CPUID, and added its length to RIP, which became 100000000h; the
 * CPU refuses to enter 32-bit code there, and the machine started again. And a debugger that
 * single-stepped over such an instruction stopped one too late.
 *
 * Here each instruction that the hypervisor does stands at each end that code can have,
 * single-stepped and not. It has to end as the manuals say. A NOP there shows what the CPU does by
 * itself.
 *
 * Some make an exit and are executed by the CPU then, and end as its own instructions do. Emulators
 * have faults there (docs/testing.md), so such an instruction may also end as its twin, which makes
 * no exit: MOV to CR0 of the value that it has, or MOV from CR0.
 */
#define TF       BIT(8)
#define DR6_BS   BIT(14)
#define CR0_NW   BIT(29)
#define CR0_CD   BIT(30)
#define CR4_MCE  BIT(6)
#define VECTOR_BACK 0x80

enum { U32_CS = 0xb0 | 3, K16_CS = 0xb8, K32_CS = 0x18, GDT_ENTRIES = 24 };
enum { RELATIVE = 1, STEP_ONLY = 2, CODE_64 = 4, USER = 8, CPUS = 16, READS = 32, RETRIED = 64,
	LIMITED = 128 };

static bool tcg, bochs;

struct start { u64 ss, rsp, rflags, cs, rip, rax, rcx, rdx; };
struct end { u64 vector, rip, dr6; };

/* What go() began comes back here, whatever trap ends it. */
u64 go_rsp;
void go(const struct start *s);
extern char go_back[];
__asm__("go:	push %rbx; push %rbp; push %r12; push %r13; push %r14; push %r15\n"
	"	mov %rsp, go_rsp\n"
	"	pushq (%rdi); pushq 8(%rdi); pushq 16(%rdi); pushq 24(%rdi); pushq 32(%rdi)\n"
	"	mov 40(%rdi), %rax; mov 48(%rdi), %rcx; mov 56(%rdi), %rdx\n"
	"	xor %ebx, %ebx\n"
	"	iretq\n"
	"go_back:\n"
	"	pop %r15; pop %r14; pop %r13; pop %r12; pop %rbp; pop %rbx\n"
	"	ret");

static struct end end;
static u64 gdt_copy[GDT_ENTRIES];
extern u64 gdt[];
extern struct { u16 limit; u64 base; } __attribute__((packed)) gdtr;
static u8 top[PAGE_SIZE] PAGE_ALIGNED, after[PAGE_SIZE] PAGE_ALIGNED,
	middle[PAGE_SIZE] PAGE_ALIGNED, code16[0x11000] PAGE_ALIGNED, stack[4096] PAGE_ALIGNED;

static u64 read_cr0(void) { u64 v; __asm__ volatile("mov %%cr0, %0" : "=r"(v)); return v; }
static u64 read_cr3(void) { u64 v; __asm__ volatile("mov %%cr3, %0" : "=r"(v)); return v; }
static u64 read_cr4(void) { u64 v; __asm__ volatile("mov %%cr4, %0" : "=r"(v)); return v; }
static u64 read_dr6(void) { u64 v; __asm__ volatile("mov %%dr6, %0" : "=r"(v)); return v; }
static void write_cr0(u64 v) { __asm__ volatile("mov %0, %%cr0" :: "r"(v) : "memory"); }
static void write_cr4(u64 v) { __asm__ volatile("mov %0, %%cr4" :: "r"(v) : "memory"); }
/* Away from all code: a CPU tells of an address that matches even where the breakpoint is off. */
static void write_dr0_to_3(u64 v)
{
	__asm__ volatile("mov %0, %%dr0; mov %0, %%dr1; mov %0, %%dr2; mov %0, %%dr3" :: "r"(v));
}
static void write_dr6(u64 v) { __asm__ volatile("mov %0, %%dr6" :: "r"(v)); }

static void came_back(struct frame *f)
{
	end = (struct end){ .vector = f->vector, .rip = f->rip, .dr6 = read_dr6() };
	f->cs = KERNEL_CS;
	f->ss = KERNEL_DS;
	f->rip = (u64)go_back;
	f->rsp = go_rsp;
	f->rflags = 2;
}

/* ---- where code can end ---- */

static u64 *table_at(u64 entry) { return (u64 *)(entry & 0xffffffffff000); }

static void map_top(u64 *table, unsigned levels, u64 frame)
{
	static u64 tables[6][512] PAGE_ALIGNED;
	static unsigned used;

	for (; levels; levels--) {
		table[511] = (u64)tables[used] | 7;
		table = tables[used++];
	}
	table[511] = frame | 7;
}

static void make_places(void)
{
	static u64 pd[512] PAGE_ALIGNED, pt[512] PAGE_ALIGNED, pdpt_255[512] PAGE_ALIGNED;
	u64 *pml4 = table_at(read_cr3()), *pdpt = table_at(pml4[0]);
	u8 *zero = NULL;
	u64 base = (u64)code16;

	map_top(table_at(pdpt[3]), 1, (u64)top);        /* fffff000 */
	pdpt[4] = (u64)pd | 7;                          /* 100000000 */
	pd[0] = (u64)pt | 7;
	pt[0] = (u64)after | 7;
	pml4[255] = (u64)pdpt_255 | 7;                  /* 7ffffffff000 */
	map_top(pdpt_255, 2, (u64)top);
	__asm__ volatile("mov %0, %%cr3" :: "r"(read_cr3()) : "memory");

	memcpy(gdt_copy, gdt, gdtr.limit + 1u);
	gdt_copy[U32_CS / 8] = 0x00cffb000000ffff;
	gdt_copy[K16_CS / 8] = 0x00009b000000ffff | (base & 0xffffff) << 16 | (base >> 24) << 56;
	gdtr.base = (u64)gdt_copy;
	gdtr.limit = sizeof(gdt_copy) - 1;
	__asm__ volatile("lgdt %0" :: "m"(gdtr));

	/* INT $0x80 where execution goes on, if it does. */
	__asm__("" : "+r"(zero));
	zero[0] = after[0] = code16[0] = code16[0x10000] = 0xcd;
	zero[1] = after[1] = code16[1] = code16[0x10001] = VECTOR_BACK;
}

/*
 * The last byte of the instruction is at `last` (RELATIVE: of its page), as code sees it; then RIP is `next`, and the
 * instruction there ends by `vector` with `rip`.
 */
static const struct place {
	const char *name;
	u8 *page;
	u64 last, next, vector, rip;
	u16 cs;
	u8 flags;
} places[] = {
	{ "64-bit code", middle, 0x80f, 0x810, VECTOR_BACK, 0x812, KERNEL_CS, CODE_64 | RELATIVE },
	{ "32-bit code below 4 GiB", top, 0xffffffff, 0, VECTOR_BACK, 2, K32_CS, 0 },
	{ "a process's 32-bit code below 4 GiB", top, 0xffffffff, 0, VECTOR_BACK, 2, U32_CS, USER },
	{ "64-bit code across 4 GiB", top, 0xffffffff, 0x100000000, VECTOR_BACK, 0x100000002,
		KERNEL_CS, CODE_64 },
	{ "64-bit code before the hole in the address space", top, 0x7fffffffffff, 0x800000000000,
		VECTOR_GP, 0x800000000000, KERNEL_CS, CODE_64 },
	{ "a process's code before the hole", top, 0x7fffffffffff, 0x800000000000, VECTOR_GP,
		0x800000000000, USER_CS, CODE_64 | USER },
	{ "16-bit code at its segment's end", code16 + 0xf000, 0xffff, 0x10000, VECTOR_GP, 0x10000,
		K16_CS, LIMITED },
};

/* ---- the instructions ---- */

static struct insn { const char *name; u8 bytes[4], length, flags; u32 eax, ecx, edx; } insns[] = {
	{ "CPUID", { 0x0f, 0xa2 }, 2, USER, 0, 0, 0 },
	{ "hypercall", { 0x0f, 0x01, 0xd9 }, 3, USER, 17, 0, 0 },
	{ "RDMSR", { 0x0f, 0x32 }, 2, 0, 0, 0x277, 0 },
	{ "WRMSR", { 0x0f, 0x30 }, 2, 0, 0, 0x8b, 0 },
	{ "IN", { 0xec }, 1, 0, 0, 0, 0x123 },
	{ "OUT", { 0xee }, 1, 0, 0, 0, 0x80 },
	{ "INVD", { 0x0f, 0x08 }, 2, 0, 0, 0, 0 },
	{ "WBINVD", { 0x0f, 0x09 }, 2, 0, 0, 0, 0 },
	{ "XSETBV", { 0x0f, 0x01, 0xd1 }, 3, 0, 1, 0, 0 },
	{ "HLT", { 0xf4 }, 1, STEP_ONLY, 0, 0, 0 },
	{ "MOV to CR0 with WP changed", { 0x0f, 0x22, 0xc0 }, 3, CPUS, 0, 0, 0 },
	{ "MOV to CR0 with CD set", { 0x0f, 0x22, 0xc0 }, 3, CPUS | RETRIED, 0, 0, 0 },
	{ "MOV from CR0 with CD set", { 0x0f, 0x20, 0xc1 }, 3, CPUS | READS, 0, 0, 0 },
	{ "MOV to CR0 with CD clear", { 0x0f, 0x22, 0xc0 }, 3, CPUS | RETRIED, 0, 0, 0 },
	{ "MOV to CR3", { 0x0f, 0x22, 0xd8 }, 3, CPUS, 0, 0, 0 },
	{ "MOV to CR4 with MCE changed", { 0x0f, 0x22, 0xe0 }, 3, CPUS | RETRIED, 0, 0, 0 },
	{ "MOV to CR4 with MCE as it was", { 0x0f, 0x22, 0xe0 }, 3, CPUS | RETRIED, 0, 0, 0 },
	{ "MOV to CR8", { 0x44, 0x0f, 0x22, 0xc0 }, 4, CODE_64, 0, 0, 0 },
	{ "MOV from CR8", { 0x44, 0x0f, 0x20, 0xc0 }, 4, CODE_64, 0, 0, 0 },
}, twins[] = {
	{ "MOV to CR0", { 0x0f, 0x22, 0xc0 }, 3, 0, 0, 0, 0 },
	{ "MOV from CR0", { 0x0f, 0x20, 0xc1 }, 3, 0, 0, 0, 0 },
};

static void make_insns(void)
{
	u32 cr0 = (u32)read_cr0();

	twins[0].eax = cr0;
	for (struct insn *i = insns; i < insns + ARRAY_SIZE(insns); i++) {
		if (!strcmp(i->name, "hypercall") && cpuid(0, 0).b == 0x756e6547)
			i->bytes[2] = 0xc1;
		if (!strcmp(i->name, "MOV to CR0 with WP changed"))
			i->eax = cr0 ^ (u32)BIT(16);
		if (!strcmp(i->name, "MOV to CR0 with CD set"))
			i->eax = cr0 | (u32)CR0_CD;
		if (!strcmp(i->name, "MOV to CR0 with CD clear"))
			i->eax = cr0;
		if (i->bytes[2] == 0xd8)
			i->eax = (u32)read_cr3();
		if (!strcmp(i->name, "MOV to CR4 with MCE changed"))
			i->eax = (u32)(read_cr4() ^ CR4_MCE);
		if (!strcmp(i->name, "MOV to CR4 with MCE as it was"))
			i->eax = (u32)read_cr4();
		/* TCG's doesn't exit, whatever it is told. */
		if (tcg && !strcmp(i->name, "XSETBV"))
			i->flags = CPUS;
	}
}

static struct end run_at(const struct place *p, const u8 *bytes, u32 length, const struct insn *i,
			 u64 rflags)
{
	u64 base = p->flags & RELATIVE ? (u64)middle : 0;
	bool user = p->flags & USER;
	struct start s = {
		.ss = user ? USER_DS : KERNEL_DS,
		.rsp = (u64)(stack + sizeof(stack)),
		.rflags = 2 | rflags,
		.cs = p->cs,
		.rip = base + p->last + 1 - length,
		.rax = i->eax,
		.rcx = i->ecx,
		.rdx = i->edx,
	};

	memcpy(p->page + p->last % PAGE_SIZE + 1 - length, bytes, length);
	if (base) {
		middle[0x810] = 0xcd;
		middle[0x811] = VECTOR_BACK;
	}
	write_dr6(0xffff0ff0);
	end = (struct end){ 0 };
	go(&s);
	end.dr6 &= 0xe00f;
	end.rip -= base;
	return end;
}

static bool same(const struct end *a, const struct end *b)
{
	return a->vector == b->vector && a->rip == b->rip && a->dr6 == b->dr6;
}

/* What is behind a segment's end is #GP, but where a CPU is seen to have no limits. */
static struct end right_end(const struct place *p, u64 rflags)
{
	struct end right = { p->vector, p->rip, 0 }, e;

	if (rflags & TF)
		return (struct end){ VECTOR_DB, p->next, DR6_BS };
	if (tcg && p->flags & LIMITED) {
		e = run_at(p, NULL, 0, insns, 0);
		if (e.vector == VECTOR_BACK && e.rip == p->next + 2)
			right = e;
	}
	return right;
}

/*
 * Bochs makes a step in front of an instruction that exits and is tried again: for the second
 * attempt it keeps the trap that was to come behind the first. From there a debugger goes on.
 */
static struct end try_insn(const struct place *p, const struct insn *i, u64 rflags, unsigned *fronts)
{
	struct end e = run_at(p, i->bytes, i->length, i, rflags),
		front = { VECTOR_DB, p->last + 1 - i->length, DR6_BS };

	if (bochs && rflags & TF && i->flags & RETRIED && same(&e, &front)) {
		++*fronts;
		e = run_at(p, i->bytes, i->length, i, rflags);
	}
	return e;
}

static bool applies(const struct insn *i, const struct place *p, u64 rflags)
{
	return !((i->flags & STEP_ONLY && !(rflags & TF)) ||
		 (i->flags & CODE_64 && !(p->flags & CODE_64)) ||
		 (p->flags & USER && !(i->flags & USER)));
}

static void try_place(const struct place *p, u64 rflags)
{
	static const u8 nops[] = { 0x90 };
	const char *how = rflags & TF ? ", single-stepped" : "";
	unsigned good = 0, as_twin = 0, fronts = 0;
	struct end right = right_end(p, rflags), e, twin[2] = { { 0 } };

	e = run_at(p, nops, 1, insns, rflags);
	if (tcg && !same(&e, &right))
		skip("%s%s: the emulator ends NOP by vector %lu at %lx, DR6 %lx", p->name, how,
		     e.vector, e.rip, e.dr6);
	else
		check(same(&e, &right), "%s%s: the CPU ends by vector %lu at %lx, DR6 %lx", p->name,
		      how, e.vector, e.rip, e.dr6);
	for (unsigned i = 0; i < 2 && !(p->flags & USER); i++)
		twin[i] = run_at(p, twins[i].bytes, twins[i].length, twins + i, rflags);
	for (const struct insn *i = insns; i < insns + ARRAY_SIZE(insns); i++) {
		if (!applies(i, p, rflags))
			continue;
		e = try_insn(p, i, rflags, &fronts);
		if (same(&e, &right))
			good++;
		else if (i->flags & CPUS && same(&e, &twin[!!(i->flags & READS)]))
			as_twin++;
		else
			check(false, "%s%s: %s ends by vector %lu at %lx, DR6 %lx", p->name, how,
			      i->name, e.vector, e.rip, e.dr6);
	}
	check(good > 0, "%s%s: %u instructions end by vector %lu at %lx", p->name, how, good,
	      right.vector, right.rip);
	if (as_twin)
		skip("%s%s: %u others end as the emulator's own", p->name, how, as_twin);
	if (fronts)
		skip("%s%s: the emulator steps in front of %u", p->name, how, fronts);
	write_cr0(read_cr0() | BIT(16));
}

/* INT1 is a trap: RIP is behind it. */
static void icebp(const struct place *p)
{
	static const u8 int1[] = { 0xf1 };
	struct end e = run_at(p, int1, 1, insns, 0);

	if (tcg && e.vector == VECTOR_UD && e.rip == p->last)
		skip("%s: the emulator has no INT1", p->name);
	else
		check(e.vector == VECTOR_DB && e.rip == p->next,
			"%s: INT1 ends by vector %lu at %lx", p->name, e.vector, e.rip);
}

/* ---- values that control registers can't have ---- */

static void bad_values(void)
{
	u64 cr3 = read_cr3(), cr4 = read_cr4(), dr7, dr7_after;
	u32 fault;

	__asm__ volatile("mov %%dr7, %0" : "=r"(dr7));
	for (unsigned bit = 32; bit < 64; bit++)
		if (TRY("mov %0, %%cr4", :: "r"(cr4 | BIT(bit)) : "memory") != VECTOR_GP)
			check(false, "MOV to CR4 with bit %u is no #GP", bit);
	expect((long)read_cr4(), (long)cr4, "MOV to CR4 with reserved bits: nothing changed");
	fault = TRY("mov %0, %%cr4", :: "r"(cr4 | BIT(15)) : "memory");
	expect(fault, VECTOR_GP, "MOV to CR4 with bit 15");
	fault = TRY("mov %0, %%cr3", :: "r"(cr3 | BIT(60)) : "memory");
	expect(fault, VECTOR_GP, "MOV to CR3 with bit 60");
	expect((long)read_cr3(), (long)cr3, "nothing changed");
	fault = TRY("mov %0, %%dr7", :: "r"(dr7 | BIT(40)) : "memory");
	expect(fault, VECTOR_GP, "MOV to DR7 with bit 40");
	__asm__ volatile("mov %%dr7, %0" : "=r"(dr7_after));
	expect((long)(dr7_after & 0xffffffff), (long)dr7, "nothing changed");
}

/* Caching is the guest's to switch off as far as it sees. */
static void caching(void)
{
	u64 cr0 = read_cr0();
	u16 msw;

	write_cr0(cr0 | CR0_CD);
	expect((long)read_cr0(), (long)(cr0 | CR0_CD), "CR0.CD is seen");
	write_cr0(cr0 | CR0_CD | CR0_NW);
	expect((long)read_cr0(), (long)(cr0 | CR0_CD | CR0_NW), "CR0.NW with it");
	__asm__ volatile("clts; smsw %0" : "=r"(msw));
	expect(msw, (u16)cr0, "CLTS and SMSW work as they did");
	write_cr0((cr0 ^ BIT(16)) | CR0_CD);
	expect((long)read_cr0(), (long)((cr0 ^ BIT(16)) | CR0_CD), "another bit, with CD set");
	write_cr0(cr0);
	expect((long)read_cr0(), (long)cr0, "and gone");
	if (TRY("mov %0, %%cr0", :: "r"(cr0 | CR0_NW) : "memory") == NO_FAULT && tcg)
		skip("the emulator takes CR0.NW without CD");
	else
		expect(this_cpu()->fault, VECTOR_GP, "CR0.NW without CD");
	expect((long)read_cr0(), (long)cr0, "nothing changed");
}

void test_main(void)
{
	static const u8 traps[] = { VECTOR_DB, VECTOR_UD, 8, 10, 11, 12, VECTOR_GP, VECTOR_PF,
		VECTOR_BACK };

	tcg = option("qemu", 0);
	bochs = option("bochs", 0);
	bad_values();
	caching();
	if (cpuid(1, 0).c >> 26 & 1)
		write_cr4(read_cr4() | BIT(18));
	write_dr0_to_3(0x1234560);
	make_places();
	make_insns();
	for (size_t i = 0; i < ARRAY_SIZE(traps); i++)
		handlers[traps[i]] = came_back;
	for (const struct place *p = places; p < places + ARRAY_SIZE(places); p++) {
		try_place(p, 0);
		try_place(p, TF);
		icebp(p);
	}
}
