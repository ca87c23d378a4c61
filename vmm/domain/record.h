/* The record of what happens, always on: who writes it, and who may look at it. vmm/domain/record_layout.h has what is in it. */
#ifndef VMM_DOMAIN_RECORD_H
#define VMM_DOMAIN_RECORD_H

#include <asm/cpu.h>
#include "vmm/domain/record_layout.h"

struct vcpu;
struct domain;

/* Before the first vCPU, with the number of rows in the hypercalls' table; and on each pCPU before it runs one. Panic without memory. */
void record_init(u32 rows);
void record_init_cpu(void);
/* A vCPU's counters: NULL without memory. */
struct record_vcpu *record_vcpu_alloc(u64 who);
void record_vcpu_free(struct record_vcpu *c);   /* NULL is fine */

/* The place of this pCPU's next record; and it is written. Between the two nobody else may write one. */
static inline struct record *record_next(const struct percpu *p) { return &p->records[p->counters->head % RECORD_RING]; }

static inline void record_done(struct percpu *p)
{
	/* As a release: readers find below the head only what is there. x86 keeps stores in order. */
	barrier();
	p->counters->head++;
}

void record_longest(struct percpu *p);

/* Writes a record of another kind than an exit, on this pCPU. d's, or v's if v is there. */
void record_event(enum record_kind kind, const struct domain *d, const struct vcpu *v, u64 a, u64 b);

/* A resource's number of frames, 0 if there is no such; and one of them. They are never given back, so a mapping needs no reference. */
u64 record_frames(u32 id);
mfn_t record_frame(u32 id, u64 frame);

/*
 * How long this pCPU took no interrupts: from an exit, or from the end of its idling, until it enters a guest or idles again. (An exit for an
 * interrupt is one time, though it takes them in its first instructions.) p->last_exit says when that began, with what, and what it cost.
 */
static inline void record_irqs_on(struct percpu *p, u64 ticks)
{
	if (unlikely(ticks > p->irqs_off))
		record_longest(p);
}

/*
 * True if the current vCPU's exit has taken so long that interrupts should no longer wait: asked between two parts of a step, which go on
 * after HC_AGAIN. One part may take as long again.
 */
bool step_over(void);
/* The vCPU leaves the pCPU: what comes next is no vCPU's exit, but the time goes on. */
void record_leave(struct percpu *p);
/* A time begins now, without an exit; there is no current vCPU. */
void record_irqs_off(struct percpu *p);
/* Forgets the longest times of all pCPUs. */
void record_longest_reset(void);

/* For a panic: the last records of each pCPU. */
void record_dump(void);

#endif
