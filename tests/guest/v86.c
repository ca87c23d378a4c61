/*
 * The same story as in steps.c, from virtual-8086 mode, whose entry has rules of its own: an
 * instruction that the hypervisor does, in the middle of its segment and as the last that IP can
 * reach, single-stepped and not. It has to end as a NOP there does.
 *
 * Long mode has no such mode: the guest leaves it, and comes back by the trap.
 */
#define TF     BIT(8)
#define VM     BIT(17)
#define DR6_BS BIT(14)

enum { LINEAR = 0x20000, CS = LINEAR >> 4, TSS32 = 0xb0, GDT_ENTRIES = 24 };

/* In the order in which IRET wants them. */
struct v86_start { u32 eip, cs, eflags, esp, ss, es, ds, fs, gs; };
struct v86_start v86_start;
struct { u32 vector, eip, cs, eflags, dr6; } v86_end;
u64 v86_rsp, v86_gdt[GDT_ENTRIES], v86_idt[32];
u32 v86_tss[26], v86_stack[1024];
struct { u16 limit; u64 base; } __attribute__((packed)) v86_gdtr, v86_idtr, v86_idtr64;
void v86_go(void);
extern char v86_trap[], v86_trap_error[], v86_trap_debug[];
extern u64 gdt[], gdt_tss[NR_CPUS][2];
extern struct { u16 limit; u64 base; } __attribute__((packed)) gdtr;

__asm__(
"v86_go: push %rbx; push %rbp; push %r12; push %r13; push %r14; push %r15\n"
"	mov	%rsp, v86_rsp\n"
"	sidt	v86_idtr64\n"
"	lgdt	v86_gdtr\n"
"	pushq	$0x18\n"
"	pushq	$1f\n"
"	lretq\n"
"	.code32\n"
"1:	mov	$0x10, %eax\n"
"	mov	%eax, %ss; mov %eax, %ds; mov %eax, %es\n"
"	mov	%cr0, %eax; and $0x7fffffff, %eax; mov %eax, %cr0\n"
"	mov	$0xc0000080, %ecx; rdmsr; and $~0x100, %eax; wrmsr\n"
"	lidtl	v86_idtr\n"
"	mov	$0xb0, %eax; ltr %ax\n"
"	mov	$v86_start, %esp\n"
"	xor	%eax, %eax; xor %ecx, %ecx; xor %edx, %edx; xor %ebx, %ebx\n"
"	iretl\n"
/* What the stack has from below: an error code or a zero, then what IRET would take. */
"v86_trap: push $0; push $6; jmp 2f\n"
"v86_trap_debug: push $0; push $1; jmp 2f\n"
"v86_trap_error: push $13\n"
"2:	mov	$0x10, %eax\n"
"	mov	%eax, %ds; mov %eax, %es\n"
"	pop	v86_end; add $4, %esp; pop v86_end + 4; pop v86_end + 8; pop v86_end + 12\n"
"	mov	%dr6, %eax; mov %eax, v86_end + 16\n"
"	mov	$0xc0000080, %ecx; rdmsr; or $0x100, %eax; wrmsr\n"
"	mov	%cr0, %eax; or $0x80000000, %eax; mov %eax, %cr0\n"
"	ljmp	$0x08, $3f\n"
"	.code64\n"
"3:	mov	v86_rsp, %rsp\n"
"	lgdt	gdtr; lidt v86_idtr64\n"
"	andb	$~2, gdt_tss + 5; mov $0x30, %eax; ltr %ax\n"       /* not busy */
"	pop	%r15; pop %r14; pop %r13; pop %r12; pop %rbp; pop %rbx\n"
"	ret");

static void set_gate(unsigned vector, const char *to)
{
	v86_idt[vector] = ((u64)to & 0xffff) | 0x18ull << 16 | 0x8e00ull << 32 |
		((u64)to >> 16 & 0xffff) << 48;
}

static void make_tables(void)
{
	u64 tss = (u64)v86_tss;

	memcpy(v86_gdt, gdt, gdtr.limit + 1u);
	v86_tss[1] = (u32)(u64)(v86_stack + ARRAY_SIZE(v86_stack));
	v86_tss[2] = KERNEL_DS;
	v86_tss[25] = sizeof(v86_tss) << 16;    /* no I/O map */
	v86_gdtr.limit = sizeof(v86_gdt) - 1;
	v86_gdtr.base = (u64)v86_gdt;
	v86_gdt[TSS32 / 8] =
		(sizeof(v86_tss) - 1) | (tss & 0xffffff) << 16 | 0x89ull << 40 | (tss >> 24) << 56;
	v86_idtr.limit = sizeof(v86_idt) - 1;
	v86_idtr.base = (u64)v86_idt;
	for (unsigned i = 0; i < 32; i++)
		set_gate(i, i == 8 || (i >= 10 && i <= 14) || i == 17 ? v86_trap_error : v86_trap);
	set_gate(VECTOR_DB, v86_trap_debug);
}

static void run_at(u32 ip, const u8 *bytes, u32 length, u64 rflags)
{
	u8 *code = (u8 *)(u64)LINEAR;
	u64 gs = rdmsr(0xc0000101);

	__asm__("" : "+r"(code));
	memcpy(code + ip, bytes, length);
	code[ip + length] = code[0] = 0xf4;     /* HLT is #GP */
	v86_start = (struct v86_start){
		.eip = ip,
		.cs = CS,
		.eflags = (u32)(2 | VM | rflags),
		.esp = 0x8000,
		.ss = CS,
		.es = CS,
		.ds = CS,
		.fs = CS,
		.gs = CS,
	};
	v86_gdt[TSS32 / 8] &= ~(2ull << 40);    /* not busy */
	__asm__ volatile("mov %0, %%dr6" :: "r"(0xffff0ff0ull));
	v86_go();
	wrmsr(0xc0000101, gs);
	v86_end.dr6 &= 0xe00f;
}

static void try_at(u32 last, u64 rflags)
{
	static struct { const char *name; u8 bytes[3], length; } insns[] = {
		{ "NOP", { 0x90 }, 1 },
		{ "CPUID", { 0x0f, 0xa2 }, 2 },
		{ "hypercall", { 0x0f, 0x01, 0xd9 }, 3 },
		{ "INT1", { 0xf1 }, 1 },
	};
	bool tcg = option("qemu", 0);
	u32 vector = rflags & TF ? VECTOR_DB : VECTOR_GP;
	u64 dr6 = rflags & TF ? DR6_BS : 0;

	insns[2].bytes[2] = cpuid(0, 0).b == 0x756e6547 ? 0xc1 : 0xd9;
	for (unsigned i = 0; i < ARRAY_SIZE(insns); i++) {
		bool int1 = insns[i].bytes[0] == 0xf1;

		run_at(last + 1 - insns[i].length, insns[i].bytes, insns[i].length, rflags);
		if (tcg && int1 && v86_end.vector == VECTOR_UD && v86_end.eip == last)
			skip("the emulator has no INT1");
		else if (tcg && i == 0 && v86_end.vector == VECTOR_GP && !v86_end.eip)
			skip("the emulator cuts IP behind a NOP");
		else
			check(v86_end.vector == (int1 ? VECTOR_DB : vector) &&
					v86_end.eip == last + 1 && v86_end.cs == CS &&
					v86_end.eflags & VM && (int1 || v86_end.dr6 == dr6),
				"%s that ends at %x%s: vector %u at %x:%x, flags %x, DR6 %x",
				insns[i].name, last, rflags & TF ? ", single-stepped" : "",
				v86_end.vector, v86_end.cs, v86_end.eip, v86_end.eflags,
				v86_end.dr6);
	}
}

void test_main(void)
{
	make_tables();
	try_at(0x80f, 0);
	try_at(0x80f, TF);
	try_at(0xffff, 0);
	try_at(0xffff, TF);
}
