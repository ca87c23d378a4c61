/* units: sched/sched.c sched/queue.c sched/tree.c sched/balance.c sched/setup.c sched/timer.c tests/unit/sim_sched.c tests/unit/check_sched.c */
/*
 * Thousands of tasks, everything random: bursts, sleeps, boosts, weights, caps, affinity, pCPUs slow to react. What must hold always:
 * the bound on lag, the queues' books, affinity, caps, no idle pCPU beside work it may take, and shares in the long run.
 */
#include "tests/unit/fake.h"
#include "tests/unit/sim_sched.h"
#include "tests/unit/check_sched.h"
#include "sched/cap.h"
#include "sched/queue.h"
#include <stdlib.h>

#define NR_TASKS  3000
#define NR_GROUPS 40

static struct sched_group group[NR_GROUPS];
static struct sim_task task[NR_TASKS];

static bool kicks_are_under_way(void)
{
	for (unsigned cpu = 0; cpu < sim.nr_cpus; cpu++)
		if (sim.cpu[cpu].pick_at <= sim.now + sim.kick_delay || sim.cpu[cpu].switched_at != ~0ull)
			return true;
	return false;
}

/* Nobody waits who could run on an idle pCPU that hasn't been told. */
static void check_work_conserving(unsigned tasks)
{
	if (kicks_are_under_way())
		return;
	for (unsigned cpu = 0; cpu < sim.nr_cpus; cpu++) {
		if (!sim.cpu[cpu].idle)
			continue;
		for (unsigned i = 0; i < tasks; i++) {
			const struct sched_entity *e = &task[i].e;

			if (e->place == SCHED_QUEUED && !e->on_cpu && permitted(e, cpu) && !sim.cpu[e->cpu].idle)
				fail_msg("task %u waits on pCPU %u beside idle pCPU %u", i, e->cpu, cpu);
		}
	}
}

static void check_all(unsigned tasks)
{
	for (unsigned cpu = 0; cpu < sim.nr_cpus; cpu++)
		sched_check(cpu);
	check_work_conserving(tasks);
	assert_int_equal(fake_locks_held(), 0);
}

static u32 random_weight(void)
{
	static const u32 some[] = { 1, 64, 256, 256, 256, 512, 1024, 65535 };

	return some[sim_between(0, ARRAY_SIZE(some) - 1)];
}

static cpumask_t random_mask(void)
{
	cpumask_t all = BIT(sim.nr_cpus) - 1, m = sim_between(0, ~0ull - 1) & all;

	return sim_between(0, 2) && m ? m : all;
}

/* One thing that an administrator, or another vCPU, might do. */
static void disturb(unsigned tasks)
{
	struct sim_task *t = &task[sim_between(0, tasks - 1)];

	switch (sim_between(0, 5)) {
	case 0:
		assert_int_equal(sched_group_set(&group[sim_between(0, NR_GROUPS - 1)], random_weight(),
						 sim_between(0, 3) ? 0 : (u32)sim_between(1, 250), sim.now), 0);
		break;
	case 1:
		assert_int_equal(sched_set_affinity(&t->e, random_mask(), random_mask(), sim.now), 0);
		break;
	case 2:
		sched_sleep(&t->e, sim.now);
		break;
	case 3:
		sched_give_way(&t->e, sim.now);
		break;
	default:
		sched_wake_boost(&t->e, sim.now);
	}
}

static void everything_at_random(unsigned cpus, unsigned tasks, u64 seed)
{
	sim_start(cpus, seed);
	sim.kick_delay = sim.switch_delay = 2 * US;
	for (unsigned i = 0; i < NR_GROUPS; i++) {
		sched_group_init(&group[i]);
		assert_int_equal(sched_group_set(&group[i], random_weight(), i % 4 ? 0 : 50 * i + 5, sim.now), 0);
	}
	for (unsigned i = 0; i < tasks; i++) {
		sim_task_init(&task[i], &group[i % NR_GROUPS], sim_between(20 * US, 20 * MS), sim_between(20 * US, 200 * MS), random_mask());
		task[i].boosts = sim_between(0, 9) == 0;
		sim_go(&task[i]);
	}
	for (unsigned round = 0; round < 1500; round++) {
		sim_run(sim_between(10 * US, 2 * MS));
		disturb(tasks);
		if (round % 8 == 0)
			check_all(tasks);
	}
	print_message("seed %#llx: %u pCPUs, %u tasks, %llu events, lag %lld..%lld us\n", (unsigned long long)seed, cpus, tasks,
		      (unsigned long long)sim.events, (long long)sim.lag_min / 1000, (long long)sim.lag_max / 1000);
	assert_true(sim.lag_min >= -(s64)(LAG_MAX + 10 * US));
}

static u64 first_seed(void)
{
	const char *given = getenv("SEED");

	return given ? strtoull(given, NULL, 0) : 0x5eed;
}

static void the_books_and_the_bound_hold(void **state)
{
	u64 seed = first_seed();

	for (unsigned i = 0; i < 6; i++) {
		everything_at_random(1, 20, seed + i);
		everything_at_random(4, 200, seed + i);
		everything_at_random(8, 60, seed + i);
	}
	everything_at_random(16, NR_TASKS, seed);
	everything_at_random(1, NR_TASKS, seed);
}

/* Stable weights, one queue, hogs and sleepers: what a task that always wants to run gets, in any window. */
static void nobody_waits_longer_than_the_bound(void **state)
{
	for (u64 seed = first_seed(); seed < first_seed() + 10; seed++) {
		sim_start(1, seed);
		for (unsigned i = 0; i < NR_GROUPS; i++) {
			sched_group_init(&group[i]);
			assert_int_equal(sched_group_set(&group[i], (u32)sim_between(64, 1024), 0, sim.now), 0);
		}
		for (unsigned i = 0; i < 60; i++) {
			bool hogs = i % 3 == 0;

			sim_task_init(&task[i], &group[i % NR_GROUPS], hogs ? 0 : sim_between(20 * US, 9 * MS), sim_between(20 * US, 20 * MS), ~0ull);
			task[i].boosts = i == 1;
			sim_go(&task[i]);
		}
		sim_run(3000 * MS);
		check_all(60);
		print_message("seed %#llx: lag %lld..%lld us\n", (unsigned long long)seed, (long long)sim.lag_min / 1000, (long long)sim.lag_max / 1000);
		assert_true(sim.lag_max <= (s64)(SLICE + 2 * LAG_MAX));
	}
}

/* Hogs on several pCPUs, no affinity: shares by weight as far as whole entities can be spread. */
static void a_thousand_hogs_share_by_weight(void **state)
{
	u64 sum = 0, total = 20000 * MS;

	sim_start(4, first_seed());
	for (unsigned i = 0; i < 4; i++) {
		sched_group_init(&group[i]);
		assert_int_equal(sched_group_set(&group[i], 128u << i, 0, sim.now), 0);
	}
	for (unsigned i = 0; i < 1000; i++) {
		sim_task_init(&task[i], &group[i % 4], 0, 0, ~0ull);
		sim_go(&task[i]);
		sum += 128u << (i % 4);
	}
	/* The pushes of one in 20 ms need a while to spread them. */
	sim_run(total);
	u64 before[1000];
	for (unsigned i = 0; i < 1000; i++)
		before[i] = sched_run_time(&task[i].e, sim.now);
	sim_run(total);
	check_all(1000);
	for (unsigned i = 0; i < 1000; i++) {
		u64 ran = sched_run_time(&task[i].e, sim.now) - before[i], fair = 4 * total * (128u << (i % 4)) / sum;

		assert_in_range(ran, fair * 8 / 10 - 7 * MS, fair * 12 / 10 + 7 * MS);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_books_and_the_bound_hold),
		cmocka_unit_test(nobody_waits_longer_than_the_bound),
		cmocka_unit_test(a_thousand_hogs_share_by_weight),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
