/*
 * The record of what happens, which is always on: how it is written, and how the service domain
 * gets at it. The contents are described by vmm/domain/record_layout.h.
 */
#ifndef VMM_DOMAIN_RECORD_H
#define VMM_DOMAIN_RECORD_H

#include <asm/cpu.h>
#include "vmm/domain/record_layout.h"

struct vcpu;
struct domain;

/*
 * Makes the machine's part of the record; `rows` is the length of the table of hypercalls. Panics
 * without memory. Context: boot, before the first vCPU is made.
 */
void record_init(u32 rows);
/* Makes this CPU's ring. Panics without memory. Context: each CPU, before it runs a vCPU. */
void record_init_cpu(void);
/* Returns zeroed counters for vCPU `who`, or NULL without memory. Locks: takes LOCK_RECORD. */
struct record_vcpu *record_vcpu_alloc(u64 who);
/* Gives counters back, for the next vCPU; c may be NULL. Locks: takes LOCK_RECORD. */
void record_vcpu_free(struct record_vcpu *c);

/*
 * record_next() returns the place of this CPU's next exit; record_done() says that it is written.
 * No other record may be written between the two, because it would go to the same place.
 */
static inline struct record *record_next(const struct percpu *p) { return &p->exit_ring[p->exit_head->head % RECORD_RING]; }

static inline void record_done(struct percpu *p)
{
	/*
	 * As a release: every record below the head is complete for readers. x86 keeps stores in
	 * order.
	 */
	barrier();
	p->exit_head->head++;
}

/* Notes p->last_exit as the start of the longest time without interrupts. Context: CPU p itself. */
void record_longest(struct percpu *p);

/*
 * Writes a record of an event (not an exit) to this CPU's ring, about v, or about d as a whole if
 * v is NULL. The words a and b are described by records.def. Context: any.
 */
void record_event(enum record_kind kind, const struct domain *d, const struct vcpu *v, u64 a, u64 b);

/*
 * Returns how many frames resource `id` (RECORD_ID_*) has, or 0 if it doesn't exist. Context: any.
 */
u64 record_frames(u32 id);
/*
 * Returns frame number `frame` of resource `id`; the caller has checked both by record_frames().
 * The frame is never freed, so a mapping of it needs no reference. Context: any.
 */
mfn_t record_frame(u32 id, u64 frame);

/*
 * Ends a time of `ticks` in which this CPU took no interrupts, and notes it if it was the longest.
 * Such a time lasts from an exit, or the end of idling, until the CPU enters a guest or idles
 * again. An exit for an interrupt counts as a whole, although it takes the interrupt in its first
 * instructions. The time's beginning, exit and cost are in p->last_exit. Context: CPU p itself.
 */
static inline void record_irqs_on(struct percpu *p, u64 ticks)
{
	if (unlikely(ticks > p->irqs_off))
		record_longest(p);
}

/*
 * Asks whether the current exit has taken so long that interrupts should not wait any longer (40
 * us). Callers ask between two parts of a long operation, and return HC_AGAIN if it returns true.
 * One part may take as long again. Context: any.
 */
bool step_over(void);
/*
 * Notes that the current vCPU leaves CPU p. The time without interrupts continues, but the next
 * vCPU's records must not take it for an exit of theirs. Context: CPU p itself.
 */
void record_leave(struct percpu *p);
/* Begins a time without interrupts now, without an exit. Context: CPU p itself, without a vCPU. */
void record_irqs_off(struct percpu *p);
/* Forgets the longest times of all CPUs. Context: any. */
void record_longest_reset(void);

/*
 * Chooses where the exits of v, which comes onto CPU p (NULL: none does), are written. The record
 * must not have the registers and addresses that an exit of a sealed vCPU tells of. Context: CPU p
 * itself; the last exit of a sealed vCPU is in the record already.
 */
void record_choose(struct percpu *p, const struct vcpu *v);
/*
 * Enters the last exit of a sealed vCPU in the record: only whose it was, when, why, and its cost.
 * Context: CPU p itself, after the exit was handled.
 */
void record_sealed_exit(struct percpu *p);

/* Logs the last records of each CPU. Context: a panic. */
void record_dump(void);

#endif
