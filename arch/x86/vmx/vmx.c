/*
 * Intel VMX behind the vendor contract: VMCSs, entry, and the translation of exit reasons. SDM
 * volume 3, chapters 24 to 29.
 */
#include <asm/cpu.h>
#include <asm/hvm.h>
#include <asm/insn.h>
#include <asm/page.h>
#include <asm/speculation.h>
#include <asm/vmx_insn.h>
#include "arch/x86/vmx/vmcs.h"
#include "arch/x86/vmx/vmx.h"
#include "mm/page.h"
#include "mm/pt.h"
#include "vmm/domain.h"

#define MAX_VPID 0xffffu

/* enter.S has two variants, of which vmx_probe chooses one. */
typedef bool enter_fn(struct cpu_regs *regs, bool launched);
enter_fn vmx_enter_plain, vmx_enter_guarded;
static enter_fn *vmx_enter;     /* [I] */

static struct pt_format ept_format;     /* [I] */

static const char *vmx_probe(void)
{
	const char *why;

	if (!(cpuid(1, 0).c & 1u << 5))
		return "the CPU has no VMX (CPUID 1 ECX bit 5), or the firmware has switched it off: look for \"Intel Virtualization Technology\" or "
		       "\"VT-x\" in its CPU settings";
	if (!vmx_unlock())
		return "VMX is switched off and locked by the firmware: enable \"Intel Virtualization Technology\" or \"VT-x\" in its CPU settings";
	vmx_enter = speculation & SPEC_GUARDS ? vmx_enter_guarded : vmx_enter_plain;
	why = vmx_find_capabilities();
	ept_format = pt_ept;
	if (!vmx_1g_pages)
		ept_format.sizes &= (u8)~PT_1G;
	p2m_format = &ept_format;
	return why;
}

/*
 * Reads of low and of high MSRs have 1 KiB each, and writes follow in the same way: SDM vol. 3,
 * "MSR-Bitmap Address", 25.6.9.
 */
static void vmx_open_msr(u8 *map, u32 msr)
{
	u32 byte = (msr >= 0xc0000000 ? 1024 : 0) + (msr & 0x1fff) / 8;
	u8 others = (u8)~(1u << msr % 8);

	map[byte] &= others;
	map[2048 + byte] &= others;
}

static int vmx_cpu_enable(void)
{
	u32 *region = page_alloc_zeroed();

	if (!region)
		return -ENOMEM;
	*region = vmx_revision;
	write_cr0(read_cr0() | vmx_cr0_fixed);
	write_cr4(read_cr4() | vmx_cr4_fixed);
	if (!vmx_unlock() || !vmxon(virt_to_phys(region)))
		panic("VMX can't be switched on on CPU %u: the firmware treats it unlike the others", cpu_id());
	invvpid_all();
	return 0;
}

/*
 * A fresh VPID works as a flush of the guest's own translations, because no TLB entry has it. The
 * CPU keeps EPT's translations by EPTP, whichever guest runs. They are flushed too: they may be
 * from an older generation of the p2m, or from a dead domain whose root table had the same frame.
 */
static void renew_tlb(struct vcpu *v)
{
	struct percpu *p = this_cpu();

	if (p->asid_next > MAX_VPID) {
		p->asid_next = 1;
		p->asid_generation++;
		invvpid_all();
	}
	p->tlb_flushes++;
	vmwrite(VPID, p->asid_next++);
	invept_single(vmx_of(v)->eptp);
	v->hvm.asid_cpu = p->cpu;
	v->hvm.asid_generation = p->asid_generation;
}

static void set_primary(struct vmx_vcpu *x, u32 control, bool on)
{
	u32 value = on ? x->primary | control : x->primary & ~control;

	if (value != x->primary)
		vmwrite(PRIMARY_CONTROLS, x->primary = value);
}

static void set_blocked(struct vmx_vcpu *x, u32 blocked)
{
	if (blocked != x->blocked)
		vmwrite(GUEST_INTERRUPTIBILITY, x->blocked = blocked);
}

static void inject_event(struct vcpu *v, u64 event, u32 error)
{
	vmwrite(ENTRY_INTERRUPTION, event);
	if (event & EVENT_HAS_ERROR)
		vmwrite(ENTRY_ERROR_CODE, error);
	vmx_of(v)->injecting = true;
}

/*
 * Injects it now, or asks for the exit that comes when the guest can take it: SDM vol. 3,
 * "Interrupt-Window Exiting and Virtual-Interrupt Delivery", 27.7.5.
 */
static void vmx_offer_interrupt(struct vcpu *v, u8 vector)
{
	struct vmx_vcpu *x = vmx_of(v);

	if (!(v->hvm.regs.rflags & RFLAGS_IF) || x->blocked & (BLOCKED_BY_STI | BLOCKED_BY_MOV_SS) || x->injecting) {
		set_primary(x, CPU_INTERRUPT_WINDOW, true);
		return;
	}
	inject_event(v, EVENT_VALID | EVENT_INTR | vector, 0);
	x->took_interrupt = true;
}

/*
 * An injected interrupt counts as taken: if an exit cuts its delivery off, inject_again() injects
 * it again.
 */
static bool vmx_took_interrupt(struct vcpu *v)
{
	struct vmx_vcpu *x = vmx_of(v);
	bool took = x->took_interrupt;

	x->took_interrupt = false;
	set_primary(x, CPU_INTERRUPT_WINDOW, false);
	return took;
}

/* Real mode has no error codes: SDM vol. 3, "VM-Entry Control Fields", 27.2.1.3. */
static void vmx_inject_exception(struct vcpu *v, u8 vector, bool has_error, u32 error)
{
	has_error = has_error && vmread(GUEST_CR0) & CR0_PE;
	inject_event(v, EVENT_VALID | EVENT_EXCEPTION | (has_error ? EVENT_HAS_ERROR : 0) | vector, error);
}

/*
 * Changes the debug registers as the delivery of a debug exception would (SDM vol. 3, "Debug Status
 * Register", 18.2.3). Neither an injection nor an exit does it ("Architectural State Before a VM
 * Exit", 28.1).
 */
static void set_debug_registers(u64 causes)
{
	write_dr6((read_dr6() & ~15ull) | causes);
	vmwrite(GUEST_DR7, vmread(GUEST_DR7) & ~DR7_GD);
}

/*
 * Includes the debug exceptions still pending from an earlier MOV SS: an injected exception would
 * make the CPU forget them (27.7.3). DebugCtl.BTF is 0, because guests' writes to it are dropped.
 */
static void vmx_inject_step(struct vcpu *v)
{
	set_debug_registers((vmread(GUEST_PENDING_DEBUG) & 15) | DR6_BS);
	inject_event(v, EVENT_VALID | EVENT_EXCEPTION | VECTOR_DB, 0);
}

static bool vmx_inject_nmi(struct vcpu *v)
{
	struct vmx_vcpu *x = vmx_of(v);

	if (x->blocked || x->injecting) {
		set_primary(x, CPU_NMI_WINDOW, true);
		return false;
	}
	inject_event(v, EVENT_VALID | EVENT_NMI | VECTOR_NMI, 0);
	return true;
}

/*
 * We will complete the instruction, or it will fault or be executed again. In all cases the shadow
 * that STI or MOV SS cast on it is over.
 */
static u32 vmx_insn_len(struct vmx_vcpu *x)
{
	if (unlikely(x->blocked & (BLOCKED_BY_STI | BLOCKED_BY_MOV_SS)))
		set_blocked(x, x->blocked & BLOCKED_BY_NMI);
	return (u32)vmread(EXIT_INSN_LENGTH);
}

static void vmx_decode_io(struct vmx_vcpu *v, struct vm_exit *x)
{
	u64 q = vmread(EXIT_QUALIFICATION);

	x->reason = EXIT_IO;
	x->len = vmx_insn_len(v);
	x->io.port = (u16)(q >> 16);
	x->io.in = q >> 3 & 1;
	x->io.string = q >> 4 & 1;
	x->io.rep = q >> 5 & 1;
	x->io.size = (u8)((q & 7) + 1);
}

/*
 * MOV to CR0 and CR4 exits if it would change one of our bits as the guest sees it; an access to
 * CR8 always does. For CR0 we show the guest the bits that it wants, and it executes the
 * instruction again. The CPU then does the rest with all its checks, except that of NW without CD,
 * which we do. CR4.MCE works in the same way. The other CR4 bits that we own are features guests
 * don't have.
 */
static void cr_access(struct vcpu *v, struct vm_exit *x)
{
	u64 q = vmread(EXIT_QUALIFICATION);
	unsigned cr = q & 15, type = q >> 4 & 3;
	u8 number = q >> 8 & 15;
	u64 *reg = (u64 *)&v->hvm.regs + number;

	x->reason = EXIT_RETRY;
	if (cr == 8) {
		x->reason = EXIT_CR8;
		x->len = vmx_insn_len(vmx_of(v));
		x->cr8.reg = number;
		x->cr8.read = type == 1;
	} else if (cr == 0 && type == 0 && (*reg & (CR0_CD | CR0_NW)) != CR0_NW) {
		vmwrite(CR0_SHADOW, *reg);
	} else if (cr == 4 && type == 0 && !(*reg & CR4_OWNED & ~CR4_MCE)) {
		vmwrite(CR4_SHADOW, *reg & CR4_MCE);
	} else {
		x->reason = EXIT_EXCEPTION;
		x->exc.vector = VECTOR_GP;
		x->exc.error = 0;
	}
}

/* An intercepted exception of the guest, or a non-maskable interrupt, which is the machine's. */
static void decode_exception(struct vcpu *v, struct vm_exit *x)
{
	struct vmx_vcpu *vx = vmx_of(v);
	u64 info = vmread(EXIT_INTERRUPTION);

	if ((info & EVENT_TYPE) == EVENT_NMI) {
		/* NMIs stay blocked until an IRET. The gate's handler ends with one. */
		__asm__ volatile("int $2");
		x->reason = EXIT_NMI;
		return;
	}
	x->reason = EXIT_EXCEPTION;
	x->exc.vector = (u8)info;
	x->exc.error = info & EVENT_HAS_ERROR ? (u32)vmread(EXIT_ERROR_CODE) : 0;
	set_blocked(vx, (vx->blocked & BLOCKED_BY_NMI) | (info & NMI_UNBLOCKED && !vx->injecting ? BLOCKED_BY_NMI : 0));
	if (x->exc.vector != VECTOR_DB)
		return;
	set_debug_registers(vmread(EXIT_QUALIFICATION) & 0x600f);
	/* The trap of INT1 comes after the instruction. */
	if ((info & EVENT_TYPE) == EVENT_ICEBP)
		hvm_advance(v, &v->hvm.regs, (u32)vmread(EXIT_INSN_LENGTH));
}

static void decode_ept_violation(struct vmx_vcpu *v, struct vm_exit *x)
{
	u64 q = vmread(EXIT_QUALIFICATION);

	x->reason = EXIT_NPF;
	x->npf.gpa = vmread(GUEST_PHYSICAL_ADDRESS);
	x->npf.write = q >> 1 & 1;
	x->npf.fetch = q >> 2 & 1;
	x->npf.present = q >> 3 & 7;
	/* Bits 7 and 8: it is for a linear address, and of the address itself. */
	x->npf.indirect = (q >> 7 & 3) != 3 || v->injecting;
	if (q & NMI_UNBLOCKED && !v->injecting)
		set_blocked(v, v->blocked | BLOCKED_BY_NMI);
}

/* A refused entry, which leaves the VMCS as it is, or an exit that isn't known here. */
static void describe_odd(struct vm_exit *x, enum exit_reason reason, u64 code)
{
	u64 event = vmread(ENTRY_INTERRUPTION) & (EVENT_VALID | EVENT_TYPE);

	x->reason = reason;
	x->odd.code = code;
	x->odd.undelivered = event == (EVENT_VALID | EVENT_EXCEPTION);
}

static void vmx_decode(struct vcpu *v, struct vmx_vcpu *vx, u64 reason, struct vm_exit *x)
{
	switch (reason) {
	case VMX_INTERRUPT:
		/*
		 * The exit has acknowledged the interrupt (SDM 28.2.2). Its handler may write
		 * records, so it must wait until this record is finished.
		 */
		x->reason = EXIT_INTERRUPT;
		x->acknowledged = (u8)vmread(EXIT_INTERRUPTION);
		break;
	case VMX_PREEMPTION_TIMER:
		vmx_start_slice(vx);
		x->reason = EXIT_INTERRUPT;
		x->acknowledged = 0;
		break;
	case VMX_VMCALL:
		x->reason = EXIT_HYPERCALL;
		x->len = vmx_insn_len(vx);
		x->call.cpl = ACCESS_DPL(vmread(SEG_FIELD(GUEST_ACCESS, SEG_SS)));
		x->call.long_mode = vmread(GUEST_EFER) >> 10 & 1;
		break;
	case VMX_HLT: x->reason = EXIT_HLT; x->len = vmx_insn_len(vx); break;
	case VMX_RDMSR: x->reason = EXIT_RDMSR; x->len = vmx_insn_len(vx); break;
	case VMX_WRMSR: x->reason = EXIT_WRMSR; x->len = vmx_insn_len(vx); break;
	case VMX_CPUID: x->reason = EXIT_CPUID; x->len = vmx_insn_len(vx); break;
	case VMX_XSETBV: x->reason = EXIT_XSETBV; x->len = vmx_insn_len(vx); break;
	case VMX_IO: vmx_decode_io(vx, x); break;
	case VMX_EPT_VIOLATION: decode_ept_violation(vx, x); break;
	case VMX_EXCEPTION: decode_exception(v, x); break;
	case VMX_CR_ACCESS: cr_access(v, x); break;
	case VMX_INTERRUPT_WINDOW: x->reason = EXIT_WINDOW; break;
	case VMX_NMI_WINDOW:
		set_primary(vx, CPU_NMI_WINDOW, false);
		x->reason = EXIT_WINDOW;
		break;
	case VMX_INVD:
	case VMX_WBINVD:
		/* Does nothing else: caches stay coherent without the guest's help. */
		hvm_complete(v, &v->hvm.regs, vmx_insn_len(vx));
		x->reason = EXIT_RETRY;
		break;
	case VMX_BUS_LOCK: __atomic_or_fetch(&v->attention, VCPU_BUS_LOCK, __ATOMIC_RELAXED); x->reason = EXIT_BUS_LOCK; break;
	case VMX_TRIPLE_FAULT: x->reason = EXIT_TRIPLE_FAULT; break;
	case VMX_INIT:
	case VMX_SIPI: x->reason = EXIT_RETRY; break;
	case VMX_GETSEC:
	case VMX_RDPMC:
	case VMX_VMCLEAR ... VMX_VMXON:
	case VMX_MWAIT:
	case VMX_MONITOR:
	case VMX_INVEPT:
	case VMX_INVVPID:
	case VMX_VMFUNC: x->reason = EXIT_UNDEFINED; break;
	default: describe_odd(x, EXIT_UNKNOWN, reason);
	}
}

/*
 * An event that was cut off in the middle of its delivery is delivered again (SDM 28.2.4). A
 * software interrupt needs the length of its instruction, because its delivery saves the RIP behind
 * that. An NMI blocks others only once it is delivered.
 */
static void inject_again(struct vcpu *v, u64 event)
{
	u64 type = event & EVENT_TYPE;

	inject_event(v, event & (EVENT_VALID | EVENT_HAS_ERROR | EVENT_TYPE | 0xff), (u32)vmread(IDT_VECTORING_ERROR));
	if (type == EVENT_SOFT_INTR || type == EVENT_ICEBP || type == EVENT_SOFT_EXCEPTION)
		vmwrite(ENTRY_INSN_LENGTH, vmread(EXIT_INSN_LENGTH));
	if (type == EVENT_NMI)
		set_blocked(vmx_of(v), vmx_of(v)->blocked & ~(u32)BLOCKED_BY_NMI);
}

static void vmx_run(struct vcpu *v, struct vm_exit *x)
{
	struct vmx_vcpu *vx = vmx_of(v);
	struct cpu_regs *r = &v->hvm.regs;
	struct percpu *p = this_cpu();
	u64 gen = __atomic_load_n(v->hvm.generation, __ATOMIC_ACQUIRE), event;
	/* 64 bits: a jump table with an index of 32 bits takes one instruction more */
	u64 reason;

	if (unlikely(v->hvm.tlb_gen != gen || v->hvm.asid_generation != p->asid_generation || v->hvm.asid_cpu != p->cpu)) {
		renew_tlb(v);
		v->hvm.tlb_gen = gen;
	}
	p->guest_gen = gen;
	/* The slice is over: the timer's exit follows the entry at once. */
	if (unlikely(rdtsc() >= vx->slice_end))
		vmwrite(PREEMPTION_TIMER, 0);
	vmwrite(GUEST_RSP, r->rsp);
	vmwrite(GUEST_RIP, r->rip);
	vmwrite(GUEST_RFLAGS, r->rflags);
	if (unlikely(!vmx_enter(r, vx->launched))) {
		describe_odd(x, EXIT_FAILED, vmread(INSTRUCTION_ERROR));
		return;
	}
	reason = vmread(EXIT_REASON);
	if (unlikely(reason & (EXIT_ENTRY_FAILED | EXIT_BUS_LOCKED))) {
		if (reason & EXIT_ENTRY_FAILED) {
			describe_odd(x, EXIT_FAILED, reason);
			return;
		}
		__atomic_or_fetch(&v->attention, VCPU_BUS_LOCK, __ATOMIC_RELAXED);
		reason = (u16)reason;
	}
	vx->launched = true;
	vx->injecting = false;
	vmread_to(GUEST_RSP, &r->rsp);
	vmread_to(GUEST_RIP, &r->rip);
	vmread_to(GUEST_RFLAGS, &r->rflags);
	vx->blocked = (u32)vmread(GUEST_INTERRUPTIBILITY);
	event = vmread(IDT_VECTORING);
	if (unlikely(event & EVENT_VALID))
		inject_again(v, event);
	vmx_decode(v, vx, reason, x);
}

static void vmx_set_efer(struct vcpu *v, u64 efer) { vmwrite(GUEST_EFER, efer); }

static void vmx_set_pat(struct vcpu *v, u64 pat)
{
	bool borrowed = vmx_borrow(v);

	vmwrite(GUEST_PAT, pat);
	vmx_give_back(v, borrowed);
}

static int vmx_cpl(const struct vcpu *v) { return ACCESS_DPL(vmread(SEG_FIELD(GUEST_ACCESS, SEG_SS))); }

static void vmx_dump_exit(const struct vcpu *v)
{
	printk(LOG_ERR "  exit reason %lx qualification %lx, event %lx, address %lx\n", vmread(EXIT_REASON),
	       vmread(EXIT_QUALIFICATION), vmread(IDT_VECTORING), vmread(GUEST_PHYSICAL_ADDRESS));
}

/* SDM volume 4, 2.1. */
static const struct hvm_constant_msr vmx_constant_msrs[] = {
	{ 0x17, 0 },                            /* PLATFORM_ID */
	/* MISC_ENABLE: fast strings, no branch tracing, no event sampling */
	{ 0x1a0, BIT(0) | BIT(11) | BIT(12) },
	{ 0, 0 }
};

const struct hvm_ops vmx_ops = {
	.name = "VMX",
	.vcpu_size = sizeof(struct vmx_vcpu),
	.hypercall_insn = { 0x0f, 0x01, 0xc1 },
	/* SDM vol. 3, "I/O-Bitmap Addresses", 25.6.4, "MSR-Bitmap Address", 25.6.9: one page each */
	.orders = { .closed_ports = 0, .dom0_ports = 1, .msrs = 0 },
	.constant_msrs = vmx_constant_msrs,
#define X(ret, op, args) .op = vmx_##op,
	HVM_OPS(X)
#undef X
};
