/* What the keeper's context needs of SVM (vmm/keeper/). */
#include <asm/hvm.h>
#include <asm/insn.h>
#include "arch/x86/svm/svm.h"

void svm_end_shadow(struct vcpu *v) { vmcb_of(v)->interrupt_shadow = 0; }
void svm_set_cr2(struct vcpu *v, u64 cr2) { vmcb_of(v)->cr2 = cr2; }

u64 svm_code_at(const struct vcpu *v, u8 *mode)
{
	const struct vmcb *b = vmcb_of(v);

	/* In the packed attribute word: L is bit 9, D is bit 10. */
	*mode = b->cs.attr & BIT(10) ? 4 : 2;
	if (!(b->efer & EFER_LMA) || !(b->cs.attr & BIT(9)))
		return (u32)(b->cs.base + v->hvm.regs.rip);
	*mode = 8;
	return v->hvm.regs.rip;
}

/* A VMCB need not be loaded. */
void svm_lend_cpu(struct vcpu *c) { }
void svm_end_lending(struct vcpu *c) { }
