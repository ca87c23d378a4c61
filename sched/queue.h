/* The run queue of one pCPU and its clock: shared by the files of the scheduler, and by nobody else. */
#ifndef SCHED_QUEUE_H
#define SCHED_QUEUE_H

#include "sched/sched.h"

/*
 * The idea. Each queue has a clock, vtime, that advances by (run time) / (sum of weights): what a fluid machine would give to each
 * entity per unit of its weight. An entity's vruntime advances by (its run time) / (its weight). Its lag, weight * (vtime - vruntime),
 * is the service that it is owed. Entities ask for service in requests of SLICE ns: a request is eligible when the clock has
 * reached the vruntime at which it starts, and due one slice / weight later. The eligible request with the earliest deadline runs.
 *
 * The clock never goes back.
 * - Who leaves with a debt (vruntime > vtime) has had service that the others are owed: the clock stands still for as long
 *   (`service` goes down by the debt). If it comes back, what is left of the debt counts again. Both together are exactly as if it had
 *   stayed in the tree until the debt was paid, so sleeping neither sheds a debt nor passes it on.
 * - Who leaves with a positive lag gives it up: the time was offered.
 * - If nobody is eligible the clock jumps to the first that will be, and debts of those that are away (epoch) stop counting.
 *
 * The bound. A request starts only when eligible, so with lag >= 0; it gets at most SLICE, plus GRAN because a turn isn't ended for
 * less. A boost may start a turn with a debt of up to SLICE, for GRAN. So, if the pCPU comes to sched_pick at the time it was told to:
 *         lag >= -(SLICE + GRAN) = -LAG_MAX.
 * In the other direction, the requests that are due before an eligible one fit into the fluid machine's time before its deadline, plus one
 * turn that cannot be taken back: served by deadline + turn. A deadline is SLICE ahead of vruntime, hence lag <= SLICE + LAG_MAX;
 * a boost, of which a queue has one outstanding at a time, adds its LAG_MAX. The simulation measures both sides.
 *
 * Numbers. Virtual time is in ns * 2^16 / weight: with weight 65535 a unit is 1 ns, with weight 1 a ns is 2^16 units. A lag of LAG_MAX
 * (< 2^22 ns) is < 2^38 whatever the weight. A charge is cut to 2^34 ns, so weight * (difference of vruntimes) and one charge are
 * < 2^51; `service` holds one of these for each sleeper: 2^12 sleepers in debt per queue reach 2^50. All within s64.
 */
#define SCHED_SCALE 16
#define SLICE      3000000ull
#define GRAN       500000ull
#define LAG_MAX    (SLICE + GRAN)
#define CHARGE_MAX (1ull << 34)         /* ns; only who is alone runs that long, and alone its lag is 0 whatever it is charged */
#define DEBT_MAX   (1ull << 30)         /* ns; a vruntime further ahead is one that the clock has lapped while its owner slept */
#define KICK_SLACK 1000ull              /* ns; a turn that ends earlier by less than this isn't worth a kick */
#define BALANCE_PERIOD 20000000ull      /* ns between two looks of a crowded queue for a lighter one */
#define NEVER      (~0ull)

struct queue {
	spinlock_t lock;                /* LOCK_RQ */
	u32 cpu;                        /* [I] */
	u32 waiting;                    /* [a] entities in the tree; changed under the lock */
	u32 epoch;                      /* [q] jumps of the clock so far */
	u64 weight;                     /* [a] of the tree and the current one; changed under the lock */
	u64 vtime;                      /* [q] the clock: advances by run time / weight */
	s64 service;                    /* [q] run time, scaled, that the clock has not advanced by yet; negative: has to wait for */
	u64 credit;                     /* [q] virtual time at which the last boost is paid back */
	struct sched_entity *root;      /* [q] tree of those that wait */
	struct sched_entity *parked;    /* [q] list of those without budget */
	struct sched_entity *current;   /* [q] has the pCPU; not in the tree */
	struct sched_entity *loaded;    /* [c] last answer of sched_pick */
	struct sched_entity *saving;    /* [c] the answer before, until sched_switched */
	bool offered;                   /* [a] kicked while idle, to steal */
	u64 picked_at;                  /* [c] ns: the last sched_pick */
	u64 charged_at;                 /* [q] ns: the current one is charged up to here */
	u64 turn_start;                 /* [q] ns */
	u64 turn_end;                   /* [q] ns: last *until, or earlier if it was kicked for that */
	u64 unpark_at;                  /* [q] ns: when parked entities may have budget again */
	u64 balance_at;                 /* [q] ns: next look at the lightest queue */
} __aligned(64);

extern struct queue sched_queues[NR_CPUS];
extern cpumask_t sched_online;          /* [a] */
extern cpumask_t sched_idle;            /* [a] pCPUs whose last pick found nothing */
extern cpumask_t sched_crowded;         /* [a] pCPUs with somebody waiting in the tree */

/* Virtual times wrap, but those of one queue lie within 2^63 of each other ("Numbers" above). */
static inline bool after(u64 a, u64 b) { return (s64)(a - b) > 0; }
static inline u64 to_virtual(u64 ns, u32 weight) { return (ns << SCHED_SCALE) / weight; }
static inline bool permitted(const struct sched_entity *e, unsigned cpu) { return e->hard & BIT(cpu); }

/* tree.c: a treap in order of deadline; each node knows the earliest eligible time and the permitted pCPUs below it. */
void tree_insert(struct sched_entity **root, struct sched_entity *e);
void tree_remove(struct sched_entity **root, struct sched_entity *e);
/* The earliest deadline among those eligible at `vtime`, or NULL. */
struct sched_entity *tree_first_eligible(struct sched_entity *root, u64 vtime);
/* In order of deadline, those permitted on `cpu`: the first of a tree, and the next after e; NULL at the end. */
struct sched_entity *tree_first_on(struct sched_entity *root, unsigned cpu);
struct sched_entity *tree_next_on(struct sched_entity *e, unsigned cpu);

/* queue.c: all with the queue's lock held. */
/* Charges the current one for its run time up to `now`, which moves the clock. */
void queue_charge(struct queue *q, u64 now);
/* Nobody was eligible before `vtime`. */
void queue_jump(struct queue *q, u64 vtime);
/* The next request of e, which competes: from its vruntime, with its group's weight of now. */
void queue_new_request(struct queue *q, struct sched_entity *e);
/* e competes from now on, with a new request; it's not in the tree yet. */
void queue_join(struct queue *q, struct sched_entity *e);
/* Into the tree, and out of it: e goes on competing. */
void queue_insert(struct queue *q, struct sched_entity *e);
void queue_take_out(struct queue *q, struct sched_entity *e);
/* Out of whatever it is in; it competes no longer. */
void queue_remove(struct queue *q, struct sched_entity *e);
/* e, removed, waits for its group's next period; and what has waited for one that began goes back to the tree. */
void queue_park(struct queue *q, struct sched_entity *e, u64 now);
void queue_unpark_due(struct queue *q, u64 now);
/* The entity's virtual times become independent of q's clock, or dependent again: between two queues. */
void queue_detach(struct queue *q, struct sched_entity *e);
void queue_attach(struct queue *q, struct sched_entity *e);

/* sched.c. */
/* Locks the queue that e belongs to. */
struct queue *sched_lock_queue_of(const struct sched_entity *e);
/* Puts e into the queue where it should wait, if it is runnable and in none. Gives up q's lock. */
void sched_settle(struct queue *q, struct sched_entity *e, u64 now);
/* Kicks q's pCPU if e, just queued there, is a reason to pick again. With q's lock held. */
void sched_kick_for(struct queue *q, const struct sched_entity *e);

/* balance.c. */
/* The pCPU that e, runnable and in no queue, should wait on; q is its queue now, with the lock held. */
unsigned balance_place(const struct queue *q, const struct sched_entity *e);
/* Both give up q's lock and take it again. Steal: true if q's tree has something now. */
bool balance_steal(struct queue *q);
void balance_push(struct queue *q);
/* Asks an idle pCPU to come and steal e, which has to wait where it is. */
void balance_offer(const struct sched_entity *e);
/* pCPU `cpu` was asked, but may have found other work, or not be permitted: asks the next idle one if somebody still waits. */
void balance_pass_on(unsigned cpu);

#endif
