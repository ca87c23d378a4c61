/* What the scheduler and the timers keep inside each vCPU and each domain; the rules that move these fields are in sched.c and timer.c. */
#ifndef SCHED_SCHED_TYPES_H
#define SCHED_SCHED_TYPES_H

#include <asm/spinlock.h>

/* A domain: weight of each of its vCPUs, and the run time that all of them together may use in a period. */
struct sched_group {
	u32 weight;             /* [a] of each vCPU; looked at when a request starts */
	u32 quota;              /* [a] ns of run time per period, 0 for no cap */
	u64 budget;             /* [a] period number (high half) and s32 ns left in it (low half), as one word */
};

enum sched_place {
	SCHED_OFF,              /* in no queue: asleep, or runnable and waiting for sched_switched */
	SCHED_QUEUED,           /* in the tree of its pCPU */
	SCHED_CURRENT,          /* has its pCPU */
	SCHED_PARKED,           /* runnable, but its group has used up its cap */
	SCHED_MOVING,           /* between two queues: whoever set this puts it on one */
};

/* A vCPU. [q] is the lock of the run queue of pCPU `cpu`. */
struct sched_entity {
	struct sched_group *group;      /* [I] */
	u32 cpu;                        /* [a] whose queue it belongs to; changes under that queue's lock */
	u8 place;                       /* [q] enum sched_place */
	bool runnable;                  /* [q] woken and not put to sleep since */
	bool boosted;                   /* [q] queued ahead of its time by sched_wake_boost */
	bool yielded;                   /* [q] while current: the next pick prefers somebody else */
	bool on_cpu;                    /* [a] set under the queue's lock; cleared when the state has been saved */
	u32 weight;                     /* [q] of this request */
	u64 hard, soft;                 /* [q] pCPUs it may use, and likes to use */
	/* Virtual times, of the clock of its queue; relative to that clock while MOVING. */
	u64 vruntime;                   /* [q] virtual time that its service has reached */
	u64 eligible;                   /* [q] when it may run: vruntime at the start of its request, or earlier if boosted */
	u64 deadline;                   /* [q] when its request should be served: the tree's order */
	u32 remainder;                  /* [q] of the division of service by weight, so that nothing is lost */
	u32 epoch;                      /* [q] of its queue's clock when it left */
	u64 run_ns;                     /* [q] real run time up to the last charge */
	/* Node of the tree (tree.c), or link in the list of parked entities. */
	struct sched_entity *parent;    /* [q] */
	struct sched_entity *child[2];  /* [q] earlier deadlines, later deadlines */
	u64 min_eligible;               /* [q] of the subtree */
	u64 any_hard;                   /* [q] union of `hard` over the subtree */
	u32 priority;                   /* [I] heap order of the tree: random, so that the tree is balanced */
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
