/*
 * The one door to guest memory. A guest's pointer means something only through its own page tables, which it may change
 * while we read them; so each entry is read once, every address it yields goes through the p2m, and a frame is touched
 * only with a reference held. Nothing is remembered from one call to the next.
 */
#include "vmm/guest_access.h"
#include "vmm/domain.h"
#include "lib/string.h"
#include <asm/hvm.h>

#define CR0_PG   BIT(31)
#define CR4_PSE  BIT(4)
#define CR4_PAE  BIT(5)
#define EFER_LMA BIT(10)

#define PTE_P    BIT(0)
#define PTE_RW   BIT(1)
#define PTE_A    BIT(5)
#define PTE_D    BIT(6)
#define PTE_PS   BIT(7)

/* A way in which guests page (APM volume 2, 5.2 and 5.3). User/supervisor bits and SMAP are not looked at: abi.md A.6. */
struct paging_mode {
	u8 levels, bits;
	u8 entry;               /* bytes per entry */
	u8 large;               /* mask of levels where PTE_PS makes a leaf */
	u8 rights;              /* mask of levels whose entries have R/W and A bits */
	u64 root;               /* bits of CR3 that count */
	u64 addr;               /* bits of an entry that hold an address */
};

#define ADDR_64 0x000ffffffffff000ull

static const struct paging_mode mode_long = { 4, 9, 8, BIT(1) | BIT(2), 0xf, ADDR_64, ADDR_64 };
/* The four entries at the root are pointers alone. They sit anywhere at a multiple of 32. */
static const struct paging_mode mode_pae = { 3, 9, 8, BIT(1), 0x3, 0xffffffe0, ADDR_64 };
static const struct paging_mode mode_pse = { 2, 10, 4, BIT(1), 0x3, 0xfffff000, 0xfffff000 };
static const struct paging_mode mode_32 = { 2, 10, 4, 0, 0x3, 0xfffff000, 0xfffff000 };

/* Sets bits in a guest's page-table entry unless it has changed since `old` was read; the CPU's own walk does the same. */
static bool mark(struct domain *d, u64 gpa, u64 old, u64 bits, unsigned size)
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

/* One entry of a guest's table, of whatever width. */
static inline bool read_entry(struct domain *d, u64 gpa, unsigned size, u64 *entry)
{
	if (!p2m_read_u64(&d->p2m, (gpa_t){ gpa & ~7ull }, entry))
		return false;
	if (size == 4)
		*entry = (u32)(*entry >> (gpa & 4 ? 32 : 0));
	return true;
}

/* Where a leaf at `level` puts gva. 4-MiB pages carry address bits 39:32 in bits 20:13 (PSE-36). */
static inline u64 leaf_target(const struct paging_mode *m, u64 entry, unsigned level, u64 gva)
{
	u64 offset = BIT(PAGE_SHIFT + m->bits * level) - 1;
	u64 high = level && m->entry == 4 ? (entry & 0x1fe000) << 19 : 0;

	return (entry & m->addr & ~offset) | high | (gva & offset);
}

enum step { STEP_DOWN, STEP_LEAF, STEP_FAULT };

/* How often an entry may change under the walk before we call the guest's race its own fault. */
#define WALK_TRIES 16

/* One level of the walk: *table becomes the next table's address, or the target's. */
static inline __attribute__((always_inline)) enum step walk_level(struct domain *d, const struct paging_mode *m, unsigned level,
								  u64 gva, bool write, u64 *table)
{
	u64 index = (gva >> (PAGE_SHIFT + m->bits * level)) & (BIT(m->bits) - 1);
	u64 at = *table + index * m->entry;
	bool rights = m->rights & BIT(level);

	for (unsigned i = 0; i < WALK_TRIES; i++) {
		u64 entry, bits = 0;
		bool leaf;

		if (!read_entry(d, at, m->entry, &entry) || !(entry & PTE_P))
			return STEP_FAULT;
		if (rights && write && !(entry & PTE_RW))
			return STEP_FAULT;
		leaf = !level || ((m->large & BIT(level)) && (entry & PTE_PS));
		if (rights)
			bits = leaf && write ? PTE_A | PTE_D : PTE_A;
		if (likely(!(~entry & bits)) || mark(d, at, entry, bits, m->entry)) {
			*table = leaf ? leaf_target(m, entry, level, gva) : entry & m->addr;
			return leaf ? STEP_LEAF : STEP_DOWN;
		}
	}
	return STEP_FAULT;
}

static inline __attribute__((always_inline)) int walk(struct domain *d, const struct paging_mode *m, u64 cr3, u64 gva, bool write, u64 *gpa)
{
	enum step step = STEP_DOWN;

	*gpa = cr3 & m->root;
	for (unsigned level = m->levels; step == STEP_DOWN && level > 0; level--)
		step = walk_level(d, m, level - 1, gva, write, gpa);
	return step == STEP_LEAF ? 0 : -EFAULT;
}

/* 32-bit guests: only firmware and boot code, so one body for all. */
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
	return walk(v->domain, m, hvm_get_cr(v, HVM_CR3), gva, write, gpa);
}

int guest_translate(struct vcpu *v, u64 gva, bool write, u64 *gpa)
{
	if (unlikely(!(hvm_get_cr(v, HVM_EFER) & EFER_LMA)))
		return translate_32(v, gva, write, gpa);
	/* Canonical: bits 63:47 all alike. */
	if ((u64)((s64)(gva << 16) >> 16) != gva)
		return -EFAULT;
	return walk(v->domain, &mode_long, hvm_get_cr(v, HVM_CR3), gva, write, gpa);
}

/* Within one page of d. */
static int copy_in_page(struct domain *d, u64 gpa, void *buf, size_t len, bool write)
{
	struct page *pg = p2m_get_page(&d->p2m, GFN(gpa >> PAGE_SHIFT), NULL, write);
	void *at;

	if (!pg)
		return -EFAULT;
	at = (u8 *)page_to_virt(pg) + (gpa & ~PAGE_MASK);
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
		u64 gpa;

		if (guest_translate(v, gva, write, &gpa) || copy_in_page(v->domain, gpa, buf, n, write))
			return -EFAULT;
		buf = (u8 *)buf + n;
		gva += n;
		len -= n;
		/* The top of the address space is an end, not a way round to address 0. */
		if (!gva && len)
			return -EFAULT;
	}
	return 0;
}

static int copy_physical(struct domain *d, u64 gpa, void *buf, size_t len, bool write)
{
	while (len) {
		size_t n = to_page_end(gpa, len);

		if (copy_in_page(d, gpa, buf, n, write))
			return -EFAULT;
		buf = (u8 *)buf + n;
		gpa += n;
		len -= n;
	}
	return 0;
}

int copy_from_guest(struct vcpu *v, void *dst, u64 gva, size_t len)
{
	return copy_virtual(v, gva, dst, len, false);
}

int copy_to_guest(struct vcpu *v, u64 gva, const void *src, size_t len)
{
	/* Only read from: the common code can't say so in its type. */
	return copy_virtual(v, gva, (void *)(uintptr_t)src, len, true);
}

int copy_from_gpa(struct domain *d, void *dst, u64 gpa, size_t len)
{
	return copy_physical(d, gpa, dst, len, false);
}

int copy_to_gpa(struct domain *d, u64 gpa, const void *src, size_t len)
{
	return copy_physical(d, gpa, (void *)(uintptr_t)src, len, true);
}
