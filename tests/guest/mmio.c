/*
 * Instructions on addresses without memory: whatever reads there gets ones, and what is written vanishes. The keeper executes them
 * (docs/keeper.md), so registers, flags, faults and single steps have to be those of the CPU.
 * memory: 64
 * vcpus: 2
 */
#define HOLE (HOLE_GFN * PAGE_SIZE)

static u8 ram[PAGE_SIZE] PAGE_ALIGNED;

static void stores(void)
{
	volatile u64 *hole = (void *)HOLE;

	*hole = 1;
	expect(*hole, -1, "a store vanishes");
	*(volatile u8 *)HOLE = 1;
	*(volatile u16 *)(HOLE + 2) = 1;
	*(volatile u32 *)(HOLE + 4) = 1;
	expect(*hole, -1, "stores of each size");
	*(volatile u64 *)(HOLE + PAGE_SIZE - 3) = 1;
	expect(*hole, -1, "across two pages");
	check(true, "the guest goes on");
}

#define STATUS 0x8d5ull

static void changes(void)
{
	u64 value = 5, flags;

	__asm__ volatile("addq %2, (%3); pushfq; popq %0" : "=r"(flags), "+m"(ram) : "r"(value), "r"(HOLE) : "cc", "memory");
	expect(flags & STATUS, 0x01 | 0x10, "ADD to ones: flags");   /* carry and adjust: -1 + 5 = 4, odd parity */
	__asm__ volatile("xchgq %0, (%1)" : "+r"(value) : "r"(HOLE) : "memory");
	expect(value, -1, "XCHG");
	value = 7;
	__asm__ volatile("lock xaddl %k0, (%1)" : "+r"(value) : "r"(HOLE) : "memory", "cc");
	expect(value, 0xffffffff, "XADD");
	__asm__ volatile("lock btsl $3, (%1); setc %b0" : "+r"(value) : "r"(HOLE) : "memory", "cc");
	expect((u8)value, 1, "BTS");
	__asm__ volatile("movzbl (%1), %k0" : "=r"(value) : "r"(HOLE + 3));
	expect(value, 0xff, "MOVZX");
	__asm__ volatile("movsbq (%1), %0" : "=r"(value) : "r"(HOLE + 3));
	expect(value, -1, "MOVSX");
}

static void strings(void)
{
	u64 di = HOLE, si = (u64)ram, cx = 300;

	memset(ram, 0x11, sizeof(ram));
	__asm__ volatile("rep movsb" : "+D"(di), "+S"(si), "+c"(cx) :: "memory");
	check(di == HOLE + 300 && si == (u64)ram + 300 && !cx, "REP MOVSB to a hole: registers");
	di = (u64)ram, si = HOLE, cx = 100;
	__asm__ volatile("rep movsl" : "+D"(di), "+S"(si), "+c"(cx) :: "memory");
	check(di == (u64)ram + 400 && !cx && ram[0] == 0xff && ram[399] == 0xff && ram[400] == 0x11, "REP MOVSL from a hole");
	di = HOLE, cx = 1000;
	__asm__ volatile("rep stosq" : "+D"(di), "+c"(cx) : "a"(0ull) : "memory");
	check(di == HOLE + 8000 && !cx, "REP STOSQ over pages");
	__asm__ volatile("pushq (%0); popq (%1)" :: "r"(HOLE), "r"(ram) : "memory");
	expect(*(u64 *)ram, -1, "PUSH from a hole");
}

/* The other operand faults: nothing has happened then. */
static void faults(void)
{
	u64 di = 0x8000000000, si = HOLE, cx = 10;
	u32 fault = TRY("rep movsb", : "+D"(di), "+S"(si), "+c"(cx) :: "memory");

	expect(fault, VECTOR_PF, "MOVS from a hole to where no page is");
	expect((long)this_cpu()->fault_addr, 0x8000000000, "its address");
	expect(this_cpu()->error, 2, "its error code");
	check(cx == 10 && di == 0x8000000000, "its registers are as before");
}

static volatile u32 steps;
static u64 step_rip;
static void on_debug(struct frame *f) { steps++; step_rip = f->rip; f->rflags &= ~(u64)0x100; }

static void single_step(void)
{
	u64 behind;

	handlers[VECTOR_DB] = on_debug;
	__asm__ volatile("pushfq; orq $0x100, (%%rsp); popfq\n movq %1, (%1)\n1: lea 1b(%%rip), %0" : "=r"(behind) : "r"(HOLE) : "memory", "cc");
	expect(steps, 1, "a step behind the store");
	expect((long)step_rip, (long)behind, "at the next instruction");
	handlers[VECTOR_DB] = NULL;
}

static volatile u32 others;
static void second(void)
{
	for (u32 i = 0; i < 2000; i++)
		*(volatile u32 *)(HOLE + 8 * i) = i;
	others = 1;
	for (;;)
		relax();
}

void test_main(void)
{
	stores();
	changes();
	strings();
	faults();
	single_step();
	if (start_cpu(1, second)) {
		for (u32 i = 0; i < 2000; i++)
			*(volatile u64 *)(HOLE + 16 * i) = i;
		check(wait_for(&others, 1, 20 * SECOND), "two CPUs at once");
	} else {
		check(false, "no second CPU");
	}
}
