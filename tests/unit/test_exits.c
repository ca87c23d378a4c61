/* units: vmm/exits.c vmm/keeper/mmio.c vmm/dom0/ports.c vmm/dom0/watch.c vmm/device/io_port.c vmm/dom0/irq.c mm/memory_map.c arch/x86/complete.c */
/* What is done about an exit: the guest's end or its fault, ports, device memory, and interrupts that go straight through. */
#include "mm/p2m.h"
#include "tests/unit/fake.h"
#include <asm/hvm.h>
#include <asm/hvm_vcpu.h>
#include <asm/insn.h>
#include <asm/lapic.h>
#include <asm/mcheck.h>
#include <asm/traps.h>
#include <stdio.h>
#include <xen/hvm/params.h>
#include <xen/sched.h>
#include "mm/memory_map.h"
#include "mm/page.h"
#include "vmm/apic/xapic.h"
#include "vmm/cpu/cpu_policy.h"
#include "vmm/domain.h"
#include "vmm/domain/guest_log.h"
#include "vmm/domain/record_layout.h"
#include "vmm/dom0/watch.h"
#include "vmm/exits.h"
#include "vmm/hypercall.h"
#include "vmm/memory/guest_access.h"
#include "vmm/dom0/ports.h"
#include "vmm/dom0/irq.h"
#include "vmm/cpu/msr.h"
#include "vmm/vcpu.h"

static struct domain host = { .privileged = true, .max_vcpus = 1 }, guest = { .domid = 1 };
static struct record_vcpu counters;
static struct vcpu hv = { .domain = &host, .counters = &counters }, gv = { .domain = &guest, .counters = &counters };
static struct vm_exit x;

/* ---- what stands around: each notes what it was asked ---- */

static int fault;                       /* vector of the exception injected, or -1 */
static unsigned steps, rules;
static struct hvm_state cpu_state;
static u32 fault_error;
static char crash[200], logged[600];
static unsigned logged_len, blocked, downs, shutdown_code, cpl, xcr0_set, eois, hypercalls;
static struct { u64 gfn, mfn; enum p2m_type type; unsigned calls; } mapped;
static enum p2m_type there = P2M_HOLE;
static u64 filled;                      /* the hole that shows ones now */
static int fill_error;
static u8 memory[4096];
static u8 posted;
static bool posted_level, vector_is_level;
static void (*device)(u8 vector);

static void inject(struct vcpu *v, u8 vector, bool has_error, u32 error) { fault = vector; fault_error = has_error; }
static int get_cpl(const struct vcpu *v) { return (int)cpl; }
static bool console_behind;
void hvm_dump(const struct vcpu *v) { }
static void inject_step(struct vcpu *v) { steps++; }
static void get_state(const struct vcpu *v, struct hvm_state *s) { *s = cpu_state; }
static void set_state(struct vcpu *v, const struct hvm_state *s) { cpu_state = *s, rules = 0; }

static unsigned check(const struct vcpu *v, void (*broken)(const char *rule))
{
	if (rules)
		broken("a rule that is broken");
	return rules;
}

static const struct hvm_ops ops = {
	.inject_exception = inject,
	.inject_step = inject_step,
	.check = check,
	.set_state = set_state,
	.get_state = get_state,
	.cpl = get_cpl,
};
const struct hvm_ops *hvm = &ops;
unsigned hvm_phys_bits = 40;
struct domain *dom0;
struct page *frame_table;
u64 max_mfn;

void domain_crash(struct domain *d, const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	vsnprintf(crash, sizeof(crash), fmt, args);
	va_end(args);
}

static bool may_log;
bool guest_log_allows(struct domain *d) { return may_log; }
void domain_shutdown(struct domain *d, u8 code) { shutdown_code = code; }
bool guest_log_ready(struct vcpu *v) { return !console_behind; }
void guest_log_char(struct domain *d, char c) { logged[logged_len++] = c; }
void vcpu_block(struct vcpu *v) { blocked++; }
void vcpu_down(struct vcpu *v) { downs++; }
void hypercall_dispatch(struct vcpu *v, struct vm_exit *e) { hypercalls++; }
u64 cpu_policy_xcr0(const struct cpu_policy *p) { return 7; }
int hvm_set_xcr0(struct vcpu *v, u64 xcr0, u64 allowed) { assert_int_equal(allowed, 7); xcr0_set = (unsigned)xcr0; return xcr0 == 6 ? -EINVAL : 0; }
void hvm_sync_xcr0(struct vcpu *v) { }
void cpu_policy_cpuid(const struct vcpu *v, u32 leaf, u32 sub, struct cpuid_regs *out) { *out = (struct cpuid_regs){ leaf, sub, 3, 4 }; }
int msr_read(struct vcpu *v, u32 msr, u64 *val) { *val = 0x1122334455667788ull; return msr == 1 ? -EINVAL : 0; }
int hypercall_page_write(struct vcpu *v, u64 val) { return val == 0x5000 ? 0 : -EINVAL; }
int msr_write(struct vcpu *v, u32 msr, u64 val) { return val == 0x500000006ull ? 0 : -EINVAL; }
static u64 made_dirty;
bool p2m_make_dirty(struct p2m *p2m, gfn_t gfn)
{
	made_dirty = gfn.v;
	return true;
}
enum p2m_type p2m_lookup(struct p2m *p2m, gfn_t gfn, mfn_t *mfn) { return there; }
/* The keeper, and the APIC's page. */
static unsigned kept;
static int keeper_error;
bool keeper_remembers(struct vcpu *v, const struct vm_exit *e) { return false; }
int keeper_begin(struct vcpu *v, const struct vm_exit *e) { kept++; return keeper_error; }
void xapic_access(struct vcpu *v, u32 offset, unsigned size, bool write, u64 *data) { fail(); }

int p2m_fill_hole(struct p2m *p2m, gfn_t gfn) { filled = gfn.v; return fill_error; }
void lapic_eoi(void) { eois++; }
static enum mcheck mcheck;
enum mcheck mcheck_take(struct mcheck_error *e) { *e = (struct mcheck_error){ 5, 0xabc, 3 }; return mcheck; }
bool lapic_is_level(u8 vector) { return vector_is_level; }
void interrupt_handle(u8 vector) { }
void traps_set_device_handler(void (*fn)(u8 vector)) { device = fn; }
int vlapic_write(struct vcpu *v, u32 msr, u64 val) { assert_int_equal(msr, 0x808); v->apic.tpr = (u32)val; return 0; }
void vlapic_post(struct vcpu *v, u8 vector, bool level) { posted = vector; posted_level = level; }

int p2m_set_nx(struct p2m *p2m, gfn_t gfn, u64 frames, bool nx)
{
	p2m->nx_gfn = gfn;
	p2m->nx_frames = nx ? frames : 0;
	return 0;
}

int p2m_map(struct p2m *p2m, gfn_t gfn, mfn_t mfn, unsigned order, enum p2m_type type)
{
	mapped.gfn = gfn.v, mapped.mfn = mfn.v, mapped.type = type;
	mapped.calls++;
	return 0;
}

int copy_to_guest(struct vcpu *v, u64 gva, const void *src, size_t len)
{
	if (gva + len > sizeof(memory))
		return -EFAULT;
	memcpy(memory + gva, src, len);
	return 0;
}

int copy_from_guest(struct vcpu *v, void *dst, u64 gva, size_t len)
{
	if (gva + len > sizeof(memory))
		return -EFAULT;
	memcpy(dst, memory + gva, len);
	return 0;
}

static int set_up(void **state)
{
	static struct page frames[MiB(2) / PAGE_SIZE];

	frame_table = frames;
	max_mfn = ARRAY_SIZE(frames);
	memset(&mapped, 0, sizeof(mapped));
	memset(memory, 0, sizeof(memory));
	fault = -1;
	crash[0] = '\0';
	logged_len = blocked = downs = shutdown_code = cpl = xcr0_set = eois = steps = rules = 0;
	cpu_state = (struct hvm_state){ .cr0 = CR0_PE };
	spin_init(&host.lock, LOCK_DOMAIN);
	spin_init(&guest.lock, LOCK_DOMAIN);
	may_log = true;
	there = P2M_HOLE;
	filled = 0;
	hv.hvm.regs = gv.hvm.regs = (struct cpu_regs){ .rip = 0x1000, .rflags = 2 };
	gv.attention = 0;
	x = (struct vm_exit){ .len = 2 };
	fake_log_clear();
	return 0;
}

static struct cpu_regs *handle(struct vcpu *v, unsigned reason)
{
	x.reason = (u8)reason;
	exit_handle(v, &x);
	return &v->hvm.regs;
}

/* ---- nested page faults ---- */

static void npf(struct vcpu *v, u64 gpa, bool write, bool fetch)
{
	set_up(NULL);
	x.npf.gpa = gpa;
	x.npf.write = write;
	x.npf.fetch = fetch;
	handle(v, EXIT_NPF);
}

static void device_memory_is_the_service_domains(void **state)
{
	memory_map_nr = 0;
	memory_map_add(0, GiB(2), MEMORY_RAM);
	npf(&hv, 0xfebc0123, false, false);
	assert_true(mapped.calls == 1 && mapped.gfn == 0xfebc0 && mapped.mfn == 0xfebc0 && mapped.type == P2M_MMIO && fault < 0);
	/* RAM that isn't its own is another domain's, or Bothy's. */
	npf(&hv, GiB(2) - 1, true, false);
	assert_true(!mapped.calls && fault == 13);
	npf(&hv, 0x5000, false, false);
	assert_true(!mapped.calls && fault == 13);
	npf(&hv, GiB(2), true, false);
	assert_int_equal(mapped.calls, 1);
	/* Beyond what the CPU can address. */
	npf(&hv, BIT(40), false, false);
	assert_true(!mapped.calls && fault == 13);
	npf(&hv, BIT(40) - 1, false, false);
	assert_int_equal(mapped.calls, 1);
}

/* The local APIC's page is the example: whoever writes there sends Bothy's CPUs INITs and NMIs, or switches their timers off. */
static void registers_of_ring_0_are_not_device_memory(void **state)
{
	static const u64 refused[] = { 0xfee00000, 0xfee00fff, 0xfee01000, 0xfeefffff, 0xfed90000, 0xfed91fff };

	memory_map_nr = 0;
	dom0_reserve(0xfee00000, MiB(1));
	dom0_reserve(0xfed90040, PAGE_SIZE);
	for (unsigned i = 0; i < ARRAY_SIZE(refused); i++) {
		npf(&hv, refused[i], true, false);
		assert_true(!mapped.calls && fault == 13);
		assert_non_null(__builtin_strstr(fake_log, "which is not its own"));
		npf(&hv, refused[i], false, true);
		assert_true(!mapped.calls && fault == 13);
		/* Who only looks sees ones: Linux from 6.16 on reads an AMD chipset where QEMU has AMD's IOMMU. */
		npf(&hv, refused[i], false, false);
		assert_true(!mapped.calls && fault < 0 && filled == refused[i] >> PAGE_SHIFT);
	}
	fill_error = -ENOMEM;
	npf(&hv, 0xfee00000, false, false);
	fill_error = 0;
	assert_int_equal(fault, 13);
	npf(&hv, 0xfedfffff, true, false);
	assert_int_equal(mapped.calls, 1);
	npf(&hv, 0xfef00000, true, false);
	assert_int_equal(mapped.calls, 1);
	npf(&hv, 0xfed8ffff, true, false);
	assert_int_equal(mapped.calls, 1);
	npf(&hv, 0xfed92000, true, false);
	assert_int_equal(mapped.calls, 1);
}

/* Its RAM may be written, so a write that faults there is the first one since a migration looked. */
static void first_writes_are_logged(void **state)
{
	there = P2M_RAM;
	made_dirty = 0;
	x.npf.gpa = 0x5008;
	x.npf.write = false;
	handle(&gv, EXIT_NPF);
	assert_int_equal(made_dirty, 0);
	x.npf.write = true;
	handle(&gv, EXIT_NPF);
	assert_true(made_dirty == 5 && !crash[0] && fault < 0);
}

/* The keeper executes the instruction; but not those accesses that aren't the instruction's own. */
static void a_guest_ends_where_it_has_no_memory(void **state)
{
	kept = 0;
	npf(&gv, 0xfebc0123, true, false);
	assert_true(kept == 1 && !crash[0] && fault < 0);
	x.npf.indirect = true;
	handle(&gv, EXIT_NPF);
	assert_non_null(__builtin_strstr(crash, "vCPU 0 writes guest-physical febc0123"));
	assert_int_equal(kept, 1);
	keeper_error = -ENOMEM;
	npf(&gv, 0xfebc0123, true, false);
	keeper_error = 0;
	assert_non_null(__builtin_strstr(crash, "vCPU 0 writes guest-physical febc0123"));
	assert_true(!mapped.calls && fault < 0);
	npf(&gv, 0x5000, false, true);
	assert_non_null(__builtin_strstr(crash, "executes"));
	assert_int_equal(filled, 0);
}

/* But not if it only looks: Linux from 6.16 on reads an AMD chipset's reset status, GRUB the end of the first 4 GiB. */
static void a_guest_may_look_where_it_has_no_memory(void **state)
{
	npf(&gv, 0xfed803c0, false, false);
	assert_true(filled == 0xfed80 && !crash[0] && fault < 0 && gv.hvm.regs.rip == 0x1000);
	npf(&gv, 0, false, false);
	assert_true(filled == 0 && !crash[0]);
	npf(&gv, GiB(4) - 8, true, false);
	assert_true(!filled && !crash[0]);
	npf(&gv, GiB(4) - 8, false, true);
	assert_true(!filled && crash[0]);
	/* No table for it. */
	fill_error = -ENOMEM;
	kept = 0;
	npf(&gv, 0xfed803c0, false, false);
	assert_true(kept == 1 && !crash[0]);
	fill_error = 0;
	/* The APIC's page may change. */
	filled = 0;
	npf(&gv, 0xfee00020, false, false);
	assert_true(kept == 2 && !filled);
	/* The service domain's holes are the machine's. */
	memory_map_nr = 0;
	memory_map_add(0, GiB(2), MEMORY_RAM);
	npf(&hv, 0x5000, false, false);
	assert_true(!filled && fault == 13);
}

static unsigned fetched;
static void note_fetch(struct vcpu *v) { fetched++; }

/* The kernel that unpacks itself is caught at whatever frame of its image it first executes, once. */
static void a_fetch_is_watched_for(void **state)
{
	dom0_watch(&host.p2m, 0x1000000, 0x4b00000, note_fetch);
	memory_map_nr = 0;
	npf(&hv, 0x1000123, false, false);
	npf(&hv, 0x1000123, true, false);
	/* What lies before and behind is no matter. */
	npf(&hv, 0xfff000, false, true);
	npf(&hv, 0x4b00000, false, true);
	assert_int_equal(fetched, 0);
	npf(&hv, 0x39cee70, false, true);
	assert_int_equal(fetched, 1);
	npf(&hv, 0x39cee70, false, true);
	assert_int_equal(fetched, 1);
	dom0_watch(&host.p2m, 0x1000000, 0x4b00000, note_fetch);
	npf(&hv, 0x1000000, false, true);
	assert_int_equal(fetched, 2);
	dom0_watch(&host.p2m, 0, 0, NULL);
	npf(&hv, 0x1000000, false, true);
	assert_true(fetched == 2 && !host.p2m.nx_frames);
}

/* Another CPU has mapped it meanwhile: again. But what stays forbidden would fault for ever. */
static void what_is_there_by_now_is_tried_again(void **state)
{
	static const struct { enum p2m_type type; bool write, fetch, again; } cases[] = {
		{ P2M_RAM, false, false, true }, { P2M_RAM, true, false, true }, { P2M_RAM, false, true, true },
		{ P2M_GRANT_RW, true, false, true }, { P2M_GRANT_RO, false, false, true }, { P2M_GRANT_RO, true, false, false },
		{ P2M_GRANT_RW, false, true, false }, { P2M_SHARED, false, true, false }, { P2M_FOREIGN, true, false, true },
	};

	for (unsigned i = 0; i < ARRAY_SIZE(cases); i++) {
		set_up(NULL);
		there = cases[i].type;
		x.npf.gpa = 0x5000;
		x.npf.write = cases[i].write;
		x.npf.fetch = cases[i].fetch;
		x.npf.present = true;
		handle(&gv, EXIT_NPF);
		assert_int_equal(!crash[0], cases[i].again);
		assert_int_equal(gv.hvm.regs.rip, 0x1000);

		/* The service domain's too, and it isn't made device memory for that. */
		fault = -1;
		x.npf.gpa = 0xfebc0000;
		handle(&hv, EXIT_NPF);
		assert_true(!mapped.calls && (fault < 0) == cases[i].again);
	}
}

/* ---- instructions ---- */

static void registers_are_set_and_rip_moves(void **state)
{
	struct cpu_regs *r = &gv.hvm.regs;

	r->rax = 0xffffffff00000007, r->rcx = 9;
	handle(&gv, EXIT_CPUID);
	assert_true(r->rax == 7 && r->rbx == 9 && r->rcx == 3 && r->rdx == 4 && r->rip == 0x1002);
	r->rcx = 2;
	handle(&gv, EXIT_RDMSR);
	assert_true(r->rax == 0x55667788 && r->rdx == 0x11223344 && r->rip == 0x1004 && x.msr.index == 2 && x.msr.value == 0x1122334455667788ull);
	r->rcx = 1;
	handle(&gv, EXIT_RDMSR);
	assert_true(fault == 13 && r->rip == 0x1004);
	r->rax = 0xffffffff00000006, r->rdx = 0xffffffff00000005, r->rcx = 0xffffffffc0000080;
	handle(&gv, EXIT_WRMSR);
	assert_int_equal(r->rip, 0x1006);
	/* The record of the exit says what was written where. */
	assert_true(x.msr.index == 0xc0000080 && x.msr.value == 0x500000006ull);
	fault = -1;
	r->rax = 7;
	handle(&gv, EXIT_WRMSR);
	assert_true(fault == 13 && fault_error && r->rip == 0x1006);
	/* One that is not the CPU's: it makes the page that a guest calls through. */
	fault = -1;
	r->rcx = MSR_HYPERCALL_PAGE, r->rdx = 0, r->rax = 0x5000;
	handle(&gv, EXIT_WRMSR);
	assert_true(r->rip == 0x1008 && fault < 0);
	r->rax = 0x5001;
	handle(&gv, EXIT_WRMSR);
	assert_true(fault == 13 && r->rip == 0x1008);
	handle(&gv, EXIT_UNDEFINED);
	assert_true(fault == 6 && !fault_error);
}

static void xsetbv_is_for_ring_0(void **state)
{
	struct cpu_regs *r = &gv.hvm.regs;

	r->rax = 7;
	handle(&gv, EXIT_XSETBV);
	assert_true(xcr0_set == 7 && r->rip == 0x1002 && fault < 0);
	cpl = 3;
	xcr0_set = 0;
	handle(&gv, EXIT_XSETBV);
	assert_true(fault == 13 && !xcr0_set && r->rip == 0x1002);
	cpl = 0;
	fault = -1;
	r->rcx = 1;
	handle(&gv, EXIT_XSETBV);
	assert_true(fault == 13 && !xcr0_set);
	fault = -1;
	r->rcx = 0, r->rax = 6;
	handle(&gv, EXIT_XSETBV);
	assert_int_equal(fault, 13);
}

/* VMX's CPUs don't keep the priority: it is the virtual APIC's. */
static void cr8_is_the_apics_priority(void **state)
{
	struct cpu_regs *r = &gv.hvm.regs;

	x.cr8.reg = 6, x.cr8.read = false;
	r->rsi = 9;
	handle(&gv, EXIT_CR8);
	assert_true(gv.apic.tpr == 0x90 && r->rip == 0x1002 && fault < 0);
	r->rsi = 0, x.cr8.read = true;
	handle(&gv, EXIT_CR8);
	assert_true(r->rsi == 9 && r->rip == 0x1004);
	r->rsi = 16, x.cr8.read = false;
	handle(&gv, EXIT_CR8);
	assert_true(gv.apic.tpr == 0x90 && r->rip == 0x1004 && fault == 13);
}

static void halts(void **state)
{
	gv.hvm.regs.rflags = 2 | BIT(9);
	handle(&gv, EXIT_HLT);
	assert_true(blocked == 1 && !downs && gv.hvm.regs.rip == 0x1002);
	/* With interrupts off for good, unless an NMI is on its way. */
	gv.hvm.regs.rflags = 2;
	gv.attention = VCPU_NMI;
	handle(&gv, EXIT_HLT);
	assert_true(blocked == 1 && !downs);
	gv.attention = 0;
	handle(&gv, EXIT_HLT);
	assert_int_equal(downs, 1);
}

static void ends(void **state)
{
	guest.params[HVM_PARAM_TRIPLE_FAULT_REASON] = SHUTDOWN_crash;
	handle(&gv, EXIT_TRIPLE_FAULT);
	assert_int_equal(shutdown_code, SHUTDOWN_crash);
	x.exc.vector = 17;
	handle(&gv, EXIT_EXCEPTION);
	assert_true(fault == 17 && fault_error);
	x.exc.vector = 1;
	handle(&gv, EXIT_EXCEPTION);
	assert_true(fault == 1 && !fault_error);
	assert_int_equal(hypercalls, 0);
	handle(&gv, EXIT_HYPERCALL);
	assert_int_equal(hypercalls, 1);
}

/* As exception 18; and as a shutdown, where the guest has them off. */
static void machine_checks(void **state)
{
	static const unsigned exits[] = { EXIT_EXCEPTION, EXIT_TRIPLE_FAULT };
	static unsigned i;      /* outlives the panic's jump */

	guest.params[HVM_PARAM_TRIPLE_FAULT_REASON] = SHUTDOWN_crash;
	for (i = 0; i < ARRAY_SIZE(exits); i++) {
		set_up(NULL);
		x.exc.vector = 18;
		mcheck = MCHECK_CONTAINED;
		handle(&gv, exits[i]);
		assert_string_equal(crash, "machine check while vCPU 0 ran: status 5, bank 3, abc");
		assert_true(!shutdown_code && fault < 0);
		crash[0] = '\0';
		mcheck = MCHECK_ELSEWHERE;
		handle(&gv, exits[i]);
		assert_true(!crash[0] && !shutdown_code && fault < 0);
		mcheck = MCHECK_FATAL;
		expect_panic(handle(&gv, exits[i]));
		assert_non_null(__builtin_strstr(fake_log, "machine check while d1v0 ran: status 5, bank 3, abc"));
	}
	mcheck = MCHECK_NONE;
}

/* ---- the end of an instruction that was done for the guest ---- */

/*
 * An unprivileged process let CPUID be the last instruction below 4 GiB of 32-bit code: RIP became
 * 100000000h, the CPU refused to enter, and the machine started again. What RIP has to be is the
 * CPU's: EIP wraps, RIP doesn't, and IP goes on to where the next fetch is beyond its segment.
 */
static void rip_moves_as_the_cpu_moves_it(void **s)
{
	enum { BITS_16, BITS_32, COMPAT, BITS_64 };
	static const u32 ar[] = { 0x9b, 0xc09b, 0xc09b, 0xa09b };
	static const struct { u8 code; u64 rip, next; } cases[] = {
		{ BITS_32, 0xfffffffe, 0 },
		{ BITS_32, 0xffffffff, 1 },
		{ BITS_32, 0xfffffffd, 0xffffffff },
		{ BITS_32, 0x7ffffffe, 0x80000000 },
		{ COMPAT, 0xfffffffe, 0 },
		{ COMPAT, 0xffffffff, 1 },
		{ BITS_16, 0xfffe, 0x10000 },
		{ BITS_16, 0xfffffffe, 0 },
		{ BITS_64, 0xfffffffe, 0x100000000 },
		{ BITS_64, 0xffffffff, 0x100000001 },
		{ BITS_64, 0x1fffffffe, 0x200000000 },
		{ BITS_64, 0x7ffffffffffe, 0x800000000000 },
		{ BITS_64, 0xfffffffffffffffe, 0 },
	};

	for (unsigned i = 0; i < ARRAY_SIZE(cases); i++) {
		set_up(NULL);
		if (cases[i].code >= COMPAT) {
			cpu_state.cr0 |= CR0_PG;
			cpu_state.efer = EFER_LME | EFER_LMA;
		}
		cpu_state.seg[HVM_SEG_CS].ar = ar[cases[i].code];
		gv.hvm.regs.rip = cases[i].rip;
		handle(&gv, EXIT_CPUID);
		if (gv.hvm.regs.rip != cases[i].next)
			fail_msg("case %u: %#lx, not %#lx", i, (unsigned long)gv.hvm.regs.rip,
				(unsigned long)cases[i].next);
	}
	/* L is a bit like any other outside of long mode. */
	set_up(NULL);
	cpu_state.seg[HVM_SEG_CS].ar = 0xa09b;
	gv.hvm.regs.rip = 0xfffffffe;
	handle(&gv, EXIT_CPUID);
	assert_int_equal(gv.hvm.regs.rip, 0);
}

/*
 * #DB behind each instruction, but not in front of one that faults; HLT doesn't even stop for it.
 */
static void single_stepping_sees_each_instruction(void **s)
{
	struct cpu_regs *r = &gv.hvm.regs;
	static const u8 done[] = { EXIT_CPUID, EXIT_RDMSR, EXIT_IO, EXIT_XSETBV, EXIT_HLT };

	for (unsigned i = 0; i < ARRAY_SIZE(done); i++) {
		set_up(NULL);
		r->rflags = 2 | RFLAGS_TF | RFLAGS_RF | RFLAGS_IF;
		handle(&gv, done[i]);
		assert_true(steps == 1 && fault < 0 && r->rip == 0x1002 &&
			r->rflags == (2 | RFLAGS_TF | RFLAGS_IF) && !blocked);
	}
	set_up(NULL);
	r->rflags = 2 | RFLAGS_TF;
	r->rcx = 1;
	handle(&gv, EXIT_RDMSR);
	assert_true(!steps && fault == 13 && r->rip == 0x1000 &&
		r->rflags == (2 | RFLAGS_TF));
	/* Each element of a string is a step. */
	set_up(NULL);
	r->rflags = 2 | RFLAGS_TF;
	x = (struct vm_exit){ .len = 2,
		.io = { .port = 0x1f0, .size = 1, .in = true, .string = true, .rep = true } };
	r->rdi = 16, r->rcx = 2;
	handle(&gv, EXIT_IO);
	assert_true(steps == 1 && r->rcx == 1 && r->rip == 0x1000);
	handle(&gv, EXIT_IO);
	assert_true(steps == 2 && !r->rcx && r->rip == 0x1002);
	/* And without TF RF is over too. */
	set_up(NULL);
	r->rflags = 2 | RFLAGS_RF;
	handle(&gv, EXIT_CPUID);
	assert_true(!steps && r->rflags == 2);
}

/* ---- states that the CPU refuses, and exits that nobody knows ---- */

static void refused(struct vcpu *v, bool undelivered)
{
	fault = -1;
	fake_log_clear();
	x = (struct vm_exit){ .odd = { .code = 33, .undelivered = undelivered } };
	handle(v, EXIT_FAILED);
}

/*
 * The service domain's end is the machine's: first what can be is put right, then its process gets
 * a fault, and only if that doesn't arrive it ends.
 */
static void a_refused_state_is_no_end(void **s)
{
	struct vcpu *both[] = { &hv, &gv };

	for (unsigned i = 0; i < 2; i++) {
		struct vcpu *v = both[i];

		set_up(NULL);
		rules = 1;
		v->hvm.regs.rip = 0x100000002;
		refused(v, false);
		assert_true(v->hvm.regs.rip == 2 && fault < 0 && !crash[0]);
		assert_logged("a rule that is broken");
		assert_logged("put right");
		rules = 1;
		v->hvm.regs.rflags = BIT(3) | BIT(22) | RFLAGS_IF;
		refused(v, true);
		assert_true(v->hvm.regs.rflags == (2 | RFLAGS_IF) && fault < 0 && !crash[0]);
		refused(v, false);
		assert_true(fault == 13 && fault_error && !crash[0]);
		assert_logged("#GP");
		refused(v, true);
		assert_true(fault < 0);
		assert_non_null(__builtin_strstr(crash, "refuses its state: 21"));
	}
	/* VM goes where it can't be. */
	set_up(NULL);
	cpu_state = (struct hvm_state){ .cr0 = CR0_PE | CR0_PG, .efer = EFER_LME };
	cpu_state.cr3 = BIT(60) | 0x1000, cpu_state.dr7 = BIT(32) | 0x400, cpu_state.seg[HVM_SEG_CS].ar = 0xe09b;
	rules = 3;
	gv.hvm.regs.rflags = 2 | RFLAGS_VM;
	refused(&gv, false);
	assert_true(gv.hvm.regs.rflags == 2 && cpu_state.cr3 == 0x1000 && cpu_state.dr7 == 0x400);
	assert_int_equal(cpu_state.seg[HVM_SEG_CS].ar, 0xa09b);
	/* A guest that does it again and again fills no log. */
	may_log = false;
	refused(&gv, false);
	assert_int_equal(fault, 13);
	assert_not_logged("d1");
}

static void an_unknown_exit_is_an_undefined_instruction(void **s)
{
	x.odd.code = 0x123;
	handle(&hv, EXIT_UNKNOWN);
	assert_true(fault == 6 && !fault_error && !crash[0] && hv.hvm.regs.rip == 0x1000);
	assert_logged("unexpected exit 123, at rip 1000: #UD");
	x.odd.undelivered = true;
	fault = -1;
	handle(&hv, EXIT_UNKNOWN);
	assert_non_null(__builtin_strstr(crash, "unexpected exit 123"));
	assert_int_equal(fault, -1);
}

/* ---- ports ---- */

/* The IOMMU's part: a function of PCI is hidden, or none is. */
static bool hides;
static u32 selected;
bool iommu_hides_functions(void) { return hides; }
void iommu_select_config(u32 address) { selected = address; }
u32 iommu_selected_config(void) { return selected; }

static u64 in(u16 port, u8 size)
{
	gv.hvm.regs.rax = 0x1122334455667788ull;
	x = (struct vm_exit){ .len = 1, .io = { .port = port, .size = size, .in = true } };
	return handle(&gv, EXIT_IO)->rax;
}

static void a_guest_has_no_ports(void **state)
{
	assert_int_equal(in(0x60, 1), 0x11223344556677ff);
	assert_int_equal(in(0xcf8, 2), 0x112233445566ffff);
	assert_int_equal(in(0xcfc, 4), 0xffffffff);
	/* The 8254's counters have counted to the end. */
	assert_int_equal(in(0x40, 1), 0x1122334455667700);
	assert_int_equal(in(0x42, 1), 0x1122334455667700);
	assert_int_equal(in(0x43, 1), 0x11223344556677ff);
	assert_int_equal(in(0x3f, 1), 0x11223344556677ff);
	/* No general-purpose event of ACPI has come. */
	assert_int_equal(in(0xafe0, 1), 0x1122334455667700);
	assert_int_equal(in(0xafe3, 1), 0x1122334455667700);
	assert_int_equal(in(0xafdf, 1), 0x11223344556677ff);
	assert_int_equal(in(0xafe4, 1), 0x11223344556677ff);
	assert_int_equal(in(0, 1), 0x11223344556677ff);
	assert_int_equal(in(0xffff, 1), 0x11223344556677ff);
	assert_int_equal(gv.hvm.regs.rip, 0x100d);
	gv.hvm.regs.rax = 'a';
	x = (struct vm_exit){ .len = 1, .io = { .port = 0xe9, .size = 1 } };
	handle(&gv, EXIT_IO);
	gv.hvm.regs.rax = 'b';
	x.io.port = 0x80;
	handle(&gv, EXIT_IO);
	assert_true(logged_len == 1 && logged[0] == 'a' && gv.hvm.regs.rip == 0x100f);
}

/* 256 bytes at a time; the instruction is over when RCX is. */
static void strings_go_in_steps(void **state)
{
	struct cpu_regs *r = &gv.hvm.regs;

	for (unsigned size = 1; size <= 4; size *= 2) {
		set_up(NULL);
		x = (struct vm_exit){ .len = 2, .io = { .port = 0x1f0, .size = (u8)size, .in = true, .string = true, .rep = true } };
		r->rdi = 16, r->rcx = 300;
		handle(&gv, EXIT_IO);
		assert_true(r->rdi == 16 + 256 && r->rcx == 300 - 256 / size && r->rip == 0x1000);
		assert_true(memory[15] == 0 && memory[16] == 0xff && memory[271] == 0xff && memory[272] == 0);
		while (r->rcx)
			handle(&gv, EXIT_IO);
		assert_true(r->rdi == 16 + 300 * size && r->rip == 0x1002);
	}
	/* One, without REP; downwards; to nowhere. */
	x = (struct vm_exit){ .len = 2, .io = { .port = 0x1f0, .size = 4, .in = true, .string = true } };
	r->rcx = 7, r->rdi = 100;
	handle(&gv, EXIT_IO);
	assert_true(r->rdi == 104 && r->rcx == 7 && r->rip == 0x1004);
	r->rflags |= BIT(10);
	x.io.rep = true;
	handle(&gv, EXIT_IO);
	assert_true(r->rdi == 100 && r->rcx == 6 && r->rip == 0x1004);
	r->rflags = 2, r->rdi = sizeof(memory);
	handle(&gv, EXIT_IO);
	assert_true(!r->rcx && r->rip == 0x1006);
	/* A message, in one instruction. */
	memcpy(memory, "hello", 5);
	x = (struct vm_exit){ .len = 2, .io = { .port = 0xe9, .size = 1, .string = true, .rep = true } };
	r->rsi = 0, r->rcx = 5;
	handle(&gv, EXIT_IO);
	assert_true(r->rsi == 5 && !r->rcx && r->rip == 0x1008);
	assert_memory_equal(logged, "hello", 5);
}

/* A process that may use ports reaches neither its kernel's memory nor the log by them. */
static void strings_of_user_mode_move_nothing(void **state)
{
	struct cpu_regs *r = &gv.hvm.regs;

	cpl = 3;
	x = (struct vm_exit){ .len = 2, .io = { .port = 0x1f0, .size = 1, .in = true, .string = true, .rep = true } };
	r->rdi = 16, r->rcx = 300;
	handle(&gv, EXIT_IO);
	assert_true(r->rdi == 316 && !r->rcx && r->rip == 0x1002 && memory[16] == 0 && memory[315] == 0);
	x = (struct vm_exit){ .len = 2, .io = { .port = 0xe9, .size = 1, .string = true, .rep = true } };
	r->rsi = 0, r->rcx = 5;
	handle(&gv, EXIT_IO);
	assert_true(r->rsi == 5 && !r->rcx && r->rip == 0x1004 && !logged_len);
}

/* While the console is behind a guest's words wait: the instruction is tried again. */
static void a_console_that_is_behind(void **state)
{
	struct cpu_regs *r = &gv.hvm.regs;

	console_behind = true;
	x = (struct vm_exit){ .len = 1, .io = { .port = 0xe9, .size = 1 } };
	handle(&gv, EXIT_IO);
	assert_true(!logged_len && r->rip == 0x1000);
	x = (struct vm_exit){ .len = 2, .io = { .port = 0xe9, .size = 1, .string = true, .rep = true } };
	r->rsi = 0, r->rcx = 5;
	handle(&gv, EXIT_IO);
	assert_true(!logged_len && r->rip == 0x1000 && !r->rsi && r->rcx == 5);
	x = (struct vm_exit){ .len = 1, .io = { .port = 0x80, .size = 1 } };
	handle(&gv, EXIT_IO);
	assert_int_equal(r->rip, 0x1001);
	console_behind = false;
}

/* PCI's address port: the service domain's accesses of four bytes go to the filter, nobody else's do. */
static void the_address_port(void **state)
{
	struct vcpu *const both[] = { &hv, &gv };

	for (unsigned i = 0; i < 2; i++) {
		selected = 0x80001234;
		x = (struct vm_exit){ .len = 1, .io = { .port = 0xcf8, .size = 4, .in = true } };
		handle(both[i], EXIT_IO);
		assert_int_equal(both[i]->hvm.regs.rax, i ? 0xffffffff : 0x80001234);
		both[i]->hvm.regs.rax = 0x80005678;
		x = (struct vm_exit){ .len = 1, .io = { .port = 0xcf8, .size = 2 } };
		handle(both[i], EXIT_IO);
		assert_int_equal(selected, 0x80001234);
		x.io.size = 4;
		handle(both[i], EXIT_IO);
		assert_int_equal(selected, i ? 0x80001234 : 0x80005678);
	}
}

static void the_service_domain_has_all_but_a_few(void **state)
{
	unsigned closed = 0;

	for (unsigned uart = 0; uart < 2; uart++) {
		dom0_hide_uart(uart ? 0x3f8 : 0);
		closed = 0;
		for (u32 port = 0; port < 0x10000; port++)
			closed += !dom0_port_open((u16)port);
		assert_int_equal(closed, 2 + 4 + 2 + 1 + 8 * uart);
	}
	assert_false(dom0_port_open(0x21) || dom0_port_open(0xa0) || dom0_port_open(0x43) || dom0_port_open(0xe9));
	assert_false(dom0_port_open(0x3f8) || dom0_port_open(0x3ff));
	assert_true(dom0_port_open(0x3f7) && dom0_port_open(0x400) && dom0_port_open(0x61));
	assert_true(dom0_port_open(0xcf8));
	hides = true;
	assert_false(dom0_port_open(0xcf8));
	assert_true(dom0_port_open(0xcf9) && dom0_port_open(0xcfc));
	hides = false;
}

/* ---- devices' interrupts ---- */

static void interrupts_go_straight_through(void **state)
{
	struct vcpu *vcpus[] = { &hv };

	irq_init();
	host.vcpu = vcpus;
	/* Before there is a service domain, or on a CPU where it has no vCPU, it is dropped. */
	device(0x31);
	assert_true(eois == 1 && !posted);
	dom0 = &host;
	fake_cpu = 1;
	device(0x31);
	assert_true(eois == 2 && !posted);
	fake_cpu = 0;
	device(0x31);
	assert_true(eois == 3 && posted == 0x31 && !posted_level && !hv.apic.phys_level[0]);
	/* Level: the service domain's own EOI is the machine's. */
	vector_is_level = true;
	device(0x71);
	assert_true(eois == 3 && posted == 0x71 && posted_level && hv.apic.phys_level[1] == BIT(0x71 - 64));
	host.vcpu = NULL;
	dom0 = NULL;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define TEST(f) cmocka_unit_test_setup(f, set_up)
		TEST(device_memory_is_the_service_domains),
		TEST(registers_of_ring_0_are_not_device_memory),
		TEST(first_writes_are_logged),
		TEST(a_guest_ends_where_it_has_no_memory),
		TEST(a_guest_may_look_where_it_has_no_memory),
		TEST(a_fetch_is_watched_for),
		TEST(what_is_there_by_now_is_tried_again),
		TEST(registers_are_set_and_rip_moves),
		TEST(xsetbv_is_for_ring_0),
		TEST(cr8_is_the_apics_priority),
		TEST(halts),
		TEST(ends),
		TEST(machine_checks),
		TEST(rip_moves_as_the_cpu_moves_it),
		TEST(single_stepping_sees_each_instruction),
		TEST(a_refused_state_is_no_end),
		TEST(an_unknown_exit_is_an_undefined_instruction),
		TEST(a_guest_has_no_ports),
		TEST(the_address_port),
		TEST(strings_go_in_steps),
		TEST(strings_of_user_mode_move_nothing),
		TEST(a_console_that_is_behind),
		TEST(the_service_domain_has_all_but_a_few),
		TEST(interrupts_go_straight_through),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
