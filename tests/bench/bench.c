/*
 * How many instructions an operation costs: read by RDTSC in an emulator where each instruction is a tick.
 *
 * An operation and its base are the same code but for the instruction that exits, so their difference is that instruction, what the
 * hypervisor does, and for a notification the handler's twelve instructions.
 * seconds: 900
 */
#include <xen/grant_table.h>
#include <xen/version.h>

#define BATCHES 33
#define BATCH   100
#define PROFILE_TICKS 400000000ull

static long (*call)(u64 nr, u64 a0, u64 a1, u64 a2, u64 a3, u64 a4);
u32 self_port;
volatile u32 self_count;

long no_hypercall(u64 nr, u64 a0, u64 a1, u64 a2, u64 a3, u64 a4);
void self_handler(void);

__asm__(
"	.text\n"
"no_hypercall:\n"                       /* as hypercall in start.S, without the one that exits */
"	mov     %rdi, %rax\n"
"	mov     %rsi, %rdi\n"
"	mov     %rdx, %rsi\n"
"	mov     %rcx, %rdx\n"
"	mov     %r8, %r10\n"
"	mov     %r9, %r8\n"
"	ret\n"
"self_handler:\n"                       /* upcall_pending, pending_sel and the port's bit in shared_info: all that it takes */
"	push    %rax\n"
"	push    %rcx\n"
"	mov     shared, %rcx\n"
"	movb    $0, (%rcx)\n"
"	xor     %eax, %eax\n"
"	xchg    %rax, 8(%rcx)\n"
"	mov     self_port, %eax\n"
"	lock btr %rax, 2048(%rcx)\n"
"	incl    self_count\n"
"	pop     %rcx\n"
"	pop     %rax\n"
"	iretq\n");
_Static_assert(offsetof(struct shared_info, evtchn_pending) == 2048 && offsetof(struct vcpu_info, evtchn_pending_sel) == 8, "self_handler");

/* ---- the operations: each returns what was expected, or it isn't one ---- */

#define INSTRUCTION(name, insn, ...) \
	static long name(void) { __asm__ volatile(insn __VA_ARGS__); return 0; } \
	static long name##_base(void) { __asm__ volatile("" __VA_ARGS__); return 0; }

INSTRUCTION(port_read, "in %%dx, %%al", :: "d"(0x3f0) : "rax")
INSTRUCTION(cpuid_leaf_0, "cpuid", :: "a"(0), "c"(0) : "rbx", "rdx")
INSTRUCTION(cpuid_leaf_7, "cpuid", :: "a"(7), "c"(0) : "rbx", "rdx")
INSTRUCTION(rdmsr_apic_id, "rdmsr", :: "c"(X2APIC_ID) : "rax", "rdx")
INSTRUCTION(wrmsr_tpr, "wrmsr", :: "c"(X2APIC_TPR), "a"(0), "d"(0))
INSTRUCTION(wrmsr_eoi, "wrmsr", :: "c"(X2APIC_EOI), "a"(0), "d"(0))

static struct gnttab_query_size query;
static struct xen_hvm_param param;
static struct vcpu_set_singleshot_timer timer;
static struct evtchn_send send_self;
static struct evtchn_unmask unmask;
static struct xen_memory_reservation one_page;
static u8 page[PAGE_SIZE] PAGE_ALIGNED;
static xen_pfn_t page_gfn;

static long xen_version(void) { return call(__HYPERVISOR_xen_version, XENVER_version, 0, 0, 0, 0); }
static long query_size(void) { return call(__HYPERVISOR_grant_table_op, GNTTABOP_query_size, (u64)&query, 1, 0, 0); }
static long get_hvm_param(void) { return call(__HYPERVISOR_hvm_op, HVMOP_get_param, (u64)&param, 0, 0, 0); }
static long set_timer(void) { return call(__HYPERVISOR_vcpu_op, VCPUOP_set_singleshot_timer, 0, (u64)&timer, 0, 0); }
static long notify_self(void) { return call(__HYPERVISOR_event_channel_op, EVTCHNOP_send, (u64)&send_self, 0, 0, 0); }
static long unmask_port(void) { return call(__HYPERVISOR_event_channel_op, EVTCHNOP_unmask, (u64)&unmask, 0, 0, 0); }
static long yield(void) { return call(__HYPERVISOR_sched_op, SCHEDOP_yield, 0, 0, 0, 0); }

static long exchange_page(void)
{
	long n = call(__HYPERVISOR_memory_op, XENMEM_decrease_reservation, (u64)&one_page, 0, 0, 0);

	return n + call(__HYPERVISOR_memory_op, XENMEM_populate_physmap, (u64)&one_page, 0, 0, 0);
}

/* Without a base it is a hypercall, and the base is the same function with calls that do nothing. */
static const struct operation { const char *name; long (*fn)(void), (*base)(void), result; } operations[] = {
	{ "port_read", port_read, port_read_base, 0 },
	{ "xen_version", xen_version, NULL, 0x40011 },
	{ "cpuid", cpuid_leaf_0, cpuid_leaf_0_base, 0 },
	{ "cpuid_7", cpuid_leaf_7, cpuid_leaf_7_base, 0 },
	{ "rdmsr_apic_id", rdmsr_apic_id, rdmsr_apic_id_base, 0 },
	{ "wrmsr_tpr", wrmsr_tpr, wrmsr_tpr_base, 0 },
	{ "wrmsr_eoi", wrmsr_eoi, wrmsr_eoi_base, 0 },
	{ "query_size", query_size, NULL, 0 },
	{ "get_param", get_hvm_param, NULL, 0 },
	{ "set_timer", set_timer, NULL, 0 },
	{ "notify_self", notify_self, NULL, 0 },
	{ "unmask", unmask_port, NULL, 0 },
	{ "yield", yield, NULL, 0 },
	{ "exchange_page", exchange_page, NULL, 2 },
};

static void catch_self(void)
{
	struct { u16 limit; u64 base; } __attribute__((packed)) idtr;
	u64 at = (u64)self_handler;
	u16 *gate;

	__asm__ volatile("sidt %0" : "=m"(idtr));
	gate = (u16 *)(idtr.base + 16 * EVENT_VECTOR);
	gate[0] = (u16)at;
	gate[3] = (u16)(at >> 16);
}

static void prepare(void)
{
	self_port = new_ipi(0);
	send_self.port = self_port;
	unmask.port = new_unbound(0);
	query.dom = DOMID_SELF;
	param = (struct xen_hvm_param){ .domid = DOMID_SELF, .index = HVM_PARAM_STORE_PFN };
	timer.timeout_abs_ns = now() + 3600 * SECOND;
	page_gfn = (u64)page / PAGE_SIZE;
	one_page.nr_extents = 1;
	one_page.domid = DOMID_SELF;
	set_xen_guest_handle(one_page.extent_start, &page_gfn);
	enable_events();
	catch_self();
}

static u64 one_batch(long (*fn)(void))
{
	u64 start = rdtsc();

	for (u32 i = 0; i < BATCH; i++)
		fn();
	return rdtsc() - start;
}

static u64 least(long (*fn)(void))
{
	u64 best = ~0ull;

	for (u32 i = 0; i < BATCHES; i++) {
		u64 t = one_batch(fn);

		best = t < best ? t : best;
	}
	return best;
}

static void measure(const struct operation *o)
{
	u32 caught = self_count;
	u64 cost, base;

	call = hypercall;
	if (o->fn() != o->result) {
		check(false, "%s does not do what it should", o->name);
		return;
	}
	cost = least(o->fn);
	if (o->fn == notify_self && self_count - caught != BATCHES * BATCH + 1)
		check(false, "%s: %u were delivered", o->name, self_count - caught);
	call = no_hypercall;
	base = least(o->base ? o->base : o->fn);
	call = hypercall;
	say("COST %s %lu %lu %u", o->name, cost, base, BATCH);
}

/* Over and over, long enough for someone outside to look. The log says when. */
static void repeat(const struct operation *o)
{
	u64 end = rdtsc() + PROFILE_TICKS;

	for (const char *s = "profile "; *s; s++)
		outb(0xe9, (u8)*s);
	for (const char *s = o->name; *s; s++)
		outb(0xe9, (u8)*s);
	outb(0xe9, '\n');
	while (rdtsc() < end)
		one_batch(o->fn);
}

void test_main(void)
{
	u64 profile = option("profile", 0);

	prepare();
	for (u32 i = 0; i < ARRAY_SIZE(operations); i++)
		measure(&operations[i]);
	for (u32 i = 0; i < ARRAY_SIZE(operations); i++)
		if (profile >> i & 1)
			repeat(&operations[i]);
	outb(0xe9, '\n');
}
