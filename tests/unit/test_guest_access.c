/* units: vmm/memory/guest_access.c mm/p2m.c mm/p2m_log.c mm/pt.c mm/buddy.c */
/* Walks of a guest's page tables in each paging mode, good and hostile, and copies through them. */
#include "mm/p2m.h"
#include "mm/page.h"
#include "tests/unit/fake.h"
#include "vmm/domain.h"
#include "vmm/memory/guest_access.h"
#include "vmm/vcpu.h"
#include <asm/hvm.h>
#include <asm/hvm_flush.h>

#define P  BIT(0)
#define RW BIT(1)
#define A  BIT(5)
#define D  BIT(6)
#define PS BIT(7)

#define CR0_ON    (BIT(31) | 1)
#define CR4_PSE   BIT(4)
#define CR4_PAE   BIT(5)
#define EFER_LONG (BIT(8) | BIT(10))

static struct domain domain;
static struct vcpu vcpu = { .domain = &domain };
static u64 cr[5];
static u64 free_at_start;

static u64 fake_get_cr(const struct vcpu *v, int which)
{
	assert_ptr_equal(v, &vcpu);
	return cr[which];
}

static const struct hvm_ops ops = { .get_cr = fake_get_cr };
const struct hvm_ops *hvm = &ops;

void hvm_flush_others(struct p2m *p2m, u64 gen) { }

/*
 * The guest: frames 0 to 1023 are RAM, each filled with its number, in two superpages (so that frames differ from GFNs);
 * 1024 RAM above 4 GiB, 1025 device memory, 1026 a read-only grant, 1027 and up nothing.
 */
static struct page *granted;

static u8 *guest(u64 gpa)
{
	mfn_t mfn;

	assert_int_not_equal(p2m_lookup(&domain.p2m, GFN(gpa >> PAGE_SHIFT), &mfn), P2M_HOLE);
	return (u8 *)mfn_to_virt(mfn) + (gpa & ~PAGE_MASK);
}

static void map_block(u64 gfn, unsigned order)
{
	struct page *pg = page_alloc(order);

	page_assign(pg, order, 1);
	assert_int_equal(p2m_map(&domain.p2m, GFN(gfn), page_to_mfn(pg), order, P2M_RAM), 0);
	for (u64 i = 0; i < BIT(order); i++)
		for (unsigned w = 0; w < PAGE_SIZE / 8; w++)
			((u64 *)page_to_virt(pg + i))[w] = (gfn + i) << 32 | w;
}

static int setup(void **state)
{
	free_at_start = page_free_count();
	memset(cr, 0, sizeof(cr));
	memset(vcpu.walks, 0, sizeof(vcpu.walks));  /* a vCPU never outlives its domain */
	assert_int_equal(p2m_init(&domain.p2m), 0);
	map_block(512, 9);
	map_block(0, 9);
	map_block(GiB(5) >> PAGE_SHIFT, 0);
	assert_int_equal(p2m_map(&domain.p2m, GFN(1025), MFN(5), 0, P2M_MMIO), 0);
	granted = page_alloc(0);
	page_assign(granted, 0, 2);
	assert_int_equal(p2m_map(&domain.p2m, GFN(1026), page_to_mfn(granted), 0, P2M_GRANT_RO), 0);
	return 0;
}

static int teardown(void **state)
{
	u64 next = 0;

	while (!p2m_relinquish(&domain.p2m, &next, 100))
		;
	assert_int_equal(granted->count, 1);
	page_put(granted);
	p2m_destroy(&domain.p2m);
	assert_int_equal(page_free_count(), free_at_start);
	assert_int_equal(fake_locks_held(), 0);
	return 0;
}

static u64 *entry64(u64 table, u64 index) { return (u64 *)guest(table) + index; }
static u32 *entry32(u64 table, u64 index) { return (u32 *)guest(table) + index; }

/* Long mode: tables at GFNs 1 to 4 (level 3 to 0), all clear. */
static void long_mode(void)
{
	cr[HVM_CR0] = CR0_ON;
	cr[HVM_CR4] = CR4_PAE;
	cr[HVM_EFER] = EFER_LONG;
	cr[HVM_CR3] = KiB(4) | 0x18;    /* PWT and PCD say nothing here */
	for (unsigned i = 1; i <= 4; i++)
		memset(guest(KiB(4) * i), 0, PAGE_SIZE);
	*entry64(KiB(4), 0) = *entry64(KiB(4), 511) = KiB(8) | P | RW;
	*entry64(KiB(8), 0) = *entry64(KiB(8), 511) = KiB(12) | P | RW;
	*entry64(KiB(12), 0) = *entry64(KiB(12), 511) = KiB(16) | P | RW;
}

static void long_walk(void **state)
{
	u64 gpa;

	long_mode();
	*entry64(KiB(16), 5) = KiB(40) | P;
	assert_int_equal(guest_translate(&vcpu, KiB(20) + 7, false, &gpa), 0);
	assert_int_equal(gpa, KiB(40) + 7);
	/* Accessed at every level, dirty only by a write, and that only where it may be. */
	for (unsigned i = 1; i <= 4; i++)
		assert_int_equal(*entry64(KiB(4) * i, i == 4 ? 5 : 0) & (A | D), A);
	assert_int_equal(guest_translate(&vcpu, KiB(20), true, &gpa), -EFAULT);
	*entry64(KiB(16), 5) |= RW;
	assert_int_equal(guest_translate(&vcpu, KiB(20), true, &gpa), 0);
	assert_int_equal(*entry64(KiB(16), 5) & (A | D), A | D);
	assert_int_equal(*entry64(KiB(12), 0) & (A | D), A);
	/* R/W counts at each level. */
	for (unsigned i = 1; i <= 3; i++) {
		*entry64(KiB(4) * i, 0) &= ~RW;
		assert_int_equal(guest_translate(&vcpu, KiB(20), true, &gpa), -EFAULT);
		assert_int_equal(guest_translate(&vcpu, KiB(20), false, &gpa), 0);
		*entry64(KiB(4) * i, 0) |= RW;
	}
	/* The upper half, NX and software bits in the entry. */
	*entry64(KiB(16), 511) = KiB(44) | P | RW | BIT(63) | BIT(58) | BIT(11);
	assert_int_equal(guest_translate(&vcpu, ~0ull, true, &gpa), 0);
	assert_int_equal(gpa, KiB(48) - 1);
	/* Not present at each level. */
	for (unsigned i = 1; i <= 4; i++) {
		*entry64(KiB(4) * i, i == 4 ? 5 : 0) &= ~P;
		assert_int_equal(guest_translate(&vcpu, KiB(20), false, &gpa), -EFAULT);
		*entry64(KiB(4) * i, i == 4 ? 5 : 0) |= P;
	}
	assert_int_equal(guest_translate(&vcpu, BIT(47), false, &gpa), -EFAULT);
	assert_int_equal(guest_translate(&vcpu, ~BIT(63), false, &gpa), -EFAULT);
	assert_int_equal(guest_translate(&vcpu, 0xffff7fffffffffffull, false, &gpa), -EFAULT);
}

static void long_large(void **state)
{
	u64 gpa;

	long_mode();
	*entry64(KiB(12), 1) = MiB(2) | P | RW | PS | BIT(12);  /* bit 12 is PAT there */
	assert_int_equal(guest_translate(&vcpu, MiB(2) + 0x12345, true, &gpa), 0);
	assert_int_equal(gpa, MiB(2) + 0x12345);
	assert_int_equal(*entry64(KiB(12), 1) & (A | D), A | D);
	*entry64(KiB(8), 3) = GiB(5) | P | RW | PS;
	assert_int_equal(guest_translate(&vcpu, GiB(3) + 0x23456789, true, &gpa), 0);
	assert_int_equal(gpa, GiB(5) + 0x23456789);
	/* The bit means nothing at the top. */
	*entry64(KiB(4), 1) = KiB(8) | P | RW | PS;
	assert_int_equal(guest_translate(&vcpu, GiB(512 + 3), false, &gpa), 0);
	assert_int_equal(gpa, GiB(5));
}

/* Tables and targets in places where no RAM is. */
static void hostile_tables(void **state)
{
	static const u64 bad[] = { KiB(4) * 1025, KiB(4) * 1027, GiB(700), 0x000ffffffffff000ull };
	u64 gpa, value;

	long_mode();
	*entry64(KiB(16), 5) = KiB(40) | P | RW;
	for (unsigned i = 0; i < ARRAY_SIZE(bad); i++) {
		cr[HVM_CR3] = bad[i];
		assert_int_equal(guest_translate(&vcpu, KiB(20), false, &gpa), -EFAULT);
		cr[HVM_CR3] = KiB(4);
		for (unsigned l = 1; l <= 3; l++) {
			*entry64(KiB(4) * l, 0) = bad[i] | P | RW;
			assert_int_equal(guest_translate(&vcpu, KiB(20), false, &gpa), -EFAULT);
			*entry64(KiB(4) * l, 0) = KiB(4) * (l + 1) | P | RW;
		}
		*entry64(KiB(16), 5) = bad[i] | P | RW;
		assert_int_equal(copy_from_guest(&vcpu, &value, KiB(20), 8), -EFAULT);
		assert_int_equal(copy_to_guest(&vcpu, KiB(20), &value, 8), -EFAULT);
		*entry64(KiB(16), 5) = KiB(40) | P | RW;
	}
	/* A table that points to itself ends like any other. */
	*entry64(KiB(4), 0) = KiB(4) | P | RW;
	assert_int_equal(guest_translate(&vcpu, 0, false, &gpa), 0);
	assert_int_equal(gpa, KiB(4));
	/* An accessed bit can't be set in a read-only grant. */
	*entry64(KiB(4), 0) = KiB(4) * 1026 | P | RW;
	*(u64 *)page_to_virt(granted) = KiB(4) | P | RW;
	assert_int_equal(guest_translate(&vcpu, 0, false, &gpa), -EFAULT);
	*(u64 *)page_to_virt(granted) |= A;
	assert_int_equal(guest_translate(&vcpu, 0, false, &gpa), 0);
}

static void copies(void **state)
{
	u8 buf[3 * PAGE_SIZE], back[3 * PAGE_SIZE];
	u64 value;

	long_mode();
	/* Three virtual pages, in another order in memory; the fourth can't be written, the fifth isn't there. */
	*entry64(KiB(16), 100) = KiB(80) | P | RW;
	*entry64(KiB(16), 101) = KiB(40) | P | RW;
	*entry64(KiB(16), 102) = KiB(60) | P | RW;
	*entry64(KiB(16), 103) = KiB(64) | P;
	for (unsigned i = 0; i < sizeof(buf); i++)
		buf[i] = (u8)(i * 7 + i / 256);
	assert_int_equal(copy_to_guest(&vcpu, KiB(400) + 100, buf, sizeof(buf) - 200), 0);
	assert_memory_equal(guest(KiB(80)) + 100, buf, PAGE_SIZE - 100);
	assert_memory_equal(guest(KiB(40)), buf + PAGE_SIZE - 100, PAGE_SIZE);
	assert_memory_equal(guest(KiB(60)), buf + 2 * PAGE_SIZE - 100, PAGE_SIZE - 100);
	assert_int_equal(copy_from_guest(&vcpu, back, KiB(400) + 100, sizeof(back) - 200), 0);
	assert_memory_equal(back, buf, sizeof(buf) - 200);
	assert_int_equal(copy_to_guest(&vcpu, KiB(412) - 4, &buf, 8), -EFAULT);
	assert_int_equal(copy_from_guest(&vcpu, &value, KiB(412) - 4, 8), 0);
	assert_int_equal(copy_from_guest(&vcpu, &value, KiB(416) - 4, 8), -EFAULT);
	assert_int_equal(copy_from_guest(&vcpu, NULL, KiB(999), 0), 0);
	/* The last byte of the address space, and one more. */
	*entry64(KiB(16), 511) = KiB(44) | P | RW;
	*entry64(KiB(16), 0) = KiB(48) | P | RW;
	assert_int_equal(copy_from_guest(&vcpu, &value, -8ull, 8), 0);
	assert_int_equal(value, 11ull << 32 | 511);
	assert_int_equal(copy_from_guest(&vcpu, &value, -4ull, 8), -EFAULT);
	/* From the lower half into the hole in the middle. */
	*entry64(KiB(4), 255) = KiB(8) | P | RW;
	assert_int_equal(copy_from_guest(&vcpu, &value, BIT(47) - 8, 8), 0);
	assert_int_equal(copy_from_guest(&vcpu, &value, BIT(47) - 4, 8), -EFAULT);
}

static u64 read_at(u64 gva)
{
	u64 value = 0;

	return copy_from_guest(&vcpu, &value, gva, 8) ? ~0ull : value;
}

/* A walk is remembered, but each change on its way is seen at once. */
static void nothing_stale(void **state)
{
	u64 value = 0xabcd, *leaf;
	struct page *pg;

	long_mode();
	leaf = entry64(KiB(16), 5);
	*leaf = KiB(40) | P | RW;
	assert_int_equal(read_at(KiB(20)), 10ull << 32);
	assert_int_equal(read_at(KiB(20) + 8), 10ull << 32 | 1);
	/* The leaf points elsewhere, is gone, is back. */
	*leaf = KiB(44) | P | RW;
	assert_int_equal(read_at(KiB(20)), 11ull << 32);
	*leaf = 0;
	assert_int_equal(read_at(KiB(20)), ~0ull);
	*leaf = KiB(40) | P | RW;
	assert_int_equal(read_at(KiB(20)), 10ull << 32);
	/* Reading once does not mean that it may be written; writing again sets the dirty bit again. */
	*leaf = KiB(40) | P;
	assert_int_equal(read_at(KiB(20)), 10ull << 32);
	assert_int_equal(copy_to_guest(&vcpu, KiB(20), &value, 8), -EFAULT);
	*leaf = KiB(40) | P | RW;
	for (unsigned i = 0; i < 3; i++) {
		assert_int_equal(copy_to_guest(&vcpu, KiB(20) + 16, &value, 8), 0);
		assert_int_equal(*leaf, KiB(40) | P | RW | A | D);
		*leaf &= ~(A | D);
	}
	/* Each level above, and the root. */
	for (unsigned i = 1; i <= 3; i++) {
		assert_int_equal(read_at(KiB(20)), 10ull << 32);
		*entry64(KiB(4) * i, 0) &= ~P;
		assert_int_equal(read_at(KiB(20)), ~0ull);
		*entry64(KiB(4) * i, 0) |= P;
	}
	assert_int_equal(read_at(KiB(20)), 10ull << 32);
	cr[HVM_CR3] = KiB(80);
	assert_int_equal(read_at(KiB(20)), ~0ull);
	cr[HVM_CR3] = KiB(4);
	/* Another page of the same place in the memory of walks. */
	*entry64(KiB(16), 5 + 4 * GUEST_WALKS) = KiB(44) | P;
	assert_int_equal(read_at(KiB(20)), 10ull << 32);
	assert_int_equal(read_at(KiB(20) + KiB(16) * GUEST_WALKS), 11ull << 32);
	assert_int_equal(read_at(KiB(20)), 10ull << 32);
	/* The frame behind is another one, and the old one really free. */
	pg = p2m_get_page(&domain.p2m, GFN(10), NULL, true);
	page_put(pg);
	map_block(10, 0);
	assert_int_equal(pg->count, 0);
	*(u64 *)guest(KiB(40)) = 0x7777;
	assert_int_equal(read_at(KiB(20)), 0x7777);
	/* A table's frame goes. */
	assert_int_equal(p2m_remove(&domain.p2m, GFN(4), INVALID_MFN), 0);
	assert_int_equal(read_at(KiB(20)), ~0ull);
}

static void physical(void **state)
{
	u64 value = 77ull << 32 | 2;

	assert_int_equal(copy_to_gpa(&domain, MiB(2) - 4, &value, 8), 0);
	assert_int_equal(*(u32 *)guest(MiB(2) - 4), 2);
	assert_int_equal(*(u32 *)guest(MiB(2)), 77);
	assert_int_equal(copy_to_gpa(&domain, MiB(4) - 4, &value, 8), -EFAULT);
	assert_int_equal(copy_to_gpa(&domain, KiB(4) * 1025, &value, 8), -EFAULT);
	assert_int_equal(copy_to_gpa(&domain, KiB(4) * 1026, &value, 8), -EFAULT);
	assert_int_equal(copy_to_gpa(&domain, ~0ull - 3, &value, 8), -EFAULT);
	assert_int_equal(copy_to_gpa(&domain, BIT(48) - 4, &value, 8), -EFAULT);
}

static void paging_off(void **state)
{
	u64 gpa;

	cr[HVM_CR0] = 1;
	assert_int_equal(guest_translate(&vcpu, 0xfffffffful, true, &gpa), 0);
	assert_int_equal(gpa, 0xfffffffful);
	assert_int_equal(guest_translate(&vcpu, GiB(4), true, &gpa), -EFAULT);
	/* LME without paging is not long mode. */
	cr[HVM_EFER] = BIT(8);
	assert_int_equal(guest_translate(&vcpu, 5, true, &gpa), 0);
}

static void pae(void **state)
{
	u64 gpa, root = KiB(4) + 0x60;

	cr[HVM_CR0] = CR0_ON;
	cr[HVM_CR4] = CR4_PAE;
	cr[HVM_CR3] = root | 0x18;
	memset(guest(KiB(4)), 0, PAGE_SIZE);
	memset(guest(KiB(8)), 0, PAGE_SIZE);
	memset(guest(KiB(12)), 0, PAGE_SIZE);
	*entry64(root, 3) = KiB(8) | P;         /* has no R/W */
	*entry64(KiB(8), 511) = KiB(12) | P | RW;
	*entry64(KiB(12), 511) = GiB(5) | P | RW;
	assert_int_equal(guest_translate(&vcpu, 0xfffffffc, true, &gpa), 0);
	assert_int_equal(gpa, GiB(5) + 0xffc);
	assert_int_equal(*entry64(root, 3), KiB(8) | P);
	assert_int_equal(*entry64(KiB(8), 511), KiB(12) | P | RW | A);
	assert_int_equal(*entry64(KiB(12), 511), GiB(5) | P | RW | A | D);
	*entry64(KiB(8), 0) = MiB(2) | P | PS;
	assert_int_equal(guest_translate(&vcpu, GiB(3) + MiB(2) - 1, false, &gpa), 0);
	assert_int_equal(gpa, MiB(4) - 1);
	assert_int_equal(guest_translate(&vcpu, GiB(3), true, &gpa), -EFAULT);
	assert_int_equal(guest_translate(&vcpu, GiB(2), false, &gpa), -EFAULT);
	assert_int_equal(guest_translate(&vcpu, GiB(7), false, &gpa), -EFAULT);
}

static void two_levels(void **state)
{
	u64 gpa;

	cr[HVM_CR0] = CR0_ON;
	cr[HVM_CR4] = CR4_PSE;
	cr[HVM_CR3] = KiB(4);
	memset(guest(KiB(4)), 0, PAGE_SIZE);
	memset(guest(KiB(8)), 0, PAGE_SIZE);
	*entry32(KiB(4), 1023) = KiB(8) | P | RW;
	*entry32(KiB(8), 1) = KiB(40) | P | RW;
	assert_int_equal(guest_translate(&vcpu, 0xffc01004, true, &gpa), 0);
	assert_int_equal(gpa, KiB(40) + 4);
	assert_int_equal(*entry32(KiB(4), 1023), KiB(8) | P | RW | A);
	assert_int_equal(*entry32(KiB(8), 1), KiB(40) | P | RW | A | D);
	assert_int_equal(*entry32(KiB(8), 0), 0);
	assert_int_equal(*entry32(KiB(8), 2), 0);
	/* 4 MiB, with address bits 39:32 in 20:13. */
	*entry32(KiB(4), 2) = MiB(8) | P | PS | 0x1e2000;
	assert_int_equal(guest_translate(&vcpu, MiB(8) + 0x345678, false, &gpa), 0);
	assert_int_equal(gpa, 0xf100000000ull + MiB(8) + 0x345678);
	/* Without CR4.PSE the bit means nothing. */
	cr[HVM_CR4] = 0;
	*entry32(KiB(4), 2) = KiB(8) | P | PS;
	assert_int_equal(guest_translate(&vcpu, MiB(8) + KiB(4), false, &gpa), 0);
	assert_int_equal(gpa, KiB(40));
	assert_int_equal(guest_translate(&vcpu, MiB(8), false, &gpa), -EFAULT);
	assert_int_equal(guest_translate(&vcpu, GiB(4), false, &gpa), -EFAULT);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(long_walk, setup, teardown),
		cmocka_unit_test_setup_teardown(long_large, setup, teardown),
		cmocka_unit_test_setup_teardown(hostile_tables, setup, teardown),
		cmocka_unit_test_setup_teardown(copies, setup, teardown),
		cmocka_unit_test_setup_teardown(nothing_stale, setup, teardown),
		cmocka_unit_test_setup_teardown(physical, setup, teardown),
		cmocka_unit_test_setup_teardown(paging_off, setup, teardown),
		cmocka_unit_test_setup_teardown(pae, setup, teardown),
		cmocka_unit_test_setup_teardown(two_levels, setup, teardown),
	};

	fake_memory_init(8192);
	page_add_range(MiB(1), MiB(32));
	return cmocka_run_group_tests(tests, NULL, NULL);
}
