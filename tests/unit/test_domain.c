/* units: vmm/domain/domain.c vmm/domain/changes.c vmm/life/domain_life.c mm/heap.c mm/buddy.c */
/* A domain's life: numbers, references, the account of its frames, and an end in steps that leaves nothing behind. */
#include "mm/page.h"
#include "sched/timer.h"
#include "tests/unit/fake.h"
#include <asm/hvm.h>
#include <stdlib.h>
#include <xen/hvm/params.h>
#include <xen/sched.h>
#include "drivers/power.h"
#include "mm/heap.h"
#include "vmm/cpu/cpu_policy.h"
#include "vmm/domain.h"
#include "vmm/cpu/msr.h"
#include "vmm/domain/record_layout.h"
#include "vmm/life/life.h"
#include "vmm/vcpu.h"

/* ---- what a domain is made of: each counts what is there, and one can be made to fail ---- */

static int pieces;                      /* made and not undone */
static unsigned made, fail_at;          /* the n-th from now fails */
static unsigned virqs, syncs, releases, vcpus_freed, released_areas, relinquish_steps;
static bool running;
struct cpu_policy cpu_policy_def, cpu_policy_dom0;

static int make(void)
{
	if (fail_at && ++made == fail_at)
		return -ENOMEM;
	pieces++;
	return 0;
}

static const struct hvm_ops ops = { .name = "none" };
const struct hvm_ops *hvm = &ops;
int p2m_init(struct p2m *p2m) { return make(); }
void p2m_destroy(struct p2m *p2m) { pieces--; }
bool p2m_relinquish(struct p2m *p2m, u64 *next, unsigned budget) { return !relinquish_steps || !--relinquish_steps; }
int grant_init(struct domain *d, s32 frames, s32 maptrack) { return make(); }
bool grant_destroy(struct domain *d, unsigned budget) { pieces--; return true; }
bool grant_release_maps(struct domain *d, unsigned budget) { return true; }
void evtchn_init(struct domain *d, u32 max_port) { pieces++; }
bool evtchn_destroy(struct domain *d) { pieces--; return true; }
static struct domain *watched;  /* how far its end had come when the last event was sent for it */
static u8 dying_then;
void evtchn_raise_global_virq(struct domain *d, unsigned virq)
{
	assert_int_equal(virq, VIRQ_DOM_EXC);
	virqs++;
	if (watched)
		dying_then = watched->dying;
}
void mtrr_init_domain(struct domain *d) { }
void sched_group_init(struct sched_group *g) { }
bool vcpu_is_off(struct vcpu *v) { return !running; }
void timer_cancel_sync(struct timer *t) { releases++; }
void vcpu_free(struct vcpu *v) { vcpus_freed++; kfree(v); }
static struct domain *resumed_at_once;  /* another CPU takes its end back as soon as the end can be seen */
void record_event(enum record_kind kind, const struct domain *d, const struct vcpu *v, u64 a, u64 b)
{
	if (kind == RECORD_SHUTDOWN && d == resumed_at_once)
		domain_resume(resumed_at_once);
}
void domain_update_wallclock(struct domain *d) { }
void vcpu_sync(struct vcpu *v) { syncs++; }
void vcpu_release_areas(struct vcpu *v) { released_areas++; }
void machine_power_off(void) { abort(); }
void machine_restart(void) { abort(); }

static u64 free_before;

static int set_up(void **state)
{
	pieces = 0;
	made = fail_at = virqs = syncs = releases = vcpus_freed = released_areas = relinquish_steps = 0;
	running = false;
	free_before = page_free_count();
	return 0;
}

static struct domain *make_domain(u16 domid)
{
	struct domain *d = NULL;

	assert_int_equal(domain_create(domid, 2, 100, -1, -1, &d), 0);
	return d;
}

static void add_vcpu(struct domain *d)
{
	d->vcpu[0] = kzalloc(sizeof(struct vcpu));
	d->vcpu[0]->domain = d;
}

/* As the toolstack does it, until it is over: how many steps. And as the run loops of all CPUs do it, until nothing is left to free. */
static unsigned destroy(struct domain *d)
{
	unsigned steps = 1;

	while (domain_destroy(d) == -EAGAIN)
		steps++;
	while (domain_reap())
		;
	assert_int_equal(fake_locks_held(), 0);
	return steps;
}

static bool exists(u16 domid)
{
	struct domain *d = domain_get(domid);

	if (d)
		domain_put(d);
	return d != NULL;
}

static void numbers_rove_and_are_given_once(void **state)
{
	u32 before = domain_count();
	struct domain *a = make_domain(0xffff), *b = make_domain(0xffff), *c, *d;

	assert_true(a->domid && b->domid == a->domid + 1);
	assert_int_equal(domain_create(a->domid, 1, 100, -1, -1, &c), -EEXIST);
	assert_int_equal(domain_create(DOMID_FIRST_RESERVED, 1, 100, -1, -1, &c), -EINVAL);
	assert_int_equal(domain_create(9, 0, 100, -1, -1, &c), -EINVAL);
	assert_int_equal(domain_create(9, MAX_VCPUS + 1, 100, -1, -1, &c), -EINVAL);
	/* The highest there is, then from the bottom, where 0 is the service domain's. */
	c = make_domain(DOMID_FIRST_RESERVED - 1);
	assert_int_equal(c->domid, 0x7fef);
	assert_true(exists(0x7fef) && !exists(0x7ff0) && !exists(0xffff));
	d = domain_get_next((u16)(b->domid + 1));
	assert_ptr_equal(d, c);
	assert_int_equal(domain_count(), before + 3);
	domain_put(d);
	destroy(c);
	destroy(a);
	/* A number that has just been used is not the next. */
	d = make_domain(0xffff);
	assert_int_equal(d->domid, b->domid + 1);
	destroy(b);
	destroy(d);
	assert_null(domain_get_next(1));
	assert_int_equal(domain_count(), before);
	assert_int_equal(pieces, 0);
}

/* Numbers beyond the highest are nobody: not the service domain either, where a masked index would end. */
/* As xenstored reads them: each change once, and to a new listener all domains. */
static void changes_are_told_once(void **state)
{
	struct domain *d, *e;
	struct page *lent;
	u64 id;

	while (domain_next_changed() != DOMID_INVALID)
		;
	d = make_domain(700);
	e = make_domain(9);
	id = d->unique_id;
	assert_true(id && e->unique_id && id != e->unique_id);
	assert_int_equal(domain_next_changed(), 9);
	assert_int_equal(domain_next_changed(), 700);
	assert_int_equal(domain_next_changed(), DOMID_INVALID);
	domain_shutdown(d, SHUTDOWN_poweroff);
	assert_int_equal(domain_next_changed(), 700);
	assert_int_equal(domain_next_changed(), DOMID_INVALID);
	assert_int_equal(d->unique_id, id);

	/* A new listener, who then hears of no older change. */
	domain_shutdown(e, SHUTDOWN_poweroff);
	domain_changed_all();
	assert_int_equal(domain_next_changed(), 9);
	assert_int_equal(domain_next_changed(), 700);
	assert_int_equal(domain_next_changed(), DOMID_INVALID);
	/* Another one, who comes while the first isn't through. */
	domain_changed_all();
	assert_int_equal(domain_next_changed(), 9);
	domain_changed_all();
	assert_int_equal(domain_next_changed(), 9);
	assert_int_equal(domain_next_changed(), 700);
	assert_int_equal(domain_next_changed(), DOMID_INVALID);

	/*
	 * xenstored has a frame of the guest's, and gives it back when it hears that the guest is dead. So that has to be seen
	 * when the event comes. When the frame is back, the domain goes, which is another change.
	 */
	lent = page_alloc(0);
	assert_non_null(lent);
	assert_true(domain_charge(d, 1));
	page_assign(lent, 0, d->domid);
	watched = d;
	destroy(d);
	assert_int_equal(dying_then, DOMAIN_LENDING);
	watched = NULL;
	assert_int_equal(domain_next_changed(), 700);
	assert_int_equal(domain_next_changed(), DOMID_INVALID);
	page_put(lent);
	while (domain_reap())
		;
	assert_false(exists(700));
	assert_int_equal(domain_next_changed(), 700);
	assert_int_equal(domain_next_changed(), DOMID_INVALID);
	/* Another domain of that number is another one. */
	d = make_domain(700);
	assert_true(d->unique_id && d->unique_id != id && d->unique_id != e->unique_id);
	destroy(d);
	destroy(e);
	while (domain_next_changed() != DOMID_INVALID)
		;
}

static void there_is_one_service_domain(void **state)
{
	struct domain *host = make_domain(0);

	assert_true(host->privileged && host->p2m.identity && exists(0));
	assert_true(!exists(0x7ff0) && !exists(0x7ff1) && !exists(0xffff));
	assert_int_equal(domain_create(0, 1, 100, -1, -1, &host), -EEXIST);
}

static void all_numbers_in_turn(void **state)
{
	u16 last = 0;

	for (unsigned i = 0; i < 0x7ff0 + 10; i++) {
		struct domain *d = make_domain(0xffff);

		assert_true(d->domid > 0 && d->domid < 0x7ff0);
		if (last)
			assert_int_equal(d->domid, last == 0x7fef ? 1 : last + 1);
		last = d->domid;
		destroy(d);
	}
}

static void what_fails_is_undone(void **state)
{
	struct domain *d;

	for (fail_at = 1; fail_at <= 2; fail_at++) {
		made = 0;
		assert_int_equal(domain_create(7, 2, 100, -1, -1, &d), -ENOMEM);
		assert_int_equal(pieces, 0);
		assert_false(exists(7));
	}
	fail_at = 0;
	destroy(make_domain(7));
	assert_int_equal(pieces, 0);
	assert_in_range(free_before - page_free_count(), 0, 4);         /* the heap keeps a few pages */
}

static void frames_are_charged_up_to_the_limit(void **state)
{
	struct domain *d = make_domain(7);

	d->max_pages = 10;
	assert_true(domain_charge(d, 9));
	assert_false(domain_charge(d, 2));
	assert_true(domain_charge(d, 1));
	assert_false(domain_charge(d, 1));
	assert_false(domain_charge(d, ~0ull));
	assert_false(domain_charge(d, ~0ull - 9));
	assert_int_equal(d->tot_pages, 10);
	/* A limit below what it has. */
	d->max_pages = 5;
	assert_false(domain_charge(d, 1));
	domain_uncharge(d, 10);
	/* Beyond the limit, until it is given up, and never less than nothing. */
	d->beyond = 3;
	assert_true(domain_charge(d, 8));
	assert_false(domain_charge(d, 1));
	domain_uncharge(d, 2);
	assert_int_equal(d->beyond, 1);
	assert_false(domain_charge(d, 1));
	domain_uncharge(d, 6);
	assert_int_equal(d->beyond, 0);
	assert_false(domain_charge(d, 6));
	assert_true(domain_charge(d, 5));
	d->beyond = 2;
	domain_drop_beyond(d, ~0ull);
	assert_int_equal(d->beyond, 0);
	domain_uncharge(d, 5);
	destroy(d);
}

static void pauses_and_ends_are_counted(void **state)
{
	struct domain *d = make_domain(7);

	add_vcpu(d);
	assert_int_equal(d->pause_count, 1);
	assert_true(domain_is_stopped(d));
	running = true;
	assert_false(domain_is_stopped(d));
	running = false;
	domain_unpause(d);
	assert_false(domain_is_stopped(d));
	expect_bug(domain_unpause(d));
	/* The first end counts, and pauses once. */
	domain_shutdown(d, SHUTDOWN_reboot);
	domain_crash(d, "after %u", 5);
	assert_true(d->shutting_down && d->shutdown_code == SHUTDOWN_reboot && d->pause_count == 1 && virqs == 1);
	assert_logged("d7 ended: after 5");
	destroy(d);
	assert_int_equal(pieces, 0);
}

/* A save that fails takes the suspension back; pauses by the toolstack stay. */
static void an_end_is_taken_back(void **state)
{
	struct domain *d = make_domain(7);

	add_vcpu(d);
	domain_shutdown(d, SHUTDOWN_suspend);
	assert_true(d->shutting_down && d->pause_count == 2);
	domain_resume(d);
	assert_true(!d->shutting_down && d->pause_count == 1);
	domain_resume(d);       /* there is nothing to take back */
	assert_int_equal(d->pause_count, 1);
	domain_unpause(d);
	resumed_at_once = d;
	domain_shutdown(d, SHUTDOWN_suspend);
	assert_true(!d->shutting_down && d->pause_count == 0);
	resumed_at_once = NULL;
	/* And the next end counts again. */
	domain_shutdown(d, SHUTDOWN_poweroff);
	assert_true(d->shutting_down && d->shutdown_code == SHUTDOWN_poweroff && d->pause_count == 1 && virqs == 3);
	destroy(d);
	assert_int_equal(pieces, 0);
}

static void an_end_comes_in_steps(void **state)
{
	struct domain *d = make_domain(7);

	add_vcpu(d);
	domain_unpause(d);
	relinquish_steps = 5;
	/* Not while a vCPU is on a CPU. */
	running = true;
	assert_int_equal(domain_destroy(d), -EAGAIN);
	assert_true(d->dying == 1 && d->pause_count == 1 && relinquish_steps == 5 && !released_areas);
	running = false;
	/* Memory goes in five; its vCPUs, ports, maps and grants in one each, before that. */
	assert_int_equal(destroy(d), 11);
	assert_true(!exists(7) && released_areas == 1 && releases == 3 && vcpus_freed == 1 && virqs == 2);
	assert_int_equal(pieces, 0);
}

/* Frames that others still map keep a domain in the table; references keep it in memory. */
static void the_last_frame_and_the_last_reference(void **state)
{
	struct domain *d = make_domain(7), *held = domain_get(7);
	struct page *pg = page_alloc(0);

	assert_ptr_equal(held, d);
	assert_true(domain_charge(d, 1));
	page_assign(pg, 0, 7);
	assert_int_equal(destroy(d), 7);
	assert_true(exists(7) && d->dying == 2);
	assert_int_equal(domain_destroy(d), 0);
	domain_reap();
	assert_true(exists(7));
	this_cpu()->look_around = 0;
	page_put(pg);
	assert_true(exists(7) && this_cpu()->look_around);     /* it goes in the run loop */
	domain_reap();
	assert_true(!exists(7) && pieces && d->refs == 1);
	domain_put(d);
	while (domain_reap())
		;
	assert_int_equal(pieces, 0);
}

/* Whoever drops the last reference has no more to do than that. The rest is done a bounded step at a time, from the run loop. */
static void the_dead_are_freed_in_steps(void **state)
{
	struct domain *d = NULL, *held;
	unsigned steps = 0;

	assert_int_equal(domain_create(7, MAX_VCPUS, 100, -1, -1, &d), 0);
	for (u32 i = 0; i < MAX_VCPUS; i++)
		d->vcpu[i] = kzalloc(sizeof(struct vcpu));
	held = domain_get(7);
	while (domain_destroy(d) == -EAGAIN)
		steps++;
	/* Its vCPUs' timers and areas in steps, too. */
	assert_in_range(steps, 6 + 128 / 16 - 1, 20);
	while (domain_reap())
		;
	assert_true(!exists(7) && !vcpus_freed && released_areas == MAX_VCPUS);
	this_cpu()->look_around = 0;
	domain_put(held);
	assert_true(!vcpus_freed && pieces == 1 && this_cpu()->look_around);
	for (unsigned freed = 0; domain_reap(); freed = vcpus_freed) {
		assert_int_equal(fake_locks_held(), 0);
		assert_in_range(vcpus_freed - freed, 0, 16);
	}
	assert_true(vcpus_freed == MAX_VCPUS && pieces == 0);
	assert_false(domain_reap());
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define TEST(f) cmocka_unit_test_setup(f, set_up)
		TEST(numbers_rove_and_are_given_once),
		TEST(what_fails_is_undone),
		TEST(frames_are_charged_up_to_the_limit),
		TEST(pauses_and_ends_are_counted),
		TEST(an_end_is_taken_back),
		TEST(an_end_comes_in_steps),
		TEST(the_last_frame_and_the_last_reference),
		TEST(the_dead_are_freed_in_steps),
		TEST(changes_are_told_once),
		TEST(all_numbers_in_turn),
		TEST(there_is_one_service_domain),
	};

	fake_memory_init(4096);
	page_add_range(MiB(1), MiB(16));
	return cmocka_run_group_tests(tests, NULL, NULL);
}
