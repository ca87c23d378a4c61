#include <asm/guards.inc>
/*
 * bool vmx_enter(struct cpu_regs *regs, bool launched): into the guest and back; false if the CPU refused to try (VMfail). SDM 27, 28.
 * With guards or without.
 * Interrupts are off here, and those that arrive end the guest's run all the same. rsp, rip and rflags travel in the VMCS.
 */
	.text
	.macro enter name, exit, before, behind
	.globl \name
\name:
	pushq %rbp
	pushq %rbx
	pushq %r12
	pushq %r13
	pushq %r14
	pushq %r15
	pushq %rdi
	\before
	movl $0x6c14, %eax              /* HOST_RSP */
	vmwrite %rsp, %rax
	testl %esi, %esi
	movq (%rdi), %rax
	movq 8(%rdi), %rcx
	movq 16(%rdi), %rdx
	movq 24(%rdi), %rbx
	movq 40(%rdi), %rbp
	movq 48(%rdi), %rsi
	movq 64(%rdi), %r8
	movq 72(%rdi), %r9
	movq 80(%rdi), %r10
	movq 88(%rdi), %r11
	movq 96(%rdi), %r12
	movq 104(%rdi), %r13
	movq 112(%rdi), %r14
	movq 120(%rdi), %r15
	movq 56(%rdi), %rdi
	jnz 7f
	vmlaunch
	jmp 8f
7:	vmresume
8:	popq %rdi
	xorl %eax, %eax
	jmp 9f
	/* Where an exit arrives: HOST_RIP. */
	.globl \exit
\exit:
	pushq %rdi
	movq 8(%rsp), %rdi
	movq %rax, (%rdi)
	movq %rcx, 8(%rdi)
	movq %rdx, 16(%rdi)
	movq %rbx, 24(%rdi)
	movq %rbp, 40(%rdi)
	movq %rsi, 48(%rdi)
	movq %r8, 64(%rdi)
	movq %r9, 72(%rdi)
	movq %r10, 80(%rdi)
	movq %r11, 88(%rdi)
	movq %r12, 96(%rdi)
	movq %r13, 104(%rdi)
	movq %r14, 112(%rdi)
	movq %r15, 120(%rdi)
	popq 56(%rdi)
	popq %rdi
	/* Values the guest left in registers must not steer our speculation; the others are popped below. */
	xorl %ecx, %ecx
	xorl %edx, %edx
	xorl %esi, %esi
	xorl %r8d, %r8d
	xorl %r9d, %r9d
	xorl %r10d, %r10d
	xorl %r11d, %r11d
	\behind
	movl $1, %eax
9:	popq %r15
	popq %r14
	popq %r13
	popq %r12
	popq %rbx
	popq %rbp
	ret
	.endm

	enter vmx_enter_plain, vmx_exit_plain
	enter vmx_enter_guarded, vmx_exit_guarded, guard_entry, guard_exit
	.section .note.GNU-stack, "", @progbits
