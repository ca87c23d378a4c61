/* units: */
/*
 * Look-ups beside changes, on two CPUs: what a look-up returns is the guest's at that moment, although it takes no lock. The spinlocks are
 * the machine's, and the sources are included here so that they get these, and a look at each read without a reference.
 */
#include <pthread.h>
#include <stdatomic.h>
#include <time.h>
#include "arch/x86/include/asm/spinlock.h"
#define TESTS_ASM_SPINLOCK_H
#include "tests/unit/fake.h"
#undef DEBUG_BUILD
#define DEBUG_BUILD 0           /* the tag must not be overwritten while a late look-up decides that it came too late */
#include "mm/buddy.c"
#undef JUNK
#include "mm/pt.c"
static u64 read_late(const u64 *slot);
#define pt_read(slot) read_late(slot)
#include "mm/p2m.c"
#include "mm/p2m_log.c"
#undef pt_read

enum { OWNER = 7, GFN_USED = 5, GUESTS_TAG = 0x60057, OTHERS_TAG = 0xbad, MILLISECONDS = 700 };

static struct p2m guest;
static atomic_bool stop;
static atomic_ulong looks, mistakes;

void hvm_flush_others(struct p2m *p2m, u64 gen) { }

static u64 *tag_of(struct page *pg) { return page_to_virt(pg); }

/* The guest's, or somebody else's, and back. */
static struct page *tagged(u64 tag)
{
	struct page *pg = page_alloc(0);

	__atomic_store_n(tag_of(pg), tag, __ATOMIC_SEQ_CST);
	return pg;
}

/* One read of the p2m's from `late` goes this way instead. */
static const u64 *late;
static u64 (*instead)(const u64 *slot);

static u64 read_late(const u64 *slot)
{
	u64 (*fn)(const u64 *slot) = instead;

	if (slot != late || !fn)
		return pt_read(slot);
	instead = NULL;
	return fn(slot);
}

static void *look(void *arg)
{
	while (!stop) {
		struct page *pg = p2m_get_page(&guest, GFN(GFN_USED), NULL, true);
		u64 value;

		if (!pg)
			continue;
		mistakes += __atomic_load_n(tag_of(pg), __ATOMIC_SEQ_CST) != GUESTS_TAG;
		page_put(pg);
		if (p2m_read_u64(&guest, (gpa_t){ GFN_USED << PAGE_SHIFT }, &value))
			mistakes += value != GUESTS_TAG;
		looks++;
	}
	return NULL;
}

/* As the host delays a look-up: the frame is given away, written by its new owner, read, given back, and at the same place again. */
static u64 read_in_between(const u64 *slot)
{
	struct page *pg;
	u64 value;

	assert_int_equal(p2m_remove(&guest, GFN(GFN_USED), INVALID_MFN), 0);
	pg = tagged(OTHERS_TAG);
	assert_ptr_equal(tag_of(pg), late);
	value = pt_read(slot);
	page_free(pg, 0);
	pg = tagged(GUESTS_TAG);
	assert_ptr_equal(tag_of(pg), late);
	page_assign(pg, 0, OWNER);
	assert_int_equal(p2m_map(&guest, GFN(GFN_USED), page_to_mfn(pg), 0, P2M_RAM), 0);
	return value;
}

static void away_and_back(void **state)
{
	struct page *pg = tagged(GUESTS_TAG);
	u64 next = 0, value;

	assert_int_equal(p2m_init(&guest), 0);
	page_assign(pg, 0, OWNER);
	assert_int_equal(p2m_map(&guest, GFN(GFN_USED), page_to_mfn(pg), 0, P2M_RAM), 0);
	late = tag_of(pg);
	instead = read_in_between;
	assert_ptr_equal(p2m_read_u64(&guest, (gpa_t){ GFN_USED << PAGE_SHIFT }, &value), late);
	assert_null(instead);
	assert_int_equal(value, GUESTS_TAG);
	while (!p2m_relinquish(&guest, &next, 100))
		;
	p2m_destroy(&guest);
}

static u64 milliseconds(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (u64)t.tv_sec * 1000 + (u64)t.tv_nsec / 1000000;
}

static void what_is_found_is_the_guests(void **state)
{
	u64 end = milliseconds() + MILLISECONDS, next = 0, before = page_free_count();
	pthread_t thread[2];

	assert_int_equal(p2m_init(&guest), 0);
	percpu[0].guest_p2m = &guest;
	for (unsigned i = 0; i < 2; i++)
		assert_int_equal(pthread_create(&thread[i], NULL, look, NULL), 0);
	while (milliseconds() < end || looks < 1000) {
		for (unsigned n = 0; n < 100; n++) {
			struct page *pg = tagged(GUESTS_TAG), *others;

			page_assign(pg, 0, OWNER);
			assert_int_equal(p2m_map(&guest, GFN(GFN_USED), page_to_mfn(pg), 0, P2M_RAM), 0);
			/* The frame that was there is the next to be given out, to somebody else. */
			others = tagged(OTHERS_TAG);
			if (n % 4 == 0)
				assert_int_equal(p2m_remove(&guest, GFN(GFN_USED), INVALID_MFN), 0);
			page_free(others, 0);
		}
	}
	stop = true;
	for (unsigned i = 0; i < 2; i++)
		pthread_join(thread[i], NULL);
	assert_int_equal(mistakes, 0);
	while (!p2m_relinquish(&guest, &next, 100))
		;
	p2m_destroy(&guest);
	assert_int_equal(page_free_count(), before);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(away_and_back),
		cmocka_unit_test(what_is_found_is_the_guests),
	};

	fake_memory_init(1024);
	page_add_range(MiB(1), MiB(4));
	return cmocka_run_group_tests(tests, NULL, NULL);
}
