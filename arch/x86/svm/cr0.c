/*
 * The guest sees its own CR0.CD and CR0.NW, but the CPU never gets them: nested paging gives the
 * guest a CR0 of its own (APM, "Replicated State", 15.25.2), caching included, and the CPU would
 * run without its caches.
 *
 * A write that changes bits other than TS and MP exits. While the guest has CD set, every access to
 * CR0 does. Only some CPUs tell which register the instruction uses. So the CPU executes the
 * instruction with the guest's bits in place, and single-stepping stops it behind that.
 */
#include <asm/hvm.h>
#include <asm/insn.h>
#include "arch/x86/svm/svm.h"

#define CR0_CACHING (CR0_CD | CR0_NW)


/*
 * The CPU doesn't let a guest set NW without CD. QEMU's TCG 7.2 does, and its VMRUN then refuses
 * it.
 */
void svm_set_cr0(struct svm_vcpu *s, u64 cr0)
{
	s->cr0_caching = cr0 & CR0_CD ? cr0 & CR0_CACHING : 0;
	s->vmcb->cr0 = cr0 & ~CR0_CACHING;
	s->vmcb->intercept_cr = s->cr0_caching ? INTERCEPT_CR0_READ | INTERCEPT_CR0_WRITE : 0;
}

u64 svm_get_cr0(const struct svm_vcpu *s) { return s->vmcb->cr0 | s->cr0_caching; }

/*
 * If another reason ends the step, the instruction has not been executed. It is tried again, and
 * the same reason then comes where we expect it. All exceptions exit meanwhile, because the frame
 * that the CPU pushes would show our TF. Interrupts wait for the same reason.
 */
void svm_step_cr0(struct vcpu *v, u64 host_pa, struct vm_exit *x)
{
	struct svm_vcpu *s = svm_of(v);
	struct vmcb *b = s->vmcb;
	u64 tf = b->rflags & RFLAGS_TF, dr6 = b->dr6;
	u32 exceptions = b->intercept_exceptions;
	u8 v_irq = b->v_irq;
	bool done;

	b->intercept_cr = 0;
	b->intercept_misc1 &= ~(u32)INT1_CR0_SEL_WRITE;
	b->intercept_exceptions = ~0u;
	b->v_irq = 0;
	b->interrupt_shadow = 0;
	b->cr0 |= s->cr0_caching;
	b->dr6 &= ~DR6_BS;
	b->rflags |= RFLAGS_TF;
	svm_enter(s->pa, &v->hvm.regs, host_pa);
	b->rflags = (b->rflags & ~RFLAGS_TF) | tf;
	svm_save_registers(&v->hvm.regs, b);
	svm_set_cr0(s, b->cr0);
	b->intercept_misc1 |= INT1_CR0_SEL_WRITE;
	b->intercept_exceptions = exceptions;
	b->v_irq = v_irq;

	done = b->exitcode == VMEXIT_EXCP + VECTOR_DB && b->dr6 & DR6_BS;
	b->dr6 = dr6;
	x->reason = done ? EXIT_CR_WRITE : EXIT_RETRY;
	if (done && tf)
		hvm->inject_step(v);
}
