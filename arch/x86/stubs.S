/*
 * One stub for each of the 256 vectors. All make the same frame (struct trap_frame) and then call
 * C.
 */
	.text
	.globl trap_stubs
	.balign 16
trap_stubs:
	.set vector, 0
	.rept 256
	.balign 16
	.if vector < 32
	pushq $vector
	jmp trap_exception
	.else
	pushq $0
	pushq $vector
	jmp trap_common
	.endif
	.set vector, vector + 1
	.endr

/*
 * The CPU pushes an error code for some exceptions, but never for an interrupt with such a vector.
 * It has aligned the stack to 16 bytes before it pushes its five words (SDM vol. 3, "64-Bit Mode
 * Stack Frame", 6.14.2; APM, "Interrupt Stack Frame", 8.9.3). So with our word on top, bit 3 of RSP
 * tells whether there is an error code.
 */
trap_exception:
	testb $8, %spl
	jnz trap_common
	pushq (%rsp)
	movq $0, 8(%rsp)
trap_common:
	cld
	.irp r, rax, rcx, rdx, rbx, rbp, rsi, rdi, r8, r9, r10, r11, r12, r13, r14, r15
	pushq %\r
	.endr
	movq %rsp, %rdi
	movq %rsp, %rbp
	andq $-16, %rsp
	call trap_handler
	movq %rbp, %rsp
	.irp r, r15, r14, r13, r12, r11, r10, r9, r8, rdi, rsi, rbp, rbx, rdx, rcx, rax
	popq %\r
	.endr
	addq $16, %rsp
	iretq

/* bool rdmsr_safe(u32 msr, u64 *v): if the MSR is missing, the fault resumes at 2. */
	.globl rdmsr_safe
rdmsr_safe:
	movl %edi, %ecx
1:	rdmsr
	shlq $32, %rdx
	movl %eax, %eax
	orq %rdx, %rax
	movq %rax, (%rsi)
	movl $1, %eax
	ret
2:	xorl %eax, %eax
	ret
	.section .ex_table, "a"
	.quad 1b, 2b
	.text

/* bool wrmsr_safe(u32 msr, u64 v): as rdmsr_safe. */
	.globl wrmsr_safe
wrmsr_safe:
	movl %edi, %ecx
	movl %esi, %eax
	movq %rsi, %rdx
	shrq $32, %rdx
1:	wrmsr
	movl $1, %eax
	ret
2:	xorl %eax, %eax
	ret
	.section .ex_table, "a"
	.quad 1b, 2b
	.section .note.GNU-stack, "", @progbits
