/*
 * Grant copy: copies bytes from one page to another without mapping either. The caller names each
 * page by a grant, or by one of its own frames. The network backend passes packets to guests this
 * way, 64 at a time, so a copy needs no more set-up than two pins.
 */
#include <xen/grant_table.h>
#include "lib/string.h"
#include "vmm/hypercall.h"
#include "vmm/share/grant_pin.h"
#include "vmm/vcpu.h"

/* One end of a copy, while we hold it. */
struct end {
	struct domain *domain;  /* with a reference */
	struct page *page;      /* with a reference */
	u32 ref;
	bool granted;           /* by entry `ref`; false: a frame of the caller's */
	bool write;
};

/*
 * Holds a frame of the caller's own. The caller has to name a granted frame by its grant: a
 * reference to the frame would keep the frame, but not the grant.
 */
static int hold_own(struct end *end, u64 gfn)
{
	enum p2m_type type;

	end->page = p2m_get_page(&end->domain->p2m, GFN(gfn), &type, end->write);
	if (!end->page)
		return GNTST_bad_page;
	if (type == P2M_RAM || type == P2M_FOREIGN)
		return GNTST_okay;
	page_put(end->page);
	return GNTST_bad_page;
}

static int hold_end(struct vcpu *v, const struct gnttab_copy_ptr *ptr, struct end *end)
{
	int status;

	end->domain = domain_resolve(v, ptr->domid);
	if (!end->domain)
		return GNTST_bad_domain;
	if (end->granted) {
		end->ref = ptr->u.ref;
		status = grant_pin(end->domain, end->ref, v->domain->domid, end->write, &end->page);
	} else if (end->domain == v->domain) {
		status = hold_own(end, ptr->u.gmfn);
	} else {
		status = GNTST_permission_denied;
	}
	if (status != GNTST_okay)
		domain_put(end->domain);
	return status;
}

static void drop_end(struct end *end)
{
	if (end->granted)
		grant_unpin(end->domain, end->ref, end->write, end->page);
	else
		page_put(end->page);
	domain_put(end->domain);
}

static int copy_bytes(struct vcpu *v, const gnttab_copy_t *op)
{
	struct end from = { .granted = op->flags & GNTCOPY_source_gref };
	struct end to = { .granted = op->flags & GNTCOPY_dest_gref, .write = true };
	int status;

	if (op->flags & ~(GNTCOPY_source_gref | GNTCOPY_dest_gref))
		return GNTST_general_error;
	if (op->source.offset + op->len > PAGE_SIZE || op->dest.offset + op->len > PAGE_SIZE)
		return GNTST_bad_copy_arg;
	status = hold_end(v, &op->source, &from);
	if (status != GNTST_okay)
		return status;
	status = hold_end(v, &op->dest, &to);
	if (status == GNTST_okay) {
		/* Both may be the same page, so the ranges may overlap. */
		memmove((char *)page_to_virt(to.page) + op->dest.offset,
			(char *)page_to_virt(from.page) + op->source.offset, op->len);
		drop_end(&to);
	}
	drop_end(&from);
	return status;
}

long hc_grant_copy(struct vcpu *v, struct hypercall *hc, void *arg)
{
	gnttab_copy_t *op = arg;

	for (u32 i = 0; i < hc->count; i++)
		op[i].status = (int16_t)copy_bytes(v, &op[i]);
	return 0;
}
