/*
 * How many instructions an operation costs: read by RDTSC in an emulator where each instruction is a tick.
 *
 * An operation and its base are the same code but for the instruction that exits, so their difference is that instruction, what the
 * hypervisor does, and for a notification the handler's twelve instructions.
 * vcpus: 2
 * seconds: 900
 */
#include <xen/grant_table.h>
#include <xen/version.h>
#include "../bench/peer.h"

#define BATCHES 33
#define BATCH   100
#define PROFILE_TICKS 400000000ull
#define IPI_VECTOR  0x51
#define LATE_TIMES  200
#define TABLE_GFN   PEER_TABLE_GFN
#define MAP_GFN     (HOLE_GFN + 0x200)
#define LENT_REF    8
#define PEER_GFN    (HOLE_GFN + 0x300)
#define WORK_ROUNDS 50000000ull

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

/* By the keeper, and by what it said before: the APIC's ID and EOI in xAPIC mode, and a hole. */
INSTRUCTION(apic_read, "movl (%%rdx), %%eax", :: "d"(0xfee00020ull) : "rax", "memory")
INSTRUCTION(apic_eoi, "movl %%eax, (%%rdx)", :: "a"(0), "d"(0xfee000b0ull) : "memory")
INSTRUCTION(hole_store, "movl %%eax, (%%rdx)", :: "a"(0), "d"(HOLE_GFN * PAGE_SIZE + 8) : "memory")
INSTRUCTION(hole_or, "orl %%eax, (%%rdx)", :: "a"(0), "d"(HOLE_GFN * PAGE_SIZE + 8) : "memory", "cc")

static struct gnttab_query_size query;
static struct xen_hvm_param param;
static struct vcpu_set_singleshot_timer timer;
static struct evtchn_send send_self;
static struct evtchn_unmask unmask;
static struct xen_memory_reservation one_page;
static u8 page[PAGE_SIZE] PAGE_ALIGNED;
static xen_pfn_t page_gfn;
static u8 lent[PAGE_SIZE] PAGE_ALIGNED, copied[PAGE_SIZE] PAGE_ALIGNED;
static struct gnttab_copy copy;
static struct gnttab_map_grant_ref map;
static struct gnttab_unmap_grant_ref unmap;
static u32 timer_port;
static volatile u32 ipis[2], second_ready;

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

/* One page of our own to another, and a page that we lend to ourselves: mapped and given back. */
static long copy_page(void) { return call(__HYPERVISOR_grant_table_op, GNTTABOP_copy, (u64)&copy, 1, 0, 0); }

static long map_unmap(void)
{
	long n = call(__HYPERVISOR_grant_table_op, GNTTABOP_map_grant_ref, (u64)&map, 1, 0, 0);

	unmap.handle = map.handle;
	return n + call(__HYPERVISOR_grant_table_op, GNTTABOP_unmap_grant_ref, (u64)&unmap, 1, 0, 0);
}

/* ---- with the second vCPU, on the same CPU: an IPI there, which wakes it from HLT, and one back ---- */

static void take_ipi(struct frame *f __attribute__((unused)))
{
	__atomic_fetch_add(&ipis[this_cpu()->id], 1, __ATOMIC_SEQ_CST);
	eoi();
}

static void answer(void)
{
	u32 seen = 0;

	second_ready = 1;
	for (;;) {
		cli();
		if (ipis[1] == seen)
			sti_hlt();
		sti();
		if (ipis[1] == seen)
			continue;
		seen = ipis[1];
		send_icr(apic_id_of(0), IPI_VECTOR);
	}
}

static long ping_pong(void)
{
	u32 before = ipis[0];

	if (!second_ready)
		return -1;
	send_icr(apic_id_of(1), IPI_VECTOR);
	for (;;) {
		cli();
		if (ipis[0] != before)
			break;
		sti_hlt();
	}
	sti();
	return 0;
}

static long nothing(void) { return 0; }

/* ---- with another guest, peer.c, on the same CPU ---- */

static struct peer_page *peer = (void *)(PEER_GFN * PAGE_SIZE);
static u32 peer_port;
static struct gnttab_map_grant_ref maps[PEER_PAGES];
static struct gnttab_unmap_grant_ref unmaps[PEER_PAGES];
static struct gnttab_copy copies[PEER_PAGES];

/* An event there, which wakes it from HLT, and its answer, which wakes us. */
static long event_and_back(void)
{
	u32 before = port_events[peer_port];

	if (!peer_port || notify(peer_port))
		return -1;
	for (;;) {
		cli();
		if (port_events[peer_port] != before)
			break;
		sti_hlt();
	}
	sti();
	return 0;
}

/* All its pages by one hypercall, and back by another; and the contents of all by one. */
static long map_unmap_64(void)
{
	long n = call(__HYPERVISOR_grant_table_op, GNTTABOP_map_grant_ref, (u64)maps, PEER_PAGES, 0, 0);

	for (u32 i = 0; i < PEER_PAGES; i++)
		unmaps[i].handle = maps[i].handle;
	return n + call(__HYPERVISOR_grant_table_op, GNTTABOP_unmap_grant_ref, (u64)unmaps, PEER_PAGES, 0, 0) + maps[63].status + unmaps[63].status;
}

static long copy_64(void)
{
	return call(__HYPERVISOR_grant_table_op, GNTTABOP_copy, (u64)copies, PEER_PAGES, 0, 0) + copies[63].status;
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
	{ "copy_page", copy_page, NULL, 0 },
	{ "map_unmap", map_unmap, NULL, 0 },
	{ "ping_pong", ping_pong, nothing, 0 },
	{ "map_unmap_64", map_unmap_64, NULL, 0 },
	{ "copy_64", copy_64, NULL, 0 },
	{ "event_and_back", event_and_back, nothing, 0 },
	{ "apic_read", apic_read, apic_read_base, 0 },
	{ "apic_eoi", apic_eoi, apic_eoi_base, 0 },
	{ "hole_store", hole_store, hole_store_base, 0 },
	{ "hole_or", hole_or, hole_or_base, 0 },
};

/* To the hypervisor's log: how far it has come. */
static void log_line(const char *what, const char *name)
{
	for (; *what; what++)
		outb(0xe9, (u8)*what);
	for (; *name; name++)
		outb(0xe9, (u8)*name);
	outb(0xe9, '\n');
}

/* From the time of a timer to the instruction behind the HLT that it ends, in nanoseconds, which are instructions here. */
static void measure_timer(void)
{
	u64 late = 0;

	for (u32 i = 0; i < LATE_TIMES; i++) {
		u32 before = port_events[timer_port];
		u64 when = now() + MS;

		arm_timer(when);
		for (;;) {
			cli();
			if (port_events[timer_port] != before)
				break;
			sti_hlt();
		}
		sti();
		late += now() - when;
	}
	say("COST timer_late %lu 0 %u", late, LATE_TIMES);
}

/*
 * Two guests that do nothing but yield to each other: what a turn costs, of which each has a yield and a switch in it. The turns that the
 * other had tell how many there were, whatever the scheduler makes of a yield.
 */
static void measure_switch(void)
{
	u64 start, ticks;
	u32 turns, own = 0;

	log_line("measure ", "switch");
	if (!peer_port)
		return;
	peer->what = PEER_YIELD;
	notify(peer_port);
	for (turns = peer->turns; peer->turns < turns + 10; )
		yield();
	turns = peer->turns;
	start = rdtsc();
	for (; own < BATCHES * BATCH; own++)
		yield();
	ticks = rdtsc() - start;
	turns = peer->turns - turns;
	peer->what = PEER_ANSWER;
	/* Fewer turns than yields: we got the CPU back at once then, which is another row's. */
	check(turns > own * 9 / 10, "of %u yields %u led to the other guest", own, turns);
	say("COST switch %lu 0 %u", ticks, own + turns);
}

/* Work that needs nothing of anybody: what the machine takes for it, with all else that wants the CPU meanwhile. */
static u64 work(void)
{
	static u64 memory[4096];
	u64 start = rdtsc(), x = 1;

	for (u64 i = 0; i < WORK_ROUNDS; i++) {
		x = x * 6364136223846793005ull + 1442695040888963407ull;
		memory[x >> 52] += x;
	}
	__asm__ volatile("" :: "r"(memory), "r"(x) : "memory");
	return rdtsc() - start;
}

static void meet_peer(void)
{
	struct evtchn_bind_interdomain b = { .remote_dom = (domid_t)(own_domid() - 1) };

	for (u32 i = 0; i < PEER_PAGES; i++) {
		u64 gfn = PEER_GFN + i;

		maps[i] = (struct gnttab_map_grant_ref){ .host_addr = gfn * PAGE_SIZE, .flags = GNTMAP_host_map, .ref = PEER_REF + i, .dom = b.remote_dom };
		unmaps[i].host_addr = (gfn + 1) * PAGE_SIZE;
		copies[i] = (struct gnttab_copy){ .source = { .u.ref = PEER_REF + 1 + i, .domid = b.remote_dom }, .flags = GNTCOPY_source_gref,
						  .dest = { .u.gmfn = (u64)copied / PAGE_SIZE, .domid = DOMID_SELF }, .len = PAGE_SIZE };
	}
	if (!check(!hypercall(__HYPERVISOR_grant_table_op, GNTTABOP_map_grant_ref, (u64)maps, 1, 0, 0) && !maps[0].status, "mapping the other guest's page"))
		return;
	b.remote_port = peer->port;
	if (check(!evtchn_op(EVTCHNOP_bind_interdomain, &b), "binding the other guest's event channel"))
		peer_port = b.local_port;
	for (u32 i = 0; i < PEER_PAGES; i++) {
		maps[i].ref++;
		maps[i].host_addr += PAGE_SIZE;
	}
}

/* The callback's handler becomes self_handler, which takes only that port; called again, it is the library's again. */
static void swap_handler(void)
{
	static u64 at = (u64)self_handler;
	struct { u16 limit; u64 base; } __attribute__((packed)) idtr;
	u16 *gate;
	u64 before;

	__asm__ volatile("sidt %0" : "=m"(idtr));
	gate = (u16 *)(idtr.base + 16 * EVENT_VECTOR);
	before = gate[0] | (u64)gate[3] << 16;
	gate[0] = (u16)at;
	gate[3] = (u16)(at >> 16);
	at = before;
}

static void prepare_grants(void)
{
	volatile struct grant_entry_v1 *table = (void *)(TABLE_GFN * PAGE_SIZE);

	map_space(XENMAPSPACE_grant_table, 0, TABLE_GFN);
	table[LENT_REF].domid = (domid_t)own_domid();
	table[LENT_REF].frame = (u32)((u64)lent / PAGE_SIZE);
	barrier();
	table[LENT_REF].flags = GTF_permit_access;
	map = (struct gnttab_map_grant_ref){ .host_addr = MAP_GFN * PAGE_SIZE, .flags = GNTMAP_host_map, .ref = LENT_REF, .dom = (domid_t)own_domid() };
	unmap.host_addr = MAP_GFN * PAGE_SIZE;
	copy = (struct gnttab_copy){ .source = { .u.gmfn = (u64)lent / PAGE_SIZE, .domid = DOMID_SELF },
				     .dest = { .u.gmfn = (u64)copied / PAGE_SIZE, .domid = DOMID_SELF }, .len = PAGE_SIZE };
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
	timer_port = new_virq(VIRQ_TIMER, 0);
	log_line("measure ", "timer_late");
	prepare_grants();
	handlers[IPI_VECTOR] = take_ipi;
	start_cpu(1, answer);
	wait_for(&second_ready, 1, SECOND);
	measure_timer();
	meet_peer();
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

/* The APIC's mode that the operation wants: from x2APIC to xAPIC the way leads through "off". */
static void choose_mode(const struct operation *o)
{
	bool page_wanted = o->fn == apic_read || o->fn == apic_eoi;
	u64 base = rdmsr(APIC_BASE);

	if (page_wanted != !!(base & APIC_BASE_X2APIC))
		return;
	if (page_wanted) {
		wrmsr(APIC_BASE, base & ~0xc00ull);
		wrmsr(APIC_BASE, (base & ~0xc00ull) | 0x800);
	} else {
		wrmsr(APIC_BASE, base | APIC_BASE_X2APIC);
		wrmsr(X2APIC_SVR, 0x1ff);
	}
}

static void measure(const struct operation *o)
{
	u32 caught = self_count;
	u64 cost, base;

	choose_mode(o);
	log_line("measure ", o->name);
	call = hypercall;
	if (o->fn == notify_self)
		swap_handler();
	if (o->fn() != o->result) {
		check(false, "%s does not do what it should", o->name);
		return;
	}
	cost = least(o->fn);
	if (o->fn == notify_self)
		swap_handler();
	/* An upcall more than events is no error: one that an exit finds begun, with its flag still up, is offered once more. */
	if (o->fn == notify_self && self_count - caught < BATCHES * BATCH + 1)
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

	choose_mode(o);
	log_line("profile ", o->name);
	if (o->fn == notify_self)
		swap_handler();
	while (rdtsc() < end)
		one_batch(o->fn);
	if (o->fn == notify_self)
		swap_handler();
}

void test_main(void)
{
	u64 profile = option("profile", 0);

	prepare();
	for (u32 i = 0; i < ARRAY_SIZE(operations); i++)
		measure(&operations[i]);
	measure_switch();
	log_line("measure ", "work");
	say("COST work %lu 0 1", work());
	for (u32 i = 0; i < ARRAY_SIZE(operations); i++)
		if (profile >> i & 1)
			repeat(&operations[i]);
	outb(0xe9, '\n');
	if (peer_port) {
		peer->what = PEER_END;
		notify(peer_port);
	}
}

/* Without a hypervisor only the work can be compared. */
void bare_main(void)
{
	say("COST work %lu 0 1", work());
	say("DONE");
	for (;;)
		__asm__ volatile("cli; hlt");
}
