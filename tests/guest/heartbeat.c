/*
 * A guest that works while another attacks: its timer ticks go on, in time, and its memory stays as it was.
 *
 * seconds: 60
 */
static u8 pattern[64 * PAGE_SIZE] PAGE_ALIGNED;

void test_main(void)
{
	u32 port, ticks = 0;
	u64 end, worst = 0;
	bool same = true;

	enable_events();
	port = new_virq(VIRQ_TIMER, 0);
	for (size_t i = 0; i < sizeof(pattern); i++)
		pattern[i] = (u8)(i * 7 + i / PAGE_SIZE);
	say("READY");
	for (end = now() + option("heartbeat", 14) * SECOND; now() < end; ticks++) {
		u32 n = port_events[port];
		u64 t = now() + 10 * MS;

		cli();
		arm_timer(t);
		while (port_events[port] == n) {
			sti_hlt();
			cli();
		}
		sti();
		worst = now() - t > worst ? now() - t : worst;
	}
	for (size_t i = 0; i < sizeof(pattern); i++)
		same &= pattern[i] == (u8)(i * 7 + i / PAGE_SIZE);
	check(ticks > 100, "its timer went on (%u ticks)", ticks);
	check(worst < SECOND, "none of them a second late (%lu us at most)", worst / 1000);
	check(same, "its memory is as it was");
}
