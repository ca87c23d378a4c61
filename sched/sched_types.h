/*
 * The data that the scheduler and the timers keep inside each vCPU and each domain. The rules that
 * change them are in sched.c and timer.c.
 */
#ifndef SCHED_SCHED_TYPES_H
#define SCHED_SCHED_TYPES_H

#include <asm/spinlock.h>

/*
 * The tags are those of vmm/domain.h. A domain that moves takes along which of its vCPUs are to run
 * and when its timers expire; the scheduler's own times mean nothing on another machine.
 *
 * A domain: the weight of each of its vCPUs, and the run time that all of them together may use in
 * a period.
 */
struct sched_group {
	u32 weight;             /* [a] (d) of each vCPU; read when a request starts */
	u32 quota;              /* [a] (d) ns of run time per period, 0 for no cap */
	/* [a] (t) one word: period number (high half) and s32 ns left in it (low half) */
	u64 budget;
};

enum sched_place {
	/* in no queue: asleep, or runnable and waiting for sched_switched */
	SCHED_OFF,
	SCHED_QUEUED,           /* in the tree of its CPU */
	SCHED_CURRENT,          /* has its CPU */
	SCHED_PARKED,           /* runnable, but its group has used up its cap */
	SCHED_MOVING,           /* between two queues: the code that set this puts it into one */
};

/* A vCPU. [q] is the lock of the run queue of CPU `cpu`. */
struct sched_entity {
	struct sched_group *group;      /* [I] (d) */
	/* [a] (t) the CPU whose queue it belongs to; changes under that queue's lock */
	u32 cpu;
	u8 place;                       /* [q] (t) enum sched_place */
	bool runnable;                  /* [q] (d) woken and not put to sleep since */
	bool boosted;                   /* [q] (t) queued ahead of its time by sched_wake_boost */
	/* [q] (t) while current: the next pick prefers another entity */
	bool yielded;
	/* [a] (t) set under the queue's lock; cleared when the state has been saved */
	bool on_cpu;
	u32 weight;                     /* [q] (d) of this request */
	u64 hard, soft;                 /* [q] (d) CPUs it may use, and likes to use */
	/* Virtual times by the clock of its queue; relative to that clock while MOVING. */
	u64 vruntime;                   /* [q] (t) virtual time that its service has reached */
	/* [q] (t) when it may run: vruntime at the start of its request, or earlier if boosted */
	u64 eligible;
	/* [q] (t) when its request should be served: the tree's order */
	u64 deadline;
	/* [q] (t) remainder of (service / weight), so that no service is lost */
	u32 remainder;
	u32 epoch;                      /* [q] (t) epoch of its queue's clock when it left */
	u64 run_ns;                     /* [q] (t) real run time up to the last charge */
	/* Node of the tree (tree.c), or link in the list of parked entities. */
	struct sched_entity *parent;    /* [q] (t) */
	struct sched_entity *child[2];  /* [q] (t) earlier deadlines, later deadlines */
	u64 min_eligible;               /* [q] (t) earliest `eligible` of the subtree */
	u64 any_hard;                   /* [q] (t) union of `hard` over the subtree */
	/* [I] (t) heap order of the tree; random, which keeps the tree balanced */
	u32 priority;
};

/* One-shot; see sched/timer.h. */
struct timer {
	u64 expires;            /* [LOCK_TIMER] its owner's tag says whether it is saved; ns */
	void (*fn)(void *arg);  /* [I] (d) called without locks, on the CPU that armed the timer */
	void *arg;              /* [I] (d) */
	u32 cpu;                /* [LOCK_TIMER] (t) queue it is on */
	u32 index;              /* [LOCK_TIMER] (t) place in that queue's heap + 1, 0 if not armed */
};

#endif
