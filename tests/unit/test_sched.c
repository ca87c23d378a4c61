/* units: sched/sched.c sched/queue.c sched/tree.c sched/balance.c sched/setup.c sched/timer.c tests/unit/sim_sched.c tests/unit/check_sched.c */
/* The scheduler's promises one by one: shares, caps, affinity, latency, the protocol of a switch. */
#include "tests/unit/fake.h"
#include "tests/unit/sim_sched.h"
#include "tests/unit/check_sched.h"
#include "sched/queue.h"

#define ALL (~0ull)

static struct sched_group group[8];
static struct sim_task task[64];

static void start(unsigned cpus)
{
	sim_start(cpus, 1);
	for (unsigned i = 0; i < ARRAY_SIZE(group); i++)
		sched_group_init(&group[i]);
}

static void hog(struct sim_task *t, struct sched_group *g, cpumask_t hard)
{
	sim_task_init(t, g, 0, 0, hard);
	sim_go(t);
}

static u64 ran(const struct sim_task *t) { return sched_run_time(&t->e, sim.now); }

#define assert_near(value, wanted, slack) assert_in_range((u64)(value), (u64)(wanted) - (slack), (u64)(wanted) + (slack))

static void one_runs_until_it_sleeps(void **state)
{
	struct sched_entity *e = &task[0].e;
	u64 until;

	start(1);
	sim_task_init(&task[0], &group[0], 0, 0, ALL);
	assert_null(sched_pick(0, sim.now, &until));
	assert_int_equal(until, ~0ull);
	sched_wake(e, sim.now);
	assert_true(sim.cpu[0].pick_at == sim.now);
	assert_ptr_equal(sched_pick(0, sim.now, &until), e);
	assert_int_equal(until, ~0ull);
	sched_switched(0);
	assert_true(sched_on_cpu(e));
	sim.cpu[0].pick_at = ~0ull;
	sched_sleep(e, sim.now + MS);
	assert_true(sim.cpu[0].pick_at == sim.now);      /* asked to let it go */
	assert_true(sched_on_cpu(e));
	assert_null(sched_pick(0, sim.now + MS, &until));
	assert_true(sched_on_cpu(e));
	sched_switched(0);
	assert_false(sched_on_cpu(e));
	assert_int_equal(sched_run_time(e, sim.now + 2 * MS), MS);
	sched_entity_destroy(e);
}

static void waking_twice_or_sleeping_twice_changes_nothing(void **state)
{
	u64 until;

	start(1);
	sim_task_init(&task[0], &group[0], 0, 0, ALL);
	sched_sleep(&task[0].e, sim.now);
	sched_wake(&task[0].e, sim.now);
	sched_wake(&task[0].e, sim.now);
	sched_check(0);
	sched_sleep(&task[0].e, sim.now);
	sched_sleep(&task[0].e, sim.now);
	assert_null(sched_pick(0, sim.now, &until));
	sched_check(0);
}

/* Who wants to wake it saw it runnable; whoever stopped it since then relies on its being off the pCPUs. */
static void a_late_wake_wakes_nobody(void **state)
{
	struct sched_entity *e = &task[0].e;
	u64 until;

	start(1);
	sim_task_init(&task[0], &group[0], 0, 0, ALL);
	sim.forbidden = e;
	sched_sleep(e, sim.now);
	sched_wake(e, sim.now);
	sched_wake_boost(e, sim.now);
	assert_null(sched_pick(0, sim.now, &until));
	assert_false(sched_on_cpu(e));
	sim.forbidden = NULL;
	sched_wake(e, sim.now);
	assert_ptr_equal(sched_pick(0, sim.now, &until), e);
}

static void equal_weights_get_equal_shares(void **state)
{
	start(1);
	for (unsigned i = 0; i < 5; i++)
		hog(&task[i], &group[0], ALL);
	sim_run(1000 * MS);
	for (unsigned i = 0; i < 5; i++)
		assert_near(ran(&task[i]), 200 * MS, 7 * MS);
	/* 3 ms turns, not finer. */
	assert_in_range(sim.cpu[0].switches, 300, 340);
}

static void weights_divide_the_time(void **state)
{
	static const u32 weight[] = { 1, 100, 256, 512, 65535 };
	u64 sum = 0;

	start(1);
	for (unsigned i = 0; i < 5; i++) {
		assert_int_equal(sched_group_set(&group[i], weight[i], 0, sim.now), 0);
		hog(&task[i], &group[i], ALL);
		sum += weight[i];
	}
	sim_run(600000 * MS);
	for (unsigned i = 0; i < 5; i++)
		assert_near(ran(&task[i]), 600000 * MS * weight[i] / sum, 7 * MS);
}

static void a_new_weight_counts_for_who_is_already_queued(void **state)
{
	u64 before;

	start(1);
	hog(&task[0], &group[0], ALL);
	hog(&task[1], &group[1], ALL);
	sim_run(100 * MS);
	assert_int_equal(sched_group_set(&group[0], 768, 0, sim.now), 0);
	before = ran(&task[0]);
	sim_run(1000 * MS);
	assert_near(ran(&task[0]) - before, 750 * MS, 10 * MS);
	sched_check(0);
}

static void weights_out_of_range_are_refused(void **state)
{
	start(1);
	assert_int_equal(sched_group_set(&group[0], 0, 0, sim.now), -EINVAL);
	assert_int_equal(sched_group_set(&group[0], 65536, 0, sim.now), -EINVAL);
	assert_int_equal(group[0].weight, SCHED_WEIGHT_DEFAULT);
}

/* Running a whole slice, then sleeping just long enough to be forgiven, is what a greedy guest would try. */
static void sleeping_does_not_shed_a_debt(void **state)
{
	start(1);
	hog(&task[0], &group[0], ALL);
	sim_task_init(&task[1], &group[1], 0, 0, ALL);
	task[1].run_min = task[1].run_max = 2900 * US;
	task[1].sleep_min = task[1].sleep_max = 10 * US;
	sim_go(&task[1]);
	sim_run(2000 * MS);
	assert_in_range(ran(&task[1]), 900 * MS, 1020 * MS);
	/* The same against many. */
	for (unsigned i = 2; i < 10; i++)
		hog(&task[i], &group[0], ALL);
	u64 before = ran(&task[1]);
	sim_run(2000 * MS);
	assert_in_range(ran(&task[1]) - before, 150 * MS, 210 * MS);
}

/* The others get what it had too early: until then the clock stands still. */
static void a_debt_stops_the_clock(void **state)
{
	struct queue *q = &sched_queues[0];
	u64 until, vtime;

	start(1);
	for (unsigned i = 0; i < 2; i++) {
		sim_task_init(&task[i], &group[0], 0, 0, ALL);
		sched_wake(&task[i].e, sim.now);
	}
	assert_ptr_equal(sched_pick(0, sim.now, &until), &task[0].e);
	sched_switched(0);
	sim.now += 2 * MS;
	sched_sleep(&task[0].e, sim.now);
	vtime = q->vtime;
	assert_ptr_equal(sched_pick(0, sim.now, &until), &task[1].e);
	sched_switched(0);
	sim.now += MS;
	assert_ptr_equal(sched_pick(0, sim.now, &until), &task[1].e);
	/* Alone there is no debt: what it ran is what the clock jumps to. */
	assert_true(q->vtime == task[1].e.vruntime);
	assert_near(q->vtime, vtime, to_virtual(10 * US, 256));
}

/* A boost that isn't paid back yet leaves no place for another one's debt. */
static void one_boost_at_a_time(void **state)
{
	struct queue *q = &sched_queues[0];
	u64 until;

	start(1);
	for (unsigned i = 0; i < 3; i++)
		sim_task_init(&task[i], &group[0], 0, 0, ALL);
	sched_wake(&task[0].e, sim.now);
	assert_ptr_equal(sched_pick(0, sim.now, &until), &task[0].e);
	sched_switched(0);
	for (unsigned i = 1; i < 3; i++)
		task[i].e.vruntime = q->vtime + to_virtual(i * MS, 256);
	sched_wake_boost(&task[1].e, sim.now);
	assert_true(task[1].e.boosted);
	assert_ptr_equal(sched_pick(0, sim.now, &until), &task[1].e);
	sched_switched(0);
	sim.now += 500 * US;
	assert_ptr_equal(sched_pick(0, sim.now, &until), &task[0].e);
	sched_switched(0);
	sched_wake_boost(&task[2].e, sim.now);
	assert_false(task[2].e.boosted);
	/* Nor does one that owes more than a slice get any. */
	sched_sleep(&task[2].e, sim.now);
	q->credit = q->vtime;
	task[2].e.vruntime = q->vtime + to_virtual(2 * SLICE, 256);
	sched_wake_boost(&task[2].e, sim.now);
	assert_false(task[2].e.boosted);
}

static void who_has_no_budget_gets_no_turn(void **state)
{
	u64 until;

	start(1);
	assert_int_equal(sched_group_set(&group[0], 256, 10, sim.now), 0);
	for (unsigned i = 0; i < 2; i++) {
		sim_task_init(&task[i], &group[0], 0, 0, ALL);
		sched_wake(&task[i].e, sim.now);
	}
	assert_ptr_equal(sched_pick(0, sim.now, &until), &task[0].e);
	sched_switched(0);
	/* The period's millisecond is used up: for the one that waits, too. */
	assert_null(sched_pick(0, sim.now + MS, &until));
	assert_int_equal(until, sim.now + 10 * MS);
	sched_switched(0);
	assert_non_null(sched_pick(0, sim.now + 10 * MS, &until));
}

static void budgets_are_not_saved_up(void **state)
{
	start(1);
	assert_int_equal(sched_group_set(&group[0], 256, 25, sim.now), 0);
	sim_run(100 * MS);
	hog(&task[0], &group[0], ALL);
	sim_run(10 * MS);
	assert_near(ran(&task[0]), 2500 * US, 100 * US);
}

static void a_cap_holds_alone_and_over_several_pcpus(void **state)
{
	start(4);
	assert_int_equal(sched_group_set(&group[0], 256, 25, sim.now), 0);
	assert_int_equal(sched_group_set(&group[1], 256, 150, sim.now), 0);
	hog(&task[0], &group[0], BIT(0));
	for (unsigned i = 1; i < 4; i++)
		hog(&task[i], &group[1], ALL & ~BIT(0));
	sim_run(2000 * MS);
	assert_near(ran(&task[0]), 500 * MS, 5 * MS);
	assert_near(ran(&task[1]) + ran(&task[2]) + ran(&task[3]), 3000 * MS, 15 * MS);
}

static void an_idle_pcpu_with_parked_tasks_knows_when_to_look(void **state)
{
	u64 until;

	start(1);
	assert_int_equal(sched_group_set(&group[0], 256, 10, sim.now), 0);
	sim_task_init(&task[0], &group[0], 0, 0, ALL);
	sched_wake(&task[0].e, sim.now);
	assert_ptr_equal(sched_pick(0, sim.now, &until), &task[0].e);
	assert_int_equal(until, sim.now + MS);
	sched_switched(0);
	assert_null(sched_pick(0, sim.now + MS, &until));
	assert_int_equal(until, sim.now + 10 * MS);
	sched_switched(0);
	assert_ptr_equal(sched_pick(0, sim.now + 10 * MS, &until), &task[0].e);
	sched_sleep(&task[0].e, sim.now + 10 * MS);
	assert_null(sched_pick(0, sim.now + 10 * MS, &until));
	sched_switched(0);
}

static void taking_the_cap_away_frees(void **state)
{
	start(1);
	assert_int_equal(sched_group_set(&group[0], 256, 10, sim.now), 0);
	hog(&task[0], &group[0], ALL);
	sim_run(100 * MS);
	assert_near(ran(&task[0]), 10 * MS, MS);
	assert_int_equal(sched_group_set(&group[0], 256, 0, sim.now), 0);
	sim_run(100 * MS);
	assert_near(ran(&task[0]), 110 * MS, 10 * MS);
	assert_int_equal(sched_group_set(&group[0], 256, 50, sim.now), 0);
	sim_run(100 * MS);
	assert_near(ran(&task[0]), 160 * MS, 15 * MS);
}

static void hard_affinity_is_obeyed_and_changes_at_once(void **state)
{
	start(4);
	for (unsigned i = 0; i < 4; i++)
		hog(&task[i], &group[0], BIT(2));
	sim_run(40 * MS);
	assert_true(sim.cpu[0].idle && sim.cpu[1].idle && sim.cpu[3].idle);
	for (unsigned i = 0; i < 4; i++)
		assert_int_equal(sched_set_affinity(&task[i].e, BIT(0), BIT(0), sim.now), 0);
	sim_run(40 * MS);
	assert_true(sim.cpu[2].idle && !sim.cpu[0].idle);
	for (unsigned i = 0; i < 4; i++)
		assert_int_equal(sched_set_affinity(&task[i].e, ALL, ALL, sim.now), 0);
	sim_run(40 * MS);
	for (unsigned i = 0; i < 4; i++)
		assert_false(sim.cpu[i].idle);
	assert_int_equal(sched_set_affinity(&task[0].e, BIT(5), ALL, sim.now), -EINVAL);
}

static void soft_affinity_is_preferred(void **state)
{
	start(4);
	for (unsigned i = 0; i < 2; i++) {
		sim_task_init(&task[i], &group[0], 0, 0, ALL);
		assert_int_equal(sched_set_affinity(&task[i].e, ALL, BIT(2) | BIT(3), sim.now), 0);
		sim_go(&task[i]);
	}
	sim_run(10 * MS);
	assert_true(!sim.cpu[2].idle && !sim.cpu[3].idle);
	/* But better somewhere than nowhere. */
	sim_task_init(&task[2], &group[0], 0, 0, ALL);
	assert_int_equal(sched_set_affinity(&task[2].e, ALL, BIT(2), sim.now), 0);
	sim_go(&task[2]);
	sim_run(10 * MS);
	assert_near(ran(&task[2]), 10 * MS, MS);
}

static void idle_pcpus_steal(void **state)
{
	start(4);
	for (unsigned i = 0; i < 8; i++)
		hog(&task[i], &group[0], i < 4 ? BIT(0) : ALL);
	sim_run(1000 * MS);
	for (unsigned i = 0; i < 4; i++)
		assert_false(sim.cpu[i].idle);
	/* The four that are bound share pCPU 0. */
	for (unsigned i = 0; i < 4; i++)
		assert_near(ran(&task[i]), 250 * MS, 30 * MS);
}

/* Of two that wait it takes the one that likes it, though the other's deadline is earlier. */
static void stealing_prefers_who_likes_it(void **state)
{
	u64 until;

	start(2);
	for (unsigned i = 0; i < 4; i++)
		sim_task_init(&task[i], &group[0], 0, 0, i == 0 ? BIT(0) : i == 3 ? BIT(1) : ALL);
	task[1].e.soft = BIT(0);
	task[2].e.soft = BIT(1);
	/* Both CPUs have somebody: what wakes stays where it was. */
	sched_wake(&task[3].e, sim.now);
	assert_ptr_equal(sched_pick(1, sim.now, &until), &task[3].e);
	sched_switched(1);
	sched_wake(&task[0].e, sim.now);
	assert_ptr_equal(sched_pick(0, sim.now, &until), &task[0].e);
	sched_switched(0);
	sched_wake(&task[1].e, sim.now);
	sched_wake(&task[2].e, sim.now);
	sched_sleep(&task[3].e, sim.now);
	assert_ptr_equal(sched_pick(1, sim.now, &until), &task[2].e);
	sched_switched(1);
}

/* Nobody is idle, but one queue is heavier. */
static void a_heavy_queue_pushes(void **state)
{
	start(2);
	for (unsigned i = 0; i < 8; i++)
		hog(&task[i], &group[0], BIT(0));
	hog(&task[8], &group[0], BIT(1));
	sim_run(10 * MS);
	for (unsigned i = 0; i < 8; i++)
		assert_int_equal(sched_set_affinity(&task[i].e, ALL, ALL, sim.now), 0);
	sim_run(200 * MS);
	u64 before = ran(&task[8]);
	sim_run(1000 * MS);
	assert_in_range(ran(&task[8]) - before, 190 * MS, 260 * MS);
}

/* A look at the others' queues takes two locks and moves what has its cache here: so one in 20 ms, not one with each turn. */
static void a_heavy_queue_pushes_at_intervals(void **state)
{
	unsigned there = 0;

	start(2);
	for (unsigned i = 0; i < 8; i++)
		hog(&task[i], &group[0], BIT(0));
	hog(&task[8], &group[0], BIT(1));
	sim_run(10 * MS);
	for (unsigned i = 0; i < 8; i++)
		assert_int_equal(sched_set_affinity(&task[i].e, ALL, ALL, sim.now), 0);
	for (unsigned t = 0; t < 4; t++) {
		unsigned before = there;

		sim_run(20 * MS);
		there = 0;
		for (unsigned i = 0; i < 8; i++)
			there += task[i].e.cpu == 1;
		assert_in_range(there - before, 0, 1);
	}
	assert_in_range(there, 2, 4);
}

static void a_waking_sleeper_preempts_soon(void **state)
{
	start(1);
	for (unsigned i = 0; i < 3; i++)
		hog(&task[i], &group[0], ALL);
	sim_task_init(&task[3], &group[1], 100 * US, 20 * MS, ALL);
	sim_go(&task[3]);
	sim_run(2000 * MS);
	/* It uses little, so it is always owed: behind at most the rests of requests that are due before its own. */
	assert_in_range(task[3].worst_latency, 0, 10 * MS);
}

static void a_boosted_wake_runs_at_once(void **state)
{
	start(1);
	for (unsigned i = 0; i < 8; i++)
		hog(&task[i], &group[0], ALL);
	sim_task_init(&task[8], &group[1], 100 * US, 20 * MS, ALL);
	task[8].boosts = true;
	sim_go(&task[8]);
	sim_run(2000 * MS);
	assert_in_range(task[8].worst_latency, 0, 10 * US);
}

/* Interrupts without end are not a way to more than a fair share. */
static void boosts_keep_the_debt(void **state)
{
	start(1);
	for (unsigned i = 0; i < 3; i++)
		hog(&task[i], &group[0], ALL);
	sim_task_init(&task[3], &group[1], 20 * MS, 50 * US, ALL);
	task[3].boosts = true;
	sim_go(&task[3]);
	sim_run(2000 * MS);
	assert_in_range(ran(&task[3]), 400 * MS, 510 * MS);
}

static void yield_lets_the_others_run(void **state)
{
	u64 until;

	start(1);
	for (unsigned i = 0; i < 2; i++) {
		sim_task_init(&task[i], &group[0], 0, 0, ALL);
		sched_wake(&task[i].e, sim.now);
	}
	assert_ptr_equal(sched_pick(0, sim.now, &until), &task[0].e);
	sched_switched(0);
	/* Only the one that has the CPU can give it away, and only to another. */
	sched_give_way(&task[1].e, sim.now);
	assert_false(task[1].e.yielded);
	sched_give_way(&task[0].e, sim.now + 100 * US);
	assert_ptr_equal(sched_pick(0, sim.now + 100 * US, &until), &task[1].e);
	sched_switched(0);
	sched_sleep(&task[0].e, sim.now + 100 * US);
	sched_give_way(&task[1].e, sim.now + 100 * US);
	assert_false(task[1].e.yielded);
}

/* State still in registers: who is woken before it was saved may run on that pCPU only. */
static void not_elsewhere_before_the_state_is_saved(void **state)
{
	struct sched_entity *e = &task[0].e;
	u64 until;

	start(2);
	sim_task_init(&task[0], &group[0], 0, 0, ALL);
	sim_task_init(&task[1], &group[0], 0, 0, BIT(0));
	sched_wake(e, sim.now);
	assert_ptr_equal(sched_pick(0, sim.now, &until), e);
	sched_switched(0);
	sched_wake(&task[1].e, sim.now);
	sched_sleep(e, sim.now + US);
	assert_ptr_equal(sched_pick(0, sim.now + US, &until), &task[1].e);
	sched_wake(e, sim.now + US);
	assert_true(sched_on_cpu(e));
	assert_null(sched_pick(1, sim.now + US, &until));
	sim.cpu[1].pick_at = ~0ull;
	sched_switched(0);
	/* Now pCPU 1 is asked to come for it. */
	assert_true(sim.cpu[1].pick_at != ~0ull);
	assert_ptr_equal(sched_pick(1, sim.now + US, &until), e);
	sched_switched(1);
}

static void an_affinity_change_while_running_waits_for_the_save(void **state)
{
	struct sched_entity *e = &task[0].e;
	u64 until;

	start(2);
	sim_task_init(&task[0], &group[0], 0, 0, ALL);
	sched_wake(e, sim.now);
	assert_ptr_equal(sched_pick(0, sim.now, &until), e);
	sched_switched(0);
	assert_int_equal(sched_set_affinity(e, BIT(1), ALL, sim.now), 0);
	assert_null(sched_pick(1, sim.now, &until));
	assert_null(sched_pick(0, sim.now, &until));
	assert_null(sched_pick(1, sim.now, &until));
	sched_switched(0);
	assert_ptr_equal(sched_pick(1, sim.now, &until), e);
	sched_switched(1);
}

static void destroying_who_runs_is_our_bug(void **state)
{
	start(1);
	hog(&task[0], &group[0], ALL);
	sim_run(MS);
	expect_bug(sched_entity_destroy(&task[0].e));
}

/* A vCPU of weight 1, alone for two days, laps the clock of one that slept all the time. */
static void long_sleepers_are_not_starved(void **state)
{
	start(1);
	assert_int_equal(sched_group_set(&group[1], 1, 0, sim.now), 0);
	sim_task_init(&task[0], &group[0], 0, 0, ALL);
	hog(&task[1], &group[1], ALL);
	for (unsigned hours = 0; hours < 100; hours++) {
		sim_run(3600 * 1000 * MS);
		sim.cpu[0].pick_at = sim.now;
	}
	sim.now += 100 * 3600 * 1000 * MS;
	sim_go(&task[0]);
	sim_run(100 * MS);
	assert_in_range(ran(&task[0]), 90 * MS, 100 * MS);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(one_runs_until_it_sleeps),
		cmocka_unit_test(waking_twice_or_sleeping_twice_changes_nothing),
		cmocka_unit_test(a_late_wake_wakes_nobody),
		cmocka_unit_test(equal_weights_get_equal_shares),
		cmocka_unit_test(weights_divide_the_time),
		cmocka_unit_test(a_new_weight_counts_for_who_is_already_queued),
		cmocka_unit_test(weights_out_of_range_are_refused),
		cmocka_unit_test(sleeping_does_not_shed_a_debt),
		cmocka_unit_test(a_debt_stops_the_clock),
		cmocka_unit_test(one_boost_at_a_time),
		cmocka_unit_test(who_has_no_budget_gets_no_turn),
		cmocka_unit_test(budgets_are_not_saved_up),
		cmocka_unit_test(stealing_prefers_who_likes_it),
		cmocka_unit_test(a_cap_holds_alone_and_over_several_pcpus),
		cmocka_unit_test(an_idle_pcpu_with_parked_tasks_knows_when_to_look),
		cmocka_unit_test(taking_the_cap_away_frees),
		cmocka_unit_test(hard_affinity_is_obeyed_and_changes_at_once),
		cmocka_unit_test(soft_affinity_is_preferred),
		cmocka_unit_test(idle_pcpus_steal),
		cmocka_unit_test(a_heavy_queue_pushes),
		cmocka_unit_test(a_heavy_queue_pushes_at_intervals),
		cmocka_unit_test(a_waking_sleeper_preempts_soon),
		cmocka_unit_test(a_boosted_wake_runs_at_once),
		cmocka_unit_test(boosts_keep_the_debt),
		cmocka_unit_test(yield_lets_the_others_run),
		cmocka_unit_test(not_elsewhere_before_the_state_is_saved),
		cmocka_unit_test(an_affinity_change_while_running_waits_for_the_save),
		cmocka_unit_test(destroying_who_runs_is_our_bug),
		cmocka_unit_test(long_sleepers_are_not_starved),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
