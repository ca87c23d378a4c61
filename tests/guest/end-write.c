/*
 * Writing where there is no memory ends the guest, and the log has the address.
 *
 * ends: crash
 * log: writes guest-physical 20000000
 */
void test_main(void)
{
	flush_report();
	*(volatile u32 *)(HOLE_GFN * PAGE_SIZE) = 1;
	check(false, "a write to a hole returned");
}
