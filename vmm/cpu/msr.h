/* Model-specific registers as guests see them: what the vendor doesn't open is decided here. */
#ifndef VMM_CPU_MSR_H
#define VMM_CPU_MSR_H

struct vcpu;
struct domain;
struct mtrrs;

#define MSR_MTRRCAP   0xfe
#define MTRRCAP_VALUE 0x508ull  /* write combining, fixed ranges, 8 variable ranges (SDM volume 3 12.11.1) */

/* 0, or -EINVAL for #GP. v is current. */
int msr_read(struct vcpu *v, u32 msr, u64 *val);
int msr_write(struct vcpu *v, u32 msr, u64 val);
/* mtrr.c. A new domain's MTRRs; dom0 starts with the machine's. */
void mtrr_init_domain(struct domain *d);
/* Where m has this MTRR, or NULL if msr is none. */
u64 *mtrr_slot(struct mtrrs *m, u32 msr);
/* May this MTRR hold val? And may all hold what they do? */
bool mtrr_allows(u32 msr, u64 val);
bool mtrrs_valid(struct mtrrs *m);

#endif
