/*
 * jump(entry %edi, information %esi, magic %edx): leaves UEFI's 64-bit mode for the hypervisor's
 * Multiboot2 entry, in protected mode with paging off (Multiboot2 specification 2.0, 3.3; SDM
 * volume 3, 10.8.5.4). The code is first copied below 4 GiB, where memory is mapped one to one.
 */
	.text
	.code64
	.globl jump_start, jump_end
jump_start:
	cli
	cld
	leaq gdt(%rip), %rax
	pushq %rax
	pushw $gdt_end - gdt - 1
	lgdt (%rsp)
	/*
	 * All bits off, except those that long mode needs: PAE, and five levels if the firmware
	 * uses them.
	 */
	movq %cr4, %rax
	andl $0x1020, %eax
	movq %rax, %cr4
	leaq compatible(%rip), %rax
	pushq $8
	pushq %rax
	lretq
	.code32
compatible:
	movl $16, %eax
	movl %eax, %ds
	movl %eax, %es
	movl %eax, %fs
	movl %eax, %gs
	movl %eax, %ss
	movl %edx, %ebx
	movl $0x11, %eax                /* ET PE */
	movl %eax, %cr0
	movl $0xc0000080, %ecx          /* EFER: no LME, no NXE */
	rdmsr
	andl $~0x900, %eax
	wrmsr
	xorl %eax, %eax
	movl %eax, %cr4
	movl %ebx, %eax
	movl %esi, %ebx
	jmp *%edi
	.balign 8
gdt:
	.quad 0
	.quad 0x00cf9b000000ffff        /* 8: code */
	.quad 0x00cf93000000ffff        /* 16: data */
gdt_end:
jump_end:

/* The hypervisor is a part of this file, so that one signature covers both. */
	.section .rodata
	.balign 4096
	.globl hypervisor, hypervisor_end
hypervisor:
	.incbin HYPERVISOR
hypervisor_end:
	.section .note.GNU-stack, "", @progbits
