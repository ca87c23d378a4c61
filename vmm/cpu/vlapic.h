/*
 * The guest's local APIC, always in x2APIC mode: registers are MSRs 0x800-0x8FF, so there is no MMIO page and no instruction
 * decoder. Interrupts reach a vCPU through IRR from any pCPU; the rest belongs to the pCPU that runs it.
 */
#ifndef VMM_CPU_VLAPIC_H
#define VMM_CPU_VLAPIC_H

struct vcpu;

enum { MSR_X2APIC_FIRST = 0x800, MSR_X2APIC_TPR = 0x808, MSR_X2APIC_LAST = 0x8ff };

/* Tags: vmm/vcpu.h. All of it is saved when the domain moves (s), but for what only dom0 has (t). */
struct vlapic {
	u64 irr[4];         /* [a] requested */
	u64 isr[4];         /* [c] in service */
	u64 tmr[4];         /* [a] level-triggered */
	u64 phys_level[4];  /* [c] (t) dom0: in service in the physical APIC, EOI owed */
	u64 phys_done[4];   /* [c] (t) of these, the ones that dom0 has acknowledged */
	u32 tpr, svr, esr; /* [c] */
	u32 lvt[7];         /* [c] CMCI, timer, thermal, perf, LINT0, LINT1, error */
	u64 icr;            /* [c] */
	u32 timer_icr, timer_dcr; /* [c] */
	u32 irr_pending;    /* [a] (d) IRR may be non-empty */
};

void vlapic_reset(struct vcpu *v);
/* Guest access to MSR 0x800 + reg: 0, or -EINVAL for #GP. */
int vlapic_read(struct vcpu *v, u32 msr, u64 *val);
int vlapic_write(struct vcpu *v, u32 msr, u64 val);
/* Marks a vector pending and kicks the vCPU; from any pCPU. */
void vlapic_post(struct vcpu *v, u8 vector, bool level);
/* False: there is nothing to deliver, and vlapic_next need not be asked. */
#define vlapic_pending(v) __atomic_load_n(&(v)->apic.irr_pending, __ATOMIC_RELAXED)
/* The vector to deliver now, or -1: highest IRR above PPR. */
int vlapic_next(struct vcpu *v);
/*
 * `vector` from vlapic_next is offered to the guest, and it has taken it or not: from IRR to ISR, or back to IRR. In between it is in neither, so
 * that one more of the same vector is kept.
 */
void vlapic_offer(struct vcpu *v, u8 vector);
void vlapic_end_offer(struct vcpu *v, u8 vector, bool taken);
/* A pending INIT or SIPI is carried out, on the vCPU itself before it runs. True: an INIT has reset it, and the caller stops it. */
bool vlapic_take_init(struct vcpu *v);
void vlapic_take_sipi(struct vcpu *v);

#endif
