/*
 * Registers of the FPU, SSE and AVX stay a vCPU's own while several share one physical CPU, whatever part of them is on.
 *
 * vcpus: 3
 * cpus: 0
 */
static volatile u32 bad, rounds, done, bad_control;

static void work(void)
{
	static u8 in[NR_CPUS][32] __attribute__((aligned(32))), out[NR_CPUS][32] __attribute__((aligned(32)));
	u32 id = this_cpu()->id, mxcsr = 0x1f80 | id << 13, mxcsr_out;
	bool avx = cpuid(1, 0).c >> 28 & 1 && id != 2;
	u64 cr4, end, seed = id + 1;

	__asm__ volatile("mov %%cr4, %0" : "=r"(cr4));
	__asm__ volatile("mov %0, %%cr4" :: "r"(cr4 | (avx ? BIT(18) : 0)));
	if (avx)
		__asm__ volatile("xsetbv" :: "a"(7), "d"(0), "c"(0));
	__asm__ volatile("ldmxcsr %0" :: "m"(mxcsr));
	for (end = now() + SECOND; now() < end; ) {
		for (int i = 0; i < 32; i++)
			in[id][i] = (u8)random64(&seed);
		if (avx)
			__asm__ volatile("vmovdqa %0, %%ymm7" :: "m"(*in[id]));
		else
			__asm__ volatile("movdqa %0, %%xmm7" :: "m"(*in[id]));
		if (rounds++ % 8 == 0)
			sched_op(SCHEDOP_yield, NULL);
		for (int i = 0; i < 2000; i++)
			relax();
		if (avx)
			__asm__ volatile("vmovdqa %%ymm7, %0" : "=m"(*out[id]));
		else
			__asm__ volatile("movdqa %%xmm7, %0" : "=m"(*out[id]));
		bad += memcmp(in[id], out[id], avx ? 32 : 16) != 0;
		__asm__ volatile("stmxcsr %0" : "=m"(mxcsr_out));
		bad_control += mxcsr_out != mxcsr;
	}
	__atomic_fetch_add(&done, 1, __ATOMIC_SEQ_CST);
}

void test_main(void)
{
	check(start_cpu(1, work) && start_cpu(2, work), "two more vCPUs");
	work();
	check(wait_for(&done, 3, 10 * SECOND), "all end");
	check(rounds > 30, "with many rounds (%u)", rounds);
	expect(bad, 0, "registers that changed");
	expect(bad_control, 0, "control words that changed");
}
