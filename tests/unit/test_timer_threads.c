/* units: */
/* A timer's end beside its function: the spinlocks are the machine's, and the sources are included here so that they get these. */
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <unistd.h>
#include "arch/x86/include/asm/spinlock.h"
#define TESTS_ASM_SPINLOCK_H
#include "tests/unit/fake.h"
#include "mm/heap.h"
#include "sched/timer.c"

void *kzalloc(size_t size) { return calloc(1, size); }
void kfree(void *p) { free(p); }

static struct timer timer;
static atomic_bool begun, cancelling, ended;

/* Runs for a while, arms itself again, and then still looks at what its owner may free after timer_cancel_sync. */
static void slow(void *arg)
{
	begun = true;
	while (!cancelling)
		usleep(100);
	usleep(50000);
	timer_set(&timer, 1, 5);
	usleep(50000);
	ended = true;
}

static void *other_cpu(void *arg)
{
	timer_run(1, 10);
	return NULL;
}

/* This thread is CPU 0. */
static void cancel_waits_for_the_function(void **state)
{
	pthread_t thread;

	for (unsigned cpu = 0; cpu < 2; cpu++)
		timer_cpu_init(cpu);
	assert_int_equal(timer_reserve(1), 0);
	timer_init(&timer, slow, NULL);
	timer_set(&timer, 1, 1);
	assert_int_equal(pthread_create(&thread, NULL, other_cpu, NULL), 0);
	while (!begun)
		usleep(100);
	cancelling = true;
	timer_cancel_sync(&timer);
	assert_true(ended);
	assert_int_equal(timer_next(1), ~0ull);
	pthread_join(thread, NULL);
	for (unsigned cpu = 0; cpu < 2; cpu++)
		kfree(timer_queues[cpu].heap);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(cancel_waits_for_the_function) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
