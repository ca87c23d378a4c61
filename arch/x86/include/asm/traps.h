/* Descriptor tables, exceptions and physical interrupts of a CPU. */
#ifndef ASM_TRAPS_H
#define ASM_TRAPS_H

struct trap_frame {
	u64 r15, r14, r13, r12, r11, r10, r9, r8, rdi, rsi, rbp, rbx, rdx, rcx, rax;
	u64 vector, error;
	u64 rip, cs, rflags, rsp, ss;
};

/* Bothy's own physical vectors. They are in a higher class than every device's (abi.md H.3). */
enum {
	VECTOR_KICK = 0xf0,     /* leave the guest, look again */
	VECTOR_TIMER = 0xf1,
	VECTOR_ERROR = 0xfe,
	VECTOR_SPURIOUS = 0xff,
	VECTOR_DEVICE_FIRST = 0x20,
	VECTOR_DEVICE_LAST = 0xef,
};

/* Loads GDT, TSS with its interrupt stacks, IDT and GS of CPU `cpu`, which is the calling one. */
void desc_init_cpu(unsigned cpu);
/*
 * Returns the addresses of CPU `cpu`'s tables, which the processor loads with these selectors when
 * it leaves a guest.
 */
enum { SEL_CODE = 8, SEL_DATA = 16, SEL_TSS = 24 };
struct desc_bases { u64 gdt, idt, tss; };
struct desc_bases desc_bases(unsigned cpu);
/*
 * Handles a physical interrupt (vector 32 and above) that the exit has acknowledged, as its gate
 * would.
 */
void interrupt_handle(u8 vector);
/* Sets the function that is called for each physical device interrupt. It must send the EOI. */
void traps_set_device_handler(void (*fn)(u8 vector));
/*
 * Sets two functions that a panic calls once: `console` makes the log usable, and `dump` prints the
 * upper layers' state (the last exits).
 */
void traps_set_panic_hooks(void (*console)(void), void (*dump)(void));
/*
 * Sets the function with which a panic restarts the machine. Call it before any code that may
 * fault.
 */
void traps_set_restart(void (*fn)(void) __noreturn);
/* Takes the interrupts that wait. Except for idling, ring 0 has interrupts on only here. */
static inline void interrupts_window(void) { __asm__ volatile("sti; nop; cli" ::: "memory"); }
/* Halts until an interrupt has been taken. */
static inline void interrupts_wait(void) { __asm__ volatile("sti; hlt; cli" ::: "memory"); }
/* True: a panic ends with a restart, after a while. False: the machine stops. */
extern bool panic_reboots;

#endif
