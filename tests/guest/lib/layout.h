/* Numbers that the assembly and the C of the micro-guests share. */
#ifndef GUEST_LAYOUT_H
#define GUEST_LAYOUT_H

#define NR_CPUS     8
#define STACK_SIZE  16384
#define TRAMPOLINE  0x8000

#define KERNEL_CS   0x08
#define KERNEL_DS   0x10
#define USER_DS     0x23
#define USER_CS     0x2b
#define TSS_SEL     0x30

#endif
