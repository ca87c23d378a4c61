/*
 * SCHEDOP_shutdown: codes that are not there are refused; crash is the end that a panic asks for.
 *
 * ends: crash
 */
void test_main(void)
{
	struct sched_shutdown s = { .reason = SHUTDOWN_MAX + 1 };

	expect(sched_op(SCHEDOP_shutdown, &s), -EINVAL, "a reason that is not there");
	s.reason = ~0u;
	expect(sched_op(SCHEDOP_shutdown, &s), -EINVAL, "reason 4294967295");
	expect(sched_op(SCHEDOP_shutdown, (void *)0x8000000000ull), -EFAULT, "a reason from nowhere");
	expect(sched_op(SCHEDOP_yield, NULL), 0, "yield");
	expect(sched_op(99, &s), -ENOSYS, "an operation that is not there");
	flush_report();
	shut_down(SHUTDOWN_crash);
}
