/*
 * Executing where there is no memory ends the guest, and the log has the address.
 *
 * ends: crash
 * log: executes guest-physical 20002000
 */
void test_main(void)
{
	void (*nothing)(void) = (void *)((HOLE_GFN + 2) * PAGE_SIZE);

	flush_report();
	nothing();
	check(false, "a call into a hole returned");
}
