/* Looks into the scheduler's queues for its tests. */
#include "tests/unit/check_sched.h"
#include "sched/queue.h"

s64 sched_lag(const struct sched_entity *e)
{
	struct queue *q = sched_lock_queue_of(e);
	bool competes = e->place == SCHED_QUEUED || e->place == SCHED_CURRENT;
	s64 lag = competes ? (s64)(q->vtime - e->vruntime) * (s64)e->weight / (1 << SCHED_SCALE) : 0;

	spin_unlock(&q->lock);
	return lag;
}

/* What every node says about its subtree and its place must be so. Returns the sum of weights. */
static u64 check_tree(const struct queue *q, u32 *nodes)
{
	u64 weight = 0;

	for (const struct sched_entity *n = q->root; n; ) {
		const struct sched_entity *next = n->child[0] ? n->child[0] : n->child[1];

		BUG_ON(n->place != SCHED_QUEUED || n->cpu != q->cpu || !n->runnable || !permitted(n, q->cpu));
		BUG_ON(n->parent && (n->parent->priority < n->priority || after(n->parent->min_eligible, n->min_eligible)));
		BUG_ON(n->child[0] && after(n->child[0]->deadline, n->deadline));
		BUG_ON(n->child[1] && after(n->deadline, n->child[1]->deadline));
		BUG_ON(n->parent && (n->any_hard & ~n->parent->any_hard));
		weight += n->weight;
		++*nodes;
		/* Preorder: down, or up to where a right side is still to do. */
		while (!next && n->parent) {
			if (n->parent->child[0] == n)
				next = n->parent->child[1];
			n = n->parent;
		}
		n = next;
	}
	return weight;
}

void sched_check(unsigned cpu)
{
	struct queue *q = &sched_queues[cpu];
	u32 nodes = 0;
	u64 weight;

	spin_lock(&q->lock);
	weight = check_tree(q, &nodes) + (q->current ? q->current->weight : 0);
	BUG_ON(nodes != q->waiting || weight != q->weight);
	BUG_ON(!nodes == !!(__atomic_load_n(&sched_crowded, __ATOMIC_RELAXED) & BIT(cpu)));
	BUG_ON(q->current && (q->current->place != SCHED_CURRENT || q->current->cpu != cpu || !q->current->runnable));
	for (const struct sched_entity *e = q->parked; e; e = e->child[0])
		BUG_ON(e->place != SCHED_PARKED || e->cpu != cpu || !e->runnable);
	spin_unlock(&q->lock);
}
