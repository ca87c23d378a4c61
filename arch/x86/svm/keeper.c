/* What the keeper's context needs of SVM (vmm/keeper/). */
#include <asm/hvm.h>
#include "arch/x86/svm/svm.h"

void svm_end_shadow(struct vcpu *v) { vmcb_of(v)->interrupt_shadow = 0; }
void svm_set_cr2(struct vcpu *v, u64 cr2) { vmcb_of(v)->cr2 = cr2; }

/* A VMCB need not be loaded. */
void svm_lend_cpu(struct vcpu *c) { }
void svm_end_lending(struct vcpu *c) { }
