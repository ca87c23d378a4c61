/*
 * A domain's p2m: guest frame to machine frame with a type, kept in the nested page table itself (types live in the
 * entry's software bits). References to frames are dropped with no lock of this layer held.
 *
 * Look-ups by the domain's own vCPUs take no lock: tables are only added while one of them runs. Others' take it, because tables go, step by
 * step, when the domain is destroyed. A look-up that returns a frame has taken a reference and then seen the entry unchanged. One that
 * takes no reference has seen the generation unchanged: each removal raises it before the frame can be free.
 */
#ifndef MM_P2M_H
#define MM_P2M_H

#include <asm/spinlock.h>

struct page;
struct pt_format;

enum p2m_type {
	P2M_HOLE,           /* nothing there; the guest may see ones, by an entry of this type */
	P2M_RAM,            /* the domain's own frame; its entry holds one reference */
	P2M_SHARED,         /* a hypervisor frame shown to the guest: shared_info, grant table; one reference */
	P2M_FOREIGN,        /* another domain's frame; one reference */
	P2M_GRANT_RW,       /* a granted frame; the maptrack entry holds the reference, not the p2m */
	P2M_GRANT_RO,
	P2M_MMIO,           /* device memory, dom0 only: no struct page, no reference */
};

/* A block that is going to be mapped, when it is cleared: the caller's references, kept for it while it does other things. order 0: none. */
struct p2m_part { mfn_t mfn; gfn_t gfn; unsigned order; u64 cleared; };

/* Tags: vmm/domain.h. What moves with a domain are its frames and where they are; the tables are made anew. */
struct p2m {
	spinlock_t lock;    /* (t) LOCK_P2M: all changes */
	mfn_t root;         /* [I] (d) top table of the nested page table */
	u64 tlb_gen;        /* [a] (t) raised by each change that takes rights away, after the entry and before the reference goes */
	u64 max_gfn;        /* [a] (d) highest gfn ever mapped; changed under LOCK_P2M */
	u64 table_pages;    /* [LOCK_P2M] (d) frames used by tables */
	u64 mempool;        /* [a] (d) bytes that tables may take, as the tools set it; dom0: no limit */
	gfn_t nx_gfn;       /* [LOCK_P2M, or dom0's first vCPU, which alone changes it] (t) frames not to be executed, */
	u64 nx_frames;      /* the same: how many of a kernel that unpacks itself, or 0 */
	bool identity;      /* [I] (d) dom0: RAM at GPA == HPA */
	bool closed;        /* [LOCK_P2M] (t) being relinquished: nothing more is mapped */
	struct p2m_part part; /* [LOCK_P2M] (t) one at a time */
	mfn_t leaving;      /* [LOCK_CONTROL] (t) p2m_relinquish's own: frames of a leaf that was taken out, whose references are still to be dropped */
	u64 nr_leaving;     /* [LOCK_CONTROL] (t) */
};

#define P2M_MAX_GFN BIT(36)     /* four levels of nested paging */

/* How this machine's CPUs want nested page tables; the vendor sets it before the first p2m_init. */
extern const struct pt_format *p2m_format;

/* -ENOMEM. */
int p2m_init(struct p2m *p2m);
/* Frees the root, once p2m_relinquish has taken all else, or nothing was ever mapped. */
void p2m_destroy(struct p2m *p2m);

/*
 * The frame behind gfn with a reference taken (page_put it), or NULL for holes, MMIO and frames that aren't counted. *type may be NULL.
 * `write`: NULL also if the entry is read-only for the guest. The caller holds the domain, and no lock above LOCK_GRANT.
 */
struct page *p2m_get_page(struct p2m *p2m, gfn_t gfn, enum p2m_type *type, bool write);
/* The same for a frame of the domain's own RAM, for writing. */
struct page *p2m_get_ram(struct p2m *p2m, gfn_t gfn);
/* Type and frame, no reference: for information only. Locks as p2m_get_page. */
enum p2m_type p2m_lookup(struct p2m *p2m, gfn_t gfn, mfn_t *mfn);
/*
 * Reads the eight bytes at gpa (aligned) without taking a reference: one entry of a guest's page table. Returns where they are, which holds
 * as long as tlb_gen is what it was before the call; NULL for holes and MMIO. Only for the p2m of the current vCPU.
 */
const u64 *p2m_read_u64(struct p2m *p2m, gpa_t gpa, u64 *value);
static inline u64 p2m_generation(const struct p2m *p2m) { return __atomic_load_n(&p2m->tlb_gen, __ATOMIC_ACQUIRE); }

/*
 * Maps 2^order frames (order 0 to 18, both sides aligned) at gfn. What was there is removed as by p2m_remove. RAM, SHARED and
 * FOREIGN entries take over the caller's reference of each frame on success. -ENOMEM (or mempool allows no table more; nothing
 * changed), -EINVAL (gfn too large or not aligned), -ESRCH (closed), -EAGAIN (order > 0: others kept filling the range; some of
 * what was there is gone). No lock of LOCK_DOMAINS or above may be held. When it returns no CPU can still use an old entry.
 */
int p2m_map(struct p2m *p2m, gfn_t gfn, mfn_t mfn, unsigned order, enum p2m_type type);
/*
 * Makes gfn a hole, flushes every CPU that might still use the entry, then drops the entry's reference (RAM, SHARED, FOREIGN).
 * `expect`: only if the entry has that mfn (INVALID_MFN: any). -ENOENT if it is a hole already or not as expected, -ENOMEM if a
 * superpage could not be split.
 */
int p2m_remove(struct p2m *p2m, gfn_t gfn, mfn_t expect);

/* Entries taken out, whose references wait for one flush that they share. Starts with p2m_nothing_retired(). */
struct p2m_retired {
	unsigned nr;
	bool flush;
	struct { mfn_t mfn; u64 frames; } run[32];
};
/* Not all of it is cleared: this is on hot paths, and the array is only read up to nr. */
static inline void p2m_nothing_retired(struct p2m_retired *r) { r->nr = 0; r->flush = false; }
/*
 * p2m_map and p2m_remove in two steps: these as often as there are entries, then p2m_retire, for a flush that all share. Until then CPUs may use
 * the old entries. What *r has no room for is flushed at once.
 */
int p2m_enter(struct p2m *p2m, gfn_t gfn, mfn_t mfn, unsigned order, enum p2m_type type, struct p2m_retired *r);
int p2m_take(struct p2m *p2m, gfn_t gfn, mfn_t expect, struct p2m_retired *r);
void p2m_retire(struct p2m *p2m, struct p2m_retired *r);
/*
 * Makes holes of the 2^order frames at gfn (order 0 to 9), so that p2m_enter finds nothing to replace there. -EAGAIN: *r has room for no more; after
 * p2m_retire the rest. -ENOMEM if a superpage could not be split.
 */
int p2m_clear(struct p2m *p2m, gfn_t gfn, unsigned order, struct p2m_retired *r);

/* Keeps the block for a later step; false, and it is still the caller's, if there is one already or the p2m is closed. */
bool p2m_keep_part(struct p2m *p2m, const struct p2m_part *part);
/* Gives the block back that is kept for this place; false if there is none. */
bool p2m_take_part(struct p2m *p2m, gfn_t gfn, unsigned order, struct p2m_part *part);

/*
 * Makes the RAM from gfn on executable or not, whole large pages at once; one range at a time. -ENOENT if not all of it is RAM (nothing
 * changed), -ENOMEM (done in part).
 */
int p2m_set_nx(struct p2m *p2m, gfn_t gfn, u64 frames, bool nx);
static inline bool p2m_is_nx(const struct p2m *p2m, gfn_t gfn) { return gfn.v - p2m->nx_gfn.v < p2m->nx_frames; }

/* At boot, before the first p2m_fill_hole: takes the memory that holes show. */
void p2m_init_holes(void);
/*
 * Lets the guest read ones where it has nothing at gfn, from frames of the hypervisor's own that all domains share. It stays a hole for
 * every function here: nothing can be had from it, and what is mapped later takes its place. As many tables as mempool allows. 0 also if
 * something is there by now; -EINVAL (gfn too large), -ENOMEM.
 */
int p2m_fill_hole(struct p2m *p2m, gfn_t gfn);
/*
 * Drops entries and tables from *next (a cursor, 0 first) on, until about `budget` frames are dropped; true when the root is all that is
 * left. For dying domains, which run on no CPU; one call at a time. From the first call on p2m_map refuses.
 */
bool p2m_relinquish(struct p2m *p2m, u64 *next, unsigned budget);
/* After batched removals: waits until no CPU uses translations older than now. */
void p2m_flush(struct p2m *p2m);

#endif
