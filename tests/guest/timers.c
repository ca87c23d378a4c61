/*
 * Xen's time: the clock page, one-shot timers, and that what is armed comes once, not early, and not much late.
 *
 * vcpus: 2
 */
/* An emulator on a busy machine: what is later than this is a timer that was forgotten. */
#define LATE (500 * MS)

static u32 port;

static void clock(void)
{
	const struct vcpu_time_info *t = (void *)&shared->vcpu_info[0].time;
	const struct vcpu_time_info *t1 = (void *)&shared->vcpu_info[1].time;
	u64 outer = rdtsc(), first = now(), last = first, inner = rdtsc(), steps = 0, khz = cpuid(0x40000003, 0).c, slack;
	bool monotonic = true;

	check(!(t->version & 1), "the clock's version is even");
	check(t->tsc_to_system_mul, "its factor is not 0");
	check(!t->tsc_shift || (t->tsc_shift > -32 && t->tsc_shift < 32), "its shift is sane");
	check(t1->tsc_to_system_mul == t->tsc_to_system_mul && t1->tsc_shift == t->tsc_shift, "both vCPUs have the same rate");
	for (int i = 0; i < 100000; i++) {
		u64 n = now();

		monotonic &= n >= last;
		steps += n > last;
		last = n;
	}
	check(monotonic, "the clock never goes back");
	check(steps > 1000, "and it goes");
	inner = rdtsc() - inner;
	last = now();
	outer = rdtsc() - outer;
	/* CPUID's frequency is a number of whole kHz: the two may differ by that part. */
	slack = (last - first) / khz + 2;
	check(inner * MS / khz <= last - first + slack, "the clock isn't slower than the TSC by CPUID's frequency: %u ns, %u ticks at %u kHz",
	      (u32)(last - first), (u32)inner, (u32)khz);
	check(last - first <= outer * MS / khz + slack, "nor faster: %u ns, %u ticks", (u32)(last - first), (u32)outer);
	check(shared->wc_version && !(shared->wc_version & 1), "the wall clock is set");
	check(shared->wc_sec > 1500000000 && shared->wc_nsec < SECOND, "to a time of this century");
}

static void one_shot(void)
{
	u64 t;

	t = now();
	expect(arm_timer(t + 20 * MS), 0, "a timer in the future");
	expect(port_events[port], 0, "doesn't fire at once");
	check(wait_for(&port_events[port], 1, SECOND), "fires");
	check(now() >= t + 20 * MS, "not early");
	check(now() < t + 20 * MS + LATE, "and not %u ms late", (u32)(LATE / MS));
	delay(50 * MS);
	expect(port_events[port], 1, "and only once");
	arm_timer(1);
	check(wait_for(&port_events[port], 2, LATE), "a time that is past fires at once");
	arm_timer(0);
	check(wait_for(&port_events[port], 3, LATE), "and so does time 0");
}

static void replaced(void)
{
	u32 n = port_events[port];
	u64 t = now();

	arm_timer(t + 10 * SECOND);
	arm_timer(t + 10 * MS);
	check(wait_for(&port_events[port], n + 1, SECOND), "a new time takes the place of the old, earlier");
	t = now();
	arm_timer(t + 10 * MS);
	arm_timer(t + 200 * MS);
	wait_for(&port_events[port], n + 2, 2 * SECOND);
	check(now() >= t + 200 * MS, "and later");
	arm_timer(now() + 30 * MS);
	expect(vcpu_op(VCPUOP_stop_singleshot_timer, 0, NULL), 0, "stop");
	delay(100 * MS);
	expect(port_events[port], n + 2, "a stopped timer doesn't fire");
	expect(vcpu_op(VCPUOP_stop_singleshot_timer, 0, NULL), 0, "stopping it again");
	arm_timer(~0ull);
	arm_timer(~0ull >> 1);
	delay(20 * MS);
	expect(port_events[port], n + 2, "times in far future don't fire");
	vcpu_op(VCPUOP_stop_singleshot_timer, 0, NULL);
}

static void bad_arguments(void)
{
	struct vcpu_set_singleshot_timer s = { .timeout_abs_ns = 1, .flags = VCPU_SSHOTTMR_future };
	u32 n = port_events[port];

	expect(vcpu_op(VCPUOP_set_singleshot_timer, 0, &s), -ETIME, "a past time with the flag that wants the future");
	delay(10 * MS);
	expect(port_events[port], n, "doesn't fire");
	s.flags = 0;
	expect(vcpu_op(VCPUOP_set_singleshot_timer, 1, &s), -EINVAL, "another vCPU's timer");
	expect(vcpu_op(VCPUOP_stop_singleshot_timer, 1, NULL), -EINVAL, "stopping another vCPU's timer");
	check(vcpu_op(VCPUOP_set_singleshot_timer, 99, &s) < 0, "a vCPU that is not there");
	check(vcpu_op(VCPUOP_set_singleshot_timer, ~0ull, &s) < 0, "vCPU 2^64 - 1");
	expect(vcpu_op(VCPUOP_set_singleshot_timer, 0, (void *)0x8000000000ull), -EFAULT, "a time from nowhere");
	expect(vcpu_op(VCPUOP_stop_periodic_timer, 0, NULL), 0, "there is no periodic timer to stop");
	check(vcpu_op(VCPUOP_set_periodic_timer, 0, &s) < 0, "nor to set");
}

static void set_timer_op(void)
{
	u32 n = port_events[port];
	u64 t = now();

	expect(hypercall(__HYPERVISOR_set_timer_op, t + 20 * MS, 0, 0, 0, 0), 0, "set_timer_op");
	check(wait_for(&port_events[port], n + 1, SECOND) && now() >= t + 20 * MS, "fires in time");
	hypercall(__HYPERVISOR_set_timer_op, now() + 30 * MS, 0, 0, 0, 0);
	expect(hypercall(__HYPERVISOR_set_timer_op, 0, 0, 0, 0, 0), 0, "set_timer_op of 0");
	delay(100 * MS);
	expect(port_events[port], n + 1, "stops it");
}

/* HLT until the timer, twenty times: each wakes, none early. */
static void sleeping(void)
{
	u64 late = 0;
	bool early = false;

	for (int i = 0; i < 20; i++) {
		u32 n = port_events[port];
		u64 t = now() + 2 * MS;

		cli();
		arm_timer(t);
		while (port_events[port] == n) {
			sti_hlt();
			cli();
		}
		sti();
		early |= now() < t;
		late = now() - t > late ? now() - t : late;
	}
	check(!early, "HLT: twenty timers, none early");
	check(late < LATE, "and none late (at most %lu us)", late / 1000);
}

static void many_at_once(void)
{
	u32 n = port_events[port];

	for (int i = 0; i < 20000; i++)
		arm_timer(now() + 10 * SECOND + (u64)i);
	arm_timer(now() + MS);
	check(wait_for(&port_events[port], n + 1, SECOND), "20,000 timers set, the last counts");
}

void test_main(void)
{
	clock();
	enable_events();
	port = new_virq(VIRQ_TIMER, 0);
	if (!check(port, "VIRQ_TIMER is bound"))
		return;
	one_shot();
	replaced();
	bad_arguments();
	set_timer_op();
	sleeping();
	many_at_once();
}
