/* The record of what happens, always on: who writes it, and who may look at it. vmm/record_layout.h has what is in it. */
#ifndef VMM_RECORD_H
#define VMM_RECORD_H

#include <asm/cpu.h>
#include "mm/page.h"
#include "vmm/record_layout.h"

struct vcpu;
struct domain;

/* Before the first vCPU, with the number of rows in the hypercalls' table; and on each pCPU before it runs one. Panic without memory. */
void record_init(u32 rows);
void record_init_cpu(void);
/* A vCPU's counters: NULL without memory. */
struct record_vcpu *record_vcpu_alloc(u64 who);
void record_vcpu_free(struct record_vcpu *c);   /* NULL is fine */

/* Stands for the last exit of a vCPU that comes onto a pCPU; what is written to it means nothing. */
extern struct record record_none;

/* The place of this pCPU's next record; and it is written. Between the two nobody else may write one. */
static inline struct record *record_next(const struct percpu *p) { return &p->records[p->counters->head % RECORD_RING]; }

static inline void record_done(struct percpu *p)
{
	/* As a release: readers find below the head only what is there. x86 keeps stores in order. */
	barrier();
	p->counters->head++;
}

/* Writes a record of another kind than an exit, on this pCPU. d's, or v's if v is there. */
void record_event(enum record_kind kind, const struct domain *d, const struct vcpu *v, u64 a, u64 b);

/* A resource's number of frames, 0 if there is no such; and one of them. They are never given back, so a mapping needs no reference. */
u64 record_frames(u32 id);
mfn_t record_frame(u32 id, u64 frame);

/* For a panic: the last records of each pCPU. */
void record_dump(void);

#endif
