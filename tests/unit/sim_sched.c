/* The pretended machine of the scheduler's tests: events in order of time, chance from one seed. */
#include "tests/unit/fake.h"
#include "tests/unit/sim_sched.h"
#include "tests/unit/check_sched.h"
#include "sched/queue.h"

struct sim sim;

/* Each simulation starts with empty memory. */
static u8 memory[MiB(4)] __aligned(16);
static size_t memory_used;

void *kzalloc(size_t size)
{
	void *p = memory + memory_used;

	memory_used += ROUND_UP(size, 16);
	assert_true(memory_used <= sizeof(memory));
	return memset(p, 0, size);
}

void kfree(void *p) { }

void cpu_kick(unsigned cpu)
{
	sim.cpu[cpu].pick_at = MIN(sim.cpu[cpu].pick_at, sim.now + sim_between(0, sim.kick_delay));
}

bool sched_may_run(const struct sched_entity *e) { return e != sim.forbidden; }

u64 sim_between(u64 low, u64 high)
{
	u64 z = sim.random += 0x9e3779b97f4a7c15ull;

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9ull;
	z = (z ^ z >> 27) * 0x94d049bb133111ebull;
	z ^= z >> 31;
	return low + (high > low ? z % (high - low + 1) : 0);
}

void sim_start(unsigned cpus, u64 seed)
{
	sim = (struct sim){ .now = 1000 * MS, .nr_cpus = cpus, .random = seed };
	memory_used = 0;
	sched_online = sched_idle = sched_crowded = 0;
	for (unsigned i = 0; i < cpus; i++) {
		sim.cpu[i] = (struct sim_cpu){ .pick_at = ~0ull, .switched_at = ~0ull, .idle = true };
		sched_cpu_init(i);
	}
	timer_cpu_init(0);
}

static void wake(void *arg)
{
	struct sim_task *t = arg;

	if (!t->burst_left)
		t->burst_left = t->run_max ? sim_between(t->run_min, t->run_max) : ~0ull;
	t->woken_at = sim.now;
	if (t->boosts)
		sched_wake_boost(&t->e, sim.now);
	else
		sched_wake(&t->e, sim.now);
}

void sim_task_init(struct sim_task *t, struct sched_group *g, u64 run_max, u64 sleep_max, cpumask_t hard)
{
	*t = (struct sim_task){
		.run_min = run_max / 4 + 1, .run_max = run_max, .sleep_min = sleep_max / 4, .sleep_max = sleep_max,
	};
	sched_entity_init(&t->e, g, 0, hard, ~0ull);
	assert_int_equal(timer_reserve(1), 0);
	timer_init(&t->alarm, wake, t);
}

void sim_go(struct sim_task *t)
{
	timer_cancel(&t->alarm);
	wake(t);
}

/* Counts the burst of c's task up to now. */
static void count_burst(struct sim_cpu *c)
{
	struct sim_task *t = c->task;
	u64 ran = sim.now > c->resumed_at ? sim.now - c->resumed_at : 0;

	if (t && t->burst_left != ~0ull)
		t->burst_left -= MIN(ran, t->burst_left);
	c->resumed_at = MAX(sim.now, c->resumed_at);
}

static void note_lag(const struct sim_task *t)
{
	s64 lag = sched_lag(&t->e);

	sim.lag_min = MIN(sim.lag_min, lag);
	sim.lag_max = MAX(sim.lag_max, lag);
}

static void pick(unsigned cpu)
{
	struct sim_cpu *c = &sim.cpu[cpu];
	struct sim_task *old = c->task, *new;
	struct sched_entity *e;
	u64 until;

	count_burst(c);
	e = sched_pick(cpu, sim.now, &until);
	new = e ? container_of(e, struct sim_task, e) : NULL;
	assert_true(until > sim.now);
	assert_true(!e || (e->hard & BIT(cpu)));
	c->picks++;
	c->pick_at = until;
	c->task = new;
	c->idle = !e;
	if (new)
		note_lag(new);
	if (new == old)
		return;
	c->switches++;
	if (old)
		note_lag(old);
	if (new && new->woken_at != ~0ull) {
		new->worst_latency = MAX(new->worst_latency, sim.now - new->woken_at);
		new->woken_at = ~0ull;
	}
	c->switched_at = sim.now + sim_between(0, sim.switch_delay);
	c->resumed_at = c->switched_at;
}

static void burst_over(struct sim_cpu *c)
{
	struct sim_task *t = c->task;

	sched_sleep(&t->e, sim.now);
	timer_set(&t->alarm, 0, sim.now + sim_between(t->sleep_min, t->sleep_max));
}

/* When c has something to do next. */
static u64 next_of(const struct sim_cpu *c)
{
	u64 next = c->pick_at;

	if (c->switched_at != ~0ull)
		return c->switched_at;
	if (c->task && c->task->e.runnable && c->task->burst_left != ~0ull)
		next = MIN(next, c->resumed_at + c->task->burst_left);
	return MAX(next, sim.now);
}

static void step(unsigned cpu)
{
	struct sim_cpu *c = &sim.cpu[cpu];

	if (c->switched_at <= sim.now) {
		c->switched_at = ~0ull;
		sched_switched(cpu);
		return;
	}
	count_burst(c);
	if (c->task && !c->task->burst_left && c->task->e.runnable)
		burst_over(c);
	else
		pick(cpu);
}

void sim_run(u64 ns)
{
	u64 end = sim.now + ns;

	for (;;) {
		u64 next = timer_next(0);
		unsigned who = ~0u;

		for (unsigned i = 0; i < sim.nr_cpus; i++) {
			if (next_of(&sim.cpu[i]) < next) {
				next = next_of(&sim.cpu[i]);
				who = i;
			}
		}
		if (next > end)
			break;
		sim.now = MAX(sim.now, next);
		sim.events++;
		if (who == ~0u)
			timer_run(0, sim.now);
		else
			step(who);
	}
	sim.now = end;
}
