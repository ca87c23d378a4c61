/*
 * Chooses the CPU that an entity waits on: placement at wake-up, stealing by idle CPUs, and now and
 * then a push from a heavy queue to a light one.
 */
#include "sched/queue.h"

#define LOOK_AT_MOST   8                /* candidates to look at: two queues are locked meanwhile */

static cpumask_t load_mask(const cpumask_t *m) { return __atomic_load_n(m, __ATOMIC_SEQ_CST); }
static u64 weight_of(unsigned cpu) { return __atomic_load_n(&sched_queues[cpu].weight, __ATOMIC_RELAXED); }
static u64 lightness(unsigned cpu) { return ~weight_of(cpu); }
static u64 waiting_on(unsigned cpu) { return __atomic_load_n(&sched_queues[cpu].waiting, __ATOMIC_RELAXED); }
static unsigned first_cpu(cpumask_t m) { return (unsigned)__builtin_ctzll(m); }

/* Returns the CPU of m for which much() is largest, or the first of equals. */
static inline unsigned best_of(cpumask_t m, u64 (*much)(unsigned cpu))
{
	unsigned best = first_cpu(m);

	for (m &= m - 1; m; m &= m - 1)
		if (much(first_cpu(m)) > much(best))
			best = first_cpu(m);
	return best;
}

unsigned balance_place(const struct queue *q, const struct sched_entity *e)
{
	cpumask_t may = e->hard & load_mask(&sched_online);
	cpumask_t likes = may & e->soft;
	cpumask_t idle = may & load_mask(&sched_idle);
	cpumask_t choices = likes & idle ? likes & idle : idle;

	/*
	 * In this order: an idle CPU that e likes, an idle CPU, the CPU where it was, any permitted
	 * one.
	 */
	if (!choices)
		choices = may & BIT(q->cpu) ? BIT(q->cpu) : likes ? likes : may;
	if (choices & BIT(q->cpu))
		return q->cpu;
	return best_of(choices, lightness);
}

static void offer_to(unsigned cpu)
{
	/*
	 * Take it off the mask, so that the next offer goes to another. Its pick announces it again
	 * if it finds no work.
	 */
	__atomic_and_fetch(&sched_idle, ~BIT(cpu), __ATOMIC_SEQ_CST);
	__atomic_store_n(&sched_queues[cpu].offered, true, __ATOMIC_RELAXED);
	cpu_kick(cpu);
}

void balance_offer(const struct sched_entity *e)
{
	cpumask_t idle = e->hard & load_mask(&sched_idle) & ~BIT(e->cpu);

	if (unlikely(idle) && !e->on_cpu)
		offer_to(first_cpu(idle));
}

/* Offers start at the lowest idle CPU and then go only to higher ones, so this ends. */
void balance_pass_on(unsigned cpu)
{
	cpumask_t higher = load_mask(&sched_idle) & ~(2 * BIT(cpu) - 1);

	if (higher && load_mask(&sched_crowded))
		offer_to(first_cpu(higher));
}

/* ---- Moving between two queues ---- */

static void lock_both(struct queue *q, struct queue *other)
{
	spin_lock(q->cpu < other->cpu ? &q->lock : &other->lock);
	spin_lock(q->cpu < other->cpu ? &other->lock : &q->lock);
}

/*
 * Returns an entity that waits in `from`, may run on `to`, and isn't on a CPU, of weight max_weight
 * at most. Prefers one that likes `to`.
 */
static struct sched_entity *find_candidate(const struct queue *from, const struct queue *to, u64 max_weight)
{
	struct sched_entity *found = NULL, *e = tree_first_on(from->root, to->cpu);

	for (unsigned i = 0; e && i < LOOK_AT_MOST; i++, e = tree_next_on(e, to->cpu)) {
		/* Acquire: its next CPU sees its saved state. */
		if (__atomic_load_n(&e->on_cpu, __ATOMIC_ACQUIRE) || e->weight > max_weight)
			continue;
		if (e->soft & BIT(to->cpu))
			return e;
		if (!found)
			found = e;
	}
	return found;
}

/* Both clocks are brought up to `now` first: until then the old sets of entities competed. */
static void move_entity(struct queue *from, struct queue *to, struct sched_entity *e, u64 now)
{
	queue_charge(from, now);
	queue_charge(to, now);
	queue_remove(from, e);
	queue_detach(from, e);
	__atomic_store_n(&e->cpu, to->cpu, __ATOMIC_RELEASE);
	queue_attach(to, e);
	queue_join(to, e);
	queue_insert(to, e);
}

bool balance_steal(struct queue *q)
{
	cpumask_t victims = load_mask(&sched_crowded) & ~BIT(q->cpu);

	while (!q->root && victims) {
		struct queue *from = &sched_queues[best_of(victims, waiting_on)];
		struct sched_entity *e;

		victims &= ~BIT(from->cpu);
		spin_unlock(&q->lock);
		lock_both(q, from);
		e = q->root ? NULL : find_candidate(from, q, ~0ull);
		if (e)
			move_entity(from, q, e, q->picked_at);
		spin_unlock(&from->lock);
	}
	return q->root != NULL;
}

void balance_push(struct queue *q)
{
	cpumask_t others = q->root->any_hard & load_mask(&sched_online) & ~BIT(q->cpu);
	struct sched_entity *e = NULL;
	struct queue *to;

	if (!others)
		return;
	to = &sched_queues[best_of(others, lightness)];
	if (weight_of(to->cpu) >= q->weight)
		return;
	spin_unlock(&q->lock);
	lock_both(q, to);
	/*
	 * Only if this makes the difference smaller. Otherwise two queues would pass one entity to
	 * and fro.
	 */
	if (q->weight > to->weight)
		e = find_candidate(q, to, q->weight - to->weight - 1);
	if (e) {
		move_entity(q, to, e, q->picked_at);
		sched_kick_for(to, e);
	}
	spin_unlock(&to->lock);
}
