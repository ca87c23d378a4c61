#include <asm/guards.inc>
/*
 * void svm_enter(u64 vmcb_pa, struct cpu_regs *regs, u64 host_pa): into the guest and back. APM 15.5.1. With guards or without.
 * GIF is off from CLGI to STGI, so an interrupt that arrives meanwhile waits, and ends the guest's run at once: with V_INTR_MASKING the
 * host's RFLAGS.IF, on here, decides over physical interrupts. rax, rsp, rip and rflags travel in the VMCB.
 */
	.text
	.macro enter name, after, before, behind
	.globl \name
\name:
	pushq %rbp
	pushq %rbx
	pushq %r12
	pushq %r13
	pushq %r14
	pushq %r15
	pushq %rdx
	pushq %rsi
	\before
	clgi
	sti
	movq %rdi, %rax
	movq 8(%rsi), %rcx
	movq 16(%rsi), %rdx
	movq 24(%rsi), %rbx
	movq 40(%rsi), %rbp
	movq 56(%rsi), %rdi
	movq 64(%rsi), %r8
	movq 72(%rsi), %r9
	movq 80(%rsi), %r10
	movq 88(%rsi), %r11
	movq 96(%rsi), %r12
	movq 104(%rsi), %r13
	movq 112(%rsi), %r14
	movq 120(%rsi), %r15
	movq 48(%rsi), %rsi
	vmload %rax
	vmrun %rax
	.globl \after
\after:
	vmsave %rax
	pushq %rsi
	movq 8(%rsp), %rsi
	movq %rcx, 8(%rsi)
	movq %rdx, 16(%rsi)
	movq %rbx, 24(%rsi)
	movq %rbp, 40(%rsi)
	movq %rdi, 56(%rsi)
	movq %r8, 64(%rsi)
	movq %r9, 72(%rsi)
	movq %r10, 80(%rsi)
	movq %r11, 88(%rsi)
	movq %r12, 96(%rsi)
	movq %r13, 104(%rsi)
	movq %r14, 112(%rsi)
	movq %r15, 120(%rsi)
	popq 48(%rsi)
	/* Values the guest left in registers must not steer our speculation; the others are popped below. */
	xorl %ecx, %ecx
	xorl %edx, %edx
	xorl %edi, %edi
	xorl %r8d, %r8d
	xorl %r9d, %r9d
	xorl %r10d, %r10d
	xorl %r11d, %r11d
	\behind
	popq %rsi
	popq %rax
	vmload %rax
	cli
	stgi
	popq %r15
	popq %r14
	popq %r13
	popq %r12
	popq %rbx
	popq %rbp
	ret
	.endm

	enter svm_enter_plain, svm_after_vmrun_plain
	enter svm_enter_guarded, svm_after_vmrun_guarded, guard_entry, guard_exit
	.section .note.GNU-stack, "", @progbits
