/* The modes of a guest's APIC, the page of xAPIC mode, and the timer. */
#ifndef VMM_APIC_XAPIC_H
#define VMM_APIC_XAPIC_H

#include "vmm/vcpu.h"

#define APIC_PAGE 0xfee00000ull
/* Bits of APIC_BASE: the service domain starts in x2APIC mode, guests as a real CPU does. */
enum { APIC_ON = 1 << 11, APIC_X2_ON = APIC_ON | 1 << 10 };
/* No MSR's number: the vCPU isn't in x2APIC mode. */
#define APIC_NO_MSRS BIT(32)


/* Is v's APIC in x2APIC mode? */
#define vlapic_is_x2(v) ((v)->apic.msr_first == MSR_X2APIC_FIRST)
/*
 * The MSR APIC_BASE: its value, whether it may have `base` at all, and a write. vlapic_load_base
 * sets a valid one without a look at the mode before. vlapic_set_base returns 0. Errors: -EINVAL if
 * the guest gets #GP. Context: v is current, or doesn't run.
 */
u64 vlapic_base(const struct vcpu *v);
bool vlapic_base_valid(const struct vcpu *v, u64 base);
void vlapic_load_base(struct vcpu *v, u64 base);
int vlapic_set_base(struct vcpu *v, u64 base);
/* An access to the page of xAPIC mode; it doesn't cross the page's end. Context: v is current. */
void xapic_access(struct vcpu *v, u32 offset, unsigned size, bool write, u64 *data);
/*
 * The toolstack's record, if v is in xAPIC mode: what its registers have there otherwise than in
 * x2APIC mode. `record` may be NULL. Context: v doesn't run.
 */
void xapic_fill_record(struct vcpu *v, u32 *record);
void xapic_load_record(struct vcpu *v, const u32 *record);
/* The APIC's timer has run out. Context: its timer, `vcpu` is a struct vcpu. */
void vlapic_timer_fired(void *vcpu);

#endif
