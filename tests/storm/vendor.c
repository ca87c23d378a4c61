/*
 * The vendor of the storm: "guest mode" is guest.c's and toolstack.c's doing, and translations are kept as a CPU keeps them: until the
 * generation that the entry compares says otherwise. An access checks that its frame was not freed since the translation was made. So a
 * frame whose references are dropped before every CPU has let its translations go is found at the next access.
 */
#include <time.h>
#include "tests/storm/storm.h"
#include "tests/storm/include/loads.h"
#undef __atomic_load_n
#include <asm/insn.h>
#include "lib/string.h"
#include "mm/heap.h"
#include "mm/pt.h"
#include "vmm/hypercall.h"

static const char *probe(void) { return NULL; }
static int cpu_enable(void) { return 0; }
static void open_msr(u8 *map, u32 msr) { }

static void vcpu_init(struct vcpu *v) { storm_vcpu(v)->random = storm_random(); }

/* A vCPU is on one CPU at a time. */
static void vcpu_load(struct vcpu *v)
{
	if (__atomic_fetch_add(&storm_vcpu(v)->on, 1, __ATOMIC_ACQUIRE))
		storm_mistake("d%uv%u is on two CPUs at once", v->domain->domid, v->id);
}

static void vcpu_save(struct vcpu *v)
{
	if (__atomic_sub_fetch(&storm_vcpu(v)->on, 1, __ATOMIC_RELEASE))
		storm_mistake("d%uv%u was on two CPUs at once", v->domain->domid, v->id);
}

u64 vcpu_random(struct vcpu *v)
{
	u64 z = storm_vcpu(v)->random += 0x9e3779b97f4a7c15ull;

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9ull;
	z = (z ^ z >> 27) * 0x94d049bb133111ebull;
	return z ^ z >> 31;
}

/* ---- memory, as the guest uses it ---- */

/* Frames whose struct page is nobody's business: device memory, and the record, which is never freed. */
static bool is_counted(enum p2m_type type) { return type != P2M_MMIO; }

static void check_translation(const struct translation *t, const struct vcpu *v)
{
	const struct page *pg = mfn_to_page(t->mfn);
	u8 state = __atomic_load_n(&pg->state, __ATOMIC_RELAXED);
	u16 owner = __atomic_load_n(&pg->owner, __ATOMIC_RELAXED);

	if (storm_births(t->mfn) != t->births || !__atomic_load_n(&pg->count, __ATOMIC_ACQUIRE))
		storm_mistake("guest frame %llx (type %d) is frame %llx to this CPU, which was freed since", (unsigned long long)(t->gfn - 1), t->type,
			      (unsigned long long)t->mfn.v);
	if (t->type == P2M_RAM && (state != PAGE_DOMAIN || owner != v->domain->domid))
		storm_mistake("guest frame %llx is frame %llx to this CPU, which is domain %u's (state %u)", (unsigned long long)(t->gfn - 1),
			      (unsigned long long)t->mfn.v, owner, state);
}

/* The CPU's walk of the nested page table. */
static bool translate(struct vcpu *v, u64 gfn, struct translation *t)
{
	u64 entry;
	unsigned level;

	if (gfn >= P2M_MAX_GFN)
		return false;
	pt_find(&pt_shape_x86, v->domain->p2m.root, gfn << PAGE_SHIFT, &entry, &level);
	t->type = (enum p2m_type)((entry & PT_SW_MASK) >> PT_SW_SHIFT);
	if (t->type == P2M_HOLE || !is_counted(t->type))
		return false;
	t->mfn = MFN(pt_target(&pt_shape_x86, entry, level, gfn << PAGE_SHIFT) >> PAGE_SHIFT);
	/* We are in guest mode: what goes now goes only after our exit. */
	t->births = storm_births(t->mfn);
	t->gfn = gfn + 1;
	return true;
}

u64 *guest_use(struct vcpu *v, u64 gpa, bool write)
{
	u64 gfn = gpa >> PAGE_SHIFT;
	struct translation *t = &storm_vcpu(v)->tlb[gfn % TLB_SIZE];

	if (t->gfn != gfn + 1 && !translate(v, gfn, t))
		return NULL;
	if (write && t->type == P2M_GRANT_RO)
		return NULL;
	check_translation(t, v);
	storm_count(&storm_counts.uses);
	return (u64 *)(storm_memory + (t->mfn.v << PAGE_SHIFT) + (gpa & (PAGE_SIZE - 1) & ~7ull));
}

bool guest_write(struct vcpu *v, u64 gpa, const void *data, size_t len)
{
	for (size_t i = 0; i < len; i += 8) {
		u64 word = 0, *at = guest_use(v, gpa + i, true);

		if (!at)
			return false;
		memcpy(&word, (const u8 *)data + i, MIN(len - i, 8));
		__atomic_store_n(at, word, __ATOMIC_RELAXED);
	}
	return true;
}

bool guest_read(struct vcpu *v, u64 gpa, void *data, size_t len)
{
	for (size_t i = 0; i < len; i += 8) {
		u64 word, *at = guest_use(v, gpa + i, false);

		if (!at)
			return false;
		word = __atomic_load_n(at, __ATOMIC_RELAXED);
		memcpy((u8 *)data + i, &word, MIN(len - i, 8));
	}
	return true;
}

/* ---- entry and exit ---- */

void guest_call(struct vcpu *v, struct vm_exit *x, u64 nr, u64 a0, u64 a1, u64 a2)
{
	struct storm_vcpu *s = storm_vcpu(v);
	struct cpu_regs *r = &v->hvm.regs;

	r->rax = nr;
	r->rdi = a0;
	r->rsi = a1;
	r->rdx = a2;
	s->calling = true;
	s->call_rip = r->rip;
	x->reason = EXIT_HYPERCALL;
	x->len = 3;
	x->call.cpl = 0;
	x->call.long_mode = true;
}

/* True if the guest is still at its hypercall, which is then made again. */
static bool call_again(struct vcpu *v, struct vm_exit *x)
{
	struct storm_vcpu *s = storm_vcpu(v);
	struct cpu_regs *r = &v->hvm.regs;

	if (!s->calling)
		return false;
	if (r->rip == s->call_rip) {
		guest_call(v, x, r->rax, r->rdi, r->rsi, r->rdx);
		return true;
	}
	s->calling = false;
	s->result = (long)r->rax;
	r->rip = 0x1000;
	return false;
}

static void run(struct vcpu *v, struct vm_exit *x)
{
	struct storm_vcpu *s = storm_vcpu(v);
	struct percpu *p = this_cpu();
	u64 gen = __atomic_load_n(v->hvm.generation, __ATOMIC_ACQUIRE);

	if (storm_locks_held())
		storm_mistake("a guest is entered with a lock held");
	/* As the vendors do: translations of another generation, or another CPU's, are not used. */
	if (v->hvm.tlb_gen != gen || v->hvm.asid_cpu != p->cpu) {
		memset(s->tlb, 0, sizeof(s->tlb));
		v->hvm.tlb_gen = gen;
		v->hvm.asid_cpu = p->cpu;
	}
	__atomic_store_n(&p->guest_gen, gen, __ATOMIC_RELEASE);
	*x = (struct vm_exit){ .len = 2 };
	if (domain_vcpu(v->domain, v->id) != v) {
		storm_keeper_run(v, x);
		return;
	}
	for (;;) {
		if (storm_interrupt_pending()) {
			x->reason = EXIT_INTERRUPT;
			return;
		}
		if (call_again(v, x))
			return;
		s->steps++;
		storm_hold_up();
		if (v->domain->privileged ? tools_step(v, x) : guest_step(v, x))
			return;
	}
}

static void offer_interrupt(struct vcpu *v, u8 vector) { storm_vcpu(v)->offered = true; }

static bool took_interrupt(struct vcpu *v)
{
	bool took = storm_vcpu(v)->offered && v->hvm.regs.rflags & BIT(9);

	storm_vcpu(v)->offered = false;
	if (took && v->info)
		__atomic_store_n(&v->info->evtchn_upcall_pending, 0, __ATOMIC_SEQ_CST);
	return took;
}

static void inject_exception(struct vcpu *v, u8 vector, bool has_error, u32 error) { }
static bool inject_nmi(struct vcpu *v) { return true; }

static u64 get_cr(const struct vcpu *v, int which)
{
	const struct hvm_state *s = &storm_vcpu(v)->state;

	switch (which) {
	case HVM_CR0: return s->cr0;
	case HVM_CR2: return s->cr2;
	case HVM_CR3: return s->cr3;
	case HVM_CR4: return s->cr4;
	case HVM_EFER: return s->efer;
	default: BUG();
	}
}

static void set_efer(struct vcpu *v, u64 efer) { storm_vcpu(v)->state.efer = efer; }
static void set_pat(struct vcpu *v, u64 pat) { }
static void get_state(const struct vcpu *v, struct hvm_state *s) { *s = storm_vcpu(v)->state; }

static void set_state(struct vcpu *v, const struct hvm_state *s)
{
	struct hvm_state *to = &storm_vcpu(v)->state;

	*to = *s;
	/* An honest guest turns paging on before it does anything: see GFN_TABLES. */
	if (!v->domain->privileged && !v->domain->handle[0])
		to->cr0 = CR0_PG | CR0_PE | CR0_ET, to->cr4 = CR4_PAE, to->efer = EFER_LME | EFER_LMA, to->cr3 = 0;
	storm_vcpu(v)->calling = false;
}

static void end_shadow(struct vcpu *v) { }
static u64 code_at(const struct vcpu *v, u8 *mode) { *mode = 8; return v->hvm.regs.rip; }
static void set_cr2(struct vcpu *v, u64 cr2) { }
static void lend_cpu(struct vcpu *c) { }
static void end_lending(struct vcpu *c) { }
static int cpl(const struct vcpu *v) { return 0; }
static void dump_exit(const struct vcpu *v) { }
static void inject_step(struct vcpu *v) { }
/* Each state can be entered. */
static unsigned check(const struct vcpu *v, void (*broken)(const char *rule)) { return 0; }

#define STORM_OPS { .name = "storm", .hypercall_insn = { 0x0f, 0x01, 0xd9 }, .probe = probe, .cpu_enable = cpu_enable, \
	.open_msr = open_msr, .vcpu_size = sizeof(struct storm_vcpu), .vcpu_init = vcpu_init, \
	.vcpu_load = vcpu_load, .vcpu_save = vcpu_save, \
	.run = run, .offer_interrupt = offer_interrupt, .took_interrupt = took_interrupt, .inject_exception = inject_exception, \
	.inject_nmi = inject_nmi, .get_cr = get_cr, .set_efer = set_efer, .set_pat = set_pat, .get_state = get_state, .set_state = set_state, \
	.end_shadow = end_shadow, .code_at = code_at, .set_cr2 = set_cr2, .lend_cpu = lend_cpu, .end_lending = end_lending, \
	.cpl = cpl, .dump_exit = dump_exit, .inject_step = inject_step, .check = check, .constant_msrs = no_msrs }
static const struct hvm_constant_msr no_msrs[] = { { 0, 0 } };
const struct hvm_ops svm_ops = STORM_OPS, vmx_ops = STORM_OPS;

/* ---- what the linker leads here (--wrap): each call counted, and what the hypervisor's own walks find checked ---- */

void __real_hypercall_dispatch(struct vcpu *v, struct vm_exit *x);
void __wrap_hypercall_dispatch(struct vcpu *v, struct vm_exit *x);

void __wrap_hypercall_dispatch(struct vcpu *v, struct vm_exit *x)
{
	long result;

	__real_hypercall_dispatch(v, x);
	result = (long)x->call.result;
	if (result == HC_AGAIN)
		return;
	storm_count(&storm_counts.calls[x->call.row]);
	if (result >= 0)
		storm_count(&storm_counts.good[x->call.row]);
}

const u64 *__real_p2m_read_u64(struct p2m *p2m, gpa_t gpa, u64 *value);
const u64 *__wrap_p2m_read_u64(struct p2m *p2m, gpa_t gpa, u64 *value);

static void foreign_entry(const struct domain *d, gpa_t gpa, u64 value)
{
	struct p2m *p2m = (struct p2m *)&d->p2m;
	mfn_t mfn = INVALID_MFN;
	enum p2m_type type = p2m_lookup(p2m, GFN(gpa.v >> PAGE_SHIFT), &mfn);
	const struct page *pg = mfn_valid(mfn) ? mfn_to_page(mfn) : NULL;

	storm_mistake("a walk of domain %u's page tables reads %llx at %llx, which the domain never wrote; there is now frame %llx (type %d, of domain %u, "
		      "%u references, entry %llx)", d->domid, (unsigned long long)value, (unsigned long long)gpa.v, (unsigned long long)mfn.v, type,
		      pg ? pg->owner : 0, pg ? pg->count : 0, pg ? (unsigned long long)*(u64 *)(page_to_virt(pg) + (gpa.v & 0xff8)) : 0);
}

/*
 * The walk under way on this CPU, of the table that comes and goes. Nothing holds its frame but the argument in mm/p2m.c; so the CPU is held up
 * before it reads the entry, until the frame is somebody else's who has written there, and then until the frame is the guest's again:
 * an interrupt of the machine's firmware would have to be very unlucky for that.
 */
static __thread struct { u16 domid; bool on, gone; const u64 *at; } walk;

static bool is_ours(const u64 *at)
{
	const struct page *pg = mfn_to_page(virt_to_mfn(at));

	return __atomic_load_n(&pg->state, __ATOMIC_RELAXED) == PAGE_DOMAIN && __atomic_load_n(&pg->owner, __ATOMIC_RELAXED) == walk.domid;
}

static bool is_written_by_others(const u64 *at)
{
	u64 tag = __atomic_load_n(at, __ATOMIC_RELAXED) & 0x7ff0000000000000ull;

	return !is_ours(at) && tag && tag != guest_tag(walk.domid);
}

/* At most some milliseconds: the frame may never take that way. */
static bool wait_until(bool (*is)(const u64 *at), const u64 *at)
{
	struct timespec t = { 0, 30000 };

	for (unsigned n = 0; n < 50; n++) {
		if (is(at))
			return true;
		nanosleep(&t, NULL);
	}
	return false;
}

void storm_before_load(const void *p)
{
	const u64 *at = p;

	if (!walk.on)
		return;
	if (walk.gone) {
		wait_until(is_ours, walk.at);
		walk.on = false;
		return;
	}
	if ((const u8 *)at < storm_memory || (const u8 *)at >= storm_memory + STORM_MEMORY || !is_ours(at))
		return;
	walk.on = storm_random() % 8 == 0 && wait_until(is_written_by_others, at);
	walk.gone = walk.on;
	walk.at = at;
}

/* An entry of a guest's page tables is empty, or has the guest's tag: it can't be another domain's eight bytes. */
const u64 *__wrap_p2m_read_u64(struct p2m *p2m, gpa_t gpa, u64 *value)
{
	const struct domain *d = container_of(p2m, struct domain, p2m);
	const u64 *at;

	walk.domid = d->domid;
	walk.gone = false;
	walk.on = !d->privileged && gpa.v >> PAGE_SHIFT == GFN_PT0;
	at = __real_p2m_read_u64(p2m, gpa, value);
	walk.on = false;
	storm_count(&storm_counts.walks);
	if (at && !d->privileged && !d->handle[0] && gpa.v >> PAGE_SHIFT <= GFN_PT1 && *value && (*value & 0x7ff0000000000000ull) != guest_tag(d->domid))
		foreign_entry(d, gpa, *value);
	return at;
}
