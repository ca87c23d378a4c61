/*
 * Building and changing page tables of any format: the part of the walker that need not be inline.
 */
#include "mm/pt.h"

/*
 * x86 paging entries: APM, "Page-Translation-Table Entry Fields", 5.4; SDM vol. 3, "4-Level Paging
 * and 5-Level Paging", 4.5.
 */
#define X86_P   BIT(0)
#define X86_RW  PT_X86_WRITE
#define X86_US  BIT(2)
#define X86_PWT BIT(3)
#define X86_PCD BIT(4)
#define X86_A   BIT(5)
#define X86_D   BIT(6)
#define X86_PS  BIT(7)
#define X86_NX  BIT(63)

/*
 * Accessed and dirty are set from the start, so the CPU never writes to our tables: only our code
 * changes an entry.
 */
#define X86_TABLE (X86_P | X86_RW | X86_A)
#define X86_LEAF  (X86_P | X86_A | X86_D)

const struct pt_format pt_x86_64 = {
	.shape = PT_SHAPE_X86,
	.sizes = PT_4K | PT_2M | PT_1G,
	.table = { 0, X86_TABLE, X86_TABLE, X86_TABLE },
	.leaf = { X86_LEAF, X86_LEAF | X86_PS, X86_LEAF | X86_PS },
	.flag = { { .on = X86_RW }, { .off = X86_NX }, { .on = X86_PCD | X86_PWT } },
};

/*
 * PT_DEVICE adds nothing: the machine's MTRRs, which nested paging honours (APM, "Combining Memory
 * Types, MTRRs", 15.25.8), know where device memory is.
 */
const struct pt_format pt_npt = {
	.shape = PT_SHAPE_X86,
	.sizes = PT_4K | PT_2M | PT_1G,
	.table = { 0, X86_TABLE | X86_US, X86_TABLE | X86_US, X86_TABLE | X86_US },
	.leaf = { X86_LEAF | X86_US, X86_LEAF | X86_US | X86_PS, X86_LEAF | X86_US | X86_PS },
	.flag = { { .on = X86_RW }, { .off = X86_NX }, { 0, 0 } },
};

/*
 * EPT entries: SDM vol. 3, "EPT Translation Mechanism", 29.3.2. Accessed and dirty are set for the
 * same reason, although we don't tell the CPU to use them.
 */
#define EPT_R      BIT(0)
#define EPT_W      PT_X86_WRITE
#define EPT_X      BIT(2)
#define EPT_WB     (6ull << 3)
#define EPT_PS     BIT(7)
#define EPT_A      BIT(8)
#define EPT_D      BIT(9)
#define EPT_TABLE  (EPT_R | EPT_W | EPT_X)
#define EPT_LEAF   (EPT_R | EPT_A | EPT_D)

/*
 * Device memory is uncached (type 0), unless the guest's PAT says write combining. RAM has the type
 * of the guest's PAT (SDM vol. 3, "Memory Type Used for Translated Guest-Physical Addresses",
 * 29.3.7.2).
 */
const struct pt_format pt_ept = {
	.shape = PT_SHAPE_X86,
	.sizes = PT_4K | PT_2M | PT_1G,
	.table = { 0, EPT_TABLE, EPT_TABLE, EPT_TABLE },
	.leaf = { EPT_LEAF, EPT_LEAF | EPT_PS, EPT_LEAF | EPT_PS },
	.flag = { { .on = EPT_W }, { .on = EPT_X }, { .off = EPT_WB } },
};

static u64 *new_table(struct pt *pt)
{
	u64 *table = pt->alloc();

	if (table && pt->tables)
		++*pt->tables;
	return table;
}

int pt_init(struct pt *pt, const struct pt_format *fmt, void *(*alloc)(void), u64 *tables)
{
	u64 *root;

	*pt = (struct pt){ .fmt = fmt, .alloc = alloc, .tables = tables };
	root = new_table(pt);
	if (!root)
		return -ENOMEM;
	pt->root = virt_to_mfn(root);
	return 0;
}

static void release_table(struct pt *pt, void *table, void (*release)(void *table))
{
	release(table);
	if (pt->tables)
		--*pt->tables;
}

/*
 * Unlinks and gives back the tables below the root whose range ends at `end`, lowest first. All
 * their entries are empty. Returns their number.
 */
static unsigned release_ended(struct pt *pt, u64 end, void (*release)(void *table))
{
	const struct pt_shape *s = &pt->fmt->shape;
	unsigned nr = 0;

	for (unsigned level = 1; level < s->levels && !(end & (BIT(pt_shift(s, level)) - 1)); level++) {
		unsigned l = s->levels - 1u;
		u64 entry, *slot = pt_index(s, pt->root.v << PAGE_SHIFT, end - 1, l);

		for (entry = *slot; l > level && pt_is_table(s, entry, l); entry = *slot)
			slot = pt_index(s, entry & s->addr, end - 1, --l);
		if (l > level || !pt_is_table(s, entry, level))
			continue;
		pt_write(slot, 0);
		release_table(pt, phys_to_virt(entry & s->addr), release);
		nr++;
	}
	return nr;
}

/*
 * Costs in empty slots, of some 35 instructions each. A leaf takes a walk of its own; to unlink and
 * free a table takes more.
 */
#define SLOTS_PER_LEAF  6
#define SLOTS_PER_TABLE 16

u64 pt_take_next(struct pt *pt, u64 *at, u64 *left, unsigned *level, void (*release)(void *table))
{
	const struct pt_shape *s = &pt->fmt->shape;
	u64 entry = 0, end = pt_end(s), *slot = NULL;

	while (!entry && *left && *at < end) {
		u64 used = 1;

		/*
		 * We walk to the first slot of a table and to the slot after a leaf. From there the
		 * next slot is one step away.
		 */
		if (!slot)
			slot = pt_find(s, pt->root, *at, &entry, level);
		else if (pt_is_table(s, *slot, *level)) {
			slot = NULL;
			continue;
		} else {
			entry = *slot;
		}
		if (entry) {
			pt_write(slot, 0);
			used = SLOTS_PER_LEAF;
		}
		*at += BIT(pt_shift(s, *level));
		if (((uintptr_t)++slot & ~PAGE_MASK) == 0) {
			used += SLOTS_PER_TABLE * release_ended(pt, *at, release);
			slot = NULL;
		}
		*left -= MIN(*left, used);
	}
	return entry;
}

void pt_destroy(struct pt *pt, void (*release)(void *table))
{
	BUG_ON(pt->tables && *pt->tables != 1);
	release_table(pt, mfn_to_virt(pt->root), release);
	pt->root = INVALID_MFN;
}

static u64 flag_bits(const struct pt_format *fmt, u32 flags)
{
	u64 bits = 0;

#pragma GCC unroll 3
	for (unsigned i = 0; i < PT_FLAGS; i++)
		bits |= flags & (1u << i) ? fmt->flag[i].on : fmt->flag[i].off;
	return bits;
}

/* Returns every bit that depends on flags. */
static u64 flag_mask(const struct pt_format *fmt)
{
	return flag_bits(fmt, ~0u) | flag_bits(fmt, 0);
}

u64 pt_leaf(const struct pt_format *fmt, paddr_t pa, unsigned level, u32 flags)
{
	return fmt->leaf[level] | flag_bits(fmt, flags) | pa;
}

/*
 * Puts a table where `slot` at `level` has a leaf or nothing. A leaf becomes the same mapping in
 * smaller leaves, complete before the one store that links the table in. So a walk meets the old
 * leaf or the new table, and finds the same frames in both.
 */
static u64 put_table(struct pt *pt, u64 *slot, unsigned level)
{
	const struct pt_format *fmt = pt->fmt;
	u64 old = pt_read(slot), step = BIT(pt_shift(&fmt->shape, level - 1)), nr = BIT(fmt->shape.bits);
	u64 *table = new_table(pt);
	u64 entry;

	if (!table)
		return 0;
	if (pt_present(&fmt->shape, old)) {
		entry = fmt->leaf[level - 1] | (old & (flag_mask(fmt) | PT_SW_MASK)) | pt_target(&fmt->shape, old, level, 0);
		for (u64 i = 0; i < nr; i++, entry += step)
			table[i] = entry;
	}
	if (pt->written)
		pt->written(table, PAGE_SIZE);
	entry = fmt->table[level] | virt_to_phys(table);
	pt_put(pt, slot, entry);
	return entry;
}

u64 *pt_slot(struct pt *pt, u64 addr, unsigned *level)
{
	const struct pt_shape *s = &pt->fmt->shape;
	u64 table = pt->root.v << PAGE_SHIFT;

	for (unsigned l = s->levels - 1u;; l--) {
		u64 *slot = pt_index(s, table, addr, l);
		u64 entry = pt_read(slot);

		if (!pt_is_table(s, entry, l)) {
			if (l <= *level) {
				*level = l;
				return slot;
			}
			entry = put_table(pt, slot, l);
			if (!entry)
				return NULL;
		}
		table = entry & s->addr;
	}
}

static bool range_ok(const struct pt *pt, u64 addr, u64 size)
{
	const struct pt_shape *s = &pt->fmt->shape;

	/*
	 * Our own addresses are sign-extended. Only the bits that the tree decodes count, and a
	 * range must not end beyond these.
	 */
	addr &= BIT(pt_shift(s, s->levels)) - 1;
	return !((addr | size) & ~PAGE_MASK) && size <= BIT(pt_shift(s, s->levels)) - addr;
}

/*
 * Returns the highest level whose pages fit at `where` (an address, or several or-ed together) and
 * into `size`.
 */
static unsigned best_level(const struct pt_format *fmt, u64 where, u64 size, u32 sizes)
{
	unsigned level = fmt->shape.levels - 1u;

	for (; level; level--) {
		u64 page = BIT(pt_shift(&fmt->shape, level));

		if ((sizes & fmt->sizes & (1u << level)) && !(where & (page - 1)) && size >= page)
			break;
	}
	return level;
}

int pt_map(struct pt *pt, u64 addr, paddr_t pa, u64 size, u32 flags, u32 sizes)
{
	if (!range_ok(pt, addr, size) || (pa & ~pt->fmt->shape.addr))
		return -EINVAL;
	while (size) {
		unsigned level = best_level(pt->fmt, addr | pa, size, sizes);
		u64 *slot = pt_slot(pt, addr, &level);
		u64 page = BIT(pt_shift(&pt->fmt->shape, level));

		if (!slot)
			return -ENOMEM;
		pt_put(pt, slot, pt_leaf(pt->fmt, pa, level, flags));
		addr += page;
		pa += page;
		size -= page;
	}
	return 0;
}

int pt_protect(struct pt *pt, u64 addr, u64 size, u32 flags)
{
	const struct pt_shape *s = &pt->fmt->shape;
	u64 keep = ~flag_mask(pt->fmt), set = flag_bits(pt->fmt, flags);

	if (!range_ok(pt, addr, size))
		return -EINVAL;
	while (size) {
		unsigned level;
		u64 entry, skip;
		u64 *slot = pt_find(s, pt->root, addr, &entry, &level);

		/* Skip to the end of the range of an empty slot. */
		if (!pt_present(s, entry)) {
			skip = BIT(pt_shift(s, level)) - (addr & (BIT(pt_shift(s, level)) - 1));
			skip = MIN(skip, size);
		} else {
			level = best_level(pt->fmt, addr, size, pt->fmt->sizes);
			slot = pt_slot(pt, addr, &level);
			if (!slot)
				return -ENOMEM;
			pt_write(slot, (pt_read(slot) & keep) | set);
			skip = BIT(pt_shift(s, level));
		}
		addr += skip;
		size -= skip;
	}
	return 0;
}

paddr_t pt_lookup(const struct pt *pt, u64 addr, u64 *entry)
{
	unsigned level;
	u64 e;

	pt_find(&pt->fmt->shape, pt->root, addr, &e, &level);
	if (entry)
		*entry = e;
	return pt_present(&pt->fmt->shape, e) ? pt_target(&pt->fmt->shape, e, level, addr) : ~0ull;
}
