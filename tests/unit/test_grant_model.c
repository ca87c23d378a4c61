/* units: vmm/share/grant.c vmm/share/grant_map.c vmm/share/grant_copy.c mm/heap.c mm/buddy.c tests/unit/fake_domain.c tests/unit/fake_p2m.c vmm/domain/permitted.c */
/*
 * Grants against a model: random operations of three domains that also scribble on their tables, give their memory away
 * while it is mapped, and die. The model counts what every entry, page and domain must show; all is compared after every step.
 */
#include "mm/page.h"
#include "tests/unit/fake_domain.h"
#include "tests/unit/fake_p2m.h"
#include "vmm/share/grant.h"
#include <xen/grant_table.h>

#define STEPS   100000
#define DOMAINS 3
#define REFS    6       /* entries in use, few so that they meet */
#define GFNS    12      /* the domains' memory: RAM and maps at random */
#define HANDLES 64
#define MFNS    4096

/* ---- the model ---- */

struct entry {
	u32 rights, frame;
	u32 readers, writers;
};

struct handle {
	bool live, write;
	u32 granter, ref;
	u64 gfn, mfn;
};

struct place {
	enum p2m_type type;
	u64 mfn;
};

static struct entry entries[DOMAINS][REFS];
static struct handle handles[DOMAINS][HANDLES];
static struct place places[DOMAINS][GFNS];
static bool dead[DOMAINS];      /* destroyed, but still referenced by maps */

/* As a guest sees it: may `d` use entry `ref` of `granter`, and which frame is it? */
static int model_pin(u32 d, u32 granter, u32 ref, bool write, u64 *mfn)
{
	struct entry *e = &entries[granter][MIN(ref, REFS - 1u)];

	if (dead[granter])
		return GNTST_bad_domain;
	if (ref >= REFS)
		return GNTST_bad_gntref;
	if ((e->rights & GTF_type_mask) != GTF_permit_access || e->rights >> 16 != d ||
	    (write && (e->rights & GTF_readonly)))
		return GNTST_general_error;
	e->rights |= GTF_reading | (write ? GTF_writing : 0);
	e->readers += !write;
	e->writers += write;
	if (e->frame >= GFNS || places[granter][e->frame].type != P2M_RAM)
		return GNTST_bad_page;
	*mfn = places[granter][e->frame].mfn;
	return GNTST_okay;
}

static void model_unpin(u32 granter, u32 ref, bool write)
{
	struct entry *e = &entries[granter][ref];

	e->readers -= !write;
	e->writers -= write;
	if (!e->writers)
		e->rights &= ~(u32)GTF_writing;
	if (!e->writers && !e->readers)
		e->rights &= ~(u32)GTF_reading;
}

static int model_use(u32 d, u32 granter, u32 ref, bool write, u64 *mfn)
{
	int status = model_pin(d, granter, ref, write, mfn);

	if (status == GNTST_bad_page)
		model_unpin(granter, ref, write);
	return status;
}

static int model_map(u32 d, const gnttab_map_grant_ref_t *op, u32 granter)
{
	bool write = !(op->flags & GNTMAP_readonly);
	u64 gfn = op->host_addr >> PAGE_SHIFT, mfn;
	int status;

	if ((op->flags & ~GNTMAP_readonly) != GNTMAP_host_map)
		return GNTST_general_error;
	if (granter >= DOMAINS)
		return GNTST_bad_domain;
	status = model_use(d, granter, op->ref, write, &mfn);
	if (status != GNTST_okay)
		return status;
	places[d][gfn] = (struct place){ write ? P2M_GRANT_RW : P2M_GRANT_RO, mfn };
	assert_true(op->handle < HANDLES && !handles[d][op->handle].live);
	handles[d][op->handle] = (struct handle){ true, write, granter, op->ref, gfn, mfn };
	return GNTST_okay;
}

static int model_unmap(u32 d, u32 handle, u64 gfn)
{
	struct handle *h = handle < HANDLES ? &handles[d][handle] : NULL;

	if (!h || !h->live)
		return GNTST_bad_handle;
	if (h->gfn != gfn)
		return GNTST_bad_virt_addr;
	if (places[d][gfn].mfn == h->mfn)
		places[d][gfn] = (struct place){ 0 };
	model_unpin(h->granter, h->ref, h->write);
	h->live = false;
	return GNTST_okay;
}

static int model_copy(u32 d, const gnttab_copy_t *op, u32 from, u32 to)
{
	u64 mfn;
	int status;

	if (from >= DOMAINS)
		return GNTST_bad_domain;
	status = model_use(d, from, op->source.u.ref, false, &mfn);
	if (status != GNTST_okay)
		return status;
	status = to < DOMAINS ? model_use(d, to, op->dest.u.ref, true, &mfn) : GNTST_bad_domain;
	if (status == GNTST_okay)
		model_unpin(to, op->dest.u.ref, true);
	model_unpin(from, op->source.u.ref, false);
	return status;
}

static u32 model_live(u32 d)
{
	u32 live = 0;

	for (u32 i = 0; i < HANDLES; i++)
		live += handles[d][i].live;
	return live;
}

/* ---- the real thing beside it ---- */

static struct domain *domain[DOMAINS];

static u32 below(u32 n)
{
	return (u32)(fake_random() % n);
}

static void start(u32 d)
{
	domain[d] = fake_domain_new((u16)d, 1);
	assert_int_equal(grant_init(domain[d], -1, -1), 0);
	memset(entries[d], 0, sizeof(entries[d]));
	memset(places[d], 0, sizeof(places[d]));
	dead[d] = false;
}

static void compare(void)
{
	static u32 count[MFNS];
	u32 refs[DOMAINS] = { 1, 1, 1 };

	memset(count, 0, sizeof(count));
	for (u32 d = 0; d < DOMAINS; d++) {
		for (u32 ref = 0; ref < REFS && !dead[d]; ref++) {
			const u32 *real = (u32 *)page_to_virt(domain[d]->grant.frames[0].page) + 2 * ref;

			assert_int_equal(real[0], entries[d][ref].rights);
			assert_int_equal(real[1], entries[d][ref].frame);
		}
		for (u32 i = 0; i < HANDLES; i++) {
			const struct handle *h = &handles[d][i];

			refs[h->granter] += h->live;
			count[h->mfn] += h->live;
		}
		assert_int_equal(domain[d]->grant.maps, model_live(d));
		for (u32 gfn = 0; gfn < GFNS; gfn++) {
			const struct place *p = &places[d][gfn];
			mfn_t mfn;

			assert_int_equal(p2m_lookup(&domain[d]->p2m, GFN(gfn), &mfn), p->type);
			if (p->type != P2M_HOLE)
				assert_int_equal(mfn.v, p->mfn);
			count[p->mfn] += p->type == P2M_RAM;
		}
	}
	for (u32 d = 0; d < DOMAINS; d++) {
		assert_int_equal(domain[d]->refs, refs[d]);
		for (u32 gfn = 0; gfn < GFNS; gfn++) {
			const struct place *p = &places[d][gfn];

			/* What a guest can reach is held by somebody: nothing mapped may ever be free. */
			if (p->type != P2M_HOLE)
				assert_true(count[p->mfn] > 0);
		}
		for (u32 i = 0; i < HANDLES; i++)
			if (handles[d][i].live)
				assert_int_equal(frame_table[handles[d][i].mfn].count, count[handles[d][i].mfn]);
	}
}

/* ---- one step of both ---- */

static u16 any_domid(u32 self)
{
	static const u16 odd[] = { DOMID_SELF, 6, 0xffff };
	u32 i = below(12);

	return i < ARRAY_SIZE(odd) ? odd[i] : (u16)((self + i) % DOMAINS);
}

static u32 resolve(u32 self, u16 domid)
{
	return domid == DOMID_SELF ? self : domid;
}

static u32 any_ref(void)
{
	return below(40) ? below(REFS) : (u32)fake_random() | 512;
}

/* A guest writes an entry: mostly a grant, sometimes anything at all, whether it is in use or not. */
static void step_write(u32 d)
{
	u32 ref = below(REFS), *real = (u32 *)page_to_virt(domain[d]->grant.frames[0].page) + 2 * ref;
	struct entry *e = &entries[d][ref];

	e->rights = GTF_permit_access | (below(3) ? 0 : GTF_readonly) | below(DOMAINS) << 16;
	e->frame = below(GFNS);
	if (!below(10))
		e->rights = (u32)fake_random();
	if (!below(10))
		e->frame = (u32)fake_random();
	real[0] = e->rights;
	real[1] = e->frame;
}

static void step_memory(u32 d)
{
	u32 gfn = below(GFNS);

	if (below(2)) {
		struct page *pg = fake_p2m_populate(&domain[d]->p2m, gfn, (u16)d);

		places[d][gfn] = (struct place){ P2M_RAM, page_to_mfn(pg).v };
	} else {
		p2m_remove(&domain[d]->p2m, GFN(gfn), INVALID_MFN);
		places[d][gfn] = (struct place){ 0 };
	}
}

static void step_map(u32 d)
{
	static const u32 odd_flags[] = { 0, GNTMAP_device_map, GNTMAP_host_map | GNTMAP_contains_pte, ~0u };
	gnttab_map_grant_ref_t op = {
		.host_addr = below(GFNS) * PAGE_SIZE, .dom = any_domid(d), .ref = any_ref(), .handle = ~0u,
		.flags = below(20) ? GNTMAP_host_map | (below(2) ? GNTMAP_readonly : 0) : odd_flags[below(ARRAY_SIZE(odd_flags))],
	};

	if (model_live(d) == HANDLES)
		return;
	assert_int_equal(fake_hypercall(domain[d]->vcpu[0], hc_grant_map, &op), 0);
	assert_int_equal(op.status, model_map(d, &op, resolve(d, op.dom)));
}

static void step_unmap(u32 d)
{
	u32 handle = below(10) ? below(HANDLES) : (u32)fake_random();
	u64 gfn = handle < HANDLES && below(10) ? handles[d][handle].gfn : below(GFNS);
	gnttab_unmap_grant_ref_t op = { .host_addr = gfn * PAGE_SIZE + below(4096), .handle = handle };

	assert_int_equal(fake_hypercall(domain[d]->vcpu[0], hc_grant_unmap, &op), 0);
	assert_int_equal(op.status, model_unmap(d, handle, gfn));
}

static void step_copy(u32 d)
{
	gnttab_copy_t op = {
		.source = { .u.ref = any_ref(), .domid = any_domid(d) }, .dest = { .u.ref = any_ref(), .domid = any_domid(d) },
		.len = PAGE_SIZE, .flags = GNTCOPY_source_gref | GNTCOPY_dest_gref,
	};

	assert_int_equal(fake_hypercall(domain[d]->vcpu[0], hc_grant_copy, &op), 0);
	assert_int_equal(op.status, model_copy(d, &op, resolve(d, op.source.domid), resolve(d, op.dest.domid)));
}

/* As domain_destroy does it: what it maps, what it has, its table; the structure stays while others map its pages. */
static void end(u32 d)
{
	domain[d]->dying = 1;
	while (!grant_release_maps(domain[d], 1 + below(5)))
		;
	for (u32 i = 0; i < HANDLES; i++)
		if (handles[d][i].live)
			model_unmap(d, i, handles[d][i].gfn);
	fake_p2m_clear(&domain[d]->p2m);
	memset(places[d], 0, sizeof(places[d]));
	assert_true(grant_destroy(domain[d], 100));
	dead[d] = true;
}

static void step_end(u32 d)
{
	end(d);
	compare();
}

static void random_operations_agree_with_the_model(void **state)
{
	static void (*const steps[])(u32) = {
		step_write, step_write, step_memory, step_map, step_map, step_map, step_unmap, step_unmap, step_copy,
	};
	u64 free_before = page_free_count();

	print_message("SEED=%#lx\n", fake_random_seed());
	for (u32 d = 0; d < DOMAINS; d++)
		start(d);
	for (unsigned i = 0; i < STEPS; i++) {
		u32 d = below(DOMAINS);

		if (dead[d]) {
			if (domain[d]->refs > 1)
				continue;
			fake_domain_free(domain[d]);
			start(d);
		} else if (below(1000)) {
			steps[below(ARRAY_SIZE(steps))](d);
		} else {
			step_end(d);
		}
		compare();
	}
	for (u32 d = 0; d < DOMAINS; d++)
		if (!dead[d])
			end(d);
	compare();
	for (u32 d = 0; d < DOMAINS; d++)
		fake_domain_free(domain[d]);
	/* Every page is back, but for the heap's last one of each size. */
	assert_in_range(free_before - page_free_count(), 0, 4);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(random_operations_agree_with_the_model) };

	fake_memory_init(MFNS);
	page_add_range(0, MFNS * PAGE_SIZE);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
