/* The dirty log: see p2m_log.h. */
#include "mm/p2m_log.h"
#include <asm/cpu.h>
#include "lib/bits.h"
#include "lib/string.h"
#include "mm/page.h"
#include "mm/pt.h"

static bool is_ram(u64 entry) { return (entry & PT_SW_MASK) == PT_SW(P2M_RAM); }
static bool may_write(u64 entry) { return entry & PT_X86_WRITE; }

static struct page *page_at(u64 entry, unsigned level, u64 gfn)
{
	return mfn_to_page(MFN(pt_target(&pt_shape_x86, entry, level, gfn << PAGE_SHIFT) >> PAGE_SHIFT));
}

/* Finds the leaf of gfn. Returns its slot, or NULL if it isn't RAM. */
static u64 *find_ram(const struct p2m *p2m, gfn_t gfn, u64 *entry, unsigned *level)
{
	u64 *slot = pt_find(&pt_shape_x86, p2m->root, gfn.v << PAGE_SHIFT, entry, level);

	return is_ram(*entry) ? slot : NULL;
}

/* Locks: LOCK_P2M is held. */
static bool make_dirty_locked(struct p2m *p2m, gfn_t gfn)
{
	unsigned level, smallest = 0;
	u64 entry, *slot = find_ram(p2m, gfn, &entry, &level);

	if (!slot)
		return false;
	if (may_write(entry))
		return true;
	/* Splits a large page down to the frame, or lets the guest write to all of it. */
	slot = p2m_slot(p2m, gfn, &smallest) ?: slot;
	pt_write(slot, pt_read(slot) | PT_X86_WRITE);
	return true;
}

bool p2m_make_dirty(struct p2m *p2m, gfn_t gfn)
{
	unsigned level;
	u64 entry, *slot;
	bool ram;

	/*
	 * Only a domain's own vCPUs look without the lock (p2m.h). Most often one entry changes.
	 * The holder of the lock may change it at the same time. If its store comes first, ours
	 * finds another entry. If ours comes first, ours is lost with the old entry.
	 */
	slot = this_cpu()->guest_p2m == p2m ? find_ram(p2m, gfn, &entry, &level) : NULL;
	if (slot && (may_write(entry) || (!level && __atomic_compare_exchange_n(slot, &entry, entry | PT_X86_WRITE, false, __ATOMIC_SEQ_CST, __ATOMIC_RELAXED))))
		return true;
	spin_lock(&p2m->lock);
	ram = make_dirty_locked(p2m, gfn);
	spin_unlock(&p2m->lock);
	return ram;
}

struct page *p2m_get_clean_page(struct p2m *p2m, gfn_t gfn, bool locked)
{
	struct page *pg = NULL;
	unsigned level;
	u64 entry;

	if (!locked)
		spin_lock(&p2m->lock);
	/*
	 * As long as we hold the lock, the entry holds the frame, and nobody cleans it. But its count
	 * may be full.
	 */
	if (make_dirty_locked(p2m, gfn) && find_ram(p2m, gfn, &entry, &level) && page_get(page_at(entry, level, gfn.v)))
		pg = page_at(entry, level, gfn.v);
	if (!locked)
		spin_unlock(&p2m->lock);
	return pg;
}

#define WORDS_AT_ONCE 16u

/* Returns the bits that any of so many words has. */
static inline u64 any_of(const u64 *word)
{
	u64 any = 0;

#pragma GCC unroll 16
	for (unsigned i = 0; i < WORDS_AT_ONCE; i++)
		any |= word[i];
	return any;
}

/*
 * PEEK and CLEAN set the bits of what is dirty, and CLEAN takes the right to write. ALL and OFF give
 * it back. The range has one table of small leaves at `slot`, or a part of one larger leaf. Returns
 * true if a bit is set.
 */
static bool walk_leaves(u64 *slot, unsigned level, enum p2m_log_op op, u64 *dirty)
{
	const u64 wanted = PT_SW(P2M_RAM) | (op >= P2M_LOG_ALL ? 0 : PT_X86_WRITE);
	bool any = false;

	for (u64 n = 0; n < (level ? 1 : P2M_LOG_FRAMES); n++) {
		u64 entry = pt_read(&slot[n]);

		/* Most frames are clean. */
		if (!level && n % WORDS_AT_ONCE == 0 && op < P2M_LOG_ALL && !(any_of(&slot[n]) & PT_X86_WRITE))
			n += WORDS_AT_ONCE - 1;
		if ((entry & (PT_SW_MASK | PT_X86_WRITE)) != wanted)
			continue;
		/* Cleaning leaves a leaf that is larger than the range as it is. */
		if (op >= P2M_LOG_ALL || (op == P2M_LOG_CLEAN && level <= 1))
			pt_write(&slot[n], entry ^ PT_X86_WRITE);
		any = op < P2M_LOG_ALL;
		dirty[n / 64] |= (u64)any << (n % 64);
	}
	if (any && level)
		memset(dirty, 0xff, P2M_LOG_FRAMES / 8);
	return any;
}

/*
 * Makes one large leaf of a table whose leaves are the frames of one. A CPU that knows the table
 * flushes before it enters the guest again, since the generation is raised.
 */
static void join_leaves(struct p2m *p2m, gfn_t gfn, u64 *table)
{
	u64 n = 0, pa = table[0] & pt_shape_x86.addr, *slot = pt_index(&pt_shape_x86, p2m->root.v << PAGE_SHIFT, gfn.v << PAGE_SHIFT, 3);

	while (n < P2M_LOG_FRAMES && table[n] == table[0] + n * PAGE_SIZE)
		n++;
	if (n < P2M_LOG_FRAMES || !is_ram(table[0]) || pa % MiB(2) || !(p2m_format->sizes & PT_2M))
		return;
	for (unsigned level = 2; level; level--)
		slot = pt_index(&pt_shape_x86, pt_read(slot) & pt_shape_x86.addr, gfn.v << PAGE_SHIFT, level);
	pt_write(slot, pt_leaf(p2m_format, pa, 1, PT_WRITE | PT_EXEC) | PT_SW(P2M_RAM));
	__atomic_add_fetch(&p2m->tlb_gen, 1, __ATOMIC_SEQ_CST);
	p2m->table_pages--;
	page_free_virt(table);
}

u64 p2m_log_step(struct p2m *p2m, gfn_t gfn, enum p2m_log_op op, u64 dirty[P2M_LOG_FRAMES / 64])
{
	u64 entry, count = 0, *slot;
	unsigned level;
	bool any;

	memset(dirty, 0, P2M_LOG_FRAMES / 8);
	spin_lock(&p2m->lock);
	slot = pt_find(&pt_shape_x86, p2m->root, gfn.v << PAGE_SHIFT, &entry, &level);
	any = walk_leaves(slot, level, op, dirty);
	/*
	 * Another holder took its reference by a look-up that found the entry with the right to
	 * write. It looks at the entry or at the generation again behind that. Either it sees the
	 * change, or we see its reference.
	 */
	if (any && op == P2M_LOG_CLEAN)
		__atomic_add_fetch(&p2m->tlb_gen, 1, __ATOMIC_SEQ_CST);
	for (u64 i = 0; any && i < P2M_LOG_FRAMES; i += 64)
		for (u64 left = dirty[i / 64]; left; left &= left - 1, count++) {
			u64 n = i + lowest_bit(left);

			if (op == P2M_LOG_CLEAN && __atomic_load_n(&page_at(level ? entry : slot[n], level, gfn.v + n)->count, __ATOMIC_SEQ_CST) > 1)
				make_dirty_locked(p2m, GFN(gfn.v + n));
		}
	if (op == P2M_LOG_OFF && !level)
		join_leaves(p2m, gfn, slot);
	spin_unlock(&p2m->lock);
	return count;
}

bool p2m_log_is_zero(const u64 *frame)
{
	for (u64 n = 0; n < PAGE_SIZE / 8; n += WORDS_AT_ONCE)
		if (any_of(&frame[n]))
			return false;
	return true;
}

void p2m_log_look(struct p2m *p2m, u64 *gfns, u64 n, const u64 *words, bool may_skip)
{
	u64 entry = 0, found = ~0ull, *table = NULL;
	unsigned level = 1, shift = 0;

	spin_lock(&p2m->lock);
	for (u64 i = 0; i < n; i++) {
		u64 gfn = gfns[i];

		/* One walk finds a table of small leaves, or a larger leaf or hole. */
		if (gfn < P2M_MAX_GFN && (gfn ^ found) >> shift) {
			table = pt_find(&pt_shape_x86, p2m->root, gfn << PAGE_SHIFT, &entry, &level) - gfn % P2M_LOG_FRAMES;
			shift = MAX(level, 1u) * pt_shape_x86.bits;
			found = gfn;
		}
		if (!level)
			entry = pt_read(&table[gfn % P2M_LOG_FRAMES]);
		gfns[i] = words[gfn >= P2M_MAX_GFN || !is_ram(entry) ? P2M_LOG_NOTHING :
				may_skip && p2m_log_is_zero(page_to_virt(page_at(entry, level, gfn))) ? P2M_LOG_ZEROS : P2M_LOG_BYTES];
	}
	spin_unlock(&p2m->lock);
}
