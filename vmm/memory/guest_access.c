/*
 * The only way to the memory behind a guest's pointer. The pointer has a meaning only through the
 * guest's own page tables, which it may change while we read them. So each entry is read once, and
 * every address in it goes through the p2m. Data is copied only with a reference to its frame held.
 * A walk remembered from an earlier call is compared with the tables before it is used.
 */
#include "vmm/memory/guest_access.h"
#include <asm/hvm.h>
#include <asm/insn.h>
#include "lib/string.h"
#include "mm/page.h"
#include "mm/pt.h"
#include "vmm/domain.h"
#include "vmm/vcpu.h"

#define PTE_P    BIT(0)
#define PTE_RW   BIT(1)
#define PTE_A    BIT(5)
#define PTE_D    BIT(6)
#define PTE_PS   BIT(7)

/*
 * A format of guest page tables (APM, "Legacy-Mode Page Translation", 5.2, and "Long-Mode Page
 * Translation", 5.3). User/supervisor bits and SMAP are ignored: abi.md A.6.
 */
struct paging_mode {
	u8 levels, bits;
	u8 entry;               /* bytes per entry */
	u8 large;               /* mask of levels where PTE_PS makes a leaf */
	u8 rights;              /* mask of levels whose entries have R/W and A bits */
	u64 root;               /* bits of CR3 that count */
	u64 addr;               /* bits of an entry that hold an address */
};

#define LEVELS_MAX 4

#define ADDR_64 0x000ffffffffff000ull

static const struct paging_mode mode_long = { 4, 9, 8, BIT(1) | BIT(2), 0xf, ADDR_64, ADDR_64 };
/* The four entries at the root have no rights. Their table starts at any multiple of 32 bytes. */
static const struct paging_mode mode_pae = { 3, 9, 8, BIT(1), 0x3, 0xffffffe0, ADDR_64 };
static const struct paging_mode mode_pse = { 2, 10, 4, BIT(1), 0x3, 0xfffff000, 0xfffff000 };
static const struct paging_mode mode_32 = { 2, 10, 4, 0, 0x3, 0xfffff000, 0xfffff000 };

/*
 * Sets bits in a guest's page-table entry unless it has changed since `old` was read, as the CPU's
 * own walk does. Returns true if the bits are set.
 */
static __noinline bool mark_entry(struct domain *d, u64 gpa, u64 old, u64 bits, unsigned size)
{
	struct page *pg = p2m_get_page(&d->p2m, GFN(gpa >> PAGE_SHIFT), NULL, true);
	bool done = false;
	void *entry;

	if (!pg)
		return false;
	entry = (u8 *)page_to_virt(pg) + (gpa & ~PAGE_MASK);
	if (size == 8) {
		done = __atomic_compare_exchange_n((u64 *)entry, &old, old | bits, false, __ATOMIC_SEQ_CST, __ATOMIC_RELAXED);
	} else {
		u32 old32 = (u32)old;

		done = __atomic_compare_exchange_n((u32 *)entry, &old32, old32 | (u32)bits, false, __ATOMIC_SEQ_CST, __ATOMIC_RELAXED);
	}
	page_put(pg);
	return done;
}

/*
 * Reads one entry, of 4 or 8 bytes, of a guest's table. Returns the place of the eight bytes that
 * hold it, or NULL.
 */
static inline const u64 *read_entry(struct domain *d, u64 gpa, unsigned size, u64 *entry)
{
	const u64 *at = p2m_read_u64(&d->p2m, (gpa_t){ gpa & ~7ull }, entry);

	if (at && size == 4)
		*entry = (u32)(*entry >> (gpa & 4 ? 32 : 0));
	return at;
}

/*
 * Returns the guest-physical address to which a leaf at `level` maps gva. 4-MiB pages carry address
 * bits 39:32 in bits 20:13 (PSE-36).
 */
static inline u64 leaf_target(const struct paging_mode *m, u64 entry, unsigned level, u64 gva)
{
	u64 offset = BIT(PAGE_SHIFT + m->bits * level) - 1;
	u64 high = level && m->entry == 4 ? (entry & 0x1fe000) << 19 : 0;

	return (entry & m->addr & ~offset) | high | (gva & offset);
}

enum step { STEP_DOWN, STEP_LEAF, STEP_FAULT };

/*
 * An entry may change under the walk this often. Then the walk fails: the guest races with itself.
 */
#define WALK_TRIES 16

#define always_inline inline __attribute__((always_inline))

/* One level of the walk: *table becomes the next table's address, or the target's. */
static always_inline enum step walk_level(struct domain *d, const struct paging_mode *m, unsigned level, u64 gva, bool write, u64 *table,
					  struct guest_walk *record)
{
	u64 index = (gva >> (PAGE_SHIFT + m->bits * level)) & (BIT(m->bits) - 1);
	u64 at = *table + index * m->entry;
	bool rights = m->rights & BIT(level);

	for (unsigned i = 0; i < WALK_TRIES; i++) {
		u64 entry, bits = 0;
		bool leaf;
		const u64 *slot = read_entry(d, at, m->entry, &entry);

		if (!slot || !(entry & PTE_P))
			return STEP_FAULT;
		if (rights && write && !(entry & PTE_RW))
			return STEP_FAULT;
		leaf = !level || ((m->large & BIT(level)) && (entry & PTE_PS));
		if (rights)
			bits = leaf && write ? PTE_A | PTE_D : PTE_A;
		if (unlikely(~entry & bits) && !mark_entry(d, at, entry, bits, m->entry))
			continue;
		/* A leaf above level 0 fills the places below it in the record, too. */
		for (unsigned l = leaf ? 0 : level; record && l <= level; l++) {
			record->slot[l] = slot;
			record->entry[l] = entry | bits;
		}
		*table = leaf ? leaf_target(m, entry, level, gva) : entry & m->addr;
		return leaf ? STEP_LEAF : STEP_DOWN;
	}
	return STEP_FAULT;
}

static always_inline int walk_tables(struct domain *d, const struct paging_mode *m, u64 cr3, u64 gva, bool write,
				     u64 *gpa, struct guest_walk *record)
{
	u64 table = cr3 & m->root;

#pragma GCC unroll 4
	for (unsigned level = LEVELS_MAX; level > 0; level--) {
		enum step step;

		if (level > m->levels)
			continue;
		step = walk_level(d, m, level - 1, gva, write, &table, record);
		if (step == STEP_FAULT)
			return -EFAULT;
		if (step == STEP_LEAF)
			break;
	}
	*gpa = table;
	return 0;
}

/* Walks the tables of a 64-bit guest; `record`, if not NULL, gets the entries on the way. */
static int walk_long(struct domain *d, u64 cr3, u64 gva, bool write, u64 *gpa, struct guest_walk *record)
{
	/* Canonical: bits 63:47 all alike. */
	if ((u64)((s64)(gva << 16) >> 16) != gva)
		return -EFAULT;
	return walk_tables(d, &mode_long, cr3, gva, write, gpa, record);
}

/* Only firmware and boot code uses 32-bit modes, so one body for all of them is fast enough. */
static int translate_32(struct vcpu *v, u64 gva, bool write, u64 *gpa)
{
	const struct paging_mode *m = &mode_32;
	u64 cr4 = hvm_get_cr(v, HVM_CR4);

	if (gva >> 32)
		return -EFAULT;
	if (!(hvm_get_cr(v, HVM_CR0) & CR0_PG)) {
		*gpa = gva;
		return 0;
	}
	if (cr4 & CR4_PAE)
		m = &mode_pae;
	else if (cr4 & CR4_PSE)
		m = &mode_pse;
	return walk_tables(v->domain, m, hvm_get_cr(v, HVM_CR3), gva, write, gpa, NULL);
}

int guest_translate(struct vcpu *v, u64 gva, bool write, u64 *gpa)
{
	if (!(hvm_get_cr(v, HVM_EFER) & EFER_LMA))
		return translate_32(v, gva, write, gpa);
	return walk_long(v->domain, hvm_get_cr(v, HVM_CR3), gva, write, gpa, NULL);
}

/* Would the walk that `w` remembers go the same way now? */
static always_inline bool still_true(const struct guest_walk *w)
{
	return pt_read(w->slot[3]) == w->entry[3] && pt_read(w->slot[2]) == w->entry[2] &&
	       pt_read(w->slot[1]) == w->entry[1] && pt_read(w->slot[0]) == w->entry[0];
}

/* Returns the frame behind gva by a full walk, with a reference, or NULL. *w remembers the walk. */
static struct page *page_by_walk(struct vcpu *v, u64 cr3, u64 gva, bool write, struct guest_walk *w)
{
	struct domain *d = v->domain;
	u64 gpa, generation = p2m_generation(&d->p2m);
	struct page *pg;

	w->generation = 0;
	if (walk_long(d, cr3, gva, write, &gpa, w))
		return NULL;
	pg = p2m_get_page(&d->p2m, GFN(gpa >> PAGE_SHIFT), NULL, write);
	if (!pg)
		return NULL;
	w->cr3 = cr3;
	w->page = gva >> PAGE_SHIFT;
	w->write = write;
	w->target = pg;
	w->generation = generation;
	return pg;
}

static struct page *page_32(struct vcpu *v, u64 gva, bool write)
{
	u64 gpa;

	if (translate_32(v, gva, write, &gpa))
		return NULL;
	return p2m_get_page(&v->domain->p2m, GFN(gpa >> PAGE_SHIFT), NULL, write);
}

/*
 * Returns the frame behind gva with a reference, or NULL. A remembered walk is used only if CR3,
 * the guest's entries and the p2m's generation are unchanged. The generation is raised before
 * references are dropped: while it stands, the guest still has the frames of the walk. A second
 * look at it, with our own reference held, closes the race with a removal under way.
 */
static struct page *page_behind(struct vcpu *v, u64 gva, bool write)
{
	struct guest_walk *w = &v->walks[(gva >> PAGE_SHIFT) % GUEST_WALKS];
	u64 cr3;

	if (unlikely(!(hvm_get_cr(v, HVM_EFER) & EFER_LMA)))
		return page_32(v, gva, write);
	cr3 = hvm_get_cr(v, HVM_CR3);
	if (likely(w->page == gva >> PAGE_SHIFT && w->cr3 == cr3 && w->write >= write && w->generation == p2m_generation(&v->domain->p2m)) &&
	    still_true(w) && page_get(w->target)) {
		if (likely(w->generation == p2m_generation(&v->domain->p2m)))
			return w->target;
		page_put(w->target);
	}
	return page_by_walk(v, cr3, gva, write, w);
}

/* Copies within one frame, and lets it go. */
static always_inline int copy_and_put(struct page *pg, u64 addr, void *buf, size_t len, bool write)
{
	void *at;

	if (!pg)
		return -EFAULT;
	at = (u8 *)page_to_virt(pg) + (addr & ~PAGE_MASK);
	if (write)
		memcpy(at, buf, len);
	else
		memcpy(buf, at, len);
	page_put(pg);
	return 0;
}

static inline size_t to_page_end(u64 addr, size_t len)
{
	return MIN(len, PAGE_SIZE - (addr & ~PAGE_MASK));
}

static int copy_virtual(struct vcpu *v, u64 gva, void *buf, size_t len, bool write)
{
	while (len) {
		size_t n = to_page_end(gva, len);

		if (copy_and_put(page_behind(v, gva, write), gva, buf, n, write))
			return -EFAULT;
		buf = (u8 *)buf + n;
		gva += n;
		len -= n;
		/* A copy ends at the top of the address space; it doesn't go on at address 0. */
		if (!gva && len)
			return -EFAULT;
	}
	return 0;
}

int copy_from_guest(struct vcpu *v, void *dst, u64 gva, size_t len)
{
	return copy_virtual(v, gva, dst, len, false);
}

int copy_to_guest(struct vcpu *v, u64 gva, const void *src, size_t len)
{
	/* The cast is safe: with `write` set, the common code only reads from the buffer. */
	return copy_virtual(v, gva, (void *)(uintptr_t)src, len, true);
}

int copy_to_gpa(struct domain *d, u64 gpa, const void *src, size_t len)
{
	u8 *buf = (u8 *)(uintptr_t)src;

	for (size_t n; len; buf += n, gpa += n, len -= n) {
		n = to_page_end(gpa, len);
		if (copy_and_put(p2m_get_page(&d->p2m, GFN(gpa >> PAGE_SHIFT), NULL, true), gpa, buf, n, true))
			return -EFAULT;
	}
	return 0;
}
