/*
 * Where ring 0 enters the keeper, and the instructions that C can't write: the hypercall, and
 * accesses to the guest's memory, which may end at `recover`.
 */
	.section .start, "ax"
	.globl keeper_start
keeper_start:
	call keeper_main
	ud2
	/*
	 * KEEPER_RECOVER: a window showed no RAM at this address. The functions below have no stack
	 * of their own, so this returns false to their caller.
	 */
	.org 16, 0x90
	xorl %eax, %eax
	ret

	.text
	/* bool keeper_load(u64 address, unsigned size, u64 *data) */
	.globl keeper_load
keeper_load:
	cmpl $4, %esi
	je 4f
	ja 8f
	cmpl $2, %esi
	je 2f
	movzbl (%rdi), %eax
	jmp 9f
2:	movzwl (%rdi), %eax
	jmp 9f
4:	movl (%rdi), %eax
	jmp 9f
8:	movq (%rdi), %rax
9:	movq %rax, (%rdx)
	movl $1, %eax
	ret

	/* bool keeper_store(u64 address, unsigned size, u64 data) */
	.globl keeper_store
keeper_store:
	cmpl $4, %esi
	je 4f
	ja 8f
	cmpl $2, %esi
	je 2f
	movb %dl, (%rdi)
	jmp 9f
2:	movw %dx, (%rdi)
	jmp 9f
4:	movl %edx, (%rdi)
	jmp 9f
8:	movq %rdx, (%rdi)
9:	movl $1, %eax
	ret

	/* bool keeper_replace(u64 address, unsigned size, u64 old, u64 new): true if it was `old` */
	.globl keeper_replace
keeper_replace:
	movq %rdx, %rax
	cmpl $4, %esi
	je 4f
	lock cmpxchgq %rcx, (%rdi)
	jmp 9f
4:	lock cmpxchgl %ecx, (%rdi)
9:	sete %al
	movzbl %al, %eax
	ret

	/* void keeper_hypercall(bool vmcall) */
	.globl keeper_hypercall
keeper_hypercall:
	testb %dil, %dil
	jnz 1f
	vmmcall
	ret
1:	vmcall
	ret
	.section .note.GNU-stack, "", @progbits
