/*
 * Four vCPUs attack at once, while a heartbeat guest works: random instructions of the kinds that a hypervisor has to handle, in kernel mode
 * and in user mode, and random hypercalls with arguments that are often interesting. At the end this guest has to be whole.
 *
 * It never harms itself on purpose, so that it comes to its end by construction: no number in an argument is a frame or an address of its
 * own image, pattern or shared pages, kernel code writes to its own buffers alone, and user mode may touch three pages. vCPU 0 never
 * sleeps; it wakes the others when they stand still, and brings them up when they are down.
 *
 * Its options (tests/guest/run --args): seed=N for other choices, attack=ROUNDS for a longer run (with a heartbeat=SECONDS that is longer
 * still), and only=1 for instructions, 2 for user mode, 4 for hypercalls, or a sum of them.
 *
 * vcpus: 4
 * first: heartbeat
 * seconds: 60
 */
#include <xen/grant_table.h>

#define CPUS        4
#define BUF_SIZE    (16 * PAGE_SIZE)
#define VICTIM_GFN  0x1000ull                   /* to be given away and mapped over: the second half of the memory */
#define VICTIM_END  0x2000ull
#define GRANT_GFN   (HOLE_GFN + 0x10)
#define USER        (1ull << 39)                /* 8 pages for each vCPU: code, data, stack, nothing, read-only */
#define USER_PAGES  8
#define NOWHERE     (USER + 6 * PAGE_SIZE)      /* no page is there, nor before it */
#define SELF        (this_id())

/* What enter() loads: all registers, in the order of struct frame, and the frame for IRET. */
struct entry { u64 r15, r14, r13, r12, r11, r10, r9, r8, rbp, rdi, rsi, rdx, rcx, rbx, rax, rip, cs, rflags, rsp, ss; };

void enter(struct entry *e, u64 *saved_rsp);
void enter_back(void);
__asm__(".pushsection .text\n"
	"enter: push %rbx; push %rbp; push %r12; push %r13; push %r14; push %r15\n"
	"mov %rsp, (%rsi); lea 15 * 8(%rdi), %rbx; push $enter_back; mov %rsp, %rax\n"
	"cmpq $0, 24(%rbx); cmovne 24(%rbx), %rax\n"
	"push 32(%rbx); push %rax; push 16(%rbx); push 8(%rbx); push (%rbx)\n"
	"mov (%rdi), %r15; mov 8(%rdi), %r14; mov 16(%rdi), %r13; mov 24(%rdi), %r12; mov 32(%rdi), %r11; mov 40(%rdi), %r10\n"
	"mov 48(%rdi), %r9; mov 56(%rdi), %r8; mov 64(%rdi), %rbp; mov 80(%rdi), %rsi; mov 88(%rdi), %rdx; mov 96(%rdi), %rcx\n"
	"mov 104(%rdi), %rbx; mov 112(%rdi), %rax; mov 72(%rdi), %rdi; iretq\n"
	"enter_back: cli; cld; pop %r15; pop %r14; pop %r13; pop %r12; pop %rbp; pop %rbx; ret\n"
	".popsection");

extern u64 extable[][2];

static struct attacker {
	u64 seed, saved_rsp, user_rax, left_by;
	volatile u64 rounds;
	volatile u32 active, done;              /* between enter() and enter_back(); has made all of its rounds */
	u32 steps;
	u64 calls, instructions, users;
} attackers[CPUS];

static u8 bufs[CPUS][BUF_SIZE] PAGE_ALIGNED;
static u8 common[2 * PAGE_SIZE] PAGE_ALIGNED;   /* in which one vCPU writes while another's hypercall reads */
static u8 code[CPUS][PAGE_SIZE] PAGE_ALIGNED;
static u8 user[CPUS][USER_PAGES * PAGE_SIZE] PAGE_ALIGNED;
static u64 top[512] PAGE_ALIGNED, low[512] PAGE_ALIGNED, tables[3][512] PAGE_ALIGNED;
static u8 pattern[64 * PAGE_SIZE] PAGE_ALIGNED;
static u64 base_cr0, base_cr3, base_cr4;
static volatile u32 begin, wrong_call;
static u64 rounds;                              /* for each vCPU */
static bool intel, xsave;
static u32 console_port, store_port, only;

/* Without GS, which an attack may change. */
static u32 this_id(void)
{
	u64 tr;

	__asm__ volatile("str %0" : "=r"(tr));
	return (u32)(tr - TSS_SEL) / 16;
}

static u64 *seed_of(void) { return &attackers[SELF].seed; }
static u64 any(void) { return random64(seed_of()); }
static u64 dice(u64 n) { return any() % n; }

/* ---- numbers ---- */

/* Frames that the guest needs: its image, what xl put behind it, and the shared pages. */
static bool is_own_frame(u64 gfn)
{
	return (gfn >= 0x100 && gfn < VICTIM_GFN) || gfn == TRAMPOLINE / PAGE_SIZE || gfn == SHARED_INFO_GFN || gfn == GRANT_GFN ||
	       (gfn >= 0xfe000 && gfn < 0xff000);
}

/* And a callback vector from among the exceptions would come without the error code that its stub expects. */
static u64 safe(u64 v)
{
	if (is_own_frame(v) || is_own_frame(v >> 12) || is_own_frame((v + PAGE_SIZE) >> 12) || v >> 56 == HVM_PARAM_CALLBACK_TYPE_VECTOR)
		return 1ull << 40 | v;
	return v;
}

static u64 gfn(void)
{
	return dice(8) ? VICTIM_GFN + dice(VICTIM_END - VICTIM_GFN) : dice(2) ? HOLE_GFN + 0x20 + dice(64) : safe(any() >> dice(44)) | 1ull << 20;
}

static u64 number(void)
{
	static const u64 some[] = { 0, 1, 2, 3, 7, 63, 64, 4095, 4096, 0x7fef, 0x7ff0, 0x7ff1, 0x7ff4, 0xffff, 0x7fffffff, 0x80000000, 0xffffffff,
				    1ull << 32, 1ull << 36, 1ull << 40, 1ull << 47, 1ull << 52, 1ull << 63, ~0ull, ~0ull - 1, HOLE_GFN };

	switch (dice(8)) {
	case 0: return safe(any());
	case 1: return safe(any() >> dice(64));
	case 2: return gfn();
	case 3: return safe(dice(16));
	case 4: return own_domid();
	default: return some[dice(ARRAY_SIZE(some))];
	}
}

/* Behind the first three pages, which are for the arguments of hypercalls alone. */
static u64 own_pointer(void) { return (u64)bufs[SELF] + 3 * PAGE_SIZE + 256 + dice(8 * PAGE_SIZE); }

/* Kernel code may write there: its buffer, or where the page tables have nothing, or only up to a point. */
static u64 pointer(void)
{
	switch (dice(8)) {
	case 0: return USER + (SELF * USER_PAGES + 3) * PAGE_SIZE - dice(64);
	case 1: return dice(2) ? any() | 1ull << 47 : 1ull << 40 | any() >> 24;
	case 2: return (u64)bufs[SELF] + 5 * PAGE_SIZE - dice(16);
	case 3: return own_pointer() & ~63ull;
	default: return own_pointer();
	}
}

/* The hypervisor may write there. */
static u64 argument(void)
{
	switch (dice(8)) {
	case 0: return safe(number());
	case 1: return HOLE_GFN * PAGE_SIZE - dice(64);
	case 2: return gfn() << 12 | dice(PAGE_SIZE);
	case 3: return (u64)common + dice(PAGE_SIZE);
	default: return pointer();
	}
}

/* ---- hypercalls ---- */

/* Numbers of all kinds; with `frames`, half of them are frames. */
static void fill(u8 *at, u32 words, bool frames)
{
	for (u32 i = 0; i < words; i++) {
		u64 r = any(), v = frames && r & 1 ? gfn() : r & 2 ? argument() : r & 4 ? number() : safe(number() << 32 | (u32)number());

		__atomic_store_n((u64 *)at + i, v, __ATOMIC_RELAXED);
	}
}

static void memory_attack(void)
{
	static const u8 cmds[] = { 1, 1, 6, 6, 7, 7, 15, 23, 3, 4, 9, 14, 26, 2, 13, 16, 24, 28, 11, 12 };
	u8 *b = bufs[SELF];
	u64 cmd = cmds[dice(ARRAY_SIZE(cmds))];
	struct xen_memory_reservation *r = (void *)b;
	struct xen_add_to_physmap *a = (void *)b;
	struct xen_add_to_physmap_batch *many = (void *)b;

	fill(b, 32, true);
	for (u32 i = 0; i < 640; i++)
		((u64 *)(b + PAGE_SIZE))[i] = gfn();
	if (cmd == 1 || cmd == 6) {
		/* A list without end begins where none is: otherwise what lies behind it would be frames, too. */
		bool endless = dice(8) == 0;

		set_xen_guest_handle(r->extent_start, (xen_pfn_t *)(endless ? NOWHERE - dice(2) * 64 : (u64)b + PAGE_SIZE + 8 * dice(470)));
		r->nr_extents = endless ? number() : dice(40);
		r->extent_order = dice(4) ? 0 : dice(8) ? 9 : (u32)dice(64);
		r->domid = dice(8) ? DOMID_SELF : (u16)number();
	}
	/* The shared page is where the guest wants it: a space that is not 0. */
	if (cmd == 7) {
		a->domid = dice(8) ? DOMID_SELF : (u16)number();
		a->space = dice(4) ? 1 + (u32)dice(5) : (u32)number() | 1;
	}
	if (cmd == 23) {
		many->domid = dice(8) ? DOMID_SELF : (u16)number();
		many->space = (u16)(1 + dice(5));
		many->size = (u16)dice(64);
		set_xen_guest_handle(many->idxs, (xen_ulong_t *)(b + PAGE_SIZE));
		set_xen_guest_handle(many->gpfns, (xen_pfn_t *)(b + PAGE_SIZE + 8 * dice(512)));
		set_xen_guest_handle(many->errs, (int *)argument());
	}
	if (cmd == 15)
		*(u16 *)b = DOMID_SELF;
	hypercall(__HYPERVISOR_memory_op, dice(8) ? cmd : cmd | dice(4) << 6, dice(16) || cmd == 7 || cmd == 23 ? (u64)b : NOWHERE - dice(64), 0, 0, 0);
}

static void grant_attack(void)
{
	struct grant_entry_v1 *table = (void *)(GRANT_GFN * PAGE_SIZE);
	static const u8 cmds[] = { 0, 0, 0, 1, 1, 5, 5, 6, 8, 10, 2, 3, 4, 7, 9, 11, 12 };
	u64 cmd = cmds[dice(ARRAY_SIZE(cmds))], ref = dice(512);
	struct gnttab_map_grant_ref *m = (void *)bufs[SELF];
	u32 n = (u32)dice(4);

	table[ref].frame = (u32)gfn();
	table[ref].domid = dice(2) ? (u16)own_domid() : (u16)number();
	table[ref].flags = (u16)dice(2) ? GTF_permit_access : (u16)any();
	fill(bufs[SELF], 64, true);
	for (u32 i = 0; cmd == 0 && i < n; i++) {
		m[i].host_addr = gfn() << 12 | (dice(16) ? 0 : dice(4096));
		m[i].flags = dice(4) ? GNTMAP_host_map | ((u32)dice(2) ? GNTMAP_readonly : 0) : (u32)any();
		m[i].ref = dice(4) ? (u32)ref : (u32)number();
		m[i].dom = (u16)(dice(2) ? own_domid() : number());
	}
	/* As with lists of frames, what has no end begins nowhere. */
	if (dice(8))
		hypercall(__HYPERVISOR_grant_table_op, cmd, (u64)bufs[SELF], n, 0, 0);
	else
		hypercall(__HYPERVISOR_grant_table_op, cmd, NOWHERE - dice(2) * 64, number(), 0, 0);
}

static void event_attack(void)
{
	u64 cmd = dice(8) ? dice(10) : 11 + dice(20), b = dice(2) ? (u64)bufs[SELF] : argument();
	u32 port = (u32)dice(16);

	fill(bufs[SELF], 8, false);
	/* Its console's channel it keeps. */
	if (cmd == EVTCHNOP_close) {
		b = (u64)bufs[SELF];
		*(u32 *)b = port == console_port || port == store_port ? 4000 : port;
	} else if (dice(2)) {
		*(u32 *)bufs[SELF] = dice(2) ? DOMID_SELF | DOMID_SELF << 16 : port;
	}
	hypercall(__HYPERVISOR_event_channel_op, cmd, b, number(), number(), number());
}

/* Where a vCPU's part of the shared page may go. */
static struct vcpu_info *new_info(u32 id) { return (void *)(bufs[id] + 15 * PAGE_SIZE); }

static void vcpu_attack(void)
{
	struct vcpu_register_vcpu_info *info = (void *)bufs[SELF];
	u64 cmd = dice(8) ? dice(14) : number(), v = dice(8) ? dice(CPUS + 1) : number();

	/* vCPU 0 watches over the others, by the clock in its vcpu_info. */
	if ((u32)v == 0 && (cmd == VCPUOP_down || cmd == VCPUOP_register_vcpu_info))
		v = 1;
	fill(bufs[SELF], 8, true);
	if (cmd == VCPUOP_set_singleshot_timer)
		*(u64 *)bufs[SELF] = dice(2) ? now() + dice(2 * MS) : number();
	if (cmd == VCPUOP_register_vcpu_info) {
		info->mfn = dice(2) ? (u64)new_info((u32)v % CPUS) >> 12 : number() | 1ull << 41;
		info->offset = dice(2) ? 0 : PAGE_SIZE - (u32)dice(sizeof(struct vcpu_info));
		hypercall(__HYPERVISOR_vcpu_op, cmd, v, (u64)info, 0, 0);
		return;
	}
	hypercall(__HYPERVISOR_vcpu_op, cmd, v, dice(2) ? (u64)bufs[SELF] : argument() & ~7ull, number(), number());
}

static void sched_attack(void)
{
	u64 cmd = SELF == 0 ? dice(2) * 4 : dice(8);
	struct sched_poll *p = (void *)bufs[SELF];

	fill(bufs[SELF], 8, false);
	if (cmd == SCHEDOP_poll && dice(2)) {
		set_xen_guest_handle(p->ports, (evtchn_port_t *)argument());
		p->nr_ports = (u32)dice(130);
		p->timeout = now() + dice(MS);
	}
	if (cmd != SCHEDOP_shutdown)
		hypercall(__HYPERVISOR_sched_op, cmd, dice(2) ? (u64)bufs[SELF] : argument(), number(), number(), number());
}

static void hvm_attack(void)
{
	struct xen_hvm_param *p = (void *)bufs[SELF];
	u64 cmd = dice(4) ? dice(2) : dice(30);

	fill(bufs[SELF], 8, false);
	if (dice(8)) {
		p->domid = DOMID_SELF;
		p->index = (u32)dice(42);
		if (p->index == HVM_PARAM_CALLBACK_IRQ && dice(2))
			p->value = (u64)HVM_PARAM_CALLBACK_TYPE_VECTOR << 56 | 0x20 | dice(256);
	}
	hypercall(__HYPERVISOR_hvm_op, cmd, cmd == 0 || dice(2) ? (u64)p : argument(), number(), number(), number());
}

/* The rest, which knows no frame: versions, assists, timers, and what only the service domain may call. */
static void other_attack(void)
{
	static const u8 known[] = { 7, 15, 17, 17, 21, 33, 35, 36, 36, 48 };
	u64 nr = dice(4) ? known[dice(ARRAY_SIZE(known))] : 64 + dice(1ull << 40), cmd = dice(8) ? dice(48) : number();

	fill(bufs[SELF], 32, true);
	if (nr == 7 || nr == 35 || nr == 36 || nr == 48) {
		*(u32 *)bufs[SELF] = (u32)cmd;
		*(u32 *)(bufs[SELF] + 4) = nr == 7 ? 0x03000001 : nr == 48 ? 3 : 0x15;
		cmd = (u64)bufs[SELF];
	}
	hypercall(nr, cmd, argument(), number(), number(), number());
}

static void multicall_attack(void)
{
	struct multicall_entry *e = (void *)(bufs[SELF] + dice(2) * (PAGE_SIZE - 100));
	static const u8 known[] = { 17, 17, 15, 20, 21, 24, 32, 36, 99 };
	u64 n = dice(16);

	fill((u8 *)((u64)e & ~7ull), 16 * 8, true);
	for (u32 i = 0; i < n; i++) {
		e[i].op = known[dice(ARRAY_SIZE(known))];
		e[i].args[0] = e[i].op == 32 ? EVTCHNOP_status + dice(2) : e[i].op == 24 ? VCPUOP_is_up + dice(2) : 1 + dice(15);
		e[i].args[1] = e[i].op == 20 ? (u64)common + 8 * dice(256) : argument() & ~7ull;
		e[i].args[2] = e[i].op == 20 ? dice(3) : argument() & ~7ull;
	}
	hypercall(__HYPERVISOR_multicall, (u64)e, n, 0, 0, 0);
}

static void hypercalls(void)
{
	static void (*const kinds[])(void) = { memory_attack, memory_attack, grant_attack, grant_attack, event_attack, event_attack, vcpu_attack,
					       sched_attack, hvm_attack, other_attack, multicall_attack };

	attackers[SELF].calls++;
	fill(common + 8 * dice(512), 4, true);
	if (dice(4) == 0)
		sti();
	kinds[dice(ARRAY_SIZE(kinds))]();
	cli();
}

/* ---- instructions ---- */

enum kind { PLAIN, CPUID, MSR, CR0, CR4, CR8, PORT, STRING, XCR, CALL, SLEEP };

static const struct { u8 kind, len, bytes[6]; } insns[] = {
	{ CPUID, 2, { 0x0f, 0xa2 } }, { CPUID, 2, { 0x0f, 0xa2 } },
	{ MSR, 2, { 0x0f, 0x32 } }, { MSR, 2, { 0x0f, 0x30 } }, { MSR, 2, { 0x0f, 0x32 } }, { MSR, 2, { 0x0f, 0x30 } }, { MSR, 2, { 0x0f, 0x30 } },
	{ CR0, 3, { 0x0f, 0x22, 0xc0 } }, { CR0, 3, { 0x0f, 0x01, 0xf0 } }, { CR0, 3, { 0x0f, 0x20, 0xc0 } }, { PLAIN, 2, { 0x0f, 0x06 } }, /* LMSW, CLTS */
	{ CR4, 3, { 0x0f, 0x22, 0xe0 } }, { CR4, 3, { 0x0f, 0x22, 0xe0 } }, { CR4, 3, { 0x0f, 0x20, 0xe0 } },
	{ CR8, 4, { 0x44, 0x0f, 0x22, 0xc0 } }, { PLAIN, 4, { 0x44, 0x0f, 0x20, 0xc0 } }, { PLAIN, 3, { 0x0f, 0x22, 0xd0 } }, /* CR2 */
	{ PLAIN, 6, { 0x0f, 0x20, 0xd8, 0x0f, 0x22, 0xd8 } }, { PLAIN, 3, { 0x0f, 0x22, 0xc8 } }, /* its own CR3; CR1 */
	{ PORT, 1, { 0xe4 } }, { PORT, 1, { 0xec } }, { PORT, 1, { 0xed } }, { PORT, 2, { 0x66, 0xed } }, { PORT, 1, { 0xee } }, { PORT, 1, { 0xef } },
	{ PORT, 2, { 0x66, 0xef } }, { STRING, 1, { 0x6c } }, { STRING, 1, { 0x6d } }, { STRING, 2, { 0x66, 0x6d } }, { STRING, 1, { 0x6e } },
	{ STRING, 1, { 0x6f } }, { STRING, 2, { 0x66, 0x6f } },
	{ XCR, 3, { 0x0f, 0x01, 0xd1 } }, { XCR, 3, { 0x0f, 0x01, 0xd0 } },
	{ PLAIN, 2, { 0x0f, 0x08 } }, { PLAIN, 2, { 0x0f, 0x09 } }, { PLAIN, 2, { 0x0f, 0x33 } }, { PLAIN, 2, { 0x0f, 0x31 } }, /* INVD to RDTSC */
	{ SLEEP, 2, { 0xfb, 0xf4 } }, { SLEEP, 1, { 0xf4 } },
	{ PLAIN, 3, { 0x0f, 0x01, 0xc8 } }, { PLAIN, 3, { 0x0f, 0x01, 0xc9 } }, { PLAIN, 3, { 0x0f, 0x01, 0xfa } }, { PLAIN, 3, { 0x0f, 0x01, 0xfb } },
	{ PLAIN, 3, { 0x0f, 0x01, 0x3b } }, { PLAIN, 3, { 0x0f, 0x01, 0x3f } }, { PLAIN, 5, { 0x66, 0x0f, 0x38, 0x82, 0x0b } }, /* INVLPG, INVPCID */
	{ PLAIN, 3, { 0x0f, 0x21, 0xf8 } }, { PLAIN, 3, { 0x0f, 0x21, 0xf0 } }, { PLAIN, 3, { 0x0f, 0x23, 0xc0 } }, { PLAIN, 3, { 0x0f, 0x23, 0xd8 } },
	{ PLAIN, 3, { 0x0f, 0x23, 0xe8 } }, { PLAIN, 3, { 0x0f, 0x23, 0xf0 } }, { PLAIN, 3, { 0x0f, 0x23, 0xf8 } }, { PLAIN, 3, { 0x0f, 0x23, 0xf8 } },
	{ CALL, 3, { 0x0f, 0x01, 0xc1 } }, { CALL, 3, { 0x0f, 0x01, 0xd9 } }, { PLAIN, 3, { 0x0f, 0x01, 0xc2 } }, { PLAIN, 3, { 0x0f, 0x01, 0xc3 } },
	{ PLAIN, 3, { 0x0f, 0x01, 0xc4 } }, { PLAIN, 3, { 0x0f, 0x01, 0xd4 } }, { PLAIN, 3, { 0x0f, 0xc7, 0x33 } }, { PLAIN, 3, { 0x0f, 0xc7, 0x3b } },
	{ PLAIN, 4, { 0xf3, 0x0f, 0xc7, 0x33 } }, { PLAIN, 4, { 0x66, 0x0f, 0xc7, 0x33 } }, { PLAIN, 3, { 0x0f, 0x78, 0x03 } },
	{ PLAIN, 3, { 0x0f, 0x79, 0xc3 } }, { PLAIN, 5, { 0x66, 0x0f, 0x38, 0x80, 0x0b } }, { PLAIN, 5, { 0x66, 0x0f, 0x38, 0x81, 0x0b } }, /* VMX to here */
	{ PLAIN, 3, { 0x0f, 0x01, 0xd8 } }, { PLAIN, 3, { 0x0f, 0x01, 0xda } }, { PLAIN, 3, { 0x0f, 0x01, 0xdb } }, { PLAIN, 3, { 0x0f, 0x01, 0xdc } },
	{ PLAIN, 3, { 0x0f, 0x01, 0xdd } }, { PLAIN, 3, { 0x0f, 0x01, 0xde } }, { PLAIN, 3, { 0x0f, 0x01, 0xdf } }, /* SVM */
	{ PLAIN, 3, { 0x0f, 0x01, 0x03 } }, { PLAIN, 3, { 0x0f, 0x01, 0x0b } }, { PLAIN, 3, { 0x0f, 0x00, 0x03 } }, { PLAIN, 3, { 0x0f, 0x00, 0x0b } },
	{ PLAIN, 3, { 0x0f, 0x01, 0x23 } }, { PLAIN, 3, { 0x0f, 0x00, 0xd0 } }, { PLAIN, 3, { 0x0f, 0x00, 0xe0 } }, { PLAIN, 3, { 0x0f, 0x02, 0xc8 } },
	{ PLAIN, 2, { 0x8e, 0xd8 } }, { PLAIN, 2, { 0x8e, 0xe0 } }, { PLAIN, 2, { 0x8e, 0xe8 } }, { PLAIN, 3, { 0x0f, 0x01, 0xf8 } }, /* DS, FS, GS, SWAPGS */
	{ PLAIN, 3, { 0x0f, 0x01, 0xf9 } }, { PLAIN, 4, { 0xf3, 0x0f, 0xc7, 0xf8 } }, { PLAIN, 3, { 0x0f, 0xc7, 0xf0 } }, { PLAIN, 3, { 0x0f, 0xc7, 0xf8 } },
	{ PLAIN, 4, { 0xf3, 0x0f, 0xae, 0xd0 } }, { PLAIN, 4, { 0xf3, 0x0f, 0xae, 0xd8 } }, { PLAIN, 4, { 0xf3, 0x0f, 0xae, 0xc0 } }, /* WRFSBASE ... */
	{ PLAIN, 3, { 0x0f, 0xae, 0x03 } }, { PLAIN, 3, { 0x0f, 0xae, 0x0b } }, { PLAIN, 3, { 0x0f, 0xae, 0x23 } }, { PLAIN, 3, { 0x0f, 0xae, 0x2b } },
	{ PLAIN, 3, { 0x0f, 0xae, 0x3b } }, { PLAIN, 3, { 0x0f, 0xc7, 0x23 } }, { PLAIN, 3, { 0x0f, 0xc7, 0x2b } }, { PLAIN, 3, { 0x0f, 0xc7, 0x1b } },
	{ PLAIN, 3, { 0x0f, 0x01, 0xfd } }, { PLAIN, 3, { 0x0f, 0x01, 0xfe } }, { PLAIN, 3, { 0x0f, 0x01, 0xef } }, { PLAIN, 3, { 0x0f, 0x01, 0xca } },
	{ PLAIN, 3, { 0x0f, 0x01, 0xcb } }, { PLAIN, 3, { 0x0f, 0x01, 0xcf } }, { PLAIN, 3, { 0x0f, 0x01, 0xd7 } }, { PLAIN, 3, { 0x0f, 0x01, 0xd6 } },
	{ PLAIN, 2, { 0x0f, 0x37 } }, { PLAIN, 2, { 0x0f, 0x0b } }, { PLAIN, 2, { 0x0f, 0xaa } }, { PLAIN, 2, { 0x0f, 0x77 } }, { PLAIN, 1, { 0xf1 } },
	{ PLAIN, 1, { 0xcc } }, { PLAIN, 2, { 0xcd, 0x20 } }, { PLAIN, 2, { 0xd9, 0x03 } }, { PLAIN, 3, { 0x0f, 0x6f, 0x03 } },
};

static u32 msr_number(void)
{
	static const u32 first[] = { 0x10, 0x1b, 0x3a, 0x48, 0x8b, 0xc1, 0xe1, 0xfe, 0x10a, 0x120, 0x174, 0x179, 0x186, 0x1a0, 0x1d9, 0x1fc, 0x200, 0x250,
				     0x258, 0x268, 0x277, 0x2ff, 0x309, 0x38d, 0x3f1, 0x400, 0x480, 0x490, 0x4c1, 0x560, 0x570, 0x600, 0x6a0, 0x6e0,
				     0x770, 0x800, 0x80c, 0x820, 0x828, 0x830, 0x838, 0xc80, 0xd90, 0xda0, 0x1c0, 0x40000000, 0x40000070, 0x4b564d00,
				     0xc0000080, 0xc0000080, 0xc00000e0, 0xc0000100, 0xc0000300, 0xc0000408, 0xc0010000, 0xc0010010, 0xc0010055,
				     0xc0010061, 0xc0010110, 0xc0010130, 0xc0010140, 0xc0010200, 0xc0011000, 0xc0011020, 0xc0011029 };

	return dice(16) ? first[dice(ARRAY_SIZE(first))] + (u32)dice(dice(2) ? 1 : 16) : (u32)any() >> dice(32);
}

/* No vector among the exceptions, no SIPI (it would start a vCPU anywhere), no INIT (after it an NMI would come before there is an IDT). */
static u64 msr_value(u32 msr, u64 v)
{
	if (msr == X2APIC_SELF)
		return v | 0x20;
	if (msr != X2APIC_ICR)
		return v;
	v |= 0x20;
	if ((v >> 8 & 7) == 5 || (v >> 8 & 7) == 6)
		v &= ~0x700ull;
	return dice(4) ? (v & 0x000c47ff) | (dice(CPUS + 1) * 2) << 32 : v;
}

/* Flips some of the bits that a kernel survives, or whose change is refused. */
static u64 flip(u64 v, u64 bits) { return v ^ (bits & (dice(4) ? BIT(dice(64)) | BIT(dice(64)) | BIT(dice(64)) : any())); }

static u64 port_number(void)
{
	static const u16 some[] = { 0x20, 0x40, 0x60, 0x64, 0x70, 0x80, 0x92, 0xb2, 0xcf8, 0xcf9, 0xcfc, 0x3f8, 0x510, 0x600, 0x604, 0xafe0, 0xb000, 0xffff };
	u64 port = dice(2) ? some[dice(ARRAY_SIZE(some))] + dice(4) : any();

	return (u16)port == 0xe9 ? 0xe8 : port;
}

static void operands(struct entry *e, u8 kind)
{
	/* What QEMU would take, and a CPU refuses: paging without PE, 64-bit code without paging, or without PAE. */
	u64 cr0 = intel ? ~1ull : 0x6005003eull | 0xfull << 40, cr4 = intel ? ~0ull : ~0x1020ull, v;

	switch (kind) {
	case CPUID:
		e->rax = dice(2) ? dice(0x24) : 0x80000000 * dice(2) + 0x40000000 * dice(2) + 0x100 * dice(2) + dice(0x24);
		e->rcx = dice(2) ? dice(8) : number();
		break;
	case MSR:
		/* QEMU would look for such an MSR's bits behind the map of those that exit (docs/testing.md). */
		e->rcx = msr_number() | (intel ? any() << 32 : 0);
		v = msr_value((u32)e->rcx, dice(4) ? number() : any() & any() & any());
		e->rax = safe(v) & 0xffffffff;
		e->rdx = safe(v) >> 32;
		break;
	case CR0: e->rax = flip(base_cr0, cr0); break;
	case CR4: e->rax = flip(base_cr4, cr4); break;
	case CR8: e->rax = dice(4) ? dice(16) : any() >> dice(64); break;
	case PORT: e->rdx = port_number(); break;
	case STRING:
		e->rdx = port_number();
		e->rdi = argument();
		e->rsi = argument();
		e->rcx = dice(64);
		break;
	case XCR:
		e->rcx = dice(8) ? 0 : number();
		e->rdx = dice(8) ? 0 : number();
		break;
	case CALL: e->rax = 1ull << 50 | any() >> 16; break;
	}
}

static void registers(struct entry *e, bool kernel)
{
	u64 *r = &e->r15;

	for (u32 i = 0; i < 15; i++)
		r[i] = dice(2) ? number() : kernel || dice(2) ? pointer() : (u64)pattern + dice(sizeof(pattern));
	/* Kernel code finds its operands in memory by RBX and RDI. */
	if (kernel) {
		e->rbx = pointer();
		e->rdi = pointer();
	}
}

static u32 put_insn(u8 *to, u32 which)
{
	static const u8 prefixes[] = { 0x66, 0xf2, 0xf3, 0x2e, 0x3e, 0x40, 0xf0 };
	u8 kind = insns[which].kind;
	u32 n = 0;

	/* REP is wanted with strings. LOCK makes CR8 of CR0. Addresses of 32 bits, and another register for CR3, would do harm. */
	if (kind == STRING ? dice(4) : kind != SLEEP && insns[which].len < 6 && dice(8) == 0)
		to[n++] = kind == STRING ? 0xf2 + (u8)dice(2) : prefixes[dice(ARRAY_SIZE(prefixes) - (kind == CR0))];
	memcpy(to + n, insns[which].bytes, insns[which].len);
	n += insns[which].len;
	if (kind == PORT && (to[n - 1] & 0xf8) == 0xe0)
		to[n++] = (u8)dice(0xe9);
	return n;
}

static void go(struct entry *e)
{
	struct attacker *a = &attackers[SELF];

	a->active = 1;
	barrier();
	enter(e, &a->saved_rsp);
	barrier();
	a->active = 0;
}

static u64 read_cr0(void) { u64 v; __asm__ volatile("mov %%cr0, %0" : "=r"(v)); return v; }
static u64 read_cr3(void) { u64 v; __asm__ volatile("mov %%cr3, %0" : "=r"(v)); return v; }
static u64 read_cr4(void) { u64 v; __asm__ volatile("mov %%cr4, %0" : "=r"(v)); return v; }

/* As it has to be for C, and for user mode. */
static void restore(bool all)
{
	if (read_cr0() != base_cr0)
		__asm__ volatile("mov %0, %%cr0" :: "r"(base_cr0));
	if (read_cr4() != base_cr4)
		__asm__ volatile("mov %0, %%cr4" :: "r"(base_cr4));
	__asm__ volatile("mov %0, %%dr7" :: "r"(0x400ul));
	if (intel)
		__asm__ volatile("mov %0, %%cr8" :: "r"(0ul));
	if (!all)
		return;
	wrmsr(0xc0000080, 0xd00);       /* EFER without SCE: SYSCALL would go anywhere */
	wrmsr(0x174, 0);                /* and SYSENTER */
	wrmsr(X2APIC_TPR, 0);
	wrmsr(X2APIC_SVR, 0x1ff);
}

static void instruction(void)
{
	u32 id = SELF, n = 0;
	struct entry e = { .rip = (u64)code[id], .cs = KERNEL_CS, .rflags = dice(2) ? 2 : 0x202, .ss = KERNEL_DS };
	u8 kind;
	u32 which;

	do {
		which = (u32)dice(ARRAY_SIZE(insns));
		kind = insns[which].kind;
		/* vCPU 0 watches; QEMU dies of MOV to CR8 while an interrupt waits (docs/testing.md). */
	} while ((id == 0 && kind == SLEEP) || (!intel && kind == CR8));
	registers(&e, true);
	operands(&e, kind);
	if (kind == STRING && dice(4) == 0) {
		code[id][n++] = 0xfd;           /* STD */
		e.rcx = dice(16);
	}
	n += put_insn(code[id] + n, which);
	/* Some of them are longer than here on other CPUs. */
	memset(code[id] + n, 0xc3, 16);
	attackers[id].instructions++;
	go(&e);
	restore(kind == MSR || kind == CALL);
}

/* ---- user mode ---- */

static void user_mode(void)
{
	u32 id = SELF, n = 0;
	u8 *page = user[id];
	u64 base = USER + id * USER_PAGES * PAGE_SIZE;
	bool call = dice(8) == 0;
	struct entry e = { .rip = base + dice(64), .cs = USER_CS, .rsp = base + 3 * PAGE_SIZE - 8 * dice(64), .ss = USER_DS };

	registers(&e, false);
	if (dice(4) == 0)
		e.rdi = base + PAGE_SIZE + dice(3 * PAGE_SIZE);
	e.rflags = 0x202 | (dice(4) ? 0x100 : 0) | (dice(2) ? 0x3000 : 0) | (dice(4) ? 0 : any() & 0x40cd5);
	for (u32 i = 0; i < 32; i++) {
		u64 r = any();

		memcpy(page + 8 * i, &r, 8);
	}
	while (dice(8) && n < 200)
		n += put_insn(page + n, (u32)dice(ARRAY_SIZE(insns)));
	/* A hypercall from there is refused, even the one that would end the guest. */
	if (call) {
		memcpy(page, intel ? "\x0f\x01\xc1\xcd\x80" : "\x0f\x01\xd9\xcd\x80", 5);
		e.rip = base;
		e.rflags = 0x202;
		e.rax = dice(2) ? __HYPERVISOR_sched_op : dice(64);
		e.rdi = SCHEDOP_shutdown;
	}
	attackers[id].steps = 0;
	attackers[id].users++;
	go(&e);
	/* An NMI may come first. */
	if (call && attackers[id].left_by != VECTOR_NMI && attackers[id].user_rax != (u64)-EPERM)
		wrong_call++;
	restore(false);
}

/* ---- what comes of it ---- */

static void leave(struct frame *f)
{
	attackers[SELF].user_rax = f->rax;
	attackers[SELF].left_by = f->vector;
	f->rip = (u64)enter_back;
	f->rsp = attackers[SELF].saved_rsp;
	f->cs = KERNEL_CS;
	f->ss = KERNEL_DS;
	f->rflags = 2;
}

static void on_fault(struct frame *f)
{
	if (attackers[SELF].active) {
		leave(f);
		return;
	}
	check(false, "vCPU %u: unexpected vector %lu, error %lx, at %lx", SELF, f->vector, f->error, f->rip);
	flush_report();
	shut_down(SHUTDOWN_crash);
}

/* Breakpoints are disarmed; user mode is stepped for a while. */
static void on_debug(struct frame *f)
{
	__asm__ volatile("mov %0, %%dr7" :: "r"(0x400ul));
	if (f->cs == KERNEL_CS)
		f->rflags &= ~0x100ull;
	else if (attackers[SELF].steps++ > 64)
		leave(f);
}

static void on_breakpoint(struct frame *f)
{
	if (f->cs != KERNEL_CS)
		leave(f);
}

/* From vCPU 0, to one that stands still, or from an attack. */
static void on_nmi(struct frame *f)
{
	if (f->cs != KERNEL_CS || (attackers[SELF].active && f->rip - (u64)code[SELF] < PAGE_SIZE))
		leave(f);
}

static void on_interrupt(struct frame *f)
{
	if (f->vector == 0x80 && f->cs != KERNEL_CS) {
		leave(f);
		return;
	}
	/* A callback comes again until it is heard of, wherever the vCPU's part of the shared page is. */
	shared->vcpu_info[SELF].evtchn_upcall_pending = 0;
	new_info(SELF)->evtchn_upcall_pending = 0;
	wrmsr(X2APIC_EOI, 0);
}

/* ---- the vCPUs ---- */

static void attack_once(void)
{
	u64 r = dice(4);

	if (r < 2 && only & 1)
		instruction();
	else if (r == 2 && only & 2 && SELF)
		user_mode();
	else if (only & 4)
		hypercalls();
	/* GS is the library's. */
	__asm__ volatile("mov %0, %%ds; mov %0, %%es; mov %0, %%fs; mov %0, %%gs" :: "r"(KERNEL_DS));
	attackers[SELF].rounds++;
}

static void enter_tables(void)
{
	__asm__ volatile("mov %0, %%cr3" :: "r"(top) : "memory");
	if (xsave)
		__asm__ volatile("mov %0, %%cr4" :: "r"(base_cr4));
}

static void attacker(void)
{
	enter_tables();
	attackers[SELF].active = 0;
	restore(true);
	while (!begin)
		relax();
	while (attackers[SELF].rounds < rounds)
		attack_once();
	attackers[SELF].done = 1;
}

/* The lower half as it is, not for user mode; and the user pages. */
static void make_tables(void)
{
	u64 *old = (u64 *)(*(u64 *)base_cr3 & ~0xfffull);

	for (u32 i = 0; i < 4; i++)
		low[i] = old[i] & ~4ull;
	top[0] = (u64)low | 3;
	top[USER >> 39] = (u64)tables[0] | 7;
	tables[0][0] = (u64)tables[1] | 7;
	tables[1][0] = (u64)tables[2] | 7;
	for (u32 i = 0; i < CPUS * USER_PAGES; i++) {
		u32 which = i % USER_PAGES;

		if (which < 3 || which == 4)
			tables[2][i] = ((u64)user[i / USER_PAGES] + which * PAGE_SIZE) | (which == 4 ? 5 : 7);
	}
}

/* Those that make no progress are woken, then brought up. */
static void watch(void)
{
	static u64 seen[CPUS], since[CPUS];
	static u32 kicks[CPUS];

	for (u32 i = 1; i < CPUS; i++) {
		if (attackers[i].rounds != seen[i] || attackers[i].done) {
			seen[i] = attackers[i].rounds;
			since[i] = now();
			kicks[i] = 0;
		} else if (now() - since[i] > 5 * MS) {
			since[i] = now();
			vcpu_op(VCPUOP_send_nmi, i, NULL);
			if (kicks[i] == 100)
				say("vCPU %u stands still after %lu rounds", i, seen[i]);
			if (++kicks[i] % 4 == 2)
				vcpu_op(VCPUOP_up, i, NULL);
		}
	}
}

static bool others_busy(void)
{
	return !(attackers[1].done && attackers[2].done && attackers[3].done);
}

/* ---- what has to be left ---- */

static u8 pattern_at(size_t i) { return (u8)(i * 5 + i / PAGE_SIZE * 3); }

static u64 image_sum(void)
{
	u64 sum = 0;

	for (const u64 *p = (void *)0x100000; p < (const u64 *)extable; p++)
		sum = (sum << 7 | sum >> 57) ^ *p;
	return sum;
}

static bool pattern_is_whole(void)
{
	for (size_t i = 0; i < sizeof(pattern); i++)
		if (pattern[i] != pattern_at(i))
			return false;
	return true;
}

/* Bytes that go up by seven are the heartbeat guest's. */
static u64 others_memory(void)
{
	u64 found = 0;

	for (const volatile u64 *p = (void *)(VICTIM_GFN * PAGE_SIZE); p < (u64 *)(VICTIM_END * PAGE_SIZE); p++) {
		u64 v = *p;
		bool up = true;

		for (u32 i = 0; up && i < 56; i += 8)
			up = (u8)(v >> (i + 8)) == (u8)((v >> i) + 7);
		found += up;
	}
	return found;
}

static void still_works(void)
{
	u64 pfn = 0;
	u32 port;

	expect(hypercall(__HYPERVISOR_xen_version, 0, 0, 0, 0, 0), 4 << 16 | 17, "the version");
	expect(get_param(HVM_PARAM_CONSOLE_PFN, &pfn), 0, "a parameter");
	check(is_own_frame(pfn), "is the console's page");
	expect(hypercall(63, 1, 2, 3, 4, 5), -ENOSYS, "a hypercall that is not there");
	for (u32 p = 1; p < 4096; p++) {
		if (p != console_port && p != store_port)
			close_port(p);
		clear_port(p);
	}
	/* on_interrupt() left it set; then no further event makes an upcall. */
	shared->vcpu_info[0].evtchn_pending_sel = 0;
	enable_events();
	port = new_ipi(0);
	mask_port(port, false);
	check(port && notify(port) == 0 && wait_for(&port_events[port], 1, SECOND), "an event comes");
	port = new_virq(VIRQ_TIMER, 0);
	mask_port(port, false);
	check(port && arm_timer(now() + MS) == 0 && wait_for(&port_events[port], 1, SECOND), "the timer too");
}

static void prepare(void)
{
	u64 port = 0;

	intel = cpuid(0, 0).b == 0x756e6547;
	xsave = cpuid(1, 0).c >> 26 & 1;
	only = (u32)option("only", 7);
	rounds = option("attack", 3000);
	get_param(HVM_PARAM_CONSOLE_EVTCHN, &port);
	console_port = (u32)port;
	get_param(HVM_PARAM_STORE_EVTCHN, &port);
	store_port = (u32)port;
	map_space(XENMAPSPACE_grant_table, 0, GRANT_GFN);
	for (size_t i = 0; i < sizeof(pattern); i++)
		pattern[i] = pattern_at(i);
	for (u32 i = 0; i < 256; i++)
		handlers[i] = i < 32 ? on_fault : on_interrupt;
	handlers[VECTOR_DB] = on_debug;
	handlers[VECTOR_NMI] = on_nmi;
	handlers[VECTOR_BP] = on_breakpoint;
	base_cr0 = read_cr0();
	base_cr3 = read_cr3();
	base_cr4 = read_cr4() | (xsave ? BIT(18) : 0);
	make_tables();
	enter_tables();
}

void test_main(void)
{
	u64 seed = option("seed", 20240229), sum = image_sum(), start;

	say("seed=%lu", seed);
	flush_report();
	prepare();
	for (u32 i = 0; i < CPUS; i++)
		attackers[i].seed = seed + i * 1000003;
	for (u32 i = 1; i < CPUS; i++)
		check(start_cpu(i, attacker), "vCPU %u starts", i);
	begin = 1;
	for (start = now(); attackers[0].rounds < rounds || others_busy(); watch())
		if (attackers[0].rounds < rounds)
			attack_once();
	say("%lu rounds of each took %lu ms", rounds, (u64)((now() - start) / MS));
	restore(true);
	cpu_init(0);
	for (u32 i = 0; i < CPUS; i++)
		check(attackers[i].rounds == rounds, "vCPU %u: %lu instructions, %lu times in user mode, %lu hypercalls", i, attackers[i].instructions,
		      attackers[i].users, attackers[i].calls);
	expect(wrong_call, 0, "hypercalls from user mode are refused");
	check(pattern_is_whole(), "its memory is as it was");
	expect((long)image_sum(), (long)sum, "and so is its code");
	expect((long)others_memory(), 0, "none of the other guest's memory is in sight");
	still_works();
}
