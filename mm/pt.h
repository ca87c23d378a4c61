/*
 * The one radix page-table walker. The formats (our own tables, nested tables, later those of
 * IOMMUs) are data: a shape says how to read an entry, and a format adds how to write one. A table,
 * once linked in, stays as long as somebody may walk; the owner sees to that. So walks need no lock.
 * Changes need the owner's lock.
 */
#ifndef MM_PT_H
#define MM_PT_H

#include <asm/page.h>

#define PT_LEVELS_MAX 5

/*
 * The permitted uses of a mapping. Reading is always allowed. PT_DEVICE: device memory; the formats
 * that have to make it uncached do so.
 */
enum { PT_WRITE = 1, PT_EXEC = 2, PT_DEVICE = 4 };
#define PT_FLAGS 3

/* Sizes of leaves, as a mask of levels. */
enum { PT_4K = 1, PT_2M = 2, PT_1G = 4 };

/*
 * Bits that every format leaves to software. The owner of a tree remembers a value from 0 to 7 with
 * each leaf.
 */
#define PT_SW_SHIFT 52
#define PT_SW(n)    ((u64)(n) << PT_SW_SHIFT)
#define PT_SW_MASK  PT_SW(7)

/*
 * A shape says how to read. An entry above level 0 is a leaf if (entry & leaf_mask) == leaf_value.
 */
struct pt_shape {
	u8 levels;              /* the root is at level levels - 1, the smallest pages at level 0 */
	u8 bits;                /* bits of the address that each level decodes */
	u64 present;            /* an entry without any of these is empty */
	u64 addr;               /* bits that hold the frame's address */
	u64 leaf_mask, leaf_value;
};

/* A format adds how to write, for each level or each flag. */
struct pt_format {
	struct pt_shape shape;
	u8 sizes;                       /* levels where leaves may stand */
	u64 table[PT_LEVELS_MAX];       /* bits of an entry that points to a table */
	u64 leaf[PT_LEVELS_MAX];        /* bits of every leaf */
	/* bits to set if the PT_* flag is given, or isn't */
	struct { u64 on, off; } flag[PT_FLAGS];
};

/*
 * x86-64, NPT and EPT entries are read alike: bit 0 is set in each entry that we make, and bit 7
 * marks large pages.
 */
#define PT_SHAPE_X86 { .levels = 4, .bits = 9, .present = BIT(0), .addr = 0x000ffffffffff000ull, .leaf_mask = BIT(7), .leaf_value = BIT(7) }
/* They say alike, too, that a leaf may be written. */
#define PT_X86_WRITE BIT(1)
static const struct pt_shape pt_shape_x86 __unused = PT_SHAPE_X86;

extern const struct pt_format pt_x86_64;    /* Bothy's own paging: supervisor pages */
/* AMD nested paging (APM, "Nested Paging", 15.25): guest accesses are user accesses */
extern const struct pt_format pt_npt;
/* Intel's extended page tables (SDM vol. 3, "The Extended Page Table Mechanism (EPT)", 29.3) */
extern const struct pt_format pt_ept;

struct pt {
	mfn_t root;
	const struct pt_format *fmt;
	void *(*alloc)(void);   /* a zeroed page by its address in the direct map, or NULL */
	u64 *tables;            /* counts the pages taken, the root included; may be NULL */
	/*
	 * Called after each store to a table, for walkers that don't see the CPU's caches; or NULL.
	 */
	void (*written)(const void *at, size_t bytes);
};

/* Acquire: a walk that sees a new table sees its entries too. */
static inline u64 pt_read(const u64 *slot) { return __atomic_load_n(slot, __ATOMIC_ACQUIRE); }
/*
 * Release: a walk that sees the entry also sees everything written before, such as a new table's
 * entries.
 */
static inline void pt_write(u64 *slot, u64 entry) { __atomic_store_n(slot, entry, __ATOMIC_RELEASE); }

/* Writes an entry of *pt, and calls `written`. */
static inline void pt_put(const struct pt *pt, u64 *slot, u64 entry)
{
	pt_write(slot, entry);
	if (pt->written)
		pt->written(slot, sizeof(entry));
}

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

/* Returns the machine address of `addr` if the leaf `entry` at `level` maps it. */
static inline paddr_t pt_target(const struct pt_shape *s, u64 entry, unsigned level, u64 addr)
{
	u64 offset = BIT(pt_shift(s, level)) - 1;

	return (entry & s->addr & ~offset) | (addr & offset);
}

/*
 * Returns the slot where the walk for `addr` ends, its entry (a leaf or empty) and its level. Takes
 * no lock, and is inline: with a constant shape it becomes the straight loop that hot paths want.
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

/* Makes a new empty tree. Returns 0. Errors: -ENOMEM if there is no memory for the root. */
int pt_init(struct pt *pt, const struct pt_format *fmt, void *(*alloc)(void), u64 *tables);
/*
 * Takes the tree down from the left, a part at a time. Empties the slots from the address *at (0
 * first) on, up to and including the next leaf. Gives each finished table back through `release`,
 * by its address in the direct map; the root stays. Returns the leaf and its *level. Returns 0 if
 * *left, which counts slots and tables, is used up, or if *at is the tree's end and only the root
 * is left.
 */
u64 pt_take_next(struct pt *pt, u64 *at, u64 *left, unsigned *level, void (*release)(void *table));
/* Gives the root back, which must be the only table left. */
void pt_destroy(struct pt *pt, void (*release)(void *table));
/* Returns the first address beyond the tree. */
static inline u64 pt_end(const struct pt_shape *s) { return BIT(PAGE_SHIFT + s->bits * s->levels); }
/* Returns the entry for a leaf at `level` that maps memory at `pa`. */
u64 pt_leaf(const struct pt_format *fmt, paddr_t pa, unsigned level, u32 flags);
/*
 * Returns the slot for a leaf at *level. If a table is there already, the slot is below, and *level
 * says where. Makes missing tables and splits larger leaves on the way. Returns NULL if there is no
 * memory for that; the tree then still maps the same.
 */
u64 *pt_slot(struct pt *pt, u64 addr, unsigned *level);

/*
 * Maps [addr, addr+size) to pa; all are in bytes and page-aligned. Uses the largest pages that
 * alignment and `sizes` allow (PT_4K always) and replaces earlier mappings. The caller flushes
 * TLBs. Returns 0. Errors: -EINVAL if not aligned or beyond the tree; -ENOMEM if there is no memory
 * for a table (done in part).
 */
int pt_map(struct pt *pt, u64 addr, paddr_t pa, u64 size, u32 flags, u32 sizes);
/*
 * Gives all mappings in the range other flags. Empty slots stay empty, and software bits stay.
 * Returns 0. Errors: as pt_map.
 */
int pt_protect(struct pt *pt, u64 addr, u64 size, u32 flags);
/*
 * Returns the machine address of addr, or ~0. *entry gets the entry that maps it; `entry` may be
 * NULL.
 */
paddr_t pt_lookup(const struct pt *pt, u64 addr, u64 *entry);

#endif
