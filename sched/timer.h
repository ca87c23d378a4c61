/* One-shot timers on system time, a queue per pCPU; run from the CPU's loop, never inside another operation. */
#ifndef SCHED_TIMER_H
#define SCHED_TIMER_H

#include "sched/sched_types.h"

/*
 * Makes room for n more timers on every queue, so that timer_set can't fail: -ENOMEM. timer_release gives it back. Where queues have to
 * grow it takes 4 instructions for each timer that may be armed then, on every CPU.
 */
int timer_reserve(unsigned n);
/*
 * Makes that room on one queue that lacks it: 1 if it did, and is to be called again; 0, or -ENOMEM. So timer_reserve's work can be done before, in
 * steps. They are bounded up to some 15,000 timers, those of 7,500 vCPUs: more are copied to the larger queue in 60,000 instructions.
 */
int timer_prepare(unsigned n);
void timer_release(unsigned n);
void timer_cpu_init(unsigned cpu);
void timer_init(struct timer *t, void (*fn)(void *arg), void *arg);
/* Arms (or moves) the timer on the calling pCPU `cpu`. A time in the past fires at the next timer_run. */
void timer_set(struct timer *t, unsigned cpu, u64 expires);
/* Disarms; when it returns fn is not queued (it may be running on another pCPU just now: timer_cancel_sync waits for that). */
void timer_cancel(struct timer *t);
void timer_cancel_sync(struct timer *t);
/* Calls the due timers of this pCPU, a bounded number; returns the next expiry (~0: none), which is in the past if some are left. */
u64 timer_run(unsigned cpu, u64 now);
u64 timer_next(unsigned cpu);

#endif
