/*
 * Grant tables: pages of entries in which a domain says which other domain may use which of its
 * frames. The domain can write these pages at any time. So we read an entry once, judge the value
 * that we read, and claim the entry by a compare-and-exchange with that value.
 */
#include <xen/grant_table.h>
#include "vmm/share/grant.h"
#include "mm/heap.h"
#include "vmm/hypercall.h"
#include "vmm/share/grant_pin.h"

#define FRAMES_DEFAULT    64
#define FRAMES_MAX        1024
#define MAPTRACK_DEFAULT  1024
#define MAPTRACK_MAX      16384
#define NOWHERE           (~0ull)
#define PIN_TRIES         4     /* more lost races are the granter's doing */

/*
 * How many maps and copies use one entry. Handles are fewer than 2^32, so the counts can't
 * overflow.
 */
struct grant_active {
	u32 readers;
	u32 writers;
};

/*
 * An entry as two words. The first has the flags and, above them, the domid: they are read, judged
 * and claimed together.
 */
struct entry {
	u32 rights;
	u32 frame;
};

_Static_assert(sizeof(struct entry) == sizeof(grant_entry_v1_t), "ABI");
_Static_assert(offsetof(struct entry, frame) == offsetof(grant_entry_v1_t, frame), "ABI");
_Static_assert(offsetof(grant_entry_v1_t, domid) == 2, "domid is the upper half of rights");
_Static_assert(GRANT_FRAME_ENTRIES * sizeof(struct entry) == PAGE_SIZE, "entries fill a frame");

/*
 * Finds entry `ref` and our counts for it. Returns false if the table is shorter. The lock is
 * held.
 */
static bool find_entry(struct grant_table *gt, u32 ref, struct entry **entry, struct grant_active **active)
{
	u32 frame = ref / GRANT_FRAME_ENTRIES, slot = ref % GRANT_FRAME_ENTRIES;

	if (frame >= gt->nr_frames)
		return false;
	frame = (u32)array_index_nospec(frame, gt->nr_frames);
	*entry = (struct entry *)page_to_virt(gt->frames[frame].page) + slot;
	*active = gt->frames[frame].active + slot;
	return true;
}

/* Returns true if these rights let domain `user` read (and, if `write`, also write) the frame. */
static bool entry_permits(u32 rights, u16 user, bool write)
{
	return (rights & GTF_type_mask) == GTF_permit_access && rights >> 16 == user && !(write && (rights & GTF_readonly));
}

/*
 * Marks the entry as in use, and counts the use. The frame is read after the claim, because from
 * then on an honest granter doesn't change it. The lock is held.
 */
static int claim_entry(struct grant_table *gt, u32 ref, u16 user, bool write, gfn_t *gfn)
{
	struct grant_active *active;
	struct entry *e;
	u32 rights;

	if (!find_entry(gt, ref, &e, &active))
		return GNTST_bad_gntref;
	rights = __atomic_load_n(&e->rights, __ATOMIC_ACQUIRE);
	for (unsigned i = 0; i < PIN_TRIES; i++) {
		if (!entry_permits(rights, user, write))
			return GNTST_general_error;
		if (!__atomic_compare_exchange_n(&e->rights, &rights, rights | GTF_reading | (write ? GTF_writing : 0), false,
						 __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST))
			continue;
		active->readers += !write;
		active->writers += write;
		*gfn = GFN(__atomic_load_n(&e->frame, __ATOMIC_ACQUIRE));
		return GNTST_okay;
	}
	return GNTST_general_error;
}

int grant_pin(struct domain *granter, u32 ref, u16 user, bool write, struct page **page)
{
	struct grant_table *gt = &granter->grant;
	enum p2m_type type;
	int status;
	gfn_t gfn;

	/* The granter's pages are being freed. A new use would only delay that. */
	if (__atomic_load_n(&granter->dying, __ATOMIC_RELAXED))
		return GNTST_bad_domain;
	spin_lock(&gt->lock);
	status = claim_entry(gt, ref, user, write, &gfn);
	spin_unlock(&gt->lock);
	if (status != GNTST_okay)
		return status;

	*page = p2m_get_page(&granter->p2m, gfn, &type, write);
	if (*page && type == P2M_RAM)
		return GNTST_okay;
	/*
	 * The page isn't the granter's own RAM. A domain can lend neither a page that it borrowed
	 * nor a page that the hypervisor shows it.
	 */
	grant_unpin(granter, ref, write, *page);
	return GNTST_bad_page;
}

void grant_unpin(struct domain *granter, u32 ref, bool write, struct page *page)
{
	struct grant_table *gt = &granter->grant;
	struct grant_active *active;
	struct entry *e;

	spin_lock(&gt->lock);
	/* A granter that died has no table any more, but its pages still come back here. */
	if (find_entry(gt, ref, &e, &active)) {
		active->readers -= !write;
		active->writers -= write;
		/*
		 * Shows the granter if this was the last use of its kind. Release: our last access
		 * to the page comes before the granter sees the bit clear.
		 */
		if (!active->writers)
			__atomic_fetch_and(&e->rights, ~(GTF_writing | (active->readers ? 0 : GTF_reading)),
					   __ATOMIC_SEQ_CST);
	}
	spin_unlock(&gt->lock);
	if (page)
		page_put(page);
}

/* ---- the table's frames ---- */

/* Adds an empty frame to the table. The lock is held. */
static int add_frame(struct grant_table *gt)
{
	struct grant_active *active = kzalloc(GRANT_FRAME_ENTRIES * sizeof(*active));
	struct page *pg = active ? page_alloc(0) : NULL;

	if (!pg) {
		kfree(active);
		return -ENOMEM;
	}
	clear_page(page_to_virt(pg));
	gt->frames[gt->nr_frames++] = (struct grant_frame){ pg, NOWHERE, active };
	return 0;
}

static u32 choose_limit(s32 wanted, u32 otherwise, u32 most)
{
	return wanted < 0 ? otherwise : MAX(MIN((u32)wanted, most), 1u);
}

int grant_init(struct domain *d, s32 max_frames, s32 max_maptrack)
{
	struct grant_table *gt = &d->grant;
	int err = -ENOMEM;

	*gt = (struct grant_table){
		.max_frames = choose_limit(max_frames, FRAMES_DEFAULT, FRAMES_MAX),
		.max_maptrack_frames = choose_limit(max_maptrack, MAPTRACK_DEFAULT, MAPTRACK_MAX),
		.maptrack_free = ~0u,
	};
	spin_init(&gt->lock, LOCK_GRANT);
	gt->frames = kzalloc(gt->max_frames * sizeof(*gt->frames));
	/*
	 * Frame 0 exists from the start, because the toolstack writes the console's and the
	 * store's entries before the guest runs.
	 */
	if (gt->frames)
		err = add_frame(gt);
	if (err)
		grant_destroy(d, 1);
	return err;
}

bool grant_destroy(struct domain *d, unsigned budget)
{
	struct grant_table *gt = &d->grant;
	u32 nr, left;

	/* From here on a late unmap finds no entry to clear. */
	spin_lock(&gt->lock);
	nr = gt->nr_frames;
	left = nr - MIN(nr, budget);
	gt->nr_frames = left;
	gt->max_frames = 0;
	spin_unlock(&gt->lock);

	while (nr-- > left) {
		page_put(gt->frames[nr].page);
		kfree(gt->frames[nr].active);
	}
	if (left)
		return false;
	kfree(gt->frames);
	gt->frames = NULL;
	grant_free_maptrack(gt);
	return true;
}

int grant_get_frame(struct domain *d, u32 idx, struct page **out)
{
	struct grant_table *gt = &d->grant;
	int err = 0;

	spin_lock(&gt->lock);
	if (idx >= gt->max_frames)
		err = -EINVAL;
	while (!err && gt->nr_frames <= idx)
		err = add_frame(gt);
	if (!err) {
		*out = gt->frames[array_index_nospec(idx, gt->nr_frames)].page;
		err = page_get(*out) ? 0 : -ENOMEM;
	}
	spin_unlock(&gt->lock);
	return err;
}

int grant_map_frame(struct domain *d, u32 idx, u64 gfn, struct p2m_retired *r)
{
	struct grant_table *gt = &d->grant;
	struct page *pg;
	u64 old = NOWHERE;
	int err = grant_get_frame(d, idx, &pg);

	if (err)
		return err;
	/*
	 * The new entry comes first, because only this step can fail. For a moment the frame is in
	 * two places. That does no harm, because each entry has its own reference.
	 */
	err = p2m_enter(&d->p2m, GFN(gfn), page_to_mfn(pg), 0, P2M_SHARED, r);
	if (err)
		return err;
	/* Notes the new place, unless the table has meanwhile gone with its domain. */
	spin_lock(&gt->lock);
	if (idx < gt->nr_frames) {
		idx = (u32)array_index_nospec(idx, gt->nr_frames);
		old = gt->frames[idx].gfn;
		gt->frames[idx].gfn = gfn;
	}
	spin_unlock(&gt->lock);
	/*
	 * An error (-ENOENT) would only say that the guest has put something else there meanwhile.
	 */
	if (old != NOWHERE && old != gfn)
		p2m_take(&d->p2m, GFN(old), page_to_mfn(pg), r);
	return 0;
}

/* ---- what a domain may ask about a table ---- */

long hc_grant_query_size(struct vcpu *v, struct hypercall *hc, void *arg)
{
	gnttab_query_size_t *op = arg;
	struct domain *d;
	int err = domain_get_permitted(v, hc, op->dom, &d);

	if (err) {
		op->status = err == -EPERM ? GNTST_permission_denied : GNTST_bad_domain;
		return 0;
	}
	spin_lock(&d->grant.lock);
	op->nr_frames = d->grant.nr_frames;
	op->max_nr_frames = d->grant.max_frames;
	spin_unlock(&d->grant.lock);
	op->status = GNTST_okay;
	domain_put(d);
	return 0;
}

long hc_grant_set_version(struct vcpu *v __unused, struct hypercall *hc __unused, void *arg)
{
	gnttab_set_version_t *op = arg;

	/* We don't implement version 2. Linux then stays with version 1. */
	return op->version == 2 ? -ENOSYS : op->version == 1 ? 0 : -EINVAL;
}

long hc_grant_get_version(struct vcpu *v, struct hypercall *hc, void *arg)
{
	gnttab_get_version_t *op = arg;
	struct domain *d;
	int err = domain_get_permitted(v, hc, op->dom, &d);

	if (err)
		return err;
	op->version = 1;
	domain_put(d);
	return 0;
}
