/*
 * The clock of a run queue and the entities that compete in it. The choice among them is in
 * sched.c.
 */
#include "lib/config.h"
#include "sched/cap.h"
#include "sched/queue.h"

static u32 group_weight(const struct sched_entity *e) { return __atomic_load_n(&e->group->weight, __ATOMIC_RELAXED); }

/* Other CPUs read these two without the lock, as hints. */
static void set_weight(struct queue *q, u64 weight) { __atomic_store_n(&q->weight, weight, __ATOMIC_RELAXED); }
static void set_waiting(struct queue *q, u32 n) { __atomic_store_n(&q->waiting, n, __ATOMIC_RELAXED); }

/* ---- The clock ---- */

static void advance_clock(struct queue *q)
{
	if (q->weight && q->service >= (s64)q->weight) {
		q->vtime += (u64)q->service / q->weight;
		q->service = (s64)((u64)q->service % q->weight);
	}
}

void queue_jump(struct queue *q, u64 vtime)
{
	q->vtime = vtime;
	q->service = 0;
	q->epoch++;
}

void queue_charge(struct queue *q, u64 now)
{
	struct sched_entity *e = q->current;
	u64 ns, scaled;

	if (!e || (s64)(now - q->charged_at) <= 0)
		return;
	ns = now - q->charged_at;
	q->charged_at = now;
	e->run_ns += ns;
	if (group_capped(e->group))
		group_use(e->group, now, ns);
	scaled = MIN(ns, CHARGE_MAX) << SCHED_SCALE;
	q->service += (s64)scaled;
	advance_clock(q);
	scaled += e->remainder;
	e->vruntime += scaled / e->weight;
	e->remainder = (u32)(scaled % e->weight);
	/* An entity alone is in debt to no one. */
	if (!q->root && after(e->vruntime, q->vtime))
		queue_jump(q, e->vruntime);
	/* A turn that ended late may go beyond the bound by as much as it was late. */
	if (DEBUG_BUILD && q->turn_end != NEVER)
		BUG_ON(after(e->vruntime, q->vtime + to_virtual(LAG_MAX + (after(now, q->turn_end) ? now - q->turn_end : 0), e->weight) + 2));
}

/* Starts the next request of e, whose weight q->weight includes. */
void queue_new_request(struct queue *q, struct sched_entity *e)
{
	u32 weight = group_weight(e);

	if (e->boosted && after(e->vruntime, q->vtime))
		q->credit = e->vruntime;
	e->boosted = false;
	if (unlikely(weight != e->weight)) {
		/* The lag in ns stays. */
		e->vruntime = q->vtime + (u64)((s64)(e->vruntime - q->vtime) * (s64)e->weight / (s64)weight);
		e->remainder = 0;
		set_weight(q, q->weight - e->weight + weight);
		e->weight = weight;
	}
	e->eligible = e->vruntime;
	e->deadline = e->vruntime + to_virtual(SLICE, weight);
}

/* ---- Coming and going ---- */

/* Lets e compete from now on. */
void queue_join(struct queue *q, struct sched_entity *e)
{
	/* Unsigned, so that a vruntime behind the clock counts as far ahead too. */
	if (e->vruntime - q->vtime > to_virtual(DEBT_MAX, e->weight))
		e->vruntime = q->vtime;
	else if (e->epoch == q->epoch)
		q->service += (s64)((e->vruntime - q->vtime) * e->weight);
	set_weight(q, q->weight + e->weight);
	advance_clock(q);
	e->remainder = 0;
	queue_new_request(q, e);
}

static void leave_queue(struct queue *q, struct sched_entity *e)
{
	set_weight(q, q->weight - e->weight);
	if (after(e->vruntime, q->vtime))
		q->service -= (s64)((e->vruntime - q->vtime) * e->weight);
	e->epoch = q->epoch;
	e->boosted = false;
}

void queue_insert(struct queue *q, struct sched_entity *e)
{
	e->place = SCHED_QUEUED;
	tree_insert(&q->root, e);
	set_waiting(q, q->waiting + 1);
	if (q->waiting == 1)
		__atomic_or_fetch(&sched_crowded, BIT(q->cpu), __ATOMIC_SEQ_CST);
}

void queue_take_out(struct queue *q, struct sched_entity *e)
{
	e->place = SCHED_OFF;
	tree_remove(&q->root, e);
	set_waiting(q, q->waiting - 1);
	if (!q->waiting)
		__atomic_and_fetch(&sched_crowded, ~BIT(q->cpu), __ATOMIC_SEQ_CST);
}

void queue_detach(struct queue *q, struct sched_entity *e)
{
	e->place = SCHED_MOVING;
	e->vruntime = after(e->vruntime, q->vtime) ? e->vruntime - q->vtime : 0;
}

void queue_attach(struct queue *q, struct sched_entity *e)
{
	e->place = SCHED_OFF;
	e->vruntime += q->vtime;
	/* Its debt belongs to another queue's clock: this clock has nothing to undo. */
	e->epoch = q->epoch - 1;
}

void queue_park(struct queue *q, struct sched_entity *e, u64 now)
{
	queue_remove(q, e);
	e->place = SCHED_PARKED;
	e->parent = NULL;
	e->child[0] = q->parked;
	if (q->parked)
		q->parked->parent = e;
	else
		q->unpark_at = group_next_period(now);
	q->parked = e;
}

static void unpark_entity(struct queue *q, struct sched_entity *e)
{
	if (e->parent)
		e->parent->child[0] = e->child[0];
	else
		q->parked = e->child[0];
	if (e->child[0])
		e->child[0]->parent = e->parent;
	e->place = SCHED_OFF;
}

void queue_remove(struct queue *q, struct sched_entity *e)
{
	switch ((enum sched_place)e->place) {
	case SCHED_QUEUED:
		queue_take_out(q, e);
		leave_queue(q, e);
		break;
	case SCHED_CURRENT:
		leave_queue(q, e);
		e->place = SCHED_OFF;
		q->current = NULL;
		break;
	case SCHED_PARKED:
		unpark_entity(q, e);
		break;
	case SCHED_OFF:
	case SCHED_MOVING:
		break;
	}
}

/* Once per period: puts the entities that have budget again back into the tree. */
void queue_unpark_due(struct queue *q, u64 now)
{
	struct sched_entity *next;

	if (likely(!q->parked) || now < q->unpark_at)
		return;
	for (struct sched_entity *e = q->parked; e; e = next) {
		next = e->child[0];
		if (group_exhausted(e->group, now))
			continue;
		unpark_entity(q, e);
		queue_join(q, e);
		queue_insert(q, e);
		balance_offer(e);
	}
	q->unpark_at = group_next_period(now);
}
