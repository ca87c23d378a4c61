#include <asm/guards.inc>
#include <asm/regs.inc>
/*
 * bool vmx_enter(struct cpu_regs *regs, bool launched): enters the guest and returns true after the
 * exit, with guards or without. Returns false if the CPU refused to try (VMfail). SDM 27, 28.
 * Interrupts are off here, but those that arrive still end the guest's run. rsp, rip and rflags are
 * in the VMCS.
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
	load_regs %rdi
	movq 48(%rdi), %rsi
	movq 56(%rdi), %rdi
	jnz 7f
	vmlaunch
	jmp 8f
7:	vmresume
8:	popq %rdi
	xorl %eax, %eax
	jmp 9f
	/* HOST_RIP: an exit arrives here. */
	.globl \exit
\exit:
	pushq %rdi
	movq 8(%rsp), %rdi
	movq %rax, (%rdi)
	save_regs %rdi
	movq %rsi, 48(%rdi)
	popq 56(%rdi)
	popq %rdi
	/*
	 * Values that the guest left in registers must not steer our speculation. The other
	 * registers are popped below.
	 */
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
