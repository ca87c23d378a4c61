/*
 * One loop for all formats of page tables; a format is data (SDM vol. 3, chapter 4, "Paging").
 * Rights are collected on the way down and judged at the end, and bits are set only when all is
 * well.
 */
#include "keeper/cpu.h"
#include "keeper/walk.h"

#define PTE_P  BIT(0)
#define PTE_RW BIT(1)
#define PTE_US BIT(2)
#define PTE_A  BIT(5)
#define PTE_D  BIT(6)
#define PTE_PS BIT(7)
#define PTE_NX BIT(63)

#define ADDR_52 (BIT(52) - BIT(12))

/* Bits of a page fault's error code. */
enum { PF_P = 1, PF_WRITE = 2, PF_USER = 4, PF_RESERVED = 8, PF_FETCH = 16, PF_KEY = 32 };

#define LEVELS_MOST 4
#define TRIES 16

struct format {
	u8 levels, bits;        /* bits of the address that a level takes */
	u8 size;                /* bytes of an entry */
	u8 large;               /* mask of levels where PS makes a page */
	u8 rights;              /* mask of levels whose entries have rights and an accessed bit */
	u64 root;               /* the bits of CR3 that count */
};

static const struct format long_mode = { 4, 9, 8, 0x6, 0xf, ADDR_52 };
static const struct format pae = { 3, 9, 8, 0x2, 0x3, 0xffffffe0 };
static const struct format pse = { 2, 10, 4, 0x2, 0x3, 0xfffff000 };
static const struct format narrow = { 2, 10, 4, 0, 0x3, 0xfffff000 };

/* What a walk has found; the entries are those that lead to the page, the last first. */
struct path {
	const struct format *format;
	unsigned level;                 /* of the page */
	u64 at[LEVELS_MOST], entry[LEVELS_MOST];
	u64 all, any;                   /* bits that all entries have, or any */
};

static const struct format *format_of(const struct guest_cpu *cpu)
{
	if (cpu->efer & EFER_LMA)
		return &long_mode;
	return cpu->cr4 & CR4_PAE ? &pae : cpu->cr4 & CR4_PSE ? &pse : &narrow;
}

static u64 reserved_bits(const struct guest_cpu *cpu, const struct format *f, unsigned level,
			 bool page)
{
	u64 bits = ADDR_52 & ~(BIT(cpu->physical_bits) - 1);

	/* A 4-MiB page has bits 39:32 of its address in bits 20:13 (PSE-36). */
	if (f->size == 4)
		return page && level ? BIT(22) - BIT(MIN(cpu->physical_bits, 40) - 19) : 0;
	/*
	 * PAE's four entries at the root: MOV to CR3 checks them, not the walk (SDM vol. 3, "PDPTE
	 * Registers", 4.4.1). QEMU sets the accessed bit there, which is reserved.
	 */
	if (!(f->rights & BIT(level)))
		return bits;
	if (f->levels == 3)
		bits |= BIT(63) - BIT(52);
	if (!(cpu->efer & EFER_NXE))
		bits |= PTE_NX;
	if (level == 3)
		bits |= PTE_PS;
	if (page && level)
		bits |= BIT(12 + 9 * level) - BIT(13);
	return bits;
}

static enum walk_result fault_at(struct guest_fault *fault, u64 linear, u32 error)
{
	*fault = (struct guest_fault){ .vector = VECTOR_PF, .error = error, .cr2 = linear };
	return WALK_FAULT;
}

/* From the root down to a page. */
static enum walk_result find(const struct guest_cpu *cpu, const struct walk_memory *memory,
			     u64 linear, u32 error, struct path *path, u64 *gpa,
			     struct guest_fault *fault)
{
	const struct format *f = path->format;
	u64 table = cpu->cr3 & f->root;

	path->all = ~0ull;
	path->any = 0;
	for (path->level = f->levels - 1u; ; path->level--) {
		unsigned level = path->level, shift = 12 + f->bits * level;
		u64 index = linear >> shift & (BIT(f->bits) - 1), entry, offset;
		bool page;

		*gpa = path->at[level] = table + index * f->size;
		if (!memory->read(memory->context, *gpa, f->size, &entry))
			return WALK_HOLE;
		if (!(entry & PTE_P))
			return fault_at(fault, linear, error);
		page = !level || ((f->large & BIT(level)) && (entry & PTE_PS));
		if (entry & reserved_bits(cpu, f, level, page))
			return fault_at(fault, linear, error | PF_P | PF_RESERVED);
		path->entry[level] = entry;
		if (f->rights & BIT(level)) {
			path->all &= entry;
			path->any |= entry;
		}
		if (page) {
			offset = BIT(shift) - 1;
			*gpa = (entry & ADDR_52 & ~offset) | (linear & offset);
			if (f->size == 4 && level)
				*gpa |= (entry & 0x1fe000) << 19;
			return WALK_OK;
		}
		table = entry & ADDR_52;
	}
}

/* Do the protection keys forbid it? SDM vol. 3, "Protection Keys", 4.6.2. */
static bool key_forbids(const struct guest_cpu *cpu, const struct path *path, unsigned kind,
			bool write)
{
	unsigned key = path->entry[path->level] >> 59 & 15;
	u32 denied = cpu->pkru >> 2 * key & 3;          /* bit 0: every access, bit 1: writes */

	if (!(cpu->efer & EFER_LMA) || !(cpu->cr4 & CR4_PKE))
		return false;
	if (!(path->all & PTE_US) || (kind & ACCESS_FETCH))
		return false;
	return (denied & 1) || (write && (denied & 2));
}

/* Returns the bits of the error code, or 0. SDM vol. 3, "Determination of Access Rights", 4.6.1. */
static u32 forbidden(const struct guest_cpu *cpu, const struct path *path, unsigned kind)
{
	bool user = cpu->cpl == 3, user_page = path->all & PTE_US, fetch = kind & ACCESS_FETCH;
	bool write = (kind & ACCESS_WRITE) && (user || (cpu->cr0 & CR0_WP));
	bool denied = user && !user_page;

	denied |= write && !(path->all & PTE_RW);
	denied |= fetch && (path->any & PTE_NX);
	if (!user && user_page && fetch)
		denied |= !!(cpu->cr4 & CR4_SMEP);
	if (!user && user_page && !fetch)
		denied |= (cpu->cr4 & CR4_SMAP) && !(cpu->rflags & FLAG_AC);
	if (key_forbids(cpu, path, kind, write))
		return PF_P | PF_KEY;
	return denied ? PF_P : 0;
}

/* Sets accessed and dirty bits, from the root down. Returns false if an entry has changed. */
static bool mark(const struct walk_memory *memory, const struct path *path, unsigned kind)
{
	const struct format *f = path->format;

	for (unsigned level = f->levels; level-- > path->level; ) {
		bool dirty = level == path->level && (kind & ACCESS_WRITE);
		u64 old = path->entry[level], entry = old | PTE_A | (dirty ? PTE_D : 0);

		if (!(f->rights & BIT(level)) || entry == old)
			continue;
		if (!memory->replace(memory->context, path->at[level], f->size, old, entry))
			return false;
	}
	return true;
}

enum walk_result walk_linear(const struct guest_cpu *cpu, const struct walk_memory *memory,
			     u64 linear, unsigned kind, u64 *gpa, struct guest_fault *fault)
{
	bool nx = (cpu->cr4 & CR4_PAE) && (cpu->efer & EFER_NXE);
	bool tells_fetch = (kind & ACCESS_FETCH) && (nx || (cpu->cr4 & CR4_SMEP));
	u32 error = (kind & ACCESS_WRITE ? PF_WRITE : 0) | (cpu->cpl == 3 ? PF_USER : 0) |
		(tells_fetch ? PF_FETCH : 0);
	struct path path = { .format = format_of(cpu) };

	*gpa = linear;
	if (!(cpu->cr0 & CR0_PG))
		return WALK_OK;
	for (unsigned i = 0; i < TRIES; i++) {
		enum walk_result found = find(cpu, memory, linear, error, &path, gpa, fault);
		u32 bits;

		if (found != WALK_OK)
			return found;
		bits = forbidden(cpu, &path, kind);
		if (bits)
			return fault_at(fault, linear, error | bits);
		if (mark(memory, &path, kind))
			return WALK_OK;
	}
	return WALK_RACE;
}
