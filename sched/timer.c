/* One-shot timers: a binary heap per CPU. Room is made beforehand, so that arming can't fail. */
#include <asm/cpu.h>
#include <asm/spinlock.h>
#include "mm/heap.h"
#include "sched/timer.h"

#define NEVER   (~0ull)
#define RUN_MAX 32u     /* timers in one run: those of many vCPUs may be due at the same time */

struct timer_queue {
	spinlock_t lock;                /* LOCK_TIMER */
	bool online;                    /* [a] */
	u32 count, room;                /* [LOCK_TIMER] */
	/* [LOCK_TIMER] no child expires before its parent; children of i are 2i + 1 and 2i + 2 */
	struct timer **heap;
	/* [a] the timer whose fn is being called; set under the lock */
	struct timer *running;
	u64 next;                       /* [a] expiry of heap[0], or NEVER */
} __aligned(64);

static struct timer_queue timer_queues[NR_CPUS];
/* [a] timers that may be armed at once, on all queues together */
static u32 timers_reserved;

/* ---- The heap ---- */

static void put_timer(struct timer_queue *q, u32 i, struct timer *t)
{
	q->heap[i] = t;
	t->index = i + 1;
}

/* Puts t at i, which is free, or moves it from there up or down to its place. */
static void place_timer(struct timer_queue *q, u32 i, struct timer *t)
{
	for (; i && q->heap[(i - 1) / 2]->expires > t->expires; i = (i - 1) / 2)
		put_timer(q, i, q->heap[(i - 1) / 2]);
	for (;;) {
		u32 child = 2 * i + 1;

		if (child + 1 < q->count && q->heap[child + 1]->expires < q->heap[child]->expires)
			child++;
		if (child >= q->count || q->heap[child]->expires >= t->expires)
			break;
		put_timer(q, i, q->heap[child]);
		i = child;
	}
	put_timer(q, i, t);
}

static void publish_next(struct timer_queue *q)
{
	__atomic_store_n(&q->next, q->count ? q->heap[0]->expires : NEVER, __ATOMIC_RELAXED);
}

static void disarm_timer(struct timer_queue *q, struct timer *t)
{
	u32 i = t->index - 1;
	struct timer *last;

	if (!t->index)
		return;
	last = q->heap[--q->count];
	t->index = 0;
	if (last != t)
		place_timer(q, i, last);
	publish_next(q);
}

/* ---- Room ---- */

/* Returns 1 if the queue grew, or 0 if it had room. Errors: -ENOMEM if there is no memory. */
static int grow_queue(struct timer_queue *q, u32 room)
{
	struct timer **old = NULL, **heap = NULL;
	int rc = 0;

	spin_lock(&q->lock);
	if (q->room < room) {
		/* Double it, so that not every new domain makes us copy it. */
		room = MAX(room, 2 * q->room);
		heap = kzalloc(room * sizeof(struct timer *));
		rc = heap ? 1 : -ENOMEM;
	}
	if (heap) {
		for (u32 i = 0; i < q->count; i++)
			heap[i] = q->heap[i];
		old = q->heap;
		q->heap = heap;
		q->room = room;
	}
	spin_unlock(&q->lock);
	kfree(old);
	return rc;
}

int timer_prepare(unsigned n)
{
	u32 room = __atomic_load_n(&timers_reserved, __ATOMIC_RELAXED) + n;
	int rc = 0;

	for (unsigned cpu = 0; cpu < NR_CPUS && !rc; cpu++)
		if (__atomic_load_n(&timer_queues[cpu].online, __ATOMIC_ACQUIRE))
			rc = grow_queue(&timer_queues[cpu], room);
	return rc;
}

int timer_reserve(unsigned n)
{
	int rc;

	__atomic_add_fetch(&timers_reserved, n, __ATOMIC_RELAXED);
	while ((rc = timer_prepare(0)) > 0)
		;
	if (rc)
		timer_release(n);
	return rc;
}

/* The arrays stay: the next domain needs them. */
void timer_release(unsigned n) { __atomic_sub_fetch(&timers_reserved, n, __ATOMIC_RELAXED); }

void timer_cpu_init(unsigned cpu)
{
	struct timer_queue *q = &timer_queues[cpu];

	*q = (struct timer_queue){ .next = NEVER };
	spin_init(&q->lock, LOCK_TIMER);
	if (grow_queue(q, __atomic_load_n(&timers_reserved, __ATOMIC_RELAXED)) < 0)
		panic("no memory for the timers of CPU %u", cpu);
	/* Release: a CPU that sees it online sees it initialised. */
	__atomic_store_n(&q->online, true, __ATOMIC_RELEASE);
}

/* ---- Timers ---- */

void timer_init(struct timer *t, void (*fn)(void *arg), void *arg)
{
	*t = (struct timer){ .fn = fn, .arg = arg };
}

static struct timer_queue *lock_queue_of(struct timer *t)
{
	for (;;) {
		u32 cpu = __atomic_load_n(&t->cpu, __ATOMIC_RELAXED);
		struct timer_queue *q = &timer_queues[cpu];

		spin_lock(&q->lock);
		if (likely(__atomic_load_n(&t->cpu, __ATOMIC_RELAXED) == cpu))
			return q;
		spin_unlock(&q->lock);
	}
}

/*
 * Moves t to the queue of `cpu` and returns that, locked. Another CPU may be arming t too: the last
 * one wins.
 */
static struct timer_queue *bring_to(struct timer *t, unsigned cpu)
{
	struct timer_queue *q;

	while ((q = lock_queue_of(t)) != &timer_queues[cpu]) {
		disarm_timer(q, t);
		__atomic_store_n(&t->cpu, cpu, __ATOMIC_RELAXED);
		spin_unlock(&q->lock);
	}
	return q;
}

void timer_set(struct timer *t, unsigned cpu, u64 expires)
{
	struct timer_queue *q = bring_to(t, cpu);

	/* No caller arms more timers than it has reserved. */
	BUG_ON(!t->index && q->count == q->room);
	t->expires = expires;
	place_timer(q, t->index ? t->index - 1 : q->count++, t);
	publish_next(q);
	spin_unlock(&q->lock);
}

void timer_cancel(struct timer *t)
{
	struct timer_queue *q = lock_queue_of(t);

	disarm_timer(q, t);
	spin_unlock(&q->lock);
}

static bool runs_elsewhere(const struct timer *t)
{
	for (unsigned cpu = 0; cpu < NR_CPUS; cpu++)
		/*
		 * Acquire: we see all that fn did once it is over. On this CPU it is fn itself that
		 * asks.
		 */
		if (__atomic_load_n(&timer_queues[cpu].running, __ATOMIC_ACQUIRE) == t && cpu != cpu_id())
			return true;
	return false;
}

void timer_cancel_sync(struct timer *t)
{
	bool runs;

	/*
	 * Both under the lock that a timer needs to start: fn, if it still runs, may be about to
	 * arm the timer again.
	 */
	do {
		struct timer_queue *q = lock_queue_of(t);

		disarm_timer(q, t);
		runs = runs_elsewhere(t);
		spin_unlock(&q->lock);
		cpu_relax();
	} while (runs);
}

u64 timer_run(unsigned cpu, u64 now)
{
	struct timer_queue *q = &timer_queues[cpu];

	if (likely(timer_next(cpu) > now))
		return timer_next(cpu);
	spin_lock(&q->lock);
	/* A timer that arms itself again for now has its turn in the next call. */
	for (u32 most = MIN(q->count, RUN_MAX); most && q->count && q->heap[0]->expires <= now; most--) {
		struct timer *t = q->heap[0];

		disarm_timer(q, t);
		__atomic_store_n(&q->running, t, __ATOMIC_RELAXED);
		spin_unlock(&q->lock);
		t->fn(t->arg);
		/*
		 * Release: timer_cancel_sync returns after all that fn did. From here on t may be
		 * gone.
		 */
		__atomic_store_n(&q->running, NULL, __ATOMIC_RELEASE);
		spin_lock(&q->lock);
	}
	spin_unlock(&q->lock);
	return timer_next(cpu);
}

u64 timer_next(unsigned cpu) { return __atomic_load_n(&timer_queues[cpu].next, __ATOMIC_RELAXED); }
