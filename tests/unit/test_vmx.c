/* units: arch/x86/vmx/vmx.c arch/x86/vmx/keeper.c arch/x86/vmx/vcpu.c arch/x86/vmx/state.c arch/x86/vmx/capabilities.c arch/x86/permissions.c arch/x86/vmx/check.c arch/x86/hvm.c mm/pt.c mm/p2m.c mm/p2m_log.c mm/buddy.c mm/heap.c tests/unit/fake_vendor.c tests/unit/fake_vmx.c tests/unit/check_vmx.c arch/x86/complete.c arch/x86/saved.c arch/x86/guest_clock.c */
/* VMX over a software VMCS: what a CPU must have, that every state passes the rules of VM entry, and how exits are read. */
#include "mm/pt.h"
#include "tests/unit/fake_vendor.h"
#include <stdio.h>
#include <xen/hvm/save.h>
#include <asm/hvm_flush.h>
#include <asm/vmx_insn.h>
#include "arch/x86/vmx/vmcs.h"
#include "arch/x86/vmx/vmx.h"
#include "mm/p2m.h"
#include "mm/page.h"
#include "tests/unit/fake_vmx.h"
#include "vmm/vcpu.h"

const struct hvm_ops svm_ops = { .name = "none" };

static u32 cpuid_1_c = 1u << 5 | 1u << 26;

struct cpuid_regs cpuid(u32 leaf, u32 sub)
{
	return (struct cpuid_regs){ .c = leaf == 1 ? cpuid_1_c : 0 };
}

static struct vcpu *v;
static struct vm_exit x;

static int set_up(void **state)
{
	fake_vmx_machine();
	hvm = &vmx_ops;
	hvm_phys_bits = 39;
	assert_null(vmx_ops.probe());
	assert_int_equal(vmx_ops.cpu_enable(), 0);
	this_cpu()->asid_generation = this_cpu()->asid_next = 1;         /* as hvm_cpu_enable() does */
	assert_true(fake_vmx_on);
	v = fake_vendor_vcpu(false);
	hvm_start_flat32(v, 0x1000850, 0, 0);
	fake_vendor_load(v);
	fake_guest = NULL;
	return 0;
}

static int tear_down(void **state)
{
	fake_vendor_vcpu_free(v);
	return 0;
}

static void expect_missing(u32 msr, u64 without, const char *what)
{
	u64 before = rdmsr(msr);
	const char *why;

	wrmsr(msr, before & ~without);
	why = vmx_ops.probe();
	if (!why || !__builtin_strstr(why, what))
		fail_msg("without %s the probe says: %s", what, why ?: "nothing");
	wrmsr(msr, before);
}

static void missing_capabilities(void **state)
{
	expect_missing(0x480, BIT(55), "true controls");
	expect_missing(0x48b, (u64)CPU2_EPT << 32, "EPT");
	expect_missing(0x48b, (u64)CPU2_UNRESTRICTED << 32, "unrestricted guest");
	expect_missing(0x48b, (u64)CPU2_VPID << 32, "VPID");
	expect_missing(0x48d, (u64)PIN_VIRTUAL_NMI << 32, "virtual NMIs");
	expect_missing(0x48f, (u64)EXIT_ACK_INTERRUPT << 32, "acknowledgement");
	expect_missing(0x485, BIT(5), "EFER.LMA");
	expect_missing(0x48c, BIT(25), "INVEPT");
	expect_missing(0x3a, 4, "locked by the firmware");
	fake_msr(0x48e, rdmsr(0x48e) | CPU_CR3_LOAD);
	assert_non_null(__builtin_strstr(vmx_ops.probe(), "CR3 loads"));
	fake_vmx_machine();
	cpuid_1_c &= ~(1u << 5);
	assert_non_null(__builtin_strstr(vmx_ops.probe(), "no VMX"));
	cpuid_1_c |= 1u << 5;
	fake_msr(0x48b, 0);
	assert_non_null(vmx_ops.probe());
	fake_vmx_machine();
	assert_null(vmx_ops.probe());
}

/* Without these it goes on. */
static void optional_capabilities(void **state)
{
	fake_msr(0x48d, rdmsr(0x48d) & ~((u64)PIN_PREEMPTION_TIMER << 32));
	fake_msr(0x48b, rdmsr(0x48b) & ~((u64)(CPU2_RDTSCP | CPU2_INVPCID | CPU2_WBINVD | CPU2_BUS_LOCK | CPU2_TSC_SCALING) << 32));
	fake_msr(0x48c, rdmsr(0x48c) & ~BIT(17));
	assert_null(vmx_ops.probe());
	assert_false(vmx_controls.pin & PIN_PREEMPTION_TIMER);
	assert_false(p2m_format->sizes & PT_1G);
	assert_false(vmx_controls.secondary & CPU2_BUS_LOCK);
	assert_int_equal(clock_ratio_bits, 0);
	fake_vmx_machine();
	assert_null(vmx_ops.probe());
	assert_true(p2m_format->sizes & PT_1G);
	assert_true(vmx_controls.secondary & CPU2_BUS_LOCK);
	assert_int_equal(clock_ratio_bits, ~0ull);
}

/* Only a guest that has another rate than the machine has a scaled TSC; it may be restored once more where it needs none. */
static void scaled_guests(void **state)
{
	struct hvm_hw_cpu c;

	assert_false(vmread(SECONDARY_CONTROLS) & CPU2_TSC_SCALING);
	assert_true(vmread(SECONDARY_CONTROLS) & CPU2_WBINVD);
	hvm_get_context(v, &c);
	v->domain->clock.tsc_ratio = CLOCK_UNSCALED / 2 * 3;
	v->domain->clock.tsc_offset = (u64)-77;
	assert_int_equal(hvm_set_context(v, &c), 0);
	assert_true(vmread(SECONDARY_CONTROLS) & CPU2_TSC_SCALING);
	assert_int_equal(vmread(TSC_MULTIPLIER), 3ull << 47);
	assert_int_equal(vmread(TSC_OFFSET), (u64)-77);
	/* The toolstack may give a vCPU a new state while it is scaled, and a start-up IPI does. */
	hvm_start_sipi(v, 1);
	assert_true(vmread(SECONDARY_CONTROLS) & CPU2_TSC_SCALING);
	v->domain->clock.tsc_ratio = CLOCK_UNSCALED;
	assert_int_equal(hvm_set_context(v, &c), 0);
	assert_false(vmread(SECONDARY_CONTROLS) & CPU2_TSC_SCALING);
	v->domain->privileged = true;
	hvm_reset(v);
	assert_false(vmread(SECONDARY_CONTROLS) & CPU2_WBINVD);
	v->domain->privileged = false;
}

/* Firmware that leaves it open. */
static void unlocked(void **state)
{
	fake_msr(0x3a, 0);
	assert_null(vmx_ops.probe());
	assert_int_equal(rdmsr(0x3a), 5);
}

static void check_state(struct vcpu *w, const char *what)
{
	bool borrowed = vmx_borrow(w);

	vmwrite(VPID, 1);
	vmwrite(GUEST_RIP, w->hvm.regs.rip);
	vmwrite(GUEST_RFLAGS, w->hvm.regs.rflags);
	if (fake_check_entry(fake_rule_counts))
		print_message("%s\n", what);
	fake_check_entry(fake_rule_fails);
	vmx_give_back(w, borrowed);
}

static void states_pass_the_rules(void **state)
{
	struct vcpu *other = fake_vendor_vcpu(true);

	check_state(v, "loaded");
	fake_vendor_load(other);
	fake_vendor_load(v);
	fake_vendor_states(v, check_state);
	/* The service domain's, which is not on this CPU: ours is still the current one afterwards. */
	fake_vendor_load(v);
	hvm->set_pat(other, 0x0606060606060606ull);
	assert_int_equal(vmread(GUEST_PAT), 0x0007040600070406ull);
	fake_vendor_load(NULL);
	fake_vendor_load(other);
	fake_vendor_states(other, check_state);
	fake_vendor_vcpu_free(other);
}

static void state_survives(void **state)
{
	struct hvm_state a, b;

	hvm->get_state(v, &a);
	a.star = 1, a.lstar = 2, a.cstar = 3, a.sfmask = 4, a.kernel_gs_base = 5, a.cr2 = 6, a.dr6 = 0xffff0ff1;
	a.seg[HVM_SEG_LDTR].ar = 0;
	hvm->set_state(v, &a);
	fake_vendor_load(NULL);
	hvm->get_state(v, &b);
	assert_memory_equal(&a, &b, sizeof(a));
	fake_vendor_load(v);
	hvm->get_state(v, &b);
	assert_memory_equal(&a, &b, sizeof(a));
	assert_int_equal(rdmsr(0xc0000082), 2);
}

/* The MSRs of a vCPU are loaded by WRMSR, in ring 0: the toolstack's record may not have a value that faults there. */
static void records_fit_the_msrs(void **state)
{
	struct hvm_hw_cpu good, c;

	hvm_get_context(v, &good);
	assert_int_equal(hvm_set_context(v, &good), 0);
#define EXPECT_REFUSED(field, value) do { c = good; c.field = (value); assert_int_equal(hvm_set_context(v, &c), -EINVAL); } while (0)
	EXPECT_REFUSED(msr_lstar, BIT(47));
	EXPECT_REFUSED(msr_cstar, BIT(63));
	EXPECT_REFUSED(shadow_gs, 0xffff7fffffffffffull);
	EXPECT_REFUSED(msr_syscall_mask, BIT(32));
	EXPECT_REFUSED(msr_tsc_aux, BIT(32));
	c = good;
	c.msr_lstar = c.shadow_gs = 0xffffffff81000000ull;
	assert_int_equal(hvm_set_context(v, &c), 0);
}

/* A field that breaks a rule, and the rule's first words. */
static const struct { u64 field, value; const char *rule; } wrong[] = {
	{ PIN_CONTROLS, 0, "a pin-based" }, { PRIMARY_CONTROLS, 0, "a primary" }, { SECONDARY_CONTROLS, 0, "a secondary" },
	{ EXIT_CONTROLS, 0, "exit controls" }, { ENTRY_CONTROLS, 0, "entry controls" }, { CR3_TARGET_COUNT, 5, "CR3-target" },
	{ IO_BITMAP_A, 1, "I/O bitmaps" }, { MSR_BITMAP, BIT(60), "MSR bitmap" }, { VPID, 0, "VPID" }, { EPT_POINTER, 0, "EPT pointer" },
	{ EXIT_MSR_LOAD_COUNT, 1, "MSR lists" },
	{ ENTRY_INTERRUPTION, EVENT_VALID | 1 << 8, "event: reserved type" }, { ENTRY_INTERRUPTION, EVENT_VALID | EVENT_NMI | 3, "event: an NMI" },
	{ ENTRY_INTERRUPTION, EVENT_VALID | EVENT_EXCEPTION | 32, "event: an exception" },
	{ ENTRY_INTERRUPTION, EVENT_VALID | EVENT_EXCEPTION | 13, "event: error code" },
	{ ENTRY_INTERRUPTION, EVENT_VALID | EVENT_EXCEPTION | 6 | 1 << 20, "event: reserved bits" },
	{ ENTRY_INTERRUPTION, EVENT_VALID | EVENT_SOFT_INTR | 0x80, "event: instruction length" },
	{ ENTRY_INTERRUPTION, EVENT_VALID | EVENT_INTR | 0x40, "an interrupt is injected" },
	{ HOST_CR0, 0, "host CR0" }, { HOST_CR4, 0, "host CR4" }, { HOST_CR3, BIT(60), "host CR3" }, { HOST_GS_BASE, BIT(60), "host: an address" },
	{ HOST_SS, 3, "host: a selector" }, { HOST_CS, 0, "host: CS" }, { HOST_PAT, 2, "host PAT" }, { HOST_EFER, 0, "host EFER" },
	{ GUEST_CR0, 0, "CR0: fixed" }, { GUEST_CR0, CR0_NE | CR0_PG, "CR0: PG" }, { GUEST_CR4, 0, "CR4: fixed" },
	{ GUEST_CR4, CR4_VMXE | CR4_PCIDE, "CR4: PCIDE" }, { GUEST_CR3, BIT(60), "CR3" }, { GUEST_DR7, BIT(32), "DR7" },
	{ GUEST_SYSENTER_EIP, BIT(60), "SYSENTER" }, { GUEST_PAT, 3, "PAT" }, { GUEST_EFER, BIT(1), "EFER: reserved" },
	{ GUEST_EFER, EFER_LMA, "EFER: LMA unlike the mode" },
	{ SEG_FIELD(GUEST_BASE, SEG_CS), BIT(32), "segment: base" }, { SEG_FIELD(GUEST_ACCESS, SEG_CS), 0xc090, "CS: type" },
	{ SEG_FIELD(GUEST_ACCESS, SEG_CS), 0xc0f3, "CS: a data segment" }, { SEG_FIELD(GUEST_ACCESS, SEG_SS), 0xc091, "SS: type" },
	{ SEG_FIELD(GUEST_ACCESS, SEG_DS), 0xc099, "segment: type" }, { SEG_FIELD(GUEST_ACCESS, SEG_ES), 0xc013, "segment: access" },
	{ SEG_FIELD(GUEST_LIMIT, SEG_FS), 0xffff0000, "segment: limit" }, { SEG_FIELD(GUEST_BASE, SEG_GS), BIT(60), "segment: base" },
	{ SEG_FIELD(GUEST_ACCESS, SEG_TR), 0x89, "TR: type" }, { SEG_FIELD(GUEST_ACCESS, SEG_TR), 0x9b, "TR: access" },
	{ SEG_FIELD(GUEST_LIMIT, SEG_TR), BIT(20), "TR: limit" }, { SEG_FIELD(GUEST_SELECTOR, SEG_TR), 4, "TR: selector" },
	{ SEG_FIELD(GUEST_BASE, SEG_TR), BIT(60), "TR: base" }, { SEG_FIELD(GUEST_ACCESS, SEG_LDTR), 0x81, "LDTR: access" },
	{ SEG_FIELD(GUEST_LIMIT, SEG_LDTR), BIT(20), "LDTR: limit" }, { SEG_FIELD(GUEST_SELECTOR, SEG_LDTR), 4, "LDTR: selector" },
	{ SEG_FIELD(GUEST_BASE, SEG_LDTR), BIT(60), "LDTR: base" }, { SEG_FIELD(GUEST_BASE, SEG_GDTR), BIT(60), "GDTR or IDTR: base" },
	{ SEG_FIELD(GUEST_LIMIT, SEG_IDTR), BIT(16), "GDTR or IDTR: limit" },
	{ GUEST_RIP, BIT(32), "RIP" }, { GUEST_RFLAGS, 0, "RFLAGS: reserved" }, { GUEST_ACTIVITY, 1, "activity" },
	{ GUEST_INTERRUPTIBILITY, 4, "interruptibility: reserved" }, { GUEST_INTERRUPTIBILITY, 3, "interruptibility: STI and" },
	{ GUEST_INTERRUPTIBILITY, 1, "interruptibility: blocked by STI" }, { VMCS_LINK_POINTER, 0, "VMCS link" },
	{ GUEST_PENDING_DEBUG, BIT(11), "pending debug exceptions: reserved" }, { GUEST_PENDING_DEBUG, BIT(16), "pending debug exceptions: RTM" },
	{ GUEST_CR4, CR4_VMXE | BIT(23), "CR4: bits that the CPU lacks" }, { SEG_FIELD(GUEST_ACCESS, SEG_CS), 0xc0fb, "CS: DPL unlike" },
	{ SEG_FIELD(GUEST_ACCESS, SEG_CS), 0xc0ff, "CS: conforming" }, { SEG_FIELD(GUEST_ACCESS, SEG_TR), 0x2008b, "TR: access" },
	{ SEG_FIELD(GUEST_ACCESS, SEG_LDTR), 0x20082, "LDTR: access" }, { SEG_FIELD(GUEST_ACCESS, SEG_CS), 0x1c09b, "segment: access" },
};

/* ---- what both vendors share (arch/x86/hvm.c) ---- */

#define REFUSED(field, value) do { \
	struct hvm_hw_cpu c = good; \
	c.field = value; \
	if (hvm_set_context(v, &c) != -EINVAL) \
		fail_msg("a context with %s = %s is taken", #field, #value); \
} while (0)

static void contexts_that_cant_be_are_refused(void **state)
{
	struct hvm_hw_cpu good;

	hvm_get_context(v, &good);
	assert_int_equal(hvm_set_context(v, &good), 0);
	REFUSED(cr0, CR0_PG);
	REFUSED(cr0, CR0_PE | CR0_NW);
	REFUSED(cr0, CR0_PE | BIT(32));
	REFUSED(cr4, BIT(32));
	REFUSED(cr4, BIT(23));
	REFUSED(cr4, BIT(13));
	REFUSED(cr4, BIT(12));
	REFUSED(msr_efer, EFER_SVME);
	REFUSED(dr6, BIT(32));
	REFUSED(dr7, BIT(32));
	REFUSED(cr3, BIT(52));
	REFUSED(rflags, BIT(3));
	REFUSED(rflags, BIT(22));
	/* In long mode. */
	good.cr0 = CR0_PG | CR0_PE | CR0_ET;
	good.cr4 = CR4_PAE;
	good.msr_efer = EFER_LME | EFER_LMA;
	good.cs_arbytes = 0xa9b;
	assert_int_equal(hvm_set_context(v, &good), 0);
	REFUSED(cr4, 0);
	REFUSED(cs_arbytes, 0xe9b);
}

static void xcr0_has_its_rules(void **state)
{
	static const struct { u64 xcr0; int result; } cases[] = {
		{ 0, -EINVAL }, { 1, 0 }, { 2, -EINVAL }, { 3, 0 }, { 5, -EINVAL }, { 6, -EINVAL }, { 7, 0 }, { 8 | 7, -EINVAL }, { 0xe7, -EINVAL },
	};

	for (unsigned i = 0; i < ARRAY_SIZE(cases); i++) {
		this_cpu()->xcr0 = cases[i].xcr0;       /* the CPU has it already: nothing to write */
		assert_int_equal(hvm_set_xcr0(v, cases[i].xcr0, 7), cases[i].result);
	}
}

/* Only CPUs that run the domain and don't know of the change; and never the one that asks. */
static void flushing_waits_for_the_others(void **state)
{
	static struct p2m mine, theirs;

	nr_cpus = 3;
	percpu[0].in_guest = percpu[1].in_guest = percpu[2].in_guest = 1;
	percpu[0].guest_p2m = percpu[2].guest_p2m = &mine;
	percpu[0].guest_gen = 1;
	percpu[1].guest_p2m = &theirs;
	percpu[1].guest_gen = 1;
	percpu[2].guest_gen = 1;
	fake_last_ipi = 0;
	fake_on_ipi = &percpu[2];
	hvm_flush_others(&mine, 2);
	assert_int_equal(fake_last_ipi, percpu[2].apic_id);
	fake_last_ipi = 0;
	percpu[2].in_guest = 1;
	percpu[2].guest_gen = 2;
	hvm_flush_others(&mine, 2);
	assert_int_equal(fake_last_ipi, 0);
	/* Two that have to leave: the first does only when the second is told too. */
	nr_cpus = 4;
	percpu[2].guest_gen = percpu[3].guest_gen = 1;
	percpu[3].guest_p2m = &mine;
	percpu[3].in_guest = 1;
	fake_on_ipi = &percpu[3];
	hvm_flush_others(&mine, 2);
	assert_int_equal(percpu[2].in_guest + percpu[3].in_guest, 0);
	percpu[0].in_guest = percpu[1].in_guest = 0;
	nr_cpus = 1;
}

static char broken[4096];
static void note(const char *rule) { snprintf(broken + strlen(broken), sizeof(broken) - strlen(broken), "%s; ", rule); }

/* What the CPU keeps by itself, or marks, is made from what the toolstack gives. */
static void states_are_made_whole(void **state)
{
	struct hvm_state s;

	hvm->get_state(v, &s);
	s.cr0 |= CR0_PG;
	s.cr4 = CR4_PAE;
	s.efer = EFER_LME;
	s.seg[HVM_SEG_LDTR].ar = s.seg[HVM_SEG_FS].ar = 0;
	hvm->set_state(v, &s);
	assert_int_equal(vmread(GUEST_EFER), EFER_LME | EFER_LMA);
	assert_true(vmread(ENTRY_CONTROLS) & ENTRY_GUEST_64);
	assert_true(vmread(SEG_FIELD(GUEST_ACCESS, SEG_LDTR)) & ACCESS_UNUSABLE);
	assert_true(vmread(SEG_FIELD(GUEST_ACCESS, SEG_FS)) & ACCESS_UNUSABLE);
	assert_false(vmread(SEG_FIELD(GUEST_ACCESS, SEG_DS)) & ACCESS_UNUSABLE);
	check_state(v, "long mode");
	s.cr0 &= ~CR0_PG;
	s.efer = EFER_LME | EFER_LMA;
	hvm->set_state(v, &s);
	assert_int_equal(vmread(GUEST_EFER), EFER_LME);
	assert_false(vmread(ENTRY_CONTROLS) & ENTRY_GUEST_64);
}

static void broken_rules_are_named(void **state)
{
	vmwrite(VPID, 1);
	vmwrite(GUEST_RIP, 0x1000850);
	vmwrite(GUEST_RFLAGS, 2);
	assert_int_equal(fake_check_entry(fake_rule_fails), 0);
	/* An error code has 16 bits, all of them. */
	vmwrite(ENTRY_INTERRUPTION, EVENT_VALID | EVENT_EXCEPTION | EVENT_HAS_ERROR | 13);
	vmwrite(ENTRY_ERROR_CODE, 0xffff);
	assert_int_equal(fake_check_entry(fake_rule_fails), 0);
	vmwrite(ENTRY_ERROR_CODE, 0x10000);
	assert_int_equal(fake_check_entry(fake_rule_counts), 1);
	vmwrite(ENTRY_INTERRUPTION, 0);
	for (unsigned i = 0; i < ARRAY_SIZE(wrong); i++) {
		u64 before = vmread(wrong[i].field);

		broken[0] = 0;
		vmwrite(wrong[i].field, wrong[i].value);
		fake_check_entry(note);
		if (!__builtin_strstr(broken, wrong[i].rule))
			fail_msg("field %#lx = %#lx does not break \"%s\" but: %s", (unsigned long)wrong[i].field, (unsigned long)wrong[i].value,
				 wrong[i].rule, broken);
		vmwrite(wrong[i].field, before);
	}
}

static struct { u32 reason; u64 qualification; u32 length, vectoring, blocked; } next_exit;

static void leave(struct cpu_regs *regs)
{
	vmwrite(EXIT_REASON, next_exit.reason);
	vmwrite(EXIT_QUALIFICATION, next_exit.qualification);
	vmwrite(EXIT_INSN_LENGTH, next_exit.length);
	vmwrite(IDT_VECTORING, next_exit.vectoring);
	vmwrite(GUEST_INTERRUPTIBILITY, next_exit.blocked);
}

static u32 run(u32 reason, u64 qualification)
{
	next_exit.reason = reason;
	next_exit.qualification = qualification;
	next_exit.length = 2;
	fake_guest = leave;
	memset(&x, 0xff, sizeof(x));    /* as the last user of the record left it */
	hvm->run(v, &x);
	return x.reason;
}

static void exits(void **state)
{
	assert_int_equal(run(VMX_CPUID, 0), EXIT_CPUID);
	assert_int_equal(x.len, 2);
	assert_int_equal(run(VMX_IO, 0x3f8ull << 16 | 1 << 3), EXIT_IO);
	assert_true(x.io.port == 0x3f8 && x.io.in && x.io.size == 1 && !x.io.string && !x.io.rep);
	assert_int_equal(run(VMX_IO, 0xe9ull << 16 | 1 << 4 | 1 << 5 | 3), EXIT_IO);
	assert_true(x.io.port == 0xe9 && !x.io.in && x.io.size == 4 && x.io.string && x.io.rep);
	vmwrite(GUEST_PHYSICAL_ADDRESS, 0x123456);
	assert_int_equal(run(VMX_EPT_VIOLATION, 1 << 1 | 1 << 3), EXIT_NPF);
	assert_true(x.npf.gpa == 0x123456 && x.npf.write && !x.npf.fetch && x.npf.present);
	vmwrite(EXIT_INTERRUPTION, EVENT_VALID | 0x51);
	assert_int_equal(run(VMX_INTERRUPT, 0), EXIT_INTERRUPT);
	assert_int_equal(x.acknowledged, 0x51);
	assert_int_equal(run(VMX_PREEMPTION_TIMER, 0), EXIT_INTERRUPT);
	assert_int_equal(x.acknowledged, 0);
	assert_int_equal(run(VMX_VMCALL, 0), EXIT_HYPERCALL);
	assert_true(x.call.cpl == 0 && !x.call.long_mode);
	assert_int_equal(run(VMX_VMXON, 0), EXIT_UNDEFINED);
	assert_int_equal(run(VMX_INVEPT, 0), EXIT_UNDEFINED);
	/* A bus lock, alone or with another exit, of which it changes nothing. */
	assert_false(v->attention);
	assert_int_equal(run(VMX_BUS_LOCK, 0), EXIT_BUS_LOCK);
	assert_true(v->attention == VCPU_BUS_LOCK);
	v->attention = 0;
	assert_int_equal(run(VMX_HLT | EXIT_BUS_LOCKED, 0), EXIT_HLT);
	assert_true(v->attention == VCPU_BUS_LOCK);
	v->attention = 0;
	assert_int_equal(run(9, 0), EXIT_UNKNOWN);
	assert_false(v->attention);
	assert_int_equal(x.odd.code, 9);
	v->hvm.regs.rip = 0x1000;
	vmwrite(GUEST_RIP, 0x1000);
	assert_int_equal(run(VMX_WBINVD, 0), EXIT_RETRY);
	assert_int_equal(v->hvm.regs.rip, 0x1002);
}

/* Time in the hypervisor counts as well: a guest that is only ever in for an instant loses the CPU all the same. */
static void slices(void **state)
{
	struct vmx_vcpu *vx = v->hvm.vendor;

	assert_true(vmread(PREEMPTION_TIMER) > 0);
	vx->slice_end = ~0ull;
	run(VMX_CPUID, 0);
	assert_true(vmread(PREEMPTION_TIMER) > 0);
	vx->slice_end = 0;
	run(VMX_CPUID, 0);
	assert_int_equal(vmread(PREEMPTION_TIMER), 0);
	run(VMX_PREEMPTION_TIMER, 0);
	assert_true(vmread(PREEMPTION_TIMER) > 0 && vx->slice_end > 0);
}

static void control_registers(void **state)
{
	/* CR0 from RBX: seen as wanted, and the instruction is executed again; the CPU never loses NE, never has caching off. */
	v->hvm.regs.rbx = CR0_PE | CR0_CD | CR0_NW;
	assert_int_equal(run(VMX_CR_ACCESS, 0 | 3 << 8), EXIT_RETRY);
	assert_int_equal(hvm->get_cr(v, HVM_CR0) & (CR0_CD | CR0_NW | CR0_NE), CR0_CD | CR0_NW);
	assert_int_equal(vmread(GUEST_CR0) & (CR0_CD | CR0_NW | CR0_NE), CR0_NE);
	assert_int_equal(v->hvm.regs.rip, 0x1000850);
	/* CR8 from and to RSI is only reported. */
	assert_int_equal(run(VMX_CR_ACCESS, 8 | 6 << 8), EXIT_CR8);
	assert_true(x.cr8.reg == 6 && !x.cr8.read && x.len == vmread(EXIT_INSN_LENGTH));
	assert_int_equal(run(VMX_CR_ACCESS, 8 | 1 << 4 | 6 << 8), EXIT_CR8);
	assert_true(x.cr8.reg == 6 && x.cr8.read);
	assert_int_equal(v->hvm.regs.rip, 0x1000850);
	/* CR4 with VMXE. */
	v->hvm.regs.rax = CR4_VMXE;
	assert_int_equal(run(VMX_CR_ACCESS, 4), EXIT_EXCEPTION);
	assert_true(x.exc.vector == 13 && !x.exc.error);
	assert_int_equal(hvm->get_cr(v, HVM_CR4), 0);
	/* With MCE, from RBX: it sees what it has set; the CPU always has it on, since a machine check were a shutdown otherwise. */
	assert_true(vmread(CR4_MASK) & CR4_MCE && vmread(GUEST_CR4) & CR4_MCE);
	v->hvm.regs.rbx = CR4_MCE | CR4_PAE;
	vmwrite(ENTRY_INTERRUPTION, 0);
	assert_int_equal(run(VMX_CR_ACCESS, 4 | 3 << 8), EXIT_RETRY);
	assert_int_equal(vmread(ENTRY_INTERRUPTION), 0);
	assert_int_equal(vmread(CR4_SHADOW), CR4_MCE);
	assert_int_equal(hvm->get_cr(v, HVM_CR4), CR4_MCE);
	v->hvm.regs.rbx = CR4_PAE;
	run(VMX_CR_ACCESS, 4 | 3 << 8);
	assert_int_equal(hvm->get_cr(v, HVM_CR4), 0);
	assert_true(vmread(GUEST_CR4) & CR4_MCE);
	/* What guests don't have is no more allowed for it. */
	v->hvm.regs.rbx = CR4_MCE | CR4_PAE | CR4_VMXE;
	assert_int_equal(run(VMX_CR_ACCESS, 4 | 3 << 8), EXIT_EXCEPTION);
	assert_int_equal(hvm->get_cr(v, HVM_CR4), 0);
}

/* Is an interrupt that is offered now injected? If not, an exit is asked for, until the offer is over. */
static bool taken(u8 vector)
{
	bool took;

	hvm->offer_interrupt(v, vector);
	took = !(vmread(PRIMARY_CONTROLS) & CPU_INTERRUPT_WINDOW);
	assert_int_equal(hvm->took_interrupt(v), took);
	assert_false(vmread(PRIMARY_CONTROLS) & CPU_INTERRUPT_WINDOW);
	return took;
}

static void events(void **state)
{
	v->hvm.regs.rflags = 2;
	assert_false(taken(0x31));
	v->hvm.regs.rflags = 2 | RFLAGS_IF;
	vmwrite(GUEST_RFLAGS, 2 | RFLAGS_IF);
	assert_true(taken(0x31));
	assert_int_equal(vmread(ENTRY_INTERRUPTION), EVENT_VALID | EVENT_INTR | 0x31);
	assert_false(taken(0x32));
	/* Cut off in its delivery: again. */
	next_exit.vectoring = EVENT_VALID | EVENT_INTR | 0x31;
	run(VMX_EPT_VIOLATION, 0);
	assert_int_equal(vmread(ENTRY_INTERRUPTION), EVENT_VALID | EVENT_INTR | 0x31);
	assert_false(taken(0x32));
	next_exit.vectoring = 0;
	/* STI's shadow holds until an instruction has been completed for the guest. */
	next_exit.blocked = BLOCKED_BY_STI;
	assert_int_equal(run(VMX_INTERRUPT_WINDOW, 0), EXIT_WINDOW);
	assert_false(taken(0x32));
	run(VMX_HLT, 0);
	assert_true(taken(0x32));
	next_exit.blocked = 0;
	run(VMX_CPUID, 0);
	/* A second NMI waits for the first one's IRET. */
	assert_true(hvm->inject_nmi(v));
	next_exit.blocked = BLOCKED_BY_NMI;
	run(VMX_CPUID, 0);
	assert_false(hvm->inject_nmi(v));
	assert_true(vmread(PRIMARY_CONTROLS) & CPU_NMI_WINDOW);
	next_exit.blocked = 0;
	assert_int_equal(run(VMX_NMI_WINDOW, 0), EXIT_WINDOW);
	assert_true(hvm->inject_nmi(v));
	/* One that is cut off by an exit is injected again, and blocks the next only when it is delivered. */
	next_exit.vectoring = EVENT_VALID | EVENT_NMI | 2;
	next_exit.blocked = BLOCKED_BY_NMI;
	run(VMX_EPT_VIOLATION, 0);
	assert_int_equal(vmread(ENTRY_INTERRUPTION), EVENT_VALID | EVENT_NMI | 2);
	assert_false(vmread(GUEST_INTERRUPTIBILITY) & BLOCKED_BY_NMI);
	assert_int_equal(fake_check_entry(fake_rule_fails), 0);
	next_exit.vectoring = next_exit.blocked = 0;
	run(VMX_CPUID, 0);
	/* In real mode exceptions have no error code. */
	hvm_reset(v);
	hvm->inject_exception(v, 13, true, 0);
	assert_int_equal(vmread(ENTRY_INTERRUPTION), EVENT_VALID | EVENT_EXCEPTION | 13);
}

static void translations(void **state)
{
	unsigned before;

	run(VMX_CPUID, 0);
	before = fake_invepts;
	run(VMX_CPUID, 0);
	assert_int_equal(fake_invepts, before);
	v->domain->p2m.tlb_gen++;
	run(VMX_CPUID, 0);
	assert_int_equal(fake_invepts, before + 1);
	/* Whoever waits for this CPU to know of a change is told what it knows. */
	assert_int_equal(this_cpu()->guest_gen, v->domain->p2m.tlb_gen);
	v->hvm.asid_generation = 0;
	run(VMX_CPUID, 0);
	assert_int_equal(fake_invepts, before + 2);
	/* When the VPIDs run out, all start again. */
	before = fake_invvpids;
	this_cpu()->asid_next = 0x10000;
	v->hvm.asid_generation = 0;
	run(VMX_CPUID, 0);
	assert_int_equal(fake_invvpids, before + 1);
	assert_int_equal(vmread(VPID), 1);
}

static void refused_entry(void **state)
{
	struct vmx_vcpu *vx = v->hvm.vendor;

	vmwrite(GUEST_CR3, BIT(60));
	assert_int_equal(run(VMX_CPUID, 0), EXIT_FAILED);
	assert_true(x.odd.code == (EXIT_ENTRY_FAILED | 33) && !x.odd.undelivered);
	broken[0] = 0;
	assert_int_equal(hvm->check(v, note), 1);
	assert_non_null(__builtin_strstr(broken, "CR3: beyond the CPU's addresses"));
	hvm->inject_exception(v, 13, true, 0);
	assert_int_equal(run(VMX_CPUID, 0), EXIT_FAILED);
	assert_true(x.odd.undelivered);
	assert_true(hvm_mend(v));
	assert_false(hvm_mend(v));
	assert_int_equal(run(VMX_CPUID, 0), EXIT_CPUID);
	/* Each that can be put right is. */
	static const struct { u64 field, value; } bad[] = {
		{ GUEST_INTERRUPTIBILITY, BLOCKED_BY_STI | BLOCKED_BY_MOV_SS | BLOCKED_BY_NMI }, { GUEST_INTERRUPTIBILITY, 4 }, { GUEST_PENDING_DEBUG, BIT(11) },
		{ GUEST_ACTIVITY, 3 }, { GUEST_DR7, BIT(32) | 0x400 },
	};
	for (unsigned i = 0; i < ARRAY_SIZE(bad); i++) {
		vmwrite(bad[i].field, bad[i].value);
		assert_int_equal(run(VMX_CPUID, 0), EXIT_FAILED);
		assert_true(hvm_mend(v));
		assert_int_equal(vx->blocked, vmread(GUEST_INTERRUPTIBILITY));
		assert_int_equal(run(VMX_CPUID, 0), EXIT_CPUID);
	}
	v->hvm.regs.rip = BIT(32) | 2;
	assert_int_equal(run(VMX_CPUID, 0), EXIT_FAILED);
	assert_true(hvm_mend(v) && v->hvm.regs.rip == 2);
	assert_int_equal(run(VMX_CPUID, 0), EXIT_CPUID);
	/* The event that was to be injected with it still is. */
	hvm->inject_step(v);
	v->hvm.regs.rip = BIT(32) | 2;
	assert_int_equal(run(VMX_CPUID, 0), EXIT_FAILED);
	assert_true(hvm_mend(v) && v->hvm.regs.rip == 2);
	assert_int_equal(vmread(ENTRY_INTERRUPTION), EVENT_VALID | EVENT_EXCEPTION | 1);
	assert_int_equal(run(VMX_CPUID, 0), EXIT_CPUID);
	/* An exit that nobody knows, in the middle of an exception's delivery and otherwise. */
	next_exit.vectoring = EVENT_VALID | EVENT_EXCEPTION | 6;
	assert_int_equal(run(9, 0), EXIT_UNKNOWN);
	assert_true(x.odd.undelivered);
	next_exit.vectoring = 0;
	assert_int_equal(run(9, 0), EXIT_UNKNOWN);
	assert_false(x.odd.undelivered);
}

static void hostile_states(void **state)
{
	struct vcpu *other = fake_vendor_vcpu(false);

	fake_vendor_load(other);        /* once, for its host state */
	fake_vendor_load(v);
	fake_vendor_hostile_states(other, check_state);
	fake_vendor_vcpu_free(other);
}

/*
 * As the log of the attack had it: 32-bit code of a process, in long mode. And #DB behind an
 * instruction, with what MOV SS has left pending.
 */
static void instructions_end(void **state)
{
	struct cpu_regs *r = &v->hvm.regs;

	vmwrite(GUEST_RIP, r->rip = 0xfffffffe);
	assert_int_equal(run(VMX_INVD, 0), EXIT_RETRY);
	assert_int_equal(r->rip, 0);
	vmwrite(GUEST_RIP, r->rip = 0xffffffff);
	vmwrite(EXIT_INTERRUPTION, EVENT_VALID | EVENT_ICEBP | 1);
	next_exit.length = 1;
	assert_int_equal(run(VMX_EXCEPTION, 0), EXIT_EXCEPTION);
	assert_int_equal(r->rip, 1);
	vmwrite(GUEST_DR7, 0x400 | DR7_GD);
	vmwrite(GUEST_PENDING_DEBUG, PENDING_BREAKPOINT | 2);
	write_dr6(0xffff0ff1);
	r->rip = 0x1000;
	r->rflags = 2 | RFLAGS_TF;
	hvm_complete(v, r, 2);
	assert_int_equal(vmread(ENTRY_INTERRUPTION), EVENT_VALID | EVENT_EXCEPTION | 1);
	assert_true(read_dr6() == (0xffff0ff2 | DR6_BS) && vmread(GUEST_DR7) == 0x400 && r->rip == 0x1002);
	/* An interrupt waits for its turn. */
	r->rflags |= RFLAGS_IF;
	hvm->offer_interrupt(v, 0x31);
	assert_false(hvm->took_interrupt(v));
	assert_int_equal(run(VMX_CPUID, 0), EXIT_CPUID);
}

/* A bit for each port and MSR, two for the latter. */
static void permission_maps(void **state)
{
	const u8 *msr = phys_to_virt(vmread(MSR_BITMAP)), *a = phys_to_virt(vmread(IO_BITMAP_A)), *b = phys_to_virt(vmread(IO_BITMAP_B));
	struct vcpu *other = fake_vendor_vcpu(true);

	assert_true(a[0x3f8 / 8] == 0xff && b[0] == 0xff);
	assert_int_equal(msr[1024 + 0x82 / 8], 0xe1);           /* 0xc0000081-84, reads, 80 is EFER */
	assert_int_equal(msr[2048 + 1024 + 0x82 / 8], 0xe1);
	assert_int_equal(msr[0x174 / 8], 0x8f);
	assert_int_equal(msr[0x277 / 8], 0xff);
	fake_vendor_load(other);
	a = phys_to_virt(vmread(IO_BITMAP_A)), b = phys_to_virt(vmread(IO_BITMAP_B));
	assert_true(a[0x20 / 8] == 1 && a[0x3f8 / 8] == 0 && b[0] == 0);
	fake_vendor_vcpu_free(other);
	fake_vendor_load(v);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(missing_capabilities, set_up, tear_down),
		cmocka_unit_test_setup_teardown(optional_capabilities, set_up, tear_down),
		cmocka_unit_test_setup_teardown(scaled_guests, set_up, tear_down),
		cmocka_unit_test_setup_teardown(unlocked, set_up, tear_down),
		cmocka_unit_test_setup_teardown(states_pass_the_rules, set_up, tear_down),
		cmocka_unit_test_setup_teardown(state_survives, set_up, tear_down),
		cmocka_unit_test_setup_teardown(records_fit_the_msrs, set_up, tear_down),
		cmocka_unit_test_setup_teardown(states_are_made_whole, set_up, tear_down),
		cmocka_unit_test_setup_teardown(contexts_that_cant_be_are_refused, set_up, tear_down),
		cmocka_unit_test_setup_teardown(xcr0_has_its_rules, set_up, tear_down),
		cmocka_unit_test_setup_teardown(flushing_waits_for_the_others, set_up, tear_down),
		cmocka_unit_test_setup_teardown(broken_rules_are_named, set_up, tear_down),
		cmocka_unit_test_setup_teardown(exits, set_up, tear_down),
		cmocka_unit_test_setup_teardown(slices, set_up, tear_down),
		cmocka_unit_test_setup_teardown(control_registers, set_up, tear_down),
		cmocka_unit_test_setup_teardown(events, set_up, tear_down),
		cmocka_unit_test_setup_teardown(translations, set_up, tear_down),
		cmocka_unit_test_setup_teardown(refused_entry, set_up, tear_down),
		cmocka_unit_test_setup_teardown(hostile_states, set_up, tear_down),
		cmocka_unit_test_setup_teardown(instructions_end, set_up, tear_down),
		cmocka_unit_test_setup_teardown(permission_maps, set_up, tear_down),
	};

	fake_memory_init(4096);
	page_add_range(MiB(1), MiB(16));
	return cmocka_run_group_tests(tests, NULL, NULL);
}
