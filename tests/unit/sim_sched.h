/* A machine of pretended pCPUs that run tasks under the scheduler, in virtual time and always in the same way for the same seed. */
#ifndef TESTS_UNIT_SIM_SCHED_H
#define TESTS_UNIT_SIM_SCHED_H

#include "sched/sched.h"
#include "sched/timer.h"

#define US 1000ull
#define MS 1000000ull

struct sim_task {
	struct sched_entity e;
	struct timer alarm;             /* wakes it */
	u64 run_min, run_max;           /* ns of each burst; run_max 0: it never sleeps */
	u64 sleep_min, sleep_max;
	u64 burst_left;
	bool boosts;                    /* its alarm is an interrupt: sched_wake_boost */
	u64 woken_at, worst_latency;    /* ns from waking to running */
};

struct sim_cpu {
	struct sim_task *task;
	u64 pick_at;                    /* next scheduling point */
	u64 resumed_at;                 /* task's burst is counted up to here */
	u64 switched_at;                /* sched_switched is due, or ~0 */
	u64 picks, switches;
	bool idle;
};

struct sim {
	u64 now;
	unsigned nr_cpus;
	u64 kick_delay, switch_delay;   /* at most, ns */
	u64 random;
	struct sim_cpu cpu[NR_CPUS];
	s64 lag_min, lag_max;           /* over all, at the beginning and end of turns */
	u64 events;
	const struct sched_entity *forbidden;   /* sched_may_run says no */
};

extern struct sim sim;

void sim_start(unsigned cpus, u64 seed);
/* A task on pCPU 0, asleep until sim_go(). */
void sim_task_init(struct sim_task *t, struct sched_group *g, u64 run_max, u64 sleep_max, cpumask_t hard);
void sim_go(struct sim_task *t);
void sim_run(u64 ns);
/* In [low, high]. */
u64 sim_between(u64 low, u64 high);

#endif
