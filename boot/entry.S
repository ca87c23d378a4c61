/*
 * The entry: from GRUB's 32-bit Multiboot2 entry on the boot CPU to 64-bit C. The other CPUs use
 * arch/x86/trampoline.S. Multiboot2, "OS image format", 3.1, and "I386 machine state", 3.3; SDM
 * vol. 3, "Initializing IA-32e Mode", 10.8.5.
 */
#define IMAGE_BASE 0xffffffff80000000
#define PA(sym)    ((sym) - IMAGE_BASE)(%ebp)  /* %ebp: machine address of the image */

	.section .head, "ax"
	.code32
image_head:
	.balign 8
mb2_header:
	.long 0xe85250d6, 0, mb2_end - mb2_header, -(0xe85250d6 + (mb2_end - mb2_header))
	/*
	 * Relocatable: 80 MiB .. 4 GiB, by 2 MiB, as high as possible, because the service domain
	 * needs low memory.
	 */
	.balign 8
	.word 10, 0
	.long 24, 0x5000000, 0xffffffff, 0x200000, 2
	/* Modules on page boundaries. */
	.balign 8
	.word 6, 0
	.long 8
	.balign 8
	.word 0, 0
	.long 8
mb2_end:

	.globl entry32
entry32:
	cli
	cld
	movl %eax, %edi
	movl %ebx, %esi
	/* No stack yet: the reserved word of the boot information holds one return address. */
	leal 8(%ebx), %esp
	call 1f
1:	popl %ebp
	subl $(1b - image_head), %ebp
	leal PA(boot_stack_top), %esp

	/* Boot tables: 4 GiB at 0 and at the direct map, 1 GiB at the image; all by 2 MiB. */
	leal PA(boot_pd), %eax
	leal PA(boot_pdpt), %edx
	movl $4, %ecx
2:	leal 0x3(%eax), %ebx
	movl %ebx, (%edx)
	addl $4096, %eax
	addl $8, %edx
	loop 2b
	leal PA(boot_pd), %edx
	movl $0x83, %eax
	movl $2048, %ecx
3:	movl %eax, (%edx)
	movl $0, 4(%edx)
	addl $0x200000, %eax
	addl $8, %edx
	loop 3b
	leal PA(boot_image_pd), %edx
	leal 0x83(%ebp), %eax
	movl $16, %ecx
4:	movl %eax, (%edx)
	addl $0x200000, %eax
	addl $8, %edx
	loop 4b
	leal 0x3 + PA(boot_image_pd), %eax
	movl %eax, PA(boot_image_pdpt + 510 * 8)
	leal 0x3 + PA(boot_pdpt), %eax
	movl %eax, PA(boot_pml4)
	movl %eax, PA(boot_pml4 + 256 * 8)
	leal 0x3 + PA(boot_image_pdpt), %eax
	movl %eax, PA(boot_pml4 + 511 * 8)

	leal PA(boot_pml4), %eax
	movl %eax, PA(boot_cr3)
	movl %eax, %cr3
	/* PAE, NX and long mode on. */
	movl %cr4, %eax
	orl $0x20, %eax
	movl %eax, %cr4
	movl $0xc0000080, %ecx
	rdmsr
	orl $0x900, %eax
	wrmsr
	movl $0x80010033, %eax          /* PG WP NE ET MP PE */
	movl %eax, %cr0
	leal PA(boot_gdt), %eax
	movl %eax, PA(boot_gdtr + 2)
	lgdt PA(boot_gdtr)
	leal PA(entry64_low), %eax
	pushl $8
	pushl %eax
	lret

	.code64
entry64_low:
	movabsq $entry64, %rax
	jmp *%rax
entry64:
	movl $16, %eax
	movl %eax, %ds
	movl %eax, %es
	movl %eax, %ss
	xorl %eax, %eax
	movl %eax, %fs
	movl %eax, %gs
	leaq boot_stack_top(%rip), %rsp
	movl %ebp, %edx                 /* third argument: the image's address */
	movl %edi, %edi
	movl %esi, %esi
	xorl %ebp, %ebp
	call boot_main
	ud2

	.bss
	.balign 4096
	.globl boot_pml4
boot_pml4:       .skip 4096
boot_pdpt:       .skip 4096
boot_image_pdpt: .skip 4096
boot_image_pd:   .skip 4096
boot_pd:         .skip 4096 * 4
boot_stack:      .skip 8192
boot_stack_top:
	.section .note.GNU-stack, "", @progbits
