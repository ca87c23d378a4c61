/*
 * The cap: the run time that all vCPUs of a domain, on all CPUs, may use together in a period. It
 * is one word, changed by compare and swap.
 */
#ifndef SCHED_CAP_H
#define SCHED_CAP_H

#include "sched/sched_types.h"

/* ns; periods of all groups start at multiples of it */
#define CAP_PERIOD      10000000ull
#define CAP_PERCENT     (CAP_PERIOD / 100)
/* ns; no turn is cut shorter; the excess is a debt to the next period */
#define CAP_GRAN        50000ull
/* ns; CPUs share a budget, and learn of each other only at a charge */
#define CAP_TURN        1000000ull
/* ns; far enough from the end of s32 that one more charge can't wrap */
#define CAP_DEBT_MAX    (1ll << 30)

static inline bool group_capped(const struct sched_group *g)
{
	return unlikely(__atomic_load_n(&g->quota, __ATOMIC_RELAXED) != 0);
}

static inline u64 group_next_period(u64 now) { return (now / CAP_PERIOD + 1) * CAP_PERIOD; }

/*
 * Takes `ns` from the budget, and adds one quota for each period that has begun since the last
 * call. Unused run time of a past period is lost, a debt is kept. Returns the rest of the budget.
 * Periods are counted in 32 bits (497 days) and compared by difference. quota < 2^30, so (2^31
 * periods) * quota fits s64.
 */
static inline s64 group_use(struct sched_group *g, u64 now, u64 ns)
{
	s64 quota = __atomic_load_n(&g->quota, __ATOMIC_RELAXED);
	u64 old = __atomic_load_n(&g->budget, __ATOMIC_RELAXED);
	u32 period = (u32)(now / CAP_PERIOD);
	s64 left;
	u64 new;

	do {
		s32 begun = (s32)(period - (u32)(old >> 32));

		/* A turn that ends now ran mostly in the period before, so it is charged first. */
		left = MAX((s32)old - (s64)MIN(ns, (u64)CAP_DEBT_MAX), -CAP_DEBT_MAX);
		if (begun > 0)
			left = MIN(left + begun * quota, quota);
		new = (begun > 0 ? (u64)period << 32 : old & ~0xffffffffull) | (u32)left;
	} while (new != old && !__atomic_compare_exchange_n(&g->budget, &old, new, false, __ATOMIC_RELAXED, __ATOMIC_RELAXED));
	return left;
}

static inline bool group_exhausted(struct sched_group *g, u64 now)
{
	return group_capped(g) && group_use(g, now, 0) <= 0;
}

/* Returns the ns that a turn beginning now may take. */
static inline u64 group_left(struct sched_group *g, u64 now)
{
	s64 left = group_use(g, now, 0);

	return MIN((u64)MAX(left, (s64)CAP_GRAN), CAP_TURN);
}

#endif
