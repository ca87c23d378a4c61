/*
 * The fair scheduler: virtual deadlines (EEVDF) with weights, caps, hard and soft affinity, a run
 * queue per CPU, and balancing. It knows nothing of guests: the caller passes the time in, and the
 * scheduler calls `cpu_kick` when a CPU must pick again. So the same file runs in the
 * deterministic simulation of the unit tests.
 */
#ifndef SCHED_SCHED_H
#define SCHED_SCHED_H

#include <asm/cpu.h>
#include <asm/spinlock.h>
#include "sched/sched_types.h"

#define SCHED_WEIGHT_DEFAULT 256
#define SCHED_WEIGHT_MAX     65535

/* Brings CPU `cpu` online, idle. */
void sched_cpu_init(unsigned cpu);
/* Makes a group, which is a domain, with the default weight and no cap. */
void sched_group_init(struct sched_group *g);
/*
 * Sets the weight of each vCPU of g, and the cap of all together in percent of one CPU (0: none). A
 * new weight counts from the next request on. Returns 0. Errors: -EINVAL if weight is 0 or above
 * SCHED_WEIGHT_MAX.
 */
int sched_group_set(struct sched_group *g, u32 weight, u32 cap, u64 now);
/* Makes a new entity of g, asleep, on CPU `cpu`. If `hard` has no online CPU, all are permitted. */
void sched_entity_init(struct sched_entity *e, struct sched_group *g, unsigned cpu, cpumask_t hard, cpumask_t soft);
/*
 * Waits until e is in no queue. The caller then may free it. Context: e is asleep and not on a CPU.
 */
void sched_entity_destroy(struct sched_entity *e);
/*
 * Sets the CPUs that e may use (hard) and likes to use (soft). This takes effect at e's next
 * scheduling point at the latest, for which it kicks e's CPU. Returns 0. Errors: -EINVAL if hard
 * has no online CPU.
 */
int sched_set_affinity(struct sched_entity *e, cpumask_t hard, cpumask_t soft, u64 now);

/*
 * Makes e runnable, or not runnable until the next wake. A second call of the same kind changes
 * nothing. Context: any entity, from any CPU.
 */
void sched_wake(struct sched_entity *e, u64 now);
void sched_sleep(struct sched_entity *e, u64 now);
/*
 * As sched_wake, but e soon gets its CPU: the service domain has an interrupt to take. A debt of
 * fairness stays.
 */
void sched_wake_boost(struct sched_entity *e, u64 now);
/* Ends e's turn if another entity waits and is eligible. */
void sched_give_way(struct sched_entity *e, u64 now);

/*
 * The scheduling point of this CPU. Charges the entity that ran. Returns the entity to run until
 * *until (system time; ~0 if nothing ends its turn), or NULL to idle. If the answer differs from
 * the last one, the caller saves the old entity's state and then calls sched_switched; until then
 * no other CPU picks the old entity. Locks: none held.
 */
struct sched_entity *sched_pick(unsigned cpu, u64 now, u64 *until);
/* Says that the caller has saved the old entity's state: other CPUs may run it from now on. */
void sched_switched(unsigned cpu);

/* Returns true while a CPU may hold the entity's state in its registers. */
bool sched_on_cpu(const struct sched_entity *e);
/* Returns the ns of run time so far; exact at scheduling points. */
u64 sched_run_time(const struct sched_entity *e, u64 now);

/*
 * The user of the scheduler provides this: it says whether e may run now. Asked before e is woken.
 * Locks: the run queue's is held. Otherwise one CPU could ask, another put e to sleep, and the
 * first then wake it although it may not run.
 */
bool sched_may_run(const struct sched_entity *e);

#endif
