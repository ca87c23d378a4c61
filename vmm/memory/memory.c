/*
 * The memory hypercalls that give and take a domain's RAM, and the small ones that report or note
 * something. vmm/memory/physmap.c maps things other than the domain's own RAM. abi.md B.2 and E say
 * what each call means.
 */
#include <xen/memory.h>
#include <asm/page.h>
#include "vmm/memory/memory.h"
#include "lib/string.h"
#include "mm/heap.h"
#include "mm/p2m.h"
#include "mm/page.h"
#include "vmm/domain.h"
#include "vmm/domain/record.h"
#include "vmm/domain/refuse.h"
#include "vmm/memory/guest_access.h"
#include "vmm/vcpu.h"

/* Larger extents are refused; the toolstack then falls back to smaller ones. */
#define EXTENT_ORDER_MAX 9
#define LARGE BIT(EXTENT_ORDER_MAX)
/* Extents in one step, or fewer if they take long. */
#define STEP_EXTENTS 512
/* Frames that memory on demand leaves free. */
#define DEMAND_KEPT 2048
/* Guest frame numbers fetched at a time. */
#define CHUNK 64
/* Frames of an extent cleared, or given back, between two looks at the clock. */
#define AT_ONCE 16

/* Shared by all extents of a call. */
struct reservation {
	bool populate, on_demand;
	bool may_join;                  /* many small extents to a large one */
	struct p2m_retired retired;     /* the entries replaced, for one flush */
};

/*
 * Does one extent, or begins it. After EXTENT_BEGUN the next step calls it for the same extent,
 * with `begun` set. EXTENT_FAILED ends the call with the count so far.
 */
enum extent_result { EXTENT_FAILED, EXTENT_BEGUN, EXTENT_DONE };
typedef enum extent_result extent_fn(struct domain *d, u64 gfn, unsigned order, bool begun, struct reservation *r);
static extent_fn populate_extent, decrease_extent;

/*
 * Libxc restores a guest frame by frame. If its list has all frames of a large page in their order,
 * these become one extent, so that the guest has its large pages again.
 */
static bool fills_large_page(struct vcpu *v, const struct xen_memory_reservation *r, u64 at, u64 first)
{
	u64 gfn[CHUNK];

	if (r->extent_order || first % LARGE || r->nr_extents - at < LARGE)
		return false;
	for (u64 n = 0; n < LARGE; n++)
		if ((n % CHUNK == 0 && memory_copy_list(v, gfn, r, at + n, CHUNK)) || gfn[n % CHUNK] != first + n)
			return false;
	return true;
}

/*
 * Does the extents, from the one at which the last step stopped: hc->a[0] >> 7; bit 6 says
 * that it was begun. Returns HC_AGAIN if there are more. Else it returns the extents done since the
 * very first step, because the guest sees only the last step's result.
 */
static long each_extent(struct vcpu *v, struct hypercall *hc, const struct xen_memory_reservation *r, struct domain *d,
			struct reservation *data)
{
	u64 done = memory_start(hc) / 2, stop, gfn[CHUNK];
	bool begun = memory_start(hc) % 2, over = false;

	if (r->nr_extents > MEMORY_START_MAX / 2 || 2 * done + begun > 2 * r->nr_extents)
		return -EINVAL;
	if (r->extent_order > EXTENT_ORDER_MAX)
		return (long)done;
	stop = MIN(r->nr_extents, done + STEP_EXTENTS);
	while (done < stop && !over) {
		u64 n = MIN(CHUNK, stop - done);

		if (memory_copy_list(v, gfn, r, done, n))
			return done ? (long)done : -EFAULT;
		for (u64 i = 0, frames; i < n && !over; i += frames) {
			enum extent_result result;

			if (gfn[i] >= P2M_MAX_GFN || gfn[i] & (BIT(r->extent_order) - 1))
				return (long)done;
			frames = data->may_join && fills_large_page(v, r, done, gfn[i]) ? LARGE : 1;
			result = frames > 1 ? populate_extent(d, gfn[i], EXTENT_ORDER_MAX, begun, data) : EXTENT_FAILED;
			if (result == EXTENT_FAILED) {
				frames = 1;
				result = (data->populate ? populate_extent : decrease_extent)(d, gfn[i], r->extent_order, begun, data);
			}
			if (result == EXTENT_FAILED)
				return (long)done;
			begun = result == EXTENT_BEGUN;
			done += begun ? 0 : frames;
			over = begun || step_over();
		}
	}
	return memory_again(hc, 2 * done + begun, 2 * r->nr_extents) ? HC_AGAIN : (long)done;
}

/*
 * Returns 2^order new frames for d, not cleared, or NULL. An identity-mapped domain gets the very
 * frames at `gfn`, because devices take its frame numbers for machine addresses (abi.md L.43).
 */
static struct page *get_frames(struct domain *d, u64 gfn, unsigned order)
{
	static u64 missed;      /* [a] said already: the balloon asks again and again */

	if (!d->p2m.identity)
		return page_alloc_domain(order, d->domid);
	if (mfn_valid(MFN(gfn + BIT(order) - 1)) && !page_claim(MFN(gfn), BIT(order), d->domid))
		return mfn_to_page(MFN(gfn));
	if (__atomic_exchange_n(&missed, gfn, __ATOMIC_RELAXED) != gfn)
		refuse_say(-ENOMEM, "frame %lx for the service domain's balloon: it is in use, if by a guest until that ends",
			   gfn);
	return NULL;
}

/*
 * Charges n frames to d; false if it may not have them. On demand, the toolstack builds a guest
 * with all of maxmem, although the guest may keep only its target (abi.md E.1). The guest gets all
 * at once. `beyond` allows it the frames above the target until its balloon gives them back.
 */
static bool charge_frames(struct domain *d, u64 n, bool on_demand)
{
	u64 after = __atomic_load_n(&d->tot_pages, __ATOMIC_RELAXED) + n;
	u64 target = __atomic_load_n(&d->pod_target, __ATOMIC_RELAXED);
	u64 beyond = on_demand && after > target ? MIN(after - target, n) : 0;

	__atomic_add_fetch(&d->beyond, beyond, __ATOMIC_SEQ_CST);
	if (domain_charge(d, n))
		return true;
	domain_drop_beyond(d, beyond);
	return false;
}

/*
 * Nothing compares maxmem with free memory before the toolstack asks for it, at last frame by
 * frame. So some frames are left for all others, and the log says which maxmem would fit.
 */
static bool demand_fits(struct domain *d, unsigned order)
{
	if (page_free_count() >= DEMAND_KEPT + BIT(order))
		return true;
	if (!order)
		refuse_say(-ENOMEM, "d%u: all of maxmem has to be free as a guest starts; now up to maxmem=%lu fits",
			   d->domid, __atomic_load_n(&d->tot_pages, __ATOMIC_RELAXED) >> 8);
	return false;
}

static struct page *get_charged(struct domain *d, u64 gfn, unsigned order, bool on_demand)
{
	struct page *pg;

	if (!charge_frames(d, BIT(order), on_demand))
		return NULL;
	/*
	 * Charge first, then look at `dying`. domain_reap does both in the other order, so a domain
	 * that it lets go gets no frame.
	 */
	pg = __atomic_load_n(&d->dying, __ATOMIC_SEQ_CST) ? NULL : get_frames(d, gfn, order);
	if (!pg)
		domain_uncharge(d, BIT(order));
	return pg;
}

/* Clears a block's frames before the guest can see them; false if the step's time ended first. */
static bool clear_part(struct p2m_part *part)
{
	struct page *pg = mfn_to_page(part->mfn);

	while (part->cleared < BIT(part->order)) {
		clear_page(page_to_virt(pg + part->cleared++));
		if (part->cleared % AT_ONCE == 0 && step_over())
			return false;
	}
	return true;
}

/*
 * Removes the entries that the block replaces. If there were any, the next step enters the block,
 * so that neither step takes too long.
 */
static enum extent_result vacate_range(struct p2m *p2m, const struct p2m_part *part, struct p2m_retired *r)
{
	int rc;

	while ((rc = p2m_clear(p2m, part->gfn, part->order, r)) == -EAGAIN) {
		p2m_retire(p2m, r);
		if (step_over())
			return EXTENT_BEGUN;
	}
	return rc ? EXTENT_FAILED : r->flush ? EXTENT_BEGUN : EXTENT_DONE;
}

/*
 * Clearing a block of 2 MiB takes more than a step, and so may removing what it replaces. Between
 * steps the p2m keeps the block. It has room for one: two vCPUs that populate the same domain at
 * once may get fewer extents than there are.
 */
static enum extent_result populate_extent(struct domain *d, u64 gfn, unsigned order, bool begun __unused,
					  struct reservation *r)
{
	enum extent_result result = EXTENT_BEGUN;
	struct p2m_part part;
	struct page *pg;

	if (!order || !p2m_take_part(&d->p2m, GFN(gfn), order, &part)) {
		if (r->on_demand && !demand_fits(d, order))
			return EXTENT_FAILED;
		pg = get_charged(d, gfn, order, r->on_demand);
		/*
		 * Frames that earlier extents replaced are still charged to d: release them first.
		 */
		if (!pg && r->retired.nr) {
			p2m_retire(&d->p2m, &r->retired);
			pg = get_charged(d, gfn, order, r->on_demand);
		}
		if (!pg)
			return EXTENT_FAILED;
		part = (struct p2m_part){ page_to_mfn(pg), GFN(gfn), order, 0 };
	}
	if (clear_part(&part))
		result = order ? vacate_range(&d->p2m, &part, &r->retired) : EXTENT_DONE;
	if (result == EXTENT_BEGUN && p2m_keep_part(&d->p2m, &part))
		return EXTENT_BEGUN;
	if (result == EXTENT_DONE)
		return p2m_enter(&d->p2m, GFN(gfn), part.mfn, order, P2M_RAM, &r->retired) ? EXTENT_FAILED : EXTENT_DONE;
	/* The end of each frame takes it off the domain's account. */
	for (u64 i = 0; i < BIT(order); i++)
		page_put(mfn_to_page(part.mfn) + i);
	return EXTENT_FAILED;
}

/* Takes the RAM of one extent out. */
static enum extent_result decrease_extent(struct domain *d, u64 gfn, unsigned order, bool begun,
					  struct reservation *r)
{
	for (u64 i = 0; i < BIT(order); i++) {
		mfn_t mfn;
		enum p2m_type type = p2m_lookup(&d->p2m, GFN(gfn + i), &mfn);

		/* An earlier step has taken it. */
		if (begun && type == P2M_HOLE)
			continue;
		if (type != P2M_RAM || p2m_take(&d->p2m, GFN(gfn + i), mfn, &r->retired))
			return EXTENT_FAILED;
		/* Behind a frame that was taken: so each step takes one at least. */
		if ((i + 1) % AT_ONCE == 0 && i + 1 < BIT(order) && step_over())
			return EXTENT_BEGUN;
	}
	return EXTENT_DONE;
}

/* The sub-operation without the bits that say how far it has come. */
static u64 memory_op(const struct hypercall *hc) { return hc->a[0] & (BIT(MEMORY_START_SHIFT) - 1); }

long hc_memory_reservation(struct vcpu *v, struct hypercall *hc, void *arg)
{
	const struct xen_memory_reservation *op = arg;
	struct reservation r;
	struct domain *d;
	long rc = domain_get_permitted(v, hc, op->domid, &d);

	if (rc)
		return rc;
	/* A guest's own request is never on demand. */
	r.populate = memory_op(hc) == XENMEM_populate_physmap;
	r.may_join = r.populate && !d->p2m.identity;
	r.on_demand = (op->mem_flags & XENMEMF_populate_on_demand) && d != v->domain;
	p2m_nothing_retired(&r.retired);
	rc = each_extent(v, hc, op, d, &r);
	p2m_retire(&d->p2m, &r.retired);
	domain_put(d);
	return rc;
}

/* Claims are not kept: the answer says whether the domain could grow to that size now. */
long hc_memory_claim_pages(struct vcpu *v, struct hypercall *hc, void *arg)
{
	struct xen_memory_reservation *r = arg;
	long rc;
	struct domain *d;
	u64 tot;

	if (r->extent_order || r->mem_flags || r->extent_start.p)
		return -EINVAL;
	rc = domain_get_permitted(v, hc, r->domid, &d);
	if (rc)
		return rc;
	tot = __atomic_load_n(&d->tot_pages, __ATOMIC_RELAXED);
	rc = r->nr_extents > tot && r->nr_extents - tot > page_free_count() ? -ENOMEM : 0;
	domain_put(d);
	return rc;
}

/* ---- questions of the toolstack and of guests ---- */

/* Bounds a count so that, as a result, it can't be mistaken for an error. */
static long bounded_count(u64 n) { return (long)MIN(n, (u64)INT64_MAX); }

long hc_memory_maximum_ram_page(struct vcpu *v, struct hypercall *hc, void *arg)
{
	return bounded_count(max_mfn - 1);
}

/* Reads one of the target's u64 fields: what it has, what it may have, or its highest frame. */
long hc_memory_domain_field(struct vcpu *v, struct hypercall *hc, void *arg)
{
	struct domain *d;
	long rc = domain_get_permitted(v, hc, ((struct xen_memory_domain *)arg)->domid, &d);
	u64 op = memory_op(hc);

	if (rc)
		return rc;
	rc = bounded_count(__atomic_load_n(op == XENMEM_current_reservation ? &d->tot_pages :
					   op == XENMEM_maximum_reservation ? &d->max_pages : &d->p2m.max_gfn, __ATOMIC_RELAXED));
	domain_put(d);
	return rc;
}

/*
 * There is no populate-on-demand cache. All memory is populated, and the guest's balloon brings it
 * down to a lower target. Before the toolstack populates a guest, it says how much of that memory
 * the guest may keep (see charge_frames).
 */
long hc_memory_pod_target(struct vcpu *v, struct hypercall *hc, void *arg)
{
	struct xen_pod_target *t = arg;
	struct domain *d;
	long rc = domain_get_permitted(v, hc, t->domid, &d);

	if (rc)
		return rc;
	if (memory_op(hc) == XENMEM_set_pod_target)
		__atomic_store_n(&d->pod_target, t->target_pages, __ATOMIC_RELAXED);
	t->tot_pages = __atomic_load_n(&d->tot_pages, __ATOMIC_RELAXED);
	t->pod_cache_pages = 0;
	t->pod_entries = 0;
	domain_put(d);
	return 0;
}

/* ---- the memory map that the toolstack leaves for the guest ---- */

#define E820_ENTRY 20   /* bytes; packed, as the BIOS call has it */

long hc_memory_set_memory_map(struct vcpu *v, struct hypercall *hc, void *arg)
{
	struct xen_foreign_memory_map *m = arg;
	u32 nr = m->map.nr_entries;
	long rc;
	struct domain *d;
	void *entries;

	if (nr > DOMAIN_E820_MAX)
		return -EINVAL;
	rc = domain_get_permitted(v, hc, m->domid, &d);
	if (rc)
		return rc;
	entries = kzalloc(sizeof(d->e820));
	rc = entries ? copy_from_guest(v, entries, HANDLE(m->map.buffer), (size_t)nr * E820_ENTRY) : -ENOMEM;
	if (!rc) {
		spin_lock(&d->lock);
		memcpy(d->e820, entries, (size_t)nr * E820_ENTRY);
		d->e820_nr = nr;
		spin_unlock(&d->lock);
	}
	kfree(entries);
	domain_put(d);
	return rc;
}

long hc_memory_map(struct vcpu *v, struct hypercall *hc, void *arg)
{
	struct xen_memory_map *m = arg;
	struct domain *d = v->domain;
	void *entries = kzalloc(sizeof(d->e820));
	long rc = -ENOSYS;
	u32 nr;

	if (!entries)
		return -ENOMEM;
	/* A copy, because the guest's memory is not touched under a lock. */
	spin_lock(&d->lock);
	nr = d->e820_nr;
	memcpy(entries, d->e820, (size_t)nr * E820_ENTRY);
	spin_unlock(&d->lock);
	if (nr) {
		m->nr_entries = MIN(m->nr_entries, nr);
		rc = copy_to_guest(v, HANDLE(m->buffer), entries, (size_t)m->nr_entries * E820_ENTRY);
	}
	kfree(entries);
	return rc;
}
