/*
 * The data that the scheduler and the timers keep inside each vCPU and each domain. The rules that
 * change them are in sched.c and timer.c.
 */
#ifndef SCHED_SCHED_TYPES_H
#define SCHED_SCHED_TYPES_H

#include <asm/spinlock.h>

/*
 * A domain: the weight of each of its vCPUs, and the run time that all of them together may use in
 * a period.
 */
struct sched_group {
	u32 weight;             /* [a] of each vCPU; read when a request starts */
	u32 quota;              /* [a] ns of run time per period, 0 for no cap */
	/* [a] one word: period number (high half) and s32 ns left in it (low half) */
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
	struct sched_group *group;      /* [I] */
	/* [a] the CPU whose queue it belongs to; changes under that queue's lock */
	u32 cpu;
	u8 place;                       /* [q] enum sched_place */
	bool runnable;                  /* [q] woken and not put to sleep since */
	bool boosted;                   /* [q] queued ahead of its time by sched_wake_boost */
	/* [q] while current: the next pick prefers another entity */
	bool yielded;
	/* [a] set under the queue's lock; cleared when the state has been saved */
	bool on_cpu;
	u32 weight;                     /* [q] of this request */
	u64 hard, soft;                 /* [q] CPUs it may use, and likes to use */
	/* Virtual times by the clock of its queue; relative to that clock while MOVING. */
	u64 vruntime;                   /* [q] virtual time that its service has reached */
	/* [q] when it may run: vruntime at the start of its request, or earlier if boosted */
	u64 eligible;
	/* [q] when its request should be served: the tree's order */
	u64 deadline;
	/* [q] remainder of (service / weight), so that no service is lost */
	u32 remainder;
	u32 epoch;                      /* [q] epoch of its queue's clock when it left */
	u64 run_ns;                     /* [q] real run time up to the last charge */
	/* Node of the tree (tree.c), or link in the list of parked entities. */
	struct sched_entity *parent;    /* [q] */
	struct sched_entity *child[2];  /* [q] earlier deadlines, later deadlines */
	u64 min_eligible;               /* [q] earliest `eligible` of the subtree */
	u64 any_hard;                   /* [q] union of `hard` over the subtree */
	/* [I] heap order of the tree; random, which keeps the tree balanced */
	u32 priority;
};

/* One-shot; see sched/timer.h. */
struct timer {
	u64 expires;            /* [LOCK_TIMER] ns */
	void (*fn)(void *arg);  /* [I] called without locks, on the CPU that armed the timer */
	void *arg;              /* [I] */
	u32 cpu;                /* [LOCK_TIMER] queue it is on */
	u32 index;              /* [LOCK_TIMER] place in that queue's heap + 1, 0 if not armed */
};

#endif
