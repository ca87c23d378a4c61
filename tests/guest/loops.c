/*
 * Faults that a guest can raise without end: #DB inside its own delivery, where the CPU never gets to an instruction and only the
 * hypervisor can get out, and an instruction that faults again and again. One vCPU is in each; the guest and the machine go on.
 *
 * vcpus: 3
 */
static volatile u32 in_loop;

static void loop_db(void)
{
	static u64 stack[64];

	in_loop++;
	/* A data breakpoint on the very stack to which #DB pushes its frame: CVE-2015-8104. */
	__asm__ volatile("mov %0, %%dr0; mov %1, %%dr7; mov %2, %%rsp; push %%rax" ::
			 "r"((u64)&stack[55]), "r"(0x400ul | 2 | 1ul << 16 | 2ul << 18), "r"((u64)&stack[56]) : "memory");
	for (;;)
		relax();
}

static void again(struct frame *f) { (void)f; }

static void loop_ud(void)
{
	in_loop++;
	__asm__ volatile("1: ud2; jmp 1b");
}

static void same_place(struct frame *f) { (void)f; }

void test_main(void)
{
	handlers[VECTOR_DB] = again;
	handlers[VECTOR_UD] = same_place;
	check(start_cpu(1, loop_db) && wait_for(&in_loop, 1, SECOND), "a vCPU in a loop of #DB");
	check(start_cpu(2, loop_ud) && wait_for(&in_loop, 2, SECOND), "a vCPU in a loop of #UD");
	delay(300 * MS);
	check(true, "the guest goes on");
	expect(vcpu_op(VCPUOP_down, 1, NULL), 0, "the first is stopped");
	expect(vcpu_op(VCPUOP_down, 2, NULL), 0, "and the second");
}
