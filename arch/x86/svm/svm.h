/* Declarations that only the files of the SVM vendor use. */
#ifndef SVM_SVM_H
#define SVM_SVM_H

#include <asm/hvm.h>
#include "arch/x86/svm/vmcb.h"
#include "vmm/vcpu.h"

struct svm_vcpu {
	struct vmcb *vmcb;
	u64 pa;             /* machine address of the VMCB */
	u64 cr0_caching;    /* the guest's CD and NW; the VMCB's CR0 never has them set */
	bool nmi_blocked;
	bool offered;
	u8 held;            /* number of offers held back in a row */
	u64 shadow_rip;     /* RIP of the instruction in the interrupt shadow: TCG only */
};

static inline struct svm_vcpu *svm_of(const struct vcpu *v) { return v->hvm.vendor; }
static inline struct vmcb *vmcb_of(const struct vcpu *v) { return svm_of(v)->vmcb; }

/* The contract's get_state and set_state (asm/hvm.h). */
void svm_get_state(const struct vcpu *v, struct hvm_state *s);
void svm_set_state(struct vcpu *v, const struct hvm_state *s);
/* Return, and set, CR0 as the guest sees it. */
u64 svm_get_cr0(const struct svm_vcpu *s);
void svm_set_cr0(struct svm_vcpu *s, u64 cr0);
/*
 * Carries out the access to CR0 that has exited. `host_pa`: the machine address of the host's
 * block, which VMRUN needs.
 */
void svm_step_cr0(struct vcpu *v, u64 host_pa, struct vm_exit *x);
/* Enters the guest with VMRUN and returns after the exit (enter.S). */
typedef void svm_enter_fn(u64 vmcb_pa, struct cpu_regs *regs, u64 host_pa);
extern svm_enter_fn *svm_enter;
/* After an exit: copies the registers that the VMCB holds to *r. */
void svm_save_registers(struct cpu_regs *r, const struct vmcb *b);

/* The contract's check. */
unsigned svm_check(const struct vcpu *v, void (*broken)(const char *rule));

#endif
