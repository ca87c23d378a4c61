/* units: */
/* The pretended machine itself: what the other tests rely on to notice mistakes. */
#include "tests/unit/fake.h"

static void locks_out_of_order_are_bugs(void **state)
{
	spinlock_t heap = SPINLOCK(LOCK_HEAP), page = SPINLOCK(LOCK_PAGE), other = SPINLOCK(LOCK_PAGE), none = { 0 };

	spin_lock(&heap);
	spin_lock(&page);
	assert_int_equal(fake_locks_held(), 2);
	assert_true(spin_is_locked(&page));
	spin_unlock(&heap);
	spin_unlock(&page);
	assert_int_equal(fake_locks_held(), 0);
	assert_false(spin_is_locked(&page));

	expect_bug((spin_lock(&page), spin_lock(&heap)));
	assert_int_equal(fake_locks_held(), 0);
	expect_bug((spin_lock(&page), spin_lock(&page)));
	expect_bug((spin_lock(&page), spin_lock(&other)));
	expect_bug(spin_unlock(&page));
	expect_bug(spin_lock(&none));
}

static void two_domains_may_be_locked(void **state)
{
	spinlock_t a = SPINLOCK(LOCK_GRANT), b = SPINLOCK(LOCK_GRANT);

	spin_lock(&a);
	spin_lock(&b);
	spin_unlock(&a);
	spin_unlock(&b);
	assert_int_equal(fake_locks_held(), 0);
}

static void log_and_ends_are_caught(void **state)
{
	fake_log_clear();
	printk(LOG_WARN "number %d\n", 7);
	assert_string_equal(fake_log, "number 7\n");
	expect_panic(panic("no %s", "memory"));
	assert_logged("no memory");
	expect_bug(BUG_ON(1 + 1 == 2));
	assert_logged("1 + 1 == 2");
	assert_not_logged("number 8");
}

static void cpus_and_time_are_variables(void **state)
{
	fake_cpu = 3;
	assert_int_equal(cpu_id(), 3);
	assert_int_equal(this_cpu()->cpu, 3);
	fake_cpu = 0;
	fake_time = 12345;
	assert_int_equal(time_now(), 12345);
	time_arm(99);
	assert_int_equal(fake_armed, 99);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(locks_out_of_order_are_bugs),
		cmocka_unit_test(two_domains_may_be_locked),
		cmocka_unit_test(log_and_ends_are_caught),
		cmocka_unit_test(cpus_and_time_are_variables),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
