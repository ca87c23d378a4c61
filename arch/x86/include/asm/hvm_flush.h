/* What the p2m asks of the CPUs, and how they enter guests so that they can obey: none goes on with a translation which is no longer true. */
#ifndef ASM_HVM_FLUSH_H
#define ASM_HVM_FLUSH_H

#include <asm/cpu.h>

struct p2m;

/*
 * Kicks every other pCPU that is in guest mode with a vCPU of this p2m whose TLB is older than generation `gen`, and waits until
 * each has left guest mode. A vCPU that enters later compares generations and flushes first. Takes no lock, so that
 * callers may hold any.
 */
void hvm_flush_others(struct p2m *p2m, u64 gen);

/*
 * Around hvm->run, inline since every exit passes here. hvm_begin is false, and the guest isn't entered, if something asks for this pCPU. Order
 * matters: in_guest is up before need_resched and the p2m's generation are looked at, and a flusher raises the generation before it looks
 * at in_guest. So either it sees us and kicks us out, or we see the new generation and flush before entering.
 */
static inline void hvm_end(struct percpu *p)
{
	__atomic_store_n(&p->in_guest, 0, __ATOMIC_RELEASE);
}

static inline bool hvm_begin(struct percpu *p)
{
	__atomic_store_n(&p->guest_gen, 0, __ATOMIC_RELAXED);
	__atomic_store_n(&p->in_guest, 1, __ATOMIC_SEQ_CST);
	if (likely(!__atomic_load_n(&p->need_resched, __ATOMIC_SEQ_CST)))
		return true;
	hvm_end(p);
	return false;
}

#endif
