/*
 * Model-specific registers as guests see them. The vendor opens some to guests; an access to any
 * other exits, and is decided here.
 */
#ifndef VMM_CPU_MSR_H
#define VMM_CPU_MSR_H

struct vcpu;
struct domain;
struct hvm_hw_mtrr;

#define MSR_MTRRCAP   0xfe
/*
 * Write combining, fixed ranges, 8 variable ranges (SDM vol. 3, "MTRR Feature Identification",
 * 12.11.1).
 */
#define MTRRCAP_VALUE 0x508ull

/*
 * Read or write an MSR for v. Return 0. Errors: -EINVAL if the guest gets #GP. Context: v is
 * current.
 */
int msr_read(struct vcpu *v, u32 msr, u64 *val);
int msr_write(struct vcpu *v, u32 msr, u64 val);
/* mtrr.c. Gives a new domain its MTRRs; the service domain starts with the machine's. */
void mtrr_init_domain(struct domain *d);
/* Returns the place in m of the MTRR with number msr, or NULL if no MTRR has it. */
u64 *mtrr_slot(struct hvm_hw_mtrr *m, u32 msr);
/* True if the MTRR with number msr may hold val. */
bool mtrr_allows(u32 msr, u64 val);
/* True if each MTRR of m may hold its value. */
bool mtrrs_valid(const struct hvm_hw_mtrr *m);

#endif
