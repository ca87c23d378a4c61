/* units: vmm/share/grant.c vmm/share/grant_map.c vmm/share/grant_copy.c mm/heap.c mm/buddy.c tests/unit/fake_domain.c tests/unit/fake_p2m.c vmm/domain/permitted.c */
/* Grants: each operation's good and bad cases, what the granter sees, and that every reference comes back. */
#include "mm/page.h"
#include "tests/unit/fake_domain.h"
#include "tests/unit/fake_p2m.h"
#include "vmm/share/grant.h"
#include <xen/grant_table.h>

#define RAM_GFN  8      /* the granter's frame in most tests */
#define MAP_GFN  40     /* where the mapper puts it */
#define PERMIT   GTF_permit_access

static struct domain *a, *b, *c;    /* a is the service domain */
static struct page *ram;            /* b's frame at RAM_GFN */
static u64 free_before;

static int place_frame(struct domain *d, u32 idx, u64 gfn)
{
	struct p2m_retired r = { 0 };
	int err = grant_map_frame(d, idx, gfn, &r);

	p2m_retire(&d->p2m, &r);
	return err;
}

static int set_up(void **state)
{
	struct domain *all[] = { a = fake_domain_new(0, 1), b = fake_domain_new(1, 1), c = fake_domain_new(2, 1) };

	free_before = page_free_count();
	for (unsigned i = 0; i < ARRAY_SIZE(all); i++)
		assert_int_equal(grant_init(all[i], -1, -1), 0);
	ram = fake_p2m_populate(&b->p2m, RAM_GFN, 1);
	memset(page_to_virt(ram), 'r', PAGE_SIZE);
	fake_p2m_flushes = 0;
	return 0;
}

static int tear_down(void **state)
{
	struct domain *all[] = { a, b, c };

	for (unsigned i = 0; i < ARRAY_SIZE(all); i++) {
		while (!grant_release_maps(all[i], 3))
			;
		assert_int_equal(all[i]->grant.maps, 0);
	}
	for (unsigned i = 0; i < ARRAY_SIZE(all); i++) {
		fake_p2m_clear(&all[i]->p2m);
		assert_true(grant_destroy(all[i], 100));
		fake_domain_free(all[i]);
	}
	/* The heap keeps a few pages for small objects. */
	assert_in_range(free_before - page_free_count(), 0, 4);
	return 0;
}

/* ---- what guests do ---- */

static grant_entry_v1_t *entry(struct domain *d, u32 ref)
{
	return (grant_entry_v1_t *)page_to_virt(d->grant.frames[ref / 512].page) + ref % 512;
}

static void grant(struct domain *d, u32 ref, u16 to, u32 gfn, u16 flags)
{
	*entry(d, ref) = (grant_entry_v1_t){ .flags = flags, .domid = to, .frame = gfn };
}

static u16 in_use(struct domain *d, u32 ref)
{
	return entry(d, ref)->flags & (GTF_reading | GTF_writing);
}

static int map_at(struct domain *d, u16 from, u32 ref, u32 flags, u64 addr, u32 *handle)
{
	gnttab_map_grant_ref_t op = { .host_addr = addr, .flags = flags, .ref = ref, .dom = from, .status = 1 };

	assert_int_equal(fake_hypercall(d->vcpu[0], hc_grant_map, &op), 0);
	*handle = op.handle;
	return op.status;
}

static int map(struct domain *d, u16 from, u32 ref, u32 flags, u64 gfn, u32 *handle)
{
	return map_at(d, from, ref, flags, gfn << PAGE_SHIFT, handle);
}

static int unmap(struct domain *d, u32 handle, u64 gfn)
{
	gnttab_unmap_grant_ref_t op = { .host_addr = gfn << PAGE_SHIFT, .handle = handle, .status = 1 };

	assert_int_equal(fake_hypercall(d->vcpu[0], hc_grant_unmap, &op), 0);
	return op.status;
}

static int copy(struct domain *d, gnttab_copy_t op)
{
	op.status = 1;
	assert_int_equal(fake_hypercall(d->vcpu[0], hc_grant_copy, &op), 0);
	return op.status;
}

static enum p2m_type type_at(struct domain *d, u64 gfn)
{
	return p2m_lookup(&d->p2m, GFN(gfn), NULL);
}

/* ---- map and unmap ---- */

static void a_map_shows_the_page_until_unmapped(void **state)
{
	mfn_t mfn;
	u32 h;

	grant(b, 5, 0, RAM_GFN, PERMIT);
	assert_int_equal(map(a, 1, 5, GNTMAP_host_map, MAP_GFN, &h), GNTST_okay);
	assert_int_equal(p2m_lookup(&a->p2m, GFN(MAP_GFN), &mfn), P2M_GRANT_RW);
	assert_int_equal(mfn.v, page_to_mfn(ram).v);
	assert_int_equal(in_use(b, 5), GTF_reading | GTF_writing);
	assert_int_equal(ram->count, 2);
	assert_int_equal(b->refs, 2);
	assert_int_equal(a->grant.maps, 1);

	assert_int_equal(unmap(a, h, MAP_GFN), GNTST_okay);
	assert_int_equal(type_at(a, MAP_GFN), P2M_HOLE);
	assert_int_equal(in_use(b, 5), 0);
	assert_int_equal(entry(b, 5)->flags, PERMIT);
	assert_int_equal(ram->count, 1);
	assert_int_equal(b->refs, 1);
	assert_int_equal(a->grant.maps, 0);
	assert_int_equal(fake_p2m_flushes, 1);
	assert_int_equal(unmap(a, h, MAP_GFN), GNTST_bad_handle);
}

static void readonly_is_kept(void **state)
{
	u32 h;

	grant(b, 1, 0, RAM_GFN, PERMIT | GTF_readonly);
	assert_int_equal(map(a, 1, 1, GNTMAP_host_map, MAP_GFN, &h), GNTST_general_error);
	assert_int_equal(in_use(b, 1), 0);
	assert_int_equal(map(a, 1, 1, GNTMAP_host_map | GNTMAP_readonly, MAP_GFN, &h), GNTST_okay);
	assert_int_equal(type_at(a, MAP_GFN), P2M_GRANT_RO);
	assert_int_equal(in_use(b, 1), GTF_reading);
	assert_int_equal(unmap(a, h, MAP_GFN), GNTST_okay);
}

static void the_bits_stay_for_the_last_map(void **state)
{
	u32 ro, rw, rw2;

	grant(b, 1, 0, RAM_GFN, PERMIT);
	assert_int_equal(map(a, 1, 1, GNTMAP_host_map | GNTMAP_readonly, MAP_GFN, &ro), GNTST_okay);
	assert_int_equal(in_use(b, 1), GTF_reading);
	assert_int_equal(map(a, 1, 1, GNTMAP_host_map, MAP_GFN + 1, &rw), GNTST_okay);
	assert_int_equal(map(a, 1, 1, GNTMAP_host_map, MAP_GFN + 2, &rw2), GNTST_okay);
	assert_int_equal(in_use(b, 1), GTF_reading | GTF_writing);
	assert_int_equal(unmap(a, rw, MAP_GFN + 1), GNTST_okay);
	assert_int_equal(in_use(b, 1), GTF_reading | GTF_writing);
	assert_int_equal(unmap(a, rw2, MAP_GFN + 2), GNTST_okay);
	assert_int_equal(in_use(b, 1), GTF_reading);
	assert_int_equal(unmap(a, ro, MAP_GFN), GNTST_okay);
	assert_int_equal(in_use(b, 1), 0);
}

static void only_what_is_granted_can_be_mapped(void **state)
{
	const u32 rw = GNTMAP_host_map;
	u32 h;

	grant(b, 1, 2, RAM_GFN, PERMIT);                    /* to c */
	grant(b, 2, 0, RAM_GFN, GTF_invalid);
	grant(b, 3, 0, RAM_GFN, GTF_accept_transfer);
	grant(b, 4, 0, RAM_GFN, GTF_transitive);
	grant(b, 5, 0, 20, PERMIT);                         /* a hole */
	grant(b, 6, 0, 0xffffffff, PERMIT);
	grant(b, 7, 0, RAM_GFN, PERMIT);
	for (u32 ref = 1; ref <= 4; ref++)
		assert_int_equal(map(a, 1, ref, rw, MAP_GFN, &h), GNTST_general_error);
	assert_int_equal(map(a, 1, 5, rw, MAP_GFN, &h), GNTST_bad_page);
	assert_int_equal(map(a, 1, 6, rw, MAP_GFN, &h), GNTST_bad_page);
	assert_int_equal(in_use(b, 5) | in_use(b, 6), 0);
	assert_int_equal(map(a, 1, 512, rw, MAP_GFN, &h), GNTST_bad_gntref);
	assert_int_equal(map(a, 1, ~0u, rw, MAP_GFN, &h), GNTST_bad_gntref);
	assert_int_equal(map(a, 6, 7, rw, MAP_GFN, &h), GNTST_bad_domain);
	assert_int_equal(map(a, 1, 7, rw, FAKE_GFNS, &h), GNTST_bad_virt_addr);
	assert_int_equal(map_at(a, 1, 7, rw, ~0ull, &h), GNTST_bad_virt_addr);
	fake_p2m_error = -ENOMEM;
	assert_int_equal(map(a, 1, 7, rw, MAP_GFN, &h), GNTST_no_space);
	assert_int_equal(map(a, 1, 7, 0, MAP_GFN, &h), GNTST_general_error);
	assert_int_equal(map(a, 1, 7, rw | GNTMAP_device_map, MAP_GFN, &h), GNTST_general_error);
	assert_int_equal(map(a, 1, 7, rw | GNTMAP_application_map, MAP_GFN, &h), GNTST_general_error);
	assert_int_equal(map(a, 1, 7, rw | GNTMAP_contains_pte, MAP_GFN, &h), GNTST_general_error);
	assert_int_equal(map(a, 1, 7, rw | 1u << 31, MAP_GFN, &h), GNTST_general_error);
	assert_int_equal(in_use(b, 7), 0);
	assert_int_equal(a->grant.maps, 0);
	assert_int_equal(type_at(a, MAP_GFN), P2M_HOLE);
	b->dying = 1;
	assert_int_equal(map(a, 1, 7, rw, MAP_GFN, &h), GNTST_bad_domain);
}

static void what_is_borrowed_cannot_be_lent(void **state)
{
	u32 h, h2;

	grant(b, 1, 2, RAM_GFN, PERMIT);
	assert_int_equal(map(c, 1, 1, GNTMAP_host_map, MAP_GFN, &h), GNTST_okay);
	grant(c, 1, 0, MAP_GFN, PERMIT);
	assert_int_equal(map(a, 2, 1, GNTMAP_host_map, MAP_GFN, &h2), GNTST_bad_page);
	assert_int_equal(in_use(c, 1), 0);
	assert_int_equal(place_frame(c, 0, 50), 0);
	grant(c, 2, 0, 50, PERMIT);
	assert_int_equal(map(a, 2, 2, GNTMAP_host_map, MAP_GFN, &h2), GNTST_bad_page);
	assert_int_equal(unmap(c, h, MAP_GFN), GNTST_okay);
}

static void a_domain_may_map_its_own_grant(void **state)
{
	u32 h, h2;

	grant(b, 1, 1, RAM_GFN, PERMIT);
	assert_int_equal(map(b, DOMID_SELF, 1, GNTMAP_host_map, MAP_GFN, &h), GNTST_okay);
	assert_int_equal(map(b, 1, 1, GNTMAP_host_map, MAP_GFN + 1, &h2), GNTST_okay);
	assert_int_equal(b->refs, 3);
	assert_int_equal(unmap(b, h, MAP_GFN), GNTST_okay);
	assert_int_equal(unmap(b, h2, MAP_GFN + 1), GNTST_okay);
	assert_int_equal(type_at(b, RAM_GFN), P2M_RAM);
}

static void unmap_wants_a_live_handle_and_its_place(void **state)
{
	u32 h;

	assert_int_equal(unmap(a, 0, MAP_GFN), GNTST_bad_handle);
	grant(b, 1, 0, RAM_GFN, PERMIT);
	assert_int_equal(map(a, 1, 1, GNTMAP_host_map, MAP_GFN, &h), GNTST_okay);
	assert_int_equal(unmap(a, h + 1, MAP_GFN), GNTST_bad_handle);
	assert_int_equal(unmap(a, ~0u, MAP_GFN), GNTST_bad_handle);
	assert_int_equal(unmap(c, h, MAP_GFN), GNTST_bad_handle);
	assert_int_equal(unmap(a, h, MAP_GFN + 1), GNTST_bad_virt_addr);
	assert_int_equal(type_at(a, MAP_GFN), P2M_GRANT_RW);
	assert_int_equal(unmap(a, h, MAP_GFN), GNTST_okay);
}

static void handles_are_used_again_and_end(void **state)
{
	struct domain *d = fake_domain_new(3, 1);
	u32 h, last = 0;

	assert_int_equal(grant_init(d, -1, 1), 0);
	grant(b, 1, 3, RAM_GFN, PERMIT);
	while (map(d, 1, 1, GNTMAP_host_map, MAP_GFN, &h) == GNTST_okay)
		last = h;
	assert_int_equal(last, PAGE_SIZE / 32 - 1);
	assert_int_equal(map(d, 1, 1, GNTMAP_host_map, MAP_GFN, &h), GNTST_no_space);
	assert_int_equal(b->refs, last + 2);
	assert_int_equal(unmap(d, 17, MAP_GFN), GNTST_okay);
	assert_int_equal(unmap(d, 30, MAP_GFN), GNTST_okay);
	assert_int_equal(unmap(d, 17, MAP_GFN), GNTST_bad_handle);
	assert_int_equal(map(d, 1, 1, GNTMAP_host_map, MAP_GFN, &h), GNTST_okay);
	assert_int_equal(h, 30);
	assert_int_equal(map(d, 1, 1, GNTMAP_host_map, MAP_GFN, &h), GNTST_okay);
	assert_int_equal(h, 17);
	assert_int_equal(unmap(d, 5, MAP_GFN), GNTST_okay);
	/* The end of a mapper is in steps. */
	assert_false(grant_release_maps(d, 100));
	assert_true(grant_release_maps(d, 100));
	assert_true(grant_release_maps(d, 0));
	assert_int_equal(b->refs, 1);
	assert_int_equal(ram->count, 1);
	assert_int_equal(in_use(b, 1), 0);
	assert_int_equal(unmap(d, 17, MAP_GFN), GNTST_bad_handle);
	assert_int_equal(map(d, 1, 1, GNTMAP_host_map, MAP_GFN, &h), GNTST_okay);
	assert_int_equal(h, 0);
	assert_true(grant_release_maps(d, 1));
	assert_true(grant_destroy(d, 100));
	fake_domain_free(d);
}

/* A table's frames go some at a time, and a maptrack frame with the first handle of it. */
static void tables_go_in_steps(void **state)
{
	struct domain *d = fake_domain_new(3, 1);
	u64 free = page_free_count();
	struct page *pg;
	u32 h;

	assert_int_equal(grant_init(d, -1, -1), 0);
	assert_int_equal(grant_get_frame(d, 19, &pg), 0);
	page_put(pg);
	grant(b, 1, 3, RAM_GFN, PERMIT);
	for (u64 i = 0; i < 130; i++)
		assert_int_equal(map(d, 1, 1, GNTMAP_host_map | GNTMAP_readonly, MAP_GFN, &h), GNTST_okay);
	assert_non_null(d->grant.maptrack[1]);
	assert_false(grant_release_maps(d, 100));
	assert_null(d->grant.maptrack[1]);
	assert_true(grant_release_maps(d, 100));
	assert_null(d->grant.maptrack[0]);
	assert_false(grant_destroy(d, 8));
	assert_int_equal(d->grant.nr_frames, 12);
	assert_int_equal(grant_get_frame(d, 3, &pg), -EINVAL);
	assert_false(grant_destroy(d, 8));
	assert_true(grant_destroy(d, 8));
	fake_p2m_clear(&d->p2m);
	fake_domain_free(d);
	assert_in_range(free - page_free_count(), 0, 2);        /* the heap may keep a page with room */
}

/* ---- what can happen at the same time ---- */

static u32 raced_handle;
static int raced_status;

static void unmap_too(void)
{
	raced_status = unmap(a, raced_handle, MAP_GFN);
}

static void of_two_unmaps_one_wins(void **state)
{
	grant(b, 1, 0, RAM_GFN, PERMIT);
	assert_int_equal(map(a, 1, 1, GNTMAP_host_map, MAP_GFN, &raced_handle), GNTST_okay);
	fake_p2m_meanwhile = unmap_too;
	assert_int_equal(unmap(a, raced_handle, MAP_GFN), GNTST_okay);
	assert_int_equal(raced_status, GNTST_bad_handle);
	assert_int_equal(ram->count, 1);
}

static void what_is_not_mapped_yet_cannot_be_unmapped(void **state)
{
	u32 h;

	grant(b, 1, 0, RAM_GFN, PERMIT);
	raced_handle = 0;
	fake_p2m_meanwhile = unmap_too;
	assert_int_equal(map(a, 1, 1, GNTMAP_host_map, MAP_GFN, &h), GNTST_okay);
	assert_int_equal(h, 0);
	assert_int_equal(raced_status, GNTST_bad_handle);
	assert_int_equal(unmap(a, h, MAP_GFN), GNTST_okay);
}

static u32 raced_count;     /* references that the page must have then */

static void the_granter_sees_the_bits_until_the_flush(void)
{
	raced_status = in_use(b, 1);
	assert_int_equal(ram->count, raced_count);
}

static void the_page_is_held_until_flushed(void **state)
{
	u32 h;

	grant(b, 1, 0, RAM_GFN, PERMIT);
	assert_int_equal(map(a, 1, 1, GNTMAP_host_map, MAP_GFN, &h), GNTST_okay);
	fake_p2m_meanwhile = the_granter_sees_the_bits_until_the_flush;
	raced_count = 2;
	assert_int_equal(unmap(a, h, MAP_GFN), GNTST_okay);
	assert_int_equal(raced_status, GTF_reading | GTF_writing);
	assert_int_equal(in_use(b, 1), 0);
}

/* Unmapped together: what is wrong says so, the others share a flush, and nothing goes back before it. */
static void many_are_unmapped_with_one_flush(void **state)
{
	gnttab_unmap_grant_ref_t op[4] = { { 0 } };
	struct hypercall hc = { .count = 4 };
	u32 h[2];

	grant(b, 1, 0, RAM_GFN, PERMIT);
	assert_int_equal(map(a, 1, 1, GNTMAP_host_map, MAP_GFN, &h[0]), GNTST_okay);
	assert_int_equal(map(a, 1, 1, GNTMAP_host_map, MAP_GFN + 1, &h[1]), GNTST_okay);
	op[0] = (gnttab_unmap_grant_ref_t){ .host_addr = MAP_GFN << PAGE_SHIFT, .handle = h[0] };
	op[1] = op[0];
	op[2] = (gnttab_unmap_grant_ref_t){ .host_addr = MAP_GFN << PAGE_SHIFT, .handle = h[1] };
	op[3] = (gnttab_unmap_grant_ref_t){ .host_addr = (MAP_GFN + 1) << PAGE_SHIFT, .handle = h[1] };
	fake_p2m_meanwhile = the_granter_sees_the_bits_until_the_flush;
	raced_count = 3;
	assert_int_equal(hc_grant_unmap(a->vcpu[0], &hc, op), 0);
	assert_int_equal(raced_status, GTF_reading | GTF_writing);
	assert_int_equal(fake_p2m_flushes, 1);
	assert_int_equal(op[0].status, GNTST_okay);
	assert_int_equal(op[1].status, GNTST_bad_handle);
	assert_int_equal(op[2].status, GNTST_bad_virt_addr);
	assert_int_equal(op[3].status, GNTST_okay);
	assert_int_equal(a->grant.maps, 0);
	assert_int_equal(in_use(b, 1), 0);
	assert_int_equal(ram->count, 1);
	assert_int_equal(b->refs, 1);
}

/* Mapped together over what the mapper had there, which goes with one flush. */
static void many_are_mapped_with_one_flush(void **state)
{
	gnttab_map_grant_ref_t op[8];
	struct hypercall hc = { .count = ARRAY_SIZE(op) };
	struct page *own[ARRAY_SIZE(op)];

	for (u32 i = 0; i < ARRAY_SIZE(op); i++) {
		own[i] = fake_p2m_populate(&c->p2m, MAP_GFN + i, 2);
		grant(b, i + 1, 2, RAM_GFN, PERMIT);
		op[i] = (gnttab_map_grant_ref_t){ .host_addr = (MAP_GFN + i) * PAGE_SIZE, .flags = GNTMAP_host_map, .ref = i + 1, .dom = 1 };
	}
	fake_p2m_flushes = 0;
	assert_int_equal(hc_grant_map(c->vcpu[0], &hc, op), 0);
	assert_int_equal(fake_p2m_flushes, 1);
	for (u32 i = 0; i < ARRAY_SIZE(op); i++) {
		assert_int_equal(op[i].status, GNTST_okay);
		assert_int_equal(own[i]->count, 0);
		assert_int_equal(unmap(c, op[i].handle, MAP_GFN + i), GNTST_okay);
	}
}

/* The mapper put something else where the grant was, perhaps on a CPU that has not flushed yet. */
static void a_map_that_was_replaced_is_flushed(void **state)
{
	struct page *other;
	u32 h;

	grant(b, 1, 0, RAM_GFN, PERMIT);
	assert_int_equal(map(a, 1, 1, GNTMAP_host_map, MAP_GFN, &h), GNTST_okay);
	other = fake_p2m_populate(&a->p2m, MAP_GFN, 0);
	fake_p2m_flushes = 0;
	assert_int_equal(unmap(a, h, MAP_GFN), GNTST_okay);
	assert_int_equal(fake_p2m_flushes, 1);
	assert_int_equal(type_at(a, MAP_GFN), P2M_RAM);
	assert_int_equal(other->count, 1);
	assert_int_equal(ram->count, 1);
}

/* ---- hostile and dying granters ---- */

static void scribbling_on_the_table_hurts_nobody(void **state)
{
	u32 h, h2;

	grant(b, 1, 0, RAM_GFN, PERMIT);
	assert_int_equal(map(a, 1, 1, GNTMAP_host_map, MAP_GFN, &h), GNTST_okay);
	grant(b, 1, 2, 9, PERMIT | GTF_readonly);   /* the entry changes hands while it is mapped */
	fake_p2m_populate(&b->p2m, 9, 1);
	assert_int_equal(map(c, 1, 1, GNTMAP_host_map | GNTMAP_readonly, MAP_GFN, &h2), GNTST_okay);
	memset(entry(b, 0), 0xff, PAGE_SIZE);
	assert_int_equal(unmap(a, h, MAP_GFN), GNTST_okay);
	assert_int_equal(unmap(c, h2, MAP_GFN), GNTST_okay);
	assert_int_equal(ram->count, 1);
	assert_int_equal(entry(b, 1)->flags, 0xffff & ~(GTF_reading | GTF_writing));
	assert_int_equal(entry(b, 0)->flags, 0xffff);
}

static void unmapping_outlives_the_granter(void **state)
{
	u32 h;

	grant(b, 1, 0, RAM_GFN, PERMIT);
	assert_int_equal(map(a, 1, 1, GNTMAP_host_map, MAP_GFN, &h), GNTST_okay);
	b->dying = 2;
	fake_p2m_clear(&b->p2m);
	assert_true(grant_destroy(b, 100));
	assert_int_equal(ram->count, 1);    /* ours: still readable, not yet anyone else's */
	assert_int_equal(*(char *)page_to_virt(ram), 'r');
	assert_int_equal(unmap(a, h, MAP_GFN), GNTST_okay);
	assert_int_equal(ram->count, 0);
	assert_int_equal(b->refs, 1);
}

/* ---- copy ---- */

static gnttab_copy_t copy_in(u32 ref, u64 gmfn, u16 len)
{
	return (gnttab_copy_t){
		.source = { .u.ref = ref, .domid = 1 }, .dest = { .u.gmfn = gmfn, .domid = DOMID_SELF },
		.len = len, .flags = GNTCOPY_source_gref,
	};
}

static void copies_go_both_ways(void **state)
{
	struct page *own = fake_p2m_populate(&a->p2m, 3, 0);
	gnttab_copy_t op = copy_in(1, 3, 100);
	char *ours = page_to_virt(own), *theirs = page_to_virt(ram);

	memset(ours, 'o', PAGE_SIZE);
	grant(b, 1, 0, RAM_GFN, PERMIT | GTF_readonly);
	op.dest.offset = 1000;
	assert_int_equal(copy(a, op), GNTST_okay);
	assert_int_equal(ours[999], 'o');
	assert_int_equal(ours[1000], 'r');
	assert_int_equal(ours[1099], 'r');
	assert_int_equal(ours[1100], 'o');
	assert_int_equal(in_use(b, 1), 0);

	op = (gnttab_copy_t){
		.source = { .u.gmfn = 3, .domid = 0, .offset = 4000 }, .dest = { .u.ref = 1, .domid = 1, .offset = 4095 },
		.len = 1, .flags = GNTCOPY_dest_gref,
	};
	assert_int_equal(copy(a, op), GNTST_general_error);     /* read-only */
	grant(b, 1, 0, RAM_GFN, PERMIT);
	assert_int_equal(copy(a, op), GNTST_okay);
	assert_int_equal(theirs[4095], 'o');
	assert_int_equal(theirs[4094], 'r');
	assert_int_equal(in_use(b, 1), 0);
	assert_int_equal(own->count, 1);
	assert_int_equal(ram->count, 1);
	assert_int_equal(b->refs, 1);
}

static void copies_between_grants_and_within_a_page(void **state)
{
	gnttab_copy_t op = {
		.source = { .u.ref = 1, .domid = 1 }, .dest = { .u.ref = 1, .domid = 2, .offset = 8 },
		.len = 16, .flags = GNTCOPY_source_gref | GNTCOPY_dest_gref,
	};
	char *theirs = page_to_virt(fake_p2m_populate(&c->p2m, 1, 2)), *bs = page_to_virt(ram);

	grant(b, 1, 0, RAM_GFN, PERMIT);
	grant(c, 1, 0, 1, PERMIT);
	assert_int_equal(copy(a, op), GNTST_okay);
	assert_int_equal(theirs[8], 'r');
	/* The same entry on both sides, and overlapping. */
	memcpy(bs, "0123456789", 10);
	op = (gnttab_copy_t){
		.source = { .u.ref = 1, .domid = 1 }, .dest = { .u.ref = 1, .domid = 1, .offset = 2 },
		.len = 8, .flags = GNTCOPY_source_gref | GNTCOPY_dest_gref,
	};
	assert_int_equal(copy(a, op), GNTST_okay);
	assert_memory_equal(bs, "0101234567", 10);
	assert_int_equal(in_use(b, 1), 0);
	op = (gnttab_copy_t){
		.source = { .u.gmfn = RAM_GFN, .domid = DOMID_SELF }, .dest = { .u.gmfn = RAM_GFN, .domid = 1, .offset = 20 }, .len = 10,
	};
	assert_int_equal(copy(b, op), GNTST_okay);
	assert_memory_equal(bs + 20, "0101234567", 10);
}

static void bad_copies_change_nothing(void **state)
{
	struct page *own = fake_p2m_populate(&a->p2m, 3, 0);
	gnttab_copy_t good, op;
	u32 h;

	grant(b, 1, 0, RAM_GFN, PERMIT);
	good = copy_in(1, 3, PAGE_SIZE);
	assert_int_equal(copy(a, good), GNTST_okay);
	memset(page_to_virt(own), 'o', PAGE_SIZE);

	op = good, op.source.offset = 1;
	assert_int_equal(copy(a, op), GNTST_bad_copy_arg);
	op = good, op.dest.offset = 4095;
	assert_int_equal(copy(a, op), GNTST_bad_copy_arg);
	op = good, op.len = 0xffff, op.source.offset = 0xffff;
	assert_int_equal(copy(a, op), GNTST_bad_copy_arg);
	op = good, op.flags = 4;
	assert_int_equal(copy(a, op), GNTST_general_error);
	op = good, op.source.u.ref = 2;
	assert_int_equal(copy(a, op), GNTST_general_error);
	op = good, op.source.u.ref = 512;
	assert_int_equal(copy(a, op), GNTST_bad_gntref);
	op = good, op.source.domid = 6;
	assert_int_equal(copy(a, op), GNTST_bad_domain);
	op = good, op.dest.domid = 6;
	assert_int_equal(copy(a, op), GNTST_bad_domain);
	op = good, op.dest.domid = 1;
	assert_int_equal(copy(a, op), GNTST_permission_denied);
	op = good, op.dest.u.gmfn = 4;
	assert_int_equal(copy(a, op), GNTST_bad_page);
	op = good, op.dest.u.gmfn = ~0ull;
	assert_int_equal(copy(a, op), GNTST_bad_page);
	/* A page that is only mapped can be taken back at any time. */
	assert_int_equal(map(a, 1, 1, GNTMAP_host_map, MAP_GFN, &h), GNTST_okay);
	op = good, op.dest.u.gmfn = MAP_GFN;
	assert_int_equal(copy(a, op), GNTST_bad_page);
	assert_int_equal(unmap(a, h, MAP_GFN), GNTST_okay);
	assert_int_equal(copy(c, good), GNTST_general_error);
	assert_int_equal(*(char *)page_to_virt(own), 'o');
	assert_int_equal(in_use(b, 1), 0);
	assert_int_equal(ram->count, 1);
	assert_int_equal(own->count, 1);
	assert_int_equal(b->refs, 1);
	op = good, op.len = 0;
	assert_int_equal(copy(a, op), GNTST_okay);
	assert_int_equal(*(char *)page_to_virt(own), 'o');
}

/* ---- the table ---- */

static void frames_grow_to_the_limit(void **state)
{
	struct page *pg, *first;
	u32 h;

	assert_int_equal(b->grant.nr_frames, 1);
	assert_int_equal(b->grant.max_frames, 64);
	assert_int_equal(grant_get_frame(b, 0, &first), 0);
	assert_ptr_equal(first, b->grant.frames[0].page);
	assert_int_equal(first->count, 2);
	page_put(first);
	assert_int_equal(grant_get_frame(b, 63, &pg), 0);
	assert_int_equal(b->grant.nr_frames, 64);
	for (unsigned i = 0; i < PAGE_SIZE; i++)
		assert_int_equal(((u8 *)page_to_virt(pg))[i], 0);
	page_put(pg);
	assert_int_equal(grant_get_frame(b, 64, &pg), -EINVAL);
	assert_int_equal(grant_get_frame(b, ~0u, &pg), -EINVAL);
	grant(b, 64 * 512 - 1, 0, RAM_GFN, PERMIT);
	assert_int_equal(map(a, 1, 64 * 512 - 1, GNTMAP_host_map, MAP_GFN, &h), GNTST_okay);
	assert_int_equal(map(a, 1, 64 * 512, GNTMAP_host_map, MAP_GFN + 1, &h), GNTST_bad_gntref);
}

/* A frame takes two pages. Without the second the first goes back, or each try of a guest's would lose one. */
static void half_a_frame_is_given_back(void **state)
{
	static struct page *taken[4096];
	struct page *pg;
	u32 nr = 0;

	while ((taken[nr] = page_alloc(0)))
		nr++;
	page_free(taken[--nr], 0);
	assert_int_equal(grant_get_frame(b, 1, &pg), -ENOMEM);
	assert_int_equal(b->grant.nr_frames, 1);
	assert_int_equal(page_free_count(), 1);
	while (nr)
		page_free(taken[--nr], 0);
	assert_int_equal(grant_get_frame(b, 1, &pg), 0);
	assert_int_equal(b->grant.nr_frames, 2);
	page_put(pg);
}

static void limits_are_clamped(void **state)
{
	static const struct { s32 wanted; u32 got; } cases[] = {
		{ -1, 64 }, { 0, 1 }, { 1, 1 }, { 32, 32 }, { INT32_MAX, 1024 }, { INT32_MIN, 64 },
	};
	struct domain *d = fake_domain_new(3, 1);

	for (unsigned i = 0; i < ARRAY_SIZE(cases); i++) {
		assert_int_equal(grant_init(d, cases[i].wanted, cases[i].wanted), 0);
		struct page *pg;

		assert_int_equal(d->grant.max_frames, cases[i].got);
		assert_true(grant_destroy(d, 100));
		/* Nobody makes a table for a domain that has ended. */
		assert_int_equal(grant_get_frame(d, 0, &pg), -EINVAL);
	}
	fake_domain_free(d);
}

static void frames_move_in_their_owners_memory(void **state)
{
	struct page *pg = b->grant.frames[0].page;
	mfn_t mfn;

	assert_int_equal(place_frame(b, 0, 30), 0);
	assert_int_equal(p2m_lookup(&b->p2m, GFN(30), &mfn), P2M_SHARED);
	assert_int_equal(mfn.v, page_to_mfn(pg).v);
	assert_int_equal(pg->count, 2);
	assert_int_equal(place_frame(b, 0, 31), 0);
	assert_int_equal(type_at(b, 30), P2M_HOLE);
	assert_int_equal(type_at(b, 31), P2M_SHARED);
	assert_int_equal(place_frame(b, 0, 31), 0);
	assert_int_equal(pg->count, 2);
	/* Another frame takes its place: the first is nowhere then. */
	assert_int_equal(place_frame(b, 1, 31), 0);
	assert_int_equal(pg->count, 1);
	assert_int_equal(place_frame(b, 0, 32), 0);
	assert_int_equal(type_at(b, 31), P2M_SHARED);
	/* A failure leaves it where it was. */
	fake_p2m_error = -ENOMEM;
	assert_int_equal(place_frame(b, 0, 33), -ENOMEM);
	assert_int_equal(place_frame(b, 0, FAKE_GFNS), -EINVAL);
	assert_int_equal(place_frame(b, 64, 34), -EINVAL);
	assert_int_equal(type_at(b, 32), P2M_SHARED);
	assert_int_equal(pg->count, 2);
}

static void sizes_are_for_the_owner_and_the_service_domain(void **state)
{
	gnttab_query_size_t op = { .dom = DOMID_SELF, .status = 1 };
	struct page *pg;

	assert_int_equal(grant_get_frame(b, 2, &pg), 0);
	page_put(pg);
	assert_int_equal(fake_hypercall(b->vcpu[0], hc_grant_query_size, &op), 0);
	assert_int_equal(op.status, GNTST_okay);
	assert_int_equal(op.nr_frames, 3);
	assert_int_equal(op.max_nr_frames, 64);
	op = (gnttab_query_size_t){ .dom = 1 };
	fake_hypercall(a->vcpu[0], hc_grant_query_size, &op);
	assert_int_equal(op.nr_frames, 3);
	fake_hypercall(c->vcpu[0], hc_grant_query_size, &op);
	assert_int_equal(op.status, GNTST_permission_denied);
	op.dom = 6;
	fake_hypercall(a->vcpu[0], hc_grant_query_size, &op);
	assert_int_equal(op.status, GNTST_bad_domain);
}

static void there_is_one_version(void **state)
{
	gnttab_set_version_t set = { .version = 1 };
	gnttab_get_version_t get = { .dom = DOMID_SELF };

	assert_int_equal(fake_hypercall(b->vcpu[0], hc_grant_set_version, &set), 0);
	assert_int_equal(set.version, 1);
	set.version = 2;
	assert_int_equal(fake_hypercall(b->vcpu[0], hc_grant_set_version, &set), -ENOSYS);
	set.version = 3;
	assert_int_equal(fake_hypercall(b->vcpu[0], hc_grant_set_version, &set), -EINVAL);
	assert_int_equal(fake_hypercall(b->vcpu[0], hc_grant_get_version, &get), 0);
	assert_int_equal(get.version, 1);
	get.dom = 0;
	assert_int_equal(fake_hypercall(b->vcpu[0], hc_grant_get_version, &get), -EPERM);
	get.dom = 6;
	assert_int_equal(fake_hypercall(a->vcpu[0], hc_grant_get_version, &get), -ESRCH);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
		TEST(a_map_shows_the_page_until_unmapped),
		TEST(readonly_is_kept),
		TEST(the_bits_stay_for_the_last_map),
		TEST(only_what_is_granted_can_be_mapped),
		TEST(what_is_borrowed_cannot_be_lent),
		TEST(a_domain_may_map_its_own_grant),
		TEST(unmap_wants_a_live_handle_and_its_place),
		TEST(handles_are_used_again_and_end),
		TEST(of_two_unmaps_one_wins),
		TEST(what_is_not_mapped_yet_cannot_be_unmapped),
		TEST(tables_go_in_steps),
		TEST(the_page_is_held_until_flushed),
		TEST(many_are_unmapped_with_one_flush),
		TEST(many_are_mapped_with_one_flush),
		TEST(a_map_that_was_replaced_is_flushed),
		TEST(scribbling_on_the_table_hurts_nobody),
		TEST(unmapping_outlives_the_granter),
		TEST(copies_go_both_ways),
		TEST(copies_between_grants_and_within_a_page),
		TEST(bad_copies_change_nothing),
		TEST(frames_grow_to_the_limit),
		TEST(half_a_frame_is_given_back),
		TEST(limits_are_clamped),
		TEST(frames_move_in_their_owners_memory),
		TEST(sizes_are_for_the_owner_and_the_service_domain),
		TEST(there_is_one_version),
	};

	fake_memory_init(4096);
	page_add_range(0, MiB(16));
	return cmocka_run_group_tests(tests, NULL, NULL);
}
