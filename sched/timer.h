/*
 * One-shot timers on system time, a queue for each CPU. The CPU's run loop calls them, never inside
 * another operation.
 */
#ifndef SCHED_TIMER_H
#define SCHED_TIMER_H

#include "sched/sched_types.h"

/*
 * Reserves room for n more timers on every queue, so that timer_set can't fail; timer_release gives
 * it back. If queues have to grow, it takes 4 instructions for each timer that may then be armed,
 * on every CPU. Returns 0. Errors: -ENOMEM if there is no memory (nothing reserved).
 */
int timer_reserve(unsigned n);
/*
 * Makes that room on one queue that lacks it, so that the work of timer_reserve can be done
 * beforehand, in steps. Returns 1 if it did and must be called again, or 0 if all queues have room.
 * Errors: -ENOMEM if there is no memory. A step is bounded up to some 15,000 timers, those of 7,500
 * vCPUs. Beyond that a step copies a larger queue in 60,000 instructions.
 */
int timer_prepare(unsigned n);
/* Gives back the room for n timers. */
void timer_release(unsigned n);
/* Brings the queue of CPU `cpu` online. Panics if there is no memory. */
void timer_cpu_init(unsigned cpu);
/* Makes a timer that calls fn(arg). It isn't armed. */
void timer_init(struct timer *t, void (*fn)(void *arg), void *arg);
/*
 * Arms (or moves) the timer on the calling CPU `cpu`. A time in the past fires at the next
 * timer_run.
 */
void timer_set(struct timer *t, unsigned cpu, u64 expires);
/*
 * Disarms the timer. After timer_cancel, fn isn't queued but may be running on another CPU;
 * timer_cancel_sync waits for that too.
 */
void timer_cancel(struct timer *t);
void timer_cancel_sync(struct timer *t);
/*
 * Calls the due timers of this CPU, a bounded number. Returns the next expiry, or ~0; it is in the
 * past if due timers are left.
 */
u64 timer_run(unsigned cpu, u64 now);
/* Returns the next expiry of CPU `cpu`, or ~0. Takes no lock. */
u64 timer_next(unsigned cpu);

#endif
