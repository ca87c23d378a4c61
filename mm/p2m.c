/*
 * The p2m of a domain: the frame behind each guest frame, and the references that hold it. The
 * nested page table is the only record. A change that takes rights away has three steps in this
 * order: new entry, flush, drop the old entry's reference. Until the flush a guest may still write
 * through the old entry, so the frame must not be free before.
 */
#include "mm/p2m.h"
#include "mm/p2m_log.h"
#include "mm/p2m_mirror.h"
#include "mm/page.h"
#include "mm/pt.h"
#include <asm/hvm_flush.h>
#include "lib/string.h"

const struct pt_format *p2m_format = &pt_npt;

#define TYPE(entry) ((enum p2m_type)(((entry) & PT_SW_MASK) >> PT_SW_SHIFT))

/* The guest's rights, by type. Device memory and frames lent by others are never executed. */
static const u8 type_flags[] = {
	[P2M_RAM]      = PT_WRITE | PT_EXEC,
	[P2M_SHARED]   = PT_WRITE,
	[P2M_FOREIGN]  = PT_WRITE,
	[P2M_GRANT_RW] = PT_WRITE,
	[P2M_GRANT_RO] = 0,
	[P2M_MMIO]     = PT_WRITE | PT_DEVICE,
};

/* Returns true for types whose entry holds one reference on each of its frames. */
static bool holds_reference(enum p2m_type type)
{
	return type == P2M_RAM || type == P2M_SHARED || type == P2M_FOREIGN;
}

/* Until the toolstack sets a limit: tables for 2 GiB in the smallest pages. */
#define MEMPOOL_DEFAULT MiB(4)

static struct pt tables_of(struct p2m *p2m)
{
	return (struct pt){ p2m->root, p2m_format, page_alloc_zeroed, &p2m->table_pages, NULL };
}

int p2m_init(struct p2m *p2m)
{
	struct pt pt;

	*p2m = (struct p2m){ .lock = SPINLOCK(LOCK_P2M), .tlb_gen = 1, .mempool = MEMPOOL_DEFAULT };
	if (pt_init(&pt, p2m_format, page_alloc_zeroed, &p2m->table_pages))
		return -ENOMEM;
	p2m->root = pt.root;
	return 0;
}

void p2m_destroy(struct p2m *p2m)
{
	struct pt pt = tables_of(p2m);

	pt_destroy(&pt, page_free_virt);
	p2m->root = pt.root;
}

/* Does the walk of every look-up. For an address beyond the tables, the entry is 0. */
static inline const u64 *find_leaf(const struct p2m *p2m, gfn_t gfn, u64 *entry, unsigned *level)
{
	static const u64 nothing;

	*entry = 0;
	if (unlikely(gfn.v >= P2M_MAX_GFN))
		return &nothing;
	return pt_find(&pt_shape_x86, p2m->root, gfn.v << PAGE_SHIFT, entry, level);
}

static inline mfn_t leaf_frame(u64 entry, unsigned level, gfn_t gfn)
{
	return MFN(pt_target(&pt_shape_x86, entry, level, gfn.v << PAGE_SHIFT) >> PAGE_SHIFT);
}

/*
 * A domain's tables are freed only when none of its vCPUs is on a CPU. So a vCPU needs no lock to
 * look into its own p2m. For a look into another's, to map or pin a frame of a domain that may be
 * dying, the lock keeps the tables alive.
 */
static inline bool lock_unless_own(struct p2m *p2m)
{
	if (likely(this_cpu()->guest_p2m == p2m))
		return false;
	spin_lock(&p2m->lock);
	return true;
}

static inline struct page *get_page(struct p2m *p2m, gfn_t gfn, enum p2m_type *type, bool write, bool locked)
{
	for (;;) {
		u64 entry;
		unsigned level;
		const u64 *slot = find_leaf(p2m, gfn, &entry, &level);
		enum p2m_type t = TYPE(entry);
		struct page *pg;
		bool held;

		if (t == P2M_HOLE || t == P2M_MMIO)
			return NULL;
		if (type)
			*type = t;
		if (write && unlikely(!(entry & PT_X86_WRITE)))
			return p2m_get_clean_page(p2m, gfn, locked);
		pg = mfn_to_page(leaf_frame(entry, level, gfn));
		/*
		 * The frame may have been freed since we read the entry, and may even belong to
		 * another domain by now. But if the entry is still there once we hold a reference,
		 * the frame is ours at that moment, whatever it was in between. It then stays as
		 * long as we hold it. If the entry is there but we get no reference, the frame
		 * isn't counted: the record's, seen by the service domain.
		 */
		held = page_get(pg);
		if (likely(pt_read(slot) == entry))
			return held ? pg : NULL;
		/* Frees it only without the lock: with it, an entry still holds it. */
		if (held)
			page_put(pg);
		cpu_relax();
	}
}

struct page *p2m_get_page(struct p2m *p2m, gfn_t gfn, enum p2m_type *type, bool write)
{
	bool locked = lock_unless_own(p2m);
	struct page *pg = get_page(p2m, gfn, type, write, locked);

	if (locked)
		spin_unlock(&p2m->lock);
	return pg;
}

/*
 * To check the entry again after the read would prove nothing. The following can happen: the frame
 * is given away, its new owner writes to it, and it comes back to the same place. The generation
 * tells. Each removal goes: entry, generation, flush, reference. So bytes that are not the guest's
 * were written after the generation was raised for the removal of the entry that we found. We read
 * the generation before the walk and after the read, in this order, since all our loads are
 * acquires.
 * - Had the first read seen it raised, the walk would have seen the removal that came before it,
 *   and would not have found that entry.
 * - So it was not raised then. And because we read bytes that were written after it was raised, the
 *   second read sees it raised.
 */
const u64 *p2m_read_u64(struct p2m *p2m, gpa_t gpa, u64 *value)
{
	const u64 *at;
	u64 entry, generation;
	unsigned level;

	do {
		generation = p2m_generation(p2m);
		find_leaf(p2m, GFN(gpa.v >> PAGE_SHIFT), &entry, &level);
		if (TYPE(entry) == P2M_HOLE || TYPE(entry) == P2M_MMIO)
			return NULL;
		/* We can always read the direct map, whoever owns the frame. */
		at = phys_to_virt(pt_target(&pt_shape_x86, entry, level, gpa.v));
		*value = pt_read(at);
	} while (unlikely(p2m_generation(p2m) != generation));
	return at;
}

struct page *p2m_get_ram(struct p2m *p2m, gfn_t gfn, bool write)
{
	enum p2m_type type;
	struct page *pg = p2m_get_page(p2m, gfn, &type, write);

	if (!pg || type == P2M_RAM)
		return pg;
	page_put(pg);
	return NULL;
}

enum p2m_type p2m_lookup(struct p2m *p2m, gfn_t gfn, mfn_t *mfn)
{
	bool locked = lock_unless_own(p2m);
	unsigned level = 0;
	u64 entry;

	find_leaf(p2m, gfn, &entry, &level);
	if (locked)
		spin_unlock(&p2m->lock);
	if (mfn)
		*mfn = TYPE(entry) == P2M_HOLE ? INVALID_MFN : leaf_frame(entry, level, gfn);
	return TYPE(entry);
}

/*
 * Raises the generation after a change that took rights away, and waits for the CPUs that don't
 * know it.
 */
void p2m_flush(struct p2m *p2m)
{
	/*
	 * Full barrier: a CPU that sees the new generation when it enters its guest sees the new
	 * entries too.
	 */
	u64 gen = __atomic_add_fetch(&p2m->tlb_gen, 1, __ATOMIC_SEQ_CST);

	hvm_flush_others(p2m, gen);
}

/* Drops an entry's references. This may free many frames, so LOCK_P2M isn't held. */
static void put_frames(mfn_t mfn, u64 frames)
{
	for (u64 n = 0; n < frames; n++)
		page_put(mfn_to_page(MFN(mfn.v + n)));
}

void p2m_retire(struct p2m *p2m, struct p2m_retired *r)
{
	/* Also if nothing is retired: some IOMMUs remember that there was no entry. */
	mirror_flush(p2m);
	if (!r->flush)
		return;
	r->flush = false;
	p2m_flush(p2m);
	for (unsigned i = 0; i < r->nr; i++)
		put_frames(r->run[i].mfn, r->run[i].frames);
	r->nr = 0;
}

static bool is_full(const struct p2m_retired *r) { return r->nr == ARRAY_SIZE(r->run); }

/*
 * Notes that `entry` needs a flush, and its references have to be dropped after that. The caller
 * has checked that *r has room.
 */
static void retire_entry(struct p2m_retired *r, u64 entry, unsigned level)
{
	if (!entry)
		return;
	r->flush = true;
	if (!holds_reference(TYPE(entry)))
		return;
	r->run[r->nr].mfn = leaf_frame(entry, level, GFN(0));
	r->run[r->nr++].frames = BIT(level * pt_shape_x86.bits);
}

u64 *p2m_slot(struct p2m *p2m, gfn_t gfn, unsigned *level)
{
	unsigned found;
	u64 entry, *slot = pt_find(&pt_shape_x86, p2m->root, gfn.v << PAGE_SHIFT, &entry, &found);

	while (!(p2m_format->sizes & BIT(*level)))
		--*level;
	if (unlikely(found > *level)) {
		struct pt pt = tables_of(p2m);

		/* A guest must not take the machine's memory by the shape of its address space. */
		if (!p2m->identity && p2m->table_pages + found - *level > __atomic_load_n(&p2m->mempool, __ATOMIC_RELAXED) / PAGE_SIZE)
			return NULL;
		return pt_slot(&pt, gfn.v << PAGE_SHIFT, level);
	}
	*level = found;
	return slot;
}

/*
 * Returns the slot after that of a smallest page, found without a walk; NULL if it isn't in the
 * same table.
 */
static inline u64 *slot_behind(u64 *slot, unsigned level)
{
	return level || !((u64)(slot + 1) % PAGE_SIZE) ? NULL : slot + 1;
}

/*
 * Clears every entry of the range. The range starts and ends on leaf boundaries. Returns false if
 * *r has no room for more.
 */
static bool clear_range(struct p2m *p2m, gfn_t gfn, u64 frames, struct p2m_retired *r)
{
	u64 entry, *slot = NULL;
	unsigned level = 1;

	for (u64 done = 0; done < frames; done += BIT(level * pt_shape_x86.bits)) {
		slot = slot_behind(slot, level);
		if (slot)
			entry = pt_read(slot);
		else
			slot = pt_find(&pt_shape_x86, p2m->root, (gfn.v + done) << PAGE_SHIFT, &entry, &level);
		if (!entry)
			continue;
		if (is_full(r))
			return false;
		pt_write(slot, 0);
		retire_entry(r, entry, level);
	}
	return true;
}

/*
 * Maps 2^order frames. A single leaf replaces the entry in its slot by one store. If it takes
 * several leaves, their slots are cleared first. Returns -EAGAIN if they hold too many entries for
 * one time; none of ours is in then.
 */
static int replace_entries(struct p2m *p2m, gfn_t gfn, mfn_t mfn, unsigned order, enum p2m_type type, struct p2m_retired *r)
{
	unsigned level = order / pt_shape_x86.bits;
	u64 done = 0, frames = BIT(order);
	u64 *slot = p2m_slot(p2m, gfn, &level);

	if (!slot || mirror_open(p2m, gfn, order, type))
		return -ENOMEM;
	if (BIT(level * pt_shape_x86.bits) == frames)
		retire_entry(r, *slot, level);
	else if (!clear_range(p2m, gfn, frames, r))
		return -EAGAIN;
	for (;;) {
		pt_write(slot, pt_leaf(p2m_format, (mfn.v + done) << PAGE_SHIFT, level, type_flags[type]) | PT_SW(type));
		done += BIT(level * pt_shape_x86.bits);
		if (done == frames)
			break;
		slot = slot_behind(slot, level);
		if (slot)
			continue;
		level = order / pt_shape_x86.bits;
		/* Needs no memory: the first slot's tables are there. */
		slot = p2m_slot(p2m, GFN(gfn.v + done), &level);
	}
	mirror_set(p2m, gfn, mfn, order, type);
	__atomic_store_n(&p2m->max_gfn, MAX(p2m->max_gfn, gfn.v + frames - 1), __ATOMIC_RELAXED);
	return 0;
}

int p2m_enter(struct p2m *p2m, gfn_t gfn, mfn_t mfn, unsigned order, enum p2m_type type, struct p2m_retired *r)
{
	/*
	 * Entries in the range can fill *r only half as often as we try. If this is not enough,
	 * someone keeps adding entries.
	 */
	u64 tries = 0;
	int rc = gfn.v >= P2M_MAX_GFN || ((gfn.v | mfn.v) & (BIT(order) - 1)) ? -EINVAL : 0;

	if (!rc) do {
		if (is_full(r))
			p2m_retire(p2m, r);
		spin_lock(&p2m->lock);
		rc = p2m->closed ? -ESRCH : replace_entries(p2m, gfn, mfn, order, type, r);
		spin_unlock(&p2m->lock);
	} while (rc == -EAGAIN && tries++ <= 2 * (BIT(order) / ARRAY_SIZE(r->run)));
	if (rc && holds_reference(type))
		put_frames(mfn, BIT(order));
	return rc;
}

int p2m_clear(struct p2m *p2m, gfn_t gfn, unsigned order, struct p2m_retired *r)
{
	unsigned level;
	int rc = -ENOMEM;
	u64 entry;
	bool split;

	spin_lock(&p2m->lock);
	find_leaf(p2m, gfn, &entry, &level);
	/* A large page goes in small pages: it has too many references for one time. */
	split = level && TYPE(entry) != P2M_HOLE;
	level = 0;
	if ((!split || p2m_slot(p2m, gfn, &level)) && !mirror_open(p2m, gfn, order, P2M_HOLE))
		rc = clear_range(p2m, gfn, BIT(order), r) ? 0 : -EAGAIN;
	spin_unlock(&p2m->lock);
	return rc;
}

int p2m_map(struct p2m *p2m, gfn_t gfn, mfn_t mfn, unsigned order, enum p2m_type type)
{
	struct p2m_retired r;
	int rc;

	p2m_nothing_retired(&r);
	rc = p2m_enter(p2m, gfn, mfn, order, type, &r);
	p2m_retire(p2m, &r);
	return rc;
}

int p2m_take(struct p2m *p2m, gfn_t gfn, mfn_t expect, struct p2m_retired *r)
{
	unsigned level;
	u64 entry, *slot;
	int rc = -ENOENT;

	if (is_full(r))
		p2m_retire(p2m, r);
	spin_lock(&p2m->lock);
	slot = (u64 *)find_leaf(p2m, gfn, &entry, &level);
	if (TYPE(entry) == P2M_HOLE || (expect.v != INVALID_MFN.v && leaf_frame(entry, level, gfn).v != expect.v))
		goto unlock;
	if (level) {
		rc = -ENOMEM;
		level = 0;
		slot = p2m_slot(p2m, gfn, &level);
		if (!slot)
			goto unlock;
		entry = *slot;
	}
	rc = mirror_open(p2m, gfn, 0, P2M_HOLE);
	if (rc)
		goto unlock;
	pt_write(slot, 0);
	retire_entry(r, entry, level);
unlock:
	spin_unlock(&p2m->lock);
	return rc;
}

int p2m_remove(struct p2m *p2m, gfn_t gfn, mfn_t expect)
{
	struct p2m_retired r;
	int rc;

	p2m_nothing_retired(&r);
	rc = p2m_take(p2m, gfn, expect, &r);
	p2m_retire(p2m, &r);
	return rc;
}

bool p2m_keep_part(struct p2m *p2m, const struct p2m_part *part)
{
	bool kept;

	spin_lock(&p2m->lock);
	kept = !p2m->part.order && !p2m->closed;
	if (kept)
		p2m->part = *part;
	spin_unlock(&p2m->lock);
	return kept;
}

bool p2m_take_part(struct p2m *p2m, gfn_t gfn, unsigned order, struct p2m_part *part)
{
	bool found;

	spin_lock(&p2m->lock);
	found = p2m->part.order && p2m->part.order == order && p2m->part.gfn.v == gfn.v;
	if (found) {
		*part = p2m->part;
		p2m->part.order = 0;
	}
	spin_unlock(&p2m->lock);
	return found;
}

static mfn_t ones;      /* [I] frames of ones, as many as one large page shows */
#define ONES_ORDER 9

void p2m_init_holes(void)
{
	struct page *pg = page_alloc(ONES_ORDER);

	if (!pg)
		panic("this machine has too little memory");
	memset(page_to_virt(pg), 0xff, PAGE_SIZE << ONES_ORDER);
	ones = page_to_mfn(pg);
}

int p2m_fill_hole(struct p2m *p2m, gfn_t gfn)
{
	unsigned level;
	u64 entry, *slot;
	int rc = 0;

	if (gfn.v >= P2M_MAX_GFN)
		return -EINVAL;
	spin_lock(&p2m->lock);
	find_leaf(p2m, gfn, &entry, &level);
	if (!entry && !p2m->closed) {
		/*
		 * By large pages if nothing else is near, so that a guest that looks everywhere
		 * takes few tables. In the service domain's, devices are near.
		 */
		level = p2m->identity ? 0 : ONES_ORDER / pt_shape_x86.bits;
		slot = p2m_slot(p2m, gfn, &level);
		rc = slot ? 0 : -ENOMEM;
		if (slot)
			pt_write(slot, pt_leaf(p2m_format, ones.v << PAGE_SHIFT, level, 0) | PT_SW(P2M_HOLE));
	}
	spin_unlock(&p2m->lock);
	return rc;
}

int p2m_set_nx(struct p2m *p2m, gfn_t gfn, u64 frames, bool nx)
{
	struct pt pt = tables_of(p2m);
	int rc = -ENOENT;
	unsigned level = 0;
	u64 at = gfn.v, entry;

	spin_lock(&p2m->lock);
	do
		find_leaf(p2m, GFN(at), &entry, &level);
	while (TYPE(entry) == P2M_RAM && (at = (at | (BIT(level * pt_shape_x86.bits) - 1)) + 1) < gfn.v + frames);
	if (TYPE(entry) == P2M_RAM) {
		rc = pt_protect(&pt, gfn.v << PAGE_SHIFT, frames << PAGE_SHIFT, nx ? PT_WRITE : PT_WRITE | PT_EXEC);
		if (!rc) {
			p2m->nx_gfn = gfn;
			p2m->nx_frames = nx ? frames : 0;
		}
	}
	spin_unlock(&p2m->lock);
	/* Also if the right comes back: a TLB that remembers "no" would fault once more. */
	if (!rc)
		p2m_flush(p2m);
	return rc;
}

/* Refuses further mappings. Look-ups that found an entry before hold their own references. */
static void close_p2m(struct p2m *p2m)
{
	spin_lock(&p2m->lock);
	p2m->closed = true;
	/* No caller will come back for the kept block. */
	if (p2m->part.order) {
		p2m->leaving = p2m->part.mfn;
		p2m->nr_leaving = BIT(p2m->part.order);
		p2m->part.order = 0;
	}
	spin_unlock(&p2m->lock);
	/* No vCPU of a dying domain will enter again, so this one wait covers every entry. */
	p2m_flush(p2m);
}

/*
 * A hole is cheap, but a sparse p2m has many. This number of them counts as one frame dropped, at
 * some 190 instructions.
 */
#define HOLES_PER_FRAME 6

/*
 * Takes the next leaf out; p2m->leaving then names its frames. Returns false at the end of the
 * tables or of *left.
 */
static bool take_leaf(struct p2m *p2m, u64 *next, u64 *left)
{
	struct pt pt = tables_of(p2m);
	unsigned level;
	u64 entry;

	spin_lock(&p2m->lock);
	entry = pt_take_next(&pt, next, left, &level, page_free_virt);
	spin_unlock(&p2m->lock);
	if (!entry)
		return false;
	/*
	 * Every CPU left the domain when the p2m was closed. We keep the order of a removal all the
	 * same.
	 */
	__atomic_add_fetch(&p2m->tlb_gen, 1, __ATOMIC_SEQ_CST);
	if (holds_reference(TYPE(entry))) {
		p2m->leaving = leaf_frame(entry, level, GFN(0));
		p2m->nr_leaving = BIT(level * pt_shape_x86.bits);
	}
	return true;
}

bool p2m_relinquish(struct p2m *p2m, u64 *next, unsigned budget)
{
	u64 left = (u64)budget * HOLES_PER_FRAME;

	if (!*next)
		close_p2m(p2m);
	do {
		for (; p2m->nr_leaving && left; p2m->nr_leaving--, p2m->leaving.v++) {
			page_put(mfn_to_page(p2m->leaving));
			left -= MIN(left, HOLES_PER_FRAME);
		}
	} while (left && take_leaf(p2m, next, &left));
	return !p2m->nr_leaving && *next == pt_end(&pt_shape_x86);
}
