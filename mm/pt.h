/*
 * The one radix page-table walker. What differs between the host's tables, nested tables and (later) those of the IOMMUs is
 * data: a shape that says how to read an entry, and a format that adds how to write one. A table, once linked in, stays
 * until the tree is taken down, so walks need no lock before that; changes need the owner's.
 */
#ifndef MM_PT_H
#define MM_PT_H

#include <asm/page.h>

#define PT_LEVELS_MAX 5

/* What a mapping may be used for. Reading is always allowed. */
enum { PT_WRITE = 1, PT_EXEC = 2, PT_DEVICE = 4 };  /* PT_DEVICE: device memory; formats that must, make it uncached */
#define PT_FLAGS 3

/* Sizes of leaves, as a mask of levels. */
enum { PT_4K = 1, PT_2M = 2, PT_1G = 4 };

/* Bits that every format leaves to software, for what the owner of the tree wants to remember with a leaf: 0 to 7. */
#define PT_SW_SHIFT 52
#define PT_SW(n)    ((u64)(n) << PT_SW_SHIFT)
#define PT_SW_MASK  PT_SW(7)

/* How to read. An entry above level 0 is a leaf if (entry & leaf_mask) == leaf_value. */
struct pt_shape {
	u8 levels;              /* the root is at level levels - 1, the smallest pages at level 0 */
	u8 bits;                /* of the address that each level takes */
	u64 present;            /* an entry without any of these is empty */
	u64 addr;               /* bits that hold the frame's address */
	u64 leaf_mask, leaf_value;
};

/* How to write, for each level or each flag. */
struct pt_format {
	struct pt_shape shape;
	u8 sizes;                       /* levels where leaves may stand */
	u64 table[PT_LEVELS_MAX];       /* bits of an entry that points to a table */
	u64 leaf[PT_LEVELS_MAX];        /* bits of every leaf */
	struct { u64 on, off; } flag[PT_FLAGS]; /* bits for each PT_* flag that is there, or isn't */
};

/* x86-64, NPT and EPT entries are read alike: bit 0 is set in each entry that we make, bit 7 tells large pages. */
#define PT_SHAPE_X86 { .levels = 4, .bits = 9, .present = BIT(0), .addr = 0x000ffffffffff000ull, .leaf_mask = BIT(7), .leaf_value = BIT(7) }
static const struct pt_shape pt_shape_x86 __unused = PT_SHAPE_X86;

extern const struct pt_format pt_x86_64;    /* the host's own paging: supervisor pages */
extern const struct pt_format pt_npt;       /* AMD nested paging (APM 15.25): guest accesses are user accesses */
extern const struct pt_format pt_ept;       /* Intel's extended page tables (SDM 29.3) */

struct pt {
	mfn_t root;
	const struct pt_format *fmt;
	void *(*alloc)(void);   /* a zeroed page by its address in the direct map, or NULL */
	u64 *tables;            /* counts the pages taken, the root included; may be NULL */
};

static inline u64 pt_read(const u64 *slot) { return __atomic_load_n(slot, __ATOMIC_ACQUIRE); }
/* One store, and everything written before (a new table's entries) is seen before it. */
static inline void pt_write(u64 *slot, u64 entry) { __atomic_store_n(slot, entry, __ATOMIC_RELEASE); }

static inline unsigned pt_shift(const struct pt_shape *s, unsigned level) { return PAGE_SHIFT + s->bits * level; }
static inline bool pt_present(const struct pt_shape *s, u64 entry) { return entry & s->present; }
static inline u64 *pt_index(const struct pt_shape *s, u64 table, u64 addr, unsigned level)
{
	return (u64 *)phys_to_virt(table) + ((addr >> pt_shift(s, level)) & (BIT(s->bits) - 1));
}

static inline bool pt_is_table(const struct pt_shape *s, u64 entry, unsigned level)
{
	return level && pt_present(s, entry) && (entry & s->leaf_mask) != s->leaf_value;
}

/* Machine address of `addr` if the leaf `entry` at `level` maps it. */
static inline paddr_t pt_target(const struct pt_shape *s, u64 entry, unsigned level, u64 addr)
{
	u64 offset = BIT(pt_shift(s, level)) - 1;

	return (entry & s->addr & ~offset) | (addr & offset);
}

/*
 * The slot where the walk for `addr` ends, its entry (a leaf or empty) and level. Lock-free and inline: with a constant
 * shape it is the straight loop that hot paths want.
 */
static inline __attribute__((always_inline)) u64 *pt_find(const struct pt_shape *s, mfn_t root, u64 addr, u64 *entry, unsigned *level)
{
	u64 *slot = pt_index(s, root.v << PAGE_SHIFT, addr, s->levels - 1u);

#pragma GCC unroll 4
	for (*level = s->levels - 1u; *level > 0; --*level) {
		*entry = pt_read(slot);
		if (!pt_is_table(s, *entry, *level))
			return slot;
		slot = pt_index(s, *entry & s->addr, addr, *level - 1);
	}
	*entry = pt_read(slot);
	return slot;
}

/* A new empty tree. -ENOMEM. */
int pt_init(struct pt *pt, const struct pt_format *fmt, void *(*alloc)(void), u64 *tables);
/*
 * Takes the tree down from the left, a part at a time: makes the slots from the address *at on (0 first) empty, up to the next leaf, and gives
 * each table that is done with back through `release`, by its address in the direct map; the root stays. Returns the leaf and its
 * *level, or 0: *left is used up (it counts slots and tables), or *at is the tree's end, and the root is all that is left.
 */
u64 pt_take_next(struct pt *pt, u64 *at, u64 *left, unsigned *level, void (*release)(void *table));
/* Gives back the root, the only table that is left. */
void pt_destroy(struct pt *pt, void (*release)(void *table));
static inline u64 pt_end(const struct pt_shape *s) { return BIT(PAGE_SHIFT + s->bits * s->levels); }
/* The entry for a leaf at `level` of memory at `pa`. */
u64 pt_leaf(const struct pt_format *fmt, paddr_t pa, unsigned level, u32 flags);
/*
 * The slot for a leaf at *level, or below if a table is there already (*level says); missing tables are made and larger leaves
 * split on the way. NULL if there is no memory for that; what the tree maps has not changed then.
 */
u64 *pt_slot(struct pt *pt, u64 addr, unsigned *level);

/*
 * Ranges in bytes, page-aligned. Each is done with the largest pages that alignment and `sizes` (PT_4K is implied) permit; what was
 * mapped there is replaced. The caller flushes TLBs. -EINVAL: not aligned, or beyond the tree. -ENOMEM: done in part.
 */
int pt_map(struct pt *pt, u64 addr, paddr_t pa, u64 size, u32 flags, u32 sizes);
/* Gives what is mapped in the range other flags; empty stays empty, software bits stay. */
int pt_protect(struct pt *pt, u64 addr, u64 size, u32 flags);
/* Machine address of addr, or ~0. *entry (may be NULL) is what maps it. */
paddr_t pt_lookup(const struct pt *pt, u64 addr, u64 *entry);

#endif
