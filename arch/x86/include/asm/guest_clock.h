/* A guest's clock. Other guests than those that were restored have the machine's. */
#ifndef ASM_GUEST_CLOCK_H
#define ASM_GUEST_CLOCK_H

/*
 * What a guest's clock has beyond the machine's. All is 0 in a guest that was never restored. The
 * tags are those of struct domain.
 */
struct domain_clock {
	u64 tsc_offset;         /* [I] while it runs (s) added to the TSC */
	u64 delta;              /* [I] while it runs (s) added to the system time, in ns */
	u32 tsc_khz;            /* [I] while it runs (s) the rate that the guest was told; 0: the machine's */
	u64 suspended_tsc;      /* [LOCK_DOMAIN] (t) the machine's TSC as it was suspended; 0: it isn't */
	u64 restored_ns;        /* [LOCK_CONTROL] (t) from settscinfo: its system time at its next start; 0: none */
};

/* Returns the machine's system time at the guest's system time `ns`; a time out of reach is 0 or ~0. */
static inline u64 clock_machine_time(const struct domain_clock *c, u64 ns)
{
	u64 delta = c->delta, t = ns - delta;

	if (likely(!delta))
		return ns;
	return (s64)delta > 0 ? (ns < delta ? 0 : t) : (t < ns ? ~0ull : t);
}

#endif
