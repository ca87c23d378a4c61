/*
 * AMD SVM behind the vendor contract: control blocks, entry, and the translation of exit codes. APM
 * volume 2, chapter 15.
 */
#include <asm/cpu.h>
#include <asm/hvm.h>
#include <asm/insn.h>
#include <asm/page.h>
#include <asm/speculation.h>
#include <asm/time.h>
#include "arch/x86/svm/svm.h"
#include "mm/page.h"
#include "vmm/domain.h"

#define MSR_TSC_RATIO   0xc0000104u
#define MSR_VM_CR       0xc0010114u
#define MSR_VM_HSAVE_PA 0xc0010117u
#define VM_CR_R_INIT    BIT(1)          /* INIT becomes #SX */
#define VM_CR_SVMDIS    BIT(4)
#define MSR_DE_CFG      0xc0011029u
#define DE_CFG_LFENCE   BIT(1)          /* LFENCE serializes */

enum { HELD_MAX = 8, HELD_NS = 50000 };

/* CPUID 8000_000A EDX; APM, "Enabling SVM", 15.4 */
enum { SVM_NPT = 1u << 0, SVM_NRIPS = 1u << 3, SVM_TSC_RATE = 1u << 4, SVM_BUS_LOCK = 1u << 29 };

static u32 max_asid;            /* [I] highest usable */
static bool has_nrips, has_bus_lock;    /* [I] */
static bool on_tcg;             /* [I] */
/*
 * [c] Our own state that VMRUN does not switch is in a block of its own, which is loaded after each
 * exit: the machine addresses of these blocks.
 */
static u64 host_pa[NR_CPUS];

/* enter.S has two variants, of which svm_probe chooses one, and a label where each comes back. */
svm_enter_fn svm_enter_plain, svm_enter_guarded;
extern char svm_after_vmrun_plain[], svm_after_vmrun_guarded[];
svm_enter_fn *svm_enter;        /* [I] */

static const char *svm_probe(void)
{
	struct cpuid_regs features = cpuid(0x8000000a, 0);
	u64 vm_cr;

	if (!(cpuid(0x80000001, 0).c & 1u << 2))
		return "the CPU has no SVM (CPUID 8000_0001 ECX bit 2)";
	if (rdmsr_safe(MSR_VM_CR, &vm_cr) && vm_cr & VM_CR_SVMDIS)
		return "SVM is switched off by the firmware: enable \"SVM\" or \"virtualization\" in its CPU settings";
	if (!(features.d & SVM_NPT))
		return "the CPU has SVM without nested paging (CPUID 8000_000A EDX bit 0)";
	if (features.b < 2)
		return "the CPU has no address space identifiers (CPUID 8000_000A EBX)";
	on_tcg = hvm_runs_on_tcg();
	max_asid = features.b - 1;
	has_nrips = features.d & SVM_NRIPS;
	has_bus_lock = features.d & SVM_BUS_LOCK;
	/* The register has 8 bits before the point and 32 behind it. */
	clock_ratio_bits = features.d & SVM_TSC_RATE ? (BIT(40) - 1) << 16 : 0;
	svm_enter = speculation & SPEC_GUARDS ? svm_enter_guarded : svm_enter_plain;
	return NULL;
}

static int svm_cpu_enable(void)
{
	void *save = page_alloc_zeroed(), *host = page_alloc_zeroed();
	u64 de_cfg, vm_cr;

	if (!save || !host)
		return -ENOMEM;
	wrmsr(MSR_EFER, rdmsr(MSR_EFER) | EFER_SVME);
	wrmsr(MSR_VM_HSAVE_PA, virt_to_phys(save));
	host_pa[cpu_id()] = virt_to_phys(host);
	__asm__ volatile("vmsave %0" :: "a"(virt_to_phys(host)) : "memory");
	/*
	 * Firmware may leave this bit to us. We tell guests that it is set, and they rely on it
	 * against Spectre v1.
	 */
	if (rdmsr_safe(MSR_DE_CFG, &de_cfg) && !(de_cfg & DE_CFG_LFENCE))
		wrmsr(MSR_DE_CFG, de_cfg | DE_CFG_LFENCE);
	/*
	 * A device's message can be an INIT, which would reset this CPU. VMX needs no such bit: a
	 * CPU in VMX operation ignores INIT outside of guests.
	 */
	if (rdmsr_safe(MSR_VM_CR, &vm_cr))
		wrmsr_safe(MSR_VM_CR, vm_cr | VM_CR_R_INIT);
	return 0;
}

static void set_intercepts(struct vmcb *b, bool privileged)
{
	/*
	 * A guest's own tables can raise #DB and #AC without end. They are intercepted, so that
	 * such a loop can't keep the CPU. #MC is ours.
	 */
	b->intercept_exceptions = 1u << VECTOR_DB | 1u << VECTOR_AC | 1u << VECTOR_MC;
	b->intercept_misc1 = INT1_INTR | INT1_NMI | INT1_SMI | INT1_INIT | INT1_CR0_SEL_WRITE | INT1_RDPMC |
			     INT1_CPUID | INT1_INVD | INT1_HLT | INT1_INVLPGA | INT1_IOIO | INT1_MSR | INT1_FERR |
			     INT1_SHUTDOWN;
	b->intercept_misc2 = INT2_VMRUN | INT2_VMMCALL | INT2_VMLOAD | INT2_VMSAVE | INT2_STGI | INT2_CLGI | INT2_SKINIT |
			     INT2_MONITOR | INT2_MWAIT | INT2_MWAIT_ARMED | INT2_XSETBV | INT2_RDPRU |
			     (privileged ? 0 : INT2_WBINVD);
	b->intercept_misc3 = has_bus_lock ? INT3_BUS_LOCK : 0;
}

/* Two bits for each MSR: APM, "MSR Intercepts", 15.11. */
static void svm_open_msr(u8 *map, u32 msr)
{
	u32 index = msr < 0x2000 ? msr : 0x2000 + (msr - 0xc0000000), bit = index * 2;

	map[bit / 8] &= (u8)~(3u << bit % 8);
}

static void svm_vcpu_init(struct vcpu *v)
{
	struct svm_vcpu *s = svm_of(v);

	s->vmcb = v->hvm.control;
	s->pa = virt_to_phys(s->vmcb);
	set_intercepts(s->vmcb, v->domain->privileged);
	s->vmcb->iopm_pa = virt_to_phys(v->domain->privileged ? hvm_maps.dom0_ports : hvm_maps.closed_ports);
	s->vmcb->msrpm_pa = virt_to_phys(hvm_maps.msrs);
	s->vmcb->v_masking = 1;
	s->vmcb->np_enable = 1;
	s->vmcb->n_cr3 = v->hvm.root.v << PAGE_SHIFT;
}

/*
 * The VMCB and hvm.c hold all state that a CPU needs for a vCPU, except for the ratio by which it
 * scales a guest's TSC. Our own TSC it never scales: APM, "TSC Ratio MSR", 15.30.5.
 */
static void svm_vcpu_load(struct vcpu *v)
{
	if (unlikely(v->domain->clock.tsc_ratio != CLOCK_UNSCALED))
		wrmsr(MSR_TSC_RATIO, v->domain->clock.tsc_ratio >> 16);
}

static void svm_vcpu_save(struct vcpu *v)
{
	if (unlikely(v->domain->clock.tsc_ratio != CLOCK_UNSCALED))
		wrmsr(MSR_TSC_RATIO, CLOCK_UNSCALED >> 16);
}

/*
 * A fresh ASID works as a flush, because no TLB entry has it. When all are used up, one flush
 * clears all and the numbers start again: APM, "TLB Control", 15.16.
 */
static void assign_asid(struct vcpu *v, struct vmcb *b)
{
	struct percpu *p = this_cpu();

	b->tlb_control = 0;
	if (p->asid_next > max_asid) {
		p->asid_next = 1;
		p->asid_generation++;
		p->tlb_flushes++;
		b->tlb_control = 1;
	}
	b->asid = p->asid_next++;
	v->hvm.asid_cpu = p->cpu;
	/* After a flush the next entry takes another ASID, and so drops the order to flush. */
	v->hvm.asid_generation = b->tlb_control ? 0 : p->asid_generation;
}

/*
 * QEMU's TCG 7.2 also exits in the shadow of STI but doesn't restore it. The following could
 * happen: an interrupt comes between STI and HLT, and the HLT then sleeps although the interrupt
 * should have ended it. So on TCG an offer waits until that instruction is done. HLT exits by
 * itself; after other instructions a timer brings us back. The offer waits only some times in a
 * row, because a loop may come to the same RIP again and again.
 */
static bool in_forgotten_shadow(struct svm_vcpu *s, u64 rip)
{
	if (s->vmcb->interrupt_shadow & 1)
		s->shadow_rip = rip;
	if (s->shadow_rip != rip || s->held >= HELD_MAX) {
		s->shadow_rip = ~0ull;
		s->held = 0;
		return false;
	}
	s->held++;
	time_arm(time_now() + HELD_NS);
	return true;
}

/*
 * A virtual interrupt of the highest priority, which ignores the TPR. The CPU delivers it without
 * an exit as soon as RFLAGS.IF and the interrupt shadow allow it, and clears V_IRQ (APM 15.21.4).
 * With EVENTINJ we would need an exit to learn when that is, and QEMU's TCG 7.2 may deliver an
 * injected interrupt twice.
 */
static void svm_offer_interrupt(struct vcpu *v, u8 vector)
{
	struct svm_vcpu *s = svm_of(v);
	struct vmcb *b = s->vmcb;

	s->offered = !on_tcg || !in_forgotten_shadow(s, v->hvm.regs.rip);
	b->v_irq = s->offered;
	b->v_prio = 0x1f;
	b->v_vector = vector;
}

/*
 * Returns true if the exit came in the middle of an interrupt's delivery. TCG names it an
 * exception, but these have no vectors above 31.
 */
static bool cut_off_interrupt(u64 event)
{
	u64 type = event & EVENT_TYPE;

	return event & EVENT_VALID && (type == EVENT_INTR || (type == EVENT_EXCEPTION && (u8)event > 31));
}

static bool svm_took_interrupt(struct vcpu *v)
{
	struct vmcb *b = vmcb_of(v);
	bool took = svm_of(v)->offered && !b->v_irq && !cut_off_interrupt(b->exitintinfo);

	b->v_irq = 0;
	return took;
}

static void svm_inject_exception(struct vcpu *v, u8 vector, bool has_error, u32 error)
{
	vmcb_of(v)->eventinj = EVENT_VALID | EVENT_EXCEPTION | vector | (has_error ? EVENT_HAS_ERROR | (u64)error << 32 : 0);
}

/*
 * Injection doesn't change the debug registers, so we do (APM, "Event Injection", 15.20). Guests
 * can't set DebugCtl.BTF.
 */
static void svm_inject_step(struct vcpu *v)
{
	struct vmcb *b = vmcb_of(v);

	b->dr6 |= DR6_BS;
	b->dr7 &= ~DR7_GD;
	svm_inject_exception(v, VECTOR_DB, false, 0);
}

/* An NMI blocks others until its IRET, which is intercepted meanwhile (APM 15.21.9). */
static bool svm_inject_nmi(struct vcpu *v)
{
	struct vmcb *b = vmcb_of(v);

	if (svm_of(v)->nmi_blocked || b->interrupt_shadow & 1 || b->eventinj & EVENT_VALID)
		return false;
	b->eventinj = EVENT_VALID | EVENT_NMI | VECTOR_NMI;
	svm_of(v)->nmi_blocked = true;
	b->intercept_misc1 |= INT1_IRET;
	return true;
}

/*
 * We will complete the instruction, or it will fault or be executed again. In all cases the shadow
 * that STI or MOV SS cast on it is over.
 */
static u32 svm_insn_len(struct vmcb *b, u32 fixed)
{
	b->interrupt_shadow = 0;
	return has_nrips && b->nrip > b->rip ? (u32)(b->nrip - b->rip) : fixed;
}

static void svm_decode_io(struct vmcb *b, struct vm_exit *x)
{
	u64 info = b->exitinfo1;

	b->interrupt_shadow = 0;
	x->reason = EXIT_IO;
	x->len = (u32)(b->exitinfo2 - b->rip);
	x->io.port = (u16)(info >> 16);
	x->io.in = info & 1;
	x->io.string = info >> 2 & 1;
	x->io.rep = info >> 3 & 1;
	x->io.size = info >> 4 & 7;
}

static bool is_refused(const struct vmcb *b) { return b->exitcode == ~0ull || b->exitcode == ~0u; /* as TCG has it */ }

/*
 * A refused entry, or an exit that isn't known here. A refused entry leaves the VMCB as it is, but
 * TCG moves the event to where events that were cut off are.
 */
static void decode_odd(const struct vmcb *b, struct vm_exit *x)
{
	x->reason = is_refused(b) ? EXIT_FAILED : EXIT_UNKNOWN;
	x->odd.code = b->exitcode;
	x->odd.undelivered = (b->eventinj & (EVENT_VALID | EVENT_TYPE)) == (EVENT_VALID | EVENT_EXCEPTION);
}

static void svm_decode(struct vcpu *v, struct vmcb *b, struct vm_exit *x)
{
	u64 code = b->exitcode;

	switch (code) {
	case VMEXIT_INTR: x->reason = EXIT_INTERRUPT; x->acknowledged = 0; break;
	case VMEXIT_VMMCALL:
		x->reason = EXIT_HYPERCALL;
		x->len = svm_insn_len(b, 3);
		x->call.cpl = b->cpl;
		x->call.long_mode = b->efer >> 10 & 1;
		break;
	case VMEXIT_HLT: x->reason = EXIT_HLT; x->len = svm_insn_len(b, 1); break;
	case VMEXIT_MSR: x->reason = b->exitinfo1 & 1 ? EXIT_WRMSR : EXIT_RDMSR; x->len = svm_insn_len(b, 2); break;
	case VMEXIT_CPUID: x->reason = EXIT_CPUID; x->len = svm_insn_len(b, 2); break;
	case VMEXIT_IOIO: svm_decode_io(b, x); break;
	case VMEXIT_NPF:
		/*
		 * QEMU saved our state over the guest's (docs/testing.md, faults of the emulator).
		 */
		if (unlikely(b->rip == (u64)svm_after_vmrun_plain || b->rip == (u64)svm_after_vmrun_guarded))
			panic("a race between QEMU's threads has mixed up the hypervisor's state with the guest's: start it with -accel tcg,thread=single");
		x->reason = EXIT_NPF;
		x->npf.gpa = b->exitinfo2;
		x->npf.present = b->exitinfo1 & 1;
		x->npf.write = b->exitinfo1 >> 1 & 1;
		x->npf.fetch = b->exitinfo1 >> 4 & 1;
		x->npf.indirect = b->exitinfo1 >> 33 & 1 || b->exitintinfo & EVENT_VALID;
		break;
	case VMEXIT_NMI:
	case VMEXIT_SMI:
	case VMEXIT_INIT: x->reason = EXIT_NMI; break;
	case VMEXIT_IRET:
		svm_of(v)->nmi_blocked = false;
		b->intercept_misc1 &= ~(u32)INT1_IRET;
		x->reason = EXIT_RETRY;
		break;
	case VMEXIT_INVD:
	case VMEXIT_WBINVD:
		/* Does nothing else: caches stay coherent without the guest's help. */
		hvm_complete(v, &v->hvm.regs, svm_insn_len(b, 2));
		x->reason = EXIT_RETRY;
		break;
	case VMEXIT_BUS_LOCK:
		/* The instruction comes after the exit, and counts down to the next one. */
		b->bus_lock_counter = 1;
		__atomic_or_fetch(&v->attention, VCPU_BUS_LOCK, __ATOMIC_RELAXED); x->reason = EXIT_BUS_LOCK; break;
	case VMEXIT_XSETBV: x->reason = EXIT_XSETBV; x->len = svm_insn_len(b, 3); break;
	case VMEXIT_SHUTDOWN: x->reason = EXIT_TRIPLE_FAULT; break;
	case VMEXIT_EXCP ... VMEXIT_EXCP + 31:
		x->reason = EXIT_EXCEPTION;
		x->exc.vector = (u8)(code - VMEXIT_EXCP);
		x->exc.error = (u32)b->exitinfo1;
		break;
	case VMEXIT_VMRUN:
	case VMEXIT_VMLOAD ... VMEXIT_SKINIT:
	case VMEXIT_MONITOR ... VMEXIT_MWAIT_ARMED:
	case VMEXIT_INVLPGA:
	case VMEXIT_RDPRU:
	case VMEXIT_RDPMC: x->reason = EXIT_UNDEFINED; break;
	case VMEXIT_CR0_READ:
	case VMEXIT_CR0_WRITE:
	case VMEXIT_CR0_SEL_WRITE: svm_step_cr0(v, host_pa[cpu_id()], x); break;
	default: decode_odd(b, x);
	}
}

void svm_save_registers(struct cpu_regs *r, const struct vmcb *b)
{
	r->rax = b->rax;
	r->rsp = b->rsp;
	r->rip = b->rip;
	r->rflags = b->rflags;
}

/*
 * An event that was cut off in the middle of its delivery is delivered again (APM 15.7.2, 15.20).
 * An interrupt is offered again instead. After a refused entry the event still waits.
 */
static void end_event(struct vmcb *b)
{
	if (!is_refused(b) || !(b->eventinj & EVENT_VALID))
		b->eventinj = cut_off_interrupt(b->exitintinfo) ? 0 : b->exitintinfo;
}

static void svm_run(struct vcpu *v, struct vm_exit *x)
{
	struct svm_vcpu *s = svm_of(v);
	struct vmcb *b = s->vmcb;
	struct cpu_regs *r = &v->hvm.regs;
	struct percpu *p = this_cpu();
	u64 gen = __atomic_load_n(v->hvm.generation, __ATOMIC_ACQUIRE);

	if (unlikely(v->hvm.tlb_gen != gen || v->hvm.asid_generation != p->asid_generation || v->hvm.asid_cpu != p->cpu)) {
		assign_asid(v, b);
		v->hvm.tlb_gen = gen;
	}
	p->guest_gen = gen;
	b->rax = r->rax;
	b->rsp = r->rsp;
	b->rip = r->rip;
	b->rflags = r->rflags;
	svm_enter(s->pa, r, host_pa[p->cpu]);
	svm_save_registers(r, b);
	if (unlikely((b->exitintinfo | b->eventinj) & EVENT_VALID))
		end_event(b);
	svm_decode(v, b, x);
}

static u64 svm_get_cr(const struct vcpu *v, int which)
{
	const struct vmcb *b = vmcb_of(v);

	switch (which) {
	case HVM_CR0: return svm_get_cr0(svm_of(v));
	case HVM_CR2: return b->cr2;
	case HVM_CR3: return b->cr3;
	case HVM_CR4: return b->cr4;
	case HVM_EFER: return b->efer & ~EFER_SVME;
	default: BUG();
	}
}

/* VMRUN requires SVME, which the guest doesn't see. */
static void svm_set_efer(struct vcpu *v, u64 efer) { vmcb_of(v)->efer = efer | EFER_SVME; }
static void svm_set_pat(struct vcpu *v, u64 pat) { vmcb_of(v)->g_pat = pat; }

static int svm_cpl(const struct vcpu *v) { return vmcb_of(v)->cpl; }

static void svm_dump_exit(const struct vcpu *v)
{
	const struct vmcb *b = vmcb_of(v);

	printk(LOG_ERR "  exit code %lx info %lx %lx, event %lx\n", b->exitcode, b->exitinfo1, b->exitinfo2, b->exitintinfo);
}

/* APM 3.2.10; family 17h BKDG names. */
static const struct hvm_constant_msr svm_constant_msrs[] = {
	{ 0xc0010010, 0 },              /* SYSCFG */
	{ 0xc0010015, BIT(24) },        /* HWCR: the TSC counts at P0 frequency */
	{ 0xc001001f, 0 },              /* NB_CFG */
	{ 0xc0010055, 0 }, { 0xc0010058, 0 },   /* interrupt pending message; base of PCI's configuration space */
	{ 0xc0010112, 0 }, { 0xc0010113, 0 },   /* TSEG */
	{ MSR_DE_CFG, DE_CFG_LFENCE },
	{ 0, 0 }
};

const struct hvm_ops svm_ops = {
	.name = "SVM",
	.vcpu_size = sizeof(struct svm_vcpu),
	.hypercall_insn = { 0x0f, 0x01, 0xd9 },
	/* APM, "IOIO Intercepts", 15.10: 12 KiB; "MSR Intercepts", 15.11: 8 KiB */
	.orders = { .closed_ports = 2, .dom0_ports = 2, .msrs = 1 },
	.constant_msrs = svm_constant_msrs,
#define X(ret, op, args) .op = svm_##op,
	HVM_OPS(X)
#undef X
};
