/* Descriptor tables, exceptions and physical interrupts of a pCPU. */
#ifndef ASM_TRAPS_H
#define ASM_TRAPS_H

struct trap_frame {
	u64 r15, r14, r13, r12, r11, r10, r9, r8, rdi, rsi, rbp, rbx, rdx, rcx, rax;
	u64 vector, error;
	u64 rip, cs, rflags, rsp, ss;
};

/* Bothy's own physical vectors, in the class above every device's (abi.md H.3). */
enum {
	VECTOR_KICK = 0xf0,     /* leave the guest, look again */
	VECTOR_TIMER = 0xf1,
	VECTOR_ERROR = 0xfe,
	VECTOR_SPURIOUS = 0xff,
	VECTOR_DEVICE_FIRST = 0x20,
	VECTOR_DEVICE_LAST = 0xef,
};

/* GDT, TSS with its interrupt stacks, IDT and GS of pCPU `cpu`, which is the calling one. */
void desc_init_cpu(unsigned cpu);
/* What the processor needs to find its way back from a guest: where pCPU `cpu` has these tables, and the selectors they go with. */
enum { SEL_CODE = 8, SEL_DATA = 16, SEL_TSS = 24 };
struct desc_bases { u64 gdt, idt, tss; };
struct desc_bases desc_bases(unsigned cpu);
/* A physical interrupt that has been acknowledged (vector 32 and above): what its gate would do. */
void interrupt_handle(u8 vector);
/* Called for each physical device interrupt; it owes the EOI. */
void traps_set_device_handler(void (*fn)(u8 vector));
/* Called once on a panic: `console` frees the way to the log, `dump` prints what the upper layers know (the last exits). */
void traps_set_panic_hooks(void (*console)(void), void (*dump)(void));
/* How a panic restarts the machine. Before anything that may fault. */
void traps_set_restart(void (*fn)(void));
/* Takes the interrupts that wait: the only window in which ring 0 has them on, besides idling. */
static inline void interrupts_window(void) { __asm__ volatile("sti; nop; cli" ::: "memory"); }
/* Halts until an interrupt has been taken. */
static inline void interrupts_wait(void) { __asm__ volatile("sti; hlt; cli" ::: "memory"); }
/* What to do at the end of a panic: restart after a while (true) or stand still. */
extern bool panic_reboots;

#endif
