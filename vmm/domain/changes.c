/*
 * Which domains have come, ended or gone since somebody asked. xenstored from 4.21 on asks this
 * whenever it hears VIRQ_DOM_EXC, instead of looking at every domain that it knows.
 */
#include "lib/bitmap.h"
#include "vmm/domain.h"

static u64 changed[BITMAP_WORDS(DOMID_FIRST_RESERVED)];     /* [a] by domid */
static u64 last_id;             /* [a] the unique id of the newest domain */
/* [a] for a new listener, all domains from this domid on have changed */
static u32 all_from = DOMID_FIRST_RESERVED;

void domain_changed(struct domain *d)
{
	if (!d->unique_id)
		d->unique_id = __atomic_add_fetch(&last_id, 1, __ATOMIC_RELAXED);
	__atomic_or_fetch(&changed[d->domid / 64], BIT(d->domid % 64), __ATOMIC_SEQ_CST);
}

void domain_changed_all(void) { __atomic_store_n(&all_from, 0, __ATOMIC_SEQ_CST); }

/* Clears a domain's mark. Returns true if it was set. */
static bool take(u32 domid)
{
	u64 bit = BIT(domid % 64);

	return __atomic_fetch_and(&changed[domid / 64], ~bit, __ATOMIC_SEQ_CST) & bit;
}

/* Returns the next domain for a new listener, or DOMID_INVALID. */
static u16 next_of_all(void)
{
	u32 from = __atomic_load_n(&all_from, __ATOMIC_SEQ_CST);

	while (from < DOMID_FIRST_RESERVED) {
		struct domain *d = domain_get_next((u16)from);
		u16 domid = d ? d->domid : DOMID_INVALID;

		if (d)
			domain_put(d);
		/* Another CPU may have taken the same one, or a new listener begins anew. */
		if (!__atomic_compare_exchange_n(&all_from, &from, d ? domid + 1u : DOMID_FIRST_RESERVED, false,
						 __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST))
			continue;
		if (d)
			take(domid);
		return domid;
	}
	return DOMID_INVALID;
}

u16 domain_next_changed(void)
{
	u16 domid = next_of_all();

	for (u32 i = 0; domid == DOMID_INVALID && i < ARRAY_SIZE(changed); i++) {
		u64 word;

		while (domid == DOMID_INVALID && (word = __atomic_load_n(&changed[i], __ATOMIC_SEQ_CST)) != 0)
			if (take(i * 64 + lowest_bit(word)))
				domid = (u16)(i * 64 + lowest_bit(word));
	}
	return domid;
}
