/*
 * The hypercalls that put something other than fresh RAM at a guest frame: shared_info, grant table
 * frames, RAM from another place, and frames of other domains. The toolstack builds a guest with
 * the last of these, one page per call, so its path is short.
 */
#include <xen/memory.h>
#include "mm/p2m.h"
#include "mm/page.h"
#include "vmm/domain.h"
#include "vmm/domain/record.h"
#include "vmm/memory/guest_access.h"
#include "vmm/memory/memory.h"
#include "vmm/share/grant.h"
#include "vmm/vcpu.h"

/* Entries of a batch fetched at a time, and done in one step. */
#define CHUNK 16
#define STEP  128

/* Most frames that acquire_resource maps in one call: a grant table's usual maximum. */
#define RESOURCE_MAX 64

/* Each of these collects in *r what it replaces, so that a batch needs only one flush. */

static long map_shared_info(struct domain *d, u64 gfn, struct p2m_retired *r)
{
	mfn_t mfn = page_to_mfn(d->shared_page);
	u64 old;
	long rc;

	/* A reference for the new entry. It can't fail, because the domain itself holds one. */
	BUG_ON(!page_get(d->shared_page));
	rc = p2m_enter(&d->p2m, GFN(gfn), mfn, 0, P2M_SHARED, r);
	if (rc)
		return rc;
	/*
	 * The page is at one place at a time. If the guest has meanwhile put something else at the
	 * old place, that stays.
	 */
	old = __atomic_exchange_n(&d->shared_gfn, gfn, __ATOMIC_ACQ_REL);
	if (old != gfn && old != INVALID_GFN.v)
		p2m_take(&d->p2m, GFN(old), mfn, r);
	return 0;
}

/* Moves a frame of d's RAM. The new place comes first, so that a failure loses nothing. */
static long move_frame(struct domain *d, u64 from, u64 to, struct p2m_retired *r)
{
	struct page *pg;

	/* In an identity-mapped domain a frame has no other place than its own. */
	if (d->p2m.identity || from == to)
		return from == to ? 0 : -EPERM;
	pg = p2m_get_ram(&d->p2m, GFN(from), true);
	if (!pg)
		return -EINVAL;
	return p2m_enter(&d->p2m, GFN(to), page_to_mfn(pg), 0, P2M_RAM, r) ?:
	       p2m_take(&d->p2m, GFN(from), page_to_mfn(pg), r);
}

/*
 * Maps a frame of `other`'s RAM at gfn of d. The entry's reference keeps the frame even after its
 * owner's end. It doesn't count as a write: the toolstack maps all of a guest to save it, and can't
 * say that it only reads. What it keeps mapped is dirty (mm/p2m_log.h).
 */
static long map_foreign(struct domain *d, u64 gfn, struct domain *other, u64 other_gfn, struct p2m_retired *r)
{
	struct page *pg = p2m_get_ram(&other->p2m, GFN(other_gfn), false);

	return pg ? p2m_enter(&d->p2m, GFN(gfn), page_to_mfn(pg), 0, P2M_FOREIGN, r) : -EINVAL;
}

/* One page of any space. `other` is set for gmfn_foreign alone. */
static long add_page(struct domain *d, u32 space, u64 idx, u64 gfn, struct domain *other, struct p2m_retired *r)
{
	switch (space) {
	case XENMAPSPACE_shared_info:
		return idx ? -EINVAL : map_shared_info(d, gfn, r);
	case XENMAPSPACE_grant_table:
		/* Includes the status frames of version 2, whose indexes have bit 31 set. */
		return idx > INT32_MAX ? -EINVAL : grant_map_frame(d, (u32)idx, gfn, r);
	case XENMAPSPACE_gmfn:
		return move_frame(d, idx, gfn, r);
	case XENMAPSPACE_gmfn_foreign:
		return other ? map_foreign(d, gfn, other, idx, r) : -EINVAL;
	default:
		return -ENOSYS;
	}
}

long hc_memory_add_to_physmap(struct vcpu *v, struct hypercall *hc, void *arg)
{
	struct xen_add_to_physmap *a = arg;
	struct p2m_retired r;
	struct domain *d;
	long rc = domain_get_permitted(v, hc, a->domid, &d);

	if (rc)
		return rc;
	p2m_nothing_retired(&r);
	rc = add_page(d, a->space, a->idx, a->gpfn, NULL, &r);
	p2m_retire(&d->p2m, &r);
	domain_put(d);
	return rc;
}

/*
 * Adds entries [done, done + n) of the batch; each gets its own error. Returns 0. Errors: -EFAULT
 * if an array can't be read or written; that ends the call.
 */
static long add_chunk(struct vcpu *v, const struct xen_add_to_physmap_batch *b, struct domain *d, struct domain *other, u64 done, u64 n)
{
	u64 idx[CHUNK], gfn[CHUNK];
	struct p2m_retired r;
	int err[CHUNK];

	if (copy_from_guest(v, idx, HANDLE(b->idxs) + done * sizeof(*idx), n * sizeof(*idx)) ||
	    copy_from_guest(v, gfn, HANDLE(b->gpfns) + done * sizeof(*gfn), n * sizeof(*gfn)))
		return -EFAULT;
	p2m_nothing_retired(&r);
	for (u64 i = 0; i < n; i++)
		err[i] = (int)add_page(d, b->space, idx[i], gfn[i], other, &r);
	p2m_retire(&d->p2m, &r);
	return copy_to_guest(v, HANDLE(b->errs) + done * sizeof(*err), err, n * sizeof(*err));
}

static long add_batch(struct vcpu *v, struct hypercall *hc, const struct xen_add_to_physmap_batch *b, struct domain *d, struct domain *other)
{
	u64 done = memory_start(hc), stop;

	if (done > b->size)
		return -EINVAL;
	stop = MIN((u64)b->size, done + STEP);
	while (done < stop) {
		u64 n = MIN(CHUNK, stop - done);

		if (add_chunk(v, b, d, other, done, n))
			return -EFAULT;
		done += n;
		if (step_over())
			break;
	}
	return memory_again(hc, done, b->size) ? HC_AGAIN : 0;
}

/*
 * Finds the domain whose frames gmfn_foreign means. The caller drops the reference in *other, also
 * after an error. Only the service domain sees other domains' memory.
 */
static long foreign_target(struct vcpu *v, struct hypercall *hc, const struct domain *d, u16 domid, struct domain **other)
{
	long rc = v->domain->privileged ? domain_get_permitted(v, hc, domid, other) : -EPERM;

	return rc ?: *other == d ? -EINVAL : 0;
}

long hc_memory_add_to_physmap_batch(struct vcpu *v, struct hypercall *hc, void *arg)
{
	struct xen_add_to_physmap_batch *b = arg;
	struct domain *d, *other = NULL;
	long rc = domain_get_permitted(v, hc, b->domid, &d);

	if (rc)
		return rc;
	if (b->space == XENMAPSPACE_gmfn_foreign)
		rc = foreign_target(v, hc, d, b->u.foreign_domid, &other);
	if (!rc)
		rc = add_batch(v, hc, b, d, other);
	if (other)
		domain_put(other);
	domain_put(d);
	return rc;
}

long hc_memory_remove_from_physmap(struct vcpu *v, struct hypercall *hc, void *arg)
{
	struct xen_remove_from_physmap *r = arg;
	struct domain *d;
	long rc = domain_get_permitted(v, hc, r->domid, &d);

	if (rc)
		return rc;
	if (d->privileged && r->gpfn == __atomic_load_n(&d->shared_gfn, __ATOMIC_RELAXED))
		printk(LOG_WARN "The service domain has taken out its shared_info page: it sees no event any more.\n");
	rc = p2m_remove(&d->p2m, GFN(r->gpfn), INVALID_MFN);
	domain_put(d);
	return rc;
}

/*
 * Finds one frame that acquire_resource may name, and the type to map it with. It is of d's grant
 * table, or of the record if d is NULL.
 */
static long resource_frame(struct domain *d, u32 id, u64 frame, mfn_t *mfn, enum p2m_type *type)
{
	struct page *pg;
	long rc;

	*type = P2M_GRANT_RO;   /* read-only, and without a reference */
	if (!d) {
		*mfn = record_frame(id, frame);
		return 0;
	}
	rc = grant_get_frame(d, (u32)frame, &pg);
	if (rc)
		return rc;
	*mfn = page_to_mfn(pg);
	*type = P2M_FOREIGN;
	return 0;
}

/* Maps frames from r->frame on at the caller's gfn[]; all or nothing. */
static long map_resource(struct domain *caller, struct domain *d, const struct xen_mem_acquire_resource *r, const u64 *gfn)
{
	struct p2m_retired retired;
	long rc = 0;
	u32 i;

	p2m_nothing_retired(&retired);
	for (i = 0; i < r->nr_frames; i++) {
		enum p2m_type type;
		mfn_t mfn;

		rc = resource_frame(d, r->id, r->frame + i, &mfn, &type) ?:
		     p2m_enter(&caller->p2m, GFN(gfn[i]), mfn, 0, type, &retired);
		if (rc)
			break;
	}
	while (rc && i-- > 0)
		p2m_take(&caller->p2m, GFN(gfn[i]), INVALID_MFN, &retired);
	p2m_retire(&caller->p2m, &retired);
	return rc;
}

static long acquire_frames(struct vcpu *v, struct domain *d, struct xen_mem_acquire_resource *r)
{
	u64 gfn[RESOURCE_MAX], frames = d ? d->grant.max_frames : record_frames(r->id);

	if (!r->frame_list.p) {
		if (r->nr_frames)
			return -EINVAL;
		r->nr_frames = (u32)frames;
		return 0;
	}
	if (r->nr_frames > RESOURCE_MAX)
		return -E2BIG;
	if (r->frame > frames || r->nr_frames > frames - r->frame)
		return -EINVAL;
	if (copy_from_guest(v, gfn, HANDLE(r->frame_list), r->nr_frames * sizeof(*gfn)))
		return -EFAULT;
	return map_resource(v->domain, d, r, gfn);
}

long hc_memory_acquire_resource(struct vcpu *v, struct hypercall *hc, void *arg)
{
	struct xen_mem_acquire_resource *r = arg;
	long rc;
	struct domain *d;

	if (r->pad)
		return -EINVAL;
	/*
	 * The record is the hypervisor's own. The row of the table lets only the service domain
	 * ask.
	 */
	if (r->type == RECORD_RESOURCE)
		return acquire_frames(v, NULL, r);
	/* Only this error makes libxc try another way. */
	if (r->type != XENMEM_resource_grant_table)
		return -EOPNOTSUPP;
	if (r->id != XENMEM_resource_grant_table_id_shared)
		return -EINVAL;
	rc = domain_get_permitted(v, hc, r->domid, &d);
	if (rc)
		return rc;
	rc = d == v->domain ? -EPERM : acquire_frames(v, d, r);
	domain_put(d);
	return rc;
}
