/*
 * The tree of waiting entities. It finds the earliest deadline among the eligible in O(log n)
 * expected steps, whatever their number.
 */
#include "sched/queue.h"

/*
 * A treap: in order of deadline from left to right, and in order of a random priority from the root
 * down. So its shape is that of a tree built in random order, whatever the deadlines are. Guests
 * neither see nor choose priorities.
 */

/* Recomputes n's summary of its subtree. */
static void summarise_node(struct sched_entity *n)
{
	n->min_eligible = n->eligible;
	n->any_hard = n->hard;
	for (int side = 0; side < 2; side++) {
		const struct sched_entity *c = n->child[side];

		if (!c)
			continue;
		if (after(n->min_eligible, c->min_eligible))
			n->min_eligible = c->min_eligible;
		n->any_hard |= c->any_hard;
	}
}

/* Returns the pointer that leads to n. */
static struct sched_entity **link_to(struct sched_entity **root, const struct sched_entity *n)
{
	return n->parent ? &n->parent->child[n->parent->child[1] == n] : root;
}

/* Exchanges n with its parent. The order from left to right stays. */
static void rotate_up(struct sched_entity **root, struct sched_entity *n)
{
	struct sched_entity *p = n->parent;
	int side = p->child[1] == n;

	*link_to(root, p) = n;
	n->parent = p->parent;
	p->child[side] = n->child[!side];
	if (p->child[side])
		p->child[side]->parent = p;
	n->child[!side] = p;
	p->parent = n;
	summarise_node(p);
	summarise_node(n);
}

void tree_insert(struct sched_entity **root, struct sched_entity *e)
{
	struct sched_entity **link = root;

	e->parent = e->child[0] = e->child[1] = NULL;
	while (*link) {
		e->parent = *link;
		/*
		 * The subtrees of the ancestors grow by e alone, so we need not come back up for
		 * them.
		 */
		if (after(e->parent->min_eligible, e->eligible))
			e->parent->min_eligible = e->eligible;
		e->parent->any_hard |= e->hard;
		link = &e->parent->child[!after(e->parent->deadline, e->deadline)];
	}
	*link = e;
	summarise_node(e);
	while (e->parent && e->parent->priority < e->priority)
		rotate_up(root, e);
}

void tree_remove(struct sched_entity **root, struct sched_entity *e)
{
	struct sched_entity *only;

	while (e->child[0] && e->child[1])
		rotate_up(root, e->child[e->child[0]->priority < e->child[1]->priority]);
	only = e->child[0] ? e->child[0] : e->child[1];
	*link_to(root, e) = only;
	if (only)
		only->parent = e->parent;
	for (struct sched_entity *n = e->parent; n; n = n->parent)
		summarise_node(n);
}

struct sched_entity *tree_first_eligible(struct sched_entity *root, u64 vtime)
{
	struct sched_entity *n = root;

	if (!n || after(n->min_eligible, vtime))
		return NULL;
	/*
	 * At least one entity in n's subtree is eligible: on the left, n itself, or on the right.
	 */
	for (;;) {
		struct sched_entity *left = n->child[0];

		if (left && !after(left->min_eligible, vtime))
			n = left;
		else if (!after(n->eligible, vtime))
			return n;
		else
			n = n->child[1];
	}
}

static bool leads_to(const struct sched_entity *n, unsigned cpu)
{
	return n && (n->any_hard & BIT(cpu));
}

struct sched_entity *tree_first_on(struct sched_entity *root, unsigned cpu)
{
	struct sched_entity *n = root;

	if (!leads_to(n, cpu))
		return NULL;
	for (;;) {
		if (leads_to(n->child[0], cpu))
			n = n->child[0];
		else if (permitted(n, cpu))
			return n;
		else
			n = n->child[1];
	}
}

struct sched_entity *tree_next_on(struct sched_entity *e, unsigned cpu)
{
	struct sched_entity *n = e;

	for (;;) {
		if (leads_to(n->child[1], cpu))
			return tree_first_on(n->child[1], cpu);
		/* Go up to the first ancestor whose left side this was. */
		while (n->parent && n->parent->child[1] == n)
			n = n->parent;
		n = n->parent;
		if (!n || permitted(n, cpu))
			return n;
	}
}
