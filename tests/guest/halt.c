/*
 * HLT: with interrupts on it waits for an event; with interrupts off on every vCPU the guest has powered itself off.
 *
 * vcpus: 3
 */
static volatile u32 ready;

static void ap(void)
{
	ready++;
	for (;;)
		__asm__ volatile("cli; hlt");
}

void test_main(void)
{
	u32 port, n = 0;

	enable_events();
	port = new_virq(VIRQ_TIMER, 0);
	arm_timer(now() + 5 * MS);
	while (!port_events[port] && n < 100) {
		sti_hlt();
		n++;
	}
	check(port_events[port] && n < 20, "HLT with IF=1 waits for an event (%u times)", n);
	check(start_cpu(1, ap) && start_cpu(2, ap), "two vCPUs");
	wait_for(&ready, 2, SECOND);
	delay(50 * MS);
	check(true, "they halt with IF=0, and this one goes on");
	cli();
	say("DONE");
	flush_report();
	for (;;)
		__asm__ volatile("cli; hlt");
}
