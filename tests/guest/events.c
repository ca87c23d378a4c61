/*
 * Event channels: every operation, by its good use and by bad arguments; how an event reaches a vCPU: pending bits, masks, the
 * callback vector, and polling.
 *
 * vcpus: 2
 */
static u32 status_of(u32 port)
{
	struct evtchn_status s = { .dom = DOMID_SELF, .port = port };

	return evtchn_op(EVTCHNOP_status, &s) ? 99 : s.status;
}

static void opening(void)
{
	struct evtchn_alloc_unbound a = { .dom = DOMID_SELF, .remote_dom = 0 };
	struct evtchn_bind_ipi ipi = { .vcpu = 7 };
	struct evtchn_bind_virq virq = { .virq = 0, .vcpu = 9 };
	u32 port;

	expect(evtchn_op(EVTCHNOP_alloc_unbound, &a), 0, "alloc_unbound");
	check(a.port > 0 && a.port < 1024, "gives a port, not 0");
	expect(status_of(a.port), EVTCHNSTAT_unbound, "status: unbound");
	port = a.port;
	expect(close_port(port), 0, "close");
	expect(status_of(port), EVTCHNSTAT_closed, "status: closed");
	expect(close_port(port), -EINVAL, "closing it again");
	expect(new_unbound(0), port, "the lowest free port comes back");
	close_port(port);
	a.dom = 0;
	expect(evtchn_op(EVTCHNOP_alloc_unbound, &a), -EPERM, "alloc_unbound in another domain");
	a.dom = 0x7123;
	expect(evtchn_op(EVTCHNOP_alloc_unbound, &a), -ESRCH, "alloc_unbound in a domain that is not there");
	expect(evtchn_op(EVTCHNOP_bind_ipi, &ipi), -ENOENT, "bind_ipi to a vCPU that is not there");
	ipi.vcpu = ~0u;
	expect(evtchn_op(EVTCHNOP_bind_ipi, &ipi), -ENOENT, "bind_ipi to vCPU 4294967295");
	expect(evtchn_op(EVTCHNOP_bind_virq, &virq), -ENOENT, "bind_virq on a vCPU that is not there");
	virq = (struct evtchn_bind_virq){ .virq = 24 };
	expect(evtchn_op(EVTCHNOP_bind_virq, &virq), -EINVAL, "bind_virq of number 24");
	virq.virq = ~0u;
	expect(evtchn_op(EVTCHNOP_bind_virq, &virq), -EINVAL, "bind_virq of number 4294967295");
	virq = (struct evtchn_bind_virq){ .virq = VIRQ_DOM_EXC };
	check(evtchn_op(EVTCHNOP_bind_virq, &virq) < 0, "a VIRQ that is the service domain's");
	virq = (struct evtchn_bind_virq){ .virq = VIRQ_CONSOLE, .vcpu = 1 };
	expect(evtchn_op(EVTCHNOP_bind_virq, &virq), -EINVAL, "a global VIRQ on vCPU 1");
}

static void bad_ports(void)
{
	static const u32 ports[] = { 0, 1000, 1023, 1024, 4095, 4096, 131072, 0x7fffffff, 0x80000000, ~0u };
	long bad[5] = { 0 };

	for (size_t i = 0; i < ARRAY_SIZE(ports); i++) {
		struct evtchn_unmask u = { .port = ports[i] };
		struct evtchn_bind_vcpu v = { .port = ports[i] };
		struct evtchn_status s = { .dom = DOMID_SELF, .port = ports[i] };
		struct sched_poll poll = { .nr_ports = 1, .timeout = 1 };
		long r;

		set_xen_guest_handle(poll.ports, (evtchn_port_t *)&ports[i]);
		bad[0] |= notify(ports[i]) != -EINVAL ? 1l << i : 0;
		bad[1] |= close_port(ports[i]) != -EINVAL ? 1l << i : 0;
		bad[2] |= evtchn_op(EVTCHNOP_bind_vcpu, &v) != -EINVAL ? 1l << i : 0;
		r = evtchn_op(EVTCHNOP_unmask, &u);
		bad[3] |= r != -EINVAL && !(ports[i] < 1024 && r == 0) ? 1l << i : 0;
		r = evtchn_op(EVTCHNOP_status, &s);
		bad[4] |= r != -EINVAL && !(ports[i] < 4096 && r == 0 && s.status == EVTCHNSTAT_closed) ? 1l << i : 0;
		r = sched_op(SCHEDOP_poll, &poll);
		bad[4] |= r != -EINVAL && !(ports[i] < 4096 && r == 0) ? 1l << (i + 16) : 0;
	}
	expect(bad[0], 0, "send to ports that are not open");
	expect(bad[1], 0, "close of ports that are not open");
	expect(bad[2], 0, "bind_vcpu of ports that are not open");
	expect(bad[3], 0, "unmask of ports that are not open");
	expect(bad[4], 0, "status and poll of ports that are not open");
}

static void linking(void)
{
	u32 a = new_unbound(DOMID_SELF), other = new_unbound(0);
	struct evtchn_bind_interdomain b = { .remote_dom = DOMID_SELF, .remote_port = a };
	struct evtchn_status s = { .dom = DOMID_SELF, .port = a };

	expect(notify(a), 0, "send to an unbound port is silent");
	expect(evtchn_op(EVTCHNOP_bind_interdomain, &b), 0, "bind_interdomain to oneself");
	check(port_pending(b.local_port), "the new port is pending at once");
	evtchn_op(EVTCHNOP_status, &s);
	check(s.status == EVTCHNSTAT_interdomain && s.u.interdomain.port == b.local_port && s.u.interdomain.dom == own_domid(), "status: interdomain");
	clear_port(b.local_port);
	expect(notify(a), 0, "send");
	check(port_pending(b.local_port) && !port_pending(a), "arrives at the other end");
	expect(notify(b.local_port), 0, "and back");
	check(port_pending(a), "arrives too");
	b.remote_port = a;
	expect(evtchn_op(EVTCHNOP_bind_interdomain, &b), -EINVAL, "binding to a port that is bound");
	b = (struct evtchn_bind_interdomain){ .remote_dom = DOMID_SELF, .remote_port = other };
	expect(evtchn_op(EVTCHNOP_bind_interdomain, &b), -EINVAL, "binding to a port that waits for someone else");
	b = (struct evtchn_bind_interdomain){ .remote_dom = DOMID_SELF, .remote_port = ~0u };
	expect(evtchn_op(EVTCHNOP_bind_interdomain, &b), -EINVAL, "binding to port 4294967295");
	b = (struct evtchn_bind_interdomain){ .remote_dom = 0x7000, .remote_port = 1 };
	expect(evtchn_op(EVTCHNOP_bind_interdomain, &b), -ESRCH, "binding to a domain that is not there");
	b = (struct evtchn_bind_interdomain){ .remote_dom = 0, .remote_port = 1 };
	expect(evtchn_op(EVTCHNOP_bind_interdomain, &b), -EINVAL, "binding to a port of the service domain's");
	expect(close_port(s.u.interdomain.port), 0, "closing one end");
	expect(status_of(a), EVTCHNSTAT_unbound, "leaves the other unbound");
	close_port(a);
	close_port(other);
}

static void others_ports(void)
{
	struct evtchn_status s = { .dom = 0, .port = 1 };
	struct evtchn_reset r = { .dom = 0 };

	expect(evtchn_op(EVTCHNOP_status, &s), -EPERM, "status of another domain's port");
	expect(evtchn_op(EVTCHNOP_reset, &r), -EPERM, "reset of another domain");
	expect(evtchn_op(EVTCHNOP_bind_pirq, &s) < 0, 1, "bind_pirq is refused");
}

static void many(void)
{
	u32 n = 0, last = 0, port;

	while ((port = new_unbound(0)) && n < 5000) {
		last = port;
		n++;
	}
	check(n > 900 && n < 1024, "ports end at the configured limit (%u more)", n);
	expect(status_of(last), EVTCHNSTAT_unbound, "the last is open");
	for (port = last - n; port <= last; port++)
		if (status_of(port) == EVTCHNSTAT_unbound)
			close_port(port);
	port = new_unbound(0);
	check(port && port < 50, "and all come back");
	close_port(port);
}

static void delivery(void)
{
	u32 port = new_ipi(0), other = new_ipi(0);
	u32 before = interrupts[EVENT_VECTOR];

	cli();
	expect(notify(port), 0, "send to an IPI port");
	check(port_pending(port) && shared->vcpu_info[0].evtchn_upcall_pending && shared->vcpu_info[0].evtchn_pending_sel & BIT(port / 64),
	      "sets the three bits");
	expect(interrupts[EVENT_VECTOR], before, "no interrupt while IF is 0");
	sti();
	expect(port_events[port], 1, "the interrupt comes when IF is 1");
	notify(port);
	expect(port_events[port], 2, "a second event, at once");
	mask_port(port, true);
	notify(port);
	check(port_pending(port) && port_events[port] == 2, "a masked event waits");
	mask_port(port, false);
	expect(port_events[port], 3, "unmask delivers it");
	mask_port(port, false);
	expect(port_events[port], 3, "unmasking again does nothing");
	cli();
	notify(port);
	notify(port);
	notify(other);
	sti();
	check(port_events[port] == 4 && port_events[other] == 1, "events of one port merge, of two don't");
	expect(close_port(port), 0, "closing an IPI port");
	expect(notify(port), -EINVAL, "it can't be rung then");
	close_port(other);
}

static volatile u32 ap_ready;
static u32 ap_port;

static void ap(void)
{
	sti();
	ap_ready = 1;
	while (ap_ready == 1)
		sti_hlt();
	cli();
	ap_ready = 3;
}

/* Rings `port`; is the event of ap_port that this makes taken by vCPU 1? */
static bool taken_by_ap(u32 port)
{
	u32 n = port_events[ap_port];

	port_vcpu[ap_port] = 99;
	notify(port);
	return wait_for(&port_events[ap_port], n + 1, SECOND) && port_vcpu[ap_port] == 1;
}

static void across_vcpus(void)
{
	struct evtchn_bind_vcpu b = { .vcpu = 1 };
	struct evtchn_bind_interdomain link = { .remote_dom = DOMID_SELF };
	u64 console = 0;
	u32 here;

	/* Whoever looks for one event takes the others in its word too: this vCPU shall not look. */
	get_param(HVM_PARAM_CONSOLE_EVTCHN, &console);
	mask_port((u32)console, true);
	if (!check(start_cpu(1, ap) && wait_for(&ap_ready, 1, SECOND), "the second vCPU runs"))
		return;
	ap_port = new_ipi(1);
	check(taken_by_ap(ap_port), "an IPI port rings its vCPU, and wakes it");
	delay(20 * MS);
	check(taken_by_ap(ap_port), "again, from its HLT");
	b.port = ap_port;
	expect(evtchn_op(EVTCHNOP_bind_vcpu, &b), -EINVAL, "an IPI port can't be moved");

	here = new_unbound(DOMID_SELF);
	link.remote_port = here;
	evtchn_op(EVTCHNOP_bind_interdomain, &link);
	ap_port = link.local_port;
	wait_for(&port_events[ap_port], 1, SECOND);
	b.port = ap_port;
	expect(evtchn_op(EVTCHNOP_bind_vcpu, &b), 0, "bind_vcpu of an interdomain port");
	check(taken_by_ap(here), "its events then go to that vCPU");
	b.vcpu = 2;
	expect(evtchn_op(EVTCHNOP_bind_vcpu, &b), -ENOENT, "bind_vcpu to a vCPU that is not there");
	ap_ready = 2;
	notify(here);
	check(wait_for(&ap_ready, 3, SECOND), "the second vCPU ends");
	mask_port((u32)console, false);
}

static long poll_port(u32 port, u64 timeout)
{
	struct sched_poll poll = { .nr_ports = 1, .timeout = timeout };

	set_xen_guest_handle(poll.ports, &port);
	return sched_op(SCHEDOP_poll, &poll);
}

static void polling(void)
{
	u32 port = new_ipi(0), timer = new_virq(VIRQ_TIMER, 0);
	struct sched_poll poll = { .nr_ports = 129 };
	u64 t, console = 0;

	/* Any event that isn't masked ends a poll, and the console daemon rings after each line. */
	get_param(HVM_PARAM_CONSOLE_EVTCHN, &console);
	mask_port((u32)console, true);
	mask_port(port, true);
	mask_port(timer, true);
	cli();
	shared->vcpu_info[0].evtchn_upcall_pending = 0;
	shared->vcpu_info[0].evtchn_pending_sel = 0;
	notify(port);
	expect(poll_port(port, 0), 0, "poll of a pending port ends at once");
	clear_port(port);
	t = now();
	expect(poll_port(port, t + 30 * MS), 0, "poll until a time");
	check(now() >= t + 30 * MS, "doesn't end before it");
	t = now();
	expect(poll_port(port, 1), 0, "poll until a time that is past");
	check(now() < t + SECOND, "ends");
	arm_timer(now() + 30 * MS);
	t = now();
	expect(poll_port(timer, 0), 0, "poll of a masked port without a time limit");
	check(port_pending(timer) && now() >= t + 29 * MS, "ends when it rings");
	expect(sched_op(SCHEDOP_poll, &poll), -EINVAL, "poll of 129 ports");
	poll = (struct sched_poll){ .nr_ports = 1, .timeout = 1 };
	set_xen_guest_handle(poll.ports, (evtchn_port_t *)0x8000000000ull);
	expect(sched_op(SCHEDOP_poll, &poll), -EFAULT, "poll with ports from nowhere");
	expect(sched_op(SCHEDOP_poll, (void *)0x8000000000ull), -EFAULT, "poll from nowhere");
	clear_port(timer);
	mask_port((u32)console, false);
	sti();
	close_port(port);
	close_port(timer);
}

static void virqs(void)
{
	u32 timer = new_virq(VIRQ_TIMER, 0);
	struct evtchn_bind_virq b = { .virq = VIRQ_TIMER };
	struct evtchn_bind_vcpu m = { .port = timer };

	expect(evtchn_op(EVTCHNOP_bind_virq, &b), -EEXIST, "binding a VIRQ twice");
	expect(status_of(timer), EVTCHNSTAT_virq, "status: virq");
	expect(evtchn_op(EVTCHNOP_bind_vcpu, &m), -EINVAL, "a vCPU's own VIRQ can't be moved");
	expect(notify(timer), -EINVAL, "nor rung by the guest");
	arm_timer(now() + MS);
	check(wait_for(&port_events[timer], 1, SECOND), "VIRQ_TIMER arrives");
	close_port(timer);
	arm_timer(1);
	expect(evtchn_op(EVTCHNOP_bind_virq, &b), 0, "binding it again after a close");
	close_port(b.port);
}

void test_main(void)
{
	opening();
	bad_ports();
	linking();
	others_ports();
	many();
	enable_events();
	delivery();
	across_vcpus();
	virqs();
	polling();
}
