/* The cap: run time that a domain's vCPUs, on all pCPUs, may use together in a period. One word, changed by compare and swap. */
#ifndef SCHED_CAP_H
#define SCHED_CAP_H

#include "sched/sched_types.h"

#define CAP_PERIOD      10000000ull             /* ns; periods of all groups start at multiples of it */
#define CAP_PERCENT     (CAP_PERIOD / 100)
#define CAP_GRAN        50000ull                /* ns; a turn isn't cut shorter than this: the excess is a debt to the next period */
#define CAP_TURN        1000000ull              /* ns; several pCPUs use one budget, and none knows of the others before it is charged */
#define CAP_DEBT_MAX    (1ll << 30)             /* ns; far from the end of s32, so that one more charge can't wrap */

static inline bool group_capped(const struct sched_group *g)
{
	return unlikely(__atomic_load_n(&g->quota, __ATOMIC_RELAXED) != 0);
}

static inline u64 group_next_period(u64 now) { return (now / CAP_PERIOD + 1) * CAP_PERIOD; }

/*
 * Takes `ns` from the budget, and adds a quota for each period that has begun since the last look; what wasn't used by then is lost,
 * a debt is kept. Returns what is left. Periods are counted in 32 bits (497 days, compared by difference); quota < 2^30, so that
 * (2^31 periods) * quota fits s64.
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

		/* A turn that ends now was for the most part in the period before. */
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

/* ns that a turn beginning now may take. */
static inline u64 group_left(struct sched_group *g, u64 now)
{
	s64 left = group_use(g, now, 0);

	return MIN((u64)MAX(left, (s64)CAP_GRAN), CAP_TURN);
}

#endif
