/*
 * The areas that the hypervisor writes for a guest: runstate, across a page border too, and vcpu_info where the guest wants it.
 *
 * vcpus: 2
 */
static u8 area[3 * PAGE_SIZE] PAGE_ALIGNED;
static u8 info_page[PAGE_SIZE] PAGE_ALIGNED;
static u32 port;

static void doze(u64 ns)
{
	u32 n = port_events[port];

	arm_timer(now() + ns);
	while (port_events[port] == n)
		sti_hlt();
}

static long use(void *at)
{
	struct vcpu_register_runstate_memory_area r = { .addr.p = (u64)at };

	return vcpu_op(VCPUOP_register_runstate_memory_area, 0, &r);
}

static void check_area(volatile struct vcpu_runstate_info *r, const char *where)
{
	u64 t = now(), blocked = r->time[RUNSTATE_blocked], entry = r->state_entry_time;

	doze(40 * MS);
	expect(r->state, RUNSTATE_running, "%s: running", where);
	check(r->state_entry_time > entry && r->state_entry_time >= t && r->state_entry_time <= now(), "%s: since a moment ago", where);
	check(r->time[RUNSTATE_blocked] >= blocked + 20 * MS, "%s: the time asleep is counted", where);
	check(r->time[0] && r->time[0] + r->time[1] + r->time[2] + r->time[3] <= now(), "%s: the times are sane", where);
}

static void runstate(void)
{
	struct vcpu_runstate_info info;
	static const u64 bad[] = { 0x8000000000ull, 0x800000000000ull, ~0ull - 7, HOLE_GFN * PAGE_SIZE };
	struct vcpu_register_runstate_memory_area r = { .addr.p = (u64)area };

	expect(use(area), 0, "a runstate area");
	check_area((void *)area, "runstate");
	expect(use(area + PAGE_SIZE - 24), 0, "one across a page border");
	check_area((void *)(area + PAGE_SIZE - 24), "across pages");
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		check(use((void *)bad[i]) < 0, "a runstate area at %lx", bad[i]);
	doze(MS);
	check_area((void *)(area + PAGE_SIZE - 24), "still the last good one");
	expect(vcpu_op(VCPUOP_register_runstate_memory_area, 1, &r), 0, "an area of a vCPU that is down");
	expect(vcpu_op(VCPUOP_register_runstate_memory_area, 2, &r), -ENOENT, "of one that is not there");
	expect(vcpu_op(VCPUOP_get_runstate_info, 0, &info), 0, "get_runstate_info");
	check(info.state == RUNSTATE_running && info.time[RUNSTATE_blocked] >= 80 * MS, "is the same");
	expect(vcpu_op(VCPUOP_get_runstate_info, 1, &info), 0, "of the other vCPU");
	expect(info.state, RUNSTATE_offline, "which is offline");
	expect(vcpu_op(VCPUOP_get_runstate_info, 2, &info), -ENOENT, "of one that is not there");
	expect(vcpu_op(VCPUOP_get_runstate_info, 0, (void *)0x8000000000ull), -EFAULT, "to nowhere");
}

static void update_flag(void)
{
	volatile struct vcpu_runstate_info *r = (void *)area;

	use(area);
	expect(hypercall(__HYPERVISOR_vm_assist, 0, 5, 0, 0, 0), 0, "vm_assist: the runstate update flag");
	doze(MS);
	check(!(r->state_entry_time >> 63), "the flag is not left behind");
	expect(hypercall(__HYPERVISOR_vm_assist, 1, 5, 0, 0, 0), 0, "and off");
	check(hypercall(__HYPERVISOR_vm_assist, 0, 0, 0, 0, 0) < 0, "an assist for PV guests");
	check(hypercall(__HYPERVISOR_vm_assist, 0, ~0ull, 0, 0, 0) < 0, "assist 2^64 - 1");
	check(hypercall(__HYPERVISOR_vm_assist, 2, 5, 0, 0, 0) < 0, "neither on nor off");
}

static long info_at(u32 vcpu, u64 gfn, u32 offset)
{
	struct vcpu_register_vcpu_info r = { .mfn = gfn, .offset = offset };

	return vcpu_op(VCPUOP_register_vcpu_info, vcpu, &r);
}

static void vcpu_info(void)
{
	volatile struct vcpu_info *v = (void *)(info_page + 128);
	u64 gfn = (u64)info_page / PAGE_SIZE;
	u32 ipi = new_ipi(0);

	check(info_at(0, gfn, 4040) < 0, "a vcpu_info across a page border");
	check(info_at(0, gfn, 127) < 0, "one that is not aligned");
	check(info_at(0, gfn, ~0u) < 0, "offset 4294967295");
	check(info_at(0, HOLE_GFN, 0) < 0, "one in a hole");
	check(info_at(0, ~0ull, 0) < 0, "one at frame 2^64 - 1");
	check(info_at(0, SHARED_INFO_GFN, 0) < 0, "one in shared_info");
	expect(info_at(2, gfn, 0), -ENOENT, "one of a vCPU that is not there");
	cli();
	expect(info_at(0, gfn, 128), 0, "a vcpu_info of one's own");
	check(v->evtchn_upcall_pending && v->evtchn_pending_sel, "says at once that there may be events");
	check(v->time.tsc_to_system_mul && !(v->time.version & 1), "has the clock");
	v->evtchn_upcall_pending = 0;
	v->evtchn_pending_sel = 0;
	notify(ipi);
	check(v->evtchn_upcall_pending && v->evtchn_pending_sel == BIT(ipi / 64), "events show there");
	check(shared->vcpu_info[0].time.tsc_to_system_mul, "the old one keeps the clock");
	check(info_at(0, gfn, 256) < 0, "it can't be moved again");
	expect(info_at(1, gfn, 192), 0, "that of a vCPU that doesn't run yet");
	v->evtchn_upcall_pending = 0;
}

void test_main(void)
{
	enable_events();
	port = new_virq(VIRQ_TIMER, 0);
	runstate();
	update_flag();
	set_param(HVM_PARAM_CALLBACK_IRQ, 0);
	vcpu_info();
}
