/* The part of the vendor contract that a second context of a vCPU needs: docs/keeper.md. */
#ifndef ASM_HVM_KEEPER_H
#define ASM_HVM_KEEPER_H

struct vcpu;

#define HVM_KEEPER_OPS(X) \
	X(void, end_shadow, (struct vcpu *v))   /* of STI and MOV SS: an instruction was executed for v */ \
	X(void, set_cr2, (struct vcpu *v, u64 cr2)) \
	/* The linear address of its next instruction; *mode: 8, 4 or 2, the size of an address in its code */ \
	X(u64,  code_at, (const struct vcpu *v, u8 *mode)) \
	/* c, which isn't loaded, may run on this CPU until end_lending; the current vCPU stays loaded */ \
	X(void, lend_cpu, (struct vcpu *c)) \
	X(void, end_lending, (struct vcpu *c))

#define X(ret, op, args) ret svm_##op args; ret vmx_##op args;
HVM_KEEPER_OPS(X)
#undef X

#endif
