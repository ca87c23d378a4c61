/* Model-specific registers as guests see them: what the vendor doesn't open is decided here. */
#ifndef VMM_MSR_H
#define VMM_MSR_H

struct vcpu;
struct domain;

#define MTRRCAP_VALUE 0x508ull  /* write combining, fixed ranges, 8 variable ranges (SDM volume 3 12.11.1) */

/* 0, or -EINVAL for #GP. v is current. */
int msr_read(struct vcpu *v, u32 msr, u64 *val);
int msr_write(struct vcpu *v, u32 msr, u64 val);
/* A new domain's registers; dom0 starts with the machine's MTRRs. */
void msr_init_domain(struct domain *d);

#endif
