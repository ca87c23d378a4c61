/*
 * The fair scheduler: virtual deadlines (EEVDF) with weights, caps, hard and soft affinity, a run queue per pCPU, and balancing.
 * It knows nothing of guests: time comes in as an argument, and `sched_kick` goes out when a pCPU must look again. So the
 * very same file runs under the deterministic simulation on the host.
 */
#ifndef SCHED_SCHED_H
#define SCHED_SCHED_H

#include <asm/cpu.h>
#include <asm/spinlock.h>
#include "sched/sched_types.h"

#define SCHED_WEIGHT_DEFAULT 256
#define SCHED_WEIGHT_MAX     65535

/* pCPU `cpu` comes online, idle. */
void sched_cpu_init(unsigned cpu);
/* A group is a domain: cap is in percent of one pCPU over all its vCPUs, 0 for none. */
void sched_group_init(struct sched_group *g);
int sched_group_set(struct sched_group *g, u32 weight, u32 cap, u64 now);     /* -EINVAL on weight 0 or > max */
/* A new entity, asleep, on pCPU `cpu`. */
void sched_entity_init(struct sched_entity *e, struct sched_group *g, unsigned cpu, cpumask_t hard, cpumask_t soft);
/* The entity goes away: it must be asleep and not on a pCPU. */
void sched_entity_destroy(struct sched_entity *e);
/* -EINVAL if hard has no online pCPU. Takes effect at the latest at that entity's next scheduling point (it kicks). */
int sched_set_affinity(struct sched_entity *e, cpumask_t hard, cpumask_t soft, u64 now);

/* Runnable from now on / not runnable until the next wake. Both idempotent, callable for any entity from any pCPU. */
void sched_wake(struct sched_entity *e, u64 now);
void sched_sleep(struct sched_entity *e, u64 now);
/* As sched_wake, but runs soon on its pCPU: the service domain has an interrupt to take. Fairness debts stay. */
void sched_wake_boost(struct sched_entity *e, u64 now);
/* Ends e's turn if somebody else is eligible. */
void sched_give_way(struct sched_entity *e, u64 now);

/*
 * Scheduling point of this pCPU, called with no locks held: charges the entity that ran, and returns the one to run until *until (system time;
 * ~0 if nothing ends its turn), or NULL to idle. If the answer differs from the last one, the caller saves the old entity's state and then
 * calls sched_switched; until then no other pCPU picks the old one.
 */
struct sched_entity *sched_pick(unsigned cpu, u64 now, u64 *until);
void sched_switched(unsigned cpu);

/* True while some pCPU may hold the entity's state in its registers. */
bool sched_on_cpu(const struct sched_entity *e);
/* ns of run time so far (exact at scheduling points). */
u64 sched_run_time(const struct sched_entity *e, u64 now);

/*
 * Provided by the caller: may e run now? Asked with the run-queue lock held, before e is woken: once sched_sleep has returned, nobody who
 * had looked before that can wake an entity that may not run.
 */
bool sched_may_run(const struct sched_entity *e);

/* Provided by the caller (arch): pCPU `cpu` must call sched_pick soon. Called with the run-queue lock held. */
void sched_kick(unsigned cpu);

#endif
