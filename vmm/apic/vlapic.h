/*
 * The guest's local APIC. In x2APIC mode its registers are MSRs 0x800-0x8FF. In xAPIC mode they are
 * a page of memory, to which the keeper brings the guest (docs/keeper.md). Any CPU may post an
 * interrupt, by IRR and TMR; the other fields belong to the CPU that runs the vCPU.
 */
#ifndef VMM_APIC_VLAPIC_H
#define VMM_APIC_VLAPIC_H

struct vcpu;

/* SDM vol. 3, "ICR Operation in x2APIC Mode", 11.12.9. Bit 12, xAPIC's delivery status, is ignored. */
#define ICR_RESERVED 0xfff32000ull

enum { MSR_X2APIC_FIRST = 0x800, MSR_X2APIC_TPR = 0x808 };

/* Tags: vmm/vcpu.h. A field without (t) or (d) is saved when the domain moves (s). */
struct vlapic {
	u64 irr[4];         /* [a] requested */
	u64 isr[4];         /* [c] in service */
	u64 tmr[4];         /* [a] level-triggered */
	u64 phys_level[4];  /* [c] (t) service domain: in service in the physical APIC, EOI owed */
	u64 phys_done[4];   /* [c] (t) those of phys_level that the service domain has acknowledged */
	u64 msr_first;      /* [a] MSR_X2APIC_FIRST or APIC_NO_MSRS; siblings look */
	bool enabled;       /* [a] by APIC_BASE; siblings look */
	u32 ldr, dfr;       /* [a] of xAPIC mode; siblings look */
	u32 tpr, svr, esr;  /* [c] */
	u32 esr_next;       /* [c] (t) errors that the next write of ESR shows */
	u32 lvt[7];         /* [c] CMCI, timer, thermal, perf, LINT0, LINT1, error */
	u64 icr;            /* [c] */
	u32 timer_icr, timer_dcr; /* [c] */
	u64 timer_start;    /* [c] (d) when the timer began to count, ns */
	u32 irr_pending;    /* [a] (d) IRR may be non-empty */
};

/*
 * Puts the APIC into its state after reset, and pays the EOIs that the physical APIC is owed.
 * Context: the CPU that runs v, or v has never run.
 */
void vlapic_reset(struct vcpu *v);
/*
 * Read or write one of v's APIC registers, as MSR 0x800 + register, whatever the mode. Return 0.
 * Errors: -EINVAL if the guest gets #GP. Context: v is current.
 */
int vlapic_read(struct vcpu *v, u32 msr, u64 *val);
int vlapic_write(struct vcpu *v, u32 msr, u64 val);
/* Marks a vector pending and kicks the vCPU. Context: any CPU. */
void vlapic_post(struct vcpu *v, u8 vector, bool level);
/* False if there is nothing to deliver; the caller then saves itself vlapic_next. */
#define vlapic_pending(v) __atomic_load_n(&(v)->apic.irr_pending, __ATOMIC_RELAXED)
/*
 * Returns the vector to deliver now, the highest of IRR if it is above PPR, or -1. Context: the CPU
 * that runs v.
 */
int vlapic_next(struct vcpu *v);
/*
 * vlapic_offer takes `vector`, from vlapic_next, out of IRR; the caller offers it to the guest.
 * Then vlapic_end_offer puts it into ISR if the guest has taken it, else back into IRR. In between
 * it is in neither, so another interrupt with the same vector isn't lost. Context: the CPU that
 * runs v.
 */
void vlapic_offer(struct vcpu *v, u8 vector);
void vlapic_end_offer(struct vcpu *v, u8 vector, bool taken);
/*
 * Carry out a pending INIT or SIPI. vlapic_take_init returns true if an INIT has reset v; the
 * caller then stops it. Context: the CPU that runs v, before it enters the guest.
 */
bool vlapic_take_init(struct vcpu *v);
void vlapic_take_sipi(struct vcpu *v);

/*
 * Fill the toolstack's record of v's registers, say whether such a record is valid for v, and load
 * it. Context: v doesn't run.
 */
u32 vlapic_record_regs(struct vcpu *v, void *record);
bool vlapic_regs_valid(struct vcpu *v, const void *record, u32 length);
int vlapic_load_regs(struct vcpu *v, const void *record);

#endif
