/*
 * Instructions that a guest may not have, or only with the right operands: what is not offered is #UD, what is wrong #GP, and ports
 * that nobody answers read as ones.
 */
static void undefined(void)
{
	u64 rax = 0;

	expect(TRY("vmrun", :: "a"(rax)), VECTOR_UD, "VMRUN");
	expect(TRY("vmload", :: "a"(rax)), VECTOR_UD, "VMLOAD");
	expect(TRY("vmsave", :: "a"(rax)), VECTOR_UD, "VMSAVE");
	expect(TRY("stgi", ::: "memory"), VECTOR_UD, "STGI");
	expect(TRY("clgi", ::: "memory"), VECTOR_UD, "CLGI");
	expect(TRY("invlpga", :: "a"(rax), "c"(0)), VECTOR_UD, "INVLPGA");
	expect(TRY("skinit", :: "a"(0)), VECTOR_UD, "SKINIT");
	expect(TRY("monitor", :: "a"(&rax), "c"(0), "d"(0)), VECTOR_UD, "MONITOR");
	expect(TRY("mwait", :: "a"(0), "c"(0)), VECTOR_UD, "MWAIT");
	expect(TRY(".byte 0x0f, 0x01, 0xfd", :: "c"(0) : "rax", "rdx"), VECTOR_UD, "RDPRU");
	expect(TRY("vmxoff", ::: "memory"), VECTOR_UD, "VMXOFF");
	expect(TRY("ud2", ::: "memory"), VECTOR_UD, "UD2");
	check(TRY("rdpmc", :: "c"(0) : "rax", "rdx") != NO_FAULT, "RDPMC faults");
	expect(TRY(".byte 0x0f, 0x01, 0xc1", : "+a"(rax)), cpuid(0, 0).b == 0x756e6547 ? NO_FAULT : VECTOR_UD, "the other vendor's hypercall");
}

static void harmless(void)
{
	expect(TRY("wbinvd", ::: "memory"), NO_FAULT, "WBINVD");
	expect(TRY("invd", ::: "memory"), NO_FAULT, "INVD");
	expect(TRY("pause", ::: "memory"), NO_FAULT, "PAUSE");
	expect(TRY("clts", ::: "memory"), NO_FAULT, "CLTS");
}

static u32 in(u16 port, int size)
{
	u32 v = 0;

	if (size == 1)
		__asm__ volatile("inb %w1, %b0" : "+a"(v) : "d"(port));
	else if (size == 2)
		__asm__ volatile("inw %w1, %w0" : "+a"(v) : "d"(port));
	else
		__asm__ volatile("inl %w1, %0" : "+a"(v) : "d"(port));
	return v;
}

static void ports(void)
{
	static const u16 some[] = { 0, 0x20, 0x21, 0x43, 0x60, 0x64, 0x70, 0x71, 0x80, 0xa0, 0xcf8, 0xcfc, 0xcf9, 0x3f8, 0x2f8, 0x3fd, 0x402, 0x501,
				    0x510, 0x600, 0x604, 0xb000, 0xb004, 0xafe8, 0xe9, 0xfffc };
	u64 bytes = 0, words = 0, longs = 0, faults = 0;

	for (size_t i = 0; i < ARRAY_SIZE(some); i++) {
		faults |= TRY("outb %%al, %%dx", :: "a"(0xff), "d"(some[i] == 0xe9 ? 0 : some[i])) != NO_FAULT ? BIT(i) : 0;
		faults |= TRY("outl %%eax, %%dx", :: "a"(0x80000000), "d"(some[i])) != NO_FAULT ? BIT(i) : 0;
		bytes |= in(some[i], 1) != 0xff ? BIT(i) : 0;
		words |= in(some[i], 2) != 0xffff ? BIT(i) : 0;
		longs |= in(some[i], 4) != 0xffffffff ? BIT(i) : 0;
	}
	expect((long)faults, 0, "OUT to ports that nobody has is ignored");
	expect((long)bytes, 0, "IN of a byte gives ones");
	expect((long)words, 0, "IN of a word gives ones");
	expect((long)longs, 0, "IN of a long gives ones");
	expect(in(0xafe0, 1) | in(0xafe3, 1), 0, "no general-purpose event is pending or enabled");
	expect(in(0x42, 1), 0, "but a counter of the 8254 reads 0");
}

/* IN of a byte keeps the rest of RAX; IN of a long clears the upper half, as in all 32-bit operations. */
static void in_registers(void)
{
	u64 a = 0x1122334455667700, d = 0x4321;

	__asm__ volatile("inb %%dx, %%al" : "+a"(a) : "d"(d));
	expect((long)a, 0x11223344556677ff, "IN of a byte keeps the upper bytes");
	a = 0x1122334455660000;
	__asm__ volatile("inw %%dx, %%ax" : "+a"(a) : "d"(d));
	expect((long)a, 0x112233445566ffff, "IN of a word keeps the upper bytes");
	a = 0x1122334400000000;
	__asm__ volatile("inl %%dx, %%eax" : "+a"(a) : "d"(d));
	expect((long)a, 0xffffffff, "IN of a long clears the upper half");
}

static void string_ports(void)
{
	static u8 buf[2048];
	const char text[] = "micro-guest: string output\n";
	const void *from = text;
	void *to = buf;
	u64 n = sizeof(text) - 1;

	expect(TRY("rep outsb", : "+S"(from), "+c"(n) : "d"(0xe9) : "memory"), NO_FAULT, "REP OUTSB to port E9");
	check(n == 0 && from == text + sizeof(text) - 1, "and its registers");
	memset(buf, 0, sizeof(buf));
	n = 1000;
	expect(TRY("rep insb", : "+D"(to), "+c"(n) : "d"(0x123) : "memory"), NO_FAULT, "REP INSB");
	check(n == 0 && to == buf + 1000 && buf[0] == 0xff && buf[999] == 0xff && buf[1000] == 0, "gives ones, and no more than asked");
	to = buf + 1999;
	n = 1000;
	memset(buf, 0, sizeof(buf));
	expect(TRY("std; rep insb; cld", : "+D"(to), "+c"(n) : "d"(0x123) : "memory"), NO_FAULT, "REP INSB downwards");
	check(n == 0 && buf[1999] == 0xff && buf[1000] == 0xff && buf[999] == 0 && buf[2000] == 0, "fills what lies below");
	from = buf;
	n = 0;
	expect(TRY("rep outsl", : "+S"(from), "+c"(n) : "d"(0x500) : "memory"), NO_FAULT, "REP OUTSL of nothing");
	check(from == buf, "moves nothing");
}

static u64 xgetbv(void)
{
	u32 a, d;

	__asm__ volatile("xgetbv" : "=a"(a), "=d"(d) : "c"(0));
	return (u64)d << 32 | a;
}

static u32 xsetbv_try(u32 reg, u64 v) { return TRY("xsetbv", :: "a"((u32)v), "d"((u32)(v >> 32)), "c"(reg) : "memory"); }

static void xsetbv(void)
{
	struct regs states = cpuid(0xd, 0);
	u64 all = (u64)states.d << 32 | states.a, cr4;

	if (!(cpuid(1, 0).c >> 26 & 1)) {
		skip("XSETBV: the CPU has no XSAVE");
		return;
	}
	__asm__ volatile("mov %%cr4, %0" : "=r"(cr4));
	expect(xsetbv_try(0, 1), VECTOR_UD, "XSETBV without CR4.OSXSAVE");
	__asm__ volatile("mov %0, %%cr4" :: "r"(cr4 | BIT(18)));
	check(cpuid(1, 0).c >> 27 & 1, "CPUID shows OSXSAVE");
	expect((long)xgetbv(), 1, "XCR0 begins with x87 alone");
	expect(xsetbv_try(0, all), NO_FAULT, "XSETBV of all that is offered");
	expect((long)xgetbv(), (long)all, "and it is there");
	expect(cpuid(0xd, 0).b, states.c, "CPUID's size of the area follows XCR0");
	expect(xsetbv_try(0, all & ~1ull), VECTOR_GP, "XSETBV without x87");
	expect(xsetbv_try(0, 5), VECTOR_GP, "XSETBV: AVX without SSE");
	expect(xsetbv_try(0, all | BIT(62)), VECTOR_GP, "XSETBV: a state that is not there");
	expect(xsetbv_try(0, all | BIT(63)), VECTOR_GP, "XSETBV: the highest bit");
	expect(xsetbv_try(0, 0), VECTOR_GP, "XSETBV of nothing");
	expect(xsetbv_try(1, 1), VECTOR_GP, "XSETBV of another register");
	expect(xsetbv_try(0, (all & ~BIT(7)) | 0x60), VECTOR_GP, "XSETBV: half of AVX-512");
	expect((long)xgetbv(), (long)all, "what was refused changed nothing");
	expect(cpuid(0xd, 0).b, states.c, "nor what CPUID says");
}

void user_privileged(void), user_out(void), user_xsetbv(void);
__asm__("user_privileged: hlt; int $0x80; user_out: mov $0x80, %edx; outb %al, %dx; int $0x80\n"
	"user_xsetbv: xor %ecx, %ecx; xor %edx, %edx; mov $1, %eax; xsetbv; int $0x80");

static u32 user_fault;
static void catch_user(struct frame *f)
{
	user_fault = (u32)f->vector;
	f->rax = f->vector;
	f->rip = (u64)user_privileged + 1;      /* its int $0x80 */
}

static void user_mode(void)
{
	handlers[VECTOR_GP] = catch_user;
	expect((long)run_user(user_privileged, 0), VECTOR_GP, "HLT in user mode");
	expect((long)run_user(user_out, 0), VECTOR_GP, "OUT in user mode");
	expect((long)run_user(user_xsetbv, 0), VECTOR_GP, "XSETBV in user mode");
	handlers[VECTOR_GP] = NULL;
}

void test_main(void)
{
	undefined();
	harmless();
	ports();
	in_registers();
	string_ports();
	xsetbv();
	user_mode();
}
