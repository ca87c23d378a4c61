/*
 * What the storm's guests do: use their memory all the time, and make hypercalls. The plausible ones keep memory, grants and event channels
 * in motion between domains; the hostile ones are rows of the table with arguments from anywhere.
 */
#include "tests/storm/storm.h"
#include "lib/string.h"
#include <xen/domctl.h>
#include <xen/sysctl.h>
#include <xen/platform.h>
#include "vmm/hypercall.h"
#include <asm/time.h>
#include <xen/event_channel.h>
#include <xen/grant_table.h>
#include <xen/hvm/hvm_op.h>
#include <xen/memory.h>
#include <xen/sched.h>
#include <xen/vcpu.h>
#include <xen/version.h>

u16 storm_domids[STORM_DOMAINS];
u64 guest_tag(u16 domid) { return (u64)((domid & 0x3ff) + 1) << 52; }
u64 guest_pte(u16 domid, u64 gfn) { return guest_tag(domid) | gfn << PAGE_SHIFT | 0x63; }

u16 some_domid(struct vcpu *v)
{
	u64 r = vcpu_dice(v, 16);
	u16 id = __atomic_load_n(&storm_domids[vcpu_dice(v, STORM_DOMAINS)], __ATOMIC_RELAXED);

	return r < 3 ? DOMID_SELF : r < 6 ? 0 : r == 6 ? (u16)vcpu_random(v) : id;
}

/* ---- arguments: in the vCPU's own frame, by either way that leads there ---- */

enum { AT_ARG = 0, AT_LIST = 1024, AT_LIST2 = 2048, AT_OUT = 3072, LIST_MAX = 64 };

static u64 args_gpa(const struct vcpu *v) { return (u64)(GFN_ARGS + v->id) << PAGE_SHIFT; }

static u64 args_at(struct vcpu *v, u64 offset)
{
	return args_gpa(v) + offset + (vcpu_dice(v, 4) ? ALIAS : 0);
}

static bool is_hostile(const struct vcpu *v) { return v->domain->handle[0]; }

static u64 some_gfn(struct vcpu *v)
{
	switch (vcpu_dice(v, 8)) {
	case 0: return GFN_FREE + vcpu_dice(v, GFN_FREE_END - GFN_FREE);
	case 1: return GFN_OWN + vcpu_dice(v, GFN_FREE_END - GFN_OWN);
	case 2: return GFN_LARGE + vcpu_dice(v, 1024);
	default: return GFN_DATA + vcpu_dice(v, GFN_DATA_END - GFN_DATA);
	}
}

/* A number that hypervisors have been known to stumble over. Honest guests name no frame of their page tables. */
static u64 hostile_number(struct vcpu *v)
{
	static const u64 some[] = { 8, 63, 64, 511, 512, 1023, 1024, 4095, 4096, 0x7fef, 0x7ff0, 0x7ff1, 0x7ff4, 0xffff, 0x10000, 0x7fffffff, 0x80000000,
				    0xffffffff, 1ull << 32, 1ull << 36, 1ull << 40, 1ull << 47, 1ull << 52, 1ull << 63, ~0ull, ~0ull - 1, ~0ull - 4095 };

	switch (vcpu_dice(v, 6)) {
	case 0: return vcpu_random(v) >> vcpu_dice(v, 64);
	case 1: return some_gfn(v);
	case 2: return args_at(v, vcpu_dice(v, 4096));
	case 3: return vcpu_dice(v, 16);
	case 4: return some_domid(v);
	default: return some[vcpu_dice(v, ARRAY_SIZE(some))];
	}
}

static void call(struct vcpu *v, struct vm_exit *x, u64 nr, u64 a0, u64 a1, u64 a2)
{
	guest_call(v, x, nr, a0, a1, a2);
}

/* A sub-operation whose argument is this structure. */
static void call_with(struct vcpu *v, struct vm_exit *x, u64 nr, u64 cmd, const void *arg, size_t size)
{
	guest_write(v, args_gpa(v) + AT_ARG, arg, size);
	call(v, x, nr, cmd, args_at(v, AT_ARG), 1);
}

#define CALL_WITH(nr, cmd, arg) call_with(v, x, nr, cmd, &(arg), sizeof(arg))

/* ---- memory ---- */

static void extents(struct vcpu *v, struct vm_exit *x)
{
	u64 gfn[LIST_MAX], n = 1 + vcpu_dice(v, LIST_MAX);
	bool large = vcpu_dice(v, 64) == 0;
	struct xen_memory_reservation r = { .nr_extents = large ? 1 : n, .domid = DOMID_SELF, .extent_order = large ? 9 : 0 };

	for (u64 i = 0; i < n; i++)
		gfn[i] = large ? GFN_LARGE + 512 * vcpu_dice(v, 2) : some_gfn(v);
	guest_write(v, args_gpa(v) + AT_LIST, gfn, n * sizeof(gfn[0]));
	set_xen_guest_handle(r.extent_start, (xen_pfn_t *)args_at(v, AT_LIST));
	CALL_WITH(__HYPERVISOR_memory_op, vcpu_dice(v, 2) ? XENMEM_populate_physmap : XENMEM_decrease_reservation, r);
}

/* The frame of the table that comes and goes is given up, or another takes its place. */
static void swap_table(struct vcpu *v, struct vm_exit *x)
{
	u64 gfn = GFN_PT0;
	struct xen_memory_reservation r = { .nr_extents = 1, .domid = DOMID_SELF };

	guest_write(v, args_gpa(v) + AT_LIST, &gfn, sizeof(gfn));
	set_xen_guest_handle(r.extent_start, (xen_pfn_t *)(args_gpa(v) + AT_LIST + ALIAS));
	CALL_WITH(__HYPERVISOR_memory_op, vcpu_dice(v, 4) ? XENMEM_populate_physmap : XENMEM_decrease_reservation, r);
	storm_vcpu(v)->table_is_new = true;
}

/* Something short, by an address that the table leads to. */
static void short_call(struct vcpu *v, struct vm_exit *x)
{
	call(v, x, __HYPERVISOR_xen_version, XENVER_get_features, args_gpa(v) + AT_OUT + 8 * vcpu_dice(v, 64), 0);
}

static void physmap(struct vcpu *v, struct vm_exit *x)
{
	static const u8 spaces[] = { XENMAPSPACE_shared_info, XENMAPSPACE_grant_table, XENMAPSPACE_gmfn, XENMAPSPACE_gmfn };
	u8 space = spaces[vcpu_dice(v, 4)];
	struct xen_add_to_physmap a = { .domid = DOMID_SELF, .space = space, .gpfn = some_gfn(v) };
	struct xen_remove_from_physmap r = { .domid = DOMID_SELF, .gpfn = some_gfn(v) };

	if (vcpu_dice(v, 4) == 0) {
		CALL_WITH(__HYPERVISOR_memory_op, XENMEM_remove_from_physmap, r);
		return;
	}
	a.idx = space == XENMAPSPACE_gmfn ? some_gfn(v) : space == XENMAPSPACE_grant_table ? vcpu_dice(v, 3) : 0;
	/* Mostly where they are wanted. */
	if (vcpu_dice(v, 4))
		a.gpfn = space == XENMAPSPACE_shared_info ? GFN_SHARED : space == XENMAPSPACE_grant_table ? GFN_GRANTS : a.gpfn;
	CALL_WITH(__HYPERVISOR_memory_op, XENMEM_add_to_physmap, a);
}

static void batch(struct vcpu *v, struct vm_exit *x)
{
	u64 idx[LIST_MAX], gfn[LIST_MAX], n = 1 + vcpu_dice(v, LIST_MAX);
	struct xen_add_to_physmap_batch b = { .domid = DOMID_SELF, .space = XENMAPSPACE_gmfn, .size = (u16)n };

	for (u64 i = 0; i < n; i++) {
		idx[i] = some_gfn(v);
		gfn[i] = some_gfn(v);
	}
	guest_write(v, args_gpa(v) + AT_LIST, idx, n * 8);
	guest_write(v, args_gpa(v) + AT_LIST2, gfn, n * 8);
	set_xen_guest_handle(b.idxs, (xen_ulong_t *)args_at(v, AT_LIST));
	set_xen_guest_handle(b.gpfns, (xen_pfn_t *)args_at(v, AT_LIST2));
	set_xen_guest_handle(b.errs, (int *)args_at(v, AT_OUT));
	CALL_WITH(__HYPERVISOR_memory_op, XENMEM_add_to_physmap_batch, b);
}

/* ---- grants ---- */

/* Lends a frame to some domain, or takes it back, by the guest's own write; then uses what others lend. */
static void grants(struct vcpu *v, struct vm_exit *x)
{
	u64 ref = 8 + vcpu_dice(v, 32), host = some_gfn(v) << PAGE_SHIFT;
	grant_entry_v1_t e = { .flags = vcpu_dice(v, 4) ? GTF_permit_access | (vcpu_dice(v, 2) ? GTF_readonly : 0) : 0,
			       .domid = some_domid(v), .frame = (u32)some_gfn(v) };
	gnttab_map_grant_ref_t m = { .host_addr = host, .flags = GNTMAP_host_map | (vcpu_dice(v, 3) ? 0 : GNTMAP_readonly), .ref = (u32)ref,
				     .dom = some_domid(v) };
	gnttab_unmap_grant_ref_t u[8];
	gnttab_copy_t c = { .source.u.ref = (u32)ref, .source.domid = some_domid(v), .dest.u.gmfn = some_gfn(v), .dest.domid = DOMID_SELF,
			    .len = (u16)vcpu_dice(v, 4200), .flags = GNTCOPY_source_gref };

	guest_write(v, ((u64)GFN_GRANTS << PAGE_SHIFT) + ref * sizeof(e), &e, sizeof(e));
	switch (vcpu_dice(v, 3)) {
	case 0:
		CALL_WITH(__HYPERVISOR_grant_table_op, GNTTABOP_map_grant_ref, m);
		return;
	case 1:
		CALL_WITH(__HYPERVISOR_grant_table_op, GNTTABOP_copy, c);
		return;
	}
	/* Handles are dense; where each maps is a guess, unless the guest maps at one place for each handle. */
	for (u32 i = 0; i < ARRAY_SIZE(u); i++)
		u[i] = (gnttab_unmap_grant_ref_t){ .host_addr = some_gfn(v) << PAGE_SHIFT, .handle = (u32)vcpu_dice(v, 64) };
	guest_write(v, args_gpa(v), u, sizeof(u));
	call(v, x, __HYPERVISOR_grant_table_op, GNTTABOP_unmap_grant_ref, args_at(v, AT_ARG), ARRAY_SIZE(u));
}

/* ---- events and vCPUs ---- */

static void events(struct vcpu *v, struct vm_exit *x)
{
	u32 port = (u32)vcpu_dice(v, 64);
	evtchn_alloc_unbound_t a = { .dom = DOMID_SELF, .remote_dom = some_domid(v) };
	evtchn_bind_interdomain_t b = { .remote_dom = some_domid(v), .remote_port = port };
	evtchn_bind_virq_t q = { .virq = (u32)vcpu_dice(v, 4), .vcpu = (u32)vcpu_dice(v, 4) };
	evtchn_bind_ipi_t i = { .vcpu = (u32)vcpu_dice(v, 4) };
	evtchn_bind_vcpu_t w = { .port = port, .vcpu = (u32)vcpu_dice(v, 4) };
	evtchn_send_t s = { .port = port };

	switch (vcpu_dice(v, 12)) {
	case 0: CALL_WITH(__HYPERVISOR_event_channel_op, EVTCHNOP_alloc_unbound, a); break;
	case 1: CALL_WITH(__HYPERVISOR_event_channel_op, EVTCHNOP_bind_interdomain, b); break;
	case 2: CALL_WITH(__HYPERVISOR_event_channel_op, EVTCHNOP_bind_virq, q); break;
	case 3: CALL_WITH(__HYPERVISOR_event_channel_op, EVTCHNOP_bind_ipi, i); break;
	case 4: CALL_WITH(__HYPERVISOR_event_channel_op, EVTCHNOP_bind_vcpu, w); break;
	case 5: CALL_WITH(__HYPERVISOR_event_channel_op, EVTCHNOP_close, s); break;
	case 6: CALL_WITH(__HYPERVISOR_event_channel_op, EVTCHNOP_unmask, s); break;
	default: CALL_WITH(__HYPERVISOR_event_channel_op, EVTCHNOP_send, s); break;
	}
}

static void vcpu_things(struct vcpu *v, struct vm_exit *x)
{
	u64 other = vcpu_dice(v, 5);
	struct vcpu_register_runstate_memory_area area = { .addr.p = (some_gfn(v) << PAGE_SHIFT) + vcpu_dice(v, 512) * 8 };
	struct vcpu_register_vcpu_info info = { .mfn = some_gfn(v), .offset = (u32)vcpu_dice(v, 500) * 8 };
	struct vcpu_set_singleshot_timer timer = { .timeout_abs_ns = time_now() + vcpu_dice(v, 100000) };
	static const u8 plain[] = { VCPUOP_up, VCPUOP_is_up, VCPUOP_send_nmi, VCPUOP_get_runstate_info, VCPUOP_stop_singleshot_timer, VCPUOP_up };
	const void *arg = NULL;
	size_t size = 0;
	u64 cmd;

	switch (vcpu_dice(v, 8)) {
	case 0: cmd = VCPUOP_register_runstate_memory_area; arg = &area; size = sizeof(area); other = v->id; break;
	case 1: cmd = VCPUOP_register_vcpu_info; arg = &info; size = sizeof(info); break;
	case 2: case 3: cmd = VCPUOP_set_singleshot_timer; arg = &timer; size = sizeof(timer); other = v->id; break;
	case 4: cmd = vcpu_dice(v, 4) ? VCPUOP_up : VCPUOP_down; break;
	default: cmd = plain[vcpu_dice(v, ARRAY_SIZE(plain))];
	}
	guest_write(v, args_gpa(v), arg, size);
	call(v, x, __HYPERVISOR_vcpu_op, cmd, other, args_at(v, AT_ARG));
}

/* Sleeps for a while, and now and then for good. */
static void scheduling(struct vcpu *v, struct vm_exit *x)
{
	struct sched_poll p = { .nr_ports = (u32)vcpu_dice(v, 4), .timeout = time_now() + vcpu_dice(v, 200000) };
	struct sched_shutdown s = { .reason = (u32)vcpu_dice(v, 6) };
	evtchn_port_t ports[4] = { 1, (u32)vcpu_dice(v, 64), 2, 3 };

	guest_write(v, args_gpa(v) + AT_LIST, ports, sizeof(ports));
	set_xen_guest_handle(p.ports, (evtchn_port_t *)args_at(v, AT_LIST));
	switch (vcpu_dice(v, 256)) {
	case 0: CALL_WITH(__HYPERVISOR_sched_op, SCHEDOP_shutdown, s); break;
	case 1: call(v, x, __HYPERVISOR_sched_op, SCHEDOP_block, 0, 0); break;
	case 2 ... 128: call(v, x, __HYPERVISOR_sched_op, SCHEDOP_yield, 0, 0); break;
	default: CALL_WITH(__HYPERVISOR_sched_op, SCHEDOP_poll, p); break;
	}
}

static void params(struct vcpu *v, struct vm_exit *x)
{
	struct xen_hvm_param p = { .domid = vcpu_dice(v, 4) ? DOMID_SELF : some_domid(v), .index = (u32)vcpu_dice(v, 45),
				   .value = vcpu_dice(v, 2) ? hostile_number(v) : 2ull << 56 | 0xf3 };

	CALL_WITH(__HYPERVISOR_hvm_op, vcpu_dice(v, 2) ? HVMOP_set_param : HVMOP_get_param, p);
}

/* ---- hostile ---- */

/* With arguments from anywhere these may put another frame, or bytes, where the page tables are. */
static bool changes_tables(u8 nr)
{
	return nr == __HYPERVISOR_memory_op || nr == __HYPERVISOR_grant_table_op || nr == __HYPERVISOR_vcpu_op || nr == __HYPERVISOR_multicall;
}

static void any_row(struct vcpu *v, struct vm_exit *x)
{
	const struct hypercall_row *row = &hypercall_rows[vcpu_dice(v, hypercall_nr_rows)];
	bool control = row->nr == __HYPERVISOR_domctl || row->nr == __HYPERVISOR_sysctl || row->nr == __HYPERVISOR_platform_op;
	u64 words[HC_ARG_MAX / 8], n = control ? sizeof(struct xen_domctl) / 8 : MIN((row->size + 7u) / 8, 64u);

	/* The end of the guest comes by itself. */
	if ((!is_hostile(v) && changes_tables(row->nr)) || (row->nr == __HYPERVISOR_sched_op && vcpu_dice(v, 64)))
		return;
	for (u64 i = 0; i < n; i++)
		words[i] = vcpu_dice(v, 4) ? hostile_number(v) : hostile_number(v) << 32 | (u32)hostile_number(v);
	guest_write(v, args_gpa(v), words, n * 8);
	if (control)
		call(v, x, row->nr, args_at(v, AT_ARG), hostile_number(v), hostile_number(v));
	else if (row->nr == __HYPERVISOR_vcpu_op)
		call(v, x, row->nr, row->cmd, vcpu_dice(v, 5), args_at(v, AT_ARG));
	else
		call(v, x, row->nr, row->cmd | (vcpu_dice(v, 32) ? 0 : hostile_number(v) << 6), vcpu_dice(v, 8) ? args_at(v, AT_ARG) : hostile_number(v),
		     vcpu_dice(v, 2) ? vcpu_dice(v, 4) : hostile_number(v));
}

static void several(struct vcpu *v, struct vm_exit *x)
{
	struct multicall_entry e[6];

	for (unsigned i = 0; i < ARRAY_SIZE(e); i++) {
		const struct hypercall_row *row = &hypercall_rows[vcpu_dice(v, hypercall_nr_rows)];

		e[i].op = (!is_hostile(v) && changes_tables(row->nr)) || row->nr == __HYPERVISOR_sched_op ? __HYPERVISOR_xen_version : row->nr;
		e[i].args[0] = row->cmd;
		for (unsigned k = 1; k < 6; k++)
			e[i].args[k] = vcpu_dice(v, 2) ? args_at(v, AT_OUT) : hostile_number(v);
	}
	guest_write(v, args_gpa(v) + AT_LIST, e, sizeof(e));
	call(v, x, __HYPERVISOR_multicall, args_at(v, AT_LIST), ARRAY_SIZE(e), 0);
}

/* ---- what isn't a hypercall ---- */

static bool other_exit(struct vcpu *v, struct vm_exit *x)
{
	static const u32 msrs[] = { 0x808, 0x80b, 0x80f, 0x830, 0x83f, 0x838, 0x832, 0x1b, 0x277, 0x10, 0xc0000080, 0x2ff, 0x48 };
	struct cpu_regs *r = &v->hvm.regs;

	if (vcpu_dice(v, 32) == 0)      /* whatever else it is for */
		__atomic_or_fetch(&v->attention, VCPU_BUS_LOCK, __ATOMIC_RELAXED);
	r->rcx = vcpu_dice(v, 8) ? msrs[vcpu_dice(v, ARRAY_SIZE(msrs))] : hostile_number(v);
	r->rax = vcpu_dice(v, 2) ? vcpu_random(v) & 0xcffff : hostile_number(v);
	r->rdx = vcpu_dice(v, 2) ? vcpu_dice(v, 8) : hostile_number(v);
	switch (vcpu_dice(v, 8)) {
	case 0: x->reason = EXIT_CPUID; r->rax = vcpu_dice(v, 2) ? vcpu_dice(v, 32) : hostile_number(v); r->rcx = vcpu_dice(v, 4); break;
	case 1: x->reason = EXIT_RDMSR; break;
	case 2: case 3: case 4: x->reason = EXIT_WRMSR; break;
	case 5: x->reason = EXIT_IO; x->io.port = (u16)hostile_number(v); x->io.size = 1; x->io.in = vcpu_dice(v, 2); break;
	case 6: x->reason = EXIT_HLT; r->rflags = vcpu_dice(v, 64) ? 0x202 : 2; break;
	default:
		/* A fault whose reason has gone, or is there: then it is the guest's end, or a page that reads as nothing. */
		x->reason = EXIT_NPF;
		x->npf.gpa = (vcpu_dice(v, 256) ? (u64)(GFN_ARGS + v->id) : vcpu_dice(v, 2) ? (GiB(4) >> PAGE_SHIFT) - 1 : some_gfn(v)) << PAGE_SHIFT;
		x->npf.write = vcpu_dice(v, 4) == 0;
	}
	return true;
}

static bool use_memory(struct vcpu *v)
{
	u64 gfn = some_gfn(v), *at = guest_use(v, (gfn << PAGE_SHIFT) + vcpu_dice(v, 512) * 8, vcpu_dice(v, 2));

	/* What is read only through a grant isn't written. */
	if (at && vcpu_dice(v, 2) && guest_use(v, gfn << PAGE_SHIFT, true))
		__atomic_store_n(at, vcpu_random(v), __ATOMIC_RELAXED);
	return false;
}

static void fill_entry(struct vcpu *v, u64 gfn)
{
	u64 pte = guest_pte(v->domain->domid, gfn);

	guest_write(v, ((u64)GFN_PT0 << PAGE_SHIFT) + gfn * 8, &pte, 8);
}

/* The entries of the table that comes and goes which are used most, and some others. */
static bool fill_table(struct vcpu *v)
{
	storm_vcpu(v)->table_is_new = false;
	for (u64 i = 0; i < v->domain->max_vcpus; i++)
		fill_entry(v, GFN_ARGS + i);
	for (unsigned n = 0; n < 8; n++)
		fill_entry(v, GFN_OWN + vcpu_dice(v, GFN_DATA_END - GFN_OWN));
	return false;
}

/* The first thing that a guest does, so that what stays for good after it is there when the count of frames begins. */
static bool look_for_rom(struct vm_exit *x)
{
	x->reason = EXIT_NPF;
	x->npf.gpa = GiB(4) - PAGE_SIZE;
	return true;
}

bool guest_step(struct vcpu *v, struct vm_exit *x)
{
	static void (*const kinds[])(struct vcpu *v, struct vm_exit *x) = {
		swap_table, swap_table, swap_table, swap_table, short_call, short_call, short_call, extents, extents, physmap, batch,
		grants, grants, grants, events, events, vcpu_things, scheduling, scheduling, params, any_row, any_row, several,
	};

	if (storm_vcpu(v)->steps == 1)
		return look_for_rom(x);
	if (storm_vcpu(v)->table_is_new)
		return fill_table(v);
	switch (vcpu_dice(v, 16)) {
	case 0: return other_exit(v, x);
	case 1 ... 6: return use_memory(v);
	}
	kinds[vcpu_dice(v, ARRAY_SIZE(kinds))](v, x);
	return x->reason == EXIT_HYPERCALL && storm_vcpu(v)->calling;
}
