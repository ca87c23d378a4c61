/*
 * What the ABI's 32-bit layouts change in the structures that a guest shares with us. A guest has
 * these layouts if its vCPU was not in long mode when it last set the hypercall page or the callback.
 */
#ifndef VMM_NARROW_H
#define VMM_NARROW_H

#include "vmm/domain.h"

struct vcpu;

/* Takes the layouts over from the mode that v is in. Context: v is current. */
void narrow_latch(struct vcpu *v);
/* Writes the wall clock where a 32-bit guest has it. Context: the other layout's is written. */
void narrow_wallclock(struct domain *d);
/* Writes v's runstate area in the 32-bit layout. Context, tags: as copy_runstate(). */
void narrow_runstate(struct vcpu *v);
/* Returns the words of d's event masks. Context: any. */
static inline u64 *narrow_mask(const struct domain *d)
{
	return (u64 *)((char *)d->shared + (d->narrow ? 2176 : offsetof(struct shared_info, evtchn_mask)));
}
/*
 * Selects word `word` (64 ports) of the pending bits in a 32-bit guest's vcpu_info, as both of the
 * words that the guest has there.
 */
static inline void narrow_select(struct vcpu_info *info, u32 word)
{
	__atomic_or_fetch((u32 *)info + 1, 3u << word * 2 % 32, __ATOMIC_SEQ_CST);
}
/* The same for all words. Other guests don't use this place. */
static inline void narrow_select_all(struct vcpu_info *info)
{
	__atomic_store_n((u32 *)info + 1, ~0u, __ATOMIC_SEQ_CST);
}

#endif
