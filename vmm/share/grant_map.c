/*
 * Grant maps: put another domain's page into the caller's physical memory, for as long as the
 * caller keeps the handle. The maptrack is the mapper's list of its handles. A handle holds a pin
 * on the entry, a reference on the page, and a reference on the granter. So unmapping works even
 * if the granter has died.
 *
 * A handle is busy while a map or unmap is at work on it, and only a live handle can be unmapped.
 * If two CPUs unmap the same handle, one of them finds it busy. And no CPU can unmap a page that
 * isn't mapped yet.
 */
#include <xen/grant_table.h>
#include "mm/heap.h"
#include "vmm/hypercall.h"
#include "vmm/share/grant.h"
#include "vmm/share/grant_pin.h"
#include "vmm/vcpu.h"

enum { HANDLE_FREE, HANDLE_BUSY, HANDLE_LIVE };

/*
 * A handle. All fields: [LOCK_GRANT of the mapper]; while it is busy, only its holder may touch
 * them.
 */
struct maptrack {
	struct domain *granter;
	struct page *page;
	u64 gfn;            /* its place in the mapper */
	u32 ref;            /* the granter's entry; in a free handle the next free one, or ~0 */
	u8 state;
	bool write;
};

#define HANDLES_PER_FRAME (PAGE_SIZE / sizeof(struct maptrack))
#define NO_HANDLE (~0u)

static struct maptrack *slot_of(struct grant_table *gt, u32 handle)
{
	return &gt->maptrack[handle / HANDLES_PER_FRAME][handle % HANDLES_PER_FRAME];
}

/*
 * Returns a handle that never existed before, or NO_HANDLE without memory. The list of frames is
 * made at the first map, because most guests never map anything. The lock is held.
 */
static u32 add_handle(struct grant_table *gt)
{
	u32 frame = gt->nr_maptrack / HANDLES_PER_FRAME;

	if (frame >= gt->max_maptrack_frames)
		return NO_HANDLE;
	if (!gt->maptrack)
		gt->maptrack = kzalloc(gt->max_maptrack_frames * sizeof(*gt->maptrack));
	if (!gt->maptrack)
		return NO_HANDLE;
	if (!gt->maptrack[frame])
		gt->maptrack[frame] = kzalloc(PAGE_SIZE);
	return gt->maptrack[frame] ? gt->nr_maptrack++ : NO_HANDLE;
}

/* Returns a busy handle for a new map, or NO_HANDLE if there is no room. */
static u32 open_handle(struct grant_table *gt)
{
	u32 handle;

	spin_lock(&gt->lock);
	handle = gt->maptrack_free;
	if (handle != NO_HANDLE)
		gt->maptrack_free = slot_of(gt, handle)->ref;
	else
		handle = add_handle(gt);
	if (handle != NO_HANDLE) {
		slot_of(gt, handle)->state = HANDLE_BUSY;
		gt->maps++;
	}
	spin_unlock(&gt->lock);
	return handle;
}

/* Makes a busy handle live, with the contents of *held. */
static void fill_handle(struct grant_table *gt, u32 handle, const struct maptrack *held)
{
	spin_lock(&gt->lock);
	*slot_of(gt, handle) = *held;
	spin_unlock(&gt->lock);
}

/* Makes a busy handle free. */
static void close_handle(struct grant_table *gt, u32 handle)
{
	spin_lock(&gt->lock);
	*slot_of(gt, handle) = (struct maptrack){ .state = HANDLE_FREE, .ref = gt->maptrack_free };
	gt->maptrack_free = handle;
	gt->maps--;
	spin_unlock(&gt->lock);
}

/*
 * Makes a live handle that maps a page at gfn busy, and passes its contents to the caller in
 * *held. Returns GNTST_okay. Errors: GNTST_bad_handle if it isn't live or doesn't exist,
 * GNTST_bad_virt_addr if it maps another gfn. A guest may have chosen any number as `handle`.
 */
static int take_handle(struct grant_table *gt, u32 handle, u64 gfn, struct maptrack *held)
{
	int status = GNTST_bad_handle;

	spin_lock(&gt->lock);
	if (handle < gt->nr_maptrack) {
		struct maptrack *slot = slot_of(gt, (u32)array_index_nospec(handle, gt->nr_maptrack));

		if (slot->state == HANDLE_LIVE)
			status = slot->gfn == gfn ? GNTST_okay : GNTST_bad_virt_addr;
		if (status == GNTST_okay) {
			*held = *slot;
			slot->state = HANDLE_BUSY;
		}
	}
	spin_unlock(&gt->lock);
	return status;
}

/*
 * Takes the mapping out of d's memory. The caller gives back what the handle held only after the
 * flush, because until then a CPU may still use the page.
 */
static void unmap_grant(struct domain *d, const struct maptrack *held, struct p2m_retired *r)
{
	/*
	 * There is no such entry, because d has put something else there. Another CPU may be doing
	 * that just now and still have to flush, so we flush too.
	 */
	if (p2m_take(&d->p2m, GFN(held->gfn), page_to_mfn(held->page), r))
		r->flush = true;
}

static void give_back(const struct maptrack *held)
{
	grant_unpin(held->granter, held->ref, held->write, held->page);
	domain_put(held->granter);
}

/*
 * Pins the entry, and enters its page in d's memory. Fills in the rest of *held, whose granter,
 * entry and direction the caller has set. Returns GNTST_okay or another GNTST_*.
 */
static int map_page(struct domain *d, const gnttab_map_grant_ref_t *op, struct maptrack *held, struct p2m_retired *r)
{
	int status = grant_pin(held->granter, held->ref, d->domid, held->write, &held->page);
	int err;

	if (status != GNTST_okay)
		return status;
	held->gfn = op->host_addr >> PAGE_SHIFT;
	err = p2m_enter(&d->p2m, GFN(held->gfn), page_to_mfn(held->page), 0, held->write ? P2M_GRANT_RW : P2M_GRANT_RO, r);
	if (!err)
		return GNTST_okay;
	grant_unpin(held->granter, held->ref, held->write, held->page);
	return err == -ENOMEM ? GNTST_no_space : GNTST_bad_virt_addr;
}

static int map_grant(struct vcpu *v, gnttab_map_grant_ref_t *op, struct p2m_retired *r)
{
	struct domain *d = v->domain;
	struct maptrack held = { .state = HANDLE_LIVE, .ref = op->ref, .write = !(op->flags & GNTMAP_readonly) };
	int status = GNTST_no_space;
	u32 handle;

	/* The other kinds of map are for guests without nested paging. */
	if ((op->flags & ~GNTMAP_readonly) != GNTMAP_host_map)
		return GNTST_general_error;
	held.granter = domain_resolve(v, op->dom);
	if (!held.granter)
		return GNTST_bad_domain;
	handle = open_handle(&d->grant);
	if (handle == NO_HANDLE)
		goto put_granter;
	status = map_page(d, op, &held, r);
	if (status != GNTST_okay)
		goto close_handle;

	fill_handle(&d->grant, handle, &held);
	op->handle = handle;
	op->dev_bus_addr = 0;   /* no device of the mapper's needs the machine address */
	return GNTST_okay;

close_handle:
	close_handle(&d->grant, handle);
put_granter:
	domain_put(held.granter);
	return status;
}

long hc_grant_map(struct vcpu *v, struct hypercall *hc, void *arg)
{
	gnttab_map_grant_ref_t *op = arg;
	struct p2m_retired r;

	p2m_nothing_retired(&r);
	for (u32 i = 0; i < hc->count; i++)
		op[i].status = (int16_t)map_grant(v, &op[i], &r);
	/* Retires the entries that were there before, with one flush for all of them. */
	p2m_retire(&v->domain->p2m, &r);
	return 0;
}

/*
 * Unmaps all elements with one flush, between the removal of the entries and the return of the
 * pages.
 */
long hc_grant_unmap(struct vcpu *v, struct hypercall *hc, void *arg)
{
	gnttab_unmap_grant_ref_t *op = arg;
	struct domain *d = v->domain;
	struct maptrack held[HC_ARG_MAX / sizeof(*op)];
	struct p2m_retired r;

	p2m_nothing_retired(&r);
	for (u32 i = 0; i < hc->count; i++) {
		op[i].status = (int16_t)take_handle(&d->grant, op[i].handle, op[i].host_addr >> PAGE_SHIFT, &held[i]);
		if (op[i].status == GNTST_okay)
			unmap_grant(d, &held[i], &r);
	}
	p2m_retire(&d->p2m, &r);
	for (u32 i = 0; i < hc->count; i++)
		if (op[i].status == GNTST_okay) {
			give_back(&held[i]);
			close_handle(&d->grant, op[i].handle);
		}
	return 0;
}

/* ---- the end of a mapper ---- */

/*
 * Removes the highest handle for good, and its frame if it was the last handle there. Returns
 * false if there is no handle. The domain doesn't run, so none is busy.
 */
static bool pop_handle(struct grant_table *gt, struct maptrack *held)
{
	struct maptrack *frame = NULL;
	bool popped = false;

	spin_lock(&gt->lock);
	gt->maptrack_free = NO_HANDLE;
	if (gt->nr_maptrack) {
		struct maptrack *slot = slot_of(gt, --gt->nr_maptrack);

		*held = *slot;
		*slot = (struct maptrack){ .state = HANDLE_FREE };
		gt->maps -= held->state == HANDLE_LIVE;
		popped = true;
		if (gt->nr_maptrack % HANDLES_PER_FRAME == 0) {
			frame = slot;
			gt->maptrack[gt->nr_maptrack / HANDLES_PER_FRAME] = NULL;
		}
	}
	spin_unlock(&gt->lock);
	kfree(frame);
	return popped;
}

bool grant_release_maps(struct domain *d, unsigned budget)
{
	struct maptrack held;
	struct p2m_retired r;

	while (budget--) {
		if (!pop_handle(&d->grant, &held))
			return true;
		if (held.state == HANDLE_LIVE) {
			p2m_nothing_retired(&r);
			unmap_grant(d, &held, &r);
			p2m_retire(&d->p2m, &r);
			give_back(&held);
		}
	}
	return !d->grant.nr_maptrack;
}

void grant_free_maptrack(struct grant_table *gt)
{
	BUG_ON(gt->maps || gt->nr_maptrack);
	kfree(gt->maptrack);
	gt->maptrack = NULL;
	gt->maptrack_free = NO_HANDLE;
}
