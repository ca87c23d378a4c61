/* The benchmark's smallest guest: it says at which time of the hypervisor it was there, and waits for ever. */
void test_main(void)
{
	say("FIRST %lu", now());
	for (;;)
		__asm__ volatile("sti; hlt");
}
