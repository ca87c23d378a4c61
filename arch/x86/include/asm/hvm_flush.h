/*
 * Flushes of other CPUs' TLBs: after one, no CPU uses a translation that a p2m has taken away. The
 * p2m asks for a flush, and a CPU that enters a guest makes it possible.
 */
#ifndef ASM_HVM_FLUSH_H
#define ASM_HVM_FLUSH_H

#include <asm/cpu.h>

struct p2m;

/*
 * Kicks every other CPU that is in guest mode with a vCPU of this p2m, if its TLB is older than
 * generation `gen`. Returns when each of them has left guest mode. A vCPU that enters later
 * compares generations and flushes first. Locks: takes none, so callers may hold any.
 */
void hvm_flush_others(struct p2m *p2m, u64 gen);

/*
 * hvm_begin and hvm_end stand around hvm->run. They are inline because every exit passes here.
 * hvm_begin returns false if this CPU has something else to do first; the guest must then not be
 * entered.
 *
 * The order matters. We raise in_guest before we read look_around and the p2m's generation. A
 * flusher raises the generation before it reads in_guest. So either it sees us in the guest and
 * kicks us out, or we see the new generation and flush before we enter. Otherwise both could miss
 * each other, and the guest would run with translations to a frame that is free.
 */
static inline void hvm_end(struct percpu *p)
{
	__atomic_store_n(&p->in_guest, 0, __ATOMIC_RELEASE);
}

static inline bool hvm_begin(struct percpu *p)
{
	__atomic_store_n(&p->guest_gen, 0, __ATOMIC_RELAXED);
	__atomic_store_n(&p->in_guest, 1, __ATOMIC_SEQ_CST);
	if (likely(!__atomic_load_n(&p->look_around, __ATOMIC_SEQ_CST)))
		return true;
	hvm_end(p);
	return false;
}

#endif
