/*
 * Ring 0's half of the keeper: its context, its windows into the guest's memory, and the check of
 * what it replies. Nothing here reads an instruction.
 *
 * The keeper's tables hold copies of entries of the guest's. A copy must not outlive the entry, so
 * all copies go when the p2m's generation changes, before the keeper is entered with the new one. A
 * CPU that flushes this p2m waits for us to leave as it does for a guest, because the keeper's
 * context says that its translations are of the generation of its copies.
 */
#include "vmm/keeper/keeper.h"
#include <asm/hvm.h>
#include <asm/hvm_flush.h>
#include <asm/insn.h>
#include <asm/traps.h>
#include "keeper/call.h"
#include "lib/printf.h"
#include "lib/string.h"
#include "mm/heap.h"
#include "mm/p2m_log.h"
#include "mm/page.h"
#include "mm/pt.h"
#include "vmm/domain.h"
#include "vmm/keeper/mmio.h"
#include "vmm/memory/guest_access.h"
#include "vmm/vcpu.h"

#define TABLES      3           /* pages of its own page tables */
#define MEMOS       64u
#define PAUSES_MOST 5000        /* runs that an interrupt ended, in one call */

/*
 * What the keeper said of an instruction; it holds for these bytes in code of this mode. Behind the
 * instruction the bytes are 0.
 */
struct remembered { u64 bytes[2]; struct memo memo; u8 mode; };

struct keeper {
	struct vcpu context;            /* registers and control block; no other field is used */
	struct pt pt;                   /* its nested page table */
	u64 *pieces;                    /* the table of pt whose entries are the windows */
	u64 windows;                    /* bit n: window n is open */
	u64 generation;                 /* of the guest's p2m, from which the windows are */
	void *memory[TABLES + 2];       /* its page tables, the page of the call, its stack */
	struct keeper_call *call;
	u32 pauses;
	struct remembered memo[MEMOS];  /* by the instruction's address */
};

_Static_assert(KEEPER_WINDOWS == 64, "a bit each");
_Static_assert(offsetof(struct guest_cpu, rflags) == offsetof(struct cpu_regs, rflags), "both are copied at once");
_Static_assert(sizeof(struct guest_segment) == sizeof(struct hvm_segment), "both are copied at once");

extern const u8 keeper_text[], keeper_text_end[];
static paddr_t text;            /* [I] the copy that all keepers execute */

static u64 text_size(void) { return ROUND_UP((u64)(keeper_text_end - keeper_text), PAGE_SIZE); }

void keeper_init(void)
{
	unsigned order = 0;
	struct page *pg;

	while (PAGE_SIZE << order < text_size())
		order++;
	pg = page_alloc(order);
	if (!pg)
		panic("this machine has too little memory");
	memset(page_to_virt(pg), 0, PAGE_SIZE << order);
	memcpy(page_to_virt(pg), keeper_text, (size_t)(keeper_text_end - keeper_text));
	text = page_to_mfn(pg).v << PAGE_SHIFT;
}

/* ---- making one ---- */

#define PTE_TABLE (BIT(0) | BIT(1) | BIT(5))
#define PTE_LARGE (BIT(0) | BIT(1) | BIT(5) | BIT(6) | BIT(7))

/*
 * Its linear addresses are its physical ones. The CPU walks these tables with the right to write
 * (APM, "Nested Table Walk", 15.25.5), so each keeper has its own.
 */
static void fill_tables(struct keeper *k)
{
	u64 *top = k->memory[0], *middle = k->memory[1], *low = k->memory[2];

	top[0] = (KEEPER_TABLES + PAGE_SIZE) | PTE_TABLE;
	middle[0] = (KEEPER_TABLES + 2 * PAGE_SIZE) | PTE_TABLE;
	for (u64 i = 0; i <= KEEPER_WINDOWS; i++)
		low[i] = i << WINDOW_SHIFT | PTE_LARGE;
}

static int map_memory(struct keeper *k)
{
	static const u64 places[] = { KEEPER_TABLES, KEEPER_TABLES + PAGE_SIZE, KEEPER_TABLES + 2 * PAGE_SIZE, KEEPER_CALL, KEEPER_STACK_END - PAGE_SIZE };
	int rc = pt_init(&k->pt, p2m_format, page_alloc_zeroed, NULL) ?: pt_map(&k->pt, KEEPER_TEXT, text, text_size(), PT_EXEC, PT_4K);

	for (unsigned i = 0; !rc && i < ARRAY_SIZE(places); i++) {
		k->memory[i] = page_alloc_zeroed();
		rc = k->memory[i] ? pt_map(&k->pt, places[i], virt_to_phys(k->memory[i]), PAGE_SIZE, PT_WRITE, PT_4K) : -ENOMEM;
	}
	return rc;
}

static void start_context(struct vcpu *c)
{
	struct hvm_state s;

	hvm->get_state(c, &s);
	s.cr0 = CR0_PE | CR0_ET | CR0_NE | CR0_PG;
	s.cr3 = KEEPER_TABLES;
	s.cr4 = CR4_PAE;
	s.efer = EFER_LME | EFER_LMA;
	s.seg[HVM_SEG_CS] = (struct hvm_segment){ .sel = 8, .limit = ~0u, .ar = 0xa09b };
	s.seg[HVM_SEG_SS] = s.seg[HVM_SEG_DS] = s.seg[HVM_SEG_ES] = (struct hvm_segment){ .sel = 16, .limit = ~0u, .ar = 0xc093 };
	s.seg[HVM_SEG_IDTR].limit = s.seg[HVM_SEG_GDTR].limit = 0;
	s.seg[HVM_SEG_TR].limit = 0x67;
	c->hvm.regs.rflags = RFLAGS_ONE;
	hvm->set_state(c, &s);
}

/* Frees the tables on the way to its first address. The windows' entries are the guest's. */
static void free_tables(struct pt *pt)
{
	u64 table = pt->root.v << PAGE_SHIFT;

	/* There was no memory for its root. */
	if (!pt->root.v)
		return;
	for (unsigned level = pt->fmt->shape.levels - 1u;; level--) {
		u64 entry = *pt_index(&pt->fmt->shape, table, 0, level);

		page_free_virt(phys_to_virt(table));
		if (!pt_is_table(&pt->fmt->shape, entry, level))
			return;
		table = entry & pt->fmt->shape.addr;
	}
}

static void destroy(struct keeper *k)
{
	if (!k)
		return;
	hvm_vcpu_destroy(&k->context);
	for (unsigned i = 0; i < ARRAY_SIZE(k->memory); i++)
		if (k->memory[i])
			page_free_virt(k->memory[i]);
	free_tables(&k->pt);
	kfree(k);
}

void keeper_free(struct vcpu *v) { destroy(v->keeper); }

static struct keeper *create(struct vcpu *v)
{
	struct keeper *k = kzalloc(sizeof(*k));
	unsigned level = 1;

	if (!k)
		return NULL;
	k->context.domain = v->domain;
	k->context.id = v->id;
	if (map_memory(k)) {
		destroy(k);
		return NULL;
	}
	k->context.hvm.root = k->pt.root;
	k->context.hvm.generation = &k->generation;
	if (hvm_vcpu_init(&k->context)) {
		destroy(k);
		return NULL;
	}
	fill_tables(k);
	k->call = k->memory[TABLES];
	for (unsigned n = 0; n < KEEPER_WINDOWS; n++)
		k->call->window[n] = WINDOW_NONE;
	k->pieces = pt_slot(&k->pt, WINDOW_ADDRESS(0), &level);
	start_context(&k->context);
	return k;
}

/* ---- windows ---- */

static void close_windows(struct keeper *k)
{
	for (u64 n; k->windows; k->windows &= k->windows - 1) {
		n = (u64)__builtin_ctzll(k->windows);
		pt_write(&k->pieces[n], 0);
		k->call->window[n] = WINDOW_NONE;
	}
}

/* Returns the entry that maps 2 MiB of the guest's memory at gpa, or 0. */
static u64 piece_entry(struct p2m *p2m, u64 gpa)
{
	const struct pt_shape *s = &pt_shape_x86;
	u64 entry, table = p2m->root.v << PAGE_SHIFT;

	if (gpa >> PAGE_SHIFT >= P2M_MAX_GFN)
		return 0;
	for (unsigned level = s->levels - 1u; level > 1; level--) {
		entry = pt_read(pt_index(s, table, gpa, level));
		if (!pt_is_table(s, entry, level))
			return pt_present(s, entry) ? entry | (gpa & (BIT(pt_shift(s, level)) - BIT(WINDOW_SHIFT))) : 0;
		table = entry & s->addr;
	}
	return pt_read(pt_index(s, table, gpa, 1));
}

static void open_window(struct vcpu *v, struct keeper *k, u64 gpa)
{
	u64 piece = gpa >> WINDOW_SHIFT, n = piece % KEEPER_WINDOWS, entry = piece_entry(&v->domain->p2m, gpa);

	/* The CPU may remember what the window showed before. */
	if (k->windows & BIT(n))
		k->context.hvm.asid_generation = 0;
	pt_write(&k->pieces[n], entry);
	k->windows |= BIT(n);
	k->call->window[n] = pt_present(&pt_shape_x86, entry) ? piece : WINDOW_NONE;
}

/*
 * The keeper's access to the guest's memory has stopped. Returns true if it can be repeated: a
 * dirty log wanted to know of it, or the table has changed since it was copied.
 */
static bool resolve(struct vcpu *v, struct keeper *k, const struct vm_exit *x)
{
	u64 n = (x->npf.gpa >> WINDOW_SHIFT) - 1, gpa;
	enum p2m_type type;

	if (n >= KEEPER_WINDOWS)
		return false;
	n = array_index_nospec(n, KEEPER_WINDOWS);
	if (k->call->window[n] == WINDOW_NONE)
		return false;
	gpa = k->call->window[n] << WINDOW_SHIFT | (x->npf.gpa & (BIT(WINDOW_SHIFT) - 1));
	type = p2m_lookup(&v->domain->p2m, GFN(gpa >> PAGE_SHIFT), NULL);
	if (type == P2M_HOLE || (x->npf.write && (type == P2M_GRANT_RO || (type == P2M_RAM && !p2m_make_dirty(&v->domain->p2m, GFN(gpa >> PAGE_SHIFT))))))
		return false;
	open_window(v, k, gpa);
	return true;
}

/* ---- a call ---- */

static void fetch(struct vcpu *v, struct keeper_call *c, u64 linear)
{
	u64 first = MIN(KEEPER_BYTES, PAGE_SIZE - (linear & ~PAGE_MASK));

	c->nr_bytes = 0;
	if (copy_from_guest(v, c->bytes, linear, first))
		return;
	c->nr_bytes = (u8)first;
	if (first < KEEPER_BYTES && !copy_from_guest(v, c->bytes + first, linear + first, KEEPER_BYTES - first))
		c->nr_bytes = KEEPER_BYTES;
}

static void fill_call(struct vcpu *v, struct keeper_call *c, const struct vm_exit *x)
{
	struct hvm_state s;
	u8 mode;

	hvm->get_state(v, &s);
	memcpy(c->cpu.regs, &v->hvm.regs, sizeof(v->hvm.regs));
	memcpy(c->cpu.seg, s.seg, sizeof(c->cpu.seg));
	c->cpu.cr0 = s.cr0;
	c->cpu.cr3 = s.cr3;
	c->cpu.cr4 = s.cr4;
	c->cpu.efer = s.efer;
	c->cpu.cpl = (u8)hvm->cpl(v);
	c->cpu.physical_bits = (u8)hvm_phys_bits;
	c->fault_gpa = x->npf.gpa;
	c->vmcall = hvm->hypercall_insn[2] == 0xc1;
	c->request = KEEPER_NOTHING;
	c->memo.length = 0;
	fetch(v, c, hvm->code_at(v, &mode));
}

int keeper_begin(struct vcpu *v, const struct vm_exit *x)
{
	struct keeper *k = v->keeper;

	if (!k)
		v->keeper = k = create(v);
	if (!k)
		return -ENOMEM;
	fill_call(v, k->call, x);
	k->context.hvm.regs.rip = KEEPER_TEXT;
	k->context.hvm.regs.rsp = KEEPER_STACK_END;
	k->pauses = 0;
	__atomic_or_fetch(&v->attention, VCPU_KEEPER, __ATOMIC_RELAXED);
	return 0;
}

/* ---- what is remembered ---- */

static struct remembered *place_of(const struct vcpu *v) { return &v->keeper->memo[(v->hvm.regs.rip ^ v->hvm.regs.rip >> 6) % MEMOS]; }

/* A keeper that lies harms its guest alone. */
static void remember(struct vcpu *v, const struct keeper_call *c)
{
	struct remembered *r = place_of(v);

	if (!memo_is_sound(&c->memo) || c->memo.length > c->nr_bytes)
		return;
	hvm->code_at(v, &r->mode);
	r->memo = c->memo;
	memset(r->bytes, 0, sizeof(r->bytes));
	memcpy(r->bytes, c->bytes, c->memo.length);
}

/*
 * An access at a page's start may have begun in the page before, and one beyond its end goes on in
 * the next: these are the keeper's.
 */
bool keeper_remembers(struct vcpu *v, const struct vm_exit *x)
{
	u64 offset = x->npf.gpa & ~PAGE_MASK, data, *reg;
	const struct remembered *r = place_of(v);
	u64 bytes[2] = { 0 };
	u8 mode;

	if (!offset || x->npf.indirect || x->npf.fetch)
		return false;
	if (!r->memo.length || offset + r->memo.size > PAGE_SIZE || !(r->memo.flags & MEMO_STORE) == x->npf.write ||
	    copy_from_guest(v, bytes, hvm->code_at(v, &mode), r->memo.length) || mode != r->mode || bytes[0] != r->bytes[0] || bytes[1] != r->bytes[1])
		return false;
	reg = (u64 *)&v->hvm.regs + r->memo.reg;
	data = memo_store(&r->memo, *reg);
	mmio_access(v, x->npf.gpa, r->memo.size, x->npf.write, &data);
	if (!x->npf.write)
		*reg = memo_load(&r->memo, *reg, data);
	hvm->end_shadow(v);
	hvm_complete(v, &v->hvm.regs, r->memo.length);
	return true;
}

/* ---- its replies ---- */

/* The flags that instructions change which the keeper executes. */
#define STATUS_FLAGS (0x8d5ull | RFLAGS_RF)

#define PAGE_FAULT 14
/* Vectors with an error code: #DF, #TS, #NP, #SS, #GP, #PF, #AC. */
#define HAS_ERROR (BIT(8) | BIT(10) | BIT(11) | BIT(12) | BIT(13) | BIT(14) | BIT(17))

/* Registers may have any value: what no CPU accepts is mended, or ends the guest, at the next entry. */
static bool reply_valid(const struct keeper_call *c)
{
	if (c->request == KEEPER_FAULT)
		return c->fault.vector < 32 && c->fault.vector != VECTOR_NMI && !(c->fault.error >> 16);
	return c->request == KEEPER_DONE;
}

static int fail(struct vcpu *v, const struct keeper_call *c, char why[KEEPER_WHY])
{
	char bytes[2 * KEEPER_BYTES + 1] = "";

	for (unsigned i = 0; i < c->nr_bytes && i < KEEPER_BYTES; i++)
		snprintf(bytes + 2 * i, 3, "%02x", c->bytes[i]);
	snprintf(why, KEEPER_WHY, "%s at guest-physical %lx, by %s at rip %lx",
		 c->request == KEEPER_CRASH ? "no memory" : "its keeper fails", c->fault_gpa, bytes, v->hvm.regs.rip);
	return -EINVAL;
}

/*
 * Takes the reply over. The registers are those behind the instruction, or behind a string's last
 * element.
 */
static int finish(struct vcpu *v, const struct keeper_call *c, char why[KEEPER_WHY])
{
	struct cpu_regs *r = &v->hvm.regs;
	u64 flags = (r->rflags & ~STATUS_FLAGS) | (c->cpu.rflags & STATUS_FLAGS);
	u8 vector = c->fault.vector;

	if (c->request == KEEPER_RETRY)
		return 1;
	if (!reply_valid(c))
		return fail(v, c, why);
	if (c->request == KEEPER_DONE)
		remember(v, c);
	memcpy(r, c->cpu.regs, sizeof(*r));
	r->rflags = flags;
	hvm->end_shadow(v);
	if (c->request == KEEPER_DONE) {
		if (flags & RFLAGS_TF)
			hvm->inject_step(v);
		return 1;
	}
	if (vector == PAGE_FAULT)
		hvm->set_cr2(v, c->fault.cr2);
	hvm->inject_exception(v, vector, BIT(vector) & HAS_ERROR && hvm_get_cr(v, HVM_CR0) & CR0_PE, c->fault.error);
	return 1;
}

/* Does what the keeper asks for. Returns true if it is a reply instead. */
static bool answer(struct vcpu *v, struct keeper *k)
{
	struct keeper_call *c = k->call;

	if (c->request == KEEPER_WINDOW) {
		open_window(v, k, c->gpa);
		return false;
	}
	if (c->request == KEEPER_DEVICE && c->size - 1u < 8) {
		mmio_access(v, c->gpa, c->size, c->write, &c->data);
		return false;
	}
	return true;
}

/* Handles an exit of the keeper's context. Returns true if the call has ended. */
static bool handle(struct vcpu *v, struct keeper *k, struct vm_exit *x)
{
	struct cpu_regs *r = &k->context.hvm.regs;

	switch (x->reason) {
	case EXIT_HYPERCALL:
		hvm_complete(&k->context, r, x->len);
		return answer(v, k);
	case EXIT_NPF:
		if (!resolve(v, k, x))
			r->rip = KEEPER_RECOVER;
		break;
	case EXIT_INTERRUPT:
		if (x->acknowledged)
			interrupt_handle(x->acknowledged);
		interrupts_window();
		break;
	case EXIT_NMI:
		interrupts_window();
		break;
	case EXIT_RETRY:
		break;
	default:
		k->call->request = KEEPER_NOTHING;
		return true;
	}
	return ++k->pauses > PAUSES_MOST;
}

int keeper_run(struct vcpu *v, char why[KEEPER_WHY])
{
	struct percpu *p = this_cpu();
	struct keeper *k = v->keeper;
	struct vm_exit x;
	bool ended = false;

	hvm->lend_cpu(&k->context);
	while (!ended && hvm_begin(p)) {
		u64 generation = __atomic_load_n(&v->domain->p2m.tlb_gen, __ATOMIC_ACQUIRE);

		if (k->generation != generation) {
			close_windows(k);
			k->generation = generation;
		}
		hvm->run(&k->context, &x);
		hvm_end(p);
		ended = handle(v, k, &x);
	}
	hvm->end_lending(&k->context);
	if (!ended)
		return 0;
	vcpu_take(v, VCPU_KEEPER);
	return finish(v, k->call, why);
}
