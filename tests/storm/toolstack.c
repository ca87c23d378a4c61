/*
 * The service domain of the storm. Each of its vCPUs is a toolstack, which makes domains as libxl does, does to all of them what operators do,
 * uses what they lend, and ends them; all by hypercalls with arguments in its own memory. Steps that make a call return here, and go on behind it.
 */
#include "tests/storm/toolstack.h"
#include "lib/string.h"
#include <asm/insn.h>
#include <xen/hvm/save.h>
#include <xen/memory.h>

static struct storm_tools toolstack[STORM_CPUS];
u64 tools_ram[DOM0_BLOCKS];            /* the service domain's: first frame of each block */
struct storm_tools *tools_of(struct vcpu *v) { return &toolstack[v->id]; }
u64 tools_args(struct vcpu *v) { return tools_ram[v->id] << PAGE_SHIFT; }
u64 tools_window(struct vcpu *v, u64 n) { return WINDOW + v->id * WINDOW_FRAMES + n; }

bool storm_tools_done(void)
{
	for (unsigned i = 0; i < STORM_CPUS; i++)
		if (__atomic_load_n(&toolstack[i].phase, __ATOMIC_SEQ_CST) != DONE)
			return false;
	return true;
}

static void go_to(struct storm_tools *t, enum phase phase) { __atomic_store_n(&t->phase, phase, __ATOMIC_SEQ_CST); }

void tools_put(struct vcpu *v, u64 at, const void *data, size_t size)
{
	/* Its own first frames are what it never gives away. */
	if (!guest_write(v, tools_args(v) + at, data, size))
		storm_mistake("the service domain has lost its memory");
}

void tools_control(struct vcpu *v, struct vm_exit *x, u64 nr, const void *op, size_t size)
{
	tools_put(v, AT_ARG, op, size);
	guest_call(v, x, nr, tools_args(v), 0, 0);
}

struct xen_domctl tools_domctl_of(u32 cmd, u16 domid)
{
	return (struct xen_domctl){ .cmd = cmd, .interface_version = XEN_DOMCTL_INTERFACE_VERSION, .domain = domid };
}

void tools_domctl(struct vcpu *v, struct vm_exit *x, const struct xen_domctl *op)
{
	tools_control(v, x, __HYPERVISOR_domctl, op, sizeof(*op));
}

void tools_memory_op(struct vcpu *v, struct vm_exit *x, u64 cmd, const void *arg, size_t size)
{
	tools_put(v, AT_ARG, arg, size);
	guest_call(v, x, __HYPERVISOR_memory_op, cmd, tools_args(v), 0);
}

/* A step with calls in it: the function returns at each, and is entered again behind it. Locals don't last. */
#define BEGIN()    switch (t->line) { case 0:
#define THEN()     do { t->line = __LINE__; return true; case __LINE__:; } while (0)
#define END(next)  } t->line = 0; go_to(t, next); return false

/* ---- making a domain ---- */

static void create(struct vcpu *v, struct vm_exit *x)
{
	struct storm_tools *t = tools_of(v);
	struct xen_domctl op = tools_domctl_of(XEN_DOMCTL_createdomain, 0);

	t->vcpus = 2 + (u32)vcpu_dice(v, 3);
	op.u.createdomain = (struct xen_domctl_createdomain){
		.flags = XEN_DOMCTL_CDF_hvm | XEN_DOMCTL_CDF_hap, .max_vcpus = t->vcpus, .max_evtchn_port = 1023,
		.max_grant_frames = 4, .max_maptrack_frames = 8, .grant_opts = 1, .arch.emulation_flags = XEN_X86_EMU_LAPIC,
	};
	op.u.createdomain.handle[0] = vcpu_dice(v, 4) == 0;      /* a hostile one */
	op.u.createdomain.ssidref = vcpu_dice(v, 3) ? SEAL_SID_OPEN : SEAL_SID;
	tools_domctl(v, x, &op);
}

/* Frames from t->i on; those of the page tables first. */
static void populate(struct vcpu *v, struct vm_exit *x)
{
	struct storm_tools *t = tools_of(v);
	u64 gfn[LIST_MAX];
	struct xen_memory_reservation r = { .nr_extents = LIST_MAX, .domid = t->domid };

	for (u64 i = 0; i < LIST_MAX; i++)
		gfn[i] = i;
	tools_put(v, AT_LIST, gfn, sizeof(gfn));
	set_xen_guest_handle(r.extent_start, (xen_pfn_t *)(tools_args(v) + AT_LIST));
	tools_memory_op(v, x, XENMEM_populate_physmap, &r, sizeof(r));
}

/* n frames of the domain's, from its frame `from` on (or any), in the window. */
void tools_map_foreign(struct vcpu *v, struct vm_exit *x, u16 domid, u64 at, u64 n, bool any)
{
	u64 idx[LIST_MAX], gfn[LIST_MAX];
	struct xen_add_to_physmap_batch b = { .domid = DOMID_SELF, .space = XENMAPSPACE_gmfn_foreign, .size = (u16)n, .u.foreign_domid = domid };

	for (u64 i = 0; i < n; i++) {
		idx[i] = any ? vcpu_dice(v, GFN_DATA_END) : i;
		/* A toolstack writes to a guest's page tables only while it makes the guest. */
		if (any && idx[i] < GFN_OWN)
			idx[i] = GFN_DATA;
		gfn[i] = tools_window(v, at + i);
	}
	tools_put(v, AT_LIST, idx, n * 8);
	tools_put(v, AT_LIST2, gfn, n * 8);
	set_xen_guest_handle(b.idxs, (xen_ulong_t *)(tools_args(v) + AT_LIST));
	set_xen_guest_handle(b.gpfns, (xen_pfn_t *)(tools_args(v) + AT_LIST2));
	set_xen_guest_handle(b.errs, (int *)(tools_args(v) + AT_OUT));
	tools_memory_op(v, x, XENMEM_add_to_physmap_batch, &b, sizeof(b));
}

static void write_entry(struct vcpu *v, u64 frame, u64 index, u64 gfn)
{
	u64 pte = guest_pte(tools_of(v)->domid, gfn);

	guest_write(v, (tools_window(v, frame) << PAGE_SHIFT) + index * 8, &pte, 8);
}

/* The window's first five frames are the guest's. No entry leads to a table. */
static void fill_tables(struct vcpu *v)
{
	write_entry(v, 0, 0, 1);
	write_entry(v, 1, 0, 2);
	write_entry(v, 2, 0, GFN_PT0);
	write_entry(v, 2, 1, GFN_PT1);
	for (u64 gfn = GFN_OWN; gfn < 512; gfn++) {
		write_entry(v, GFN_PT0, gfn, gfn);
		write_entry(v, GFN_PT1, gfn, gfn);
	}
}

void tools_remove_window(struct vcpu *v, struct vm_exit *x, u64 n)
{
	struct xen_remove_from_physmap r = { .domid = DOMID_SELF, .gpfn = tools_window(v, n) };

	tools_memory_op(v, x, XENMEM_remove_from_physmap, &r, sizeof(r));
}

static size_t put_record(struct vcpu *v, size_t at, u16 type, u16 instance, const void *data, u32 length)
{
	struct hvm_save_descriptor d = { .typecode = type, .instance = instance, .length = length };

	tools_put(v, AT_CONTEXT + at, &d, sizeof(d));
	if (length)
		tools_put(v, AT_CONTEXT + at + sizeof(d), data, length);
	return at + sizeof(d) + length;
}

/* All vCPUs in long mode, with the tables at frame 0. */
static void set_context(struct vcpu *v, struct vm_exit *x)
{
	struct storm_tools *t = tools_of(v);
	struct xen_domctl op = tools_domctl_of(XEN_DOMCTL_sethvmcontext, t->domid);
	struct hvm_save_header header = { .magic = HVM_FILE_MAGIC, .version = HVM_FILE_VERSION };
	struct hvm_hw_cpu cpu = { .cr0 = CR0_PG | CR0_PE | CR0_ET, .cr4 = CR4_PAE, .msr_efer = EFER_LME | EFER_LMA, .cs_arbytes = 0xa9b,
				  .ss_arbytes = 0xc93, .tr_arbytes = 0x8b, .rip = 0x1000, .rflags = 0x202 };
	size_t at = put_record(v, 0, 1, 0, &header, sizeof(header));

	for (u16 i = 0; i < t->vcpus; i++)
		at = put_record(v, at, 2, i, &cpu, sizeof(cpu));
	at = put_record(v, at, 0, 0, NULL, 0);
	op.u.hvmcontext.size = (u32)at;
	set_xen_guest_handle(op.u.hvmcontext.buffer, (uint8_t *)(tools_args(v) + AT_CONTEXT));
	tools_domctl(v, x, &op);
}

static void max_vcpus(struct vcpu *v, struct vm_exit *x)
{
	struct xen_domctl op = tools_domctl_of(XEN_DOMCTL_max_vcpus, tools_of(v)->domid);

	op.u.max_vcpus.max = tools_of(v)->vcpus;
	tools_domctl(v, x, &op);
}

static void max_mem(struct vcpu *v, struct vm_exit *x, u64 frames)
{
	struct xen_domctl op = tools_domctl_of(XEN_DOMCTL_max_mem, tools_of(v)->domid);

	op.u.max_mem.max_memkb = frames * 4;
	tools_domctl(v, x, &op);
}

void tools_plain_domctl(struct vcpu *v, struct vm_exit *x, u32 cmd, u16 domid)
{
	struct xen_domctl op = tools_domctl_of(cmd, domid);

	tools_domctl(v, x, &op);
}

static void publish(struct storm_tools *t, u16 old, u16 new)
{
	for (unsigned i = 0; i < STORM_DOMAINS; i++)
		if (__atomic_compare_exchange_n(&storm_domids[i], &(u16){ old }, new, false, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST))
			return;
}

static bool build(struct vcpu *v, struct vm_exit *x)
{
	struct storm_tools *t = tools_of(v);
	long rc = storm_vcpu(v)->result;

	BEGIN();
	create(v, x);
	THEN();
	if (!rc) {
		u32 domid;

		/* The structure's third word: libxc reads it there. */
		if (!guest_read(v, tools_args(v) + 8, &domid, sizeof(domid)))
			storm_mistake("the service domain has lost its memory");
		t->domid = (u16)domid;
		t->mine[t->nr_mine++] = t->domid;
		storm_count(&storm_counts.domains);
		max_vcpus(v, x);
		THEN();
		max_mem(v, x, 4096);
		THEN();
		populate(v, x);
		THEN();
		t->pages = rc > 0 ? (u32)rc : 0;
		tools_map_foreign(v, x, t->domid, 0, GFN_PT1 + 1, false);
		THEN();
		fill_tables(v);
		for (t->i = 0; t->i <= GFN_PT1; t->i++) {
			tools_remove_window(v, x, t->i);
			THEN();
		}
		set_context(v, x);
		THEN();
		tools_plain_domctl(v, x, XEN_DOMCTL_unpausedomain, t->domid);
		THEN();
		/* Nobody else knows the domain, so nobody has a part of it: it can be sealed. */
		if (rc)
			storm_mistake("domain %u can't run: %ld", t->domid, rc);
		publish(t, 0, t->domid);
	}
	END(CHOOSING);
}

/* ---- ending it ---- */

static bool end(struct vcpu *v, struct vm_exit *x)
{
	struct storm_tools *t = tools_of(v);

	BEGIN();
	publish(t, t->domid, 0);
	tools_plain_domctl(v, x, XEN_DOMCTL_destroydomain, t->domid);
	THEN();
	if (storm_vcpu(v)->result)
		storm_mistake("domain %u can't be destroyed: %ld", t->domid, storm_vcpu(v)->result);
	END(CHOOSING);
}

static bool choose(struct vcpu *v, struct vm_exit *x)
{
	struct storm_tools *t = tools_of(v);
	bool stop = __atomic_load_n(&storm_stop, __ATOMIC_SEQ_CST);

	if (t->asked)
		tools_note_grant(v);
	t->asked = false;
	if (t->left && !stop) {
		t->left--;
		tools_use_window(v);
		tools_operation(v, x);
		return true;
	}
	t->left = 20 + vcpu_dice(v, 200);
	if (!stop && v->id % 2 == 0 && t->nr_mine < MINE_MAX) {
		go_to(t, BUILDING);
	} else if (t->nr_mine) {
		u32 n = (u32)vcpu_dice(v, t->nr_mine);

		t->domid = t->mine[n];
		t->mine[n] = t->mine[--t->nr_mine];
		go_to(t, ENDING);
	} else {
		go_to(t, DONE);
	}
	return false;
}

bool tools_step(struct vcpu *v, struct vm_exit *x)
{
	switch (tools_of(v)->phase) {
	case BUILDING: return build(v, x);
	case ENDING: return end(v, x);
	case DONE: tools_sleep(v, x); return true;
	case CHOOSING: break;
	}
	return choose(v, x);
}

/* ---- the service domain itself ---- */

/* Wherever there is a block: frames stand for themselves. */
static void give_ram(u64 *first)
{
	struct page *pg = page_alloc(DOM0_ORDER);

	if (!pg)
		storm_mistake("no memory for the service domain");
	page_assign(pg, DOM0_ORDER, 0);
	*first = page_to_mfn(pg).v;
	for (u64 n = 0; n < BIT(DOM0_ORDER); n++)
		if (p2m_map(&dom0->p2m, GFN(*first + n), MFN(*first + n), 0, P2M_RAM))
			storm_mistake("no memory for the service domain's page tables");
}

void storm_build_dom0(void)
{
	memset(toolstack, 0, sizeof(toolstack));
	if (domain_create(0, STORM_CPUS, 1023, 4, 64, &dom0))
		storm_mistake("no service domain");
	dom0->p2m.mirror = &storm_mirror;
	dom0->tot_pages = dom0->max_pages = DOM0_BLOCKS << DOM0_ORDER;
	for (unsigned i = 0; i < DOM0_BLOCKS; i++)
		give_ram(&tools_ram[i]);
	for (u32 i = 0; i < STORM_CPUS; i++) {
		if (vcpu_create(dom0, i))
			storm_mistake("no vCPU for the service domain");
		hvm_start_flat32(dom0->vcpu[i], 0x1000, 0, 0);
		dom0->vcpu[i]->hvm.regs.rflags = 0x202;
		dom0->vcpu[i]->wait_for_sipi = false;
		vcpu_up(dom0->vcpu[i]);
	}
	domain_unpause(dom0);
	dom0->controller_pauses = 0;
}
