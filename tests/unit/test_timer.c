/* units: sched/timer.c mm/heap.c mm/buddy.c */
/* Timers: order, moving, cancelling, room; then many random operations against a list that is simply searched. */
#include "tests/unit/fake.h"
#include "mm/page.h"
#include "sched/timer.h"

#define NR 200
#define NEVER (~0ull)

static struct timer timers[NR];
static unsigned fired[NR];
static u64 fired_at[NR];
static u64 now;

static void fire(void *arg)
{
	uintptr_t i = (uintptr_t)arg;

	fired[i]++;
	fired_at[i] = now;
}

static int setup(void **state)
{
	fake_memory_init(4096);
	page_add_range(16 * PAGE_SIZE, 4096 * PAGE_SIZE);
	for (unsigned cpu = 0; cpu < 3; cpu++)
		timer_cpu_init(cpu);
	assert_int_equal(timer_reserve(NR), 0);
	return 0;
}

static int each(void **state)
{
	for (uintptr_t i = 0; i < NR; i++) {
		timer_cancel(&timers[i]);
		timer_init(&timers[i], fire, (void *)i);
		fired[i] = 0;
	}
	now = 0;
	return 0;
}

static void they_fire_in_time_and_once(void **state)
{
	assert_int_equal(timer_next(0), NEVER);
	timer_set(&timers[0], 0, 300);
	timer_set(&timers[1], 0, 100);
	timer_set(&timers[2], 0, 200);
	assert_int_equal(timer_next(0), 100);
	assert_int_equal(timer_run(0, 99), 100);
	assert_int_equal(fired[1], 0);
	assert_int_equal(timer_run(0, 200), 300);
	assert_int_equal(fired[1] + fired[2], 2);
	assert_int_equal(timer_run(0, 1000), NEVER);
	assert_int_equal(fired[0] + fired[1] + fired[2], 3);
}

/* Those of many vCPUs, due at the same time: a bounded number in a run, and what is left is due at once. */
static void many_at_once_take_several_runs(void **state)
{
	unsigned runs = 0, done = 0;

	for (unsigned i = 0; i < NR; i++)
		timer_set(&timers[i], 0, 100);
	for (u64 next = 100; next != NEVER; runs++) {
		unsigned before = done;

		assert_int_equal(next, 100);
		next = timer_run(0, 100);
		done = 0;
		for (unsigned i = 0; i < NR; i++)
			done += fired[i];
		assert_in_range(done - before, 1, 32);
	}
	assert_int_equal(done, NR);
	assert_in_range(runs, NR / 32, NR / 32 + 1);
}

static void arming_again_moves(void **state)
{
	timer_set(&timers[0], 0, 100);
	timer_set(&timers[1], 0, 200);
	timer_set(&timers[0], 0, 300);
	assert_int_equal(timer_next(0), 200);
	timer_set(&timers[0], 1, 50);
	assert_int_equal(timer_run(0, 1000), NEVER);
	assert_int_equal(fired[0], 0);
	assert_int_equal(timer_run(1, 1000), NEVER);
	assert_int_equal(fired[0], 1);
}

static void cancelled_is_cancelled(void **state)
{
	timer_set(&timers[0], 2, 100);
	timer_cancel(&timers[0]);
	timer_cancel_sync(&timers[0]);
	assert_int_equal(timer_next(2), NEVER);
	timer_run(2, 1000);
	assert_int_equal(fired[0], 0);
}

static void again(void *arg)
{
	fired[0]++;
	assert_int_equal(fake_locks_held(), 0);
	/* From fn itself: doesn't wait for itself. */
	timer_cancel_sync(&timers[0]);
	timer_set(&timers[0], 0, 0);
}

/* A guest that always asks for a time in the past must not keep the pCPU. */
static void one_that_is_always_due_fires_once_per_run(void **state)
{
	timer_init(&timers[0], again, NULL);
	timer_set(&timers[0], 0, 10);
	assert_int_equal(timer_run(0, 100), 0);
	assert_int_equal(fired[0], 1);
	assert_int_equal(timer_run(0, 100), 0);
	assert_int_equal(fired[0], 2);
}

static void more_than_reserved_is_our_bug(void **state)
{
	static struct timer extra[4 * NR];
	static unsigned room;

	expect_bug({
		for (; room < ARRAY_SIZE(extra); room++) {
			timer_init(&extra[room], fire, NULL);
			timer_set(&extra[room], 2, 5);
		}
	});
	assert_in_range(room, NR, 2 * NR);
	for (unsigned i = 0; i < room; i++)
		timer_cancel(&extra[i]);
}

/* One queue grows at a time, so that on many CPUs no step grows them all. What was prepared is not reserved. */
static void room_is_made_in_steps(void **state)
{
	u64 free;

	for (unsigned cpu = 0; cpu < 3; cpu++)
		assert_int_equal(timer_prepare(20 * NR), 1);
	assert_int_equal(timer_prepare(20 * NR), 0);
	free = page_free_count();
	assert_int_equal(timer_reserve(20 * NR), 0);
	assert_int_equal(page_free_count(), free);
	timer_release(20 * NR);
	assert_int_equal(timer_prepare(64 * 1024 * 1024), -ENOMEM);
}

static void no_memory_is_an_error_and_changes_nothing(void **state)
{
	assert_int_equal(timer_reserve(64 * 1024 * 1024), -ENOMEM);
	assert_int_equal(timer_reserve(0), 0);
	timer_set(&timers[0], 0, 100);
	timer_cancel(&timers[0]);
}

struct model { bool armed; unsigned cpu; u64 expires; };

static u64 model_next(const struct model *m, unsigned cpu)
{
	u64 next = NEVER;

	for (unsigned i = 0; i < NR; i++)
		if (m[i].armed && m[i].cpu == cpu)
			next = MIN(next, m[i].expires);
	return next;
}

static void run_both(struct model *m, unsigned cpu)
{
	now += fake_random() % 50;
	timer_run(cpu, now);
	for (unsigned i = 0; i < NR; i++) {
		bool due = m[i].armed && m[i].cpu == cpu && m[i].expires <= now;

		if (due != fired[i] || (due && fired_at[i] != now))
			fail_msg("timer %u, seed %#llx", i, (unsigned long long)fake_random_seed());
		if (due)
			m[i].armed = false;
		fired[i] = 0;
	}
}

static void random_operations_agree_with_a_list(void **state)
{
	static struct model m[NR];

	print_message("seed %#llx\n", (unsigned long long)fake_random_seed());
	for (unsigned step = 0; step < 50000; step++) {
		unsigned i = fake_random() % NR, cpu = fake_random() % 3;

		switch (fake_random() % 8) {
		case 0:
			run_both(m, cpu);
			break;
		case 1:
			timer_cancel(&timers[i]);
			m[i].armed = false;
			break;
		default:
			m[i] = (struct model){ true, cpu, now + fake_random() % 1000 };
			timer_set(&timers[i], cpu, m[i].expires);
		}
		if (timer_next(cpu) != model_next(m, cpu))
			fail_msg("next of %u, seed %#llx", cpu, (unsigned long long)fake_random_seed());
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(they_fire_in_time_and_once, each),
		cmocka_unit_test_setup(many_at_once_take_several_runs, each), cmocka_unit_test_setup(arming_again_moves, each),
		cmocka_unit_test_setup(cancelled_is_cancelled, each),
		cmocka_unit_test_setup(one_that_is_always_due_fires_once_per_run, each),
		cmocka_unit_test_setup(more_than_reserved_is_our_bug, each),
		cmocka_unit_test_setup(room_is_made_in_steps, each),
		cmocka_unit_test_setup(no_memory_is_an_error_and_changes_nothing, each),
		cmocka_unit_test_setup(random_operations_agree_with_a_list, each),
	};

	return cmocka_run_group_tests(tests, setup, NULL);
}
