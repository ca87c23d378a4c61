/* units: keeper/walk.c */
/*
 * Walks through page tables of the guest: made by hand for each thing that can go wrong, and random
 * ones next to the manual's rules, which stand here as tables and sentences. Whatever a walk does
 * not have to change stays as it was.
 */
#include "tests/unit/fake.h"
#include "keeper/cpu.h"
#include "keeper/walk.h"
#include <stdlib.h>
#include <string.h>

#define ROUNDS 400000
#define FRAMES 6
#define PHYSICAL_BITS 40

#define P  BIT(0)
#define RW BIT(1)
#define US BIT(2)
#define A  BIT(5)
#define D  BIT(6)
#define PS BIT(7)
#define NX BIT(63)

enum { PF_P = 1, PF_W = 2, PF_U = 4, PF_RSVD = 8, PF_ID = 16, PF_PK = 32 };

static u8 ram[FRAMES][4096], before[FRAMES][4096];
static unsigned reads, spoiled;         /* entries read; how many replacements are to fail */

static u8 *place(u64 gpa, unsigned size)
{
	assert_int_equal(gpa & (size - 1), 0);
	return gpa < sizeof(ram) ? ram[0] + gpa : NULL;
}

static bool read_entry(void *context, u64 gpa, unsigned size, u64 *entry)
{
	u8 *at = place(gpa, size);

	reads++;
	*entry = 0;
	if (at)
		memcpy(entry, at, size);
	return at;
}

static bool replace_entry(void *context, u64 gpa, unsigned size, u64 old, u64 entry)
{
	u8 *at = place(gpa, size);

	assert_memory_equal(at, &old, size);
	if (spoiled) {
		spoiled--;
		return false;
	}
	memcpy(at, &entry, size);
	return true;
}

static const struct walk_memory memory = { .read = read_entry, .replace = replace_entry };

/* A format, as the manual describes it: SDM vol. 3, figures 4-4, 4-7 and 4-11. */
struct shape {
	const char *name;
	unsigned levels, bits, size;
	u64 cr4, efer;
	/*
	 * for each level: may PS make a page, and the bits that must be 0 of a page and of a
	 * pointer to a table
	 */
	struct { bool large; u64 page, table; } level[4];
};

#define BITS(high, low) ((BIT(high) * 2) - BIT(low))
#define PHYS BITS(51, PHYSICAL_BITS)

static const struct shape shapes[] = {
	{ "long", 4, 9, 8, CR4_PAE, EFER_LMA, {
		{ true, PHYS, 0 }, { true, PHYS | BITS(20, 13), PHYS }, { true, PHYS | BITS(29, 13), PHYS }, { false, 0, PHYS | PS } } },
	{ "PAE", 3, 9, 8, CR4_PAE, 0, {
		{ true, PHYS | BITS(62, 52), 0 }, { true, PHYS | BITS(62, 52) | BITS(20, 13), PHYS | BITS(62, 52) },
		/* Checked by MOV to CR3, except the address. */
		{ false, 0, PHYS } } },
	{ "PSE", 2, 10, 4, CR4_PSE, 0, { { true, 0, 0 }, { true, BIT(21), 0 } } },
	{ "32-bit", 2, 10, 4, 0, 0, { { true, 0, 0 }, { false, 0, 0 } } },
};

struct expected { enum walk_result result; u32 error; u64 gpa; };

static struct expected fault(u32 error) { return (struct expected){ WALK_FAULT, error, 0 }; }

/*
 * SDM vol. 3, 4.6.1 and 4.6.2, a sentence a line; `user_page` and the like are about the whole way.
 */
static u32 judge(const struct guest_cpu *cpu, unsigned kind, bool user_page, bool writable, bool no_execute, unsigned key)
{
	bool supervisor = cpu->cpl != 3, write = kind & ACCESS_WRITE, fetch = kind & ACCESS_FETCH, bad = false, key_bad = false;

	if (supervisor && !fetch && user_page && (cpu->cr4 & CR4_SMAP) && !(cpu->rflags & FLAG_AC))
		bad = true;
	if (supervisor && write && (cpu->cr0 & CR0_WP) && !writable)
		bad = true;
	if (supervisor && fetch && user_page && (cpu->cr4 & CR4_SMEP))
		bad = true;
	if (fetch && no_execute)
		bad = true;
	if (!supervisor && !user_page)
		bad = true;
	if (!supervisor && write && !writable)
		bad = true;
	if (user_page && !fetch && (cpu->cr4 & CR4_PKE) && (cpu->efer & EFER_LMA)) {
		if (cpu->pkru & BIT(2 * key))
			key_bad = true;
		if ((cpu->pkru & BIT(2 * key + 1)) && write && (!supervisor || (cpu->cr0 & CR0_WP)))
			key_bad = true;
	}
	return (bad || key_bad ? PF_P : 0) | (key_bad ? PF_PK : 0);
}

/*
 * What a walk over these entries has to come to; sets accessed and dirty bits in them if it
 * succeeds.
 */
static struct expected expect(const struct guest_cpu *cpu, const struct shape *s, u64 linear, unsigned kind, u64 *entries)
{
	u32 error = (kind & ACCESS_WRITE ? PF_W : 0) | (cpu->cpl == 3 ? PF_U : 0), denied;
	bool user_page = true, writable = true, no_execute = false;
	unsigned level = s->levels, key;
	u64 reserved, offset;
	bool page;

	if ((kind & ACCESS_FETCH) && ((cpu->cr4 & CR4_SMEP) || (s->size == 8 && (cpu->efer & EFER_NXE))))
		error |= PF_ID;
	do {
		u64 e = entries[--level];
		bool no_rights = !strcmp(s->name, "PAE") && level == 2;

		if (!(e & P))
			return fault(error);
		page = level == 0 || (s->level[level].large && (e & PS));
		reserved = page ? s->level[level].page : s->level[level].table;
		if (s->size == 8 && !no_rights && !(cpu->efer & EFER_NXE))
			reserved |= NX;
		if (e & reserved)
			return fault(error | PF_P | PF_RSVD);
		if (no_rights)
			continue;
		user_page = user_page && (e & US);
		writable = writable && (e & RW);
		no_execute = no_execute || (e & NX);
	} while (!page);
	key = entries[level] >> 59 & 15;
	denied = judge(cpu, kind, user_page, writable, no_execute, key);
	if (denied)
		return fault(error | denied);
	offset = BITS(11 + s->bits * level, 0);
	for (unsigned i = level; i < s->levels; i++)
		if (strcmp(s->name, "PAE") || i != 2)
			entries[i] |= A;
	if (kind & ACCESS_WRITE)
		entries[level] |= D;
	if (s->size == 4 && level)
		return (struct expected){ WALK_OK, 0, (entries[1] & BITS(31, 22)) | (entries[1] & BITS(20, 13)) << 19 | (linear & offset) };
	return (struct expected){ WALK_OK, 0, (entries[level] & BITS(51, 12) & ~offset) | (linear & offset) };
}

static unsigned below(unsigned n) { return (unsigned)(fake_random() >> 32) % n; }
static u64 maybe(unsigned percent, u64 bits) { return below(100) < percent ? bits : 0; }

/*
 * An entry that points to the table in frame `level` of ram, or is a page, with what could be wrong
 * with it.
 */
static u64 random_entry(const struct shape *s, unsigned level)
{
	bool bare = !strcmp(s->name, "PAE") && level == 2, page = level == 0 || (s->level[level].large && maybe(25, 1));
	u64 e = maybe(97, P) | maybe(20, PS) | maybe(50, A) | maybe(50, D) | maybe(80, RW) | maybe(75, US);

	if (page && level)
		e |= PS;
	if (page)
		e |= fake_random() & (s->size == 4 ? BITS(31, 22) | maybe(30, BITS(20, 12)) : BITS(PHYSICAL_BITS - 1, 30) | BITS(62, 59));
	else
		e |= level << 12;
	if (s->size == 8)
		e |= maybe(15, NX) | maybe(4, page ? BIT(12 + below(51)) : BIT(PHYSICAL_BITS + below(63 - PHYSICAL_BITS)));
	if (bare && below(8))
		e &= ~(RW | US | A | D | PS | NX | BITS(62, 59));
	if (!strcmp(s->name, "PAE") && below(8))
		e &= ~BITS(62, 52);
	return s->size == 4 ? (u32)e : e;
}

static void random_cpu(struct guest_cpu *cpu, const struct shape *s)
{
	*cpu = (struct guest_cpu){
		.cr0 = CR0_PE | CR0_PG | maybe(50, CR0_WP), .cr3 = (u64)(s->levels << 12), .efer = s->efer | maybe(70, EFER_NXE),
		.cr4 = s->cr4 | maybe(30, CR4_SMEP) | maybe(30, CR4_SMAP) | maybe(30, CR4_PKE) | maybe(50, CR4_PSE),
		.rflags = maybe(50, FLAG_AC), .cpl = maybe(50, 3), .physical_bits = PHYSICAL_BITS, .pkru = (u32)(fake_random() & fake_random()),
	};
	if (!strcmp(s->name, "32-bit"))
		cpu->cr4 &= ~CR4_PSE;
	/* The table of PAE's four entries may stand anywhere on 32 bytes. */
	if (!strcmp(s->name, "PAE"))
		cpu->cr3 |= below(128) << 5;
}

static u64 *slot(const struct guest_cpu *cpu, const struct shape *s, u64 linear, unsigned level)
{
	u64 table = level == s->levels - 1 ? cpu->cr3 : (level + 1) << 12;

	return (u64 *)(void *)(ram[0] + table + (linear >> (12 + s->bits * level) & BITS(s->bits - 1, 0)) * s->size);
}

static void random_walks_follow_the_manual(void **state)
{
	static const unsigned kinds[] = { ACCESS_READ, ACCESS_WRITE, ACCESS_READ | ACCESS_WRITE, ACCESS_FETCH };
	unsigned results[3] = { 0 }, errors[64] = { 0 };

	for (unsigned i = 0; i < ROUNDS; i++) {
		const struct shape *s = &shapes[below(ARRAY_SIZE(shapes))];
		u64 linear = fake_random(), entries[4] = { 0 }, gpa = 0;
		unsigned kind = kinds[below(4)];
		struct guest_cpu cpu;
		struct guest_fault f = { 0 };
		struct expected e;
		enum walk_result result;

		linear = s->levels == 4 ? (u64)((s64)(linear << 16) >> 16) : (u32)linear;
		random_cpu(&cpu, s);
		for (unsigned level = 0; level < s->levels; level++) {
			entries[level] = random_entry(s, level);
			memcpy(slot(&cpu, s, linear, level), &entries[level], s->size);
		}
		e = expect(&cpu, s, linear, kind, entries);
		result = walk_linear(&cpu, &memory, linear, kind, &gpa, &f);
		assert_int_equal(result, e.result);
		if (result == WALK_OK) {
			assert_int_equal(gpa, e.gpa);
		} else {
			assert_int_equal(f.vector, VECTOR_PF);
			assert_int_equal(f.error, e.error);
			assert_int_equal(f.cr2, linear);
			errors[f.error & 63]++;
		}
		for (unsigned level = 0; level < s->levels; level++)
			assert_memory_equal(slot(&cpu, s, linear, level), &entries[level], s->size);
		results[result]++;
		/* What was changed elsewhere shows in the end: all else is 0. */
		for (unsigned level = 0; level < s->levels; level++)
			memset(slot(&cpu, s, linear, level), 0, s->size);
	}
	assert_memory_equal(ram, before, sizeof(ram));
	assert_in_range(results[WALK_OK], ROUNDS / 5, ROUNDS);
	for (unsigned error = 0; error < ARRAY_SIZE(errors); error++) {
		bool no_such_access = (error & PF_ID) && (error & (PF_W | PF_PK));
		bool no_such_fault = !(error & PF_P) ? error & (PF_RSVD | PF_PK) : (error & PF_RSVD) && (error & PF_PK);

		if (no_such_access || no_such_fault)
			assert_int_equal(errors[error], 0);
		else
			assert_in_range(errors[error], 20, ROUNDS);
	}
}

/* A long-mode tree that maps linear address 0 at 0x123000, by tables in frames 4, 3, 2 and 1. */
static struct guest_cpu simple(void)
{
	memset(ram, 0, sizeof(ram));
	for (u64 level = 0; level < 4; level++) {
		u64 entry = (level ? level << 12 : 0x123000) | P | RW | US;

		memcpy(ram[level + 1], &entry, sizeof(entry));
	}
	reads = spoiled = 0;
	return (struct guest_cpu){ .cr0 = CR0_PE | CR0_PG, .cr3 = 4 << 12, .cr4 = CR4_PAE, .efer = EFER_LMA, .physical_bits = 52 };
}

static void without_paging_an_address_is_itself(void **state)
{
	struct guest_cpu cpu = simple();
	struct guest_fault f;
	u64 gpa;

	cpu.cr0 = CR0_PE;
	assert_int_equal(walk_linear(&cpu, &memory, 0xfee00020, ACCESS_WRITE, &gpa, &f), WALK_OK);
	assert_int_equal(gpa, 0xfee00020);
	assert_int_equal(reads, 0);
}

static void a_table_where_no_memory_is_ends_the_walk(void **state)
{
	struct guest_cpu cpu = simple();
	u64 entry = 0xfee00000 | P | RW | US, gpa;
	struct guest_fault f;

	memcpy(ram[2], &entry, sizeof(entry));
	memcpy(before, ram, sizeof(ram));
	assert_int_equal(walk_linear(&cpu, &memory, 0x8, ACCESS_READ, &gpa, &f), WALK_HOLE);
	assert_int_equal(gpa, 0xfee00000);
	assert_memory_equal(ram, before, sizeof(ram));
}

static void a_changed_entry_starts_the_walk_anew_and_not_for_ever(void **state)
{
	struct guest_cpu cpu = simple();
	struct guest_fault f;
	u64 gpa;

	spoiled = 3;
	assert_int_equal(walk_linear(&cpu, &memory, 0x8, ACCESS_WRITE, &gpa, &f), WALK_OK);
	assert_int_equal(gpa, 0x123008);
	assert_int_equal(reads, 16);
	cpu = simple();
	spoiled = ~0u;
	assert_int_equal(walk_linear(&cpu, &memory, 0x8, ACCESS_WRITE, &gpa, &f), WALK_RACE);
	assert_in_range(reads, 4, 64);
}

/* PSE-36 gives a page eight address bits more, of which the CPU may not have all. */
static void a_page_beyond_the_physical_bits_is_reserved(void **state)
{
	struct guest_cpu cpu = simple();
	u32 entry = PS | P | BIT(18);
	struct guest_fault f;
	u64 gpa;

	cpu.cr4 = CR4_PSE;
	cpu.efer = 0;
	cpu.physical_bits = 38;
	memcpy(ram[4], &entry, sizeof(entry));
	assert_int_equal(walk_linear(&cpu, &memory, 0x8, ACCESS_READ, &gpa, &f), WALK_OK);
	assert_int_equal(gpa, 0x2000000008);
	cpu.physical_bits = 37;
	assert_int_equal(walk_linear(&cpu, &memory, 0x8, ACCESS_READ, &gpa, &f), WALK_FAULT);
	assert_int_equal(f.error, PF_P | PF_RSVD);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(random_walks_follow_the_manual),
		cmocka_unit_test(without_paging_an_address_is_itself),
		cmocka_unit_test(a_table_where_no_memory_is_ends_the_walk),
		cmocka_unit_test(a_changed_entry_starts_the_walk_anew_and_not_for_ever),
		cmocka_unit_test(a_page_beyond_the_physical_bits_is_reserved),
	};

	setenv("SEED", "1", 0);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
