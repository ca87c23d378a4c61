/*
 * A triple fault: the guest restarts, as the toolstack asked, and the log says why.
 *
 * ends: reboot
 * log: triple fault
 */
void test_main(void)
{
	struct { u16 limit; u64 base; } __attribute__((packed)) none = { 0, 0 };

	flush_report();
	__asm__ volatile("lidt %0; ud2" :: "m"(none));
}
