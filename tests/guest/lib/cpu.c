/* The micro-guests' CPUs: descriptor tables, faults and interrupts, user mode, and starting further vCPUs. */

struct tss { u32 reserved; u64 rsp[3], reserved2, ist[7]; u64 reserved3; u32 iomap; } __attribute__((packed));
struct gate { u16 low, sel; u8 ist, type; u16 mid; u32 high, zero; };
struct table { u16 limit; u64 base; } __attribute__((packed));

static struct cpu cpus[NR_CPUS];
static struct tss tss[NR_CPUS];
static struct gate idt[256];
static char stacks[NR_CPUS][STACK_SIZE], trap_stacks[NR_CPUS][STACK_SIZE], user_stacks[NR_CPUS][4096];
static void (*ap_work)(void);
static volatile u32 aps_up;
static u32 ap_id;

void (*handlers[256])(struct frame *f);
volatile u32 interrupts[256];

extern u64 gdt_tss[NR_CPUS][2], ap_stack, extable[][2], extable_end[][2];
extern char trap_stubs[][16], trampoline[], trampoline_end[], user_return[];
extern struct table gdtr;
u64 enter_user(u64 rip, u64 rsp, u64 rax, u64 *saved_rsp);
void trap(struct frame *f);
void ap_main(void);

static void make_idt(void)
{
	for (u32 i = 0; i < 256; i++) {
		u64 at = (u64)trap_stubs[i];

		idt[i] = (struct gate){ .low = (u16)at, .sel = KERNEL_CS, .type = i == 0x80 || i == VECTOR_BP ? 0xee : 0x8e, .mid = (u16)(at >> 16),
					.high = (u32)(at >> 32) };
	}
}

static void load_tables(u32 id)
{
	struct table idtr = { sizeof(idt) - 1, (u64)idt };
	u64 at = (u64)&tss[id];

	tss[id].rsp[0] = (u64)(trap_stacks[id] + STACK_SIZE);
	tss[id].iomap = 104u << 16;
	gdt_tss[id][0] = (sizeof(tss[id]) - 1) | (at & 0xffffff) << 16 | 0x89ull << 40 | (at >> 24 & 0xff) << 56;
	gdt_tss[id][1] = at >> 32;
	__asm__ volatile("lgdt %0; lidt %1; ltr %w2" :: "m"(gdtr), "m"(idtr), "r"(TSS_SEL + 16 * id) : "memory");
}

void cpu_init(u32 id)
{
	struct cpu *c = &cpus[id];

	if (id == 0)
		make_idt();
	load_tables(id);
	c->self = c;
	c->id = id;
	wrmsr(0xc0000101, (u64)c);      /* GS base */
	/* Under Bothy it is on from the start; under Xen it isn't. */
	if (!(rdmsr(APIC_BASE) & APIC_BASE_X2APIC))
		wrmsr(APIC_BASE, rdmsr(APIC_BASE) | APIC_BASE_X2APIC);
	wrmsr(X2APIC_SVR, 0x1ff);
}

static bool fix_up(struct frame *f)
{
	for (u64 (*e)[2] = extable; e < extable_end; e++)
		if ((*e)[0] == f->rip) {
			this_cpu()->fault = (u32)f->vector;
			this_cpu()->error = (u32)f->error;
			__asm__ volatile("mov %%cr2, %0" : "=r"(this_cpu()->fault_addr));
			f->rip = (*e)[1];
			return true;
		}
	return false;
}

static void leave_user(struct frame *f)
{
	f->cs = KERNEL_CS;
	f->ss = KERNEL_DS;
	f->rip = (u64)user_return;
	f->rsp = this_cpu()->user_rsp;
}

void trap(struct frame *f)
{
	__atomic_fetch_add(&interrupts[f->vector], 1, __ATOMIC_SEQ_CST);
	if (handlers[f->vector]) {
		handlers[f->vector](f);
		return;
	}
	if (f->vector == 0x80 && f->cs == USER_CS) {
		leave_user(f);
		return;
	}
	if (f->vector < 32 && fix_up(f))
		return;
	check(false, "vCPU %u: unexpected vector %lu, error %lx, at %lx", this_cpu()->id, f->vector, f->error, f->rip);
	flush_report();
	shut_down(SHUTDOWN_crash);
}

u64 run_user(void (*code)(void), u64 rax)
{
	struct cpu *c = this_cpu();

	return enter_user((u64)code, (u64)(user_stacks[c->id] + sizeof(user_stacks[0])), rax, &c->user_rsp);
}

void ap_main(void)
{
	u32 id = ap_id;

	cpu_init(id);
	__atomic_fetch_add(&aps_up, 1, __ATOMIC_SEQ_CST);
	ap_work();
	for (;;)
		__asm__ volatile("cli; hlt");
}

bool start_cpu(u32 id, void (*fn)(void))
{
	u32 up = aps_up;

	memcpy((void *)TRAMPOLINE, trampoline, (size_t)(trampoline_end - trampoline));
	ap_id = id;
	ap_work = fn;
	ap_stack = (u64)(stacks[id] + STACK_SIZE);
	send_icr(apic_id_of(id), 0xc500);       /* INIT, level, assert */
	send_icr(apic_id_of(id), 0x8500);       /* de-assert */
	send_icr(apic_id_of(id), 0x4600 | TRAMPOLINE >> 12);
	send_icr(apic_id_of(id), 0x4600 | TRAMPOLINE >> 12);
	return wait_for(&aps_up, up + 1, 5 * SECOND);
}
