/* units: vmm/life/domctl_dirty.c mm/p2m.c mm/p2m_log.c mm/pt.c mm/buddy.c */
/* What of a guest's memory the toolstack has to send: the types of frames, and the dirty log over several rounds and steps. */
#include "mm/p2m_log.h"
#include "tests/unit/fake.h"
#include "mm/page.h"
#include "vmm/domain.h"
#include "vmm/domain/record.h"
#include "vmm/hypercall.h"
#include "vmm/life/life.h"
#include "vmm/vcpu.h"
#include <stdlib.h>
#include <xen/domctl.h>
#include <asm/hvm.h>
#include <asm/hvm_flush.h>

#define GFNS 5000
#define GVA  0x1000ull

static struct domain *d;
static struct xen_domctl op;
static u8 memory[16384];
static bool unwritable;
static unsigned steps, flushes;
static u64 cr3;

static u64 get_cr(const struct vcpu *v, int which) { return which == HVM_CR3 ? cr3 : 0; }
static const struct hvm_ops ops = { .get_cr = get_cr };
const struct hvm_ops *hvm = &ops;
long refuse_say(long error, const char *fmt, ...) { return error; }
void hvm_flush_others(struct p2m *p2m, u64 gen) { flushes++; }
bool step_over(void) { return steps && !--steps; }

int copy_to_guest(struct vcpu *v, u64 gva, const void *src, size_t len)
{
	if (unwritable || gva < GVA || gva - GVA > sizeof(memory) - len)
		return -EFAULT;
	memcpy(memory + (gva - GVA), src, len);
	return 0;
}

int copy_from_guest(struct vcpu *v, void *dst, u64 gva, size_t len)
{
	if (gva < GVA || gva - GVA > sizeof(memory) - len)
		return -EFAULT;
	memcpy(dst, memory + (gva - GVA), len);
	return 0;
}

/* The guest stands still while the log is turned off, from the second question on. */
spinlock_t control_lock = SPINLOCK(LOCK_CONTROL);
static int pauses;
static bool stopped;
void domain_pause(struct domain *of) { pauses++; }
void domain_unpause(struct domain *of) { pauses--; stopped = false; }

long domain_check_stopped(struct domain *of)
{
	bool was = stopped;

	assert_true(spin_is_locked(&control_lock) && pauses == 1);
	stopped = true;
	return was ? 0 : HC_AGAIN;
}

/* The last record. */
static u64 event[2];
static unsigned events;

void record_event(enum record_kind kind, const struct domain *of, const struct vcpu *v, u64 a, u64 b)
{
	assert_int_equal(kind, RECORD_LOG);
	assert_true(of == d && !v);
	event[0] = a;
	event[1] = b;
	events++;
}

static void check_event(u32 what, u32 round, u64 frames)
{
	assert_int_equal(event[0], what | round << 8);
	assert_int_equal(event[1], frames);
}

static u64 free_at_start;

static int set_up(void **state)
{
	free_at_start = page_free_count();
	d = calloc(1, sizeof(*d));
	assert_int_equal(p2m_init(&d->p2m), 0);
	d->p2m.max_gfn = GFNS - 1;
	unwritable = false;
	steps = flushes = 0;
	cr3 = 0x1234001;
	memset(memory, 0x77, sizeof(memory));
	return 0;
}

static int tear_down(void **state)
{
	u64 next = 0;

	while (!p2m_relinquish(&d->p2m, &next, 1000))
		;
	p2m_destroy(&d->p2m);
	free(d);
	assert_int_equal(page_free_count(), free_at_start);
	return 0;
}

static struct page *populate(u64 gfn, u8 contents)
{
	struct page *pg = page_alloc(0);

	page_assign(pg, 0, 1);
	memset(page_to_virt(pg), contents, PAGE_SIZE);
	assert_int_equal(p2m_map(&d->p2m, GFN(gfn), page_to_mfn(pg), 0, P2M_RAM), 0);
	return pg;
}

/* As the dispatcher calls it. */
static long once(hypercall_fn *fn, struct hypercall *hc, void *arg)
{
	bool alone = fn == hc_domctl_shadow_op;
	long rc;

	if (alone)
		spin_lock(&control_lock);
	rc = fn(NULL, hc, arg);
	assert_int_equal(fake_locks_held(), alone);
	if (alone)
		spin_unlock(&control_lock);
	return rc;
}

/* To its end, as a guest would repeat it; `every`: a step lasts so many looks at the clock, 0: for ever. */
static long call(hypercall_fn *fn, void *arg, unsigned every)
{
	struct hypercall hc = { .target = d };
	long rc;

	do {
		steps = every;
		rc = once(fn, &hc, arg);
	} while (rc == HC_AGAIN);
	assert_int_equal(pauses, 0);
	return rc;
}

static long shadow(u32 what, bool bitmap, unsigned every)
{
	op.u.shadow_op = (struct xen_domctl_shadow_op){ .op = what, .pages = GFNS };
	op.u.shadow_op.dirty_bitmap.p = bitmap ? (void *)GVA : NULL;
	return call(hc_domctl_shadow_op, &op.u.shadow_op, every);
}

static void make_dirty(u64 gfn) { assert_true(p2m_make_dirty(&d->p2m, GFN(gfn))); }

static bool is_dirty(u64 gfn) { return memory[gfn / 8] >> (gfn % 8) & 1; }

static long types(u64 num, unsigned every)
{
	op.u.getpageframeinfo3.num = num;
	op.u.getpageframeinfo3.array.p = (void *)GVA;
	return call(hc_domctl_getpageframeinfo3, &op.u.getpageframeinfo3, every);
}

static void check_types(u64 zeros)
{
	u64 *t = (u64 *)memory;

	for (u64 i = 0; i < 200; i++)
		t[i] = i;
	t[200] = ~0ull;
	t[201] = BIT(36) + 3;    /* not frame 3 */
	t[202] = 3;
	t[203] = BIT(18) + 3;
	assert_int_equal(types(204, 1), 0);
	for (u64 i = 0; i < 200; i++)
		assert_int_equal(t[i], i == 3 ? XEN_DOMCTL_PFINFO_NOTAB : i == 4 || i == 199 ? zeros : XEN_DOMCTL_PFINFO_XTAB);
	assert_int_equal(t[200], XEN_DOMCTL_PFINFO_XTAB);
	assert_int_equal(t[201], XEN_DOMCTL_PFINFO_XTAB);
	assert_int_equal(t[202], XEN_DOMCTL_PFINFO_NOTAB);
	assert_int_equal(t[203], XEN_DOMCTL_PFINFO_XTAB);
}

/* Zeros are left out while the other side is sure to have zeros there. */
static void frames_have_types(void **state)
{
	((u8 *)page_to_virt(populate(3, 0)))[PAGE_SIZE - 1] = 1;
	populate(4, 0);
	populate(199, 0);
	assert_int_equal(p2m_map(&d->p2m, GFN(5), page_to_mfn(populate(4000, 0)), 0, P2M_GRANT_RO), 0);
	check_types(XEN_DOMCTL_PFINFO_NOTAB);   /* it runs: it may write there next */
	d->shutting_down = true;
	check_types(XEN_DOMCTL_PFINFO_XALLOC);
	d->shutting_down = false;
	assert_int_equal(shadow(XEN_DOMCTL_SHADOW_OP_ENABLE_LOGDIRTY, false, 0), 0);
	check_types(XEN_DOMCTL_PFINFO_XALLOC);
	d->shutting_down = true;
	assert_int_equal(shadow(XEN_DOMCTL_SHADOW_OP_CLEAN, true, 0), 0);
	check_types(XEN_DOMCTL_PFINFO_NOTAB);
	assert_int_equal(types(1025, 0), -E2BIG);
	assert_int_equal(types(~0ull, 0), -E2BIG);
	op.u.getpageframeinfo3.num = 1;
	op.u.getpageframeinfo3.array.p = NULL;
	assert_int_equal(call(hc_domctl_getpageframeinfo3, &op.u.getpageframeinfo3, 0), -EFAULT);
}

static void rounds(void **state)
{
	u8 before[sizeof(memory)];

	events = 0;
	populate(3, 1);
	populate(1500, 1);
	populate(GFNS - 1, 1);
	assert_int_equal(shadow(XEN_DOMCTL_SHADOW_OP_CLEAN, true, 0), -EINVAL);
	assert_int_equal(shadow(XEN_DOMCTL_SHADOW_OP_OFF, false, 0), 0);
	for (unsigned every = 0; every < 3; every++) {
		assert_int_equal(shadow(XEN_DOMCTL_SHADOW_OP_ENABLE_LOGDIRTY, false, every), 0);
		assert_int_equal(shadow(XEN_DOMCTL_SHADOW_OP_ENABLE_LOGDIRTY, false, every), -EINVAL);
		memset(memory, 0x77, sizeof(memory));
		make_dirty(1500);
		assert_int_equal(shadow(XEN_DOMCTL_SHADOW_OP_PEEK, false, every), 0);
		assert_int_equal(op.u.shadow_op.stats.dirty_count, 1);
		flushes = 0;
		assert_int_equal(shadow(XEN_DOMCTL_SHADOW_OP_CLEAN, true, every), 0);
		assert_true(flushes > 0);
		assert_int_equal(op.u.shadow_op.stats.dirty_count, 1);
		assert_int_equal(op.u.shadow_op.pages, GFNS);
		for (u64 i = 0; i < GFNS; i++)
			assert_int_equal(is_dirty(i), i == 1500);
		assert_int_equal(memory[GFNS / 8], 0x77);       /* not a byte too many */
		/* A bitmap that can't be written loses nothing: the frames of that part are dirty again. */
		make_dirty(3);
		unwritable = true;
		memcpy(before, memory, sizeof(memory));
		assert_int_equal(shadow(XEN_DOMCTL_SHADOW_OP_CLEAN, true, every), -EFAULT);
		unwritable = false;
		assert_int_equal(shadow(XEN_DOMCTL_SHADOW_OP_CLEAN, true, every), 0);
		assert_true(is_dirty(3) && !is_dirty(GFNS - 1));
		assert_int_equal(shadow(XEN_DOMCTL_SHADOW_OP_OFF, false, every), 0);
		assert_int_equal(d->dirty.round, 0);
	}
	assert_int_equal(events, 15);
	assert_int_equal(shadow(XEN_DOMCTL_SHADOW_OP_GET_ALLOCATION, false, 0), -EOPNOTSUPP);
	d->privileged = true;
	assert_int_equal(shadow(XEN_DOMCTL_SHADOW_OP_ENABLE_LOGDIRTY, false, 0), -EINVAL);
}

/* Another process begins while one reads the log: the first gets an error, and not half of what it has to know. */
static void a_log_has_one_reader(void **state)
{
	populate(3, 1);
	assert_int_equal(shadow(XEN_DOMCTL_SHADOW_OP_ENABLE_LOGDIRTY, false, 0), 0);
	cr3 ^= 0xfff;   /* the same process on another CPU: only its identifier there is another */
	assert_int_equal(shadow(XEN_DOMCTL_SHADOW_OP_CLEAN, true, 0), 0);
	make_dirty(3);
	cr3 ^= 0x1000;
	assert_int_equal(shadow(XEN_DOMCTL_SHADOW_OP_CLEAN, true, 0), -EINVAL);
	assert_int_equal(shadow(XEN_DOMCTL_SHADOW_OP_PEEK, true, 0), -EINVAL);
	/* As libxc does. */
	assert_int_equal(shadow(XEN_DOMCTL_SHADOW_OP_ENABLE_LOGDIRTY, false, 0), -EINVAL);
	assert_int_equal(shadow(XEN_DOMCTL_SHADOW_OP_OFF, false, 0), 0);
	assert_int_equal(shadow(XEN_DOMCTL_SHADOW_OP_ENABLE_LOGDIRTY, false, 0), 0);
	cr3 ^= 0x1000;
	assert_int_equal(shadow(XEN_DOMCTL_SHADOW_OP_CLEAN, true, 0), -EINVAL);
	cr3 ^= 0x1000;
	assert_int_equal(shadow(XEN_DOMCTL_SHADOW_OP_CLEAN, true, 0), 0);
	/* The first one ends. */
	cr3 ^= 0x1000;
	assert_int_equal(shadow(XEN_DOMCTL_SHADOW_OP_OFF, false, 0), 0);
	cr3 ^= 0x1000;
	assert_int_equal(shadow(XEN_DOMCTL_SHADOW_OP_CLEAN, true, 0), -EINVAL);
}

/* A migration is given up: the pages that it split are large again, and a second one that began meanwhile changes nothing. */
static void large_pages_form_again(void **state)
{
	struct hypercall hc = { .target = d };
	struct page *pg = page_alloc(9);
	u64 tables;

	page_assign(pg, 9, 1);
	assert_int_equal(p2m_map(&d->p2m, GFN(1024), page_to_mfn(pg), 9, P2M_RAM), 0);
	populate(3, 1);
	tables = d->p2m.table_pages;
	for (unsigned every = 0; every < 3; every++) {
		assert_int_equal(shadow(XEN_DOMCTL_SHADOW_OP_ENABLE_LOGDIRTY, false, every), 0);
		make_dirty(1500);
		assert_int_equal(d->p2m.table_pages, tables + 1);
		/* Others' calls between two steps of OFF. */
		steps = 1;
		op.u.shadow_op = (struct xen_domctl_shadow_op){ .op = XEN_DOMCTL_SHADOW_OP_OFF };
		assert_int_equal(once(hc_domctl_shadow_op, &hc, &op.u.shadow_op), HC_AGAIN);
		assert_int_equal(pauses, 1);
		op.u.shadow_op = (struct xen_domctl_shadow_op){ .op = XEN_DOMCTL_SHADOW_OP_CLEAN, .pages = GFNS };
		assert_int_equal(once(hc_domctl_shadow_op, &hc, &op.u.shadow_op), -EINVAL);
		op.u.shadow_op = (struct xen_domctl_shadow_op){ .op = XEN_DOMCTL_SHADOW_OP_ENABLE_LOGDIRTY };
		assert_int_equal(once(hc_domctl_shadow_op, &hc, &op.u.shadow_op), -EINVAL);
		hc.progress = 1;
		assert_int_equal(once(hc_domctl_shadow_op, &hc, &op.u.shadow_op), -EINVAL);
		hc.progress = 0;
		assert_int_equal(shadow(XEN_DOMCTL_SHADOW_OP_OFF, false, every), 0);
		assert_int_equal(d->p2m.table_pages, tables);
		assert_ptr_equal(p2m_get_page(&d->p2m, GFN(1500), NULL, true), pg + (1500 - 1024));
		page_put(pg + (1500 - 1024));
	}
}

/* The record has an event for each round, however many steps it took, and `bothy top` finds the last one. */
static void rounds_are_told(void **state)
{
	static struct record_vcpu counters;
	static struct vcpu v = { .counters = &counters };
	struct vcpu *vcpus[1] = { &v };

	populate(3, 1);
	populate(1500, 1);
	events = 0;
	fake_time = 1000;
	assert_int_equal(shadow(XEN_DOMCTL_SHADOW_OP_ENABLE_LOGDIRTY, false, 1), 0);
	check_event(XEN_DOMCTL_SHADOW_OP_ENABLE_LOGDIRTY, 1, 2);
	/* A domain without vCPUs has no counters. */
	d->vcpu = vcpus;
	d->max_vcpus = 1;
	fake_time = 5000;
	make_dirty(3);
	assert_int_equal(shadow(XEN_DOMCTL_SHADOW_OP_CLEAN, true, 1), 0);
	check_event(XEN_DOMCTL_SHADOW_OP_CLEAN, 2, 1);
	assert_int_equal(counters.log.round, 2);
	assert_int_equal(counters.log.since, 5000);
	fake_time = 9000;
	assert_int_equal(shadow(XEN_DOMCTL_SHADOW_OP_PEEK, true, 1), 0);
	check_event(XEN_DOMCTL_SHADOW_OP_PEEK, 2, 0);
	assert_int_equal(counters.log.frames, 1);
	make_dirty(3);
	make_dirty(1500);
	assert_int_equal(shadow(XEN_DOMCTL_SHADOW_OP_CLEAN, true, 0), 0);
	check_event(XEN_DOMCTL_SHADOW_OP_CLEAN, 3, 2);
	assert_int_equal(counters.log.frames, 2);
	assert_int_equal(counters.log.ns, 4000);
	assert_int_equal(shadow(XEN_DOMCTL_SHADOW_OP_OFF, false, 1), 0);
	assert_int_equal(event[0], XEN_DOMCTL_SHADOW_OP_OFF);
	assert_int_equal(counters.log.round, 0);
	/* The toolstack says so after each save too. */
	assert_int_equal(shadow(XEN_DOMCTL_SHADOW_OP_OFF, false, 0), 0);
	assert_int_equal(events, 5);
	d->vcpu = NULL;
	d->max_vcpus = 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(frames_have_types, set_up, tear_down),
		cmocka_unit_test_setup_teardown(a_log_has_one_reader, set_up, tear_down),
		cmocka_unit_test_setup_teardown(large_pages_form_again, set_up, tear_down),
		cmocka_unit_test_setup_teardown(rounds, set_up, tear_down),
		cmocka_unit_test_setup_teardown(rounds_are_told, set_up, tear_down),
	};

	fake_memory_init(16384);
	page_add_range(MiB(1), MiB(64));
	return cmocka_run_group_tests(tests, NULL, NULL);
}
