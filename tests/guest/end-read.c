/*
 * Reading where there is no memory ends the guest, and the log has the address.
 *
 * ends: crash
 * log: reads guest-physical 20001008
 */
void test_main(void)
{
	flush_report();
	(void)*(volatile u32 *)((HOLE_GFN + 1) * PAGE_SIZE + 8);
	check(false, "a read of a hole returned");
}
