/*
 * The storm's course: rounds of some seconds, each with a service domain of its own. At the end of a round all must be as it was: no domain
 * left, each frame free again, no lock held.
 */
#include "tests/storm/storm.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <asm/time.h>
#include "sched/sched.h"
#include "sched/timer.h"
#include "vmm/toolstack/control.h"
#include "vmm/cpu/cpu_policy.h"
#include "vmm/hypercall.h"
#include "vmm/domain/record.h"

#define ROUND_SECONDS 3u
#define MEMORY_PLENTY MiB(64)
#define MEMORY_SCARCE MiB(12)

static u64 free_before, slots_before;

static void sleep_ms(unsigned ms)
{
	struct timespec t = { ms / 1000, (ms % 1000) * 1000000l };

	nanosleep(&t, NULL);
}

/* Pages of counters stay for good: there are as many as vCPUs at once. */
static u64 slots(void) { return record_frames(RECORD_ID_VCPUS); }

static void boot(void)
{
	hvm = &svm_ops;
	page_add_range(MiB(1), MiB(1) + (storm_options.scarce ? MEMORY_SCARCE : MEMORY_PLENTY));
	cpu_policy_init();
	record_init(hypercall_nr_rows);
	for (storm_cpu = 0; storm_cpu < STORM_CPUS; storm_cpu++) {
		record_init_cpu();
		timer_cpu_init(storm_cpu);
		sched_cpu_init(storm_cpu);
	}
	/* This thread is none of them, but what it does is recorded too. */
	record_init_cpu();
	hypercall_init();
	seal_tells = SEAL_TELLS_DMA;
	/* Room for timers stays, once there is some. */
	if (timer_reserve(256))
		storm_mistake("no room for timers");
	timer_release(256);
}

static void end_domain(struct domain *d)
{
	int rc;

	do {
		spin_lock(&control_lock);
		rc = domain_destroy(d);
		spin_unlock(&control_lock);
	} while (rc == -EAGAIN);
	if (rc)
		storm_mistake("domain %u can't be destroyed: %d", d->domid, rc);
}

/* All other domains have ended, but the service domain's mappings may keep some: it ends too, and then all are gone. */
static void end_dom0(void)
{
	struct domain *held = domain_get(0), *d;

	dom0->p2m.mirror = NULL;
	storm_mirror_forget();
	end_domain(dom0);
	while (domain_reap())
		;
	d = domain_get_next(1);
	if (d)
		storm_mistake("domain %u is left, with %llu frames and %u references (dying: %u)", d->domid, (unsigned long long)d->tot_pages, d->refs, d->dying);
	if (held->refs != 1 || held->tot_pages)
		storm_mistake("the service domain is left with %u references and %llu frames", held->refs, (unsigned long long)held->tot_pages);
	/* Who tells it of others' ends needs it until now. */
	domain_put(held);
	while (domain_reap())
		;
	dom0 = NULL;
}

static void wait_until_stopped(struct domain *d)
{
	while (!domain_is_stopped(d))
		sleep_ms(1);
}

static void a_round(unsigned seconds)
{
	u64 end;

	storm_stop = storm_leave = false;
	memset(storm_domids, 0, sizeof(storm_domids));
	storm_build_dom0();
	storm_let_fail(true);
	storm_run_cpus();
	end = time_now() + seconds * 1000000000ull;
	while (time_now() < end)
		sleep_ms(10);
	__atomic_store_n(&storm_stop, true, __ATOMIC_SEQ_CST);
	while (!storm_tools_done())
		sleep_ms(1);
	domain_pause(dom0);
	wait_until_stopped(dom0);
	__atomic_store_n(&storm_leave, true, __ATOMIC_SEQ_CST);
	storm_join_cpus();
	storm_let_fail(false);
	end_dom0();
	if (storm_locks_held())
		storm_mistake("a lock is held");
}

static void audit(void)
{
	u64 expected = free_before - (slots() - slots_before);

	for (u64 mfn = 0; mfn < max_mfn; mfn++) {
		const struct page *pg = mfn_to_page(MFN(mfn));

		if (pg->state == PAGE_DOMAIN)
			storm_mistake("frame %llx is still domain %u's, with %u references", (unsigned long long)mfn, pg->owner, pg->count);
		if (pg->state == PAGE_FREE && pg->count)
			storm_mistake("frame %llx is free and has %u references", (unsigned long long)mfn, pg->count);
	}
	if (page_free_count() != expected)
		storm_mistake("%llu frames are free, %llu were at first", (unsigned long long)page_free_count(), (unsigned long long)expected);
}

static void report(unsigned rounds)
{
	const struct storm_counts *c = storm_sum();
	u64 calls = 0, good = 0;

#define X(n) (unsigned long long)(n)
	for (unsigned i = 0; i < ARRAY_SIZE(c->calls); i++) {
		calls += c->calls[i];
		good += c->good[i];
		if (storm_options.verbose && i <= hypercall_nr_rows)
			printf("%-24s %9llu calls, %9llu without an error\n", i ? hypercall_rows[i - 1].name : "(no row)", X(c->calls[i]), X(c->good[i]));
	}
	printf("%u rounds, %llu domains, %llu hypercalls (%llu without an error), %llu uses of memory, %llu steps of walks; seed %llu\n", rounds,
	       X(c->domains), X(calls), X(good), X(c->uses), X(c->walks), X(storm_options.seed));
#undef X
	for (unsigned cpu = 0; storm_options.verbose && cpu < STORM_CPUS; cpu++)
		printf("CPU %u was idle for %llu ms\n", cpu, (unsigned long long)percpu[cpu].idle_ns / 1000000);
}

static void options(int argc, char **argv)
{
	const char *seed = getenv("SEED");

	storm_options.seed = seed && *seed ? strtoull(seed, NULL, 0) : (u64)time(NULL);
	storm_options.seconds = 20;
	for (int i = 1; i < argc; i++) {
		if (!strcmp(argv[i], "--scarce"))
			storm_options.scarce = true;
		else if (!strcmp(argv[i], "--verbose"))
			storm_options.verbose = true;
		else if (!strcmp(argv[i], "--seconds") && i + 1 < argc && atoi(argv[i + 1]) > 0)
			storm_options.seconds = (unsigned)atoi(argv[++i]);
		else {
			fprintf(stderr, "usage: storm [--scarce] [--verbose] [--seconds N]; SEED=N in the environment\n");
			exit(2);
		}
	}
}

int main(int argc, char **argv)
{
	unsigned rounds = 0;
	u64 end;

	options(argc, argv);
	storm_machine_init();
	boot();
	/* The first round leaves what stays for good: the table of domains, for one. */
	a_round(1);
	free_before = page_free_count();
	slots_before = slots();
	end = time_now() + storm_options.seconds * 1000000000ull;
	do {
		a_round(MIN(storm_options.seconds, ROUND_SECONDS));
		audit();
		rounds++;
	} while (time_now() < end);
	report(rounds);
	return 0;
}
