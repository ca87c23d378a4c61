#include <asm/guards.inc>
#include <asm/regs.inc>
/*
 * void svm_enter(u64 vmcb_pa, struct cpu_regs *regs, u64 host_pa): enters the guest and returns
 * after the exit, with guards or without. APM 15.5.1. GIF is off from CLGI to STGI, so an interrupt
 * that arrives meanwhile waits and ends the guest's run at once: with V_INTR_MASKING the host's
 * RFLAGS.IF, which is on here, decides over physical interrupts. rax, rsp, rip and rflags are in
 * the VMCB.
 */
	.text
	.macro enter name, after, before, behind
	.globl \name
\name:
	.irp r, rbp, rbx, r12, r13, r14, r15
	pushq %\r
	.endr
	pushq %rdx
	pushq %rsi
	\before
	clgi
	sti
	movq %rdi, %rax
	load_regs %rsi
	movq 56(%rsi), %rdi
	movq 48(%rsi), %rsi
	vmload %rax
	vmrun %rax
	.globl \after
\after:
	vmsave %rax
	pushq %rsi
	movq 8(%rsp), %rsi
	save_regs %rsi
	movq %rdi, 56(%rsi)
	popq 48(%rsi)
	/*
	 * Values that the guest left in registers must not steer our speculation. The other
	 * registers are popped below.
	 */
	.irp r, ecx, edx, edi, r8d, r9d, r10d, r11d
	xorl %\r, %\r
	.endr
	\behind
	popq %rsi
	popq %rax
	vmload %rax
	cli
	stgi
	.irp r, r15, r14, r13, r12, rbx, rbp
	popq %\r
	.endr
	ret
	.endm

	enter svm_enter_plain, svm_after_vmrun_plain
	enter svm_enter_guarded, svm_after_vmrun_guarded, guard_entry, guard_exit
	.section .note.GNU-stack, "", @progbits
