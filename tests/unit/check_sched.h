/* What the scheduler's tests ask of its queues. */
#ifndef TESTS_UNIT_CHECK_SCHED_H
#define TESTS_UNIT_CHECK_SCHED_H

#include "sched/sched.h"

/* ns that a competing entity is owed (0 for others). */
s64 sched_lag(const struct sched_entity *e);
/* BUG if what pCPU `cpu`'s queue says of itself isn't so. */
void sched_check(unsigned cpu);

#endif
