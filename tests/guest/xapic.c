/*
 * The APIC in xAPIC mode, as a page of memory: its registers, IPIs by physical and logical destinations, its timer, its errors, and the
 * ways from one mode to another. A CPU starts in this mode; the library has switched it to x2APIC.
 *
 * vcpus: 2
 * seconds: 60
 */
#define PAGE 0xfee00000ull
enum { ID = 0x20, VERSION = 0x30, TPR = 0x80, PPR = 0xa0, EOI = 0xb0, LDR = 0xd0, DFR = 0xe0, SVR = 0xf0, ISR = 0x100, IRR = 0x200, ESR = 0x280,
       ICR = 0x300, ICR2 = 0x310, LVT_TIMER = 0x320, LVT_ERROR = 0x370, INITIAL = 0x380, CURRENT = 0x390, DIVIDE = 0x3e0 };
#define IPI   0x61
#define TIMER 0x71
#define ERROR 0x81

static u32 get(u32 reg) { return *(volatile u32 *)(PAGE + reg); }
static void set(u32 reg, u32 value) { *(volatile u32 *)(PAGE + reg) = value; }

static volatile u32 taken[2], ticks, errors, ready, leave;

static void on_ipi(struct frame *f) { (void)f; __atomic_fetch_add(&taken[this_cpu()->id], 1, __ATOMIC_SEQ_CST); set(EOI, 0); }
static void on_timer(struct frame *f) { (void)f; ticks++; set(EOI, 0); }
static void on_error(struct frame *f) { (void)f; errors++; set(EOI, 0); }

/* From x2APIC the way leads through "off". */
static void to_xapic(void)
{
	u64 base = rdmsr(APIC_BASE);

	wrmsr(APIC_BASE, base & ~0xc00ull);
	wrmsr(APIC_BASE, (base & ~0xc00ull) | 0x800);
	set(SVR, 0x1ff);
}

static void modes(void)
{
	u64 base = rdmsr(APIC_BASE), off = base & ~0xc00ull, v;

	check(base & 0x400, "x2APIC, by the library");
	expect(wrmsr_try(APIC_BASE, off | 0x800), VECTOR_GP, "from x2APIC to xAPIC");
	expect(get(VERSION), 0xffffffff, "the page in x2APIC mode is a hole");
	expect(wrmsr_try(APIC_BASE, off), NO_FAULT, "off");
	expect(get(VERSION), 0xffffffff, "the page of an APIC that is off");
	expect(rdmsr_try(X2APIC_VERSION, &v), VECTOR_GP, "an MSR of an APIC that is off");
	expect(wrmsr_try(APIC_BASE, off | 0xc00), VECTOR_GP, "from off to x2APIC");
	expect(wrmsr_try(APIC_BASE, off | 0x800), NO_FAULT, "on");
	expect(rdmsr_try(X2APIC_VERSION, &v), VECTOR_GP, "an MSR in xAPIC mode");
	expect(get(SVR), 0xff, "after off all is as after reset");
	set(SVR, 0x1ff);
	expect(wrmsr_try(APIC_BASE, off | 0xc00), NO_FAULT, "from xAPIC to x2APIC");
	expect((long)rdmsr(X2APIC_SVR), 0x1ff, "what xAPIC had stays");
	to_xapic();
}

static void registers(void)
{
	expect(get(ID) >> 24, apic_id_of(0), "ID");
	expect(get(VERSION) & 0xff, 0x14, "VERSION");
	set(TPR, 0x123);
	expect(get(TPR), 0x23, "TPR");
	expect(get(PPR), 0x23, "PPR");
	set(TPR, 0);
	expect(get(DFR), 0xffffffff, "DFR");
	set(LDR, 0x01ffffff);
	expect(get(LDR), 0x01000000, "LDR");
	set(LVT_TIMER, 0x10000 | TIMER);
	expect(get(LVT_TIMER), 0x10000 | TIMER, "LVT");
	expect(*(volatile u8 *)(PAGE + VERSION), 0x14, "a byte of a register");
	expect(*(volatile u32 *)(PAGE + 0x400), 0, "a register that isn't there");
	set(ESR, 0);
	expect(get(ESR), 0x80, "ESR tells of it");
	set(ESR, 0);
	expect(get(ESR), 0, "ESR when nothing is wrong");
}

static bool took(u32 a, u32 b)
{
	wait_for(&taken[0], a, SECOND);
	wait_for(&taken[1], b, SECOND);
	delay(5 * MS);
	a = taken[0] == a && taken[1] == b;
	taken[0] = taken[1] = 0;
	return a;
}

static void send(u32 dest, u32 low)
{
	set(ICR2, dest << 24);
	set(ICR, low);
}

static void ipis(void)
{
	send(apic_id_of(1), 0x4000 | IPI);
	check(took(0, 1), "a physical destination");
	send(0xff, 0x4000 | IPI);
	check(took(1, 1), "the broadcast");
	set(ICR, 0x44000 | IPI);
	check(took(1, 0), "self");
	set(ICR, 0xc4000 | IPI);
	check(took(0, 1), "all but self");
	send(2, 0x4800 | IPI);
	check(took(0, 1), "flat: the second bit");
	send(3, 0x4800 | IPI);
	check(took(1, 1), "flat: two bits");
	send(4, 0x4800 | IPI);
	check(took(0, 0), "flat: a bit of nobody");
	expect(get(ICR) & 0x1000, 0, "delivered");
	set(DFR, 0x0fffffff);
	set(LDR, 0x21000000);
	send(0x21, 0x4800 | IPI);
	check(took(1, 0), "a cluster");
	send(0x31, 0x4800 | IPI);
	check(took(0, 0), "another cluster");
	set(DFR, 0xffffffff);
	set(LVT_ERROR, ERROR);
	set(ICR, 0x44000 | 5);
	wait_for(&errors, 1, SECOND);
	expect(errors, 1, "a vector below 16 raises an error");
	set(ESR, 0);
	expect(get(ESR), 0x20, "ESR: illegal vector sent");
	set(TPR, IPI & 0xf0);
	set(ICR, 0x44000 | IPI);
	delay(5 * MS);
	check(taken[0] == 0 && get(IRR + 0x10 * (IPI / 32)) & BIT(IPI % 32), "the TPR holds it back");
	set(TPR, 0);
	check(took(1, 0), "until it is lowered");
}

static void timer(void)
{
	u64 before;
	u32 first;

	set(DIVIDE, 0xb);
	set(LVT_TIMER, TIMER);
	before = now();
	set(INITIAL, 1000000);          /* 10 ms at 100 MHz */
	first = get(CURRENT);
	check(first > 0 && first <= 1000000, "it counts down: %u", first);
	wait_for(&ticks, 1, 5 * SECOND);
	check(ticks == 1 && now() - before >= 10 * MS, "one shot");
	delay(30 * MS);
	expect(ticks, 1, "and no more");
	expect(get(CURRENT), 0, "at its end");
	set(LVT_TIMER, 0x20000 | TIMER);
	set(DIVIDE, 0);                 /* by 2 */
	before = now();
	set(INITIAL, 500000);           /* 10 ms */
	wait_for(&ticks, 5, 5 * SECOND);
	check(ticks >= 5 && now() - before >= 40 * MS, "periodic");
	set(INITIAL, 0);
	first = ticks;
	delay(30 * MS);
	expect(ticks, first, "stopped");
	set(INITIAL, 1);
	delay(20 * MS);
	check(ticks - first <= 1000, "a period too short is stretched: %u in 20 ms", ticks - first);
	set(LVT_TIMER, 0x30000 | TIMER);
	delay(MS);
	first = ticks;
	delay(20 * MS);
	expect(ticks, first, "masked");
	set(INITIAL, 0);
}

static void second(void)
{
	to_xapic();
	set(LDR, 0x02000000);
	sti();
	ready = 1;
	while (!leave)
		sti_hlt();
	cli();
	ready = 2;
	for (;;)
		relax();
}

void test_main(void)
{
	handlers[IPI] = on_ipi;
	handlers[TIMER] = on_timer;
	handlers[ERROR] = on_error;
	/* The library's INIT and SIPI are x2APIC's. */
	if (!check(start_cpu(1, second) && wait_for(&ready, 1, SECOND), "a second CPU in xAPIC mode"))
		return;
	modes();
	registers();
	sti();
	ipis();
	timer();
	leave = 1;
	send(apic_id_of(1), 0x4000 | IPI);
	wait_for(&ready, 2, SECOND);
	set(SVR, 0xff);
	set(LVT_ERROR, ERROR);
	expect(get(LVT_ERROR), 0x10000 | ERROR, "switched off by SVR: LVTs are masked");
}
