/*
 * A guest's clock: how its TSC and its system time come from the machine's. They are the same until
 * the guest is restored elsewhere.
 */
#ifndef ASM_GUEST_CLOCK_H
#define ASM_GUEST_CLOCK_H

#include <asm/time.h>

/* Ratios are in fixed point with 48 bits behind the point; this one is 1. */
#define CLOCK_UNSCALED BIT(48)

/* The tags are those of struct domain. */
struct domain_clock {
	u64 tsc_ratio;          /* [I] while it runs (s) its TSC is the machine's times this, and */
	u64 tsc_offset;         /* [I] while it runs (s) plus this */
	/* [I] while it runs (s) its TSC's rate as it was told, and the scale from a TSC to `ns` */
	struct time_scale scale;
	u64 base_ns;            /* [I] while it runs (s) its system time at scale.tsc_base */
	u64 delta;              /* [I] while it runs (s) its system time less the machine's, in ns */
	/*
	 * [I] while it runs (s) The scale's factor has only 32 bits, so the nanoseconds that the
	 * guest counts are a little longer than the machine's: by this part of 2^64.
	 */
	u64 drift;
	u64 suspended_tsc;      /* [LOCK_DOMAIN] (t) the machine's TSC as it was suspended; 0: it isn't */
	/* [LOCK_CONTROL] (t) from settscinfo: its rate, 0 for none, and its system time at its next start */
	u32 restored_khz;
	u64 restored_ns;
};

/* [I] the bits that a ratio may have, as the vendor found: their lowest is bit 0 or 16; 0: the CPU can't scale */
extern u64 clock_ratio_bits;
/*
 * Returns the ratio at which a guest's TSC runs at `khz`, as near as the CPU can; CLOCK_UNSCALED if
 * the machine's is near enough; 0 if it can't be done.
 */
u64 clock_ratio(u32 khz);
/*
 * Starts the clock of a guest that is being restored: when the machine's TSC is `now`, the guest's
 * is `tsc`, and its system time c->restored_ns. Context: clock_ratio(c->restored_khz) isn't 0.
 */
void clock_start(struct domain_clock *c, u64 tsc, u64 now);

/* Begins the clock of a new domain, which is the machine's. */
static inline void clock_init(struct domain_clock *c) { *c = (struct domain_clock){ .tsc_ratio = CLOCK_UNSCALED, .scale = time_scale }; }

static inline u64 clock_product(u64 a, u64 b, unsigned shift) { return (u64)((unsigned __int128)a * b >> shift); }

/* Returns the guest's TSC when the machine's was `tsc`. The CPU computes it in the same way. */
static inline u64 clock_guest_tsc(const struct domain_clock *c, u64 tsc)
{
	return clock_product(tsc, c->tsc_ratio, 48) + c->tsc_offset;
}

/* Returns the machine's TSC at which the guest's clock stands: as it was suspended, or now. */
static inline u64 clock_stopped_tsc(const struct domain_clock *c) { return c->suspended_tsc ?: time_tsc(); }

/* Returns the machine's system time at the guest's system time `ns`; a time out of reach is 0 or ~0. */
static inline u64 clock_machine_time(const struct domain_clock *c, u64 ns)
{
	u64 delta = c->delta, t;

	if (likely(!delta))
		return ns;
	t = ns - delta + (ns > c->base_ns ? clock_product(ns - c->base_ns, c->drift, 64) : 0);
	return (s64)delta > 0 ? (ns < delta ? 0 : MAX(t, ns - delta)) : (t < ns ? ~0ull : t);
}

#endif
