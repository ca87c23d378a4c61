/*
 * Random hypercalls with arguments that are often interesting, for some seconds, while a heartbeat guest works. Nothing is checked
 * here but that it comes to an end: the hypervisor, the service domain and the other guest have to live on.
 *
 * It may give away memory that it needs, so any end will do.
 *
 * ends: any
 * first: heartbeat
 * seconds: 60
 */
static u8 buf[16 * PAGE_SIZE] PAGE_ALIGNED;

/* Above the guest's own image and stacks, so that what it gives away isn't what it runs on. */
#define VICTIM_GFN 0x1000ull

static u64 number(u64 *seed)
{
	static const u64 some[] = { 0, 1, 2, 3, 8, 63, 64, 511, 512, 1023, 1024, 4095, 4096, 0x7fef, 0x7ff0, 0x7ff1, 0x7ff4, 0xffff, 0x10000, 0x7fffffff,
				    0x80000000, 0xffffffff, 1ull << 32, 1ull << 36, 1ull << 40, 1ull << 47, 1ull << 52, 1ull << 63, ~0ull, ~0ull - 1,
				    SHARED_INFO_GFN, HOLE_GFN, VICTIM_GFN };
	u64 r = random64(seed);

	switch (r % 8) {
	case 0: return random64(seed);
	case 1: return random64(seed) >> (random64(seed) % 64);
	case 2: return VICTIM_GFN + random64(seed) % 64;
	case 3: return random64(seed) % 16;
	case 4: return own_domid();
	default: return some[(r >> 8) % ARRAY_SIZE(some)];
	}
}

static u64 pointer(u64 *seed)
{
	u64 r = random64(seed);

	switch (r % 8) {
	case 0: return number(seed);
	case 1: return (u64)buf + PAGE_SIZE * 16 - r / 8 % 64;
	case 2: return HOLE_GFN * PAGE_SIZE - r / 8 % 64;
	default: return (u64)buf + r / 8 % (PAGE_SIZE * 14);
	}
}

/* The start of the buffer becomes an argument: numbers of all sizes, and pointers. */
static void fill(u64 *seed)
{
	for (u32 i = 0; i < 32; i++) {
		u64 r = random64(seed), v = r & 1 ? number(seed) : r & 2 ? pointer(seed) : number(seed) << 32 | (u32)number(seed);

		memcpy(buf + i * 8, &v, 8);
	}
}

static bool ends_it(u64 nr, u64 cmd)
{
	/* The end of the guest, sleep without end, and its only vCPU going down would end the attack. */
	if (nr == __HYPERVISOR_sched_op)
		return cmd == SCHEDOP_shutdown || cmd == SCHEDOP_block || cmd == SCHEDOP_poll || cmd == SCHEDOP_watchdog;
	if (nr == __HYPERVISOR_vcpu_op)
		return cmd == VCPUOP_down;
	return nr == __HYPERVISOR_multicall;
}

static void once(u64 *seed)
{
	static const u8 known[] = { 7, 12, 12, 12, 13, 15, 17, 18, 20, 20, 20, 21, 24, 29, 32, 32, 32, 33, 34, 34, 35, 36, 36 };
	u64 r = random64(seed), nr = r % 16 ? known[r / 16 % ARRAY_SIZE(known)] : number(seed);
	u64 cmd = r >> 32 & 7 ? random64(seed) % 48 : number(seed), a1, a2;

	fill(seed);
	a1 = pointer(seed);
	a2 = r >> 40 & 3 ? random64(seed) % 5 : number(seed);
	if (nr == __HYPERVISOR_vcpu_op) {
		a2 = a1;
		a1 = r >> 42 & 3 ? 0 : number(seed);
	} else if (nr == 7 || nr == 35 || nr == 36) {
		*(u32 *)buf = (u32)cmd;
		*(u32 *)(buf + 4) = nr == 7 ? 0x03000001 : 0x15;
		cmd = (u64)buf;
	} else if (nr == __HYPERVISOR_console_io && cmd == 0) {
		return;
	}
	if (!ends_it(nr, cmd))
		hypercall(nr, cmd, a1, a2, number(seed), number(seed));
}

/* A few calls through a multicall, with the same restrictions. */
static void several(u64 *seed)
{
	static struct multicall_entry e[8];

	for (u32 i = 0; i < 8; i++) {
		e[i].op = random64(seed) % 40;
		e[i].args[0] = random64(seed) % 32;
		if (ends_it(e[i].op, e[i].args[0]) || e[i].op == __HYPERVISOR_console_io)
			e[i].op = 99;
		for (u32 k = 1; k < 6; k++)
			e[i].args[k] = k == 1 ? pointer(seed) : number(seed);
	}
	fill(seed);
	hypercall(__HYPERVISOR_multicall, (u64)e, 8, 0, 0, 0);
}

static void ignore(struct frame *f) { (void)f; }

void test_main(void)
{
	u64 seed = option("seed", 20240229), calls = 0, end;

	handlers[VECTOR_NMI] = ignore;
	say("seed=%lu", seed);
	flush_report();
	for (end = now() + option("attack", 10) * SECOND; now() < end; calls++) {
		if (calls % 16 == 15)
			several(&seed);
		else
			once(&seed);
		/* What would make the clock or the report useless is put back. */
		if (calls % 256 == 0)
			map_space(XENMAPSPACE_shared_info, 0, SHARED_INFO_GFN);
	}
	map_space(XENMAPSPACE_shared_info, 0, SHARED_INFO_GFN);
	check(calls > 1000, "%lu hypercalls", calls);
}
