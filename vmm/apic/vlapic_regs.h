/* The APIC's registers: MSR 0x800 + number, or 16 bytes each of its page. For the files of the APIC. */
#ifndef VMM_APIC_VLAPIC_REGS_H
#define VMM_APIC_VLAPIC_REGS_H

enum {
	REG_ID = 0x02, REG_VERSION = 0x03, REG_TPR = 0x08, REG_PPR = 0x0a, REG_EOI = 0x0b, REG_LDR = 0x0d, REG_DFR = 0x0e, REG_SVR = 0x0f,
	REG_ISR = 0x10, REG_TMR = 0x18, REG_IRR = 0x20, REG_ESR = 0x28, REG_CMCI = 0x2f, REG_ICR = 0x30, REG_ICR2 = 0x31, REG_LVT_TIMER = 0x32,
	REG_LVT_ERROR = 0x37, REG_TIMER_ICR = 0x38, REG_TIMER_CCR = 0x39, REG_TIMER_DCR = 0x3e, REG_SELF_IPI = 0x3f,
};
enum { SVR_ENABLE = 1 << 8, LVT_MASKED = 1 << 16, LVT_PERIODIC = 1 << 17, VERSION = 0x14 | 5 << 16, DFR_FLAT = 0xf };
enum { LVT_TIMER = 1, LVT_ERROR = 6 };          /* places in lvt[] */
enum { MODE_FIXED = 0, MODE_LOWEST = 1, MODE_NMI = 4, MODE_INIT = 5, MODE_SIPI = 6 };
enum { ESR_SEND_VECTOR = 1 << 5, ESR_REGISTER = 1 << 7 };

struct vcpu;

/* The id from which x2APIC's logical destinations are. */
u32 vlapic_logical_id(const struct vcpu *v);
/* Sends the IPI that `icr` describes. Context: v is current. */
void vlapic_send_ipi(struct vcpu *v, u64 icr);
/* Notes an error for ESR, and raises the interrupt for it. Context: v is current. */
void vlapic_error(struct vcpu *v, u32 bit);
/* Masks all LVTs if the guest has switched the APIC off by SVR. Context: v is current. */
void vlapic_mask_lvts(struct vcpu *v);
/*
 * The timer: what is left of its count; a write of its initial count, or else of its divider; and
 * its end, when the APIC is reset. Context: the CPU that runs v, or v doesn't run.
 */
u32 vlapic_timer_count(const struct vcpu *v);
void vlapic_timer_write(struct vcpu *v, bool count, u32 value);

#endif
