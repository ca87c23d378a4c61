/* units: vmm/memory/memory.c vmm/memory/narrow_list.c vmm/memory/physmap.c vmm/domain/refuse.c vmm/domain/record.c mm/p2m.c mm/p2m_log.c mm/pt.c mm/buddy.c mm/heap.c vmm/domain/permitted.c */
/* The memory hypercalls over a real p2m and allocator: counts, permissions, continuations, and no frame lost. */
#include "mm/page.h"
#include "tests/unit/fake.h"
#include "mm/heap.h"
#include "vmm/domain.h"
#include "vmm/memory/guest_access.h"
#include "vmm/hypercall.h"
#include "vmm/domain/record.h"
#include "vmm/vcpu.h"
#include <asm/hvm_flush.h>
#include <xen/memory.h>

/* --- the domain layer, as far as these calls see it -------------------------------------------------------------------------- */

enum { DOM0, GUEST, OTHER, NR_DOMAINS };
static struct domain domains[NR_DOMAINS];
static struct vcpu vcpus[NR_DOMAINS];
static struct page *grant_frames[4];
static struct { unsigned calls; struct domain *d; u32 idx; u64 gfn; } grant_mapped;
static u64 free_at_start;
struct domain *dom0 = &domains[DOM0];

bool guest_log_allows(struct domain *d) { return true; }

struct domain *domain_resolve(struct vcpu *v, u16 domid)
{
	struct domain *d = domid == DOMID_SELF ? v->domain : domid < NR_DOMAINS ? &domains[domid] : NULL;

	if (d)
		d->refs++;
	return d;
}

void domain_put(struct domain *d)
{
	d->refs--;
}

bool domain_charge(struct domain *d, u64 n)
{
	if (d->tot_pages + n > d->max_pages + d->beyond)
		return false;
	d->tot_pages += n;
	return true;
}

void domain_drop_beyond(struct domain *d, u64 n)
{
	d->beyond -= MIN(d->beyond, n);
}

void domain_uncharge(struct domain *d, u64 n)
{
	assert_true(d->tot_pages >= n);
	domain_drop_beyond(d, n);
	d->tot_pages -= n;
}

/* The real one takes locks that come before all others. */
static void released(struct page *pg)
{
	assert_int_equal(fake_locks_held(), 0);
	domain_uncharge(&domains[pg->owner], 1);
}

/* Guest pointers are the test's own; the first page faults. */
int copy_from_guest(struct vcpu *v, void *dst, u64 gva, size_t len)
{
	if (len && gva < PAGE_SIZE)
		return -EFAULT;
	memcpy(dst, (void *)gva, len);
	return 0;
}

int copy_to_guest(struct vcpu *v, u64 gva, const void *src, size_t len)
{
	if (len && gva < PAGE_SIZE)
		return -EFAULT;
	memcpy((void *)gva, src, len);
	return 0;
}

int grant_get_frame(struct domain *d, u32 idx, struct page **out)
{
	if (idx >= 3)
		return -ENOMEM;
	*out = grant_frames[idx];
	assert_true(page_get(*out));
	return 0;
}

int grant_map_frame(struct domain *d, u32 idx, u64 gfn, struct p2m_retired *r)
{
	grant_mapped.calls++;
	grant_mapped.d = d;
	grant_mapped.idx = idx;
	grant_mapped.gfn = gfn;
	return 0;
}

static unsigned flushes;
void hvm_flush_others(struct p2m *p2m, u64 gen) { flushes++; }

static int setup(void **state)
{
	free_at_start = page_free_count();
	memset(&grant_mapped, 0, sizeof(grant_mapped));
	for (unsigned i = 0; i < NR_DOMAINS; i++) {
		struct domain *d = &domains[i];

		memset(d, 0, sizeof(*d));
		d->domid = (u16)i;
		d->privileged = i == DOM0;
		d->max_pages = 100000;
		spin_init(&d->lock, LOCK_DOMAIN);
		assert_int_equal(p2m_init(&d->p2m), 0);
		d->p2m.identity = i == DOM0;
		d->shared_page = page_alloc(0);
		d->shared_gfn = ~0ull;
		d->grant.max_frames = 4;
		vcpus[i].domain = d;
	}
	for (unsigned i = 0; i < 4; i++)
		grant_frames[i] = page_alloc(0);
	return 0;
}

static int teardown(void **state)
{
	for (unsigned i = 0; i < NR_DOMAINS; i++) {
		struct domain *d = &domains[i];
		u64 next = 0;

		assert_int_equal(d->refs, 0);
		while (!p2m_relinquish(&d->p2m, &next, 1000))
			;
		assert_int_equal(d->shared_page->count, 1);
		page_put(d->shared_page);
		p2m_destroy(&d->p2m);
	}
	for (unsigned i = 0; i < NR_DOMAINS; i++)
		assert_int_equal(domains[i].tot_pages, 0);
	for (unsigned i = 0; i < 4; i++) {
		assert_int_equal(grant_frames[i]->count, 1);
		page_put(grant_frames[i]);
	}
	assert_int_equal(page_free_count(), free_at_start);
	assert_int_equal(fake_locks_held(), 0);
	return 0;
}

/* --- calling ---------------------------------------------------------------------------------------------------------------- */

static unsigned steps;

/* As the dispatcher does it: again until there is a result, the argument fresh each time. */
static long call(hypercall_fn *fn, unsigned who, unsigned cmd, const void *arg, size_t size)
{
	struct hypercall hc = { .a = { cmd } };
	long rc;

	for (steps = 1;; steps++) {
		u8 copy[256] __aligned(16);

		assert_true(size <= sizeof(copy));
		memcpy(copy, arg, size);
		rc = fn(&vcpus[who], &hc, copy);
		assert_int_equal(hc.a[0] & 63, cmd);
		if (rc != HC_AGAIN)
			return rc;
	}
}

static long reservation(unsigned op, unsigned who, u16 domid, u64 *gfn, u64 n, unsigned order, unsigned flags)
{
	struct xen_memory_reservation r = { .nr_extents = n, .extent_order = order, .mem_flags = flags, .domid = domid };

	r.extent_start.p = gfn;
	return call(hc_memory_reservation, who, op, &r, sizeof(r));
}

static long populate(unsigned who, u16 domid, u64 gfn, u64 n, unsigned order)
{
	static u64 gfns[4096];

	assert_true(n <= ARRAY_SIZE(gfns));
	for (u64 i = 0; i < n; i++)
		gfns[i] = gfn + (i << order);
	return reservation(XENMEM_populate_physmap, who, domid, gfns, n, order, 0);
}

static long add(unsigned who, u16 domid, unsigned space, u64 idx, u64 gpfn)
{
	struct xen_add_to_physmap a = { .domid = domid, .space = space, .idx = idx, .gpfn = gpfn };

	return call(hc_memory_add_to_physmap, who, 7, &a, sizeof(a));
}

static long batch(unsigned who, u16 domid, u16 foreign, unsigned space, u16 n, u64 *idx, u64 *gpfn, int *err)
{
	struct xen_add_to_physmap_batch b = { .domid = domid, .space = (u16)space, .size = n, .u.foreign_domid = foreign };

	b.idxs.p = idx;
	b.gpfns.p = gpfn;
	b.errs.p = err;
	return call(hc_memory_add_to_physmap_batch, who, 23, &b, sizeof(b));
}

static enum p2m_type type_at(unsigned d, u64 gfn)
{
	return p2m_lookup(&domains[d].p2m, GFN(gfn), NULL);
}

static struct page *page_at(unsigned d, u64 gfn)
{
	mfn_t mfn;

	assert_int_not_equal(p2m_lookup(&domains[d].p2m, GFN(gfn), &mfn), P2M_HOLE);
	return mfn_to_page(mfn);
}

/* --- populate and decrease -------------------------------------------------------------------------------------------------- */

static void counts_and_zeroes(void **state)
{
	u64 mixed[] = { 5, 6, BIT(36), 7 };

	/* Dirty memory must not show up in a guest. */
	struct page *pg = page_alloc(9);

	memset(page_to_virt(pg), 0xee, MiB(2));
	page_free(pg, 9);
	assert_int_equal(populate(DOM0, GUEST, 100, 50, 0), 50);
	assert_int_equal(populate(DOM0, GUEST, 512, 2, 9), 2);
	assert_int_equal(domains[GUEST].tot_pages, 50 + 1024);
	for (u64 gfn = 512; gfn < 1536; gfn++)
		for (unsigned w = 0; w < 512; w++)
			assert_int_equal(((u64 *)page_to_virt(page_at(GUEST, gfn)))[w], 0);
	assert_int_equal(page_at(GUEST, 700)->owner, GUEST);
	/* Stops at the first that can't be. */
	assert_int_equal(reservation(XENMEM_populate_physmap, DOM0, GUEST, mixed, 4, 0, 0), 2);
	assert_int_equal(type_at(GUEST, 7), P2M_HOLE);
	assert_int_equal(populate(DOM0, GUEST, 2049, 1, 9), 0);
	assert_int_equal(populate(DOM0, GUEST, 0, 1, 18), 0);
	assert_int_equal(reservation(XENMEM_populate_physmap, DOM0, GUEST, mixed, 4, ~0u, 0), 0);
	assert_int_equal(populate(DOM0, GUEST, 0, 0, 0), 0);
	/* What was there is freed. */
	assert_int_equal(populate(GUEST, DOMID_SELF, 100, 50, 0), 50);
	assert_int_equal(domains[GUEST].tot_pages, 50 + 1024 + 2);
	/* Faults: nothing done is an error, something done is a count. */
	assert_int_equal(reservation(XENMEM_populate_physmap, DOM0, GUEST, NULL, 3, 0, 0), -EFAULT);
	assert_int_equal(reservation(XENMEM_populate_physmap, DOM0, GUEST, mixed, ~0ull, 0, 0), -EINVAL);
}

static void long_calls(void **state)
{
	static u64 gfns[2000];

	assert_int_equal(populate(DOM0, GUEST, 0, 2000, 0), 2000);
	assert_int_equal(steps, 4);
	assert_int_equal(populate(DOM0, GUEST, 512 * 10, 20, 9), 20);
	assert_int_equal(steps, 1);
	for (u64 i = 0; i < 2000; i++)
		gfns[i] = 1999 - i;
	assert_int_equal(reservation(XENMEM_decrease_reservation, GUEST, DOMID_SELF, gfns, 2000, 0, 0), 2000);
	assert_int_equal(steps, 4);
	assert_int_equal(domains[GUEST].tot_pages, 20 * 512);
	/* A start beyond the end, as only a hostile caller has it. */
	struct xen_memory_reservation r = { .nr_extents = 3, .domid = DOMID_SELF };
	struct hypercall hc = { .a = { 6 | 4 << 7 } };

	r.extent_start.p = gfns;
	assert_int_equal(hc_memory_reservation(&vcpus[GUEST], &hc, &r), -EINVAL);
	/* Nor is there an extent to go on with behind the last: it was tried again without end. */
	hc.a[0] = 6 | 7 << 6;
	assert_int_equal(hc_memory_reservation(&vcpus[GUEST], &hc, &r), -EINVAL);
	hc.a[0] = 6 | 6 << 6;
	assert_int_equal(hc_memory_reservation(&vcpus[GUEST], &hc, &r), 3);
}

/*
 * A block of 2 MiB took more than half a millisecond in one step, interrupts off. Now it is cleared, and given back, in parts of 16 frames;
 * what a step has begun is kept, and belongs to nobody else.
 */
static void blocks_in_parts(void **state)
{
	u64 big = 512, second = 1024;
	struct xen_memory_reservation r = { .nr_extents = 1, .extent_order = 9, .domid = GUEST };
	struct hypercall hc = { .a = { XENMEM_populate_physmap } };
	struct page *pg = page_alloc(9);

	memset(page_to_virt(pg), 0xee, MiB(2));
	page_free(pg, 9);
	fake_steps = 1;
	assert_int_equal(populate(DOM0, GUEST, 512, 2, 9), 2);
	/* One more for each, in which nothing is cleared. */
	assert_int_equal(steps, 2 * (512 / 16 + 1));
	for (u64 gfn = 512; gfn < 1536; gfn++)
		for (unsigned w = 0; w < 512; w++)
			assert_int_equal(((u64 *)page_to_virt(page_at(GUEST, gfn)))[w], 0);
	assert_int_equal(reservation(XENMEM_decrease_reservation, GUEST, DOMID_SELF, &big, 1, 9, 0), 1);
	assert_int_equal(steps, 512 / 16);
	assert_int_equal(domains[GUEST].tot_pages, 512);
	assert_int_equal(reservation(XENMEM_decrease_reservation, GUEST, DOMID_SELF, &second, 1, 9, 0), 1);
	/* One that nobody finishes: it is on the account, a second finds no room, the same goes on. */
	r.extent_start.p = &big;
	assert_int_equal(hc_memory_reservation(&vcpus[DOM0], &hc, &r), HC_AGAIN);
	assert_int_equal(type_at(GUEST, 512), P2M_HOLE);
	assert_int_equal(domains[GUEST].tot_pages, 512);
	assert_int_equal(populate(DOM0, GUEST, 1024, 1, 9), 0);
	assert_int_equal(domains[GUEST].tot_pages, 512);
	assert_int_equal(populate(DOM0, GUEST, 1024, 3, 0), 3);
	assert_int_equal(populate(DOM0, GUEST, 512, 1, 9), 1);
	assert_int_equal(domains[GUEST].tot_pages, 512 + 3);
	/* Where a caller says it was means nothing: not one frame that isn't cleared comes in. */
	hc.a[0] = XENMEM_populate_physmap;
	r.extent_start.p = &second;
	assert_int_equal(hc_memory_reservation(&vcpus[DOM0], &hc, &r), HC_AGAIN);
	memset(page_to_virt(mfn_to_page(domains[GUEST].p2m.part.mfn) + 500), 0xee, PAGE_SIZE);
	hc.a[0] = XENMEM_populate_physmap | 1 << 6;
	while (hc_memory_reservation(&vcpus[DOM0], &hc, &r) == HC_AGAIN)
		;
	assert_int_equal(*(u64 *)page_to_virt(page_at(GUEST, 1024 + 500)), 0);
	fake_steps = 0;
}

/*
 * A block of 2 MiB took the place of 512 frames in the step that cleared its last part, and took 118,000 instructions for it. What is there goes
 * in steps of its own, 32 frames at a time; so do those of another block.
 */
static void a_block_replaces_in_parts(void **state)
{
	/* Not in one list, which would become a block. */
	assert_int_equal(populate(DOM0, GUEST, 513, 511, 0), 511);
	assert_int_equal(populate(DOM0, GUEST, 512, 1, 0), 1);
	fake_steps = 1;
	assert_int_equal(populate(DOM0, GUEST, 512, 1, 9), 1);
	fake_steps = 0;
	assert_int_equal(steps, 512 / 16 + 512 / 32 + 1);
	assert_int_equal(domains[GUEST].tot_pages, 512);
	for (u64 gfn = 512; gfn < 1024; gfn++)
		assert_ptr_equal(page_at(GUEST, gfn), page_at(GUEST, 512) + (gfn - 512));
	/* However short the steps are: taking out and entering are two. */
	assert_int_equal(populate(DOM0, GUEST, 1024, 1, 9), 1);
	assert_int_equal(steps, 1);
	assert_int_equal(populate(DOM0, GUEST, 1024, 1, 9), 1);
	assert_int_equal(steps, 2);
	assert_int_equal(domains[GUEST].tot_pages, 1024);
	for (u64 gfn = 1024; gfn < 1536; gfn++)
		assert_ptr_equal(page_at(GUEST, gfn), page_at(GUEST, 1024) + (gfn - 1024));
	/* No table, no block; what was there stays. */
	domains[GUEST].p2m.mempool = 0;
	assert_int_equal(populate(DOM0, GUEST, 1 << 20, 1, 9), 0);
	assert_int_equal(domains[GUEST].tot_pages, 1024);
}

static bool is_block(u64 gfn)
{
	bool block = page_to_mfn(page_at(GUEST, gfn)).v % 512 == 0;

	for (u64 i = 0; i < 512; i++)
		block &= page_at(GUEST, gfn + i) == page_at(GUEST, gfn) + i;
	return block;
}

/* Libxc restores frame by frame: a guest had no large pages any more. */
static void lists_become_blocks(void **state)
{
	static u64 gfns[1024];
	u64 tables = domains[GUEST].p2m.table_pages;
	struct xen_memory_reservation r = { .nr_extents = 1024, .domid = GUEST };
	struct hypercall hc = { .a = { XENMEM_populate_physmap } };

	assert_int_equal(populate(DOM0, GUEST, 512, 1536, 0), 1536);
	assert_int_equal(domains[GUEST].tot_pages, 1536);
	assert_true(is_block(512) && is_block(1024) && is_block(1536));
	assert_int_equal(domains[GUEST].p2m.table_pages, tables + 2);   /* and none for small pages */
	/* In the midst of a list, in short steps, and with a rest. */
	fake_steps = 1;
	assert_int_equal(populate(DOM0, GUEST, 4096 - 3, 3 + 512 + 7, 0), 3 + 512 + 7);
	fake_steps = 0;
	assert_int_equal(domains[GUEST].tot_pages, 1536 + 522);
	assert_true(is_block(4096));
	for (u64 i = 0; i < 512 * 512; i++)
		assert_int_equal(((u64 *)page_to_virt(page_at(GUEST, 4096)))[i], 0);
	/* A list that isn't that of one page: 511 frames, or two that changed places. */
	assert_int_equal(populate(DOM0, GUEST, 8192, 511, 0), 511);
	for (u64 i = 0; i < 1024; i++)
		gfns[i] = 10240 + (i == 500 ? 501 : i == 501 ? 500 : i);
	assert_int_equal(reservation(XENMEM_populate_physmap, DOM0, GUEST, gfns, 1024, 0, 0), 1024);
	assert_false(is_block(10240));
	assert_true(is_block(10240 + 512));
	/* Where the account ends, small ones go on. */
	domains[GUEST].max_pages = domains[GUEST].tot_pages + 40;
	assert_int_equal(populate(DOM0, GUEST, 16384, 512, 0), 40);
	domains[GUEST].max_pages = 100000;
	/* The list changes between two steps: what was begun waits, and small frames come. */
	for (u64 i = 0; i < 1024; i++)
		gfns[i] = 20480 + i;
	r.extent_start.p = gfns;
	fake_steps = 1;
	assert_int_equal(hc_memory_reservation(&vcpus[DOM0], &hc, &r), HC_AGAIN);
	gfns[511] = 1;
	while (hc_memory_reservation(&vcpus[DOM0], &hc, &r) == HC_AGAIN)
		;
	fake_steps = 0;
	assert_int_equal(type_at(GUEST, 20480 + 510), P2M_RAM);
	assert_int_equal(type_at(GUEST, 20480 + 511), P2M_HOLE);
	assert_false(is_block(20480 + 512));    /* the place for a block is taken */
}

/* The end of a domain takes the block that is still kept for it. */
static void a_block_that_is_begun_ends_with_its_domain(void **state)
{
	u64 big = 512;
	struct xen_memory_reservation r = { .nr_extents = 1, .extent_order = 9, .domid = GUEST };
	struct hypercall hc = { .a = { XENMEM_populate_physmap } };

	r.extent_start.p = &big;
	fake_steps = 1;
	assert_int_equal(hc_memory_reservation(&vcpus[DOM0], &hc, &r), HC_AGAIN);
	fake_steps = 0;
	assert_int_equal(domains[GUEST].tot_pages, 512);
	for (u64 next = 0; !p2m_relinquish(&domains[GUEST].p2m, &next, 100); )
		;
	assert_int_equal(domains[GUEST].tot_pages, 0);
	assert_int_equal(populate(DOM0, GUEST, 512, 1, 9), 0);
}

/* What many entries replace together goes with few flushes, each of which waits for the other CPUs. */
static void few_flushes(void **state)
{
	u64 idx[1000], gpfn[1000];
	int err[1000];

	for (unsigned i = 0; i < 1000; i++) {
		idx[i] = 10 + i;
		gpfn[i] = 5010 + i;
	}
	assert_int_equal(populate(DOM0, GUEST, 10, 1000, 0), 1000);
	assert_int_equal(populate(DOM0, GUEST, 5010, 1000, 0), 1000);
	flushes = 0;
	assert_int_equal(batch(GUEST, DOMID_SELF, 0, XENMAPSPACE_gmfn, 1000, idx, gpfn, err), 0);
	for (unsigned i = 0; i < 1000; i++)
		assert_int_equal(err[i], 0);
	assert_int_equal(domains[GUEST].tot_pages, 1000);
	/* Two entries of each, and 32 go together. */
	assert_in_range(flushes, 1, 2 * 1000 / 32 + 2);
	/* Over what is there, when the domain may have not one frame more. */
	domains[GUEST].max_pages = 1001;
	assert_int_equal(populate(GUEST, DOMID_SELF, 5010, 1000, 0), 1000);
	assert_int_equal(domains[GUEST].tot_pages, 1000);
	domains[GUEST].max_pages = 2000;
	flushes = 0;
	assert_int_equal(populate(GUEST, DOMID_SELF, 5010, 1000, 0), 1000);
	assert_in_range(flushes, 1, 1000 / 32 + 3);
}

static void limits(void **state)
{
	u64 gfn[4] = { 10, 11, 12, 13 };

	domains[GUEST].max_pages = 3;
	assert_int_equal(populate(DOM0, GUEST, 10, 4, 0), 3);
	assert_int_equal(populate(GUEST, DOMID_SELF, 20, 1, 0), 0);
	/* Populate-on-demand goes past the limit, but not for the guest itself. */
	assert_int_equal(reservation(XENMEM_populate_physmap, GUEST, DOMID_SELF, gfn + 3, 1, 0, XENMEMF_populate_on_demand), 0);
	assert_int_equal(reservation(XENMEM_populate_physmap, DOM0, GUEST, gfn + 3, 1, 0, XENMEMF_populate_on_demand), 1);
	assert_int_equal(domains[GUEST].tot_pages, 4);
	/* No memory at all: nothing is charged. */
	domains[GUEST].max_pages = ~0ull >> 1;
	for (u64 i = 0; populate(DOM0, GUEST, 512 * (1 + i), 1, 9) == 1; i++)
		;
	assert_int_equal(domains[GUEST].tot_pages % 512, 4);
}

static long on_demand(u64 gfn, u64 n, unsigned order)
{
	static u64 gfns[4096];

	for (u64 i = 0; i < n; i++)
		gfns[i] = gfn + (i << order);
	return reservation(XENMEM_populate_physmap, DOM0, GUEST, gfns, n, order, XENMEMF_populate_on_demand);
}

static void set_target(u64 pages)
{
	struct xen_pod_target t = { .domid = GUEST, .target_pages = pages };

	assert_int_equal(call(hc_memory_pod_target, DOM0, 16, &t, sizeof(t)), 0);
}

/*
 * A guest with maxmem beyond its memory, as libxl builds it: the limit is memory and a bit, and after all of maxmem come the tables and the
 * special pages, which must not be refused for what is beyond. When the balloon has given that back it is gone.
 */
static void more_than_memory(void **state)
{
	const u64 target = 1000, slack = 256, all = 4 * 512 + 300;
	static u64 gfns[4096];

	domains[GUEST].max_pages = target + slack;
	set_target(target);
	/* In odd orders: single frames, large ones that straddle the target, single ones again. */
	assert_int_equal(on_demand(2048, 200, 0), 200);
	assert_int_equal(on_demand(0, 4, 9), 4);
	assert_int_equal(on_demand(2248, 100, 0), 100);
	assert_int_equal(domains[GUEST].tot_pages, all);
	assert_int_equal(domains[GUEST].beyond, all - target);
	/* What the limit is larger than the target is still there, to the last frame; and not for memory that nobody asked to be on demand. */
	assert_int_equal(populate(DOM0, GUEST, 100000, slack + 1, 0), slack);
	assert_int_equal(populate(GUEST, DOMID_SELF, 200000, 1, 0), 0);
	/* The balloon gives up; so much can't come back. */
	for (u64 i = 0; i < all - target; i++)
		gfns[i] = i;
	assert_int_equal(reservation(XENMEM_decrease_reservation, GUEST, DOMID_SELF, gfns, all - target, 0, 0), all - target);
	assert_int_equal(domains[GUEST].tot_pages, target + slack);
	assert_int_equal(domains[GUEST].beyond, 0);
	assert_int_equal(populate(GUEST, DOMID_SELF, 0, 1, 0), 0);
	assert_int_equal(reservation(XENMEM_decrease_reservation, GUEST, DOMID_SELF, (u64[]){ 2048, 2049 }, 2, 0, 0), 2);
	assert_int_equal(populate(GUEST, DOMID_SELF, 0, 3, 0), 2);
	/* A call that fails takes back what it had added. */
	assert_int_equal(on_demand(BIT(36), 1, 0), 0);
	assert_int_equal(on_demand(1, 1, 9), 0);
	assert_int_equal(domains[GUEST].beyond, 0);
	/* Any target is fine. */
	set_target(~0ull);
	assert_int_equal(on_demand(3000, 1, 0), 0);
	set_target(0);
	assert_int_equal(on_demand(3000, 1, 0), 1);
	assert_int_equal(domains[GUEST].beyond, 1);
}

/* All of maxmem has to be free. Where it isn't, the log says what would fit; and others find some memory meanwhile. */
static void more_than_there_is(void **state)
{
	u64 n = 0;

	fake_log_clear();
	domains[GUEST].max_pages = 256;
	set_target(0);
	while (on_demand(512 * n, 1, 9) == 1)
		n++;
	assert_not_logged("maxmem");
	assert_in_range(on_demand(512 * n, 4096, 0), 0, 512);
	assert_logged("refused: d1: all of maxmem has to be free");
	assert_in_range(page_free_count(), 2047, 2048);
	assert_int_equal(domains[GUEST].beyond, domains[GUEST].tot_pages);
}

/* A frame keeps its owner in the table of domains, so a domain on its way out of there must not get one, even for a moment. */
static void dying(void **state)
{
	u64 gfn = 10, before;

	domains[GUEST].dying = 2;
	before = page_free_count();
	assert_int_equal(populate(DOM0, GUEST, 10, 1, 0), 0);
	assert_int_equal(reservation(XENMEM_populate_physmap, DOM0, GUEST, &gfn, 1, 0, XENMEMF_populate_on_demand), 0);
	assert_int_equal(page_free_count(), before);
	assert_int_equal(domains[GUEST].tot_pages, 0);
}

static void permissions(void **state)
{
	struct xen_memory_domain m = { .domid = OTHER };
	struct xen_remove_from_physmap r = { .domid = OTHER };
	u64 gfn = 1;

	assert_int_equal(populate(GUEST, OTHER, 1, 1, 0), -EPERM);
	assert_int_equal(populate(GUEST, GUEST, 1, 1, 0), 1);
	assert_int_equal(populate(DOM0, 99, 1, 1, 0), -ESRCH);
	assert_int_equal(reservation(XENMEM_decrease_reservation, GUEST, OTHER, &gfn, 1, 0, 0), -EPERM);
	assert_int_equal(add(GUEST, OTHER, XENMAPSPACE_shared_info, 0, 1), -EPERM);
	assert_int_equal(call(hc_memory_remove_from_physmap, GUEST, 15, &r, sizeof(r)), -EPERM);
	assert_int_equal(call(hc_memory_domain_field, GUEST, 3, &m, sizeof(m)), -EPERM);
	assert_int_equal(call(hc_memory_domain_field, GUEST, 4, &m, sizeof(m)), -EPERM);
	assert_int_equal(call(hc_memory_domain_field, GUEST, 14, &m, sizeof(m)), -EPERM);
	m.domid = DOMID_SELF;
	assert_int_equal(call(hc_memory_domain_field, GUEST, 3, &m, sizeof(m)), 1);
	assert_int_equal(call(hc_memory_domain_field, GUEST, 14, &m, sizeof(m)), 1);
	domains[GUEST].max_pages = ~0ull;
	assert_true(call(hc_memory_domain_field, GUEST, 4, &m, sizeof(m)) > 0);
	domains[GUEST].max_pages = 100;
	assert_int_equal(call(hc_memory_domain_field, GUEST, 4, &m, sizeof(m)), 100);
	assert_int_equal(call(hc_memory_maximum_ram_page, GUEST, 2, &m, sizeof(m)), max_mfn - 1);
}

static void decrease(void **state)
{
	u64 gfn[] = { 10, 11, 12, 13 }, big = 512;
	struct page *lent;

	assert_int_equal(populate(DOM0, GUEST, 10, 2, 0), 2);
	/* A frame that someone else still has mapped lives on, and is accounted for. */
	lent = page_at(GUEST, 11);
	assert_true(page_get(lent));
	assert_int_equal(reservation(XENMEM_decrease_reservation, GUEST, DOMID_SELF, gfn, 4, 0, 0), 2);
	assert_int_equal(domains[GUEST].tot_pages, 1);
	page_put(lent);
	assert_int_equal(domains[GUEST].tot_pages, 0);
	/* An extent begins at a multiple of its size. */
	assert_int_equal(populate(DOM0, GUEST, 10, 4, 0), 4);
	assert_int_equal(reservation(XENMEM_decrease_reservation, GUEST, DOMID_SELF, gfn + 1, 1, 1, 0), 0);
	assert_int_equal(type_at(GUEST, 11), P2M_RAM);
	assert_int_equal(reservation(XENMEM_decrease_reservation, GUEST, DOMID_SELF, gfn, 4, 0, 0), 4);
	/* Only RAM of its own. */
	assert_int_equal(add(GUEST, DOMID_SELF, XENMAPSPACE_shared_info, 0, 10), 0);
	assert_int_equal(reservation(XENMEM_decrease_reservation, GUEST, DOMID_SELF, gfn, 1, 0, 0), 0);
	assert_int_equal(type_at(GUEST, 10), P2M_SHARED);
	assert_int_equal(populate(DOM0, GUEST, 512, 1, 9), 1);
	assert_int_equal(reservation(XENMEM_decrease_reservation, GUEST, DOMID_SELF, &big, 1, 9, 0), 1);
	assert_int_equal(domains[GUEST].tot_pages, 0);
}

static void identity(void **state)
{
	struct page *pg = page_alloc(0);
	u64 gfn[2] = { page_to_mfn(pg).v, 0 }, past = max_mfn;

	page_put(pg);
	assert_int_equal(reservation(XENMEM_populate_physmap, DOM0, DOMID_SELF, gfn, 1, 0, 0), 1);
	assert_int_equal(page_to_mfn(page_at(DOM0, gfn[0])).v, gfn[0]);
	/* It may be the last frame of all. */
	assert_int_equal(reservation(XENMEM_decrease_reservation, DOM0, DOMID_SELF, gfn, 1, 0, 0), 1);
	max_mfn = gfn[0] + 1;
	assert_int_equal(reservation(XENMEM_populate_physmap, DOM0, DOMID_SELF, gfn, 1, 0, 0), 1);
	max_mfn = past;
	/* In use, which is said once however often the balloon asks; not RAM, beyond RAM. */
	fake_log_clear();
	assert_int_equal(reservation(XENMEM_populate_physmap, DOM0, DOMID_SELF, gfn, 1, 0, 0), 0);
	assert_logged("for the service domain's balloon");
	fake_log_clear();
	assert_int_equal(reservation(XENMEM_populate_physmap, DOM0, DOMID_SELF, gfn, 1, 0, 0), 0);
	assert_not_logged("refused");
	assert_int_equal(reservation(XENMEM_populate_physmap, DOM0, DOMID_SELF, gfn + 1, 1, 0, 0), 0);
	assert_int_equal(reservation(XENMEM_populate_physmap, DOM0, DOMID_SELF, &past, 1, 0, 0), 0);
	assert_int_equal(domains[DOM0].tot_pages, 1);
	assert_int_equal(add(DOM0, DOMID_SELF, XENMAPSPACE_gmfn, gfn[0], 5), -EPERM);
	assert_int_equal(reservation(XENMEM_decrease_reservation, DOM0, DOMID_SELF, gfn, 1, 0, 0), 1);
	assert_int_equal(domains[DOM0].tot_pages, 0);
	/* Its own limit holds whatever it asks for. */
	domains[DOM0].max_pages = 0;
	assert_int_equal(reservation(XENMEM_populate_physmap, DOM0, DOMID_SELF, gfn, 1, 0, XENMEMF_populate_on_demand), 0);
	domains[DOM0].max_pages = 1;
	assert_int_equal(reservation(XENMEM_populate_physmap, DOM0, DOMID_SELF, gfn, 1, 0, 0), 1);
}

/* --- add_to_physmap and what goes with it ------------------------------------------------------------------------------------- */

static void shared_info(void **state)
{
	struct domain *d = &domains[GUEST];

	assert_int_equal(populate(DOM0, GUEST, 1, 2, 0), 2);
	assert_int_equal(add(GUEST, DOMID_SELF, XENMAPSPACE_shared_info, 1, 1), -EINVAL);
	assert_int_equal(add(GUEST, DOMID_SELF, XENMAPSPACE_shared_info, 0, BIT(40)), -EINVAL);
	assert_int_equal(d->shared_gfn, ~0ull);
	assert_int_equal(add(GUEST, DOMID_SELF, XENMAPSPACE_shared_info, 0, 1), 0);
	assert_int_equal(d->tot_pages, 1);
	assert_ptr_equal(page_at(GUEST, 1), d->shared_page);
	assert_int_equal(add(GUEST, DOMID_SELF, XENMAPSPACE_shared_info, 0, 1), 0);
	assert_int_equal(d->shared_page->count, 2);
	/* A second place ends the first. */
	assert_int_equal(add(GUEST, DOMID_SELF, XENMAPSPACE_shared_info, 0, 2), 0);
	assert_int_equal(type_at(GUEST, 1), P2M_HOLE);
	assert_int_equal(d->shared_gfn, 2);
	assert_int_equal(d->shared_page->count, 2);
	/* Unless the guest has put RAM there since. */
	assert_int_equal(populate(DOM0, GUEST, 2, 1, 0), 1);
	assert_int_equal(add(GUEST, DOMID_SELF, XENMAPSPACE_shared_info, 0, 3), 0);
	assert_int_equal(type_at(GUEST, 2), P2M_RAM);
}

static void other_spaces(void **state)
{
	struct page *pg;

	assert_int_equal(add(GUEST, DOMID_SELF, XENMAPSPACE_grant_table, 3, 77), 0);
	assert_ptr_equal(grant_mapped.d, &domains[GUEST]);
	assert_int_equal(grant_mapped.idx, 3);
	assert_int_equal(grant_mapped.gfn, 77);
	assert_int_equal(add(GUEST, DOMID_SELF, XENMAPSPACE_grant_table, XENMAPIDX_grant_table_status, 77), -EINVAL);
	assert_int_equal(add(GUEST, DOMID_SELF, XENMAPSPACE_grant_table, BIT(32), 77), -EINVAL);
	assert_int_equal(grant_mapped.calls, 1);
	assert_int_equal(add(GUEST, DOMID_SELF, XENMAPSPACE_gmfn_range, 0, 1), -ENOSYS);
	assert_int_equal(add(GUEST, DOMID_SELF, XENMAPSPACE_dev_mmio, 0, 1), -ENOSYS);
	assert_int_equal(add(DOM0, GUEST, XENMAPSPACE_gmfn_foreign, 0, 1), -EINVAL);
	assert_int_equal(add(GUEST, DOMID_SELF, 99, 0, 1), -ENOSYS);
	/* RAM moves, with what it replaces freed. */
	assert_int_equal(populate(DOM0, GUEST, 1, 2, 0), 2);
	pg = page_at(GUEST, 1);
	assert_int_equal(add(GUEST, DOMID_SELF, XENMAPSPACE_gmfn, 1, 2), 0);
	assert_ptr_equal(page_at(GUEST, 2), pg);
	assert_int_equal(type_at(GUEST, 1), P2M_HOLE);
	assert_int_equal(domains[GUEST].tot_pages, 1);
	assert_int_equal(pg->count, 1);
	assert_int_equal(add(GUEST, DOMID_SELF, XENMAPSPACE_gmfn, 2, 2), 0);
	assert_int_equal(add(GUEST, DOMID_SELF, XENMAPSPACE_gmfn, 1, 3), -EINVAL);
	assert_int_equal(add(GUEST, DOMID_SELF, XENMAPSPACE_gmfn, 2, BIT(36)), -EINVAL);
	assert_int_equal(add(GUEST, DOMID_SELF, XENMAPSPACE_shared_info, 0, 9), 0);
	assert_int_equal(add(GUEST, DOMID_SELF, XENMAPSPACE_gmfn, 9, 3), -EINVAL);
	assert_int_equal(pg->count, 1);
}

static void foreign(void **state)
{
	u64 idx[1000], gpfn[1000];
	int err[1000];
	struct xen_remove_from_physmap r = { .domid = DOMID_SELF };
	u64 ram = 12;

	assert_int_equal(populate(DOM0, GUEST, 10, 5, 0), 5);
	for (unsigned i = 0; i < 1000; i++) {
		idx[i] = 10 + i;
		gpfn[i] = BIT(24) + i;
	}
	/* One error for each entry. */
	assert_int_equal(batch(DOM0, DOMID_SELF, GUEST, XENMAPSPACE_gmfn_foreign, 1000, idx, gpfn, err), 0);
	assert_int_equal(steps, 8);
	for (unsigned i = 0; i < 1000; i++)
		assert_int_equal(err[i], i < 5 ? 0 : -EINVAL);
	assert_int_equal(type_at(DOM0, BIT(24) + 2), P2M_FOREIGN);
	assert_ptr_equal(page_at(DOM0, BIT(24) + 2), page_at(GUEST, 12));
	assert_int_equal(page_at(GUEST, 12)->count, 2);
	/* The frame outlives its place in the guest. */
	assert_int_equal(reservation(XENMEM_decrease_reservation, DOM0, GUEST, &ram, 1, 0, 0), 1);
	assert_int_equal(domains[GUEST].tot_pages, 5);
	r.gpfn = BIT(24) + 2;
	assert_int_equal(call(hc_memory_remove_from_physmap, DOM0, 15, &r, sizeof(r)), 0);
	assert_int_equal(domains[GUEST].tot_pages, 4);
	assert_int_equal(call(hc_memory_remove_from_physmap, DOM0, 15, &r, sizeof(r)), -ENOENT);
	/* Taking out what it hears by is said. */
	fake_log_clear();
	assert_int_equal(add(DOM0, DOMID_SELF, XENMAPSPACE_shared_info, 0, BIT(24) + 900), 0);
	r.gpfn = BIT(24) + 900;
	assert_int_equal(call(hc_memory_remove_from_physmap, DOM0, 15, &r, sizeof(r)), 0);
	assert_logged("taken out its shared_info page");
	/* Not for guests, not of oneself, not of what isn't there; only RAM. */
	assert_int_equal(batch(GUEST, DOMID_SELF, OTHER, XENMAPSPACE_gmfn_foreign, 1, idx, gpfn, err), -EPERM);
	assert_int_equal(batch(GUEST, DOMID_SELF, GUEST, XENMAPSPACE_gmfn_foreign, 1, idx, gpfn, err), -EPERM);
	assert_int_equal(batch(DOM0, DOMID_SELF, DOM0, XENMAPSPACE_gmfn_foreign, 1, idx, gpfn, err), -EINVAL);
	assert_int_equal(batch(DOM0, DOMID_SELF, 99, XENMAPSPACE_gmfn_foreign, 1, idx, gpfn, err), -ESRCH);
	assert_int_equal(add(GUEST, DOMID_SELF, XENMAPSPACE_shared_info, 0, 10), 0);
	assert_int_equal(batch(DOM0, DOMID_SELF, GUEST, XENMAPSPACE_gmfn_foreign, 1, idx, gpfn, err), 0);
	assert_int_equal(err[0], -EINVAL);
	/* Faults in each of the arrays. */
	assert_int_equal(batch(DOM0, DOMID_SELF, GUEST, XENMAPSPACE_gmfn_foreign, 1, NULL, gpfn, err), -EFAULT);
	assert_int_equal(batch(DOM0, DOMID_SELF, GUEST, XENMAPSPACE_gmfn_foreign, 1, idx, NULL, err), -EFAULT);
	assert_int_equal(batch(DOM0, DOMID_SELF, GUEST, XENMAPSPACE_gmfn_foreign, 1, idx + 1, gpfn + 1, NULL), -EFAULT);
	assert_int_equal(batch(DOM0, DOMID_SELF, GUEST, XENMAPSPACE_gmfn_foreign, 0, NULL, NULL, NULL), 0);
	/* A dying domain's p2m takes nothing more, but its RAM can still be looked at. */
	domains[GUEST].p2m.closed = true;
	assert_int_equal(populate(DOM0, GUEST, 900, 1, 0), 0);
	assert_int_equal(batch(DOM0, DOMID_SELF, GUEST, XENMAPSPACE_gmfn_foreign, 1, idx + 1, gpfn + 1, err), 0);
	assert_int_equal(err[0], 0);
	/* 11, 13, 14, and what was at 10 until shared_info came there: the service domain still has that mapped. */
	assert_int_equal(domains[GUEST].tot_pages, 4);
}

static void resources(void **state)
{
	u64 gfn[65] = { 1000, 1001, 1002, BIT(40) };
	struct xen_mem_acquire_resource r = { .domid = GUEST, .type = XENMEM_resource_grant_table };
	struct hypercall hc = { .a = { 28 } };

	assert_int_equal(hc_memory_acquire_resource(&vcpus[DOM0], &hc, &r), 0);
	assert_int_equal(r.nr_frames, 4);
	assert_int_equal(hc_memory_acquire_resource(&vcpus[DOM0], &hc, &r), -EINVAL);
	r.frame_list.p = gfn;
	r.nr_frames = 2;
	r.frame = 1;
	assert_int_equal(hc_memory_acquire_resource(&vcpus[DOM0], &hc, &r), 0);
	assert_ptr_equal(page_at(DOM0, 1000), grant_frames[1]);
	assert_ptr_equal(page_at(DOM0, 1001), grant_frames[2]);
	assert_int_equal(type_at(DOM0, 1000), P2M_FOREIGN);
	/* The third frame can't be had: the others go again. */
	r.frame = 0;
	r.nr_frames = 4;
	assert_int_equal(hc_memory_acquire_resource(&vcpus[DOM0], &hc, &r), -ENOMEM);
	assert_int_equal(type_at(DOM0, 1000), P2M_HOLE);
	assert_int_equal(grant_frames[1]->count, 1);
	r.frame_list.p = gfn + 2;
	r.nr_frames = 2;
	assert_int_equal(hc_memory_acquire_resource(&vcpus[DOM0], &hc, &r), -EINVAL);
	assert_int_equal(type_at(DOM0, 1002), P2M_HOLE);
	r.frame = ~0ull;
	assert_int_equal(hc_memory_acquire_resource(&vcpus[DOM0], &hc, &r), -EINVAL);
	r.frame = 3;
	assert_int_equal(hc_memory_acquire_resource(&vcpus[DOM0], &hc, &r), -EINVAL);
	r.nr_frames = 65;
	assert_int_equal(hc_memory_acquire_resource(&vcpus[DOM0], &hc, &r), -E2BIG);
	r.nr_frames = 1;
	r.pad = 1;
	assert_int_equal(hc_memory_acquire_resource(&vcpus[DOM0], &hc, &r), -EINVAL);
	r.pad = 0;
	r.id = 1;
	assert_int_equal(hc_memory_acquire_resource(&vcpus[DOM0], &hc, &r), -EINVAL);
	r.type = XENMEM_resource_ioreq_server;
	assert_int_equal(hc_memory_acquire_resource(&vcpus[DOM0], &hc, &r), -EOPNOTSUPP);
	r = (struct xen_mem_acquire_resource){ .domid = DOMID_SELF, .type = XENMEM_resource_grant_table };
	assert_int_equal(hc_memory_acquire_resource(&vcpus[DOM0], &hc, &r), -EPERM);
}

/* The hypervisor's record: read-only, and whole or not at all. */
static void the_record(void **state)
{
	u64 gfn[64];
	struct xen_mem_acquire_resource r = { .domid = 0x7ff2, .type = RECORD_RESOURCE, .id = RECORD_ID_RING };
	struct hypercall hc = { .a = { 28 } };

	for (u32 i = 0; i < 64; i++)
		gfn[i] = 2000 + i;
	assert_int_equal(hc_memory_acquire_resource(&vcpus[DOM0], &hc, &r), 0);
	assert_int_equal(r.nr_frames, 64);
	r.frame_list.p = gfn;
	assert_int_equal(hc_memory_acquire_resource(&vcpus[DOM0], &hc, &r), 0);
	assert_int_equal(type_at(DOM0, 2063), P2M_GRANT_RO);
	assert_null(p2m_get_page(&domains[DOM0].p2m, GFN(2000), NULL, true));
	for (u32 i = 0; i < 64; i++)
		assert_int_equal(p2m_remove(&domains[DOM0].p2m, GFN(gfn[i]), INVALID_MFN), 0);
	r.frame = 1;
	assert_int_equal(hc_memory_acquire_resource(&vcpus[DOM0], &hc, &r), -EINVAL);
	r.id = RECORD_ID_RING + NR_CPUS;
	r.frame = 0;
	r.nr_frames = 1;
	assert_int_equal(hc_memory_acquire_resource(&vcpus[DOM0], &hc, &r), -EINVAL);
}

static void memory_maps(void **state)
{
	u8 map[129 * 20], back[129 * 20];
	struct xen_foreign_memory_map set = { .domid = GUEST, .map.nr_entries = 3 };
	struct xen_memory_map get = { .nr_entries = 128 };
	struct hypercall hc = { .a = { 9 } };

	for (unsigned i = 0; i < sizeof(map); i++)
		map[i] = (u8)(i * 5);
	get.buffer.p = back;
	assert_int_equal(hc_memory_map(&vcpus[GUEST], &hc, &get), -ENOSYS);
	set.map.buffer.p = map;
	assert_int_equal(call(hc_memory_set_memory_map, DOM0, 13, &set, sizeof(set)), 0);
	set.map.nr_entries = 129;
	assert_int_equal(call(hc_memory_set_memory_map, DOM0, 13, &set, sizeof(set)), -EINVAL);
	set.map.nr_entries = 1;
	set.map.buffer.p = NULL;
	assert_int_equal(call(hc_memory_set_memory_map, DOM0, 13, &set, sizeof(set)), -EFAULT);
	assert_int_equal(hc_memory_map(&vcpus[GUEST], &hc, &get), 0);
	assert_int_equal(get.nr_entries, 3);
	assert_memory_equal(back, map, 60);
	get.nr_entries = 1;
	assert_int_equal(hc_memory_map(&vcpus[GUEST], &hc, &get), 0);
	assert_int_equal(get.nr_entries, 1);
	get.buffer.p = NULL;
	assert_int_equal(hc_memory_map(&vcpus[GUEST], &hc, &get), -EFAULT);
	/* As many as there may be. */
	set.map.nr_entries = 128;
	set.map.buffer.p = map;
	assert_int_equal(call(hc_memory_set_memory_map, DOM0, 13, &set, sizeof(set)), 0);
}

static void claims_and_targets(void **state)
{
	struct xen_memory_reservation c = { .domid = GUEST };
	struct xen_pod_target t = { .domid = GUEST, .target_pages = 5, .pod_entries = 9, .pod_cache_pages = 9 };
	struct hypercall hc = { .a = { 16 } };

	assert_int_equal(populate(DOM0, GUEST, 1, 7, 0), 7);
	assert_int_equal(call(hc_memory_claim_pages, DOM0, 24, &c, sizeof(c)), 0);
	c.nr_extents = 7 + page_free_count();
	assert_int_equal(call(hc_memory_claim_pages, DOM0, 24, &c, sizeof(c)), 0);
	c.nr_extents++;
	assert_int_equal(call(hc_memory_claim_pages, DOM0, 24, &c, sizeof(c)), -ENOMEM);
	c.extent_order = 1;
	assert_int_equal(call(hc_memory_claim_pages, DOM0, 24, &c, sizeof(c)), -EINVAL);
	assert_int_equal(hc_memory_pod_target(&vcpus[DOM0], &hc, &t), 0);
	assert_int_equal(t.tot_pages, 7);
	assert_true(t.pod_entries == 0 && t.pod_cache_pages == 0);
	hc.a[0] = XENMEM_get_pod_target;
	assert_int_equal(hc_memory_pod_target(&vcpus[DOM0], &hc, &t), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(counts_and_zeroes, setup, teardown),
		cmocka_unit_test_setup_teardown(long_calls, setup, teardown),
		cmocka_unit_test_setup_teardown(blocks_in_parts, setup, teardown),
		cmocka_unit_test_setup_teardown(a_block_replaces_in_parts, setup, teardown),
		cmocka_unit_test_setup_teardown(lists_become_blocks, setup, teardown),
		cmocka_unit_test_setup_teardown(a_block_that_is_begun_ends_with_its_domain, setup, teardown),
		cmocka_unit_test_setup_teardown(few_flushes, setup, teardown),
		cmocka_unit_test_setup_teardown(limits, setup, teardown),
		cmocka_unit_test_setup_teardown(more_than_memory, setup, teardown),
		cmocka_unit_test_setup_teardown(more_than_there_is, setup, teardown),
		cmocka_unit_test_setup_teardown(dying, setup, teardown),
		cmocka_unit_test_setup_teardown(permissions, setup, teardown),
		cmocka_unit_test_setup_teardown(decrease, setup, teardown),
		cmocka_unit_test_setup_teardown(identity, setup, teardown),
		cmocka_unit_test_setup_teardown(shared_info, setup, teardown),
		cmocka_unit_test_setup_teardown(other_spaces, setup, teardown),
		cmocka_unit_test_setup_teardown(foreign, setup, teardown),
		cmocka_unit_test_setup_teardown(resources, setup, teardown),
		cmocka_unit_test_setup_teardown(the_record, setup, teardown),
		cmocka_unit_test_setup_teardown(memory_maps, setup, teardown),
		cmocka_unit_test_setup_teardown(claims_and_targets, setup, teardown),
	};

	fake_memory_init(24576);
	page_add_range(MiB(1), MiB(96));
	page_set_release(released);
	kfree(kzalloc(4096));
	record_init(1);
	record_init_cpu();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
