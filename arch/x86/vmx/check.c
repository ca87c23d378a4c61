/*
 * The rules of VM entry for the current VMCS, as far as we use the fields: SDM vol. 3, "Checking
 * and Loading Guest State", 27.3. The CPU says only that it refused an entry; this says why. The
 * unit tests run it over a software VMCS. They add the rules about controls and host state, which
 * no guest can change (tests/unit/check_vmx.c).
 */
#include <asm/entry_check.h>
#include <asm/hvm.h>
#include <asm/insn.h>
#include <asm/vmx_insn.h>
#include "arch/x86/vmx/vmcs.h"
#include "arch/x86/vmx/vmx.h"

enum { MSR_CR4_FIXED1 = 0x489 };

static bool all_clear(u64 v, u64 bits) { return !(v & bits); }

/*
 * The reasons why a guest can't reach a state that breaks a rule of 27.3. An exit saves the CPU's
 * state, and entry accepts that (28.3). So only states from elsewhere matter, and changes between
 * exit and entry.
 * - The toolstack's states are checked by these rules before they count (arch/x86/hvm.c).
 * - CR0, CR4: the CPU faults where VMX wants another value (24.8), except for the bits that are
 *   ours (vmx.h). CR3, DR7, SYSENTER: it faults.
 * - EFER and PAT: vmm/cpu/msr.c knows their values, and LME doesn't change with paging on. LMA and
 *   the entry control follow the CPU.
 * - PDPTEs: the CPU loads them with CR3, and faults; vmx_set_state() leaves none that is present.
 * - Segments: only the CPU writes them.
 * - RIP: hvm_advance() cuts it to 32 bits outside of 64-bit code. The manual allows it beyond the
 *   last canonical address.
 * - RFLAGS: only RF is changed.
 * - Interruptibility: blocking by STI and MOV SS is only ever cleared; STI's ends with the
 *   instruction that could clear IF.
 * - Pending debug exceptions: they stay as the exit had them as long as the blocking does.
 * - Activity: HLT exits, shutdown is a triple fault's exit, and no vCPU waits for SIPI in guest
 *   mode.
 * - Injected events: vmx_offer_interrupt() and vmx_inject_nmi() look at the flags and the blocking,
 *   and inject nothing next to another event.
 */

/* 27.3.1.1 */
static void check_control_registers(struct check *c, u64 cr0, u64 cr4, u64 efer, bool long_mode)
{
	u64 may_be_0 = CR0_PE | CR0_PG;         /* unrestricted guest */

	rule(c, !(vmx_cr0_fixed & ~may_be_0 & ~cr0) && !(cr0 >> 32), "CR0: fixed bits");
	rule(c, !(cr0 & CR0_PG) || cr0 & CR0_PE, "CR0: PG without PE");
	rule(c, !(vmx_cr4_fixed & ~cr4), "CR4: fixed bits");
	rule(c, !(cr4 & ~rdmsr(MSR_CR4_FIXED1)), "CR4: bits that the CPU lacks");
	rule(c, !long_mode || (cr0 & CR0_PG && cr4 & CR4_PAE), "IA-32e mode without paging or PAE");
	rule(c, long_mode || all_clear(cr4, CR4_PCIDE), "CR4: PCIDE outside of IA-32e mode");
	rule(c, !(vmread(GUEST_CR3) >> hvm_phys_bits), "CR3: beyond the CPU's addresses");
	rule(c, !(vmread(GUEST_DR7) >> 32), "DR7: upper half");
	rule(c, canonical(vmread(GUEST_SYSENTER_ESP)) && canonical(vmread(GUEST_SYSENTER_EIP)), "SYSENTER: an address is not canonical");
	rule(c, hvm_valid_pat(vmread(GUEST_PAT)), "PAT");
	rule(c, all_clear(efer, ~(u64)(EFER_SCE | EFER_LME | EFER_LMA | EFER_NXE)), "EFER: reserved bits");
	rule(c, long_mode == !!(efer & EFER_LMA), "EFER: LMA unlike the mode that is entered");
	rule(c, !(cr0 & CR0_PG) || !(efer & EFER_LMA) == !(efer & EFER_LME), "EFER: LMA unlike LME with paging on");
}

/* A limit that the granularity bit can express. */
static bool limit_fits(u64 limit, u64 access)
{
	return access & ACCESS_G ? (limit & 0xfff) == 0xfff : !(limit >> 20);
}

/* 27.3.1.2, for ES to GS; guests in virtual-8086 mode have their own rules. */
static void check_segment(struct check *c, unsigned seg, bool v86, bool long_mode)
{
	u64 base = vmread(SEG_FIELD(GUEST_BASE, seg)), access = vmread(SEG_FIELD(GUEST_ACCESS, seg)), type = access & 15;
	u64 cs_access = vmread(SEG_FIELD(GUEST_ACCESS, SEG_CS)), dpl = ACCESS_DPL(access);
	u64 ss_dpl = ACCESS_DPL(vmread(SEG_FIELD(GUEST_ACCESS, SEG_SS)));
	bool usable = all_clear(access, ACCESS_UNUSABLE), real = !(vmread(GUEST_CR0) & CR0_PE);

	rule(c, seg == SEG_FS || seg == SEG_GS ? canonical(base) : seg == SEG_CS || usable ? !(base >> 32) : true, "segment: base");
	if (v86) {
		rule(c, base == vmread(SEG_FIELD(GUEST_SELECTOR, seg)) << 4 && access == 0xf3 &&
		     vmread(SEG_FIELD(GUEST_LIMIT, seg)) == 0xffff, "segment: virtual-8086 mode");
		return;
	}
	if (seg == SEG_CS) {
		rule(c, type == 3 || (type & 9) == 9, "CS: type");
		rule(c, type != 3 || !dpl, "CS: a data segment with DPL other than 0");
		rule(c, (type & 13) != 9 || dpl == ss_dpl, "CS: DPL unlike that of SS");
		rule(c, (type & 13) != 13 || dpl <= ss_dpl, "CS: conforming, with a DPL above that of SS");
		rule(c, !(long_mode && access & ACCESS_L && access & ACCESS_DB), "CS: L and D");
	}
	if (seg == SEG_SS) {
		rule(c, !usable || type == 3 || type == 7, "SS: type");
		rule(c, !(real || (cs_access & 15) == 3) || !dpl, "SS: DPL is not 0");
	}
	if (seg != SEG_CS && !usable)
		return;
	rule(c, seg == SEG_CS || seg == SEG_SS || (type & 1 && (type & 10) != 8), "segment: type");
	rule(c, access & ACCESS_S && access & ACCESS_P && all_clear(access, 0xfffe0f00 | ACCESS_UNUSABLE), "segment: access rights");
	rule(c, limit_fits(vmread(SEG_FIELD(GUEST_LIMIT, seg)), access), "segment: limit and granularity");
}

static void check_system_segments(struct check *c, bool long_mode)
{
	u64 tr = vmread(SEG_FIELD(GUEST_ACCESS, SEG_TR)), ldtr = vmread(SEG_FIELD(GUEST_ACCESS, SEG_LDTR));

	rule(c, (tr & 15) == 11 || (!long_mode && (tr & 15) == 3), "TR: type");
	rule(c, tr & ACCESS_P && all_clear(tr, ACCESS_S | ACCESS_UNUSABLE | 0xfffe0f00), "TR: access rights");
	rule(c, limit_fits(vmread(SEG_FIELD(GUEST_LIMIT, SEG_TR)), tr), "TR: limit and granularity");
	rule(c, all_clear(vmread(SEG_FIELD(GUEST_SELECTOR, SEG_TR)), 4), "TR: selector of the local table");
	rule(c, canonical(vmread(SEG_FIELD(GUEST_BASE, SEG_TR))), "TR: base");
	if (all_clear(ldtr, ACCESS_UNUSABLE)) {
		rule(c, (ldtr & 15) == 2 && ldtr & ACCESS_P && all_clear(ldtr, ACCESS_S | 0xfffe0f00), "LDTR: access rights");
		rule(c, limit_fits(vmread(SEG_FIELD(GUEST_LIMIT, SEG_LDTR)), ldtr), "LDTR: limit and granularity");
		rule(c, all_clear(vmread(SEG_FIELD(GUEST_SELECTOR, SEG_LDTR)), 4), "LDTR: selector of the local table");
		rule(c, canonical(vmread(SEG_FIELD(GUEST_BASE, SEG_LDTR))), "LDTR: base");
	}
	/* 27.3.1.3 */
	for (unsigned seg = SEG_GDTR; seg <= SEG_IDTR; seg++) {
		rule(c, canonical(vmread(SEG_FIELD(GUEST_BASE, seg))), "GDTR or IDTR: base");
		rule(c, !(vmread(SEG_FIELD(GUEST_LIMIT, seg)) >> 16), "GDTR or IDTR: limit");
	}
}

/* 27.3.1.4 and 27.3.1.5 */
static void check_rip_and_events(struct check *c, bool long_mode)
{
	u64 rip = vmread(GUEST_RIP), rflags = vmread(GUEST_RFLAGS), event = vmread(ENTRY_INTERRUPTION), type = event & EVENT_TYPE;
	u64 blocked = vmread(GUEST_INTERRUPTIBILITY), shadow = blocked & (BLOCKED_BY_STI | BLOCKED_BY_MOV_SS);
	u64 pending = vmread(GUEST_PENDING_DEBUG), step = rflags & RFLAGS_TF && all_clear(vmread(GUEST_DEBUGCTL), BIT(1)) ? PENDING_STEP : 0;
	bool code_64 = long_mode && vmread(SEG_FIELD(GUEST_ACCESS, SEG_CS)) & ACCESS_L, valid = event & EVENT_VALID;

	/*
	 * Not "canonical": bits 63:48 are all alike, but bit 47 may differ from them. The fetch
	 * then faults, as after any other instruction.
	 */
	rule(c, code_64 ? (u64)((s64)rip >> 48) + 1 <= 1 : !(rip >> 32), "RIP");
	rule(c, rflags & RFLAGS_ONE && all_clear(rflags, ~RFLAGS_KNOWN), "RFLAGS: reserved bits");
	rule(c, all_clear(rflags, RFLAGS_VM) || (!long_mode && vmread(GUEST_CR0) & CR0_PE), "RFLAGS: VM in IA-32e mode or in real mode");
	rule(c, !(valid && type == EVENT_INTR) || (rflags & RFLAGS_IF && !shadow), "an interrupt is injected, but the guest can't take it");
	rule(c, !(valid && type == EVENT_NMI) || all_clear(blocked, BLOCKED_BY_MOV_SS | BLOCKED_BY_NMI), "an NMI is injected, but the guest can't take it");
	rule(c, vmread(GUEST_ACTIVITY) == 0, "activity state");
	rule(c, all_clear(blocked, ~(u64)0xb), "interruptibility: reserved bits, or SMI");
	rule(c, shadow != (BLOCKED_BY_STI | BLOCKED_BY_MOV_SS), "interruptibility: STI and MOV SS at once");
	rule(c, rflags & RFLAGS_IF || all_clear(blocked, BLOCKED_BY_STI), "interruptibility: blocked by STI with interrupts off");
	rule(c, all_clear(pending, ~(u64)(15 | PENDING_BREAKPOINT | PENDING_STEP | PENDING_RTM)), "pending debug exceptions: reserved bits");
	rule(c, !shadow || (pending & PENDING_STEP) == step, "pending debug exceptions: a step unlike RFLAGS.TF");
	rule(c, all_clear(pending, PENDING_RTM) || (pending & (PENDING_BREAKPOINT | PENDING_STEP) && !shadow), "pending debug exceptions: RTM");
	rule(c, vmread(VMCS_LINK_POINTER) == ~0ull, "VMCS link pointer");
}

unsigned vmx_check_entry(void (*broken)(const char *rule))
{
	struct check c = { broken, 0 };
	bool long_mode = vmread(ENTRY_CONTROLS) & ENTRY_GUEST_64;

	check_control_registers(&c, vmread(GUEST_CR0), vmread(GUEST_CR4), vmread(GUEST_EFER), long_mode);
	for (unsigned seg = SEG_ES; seg <= SEG_GS; seg++)
		check_segment(&c, seg, vmread(GUEST_RFLAGS) & RFLAGS_VM, long_mode);
	check_system_segments(&c, long_mode);
	check_rip_and_events(&c, long_mode);
	return c.count;
}
