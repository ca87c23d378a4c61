/* What a 32-bit guest finds elsewhere in the structures that it shares with us. */
#include "vmm/guests/narrow.h"
#include <asm/hvm.h>
#include <asm/insn.h>
#include "mm/page.h"
#include "vmm/vcpu.h"

/* i386 has no padding before a u64, so evtchn_mask and what follows stand elsewhere. */
#define WALLCLOCK_AT  2304
#define SECONDS_HI_AT 2340

void narrow_latch(struct vcpu *v)
{
	bool narrow = !(hvm_get_cr(v, HVM_EFER) & EFER_LMA);

	if (v->domain->narrow == narrow)
		return;
	__atomic_store_n(&v->domain->narrow, narrow, __ATOMIC_SEQ_CST);
	if (narrow)
		narrow_wallclock(v->domain);
}

void narrow_wallclock(struct domain *d)
{
	const struct shared_info *s = d->shared;
	u32 *wc = (u32 *)((char *)d->shared + WALLCLOCK_AT), version = (wc[0] | 1) + 2;

	__atomic_store_n(&wc[0], version, __ATOMIC_SEQ_CST);
	wc[1] = s->wc_sec;
	wc[2] = s->wc_nsec;
	*(u32 *)((char *)d->shared + SECONDS_HI_AT) = s->wc_sec_hi;
	__atomic_store_n(&wc[0], version + 1, __ATOMIC_RELEASE);
}

/* The area is 4-byte aligned, and in it the padding after the state is missing. */
static u32 *area_word(const struct vcpu *v, unsigned n)
{
	u32 at = v->runstate_offset + n * 4;
	struct page *pg = v->runstate_page[at / PAGE_SIZE];

	return (u32 *)((char *)page_to_virt(pg) + at % PAGE_SIZE);
}

void narrow_runstate(struct vcpu *v)
{
	const u32 *from = (const u32 *)&v->runstate + 1;

	/* Word 2 is the upper half of the entry time, whose highest bit says "being written". */
	if (v->domain->runstate_update_flag)
		__atomic_store_n(area_word(v, 2), from[2] | (u32)BIT(31), __ATOMIC_SEQ_CST);
	*area_word(v, 0) = (u32)v->runstate.state;
	for (unsigned n = 1; n < sizeof(v->runstate) / 4 - 1; n++)
		if (n != 2)
			*area_word(v, n) = from[n];
	__atomic_store_n(area_word(v, 2), from[2], __ATOMIC_RELEASE);
}
