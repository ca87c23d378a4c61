/*
 * A domain's p2m: guest frame to machine frame with a type, kept in the nested page table itself (types live in the
 * entry's software bits). Look-ups take no lock: tables are only added while a domain lives, and a look-up that returns
 * a frame has taken a reference and then seen the entry unchanged.
 */
#ifndef MM_P2M_H
#define MM_P2M_H

#include "mm/page.h"
#include <asm/cpu.h>
#include <asm/spinlock.h>

enum p2m_type {
	P2M_HOLE,           /* nothing there */
	P2M_RAM,            /* the domain's own frame; its entry holds one reference */
	P2M_SHARED,         /* a hypervisor frame shown to the guest: shared_info, grant table; one reference */
	P2M_FOREIGN,        /* another domain's frame; one reference */
	P2M_GRANT_RW,       /* a granted frame; the maptrack entry holds the reference, not the p2m */
	P2M_GRANT_RO,
	P2M_MMIO,           /* device memory, dom0 only: no struct page, no reference */
};

struct p2m {
	spinlock_t lock;    /* LOCK_P2M: all changes */
	mfn_t root;         /* [I] top table of the nested page table */
	u64 tlb_gen;        /* [a] raised by each change that takes rights away */
	u64 max_gfn;        /* [LOCK_P2M] highest gfn ever mapped */
	u64 table_pages;    /* [LOCK_P2M] frames used by tables */
	gfn_t nx_gfn;       /* [LOCK_P2M] one frame that must not be executed (self-unpacking dom0 kernel), or INVALID_GFN */
	bool identity;      /* [I] dom0: RAM at GPA == HPA */
};

/* -ENOMEM. */
int p2m_init(struct p2m *p2m);
/* Frees the tables; every entry must be a hole or MMIO by now. */
void p2m_destroy(struct p2m *p2m);

/*
 * The frame behind gfn with a reference taken (page_put it), or NULL for holes and MMIO. *type may be NULL.
 * `write`: NULL also if the entry is read-only for the guest. Lock-free; the caller holds the domain.
 */
struct page *p2m_get_page(struct p2m *p2m, gfn_t gfn, enum p2m_type *type, bool write);
/* Type and frame, no reference: for information only. */
enum p2m_type p2m_lookup(struct p2m *p2m, gfn_t gfn, mfn_t *mfn);

/*
 * Maps 2^order frames (order 0, 9 or 18, both sides aligned) at gfn. What was there is removed as by p2m_remove. RAM, SHARED and
 * FOREIGN entries take over the caller's reference of each frame on success. -ENOMEM (nothing changed), -EINVAL (gfn too large).
 * Must not hold p2m->lock. When it returns no CPU can still use an old entry.
 */
int p2m_map(struct p2m *p2m, gfn_t gfn, mfn_t mfn, unsigned order, enum p2m_type type);
/*
 * Makes gfn a hole, flushes every CPU that might still use the entry, then drops the entry's reference (RAM, SHARED, FOREIGN).
 * `expect`: only if the entry has that mfn (INVALID_MFN: any). -ENOENT if it is a hole already or not as expected.
 */
int p2m_remove(struct p2m *p2m, gfn_t gfn, mfn_t expect);
/* Frees up to `budget` leaf entries starting at *next (a cursor, 0 first); true when all are gone. For dying domains. */
bool p2m_relinquish(struct p2m *p2m, u64 *next, unsigned budget);
/* After batched removals: waits until no CPU uses translations older than now. */
void p2m_flush(struct p2m *p2m);

#endif
