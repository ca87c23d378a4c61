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
	.irp r, rbp, rbx, r12, r13, r14, r15
	pushq %\r
	.endr
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
	.irp n, 8, 9, 10, 11, 12, 13, 14, 15
	movq 8 * \n(%rdi), %r\n
	.endr
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
	.irp n, 8, 9, 10, 11, 12, 13, 14, 15
	movq %r\n, 8 * \n(%rdi)
	.endr
	popq 56(%rdi)
	popq %rdi
	/* Values the guest left in registers must not steer our speculation; the others are popped below. */
	.irp r, ecx, edx, esi, r8d, r9d, r10d, r11d
	xorl %\r, %\r
	.endr
	\behind
	movl $1, %eax
9:	.irp r, r15, r14, r13, r12, rbx, rbp
	popq %\r
	.endr
	ret
	.endm

	enter vmx_enter_plain, vmx_exit_plain
	enter vmx_enter_guarded, vmx_exit_guarded, guard_entry, guard_exit
	.section .note.GNU-stack, "", @progbits
