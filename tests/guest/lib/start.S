/*
 * The way from PVH's 32-bit entry (and from an AP's first instruction) to 64-bit C, the stubs of all interrupts, and the
 * hypercall instruction: what can't be said in C.
 */
#include "layout.h"

	.section .note.Xen, "a", @note
	.balign 4
	.long 4, 8, 18                  /* XEN_ELFNOTE_PHYS32_ENTRY */
	.asciz "Xen"
	.quad start32
	.long 4, 6, 6                   /* XEN_ELFNOTE_GUEST_OS */
	.asciz "Xen"
	.asciz "micro"
	.balign 4

	.bss
	.balign 4096
pml4:   .skip 4096
pdpt:   .skip 4096
pds:    .skip 4 * 4096
boot_stack:
	.skip STACK_SIZE

	.data
	.balign 16
	.globl gdt, gdt_tss
gdt:
	.quad 0
	.quad 0x00af9b000000ffff        /* 0x08 kernel code, 64-bit */
	.quad 0x00cf93000000ffff        /* 0x10 kernel data */
	.quad 0x00cf9b000000ffff        /* 0x18 kernel code, 32-bit */
	.quad 0x00cff3000000ffff        /* 0x20 user data */
	.quad 0x00affb000000ffff        /* 0x28 user code, 64-bit */
gdt_tss:
	.skip 16 * NR_CPUS              /* 0x30 one TSS for each vCPU */
gdt_end:
	.globl gdtr
gdtr:   .word gdt_end - gdt - 1
	.quad gdt

	.globl entry_state, ap_stack
	.balign 8
entry_state:                            /* struct entry_state */
	.skip 64
ap_stack:
	.quad 0

	.text
	.code32
	.globl start32
start32:
	mov     %eax, entry_state
	mov     %ebx, entry_state + 4
	mov     %cr0, %eax
	mov     %eax, entry_state + 8
	mov     %cr3, %eax
	mov     %eax, entry_state + 12
	mov     %cr4, %eax
	mov     %eax, entry_state + 16
	mov     $boot_stack + STACK_SIZE, %esp
	pushf
	pop     %eax
	mov     %eax, entry_state + 20
	mov     $0xc0000080, %ecx
	rdmsr
	mov     %eax, entry_state + 24
	mov     %dr6, %eax
	mov     %eax, entry_state + 28
	mov     %dr7, %eax
	mov     %eax, entry_state + 32

	/* The first 4 GiB, one to one, in 2-MiB pages; user mode may use them too. */
	movl    $pdpt + 7, pml4
	mov     $pds + 7, %eax
	mov     $pdpt, %edi
	mov     $4, %ecx
1:      mov     %eax, (%edi)
	add     $8, %edi
	add     $4096, %eax
	loop    1b
	mov     $0x87, %eax
	mov     $pds, %edi
	mov     $2048, %ecx
2:      mov     %eax, (%edi)
	add     $8, %edi
	add     $0x200000, %eax
	loop    2b
	lgdtl   gdtr
	call    enable_long_mode
	ljmp    $KERNEL_CS, $start64

enable_long_mode:
	mov     $0x620, %eax            /* PAE, OSFXSR, OSXMMEXCPT */
	mov     %eax, %cr4
	mov     $pml4, %eax
	mov     %eax, %cr3
	mov     $0xc0000080, %ecx
	mov     $0x900, %eax            /* LME, NXE */
	xor     %edx, %edx
	wrmsr
	mov     $0x80010033, %eax       /* PG, WP, NE, ET, MP, PE */
	mov     %eax, %cr0
	ret

	.code64
start64:
	call    load_segments
	mov     $boot_stack + STACK_SIZE, %rsp
	xor     %ebp, %ebp
	call    boot_main
1:      cli
	hlt
	jmp     1b

load_segments:
	mov     $KERNEL_DS, %eax
	mov     %eax, %ds
	mov     %eax, %es
	mov     %eax, %ss
	xor     %eax, %eax
	mov     %eax, %fs
	mov     %eax, %gs
	ret

/* An AP's first code: copied to TRAMPOLINE, entered in real mode with CS there. */
	.code16
	.globl trampoline, trampoline_end
trampoline:
	cli
	mov     %cs, %ax
	mov     %ax, %ds
	lgdtl   gdtr16 - trampoline
	mov     %cr0, %eax
	or      $1, %al
	mov     %eax, %cr0
	ljmpl   $0x18, $ap32
gdtr16: .word gdt_end - gdt - 1
	.long gdt
trampoline_end:

	.code32
ap32:
	mov     $KERNEL_DS, %eax
	mov     %eax, %ds
	mov     %eax, %es
	mov     %eax, %ss
	mov     ap_stack, %esp
	call    enable_long_mode
	ljmp    $KERNEL_CS, $ap64
	.code64
ap64:
	call    load_segments
	mov     ap_stack, %rsp
	xor     %ebp, %ebp
	call    ap_main
	jmp     .

/* 256 stubs of 16 bytes: the vector, below it an error code where the CPU pushes none. */
	.balign 16
	.globl trap_stubs
trap_stubs:
	.set vec, 0
	.rept 256
	.balign 16
	.if !(vec == 8 || vec == 10 || vec == 11 || vec == 12 || vec == 13 || vec == 14 || vec == 17 || vec == 21)
	push    $0
	.endif
	push    $vec
	jmp     trap_common
	.set vec, vec + 1
	.endr

trap_common:
	push    %rax
	push    %rbx
	push    %rcx
	push    %rdx
	push    %rsi
	push    %rdi
	push    %rbp
	push    %r8
	push    %r9
	push    %r10
	push    %r11
	push    %r12
	push    %r13
	push    %r14
	push    %r15
	mov     %rsp, %rdi
	cld
	call    trap
	pop     %r15
	pop     %r14
	pop     %r13
	pop     %r12
	pop     %r11
	pop     %r10
	pop     %r9
	pop     %r8
	pop     %rbp
	pop     %rdi
	pop     %rsi
	pop     %rdx
	pop     %rcx
	pop     %rbx
	pop     %rax
	add     $16, %rsp
	iretq

/* long hypercall(u64 nr, u64 a0, u64 a1, u64 a2, u64 a3, u64 a4) */
	.globl hypercall, hypercall_insn
hypercall:
	mov     %rdi, %rax
	mov     %rsi, %rdi
	mov     %rdx, %rsi
	mov     %rcx, %rdx
	mov     %r8, %r10
	mov     %r9, %r8
hypercall_insn:
	vmmcall                         /* patched to vmcall on Intel CPUs */
	ret

/* u64 hypercall_regs(u64 regs[15]): all registers in and out, to see what a hypercall changes. */
	.globl hypercall_regs
hypercall_regs:
	push    %rbx
	push    %rbp
	push    %r12
	push    %r13
	push    %r14
	push    %r15
	push    %rdi
	mov     0(%rdi), %rax
	mov     8(%rdi), %rbx
	mov     16(%rdi), %rcx
	mov     24(%rdi), %rdx
	mov     32(%rdi), %rsi
	mov     48(%rdi), %rbp
	mov     56(%rdi), %r8
	mov     64(%rdi), %r9
	mov     72(%rdi), %r10
	mov     80(%rdi), %r11
	mov     88(%rdi), %r12
	mov     96(%rdi), %r13
	mov     104(%rdi), %r14
	mov     112(%rdi), %r15
	mov     40(%rdi), %rdi
	.globl hypercall_insn2
hypercall_insn2:
	vmmcall
	xchg    %rdi, (%rsp)
	mov     %rax, 0(%rdi)
	mov     %rbx, 8(%rdi)
	mov     %rcx, 16(%rdi)
	mov     %rdx, 24(%rdi)
	mov     %rsi, 32(%rdi)
	mov     %rbp, 48(%rdi)
	mov     %r8, 56(%rdi)
	mov     %r9, 64(%rdi)
	mov     %r10, 72(%rdi)
	mov     %r11, 80(%rdi)
	mov     %r12, 88(%rdi)
	mov     %r13, 96(%rdi)
	mov     %r14, 104(%rdi)
	mov     %r15, 112(%rdi)
	pop     %rax
	mov     %rax, 40(%rdi)
	pop     %r15
	pop     %r14
	pop     %r13
	pop     %r12
	pop     %rbp
	pop     %rbx
	ret

/* u64 enter_user(u64 rip, u64 rsp, u64 rax, u64 *saved_rsp): runs user code until its int $0x80; returns its RAX. */
	.globl enter_user, user_return
enter_user:
	push    %rbx
	push    %rbp
	push    %r12
	push    %r13
	push    %r14
	push    %r15
	mov     %rsp, (%rcx)
	mov     %rdx, %rax
	push    $USER_DS
	push    %rsi
	pushf
	push    $USER_CS
	push    %rdi
	iretq
user_return:
	pop     %r15
	pop     %r14
	pop     %r13
	pop     %r12
	pop     %rbp
	pop     %rbx
	ret

	.section .note.GNU-stack, "", @progbits
