/*
 * The scheduler's CPUs, groups and entities: their beginning, settings and end. The choice among
 * them is in sched.c.
 */
#include "sched/queue.h"
#include "sched/cap.h"

void sched_cpu_init(unsigned cpu)
{
	struct queue *q = &sched_queues[cpu];

	*q = (struct queue){ .cpu = cpu, .turn_end = ~0ull };
	spin_init(&q->lock, LOCK_RQ);
	__atomic_or_fetch(&sched_idle, BIT(cpu), __ATOMIC_SEQ_CST);
	__atomic_or_fetch(&sched_online, BIT(cpu), __ATOMIC_SEQ_CST);
}

/* ---- Groups ---- */

void sched_group_init(struct sched_group *g)
{
	*g = (struct sched_group){ .weight = SCHED_WEIGHT_DEFAULT };
}

/* Charges g's entities that have a CPU. If `kick`, asks these CPUs to pick again. */
static void visit_turns(const struct sched_group *g, u64 now, bool kick)
{
	cpumask_t online = __atomic_load_n(&sched_online, __ATOMIC_RELAXED);

	for (; online; online &= online - 1) {
		struct queue *q = &sched_queues[__builtin_ctzll(online)];

		spin_lock(&q->lock);
		if (q->current && q->current->group == g) {
			queue_charge(q, now);
			if (kick)
				cpu_kick(q->cpu);
		}
		spin_unlock(&q->lock);
	}
}

/* A new weight counts from the next request on, a new cap from now on. */
int sched_group_set(struct sched_group *g, u32 weight, u32 cap, u64 now)
{
	u64 period = (u32)(now / CAP_PERIOD);
	u32 quota;

	if (!weight || weight > SCHED_WEIGHT_MAX)
		return -EINVAL;
	/* A cap above all possible CPUs is no cap; so quota < 2^30. */
	quota = cap < 100 * NR_CPUS ? cap * (u32)CAP_PERCENT : 0;
	/* Run time without a cap doesn't count. */
	if (!group_capped(g)) {
		visit_turns(g, now, false);
		__atomic_store_n(&g->budget, period << 32 | quota, __ATOMIC_RELAXED);
	}
	__atomic_store_n(&g->weight, weight, __ATOMIC_RELAXED);
	__atomic_store_n(&g->quota, quota, __ATOMIC_RELAXED);
	visit_turns(g, now, true);
	return 0;
}

/* ---- Entities ---- */

/*
 * Returns a number that is different in each call and has no order: the tree's balance needs that.
 */
static u32 scattered_number(void)
{
	static u32 calls;
	u64 x = __atomic_add_fetch(&calls, 1, __ATOMIC_RELAXED) * 0xd6e8feb86659fd93ull;

	x ^= x >> 32;
	x *= 0xd6e8feb86659fd93ull;
	return (u32)(x >> 32);
}

void sched_entity_init(struct sched_entity *e, struct sched_group *g, unsigned cpu, cpumask_t hard, cpumask_t soft)
{
	struct queue *q = &sched_queues[cpu];

	/* An entity must always have a CPU to run on. */
	if (!(hard & __atomic_load_n(&sched_online, __ATOMIC_RELAXED)))
		hard = ~0ull;
	*e = (struct sched_entity){
		.group = g, .cpu = cpu, .weight = g->weight, .hard = hard, .soft = soft, .priority = scattered_number(),
	};
	spin_lock(&q->lock);
	e->vruntime = q->vtime;
	e->epoch = q->epoch;
	spin_unlock(&q->lock);
}

void sched_entity_destroy(struct sched_entity *e)
{
	for (;;) {
		struct queue *q = sched_lock_queue_of(e);
		enum sched_place place = e->place;

		/* A wake on another CPU, overtaken by a sleep, may still be moving it. */
		BUG_ON(e->runnable || e->on_cpu || (place != SCHED_OFF && place != SCHED_MOVING));
		spin_unlock(&q->lock);
		if (place == SCHED_OFF)
			return;
		cpu_relax();
	}
}

int sched_set_affinity(struct sched_entity *e, cpumask_t hard, cpumask_t soft, u64 now)
{
	struct queue *q;

	if (!(hard & __atomic_load_n(&sched_online, __ATOMIC_RELAXED)))
		return -EINVAL;
	q = sched_lock_queue_of(e);
	queue_charge(q, now);
	if (e->place == SCHED_QUEUED || e->place == SCHED_PARKED)
		queue_remove(q, e);
	/* Atomic, because the toolstack's calls read both without the lock. */
	__atomic_store_n(&e->hard, hard, __ATOMIC_RELAXED);
	__atomic_store_n(&e->soft, soft, __ATOMIC_RELAXED);
	if (e->place == SCHED_CURRENT) {
		if (!permitted(e, q->cpu))
			cpu_kick(q->cpu);
		spin_unlock(&q->lock);
	} else {
		sched_settle(q, e, now, false);
	}
	return 0;
}

bool sched_on_cpu(const struct sched_entity *e)
{
	/* Acquire: when it is off the CPU, we see its saved state. */
	return __atomic_load_n(&e->on_cpu, __ATOMIC_ACQUIRE);
}

u64 sched_run_time(const struct sched_entity *e, u64 now)
{
	struct queue *q = sched_lock_queue_of(e);
	u64 ns = e->run_ns;

	if (e->place == SCHED_CURRENT && now > q->charged_at)
		ns += now - q->charged_at;
	spin_unlock(&q->lock);
	return ns;
}
