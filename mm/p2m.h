/*
 * A domain's p2m: it maps each guest frame to a machine frame with a type. The nested page table
 * itself is the only record; the type is in the entry's software bits. References to frames are
 * dropped while no lock of this layer is held.
 *
 * The domain's own vCPUs look up without a lock, because tables are only added while one of them
 * runs. Others take the lock, because tables go away when a dirty log or a domain ends. A
 * look-up that returns a frame first takes a reference and then checks that the entry has not
 * changed. A look-up that takes no reference checks that the generation has not changed: each
 * removal raises it before the frame can become free.
 */
#ifndef MM_P2M_H
#define MM_P2M_H

#include <asm/spinlock.h>

struct page;
struct p2m_mirror;
struct pt_format;

enum p2m_type {
	P2M_HOLE,           /* no frame; an entry of this type shows the guest bytes of ones */
	P2M_RAM,            /* the domain's own frame; the entry holds one reference */
	/* our frame, shown to the guest (shared_info, grant table); one reference */
	P2M_SHARED,
	P2M_FOREIGN,        /* another domain's frame; one reference */
	/* a granted frame; the maptrack entry holds the reference, not the p2m */
	P2M_GRANT_RW,
	P2M_GRANT_RO,
	P2M_MMIO,           /* device memory, service domain only: no struct page, no reference */
};

/*
 * A block that the caller is clearing before it maps it. The p2m keeps it, with the caller's
 * references, while the caller does other work. `cleared` counts the frames done; order 0: no
 * block.
 */
struct p2m_part { mfn_t mfn; gfn_t gfn; unsigned order; u64 cleared; };

/*
 * Tags: vmm/domain.h. A domain that moves takes its frames and their places along; its tables are
 * made anew.
 */
struct p2m {
	spinlock_t lock;    /* (t) LOCK_P2M: all changes */
	mfn_t root;         /* [I] (d) top table of the nested page table */
	/* [I] (t) what devices see of the domain; or NULL, and then it has none, or they see all */
	const struct p2m_mirror *mirror;
	/*
	 * [a] (t) raised by each change that takes rights away, after the entry and before the
	 * reference is dropped
	 */
	u64 tlb_gen;
	u64 max_gfn;        /* [a] (d) highest gfn ever mapped; changed under LOCK_P2M */
	u64 table_pages;    /* [LOCK_P2M] (d) frames used by tables */
	/*
	 * [a] (d) bytes that tables may take, set by the toolstack; no limit for the service domain
	 */
	u64 mempool;
	/*
	 * (t) The frames of a kernel that unpacks itself, which must not be executed, and their
	 * number or 0. Both [LOCK_P2M, or dom0's first vCPU, which alone changes them].
	 */
	gfn_t nx_gfn;
	u64 nx_frames;
	bool identity;      /* [I] (d) service domain: RAM at GPA == HPA */
	bool closed;        /* [LOCK_P2M] (t) being relinquished: p2m_map refuses */
	struct p2m_part part; /* [LOCK_P2M] (t) one at a time */
	/*
	 * [LOCK_CONTROL] (t) for p2m_relinquish only: first frame of a leaf that it took out and
	 * whose references it still has to drop
	 */
	mfn_t leaving;
	u64 nr_leaving;     /* [LOCK_CONTROL] (t) the number of these frames */
};

#define P2M_MAX_GFN BIT(36)     /* four levels of nested paging */

/*
 * The format of nested page tables on this machine. The vendor sets it before the first p2m_init.
 */
extern const struct pt_format *p2m_format;

/* Makes an empty p2m. Returns 0. Errors: -ENOMEM if there is no memory for the root table. */
int p2m_init(struct p2m *p2m);
/*
 * Frees the root table. Before that, p2m_relinquish has removed all others, or nothing was ever
 * mapped.
 */
void p2m_destroy(struct p2m *p2m);

/*
 * Returns the frame behind gfn with a reference, which the caller drops with page_put. Returns NULL
 * for holes, MMIO and frames that aren't counted; with `write` also if the guest may only read.
 * *type may be NULL. Locks: may take LOCK_P2M, so the caller holds none above LOCK_GRANT. Context:
 * the caller keeps the domain alive.
 */
struct page *p2m_get_page(struct p2m *p2m, gfn_t gfn, enum p2m_type *type, bool write);
/* As p2m_get_page, but only for a frame of the domain's own RAM. */
struct page *p2m_get_ram(struct p2m *p2m, gfn_t gfn, bool write);
/*
 * Returns the type, and the frame in *mfn unless mfn is NULL. Takes no reference, so the answer is
 * information only. Locks: as p2m_get_page.
 */
enum p2m_type p2m_lookup(struct p2m *p2m, gfn_t gfn, mfn_t *mfn);
/*
 * Reads the eight bytes at gpa (aligned), one entry of a guest's page table, without taking a
 * reference. Returns their address, or NULL for holes and MMIO. The address holds as long as
 * tlb_gen is what it was before the call. Context: only for the p2m of the current vCPU.
 */
const u64 *p2m_read_u64(struct p2m *p2m, gpa_t gpa, u64 *value);
/* Returns the generation. Acquire: accesses below it see everything that it covers. */
static inline u64 p2m_generation(const struct p2m *p2m) { return __atomic_load_n(&p2m->tlb_gen, __ATOMIC_ACQUIRE); }

/*
 * Maps 2^order frames (order 0 to 18, both sides aligned) at gfn, and removes earlier entries as
 * p2m_remove does. RAM, SHARED and FOREIGN entries take over the caller's reference of each frame;
 * after an error it is dropped, so the caller has none in either case. When it returns, no CPU can
 * still use an old entry. Returns 0. Errors: -ENOMEM if there is no memory for a table, or mempool
 * allows none more (nothing mapped); -EINVAL if gfn is too large or not aligned; -ESRCH if the p2m
 * is closed; -EAGAIN (order > 0 only) if others kept filling the range, from which some entries are
 * gone. Locks: takes LOCK_P2M, then LOCK_PAGE if a frame loses its last reference. So the caller
 * holds none of LOCK_P2M or above.
 */
int p2m_map(struct p2m *p2m, gfn_t gfn, mfn_t mfn, unsigned order, enum p2m_type type);
/*
 * Makes gfn a hole, flushes every CPU that might still use the entry, and then drops the entry's
 * reference (RAM, SHARED, FOREIGN). `expect`: only if the entry has this mfn; INVALID_MFN: any.
 * Returns 0. Errors: -ENOENT if gfn is a hole already or the mfn is another; -ENOMEM if a superpage
 * could not be split. Locks: as p2m_map.
 */
int p2m_remove(struct p2m *p2m, gfn_t gfn, mfn_t expect);

/*
 * Entries that were taken out and whose references wait for one common flush. Start with
 * p2m_nothing_retired().
 */
struct p2m_retired {
	unsigned nr;
	bool flush;
	struct { mfn_t mfn; u64 frames; } run[32];
};
/* Doesn't clear the array: this is on hot paths, and the array is only read up to nr. */
static inline void p2m_nothing_retired(struct p2m_retired *r) { r->nr = 0; r->flush = false; }
/*
 * p2m_map and p2m_remove in two steps, so that many entries share one flush: call p2m_enter or
 * p2m_take for each entry, then p2m_retire once. Until then CPUs may use the old entries. If *r has
 * no room left, the first two flush at once. Errors and locks: as p2m_map and p2m_remove.
 */
int p2m_enter(struct p2m *p2m, gfn_t gfn, mfn_t mfn, unsigned order, enum p2m_type type, struct p2m_retired *r);
int p2m_take(struct p2m *p2m, gfn_t gfn, mfn_t expect, struct p2m_retired *r);
void p2m_retire(struct p2m *p2m, struct p2m_retired *r);
/*
 * Makes holes of the 2^order frames at gfn (order 0 to 9), so that p2m_enter finds nothing to
 * replace there. Returns 0. Errors: -EAGAIN if *r is full (call p2m_retire, then this again);
 * -ENOMEM if a superpage could not be split.
 */
int p2m_clear(struct p2m *p2m, gfn_t gfn, unsigned order, struct p2m_retired *r);

/*
 * Keeps the block for a later step. Returns false, and the block stays the caller's, if there is
 * one already or the p2m is closed.
 */
bool p2m_keep_part(struct p2m *p2m, const struct p2m_part *part);
/* Gives the block that is kept for this place back in *part. Returns false if there is none. */
bool p2m_take_part(struct p2m *p2m, gfn_t gfn, unsigned order, struct p2m_part *part);

/*
 * Makes the RAM from gfn on executable or not, in whole large pages; one range at a time. Returns
 * 0. Errors: -ENOENT if not all of it is RAM (nothing changed); -ENOMEM if there is no memory to
 * split a page (done in part).
 */
int p2m_set_nx(struct p2m *p2m, gfn_t gfn, u64 frames, bool nx);
static inline bool p2m_is_nx(const struct p2m *p2m, gfn_t gfn) { return gfn.v - p2m->nx_gfn.v < p2m->nx_frames; }

/*
 * Allocates the frames of ones that holes show. Panics if there is no memory. Context: boot, before
 * the first p2m_fill_hole.
 */
void p2m_init_holes(void);
/*
 * Lets the guest read ones at gfn if it has nothing there, from frames of our own that all domains
 * share. For every function here gfn stays a hole: no one gets a frame from it, and a later mapping
 * replaces it. Returns 0, also if gfn is mapped already. Errors: -EINVAL if gfn is too large;
 * -ENOMEM if there is no memory for a table, or mempool allows none more.
 */
int p2m_fill_hole(struct p2m *p2m, gfn_t gfn);
/*
 * Drops entries and tables from the cursor *next (0 first) on, until about `budget` frames are
 * dropped. Returns true when only the root is left. The first call makes p2m_map refuse. Context:
 * dying domains, which run on no CPU; one call at a time.
 */
bool p2m_relinquish(struct p2m *p2m, u64 *next, unsigned budget);
/*
 * As pt_slot, but finds the slot directly if its tables are there, as they mostly are. Uses no level
 * higher than the CPU has pages for. Returns NULL also if mempool allows no more tables. Locks:
 * LOCK_P2M is held.
 */
u64 *p2m_slot(struct p2m *p2m, gfn_t gfn, unsigned *level);
/*
 * Raises the generation and waits until no CPU uses older translations. Call it after batched
 * removals.
 */
void p2m_flush(struct p2m *p2m);

#endif
