/*
 * Application processors start here in real mode. smp.c copies this code to a page below 1 MiB and
 * fills in the words at the end. It goes straight from real mode to long mode: paging and
 * protection go on together. "Initializing IA-32e Mode" allows this once PAE, CR3 and LME are set:
 * SDM vol. 3, 10.8.5.
 */
	.code16
	.globl ap_trampoline, ap_trampoline_end, ap_trampoline_cr3, ap_trampoline_gdtr, ap_trampoline_far
ap_trampoline:
	cli
	cld
	movw %cs, %ax
	movw %ax, %ds
	lgdtl ap_trampoline_gdtr - ap_trampoline
	movl $0x20, %eax
	movl %eax, %cr4
	movl ap_trampoline_cr3 - ap_trampoline, %eax
	movl %eax, %cr3
	movl $0xc0000080, %ecx
	rdmsr
	orl $0x900, %eax
	wrmsr
	movl $0x80010033, %eax
	movl %eax, %cr0
	ljmpl *(ap_trampoline_far - ap_trampoline)
	.code64
ap_trampoline64:
	movabsq $ap_entry64, %rax
	jmp *%rax
	.balign 8
ap_trampoline_gdtr:
	.word 23
	.long 0
	.balign 4
ap_trampoline_cr3:
	.long 0
ap_trampoline_far:
	.long ap_trampoline64 - ap_trampoline   /* plus the page's address */
	.word 8
ap_trampoline_end:

ap_entry64:
	movl $16, %eax
	movl %eax, %ds
	movl %eax, %es
	movl %eax, %ss
	xorl %eax, %eax
	movl %eax, %fs
	movl %eax, %gs
	/* Only the final tables map its stack. */
	movq ap_cr3(%rip), %rax
	movq %rax, %cr3
	/*
	 * Many CPUs come at once, and there is one ap_stack. Each waits until the boot CPU calls it
	 * by its APIC id.
	 */
	movl ap_id_leaf(%rip), %eax
	xorl %ecx, %ecx
	cpuid
	cmpl $1, ap_id_leaf(%rip)
	jne 1f
	shrl $24, %ebx
	movl %ebx, %edx
1:	pause
	movl %edx, %eax
	movl $-1, %ecx
	lock cmpxchgl %ecx, ap_turn(%rip)
	jne 1b
	movq ap_stack(%rip), %rsp
	xorl %ebp, %ebp
	call ap_main
	ud2

/* The boot CPU uses the descriptors and boot_cr3 too (boot/entry.S). */
	.data
	.balign 16
	.globl boot_gdt, boot_gdtr, boot_cr3, ap_cr3, ap_stack
boot_gdt:
	.quad 0
	.quad 0x00af9b000000ffff        /* 8: 64-bit code */
	.quad 0x00cf93000000ffff        /* 16: data */
	.word 0
boot_gdtr:
	.word 23
	.long 0
	.balign 8
boot_cr3:
	.quad 0
ap_cr3:
	.quad 0
ap_stack:
	.quad 0
	.section .note.GNU-stack, "", @progbits
