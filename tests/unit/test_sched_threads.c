/*
 * The scheduler under real concurrency: threads are pCPUs, the spinlocks are the machine's, and the sources are included here so that
 * they get these instead of the single-threaded pretended ones.
 *
 * What must hold: a vCPU is never on two pCPUs at once, is only where its affinity allowed, and is never lost.
 */
#include <pthread.h>
#include <stdatomic.h>
#include <time.h>
#include "arch/x86/include/asm/spinlock.h"
#define TESTS_ASM_SPINLOCK_H
#include "tests/unit/fake.h"
/* The bound on lag is for pCPUs that run: threads of a busy machine are stopped for longer. test_sched_sim.c has it. */
#undef DEBUG_BUILD
#define DEBUG_BUILD 0
#include "sched/tree.c"
#include "sched/queue.c"
#include "sched/balance.c"
#include "sched/sched.c"
#include "sched/setup.c"
#include "tests/unit/check_sched.c"

#define CPUS    4
#define TASKS   24
#define SECONDS 1

static struct task {
	struct sched_entity e;
	atomic_int on;                  /* pCPUs that have its state: 0 or 1 */
	u64 state;                      /* plain on purpose: what the protocol must protect */
	u64 turns;
} task[TASKS];

static struct sched_group group[3];
static atomic_bool kicked[CPUS], stop;
static atomic_uint mistakes;

void cpu_kick(unsigned cpu) { kicked[cpu] = true; }
bool sched_may_run(const struct sched_entity *e) { return true; }

static u64 clock_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (u64)t.tv_sec * 1000000000 + (u64)t.tv_nsec;
}

static u32 chance(u64 *state)
{
	*state = *state * 6364136223846793005ull + 1442695040888963407ull;
	return (u32)(*state >> 33);
}

static struct task *switch_to(unsigned cpu, struct task *old, struct sched_entity *e)
{
	struct task *new = e ? container_of(e, struct task, e) : NULL;

	if (new == old)
		return new;
	if (old) {
		old->state++;
		if (atomic_fetch_sub(&old->on, 1) != 1)
			mistakes++;
	}
	sched_switched(cpu);
	if (new) {
		if (atomic_fetch_add(&new->on, 1) != 0)
			mistakes++;
		new->state++;
		new->turns++;
	}
	return new;
}

/* What a vCPU, an interrupt or an administrator might do at this moment. */
static void act(struct task *current, u64 *random)
{
	struct task *t = &task[chance(random) % TASKS];

	switch (chance(random) % 8) {
	case 0: case 1:
		if (current)
			sched_sleep(&current->e, clock_ns());
		break;
	case 2: case 3: case 4:
		sched_wake(&t->e, clock_ns());
		break;
	case 5:
		sched_wake_boost(&t->e, clock_ns());
		break;
	case 6:
		if (sched_set_affinity(&t->e, 1 + chance(random) % (BIT(CPUS) - 1), ~0ull, clock_ns()))
			mistakes++;
		break;
	case 7:
		if (chance(random) % 16 == 0)
			sched_sleep(&t->e, clock_ns());
		break;
	}
}

static void *run(void *arg)
{
	unsigned cpu = (unsigned)(uintptr_t)arg;
	u64 random = cpu + 1, until = 0;
	struct task *current = NULL;

	while (!stop) {
		if (kicked[cpu] || clock_ns() >= until) {
			kicked[cpu] = false;
			current = switch_to(cpu, current, sched_pick(cpu, clock_ns(), &until));
		}
		act(current, &random);
		if (chance(&random) % 64 == 0)
			sched_check(cpu);
		if (!current)
			sched_run_time(&task[chance(&random) % TASKS].e, clock_ns());
	}
	/* Leave as an idle pCPU. */
	while (current) {
		sched_sleep(&current->e, clock_ns());
		current = switch_to(cpu, current, sched_pick(cpu, clock_ns(), &until));
	}
	return NULL;
}

static void one_vcpu_is_on_one_pcpu(void **state)
{
	struct timespec length = { .tv_sec = SECONDS };
	pthread_t thread[CPUS];
	u64 turns = 0;

	for (unsigned cpu = 0; cpu < CPUS; cpu++)
		sched_cpu_init(cpu);
	for (unsigned i = 0; i < ARRAY_SIZE(group); i++) {
		sched_group_init(&group[i]);
		assert_int_equal(sched_group_set(&group[i], 100 << i, i == 2 ? 120 : 0, clock_ns()), 0);
	}
	for (unsigned i = 0; i < TASKS; i++)
		sched_entity_init(&task[i].e, &group[i % 3], i % CPUS, ~0ull, ~0ull);
	for (uintptr_t cpu = 0; cpu < CPUS; cpu++)
		assert_int_equal(pthread_create(&thread[cpu], NULL, run, (void *)cpu), 0);
	nanosleep(&length, NULL);
	stop = true;
	for (unsigned cpu = 0; cpu < CPUS; cpu++)
		pthread_join(thread[cpu], NULL);
	assert_int_equal(mistakes, 0);
	for (unsigned i = 0; i < TASKS; i++) {
		struct task *t = &task[i];

		assert_int_equal(t->on, 0);
		assert_int_equal(t->state, 2 * t->turns);
		turns += t->turns;
		/* Whatever happened to it, it can still be put to sleep and ended. */
		sched_sleep(&t->e, clock_ns());
		sched_entity_destroy(&t->e);
	}
	for (unsigned cpu = 0; cpu < CPUS; cpu++) {
		sched_check(cpu);
		assert_null(sched_queues[cpu].root);
		assert_null(sched_queues[cpu].parked);
	}
	print_message("%llu turns\n", (unsigned long long)turns);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(one_vcpu_is_on_one_pcpu) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
