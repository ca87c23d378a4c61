/*
 * What the service domain's devices see: a mirror of its p2m as an IOMMU keeps it. A frame is in use until the mirror has been flushed after its entry
 * left; to free it before is a mistake.
 */
#include "tests/storm/storm.h"
#include "mm/p2m_mirror.h"

enum { GFNS = 1 << 20, STALE = 4096 };

static u64 entry[GFNS];                 /* [LOCK_P2M] the mfn + 1, or 0 */
static struct {
	unsigned nr;
	u64 mfn[STALE];
} stale;                                /* [LOCK_P2M] */
static u32 uses[STORM_MEMORY / PAGE_SIZE];          /* [a] of each frame: entries, and those that left and aren't flushed */

static bool for_devices(enum p2m_type type) { return type == P2M_RAM || type == P2M_GRANT_RW || type == P2M_GRANT_RO; }

static void forget_stale(void)
{
	while (stale.nr)
		__atomic_sub_fetch(&uses[stale.mfn[--stale.nr]], 1, __ATOMIC_SEQ_CST);
}

static void flush_mirror(struct p2m *p2m)
{
	spin_lock(&p2m->lock);
	forget_stale();
	spin_unlock(&p2m->lock);
}

static int open_mirror(gfn_t gfn, unsigned order, enum p2m_type type)
{
	if (gfn.v + BIT(order) > GFNS)
		return for_devices(type) ? -EINVAL : 0;
	/* The tables take memory. */
	if (storm_fails())
		return -ENOMEM;
	for (u64 at = gfn.v; at < gfn.v + BIT(order); at++) {
		if (!entry[at])
			continue;
		if (stale.nr == STALE)
			storm_mistake("so many entries wait for the mirror's flush");
		stale.mfn[stale.nr++] = entry[at] - 1;
		entry[at] = 0;
	}
	return 0;
}

static void set_mirror(gfn_t gfn, mfn_t mfn, unsigned order, enum p2m_type type)
{
	for (u64 n = 0; for_devices(type) && n < BIT(order); n++) {
		if (entry[gfn.v + n])
			storm_mistake("the mirror has an entry where the p2m enters one");
		entry[gfn.v + n] = mfn.v + n + 1;
		__atomic_add_fetch(&uses[mfn.v + n], 1, __ATOMIC_SEQ_CST);
	}
}

const struct p2m_mirror storm_mirror = { .open = open_mirror, .set = set_mirror, .flush = flush_mirror };

void storm_mirror_check(mfn_t mfn)
{
	if (__atomic_load_n(&uses[mfn.v], __ATOMIC_SEQ_CST))
		storm_mistake("frame %llx is free, and devices still see it", (unsigned long long)mfn.v);
}

void storm_mirror_forget(void)
{
	forget_stale();
	for (u64 gfn = 0; gfn < GFNS; gfn++) {
		if (entry[gfn])
			uses[entry[gfn] - 1]--;
		entry[gfn] = 0;
	}
	for (u64 mfn = 0; mfn < STORM_MEMORY / PAGE_SIZE; mfn++)
		if (uses[mfn])
			storm_mistake("the mirror counts frame %llx without an entry", (unsigned long long)mfn);
}
