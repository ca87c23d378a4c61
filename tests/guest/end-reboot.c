/*
 * SCHEDOP_shutdown with the reason reboot, while another vCPU spins.
 *
 * vcpus: 2
 * ends: reboot
 */
static void spin(void)
{
	for (;;)
		relax();
}

void test_main(void)
{
	check(start_cpu(1, spin), "a vCPU that spins");
	flush_report();
	shut_down(SHUTDOWN_reboot);
}
