/* The physical local APIC of the calling pCPU, in xAPIC (MMIO) or x2APIC (MSR) mode as the firmware left it (SDM 10, APM 16). */
#ifndef ASM_LAPIC_H
#define ASM_LAPIC_H

/* Boot CPU: finds the mode and maps the registers. Returns their page, which is in use in xAPIC mode alone. The other CPUs only enable theirs. */
paddr_t lapic_init(void);
void lapic_enable(void);
u32 lapic_id(void);
/* All ones as a destination mean every CPU, and xAPIC mode has 8 bits for it. */
bool lapic_can_reach(u32 apic_id);
void lapic_eoi(void);
/* True if `vector`, being serviced now, came in level-triggered. */
bool lapic_is_level(u8 vector);
/* True if `vector` is an interrupt whose EOI is due: it came by this APIC, not from an 8259 or as an exception. */
bool lapic_in_service(u8 vector);
void lapic_send_ipi(u32 apic_id, u8 vector);
void lapic_send_init(u32 apic_id);
void lapic_send_sipi(u32 apic_id, u8 page);
/* NMI to all but this CPU; for a panic. */
void lapic_stop_others(void);
/* One-shot timer: raw counts at the divider's rate; 0 disarms. */
void lapic_timer(u32 count);
u32 lapic_timer_count(void);

#endif
