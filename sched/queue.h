/* The run queue of one CPU and its clock: only the files of the scheduler use it. */
#ifndef SCHED_QUEUE_H
#define SCHED_QUEUE_H

#include "sched/sched.h"

/*
 * The idea. Each queue has a clock, vtime, that advances by (run time) / (sum of weights): what a
 * fluid machine would give to each entity per unit of its weight. An entity's vruntime advances by
 * (its run time) / (its weight). Its lag, weight * (vtime - vruntime), is the service that it is
 * owed. Entities ask for service in requests of SLICE ns. A request is eligible when the clock has
 * reached the vruntime at which it starts, and due one slice / weight later. The eligible request
 * with the earliest deadline runs.
 *
 * The clock never goes back.
 * - An entity that leaves with a debt (vruntime > vtime) has had service that the others are owed.
 *   The clock then stands still for as long (`service` goes down by the debt). If the entity comes
 *   back, the rest of the debt counts again. The result is the same as if it had stayed in the tree
 *   until the debt was paid. So sleeping neither sheds a debt nor passes it on.
 * - An entity that leaves with a positive lag gives it up: it had been offered the time.
 * - If no entity is eligible, the clock jumps to the first that will be. Debts of absent entities
 *   (epoch) then stop counting.
 *
 * The bound. A request starts only when it is eligible, so with lag >= 0. It gets at most SLICE,
 * plus GRAN because no turn is ended for less. A boost may start a turn with a debt of up to SLICE,
 * for GRAN. So, if the CPU calls sched_pick at the time it was told:
 *
 *         lag >= -(SLICE + GRAN) = -LAG_MAX.
 *
 * In the other direction, the requests due before an eligible one fit into the fluid machine's time
 * before its deadline. One turn that cannot be taken back may come first. So it is served by
 * deadline + turn.
 * A deadline is SLICE ahead of vruntime, hence lag <= SLICE + LAG_MAX. A queue has one outstanding
 * boost at a time, which adds its LAG_MAX. The simulation measures both sides.
 *
 * Numbers. Virtual time is in ns * 2^16 / weight: with weight 65535 a unit is 1 ns, with weight 1 a
 * ns is 2^16 units. A lag of LAG_MAX (< 2^22 ns) is < 2^38 whatever the weight. A charge is cut to
 * 2^34 ns, so weight * (difference of vruntimes) and one charge are < 2^51. `service` holds one of
 * these for each sleeper: 2^12 sleepers in debt per queue reach 2^50. All are within s64.
 */
#define SCHED_SCALE 16
#define SLICE      3000000ull
#define GRAN       500000ull
#define LAG_MAX    (SLICE + GRAN)
/* ns; only an entity that is alone runs longer, and its lag is 0 whatever it is charged */
#define CHARGE_MAX (1ull << 34)
/* ns; a vruntime further ahead is stale: the clock has wrapped past it while the entity slept */
#define DEBT_MAX   (1ull << 30)
/* ns; a turn that would end earlier by less than this isn't worth a kick */
#define KICK_SLACK 1000ull
/* ns between two looks of a crowded queue for a lighter queue */
#define BALANCE_PERIOD 20000000ull
#define NEVER      (~0ull)

struct queue {
	spinlock_t lock;                /* LOCK_RQ */
	u32 cpu;                        /* [I] */
	u32 waiting;                    /* [a] entities in the tree; changed under the lock */
	u32 epoch;                      /* [q] jumps of the clock so far */
	/* [a] sum over the tree and the current entity; changed under the lock */
	u64 weight;
	u64 vtime;                      /* [q] the clock: advances by run time / weight */
	/*
	 * [q] scaled run time by which the clock hasn't advanced yet; negative: the clock has to
	 * wait for it
	 */
	s64 service;
	u64 credit;                     /* [q] virtual time at which the last boost is paid back */
	struct sched_entity *root;      /* [q] tree of the entities that wait */
	struct sched_entity *parked;    /* [q] list of the entities without budget */
	struct sched_entity *current;   /* [q] the entity that has the CPU; it isn't in the tree */
	struct sched_entity *loaded;    /* [c] last answer of sched_pick */
	struct sched_entity *saving;    /* [c] the answer before that, until sched_switched */
	bool offered;                   /* [a] kicked while idle, so that it steals an entity */
	u64 picked_at;                  /* [c] ns: the last sched_pick */
	u64 charged_at;                 /* [q] ns: the current entity is charged up to here */
	u64 turn_start;                 /* [q] ns */
	/* [q] ns: last *until, or earlier if a kick was sent for that */
	u64 turn_end;
	u64 unpark_at;                  /* [q] ns: when parked entities may have budget again */
	u64 balance_at;                 /* [q] ns: next look at the lightest queue */
} __aligned(64);

extern struct queue sched_queues[NR_CPUS];
extern cpumask_t sched_online;          /* [a] */
extern cpumask_t sched_idle;            /* [a] CPUs whose last pick found no entity */
extern cpumask_t sched_crowded;         /* [a] CPUs with at least one entity waiting in the tree */

/* Virtual times wrap, but those of one queue lie within 2^63 of each other ("Numbers" above). */
static inline bool after(u64 a, u64 b) { return (s64)(a - b) > 0; }
static inline u64 to_virtual(u64 ns, u32 weight) { return (ns << SCHED_SCALE) / weight; }
static inline bool permitted(const struct sched_entity *e, unsigned cpu) { return e->hard & BIT(cpu); }

/*
 * tree.c: a treap in order of deadline. Each node knows the earliest eligible time and the
 * permitted CPUs below it.
 */
void tree_insert(struct sched_entity **root, struct sched_entity *e);
void tree_remove(struct sched_entity **root, struct sched_entity *e);
/* Returns the entity with the earliest deadline among those eligible at `vtime`, or NULL. */
struct sched_entity *tree_first_eligible(struct sched_entity *root, u64 vtime);
/*
 * Walks the entities permitted on `cpu` in order of deadline: returns the first of a tree, and the
 * one after e; NULL at the end.
 */
struct sched_entity *tree_first_on(struct sched_entity *root, unsigned cpu);
struct sched_entity *tree_next_on(struct sched_entity *e, unsigned cpu);

/* queue.c. Locks: the caller holds the queue's lock for all of these. */
/* Charges the current entity for its run time up to `now`, which moves the clock. */
void queue_charge(struct queue *q, u64 now);
/* Moves the clock to `vtime`, before which no entity was eligible. */
void queue_jump(struct queue *q, u64 vtime);
/*
 * Starts the next request of e, which competes: from its vruntime, with its group's present weight.
 */
void queue_new_request(struct queue *q, struct sched_entity *e);
/* Lets e compete from now on, with a new request. It isn't in the tree yet. */
void queue_join(struct queue *q, struct sched_entity *e);
/* Put e into the tree, and take it out; in both cases e goes on competing. */
void queue_insert(struct queue *q, struct sched_entity *e);
void queue_take_out(struct queue *q, struct sched_entity *e);
/* Takes e out of the tree, the CPU or the parked list. It competes no longer. */
void queue_remove(struct queue *q, struct sched_entity *e);
/*
 * queue_park removes e and makes it wait for its group's next period. queue_unpark_due brings the
 * entities back whose period has begun.
 */
void queue_park(struct queue *q, struct sched_entity *e, u64 now);
void queue_unpark_due(struct queue *q, u64 now);
/*
 * Make the entity's virtual times independent of q's clock, and dependent again, for a move between
 * two queues.
 */
void queue_detach(struct queue *q, struct sched_entity *e);
void queue_attach(struct queue *q, struct sched_entity *e);

/* sched.c. */
/* Locks the queue that e belongs to and returns it. */
struct queue *sched_lock_queue_of(const struct sched_entity *e);
/*
 * Puts e into the queue where it should wait, if it is runnable and in none; ahead of its time if
 * `boosting`. Locks: q's is held, and released.
 */
void sched_settle(struct queue *q, struct sched_entity *e, u64 now, bool boosting);
/* Kicks q's CPU if e, just queued there, is a reason to pick again. Locks: q's is held. */
void sched_kick_for(struct queue *q, const struct sched_entity *e);

/* balance.c. */
/*
 * Returns the CPU that e, runnable and in no queue, should wait on. Locks: that of q, its queue
 * now, is held.
 */
unsigned balance_place(const struct queue *q, const struct sched_entity *e);
/*
 * Steal from, or push to, another queue. balance_steal returns true if q's tree has an entity now.
 * Locks: q's is held; both release it and take it again.
 */
bool balance_steal(struct queue *q);
void balance_push(struct queue *q);
/* Asks an idle CPU to steal e, which has to wait here. */
void balance_offer(const struct sched_entity *e);
/*
 * CPU `cpu` was asked to steal, but it may have found other work or not be permitted. Asks the next
 * idle CPU if an entity still waits.
 */
void balance_pass_on(unsigned cpu);

#endif
