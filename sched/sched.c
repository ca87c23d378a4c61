/*
 * Decides which entity runs next on a CPU, and until when: the earliest virtual deadline among the
 * eligible. The rules are in queue.h.
 */
#include "sched/cap.h"
#include "sched/queue.h"

struct queue sched_queues[NR_CPUS];
cpumask_t sched_online, sched_idle, sched_crowded;

struct queue *sched_lock_queue_of(const struct sched_entity *e)
{
	for (;;) {
		u32 cpu = __atomic_load_n(&e->cpu, __ATOMIC_RELAXED);
		struct queue *q = &sched_queues[cpu];

		spin_lock(&q->lock);
		/* Acquire: we see everything that the CPU which moved it here has written to it. */
		if (likely(__atomic_load_n(&e->cpu, __ATOMIC_ACQUIRE) == cpu))
			return q;
		spin_unlock(&q->lock);
	}
}

/* ---- Boost ---- */

/*
 * Puts e, joined but not in the tree, ahead of all, if its debt allows that and no other boost on
 * this queue is unpaid.
 */
static void boost_entity(struct queue *q, struct sched_entity *e)
{
	u64 slice = to_virtual(SLICE, e->weight);

	if (after(e->vruntime, q->vtime)) {
		bool own = e->vruntime == q->credit;

		if (e->vruntime - q->vtime > slice || (after(q->credit, q->vtime) && !own))
			return;
		e->eligible = q->vtime;
	}
	e->deadline = q->vtime - slice;
	e->boosted = true;
}

/* ---- Waking ---- */

/* Returns true if e may take the CPU from the current entity. Both are eligible. */
static bool goes_before(const struct sched_entity *e, const struct sched_entity *current)
{
	return after(current->deadline, e->deadline);
}

/* Returns true if it may do so even before GRAN is over. */
static bool goes_at_once(const struct sched_entity *e, const struct sched_entity *current)
{
	return e->boosted && !current->boosted && goes_before(e, current);
}

/*
 * Returns the end of the current entity's turn while others wait: its request is served, or another
 * goes before it and GRAN is over.
 */
static u64 contested_end(const struct queue *q, u64 now)
{
	const struct sched_entity *e = q->current, *rival = tree_first_eligible(q->root, q->vtime);
	u64 protected_end = q->turn_start + GRAN;

	if (rival && goes_at_once(rival, e))
		return now;
	if (e->boosted || (rival && goes_before(rival, e)) || !after(e->deadline, e->vruntime))
		return MAX(protected_end, now);
	return MAX(protected_end, now + ((e->deadline - e->vruntime) * e->weight >> SCHED_SCALE) + 1);
}

void sched_kick_for(struct queue *q, const struct sched_entity *e)
{
	u64 end;

	if (!q->current) {
		/* Take it off the mask, so that the next search for an idle CPU finds another. */
		if (__atomic_load_n(&sched_idle, __ATOMIC_RELAXED) & BIT(q->cpu))
			__atomic_and_fetch(&sched_idle, ~BIT(q->cpu), __ATOMIC_SEQ_CST);
		cpu_kick(q->cpu);
		return;
	}
	end = contested_end(q, q->charged_at);
	if (q->turn_end > end + KICK_SLACK) {
		q->turn_end = end;
		cpu_kick(q->cpu);
	}
	balance_offer(e);
}

/*
 * Brings e, which is in no queue and not on a CPU, to dest. Releases q's lock, and returns dest's
 * queue locked.
 */
static struct queue *change_queue(struct queue *q, struct sched_entity *e, unsigned dest)
{
	queue_detach(q, e);
	/*
	 * From here on others find it at dest, but leave it alone because it is moving. Release:
	 * they see it as it is now.
	 */
	__atomic_store_n(&e->cpu, dest, __ATOMIC_RELEASE);
	spin_unlock(&q->lock);
	q = &sched_queues[dest];
	spin_lock(&q->lock);
	queue_attach(q, e);
	return q;
}

void sched_settle(struct queue *q, struct sched_entity *e, u64 now, bool boosting)
{
	while (e->runnable && e->place == SCHED_OFF && !e->on_cpu) {
		unsigned dest = balance_place(q, e);

		if (dest == q->cpu)
			break;
		q = change_queue(q, e, dest);
		/*
		 * The affinity may have changed on the way. If it hasn't, this is the right place.
		 */
		if (permitted(e, dest))
			break;
	}
	/*
	 * If its state is still in the registers of a CPU that it must leave, sched_switched comes
	 * back to it.
	 */
	if (e->runnable && e->place == SCHED_OFF && (!e->on_cpu || permitted(e, q->cpu))) {
		queue_charge(q, now);
		queue_join(q, e);
		if (boosting)
			boost_entity(q, e);
		queue_insert(q, e);
		sched_kick_for(q, e);
	}
	spin_unlock(&q->lock);
}

static void boost_queued(struct queue *q, struct sched_entity *e, u64 now)
{
	queue_charge(q, now);
	queue_take_out(q, e);
	boost_entity(q, e);
	queue_insert(q, e);
	if (e->boosted)
		sched_kick_for(q, e);
}

static void wake_entity(struct sched_entity *e, u64 now, bool boosting)
{
	struct queue *q = sched_lock_queue_of(e);

	if (!e->runnable && likely(sched_may_run(e))) {
		e->runnable = true;
		sched_settle(q, e, now, boosting);      /* unlocks */
		return;
	}
	if (e->runnable && boosting && e->place == SCHED_QUEUED && !e->boosted)
		boost_queued(q, e, now);
	spin_unlock(&q->lock);
}

void sched_wake(struct sched_entity *e, u64 now) { wake_entity(e, now, false); }
void sched_wake_boost(struct sched_entity *e, u64 now) { wake_entity(e, now, true); }

void sched_sleep(struct sched_entity *e, u64 now)
{
	struct queue *q = sched_lock_queue_of(e);
	bool current = e->place == SCHED_CURRENT;

	if (e->runnable) {
		queue_charge(q, now);
		e->runnable = false;
		queue_remove(q, e);
		if (current)
			cpu_kick(q->cpu);
	}
	spin_unlock(&q->lock);
}

void sched_give_way(struct sched_entity *e, u64 now)
{
	struct queue *q = sched_lock_queue_of(e);

	queue_charge(q, now);
	if (e->place == SCHED_CURRENT && q->root) {
		e->yielded = true;
		cpu_kick(q->cpu);
	}
	spin_unlock(&q->lock);
}

/* ---- Choosing ---- */

/* Lets the current entity go on with its request or start the next, or takes it off the CPU. */
static void review_current(struct queue *q, u64 now)
{
	struct sched_entity *e = q->current;

	if (!e)
		return;
	if (unlikely(!permitted(e, q->cpu))) {
		/*
		 * In no queue, but runnable: sched_switched finds a place for it when its state is
		 * saved.
		 */
		queue_remove(q, e);
		return;
	}
	if (group_exhausted(e->group, now)) {
		queue_park(q, e, now);
		return;
	}
	if (!after(e->deadline, e->vruntime) || (e->boosted && now - q->turn_start >= GRAN))
		queue_new_request(q, e);
}

/*
 * Puts e back into the tree with the rest of its request. A boosted turn or a yield ends the
 * request.
 */
static void put_back(struct queue *q, struct sched_entity *e)
{
	if (e->boosted || e->yielded)
		queue_new_request(q, e);
	queue_insert(q, e);
}

static void give_turn(struct queue *q, struct sched_entity *e, u64 now)
{
	if (q->current)
		put_back(q, q->current);
	queue_take_out(q, e);
	e->place = SCHED_CURRENT;
	e->yielded = false;
	q->current = e;
	q->turn_start = q->charged_at = now;
}

static bool keeps_turn(const struct queue *q, const struct sched_entity *rival, u64 now)
{
	const struct sched_entity *e = q->current;

	if (!rival)
		return true;
	if (e->yielded || after(e->eligible, q->vtime))
		return false;
	if (now - q->turn_start < GRAN && !goes_at_once(rival, e))
		return true;
	/*
	 * At the start of a request an equal rival goes first: the current entity has just had its
	 * turn.
	 */
	if (e->vruntime == e->eligible)
		return after(rival->deadline, e->deadline);
	return !goes_before(rival, e);
}

/*
 * If neither the current entity nor a waiting one is eligible, moves the clock to the first that
 * will be.
 */
static void make_eligible(struct queue *q)
{
	u64 first = q->root->min_eligible;

	if (q->current && after(first, q->current->eligible))
		first = q->current->eligible;
	if (after(first, q->vtime))
		queue_jump(q, first);
}

/* Sets q->current to the entity that should run, or leaves it NULL. */
static void choose_current(struct queue *q, u64 now)
{
	while (q->root) {
		struct sched_entity *rival;

		make_eligible(q);
		rival = tree_first_eligible(q->root, q->vtime);
		if (q->current ? keeps_turn(q, rival, now) : !rival)
			break;
		if (group_exhausted(rival->group, now)) {
			queue_park(q, rival, now);
			continue;
		}
		give_turn(q, rival, now);
		break;
	}
	if (q->current)
		q->current->yielded = false;
}

/* Returns the real time at which this CPU has to pick again. */
static u64 turn_end(const struct queue *q, u64 now)
{
	const struct sched_entity *e = q->current;
	u64 end = NEVER;

	if (e && q->root)
		end = contested_end(q, now);
	if (e && group_capped(e->group))
		end = MIN(end, now + group_left(e->group, now));
	if (q->parked)
		end = MIN(end, MAX(q->unpark_at, now));
	return end;
}

/* Records the answer. The entity before it stays on this CPU until sched_switched. */
static struct sched_entity *record_answer(struct queue *q)
{
	struct sched_entity *e = q->current;

	if (e != q->loaded) {
		q->saving = q->loaded;
		q->loaded = e;
		if (e)
			__atomic_store_n(&e->on_cpu, true, __ATOMIC_RELAXED);
	}
	return e;
}

/*
 * The common case, worth a shortcut: no entity waits for this CPU, and its current one may go on.
 */
static bool goes_on_alone(const struct queue *q)
{
	const struct sched_entity *e = q->current;

	return e && !q->root && !q->parked && permitted(e, q->cpu) && !group_capped(e->group);
}

/*
 * Sets q->current to the entity that has this CPU from now on. May release q's lock and take it
 * again.
 */
static void decide_current(struct queue *q, u64 now)
{
	queue_unpark_due(q, now);
	if (q->root && now >= q->balance_at) {
		q->balance_at = now + BALANCE_PERIOD;
		balance_push(q);
	}
	review_current(q, now);
	choose_current(q, now);
	if (!q->current) {
		/*
		 * We announce idle before we look for work; sched_kick_for announces work before it
		 * looks for idle CPUs. So one side sees the other.
		 */
		__atomic_or_fetch(&sched_idle, BIT(q->cpu), __ATOMIC_SEQ_CST);
		while (!q->current && balance_steal(q))
			choose_current(q, now);
	}
	if (q->current && (__atomic_load_n(&sched_idle, __ATOMIC_RELAXED) & BIT(q->cpu)))
		__atomic_and_fetch(&sched_idle, ~BIT(q->cpu), __ATOMIC_SEQ_CST);
}

struct sched_entity *sched_pick(unsigned cpu, u64 now, u64 *until)
{
	struct queue *q = &sched_queues[cpu];
	struct sched_entity *e;

	BUG_ON(q->saving);
	q->picked_at = now;
	spin_lock(&q->lock);
	queue_charge(q, now);
	if (!goes_on_alone(q))
		decide_current(q, now);
	if (unlikely(__atomic_load_n(&q->offered, __ATOMIC_RELAXED))) {
		__atomic_store_n(&q->offered, false, __ATOMIC_RELAXED);
		balance_pass_on(cpu);
	}
	q->turn_end = *until = turn_end(q, now);
	e = record_answer(q);
	spin_unlock(&q->lock);
	return e;
}

void sched_switched(unsigned cpu)
{
	struct queue *q = &sched_queues[cpu];
	struct sched_entity *e = q->saving;

	if (!e)
		return;
	spin_lock(&q->lock);
	q->saving = NULL;
	/* Release: a CPU that sees e off this CPU sees its saved state too. */
	__atomic_store_n(&e->on_cpu, false, __ATOMIC_RELEASE);
	if (e->place == SCHED_QUEUED)
		balance_offer(e);
	/* The last pick is near enough to now. */
	sched_settle(q, e, q->picked_at, false);
}
