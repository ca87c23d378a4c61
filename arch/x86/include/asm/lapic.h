/*
 * The calling CPU's physical local APIC, in the mode that the firmware left: xAPIC (MMIO) or x2APIC
 * (MSR). SDM vol. 3, "Advanced Programmable Interrupt Controller (APIC)", 11; APM, the chapter of
 * the same name, 16.
 */
#ifndef ASM_LAPIC_H
#define ASM_LAPIC_H

/*
 * Finds the mode, maps the registers and enables the APIC. Returns the registers' page, which is
 * used in xAPIC mode only. Panics if there is no memory. Context: boot CPU.
 */
paddr_t lapic_init(void);
/* Enables the calling CPU's APIC in the mode that lapic_init found. */
void lapic_enable(void);
/* Returns the calling CPU's APIC id. */
u32 lapic_id(void);
/*
 * Returns true if an IPI can name this id. All ones mean every CPU, and xAPIC mode has only 8 bits
 * for it.
 */
bool lapic_can_reach(u32 apic_id);
/* Ends the interrupt in service with the highest priority. */
void lapic_eoi(void);
/* Returns true if `vector`, which is in service now, came in level-triggered. */
bool lapic_is_level(u8 vector);
/*
 * Returns true if this APIC delivered `vector` and waits for the EOI. False if `vector` is an
 * exception or came from an 8259: an EOI would then end another interrupt.
 */
bool lapic_in_service(u8 vector);
/*
 * Send an IPI, INIT or SIPI to the CPU with this APIC id. `page`: number of the page below 1 MiB at
 * which the CPU starts in real mode.
 */
void lapic_send_ipi(u32 apic_id, u8 vector);
void lapic_send_init(u32 apic_id);
void lapic_send_sipi(u32 apic_id, u8 page);
/* Sends an NMI to all other CPUs. Context: panic. */
void lapic_stop_others(void);
/* Starts the one-shot timer with a raw count at the divider's rate; 0 stops it. */
void lapic_timer(u32 count);
/* Returns the timer's remaining count. */
u32 lapic_timer_count(void);

#endif
