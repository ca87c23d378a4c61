/* The p2m of unit tests: see fake_p2m.h. */
#include "tests/unit/fake_p2m.h"
#include "mm/page.h"

#define FAKE_P2MS 16

struct entry {
	mfn_t mfn;
	enum p2m_type type;
};

static struct fake_p2m {
	struct p2m *p2m;
	struct entry entry[FAKE_GFNS];
} tables[FAKE_P2MS];

int fake_p2m_error;
void (*fake_p2m_meanwhile)(void);
unsigned fake_p2m_flushes;

/* The table of a p2m; one that isn't in use for NULL. */
static struct fake_p2m *table_of(struct p2m *p2m)
{
	for (unsigned i = 0; i < FAKE_P2MS; i++)
		if (tables[i].p2m == p2m)
			return &tables[i];
	return NULL;
}

/* The entry of gfn, or NULL for a gfn too large, or of a p2m that has nothing. */
static struct entry *entry_of(struct p2m *p2m, gfn_t gfn)
{
	struct fake_p2m *table = table_of(p2m);

	return table && gfn.v < FAKE_GFNS ? &table->entry[gfn.v] : NULL;
}

static bool holds_reference(enum p2m_type type)
{
	return type == P2M_RAM || type == P2M_SHARED || type == P2M_FOREIGN;
}

static void happen_meanwhile(void)
{
	void (*meanwhile)(void) = fake_p2m_meanwhile;

	/* The real one may wait here for other CPUs, which might want a lock of ours. */
	assert_int_equal(fake_locks_held(), 0);
	fake_p2m_meanwhile = NULL;
	if (meanwhile)
		meanwhile();
}

/* Changes an entry as the real one does: change, flush, then drop what the old one held. */
static void replace(struct entry *e, struct entry new)
{
	struct entry old = *e;

	*e = new;
	happen_meanwhile();
	if (holds_reference(old.type))
		page_put(mfn_to_page(old.mfn));
}

struct page *fake_p2m_populate(struct p2m *p2m, u64 gfn, u16 owner)
{
	struct page *pg = page_alloc(0);

	assert_non_null(pg);
	page_assign(pg, 0, owner);
	assert_int_equal(p2m_map(p2m, GFN(gfn), page_to_mfn(pg), 0, P2M_RAM), 0);
	return pg;
}

void fake_p2m_clear(struct p2m *p2m)
{
	struct fake_p2m *table = table_of(p2m);

	for (u64 gfn = 0; table && gfn < FAKE_GFNS; gfn++)
		replace(&table->entry[gfn], (struct entry){ 0 });
	if (table)
		table->p2m = NULL;
}

struct page *p2m_get_page(struct p2m *p2m, gfn_t gfn, enum p2m_type *type, bool write)
{
	struct entry *e = entry_of(p2m, gfn);

	if (type)
		*type = e ? e->type : P2M_HOLE;
	if (!e || e->type == P2M_HOLE || e->type == P2M_MMIO || (write && e->type == P2M_GRANT_RO))
		return NULL;
	return page_get(mfn_to_page(e->mfn)) ? mfn_to_page(e->mfn) : NULL;
}

enum p2m_type p2m_lookup(struct p2m *p2m, gfn_t gfn, mfn_t *mfn)
{
	struct entry *e = entry_of(p2m, gfn);

	if (mfn)
		*mfn = e ? e->mfn : INVALID_MFN;
	return e ? e->type : P2M_HOLE;
}

/* What an entry held goes with the flush that others share. */
static void retire_entry(struct p2m_retired *r, struct entry old)
{
	if (old.type == P2M_HOLE)
		return;
	r->flush = true;
	if (!holds_reference(old.type))
		return;
	assert_true(r->nr < ARRAY_SIZE(r->run));
	r->run[r->nr].mfn = old.mfn;
	r->run[r->nr++].frames = 1;
}

int p2m_enter(struct p2m *p2m, gfn_t gfn, mfn_t mfn, unsigned order, enum p2m_type type, struct p2m_retired *r)
{
	struct fake_p2m *table = table_of(p2m);
	int err = gfn.v < FAKE_GFNS ? fake_p2m_error : -EINVAL;

	assert_int_equal(order, 0);
	fake_p2m_error = 0;
	if (err && holds_reference(type))
		page_put(mfn_to_page(mfn));
	if (err)
		return err;
	if (!table)
		table = table_of(NULL);
	assert_non_null(table);
	table->p2m = p2m;
	retire_entry(r, table->entry[gfn.v]);
	table->entry[gfn.v] = (struct entry){ .mfn = mfn, .type = type };
	happen_meanwhile();
	return 0;
}

int p2m_map(struct p2m *p2m, gfn_t gfn, mfn_t mfn, unsigned order, enum p2m_type type)
{
	struct p2m_retired r = { 0 };
	int err = p2m_enter(p2m, gfn, mfn, order, type, &r);

	p2m_retire(p2m, &r);
	return err;
}

int p2m_remove(struct p2m *p2m, gfn_t gfn, mfn_t expect)
{
	struct entry *e = entry_of(p2m, gfn);

	if (!e || e->type == P2M_HOLE || (expect.v != INVALID_MFN.v && e->mfn.v != expect.v))
		return -ENOENT;
	replace(e, (struct entry){ 0 });
	return 0;
}

int p2m_take(struct p2m *p2m, gfn_t gfn, mfn_t expect, struct p2m_retired *r)
{
	struct entry *e = entry_of(p2m, gfn);

	if (!e || e->type == P2M_HOLE || (expect.v != INVALID_MFN.v && e->mfn.v != expect.v))
		return -ENOENT;
	retire_entry(r, *e);
	*e = (struct entry){ 0 };
	return 0;
}

void p2m_retire(struct p2m *p2m, struct p2m_retired *r)
{
	if (!r->flush)
		return;
	happen_meanwhile();
	p2m_flush(p2m);
	while (r->nr)
		page_put(mfn_to_page(r->run[--r->nr].mfn));
	r->flush = false;
}

void p2m_flush(struct p2m *p2m)
{
	assert_int_equal(fake_locks_held(), 0);
	fake_p2m_flushes++;
}
