/*
 * Grant maps: another domain's page in the caller's physical memory, for as long as the caller keeps the handle. The maptrack is
 * the mapper's list of what each handle holds: a pin on the entry, a reference on the page, and one on the granter, which is
 * why unmapping works whatever has become of the granter.
 *
 * A handle is busy while a map or unmap is at work on it, and only live ones can be unmapped: so of two CPUs that unmap the
 * same handle one finds it busy, and nobody unmaps what isn't mapped yet.
 */
#include "vmm/share/grant.h"
#include "vmm/share/grant_pin.h"
#include <xen/grant_table.h>
#include "mm/heap.h"
#include "vmm/hypercall.h"
#include "vmm/vcpu.h"

enum { HANDLE_FREE, HANDLE_BUSY, HANDLE_LIVE };

/* What a handle holds. [LOCK_GRANT of the mapper], but while it is busy it is its holder's alone. */
struct maptrack {
	struct domain *granter;
	struct page *page;
	u64 gfn;            /* where in the mapper */
	u32 ref;            /* of the granter; of a free handle: the next free one, ~0 at the end */
	u8 state;
	bool write;
};

#define HANDLES_PER_FRAME (PAGE_SIZE / sizeof(struct maptrack))
#define NO_HANDLE (~0u)

static struct maptrack *slot_of(struct grant_table *gt, u32 handle)
{
	return &gt->maptrack[handle / HANDLES_PER_FRAME][handle % HANDLES_PER_FRAME];
}

/* A handle that never existed, or NO_HANDLE. The list of frames is made at the first map: most guests never map. Lock held. */
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

/* A handle for a new map, busy; NO_HANDLE if there is no room. */
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

/* A busy handle becomes live, holding what is given. */
static void fill_handle(struct grant_table *gt, u32 handle, const struct maptrack *held)
{
	spin_lock(&gt->lock);
	*slot_of(gt, handle) = *held;
	spin_unlock(&gt->lock);
}

/* A busy handle becomes free. */
static void close_handle(struct grant_table *gt, u32 handle)
{
	spin_lock(&gt->lock);
	*slot_of(gt, handle) = (struct maptrack){ .state = HANDLE_FREE, .ref = gt->maptrack_free };
	gt->maptrack_free = handle;
	gt->maps--;
	spin_unlock(&gt->lock);
}

/* A live handle that maps something at gfn becomes busy, and what it holds is the caller's. Any number is fine as handle. */
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

/* Takes the mapping out of d's memory; what its handle held goes back after the flush, when no CPU can use the page any more. */
static void unmap(struct domain *d, const struct maptrack *held, struct p2m_retired *r)
{
	/* No entry: d has put something else there. That may be happening on another CPU just now, which still has to flush. */
	if (p2m_take(&d->p2m, GFN(held->gfn), page_to_mfn(held->page), r))
		r->flush = true;
}

static void give_back(const struct maptrack *held)
{
	grant_unpin(held->granter, held->ref, held->write, held->page);
	domain_put(held->granter);
}

/* Pins the entry and enters its page in d's memory; fills in *held, but for the granter, which the caller has. */
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

static int map(struct vcpu *v, gnttab_map_grant_ref_t *op, struct p2m_retired *r)
{
	struct domain *d = v->domain;
	struct maptrack held = { .state = HANDLE_LIVE, .ref = op->ref, .write = !(op->flags & GNTMAP_readonly) };
	int status = GNTST_no_space;
	u32 handle;

	/* The other kinds are for guests without nested paging. */
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
	op->dev_bus_addr = 0;   /* no device of the mapper's ever needs the machine address */
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
		op[i].status = (int16_t)map(v, &op[i], &r);
	/* What was there before: one flush for all of it. */
	p2m_retire(&v->domain->p2m, &r);
	return 0;
}

/* One flush for all of them. */
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
			unmap(d, &held[i], &r);
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

/* Takes the highest handle away for good, and its frame if it is the first there; false if there is none. d does not run, so none is busy. */
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
			unmap(d, &held, &r);
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
