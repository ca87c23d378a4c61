/* units: keeper/decode.c keeper/execute.c keeper/compute.c */
/*
 * The executor in states that a process on this machine can't be in: real mode, segments that no
 * process has, the end of the address space, and callers that give a string little time.
 */
#include "tests/unit/fake.h"
#include "keeper/cpu.h"
#include "keeper/decode.h"
#include "keeper/execute.h"

static struct { unsigned kind, size; u64 linear; } seen[16];
static unsigned accesses;

static enum exec_result note_access(void *context, unsigned kind, u64 linear, unsigned size, u64 *data, struct guest_fault *fault)
{
	assert_in_range(accesses, 0, ARRAY_SIZE(seen) - 1);
	seen[accesses].kind = kind;
	seen[accesses].size = size;
	seen[accesses++].linear = linear;
	if (kind & ACCESS_READ)
		*data = 0;
	return EXEC_DONE;
}

static const struct exec_memory memory = { .access = note_access };
static struct guest_fault fault;

/* Data segments with a base of 64 KiB, a code segment with base 0, and no paging. */
static struct guest_cpu machine(u64 cr0, u32 limit, u16 ar)
{
	struct guest_cpu cpu = { .cr0 = cr0, .rip = 0x1000, .rflags = 2 };

	for (unsigned i = 0; i < NR_SEGS; i++)
		cpu.seg[i] = (struct guest_segment){ .base = i == SEG_CS ? 0 : 0x10000, .limit = limit, .ar = ar };
	return cpu;
}

static enum exec_result run(struct guest_cpu *cpu, enum code_mode mode, unsigned most, const char *bytes, unsigned n)
{
	struct insn in;

	assert_int_equal(insn_decode((const u8 *)bytes, n, mode, &in), DECODE_OK);
	assert_int_equal(in.length, n);
	accesses = 0;
	fault = (struct guest_fault){ 0 };
	return insn_execute(cpu, &in, &memory, most, &fault);
}

#define LOAD  "\x67\x8b\x03"    /* mov (%ebx), %ax or %eax; the prefix is for 16-bit code */
#define STORE "\x67\x89\x03"

static enum exec_result load16(struct guest_cpu *cpu, u64 at) { cpu->regs[REG_RBX] = at; return run(cpu, CODE_16, 1, LOAD, 3); }
static enum exec_result store16(struct guest_cpu *cpu, u64 at) { cpu->regs[REG_RBX] = at; return run(cpu, CODE_16, 1, STORE, 3); }

static void real_mode_has_limits_and_no_types(void **state)
{
	/* 0x9b is code that was left there by protected mode: real mode writes to it. */
	struct guest_cpu cpu = machine(0, 0xffff, 0x9b);

	assert_int_equal(store16(&cpu, 0xfffe), EXEC_DONE);
	assert_int_equal(seen[0].linear, 0x1fffe);
	assert_int_equal(store16(&cpu, 0xffff), EXEC_FAULT);
	assert_int_equal(fault.vector, VECTOR_GP);
	assert_int_equal(accesses, 0);
	assert_true(cpu.rflags & FLAG_RF);
	/* Virtual 8086 mode is alike. */
	cpu.cr0 = CR0_PE;
	assert_int_equal(store16(&cpu, 0), EXEC_FAULT);
	cpu.rflags |= FLAG_VM;
	assert_int_equal(store16(&cpu, 0), EXEC_DONE);
	assert_false(cpu.rflags & FLAG_RF);
}

static void types_say_who_may_read_and_write(void **state)
{
	static const struct { u16 ar; bool reads, writes; } types[] = {
		{ 0x91, true, false }, { 0x93, true, true }, { 0x99, false, false }, { 0x9b, true, false }, { 0x13, false, false },
	};

	for (unsigned i = 0; i < ARRAY_SIZE(types); i++) {
		struct guest_cpu cpu = machine(CR0_PE, 0xffff, types[i].ar);

		assert_int_equal(load16(&cpu, 0), types[i].reads ? EXEC_DONE : EXEC_FAULT);
		assert_int_equal(store16(&cpu, 0), types[i].writes ? EXEC_DONE : EXEC_FAULT);
	}
}

static void a_segment_that_grows_down_begins_above_its_limit(void **state)
{
	struct guest_cpu cpu = machine(CR0_PE, 0xfff, 0x97);

	assert_int_equal(load16(&cpu, 0xfff), EXEC_FAULT);
	assert_int_equal(load16(&cpu, 0x1000), EXEC_DONE);
	assert_int_equal(load16(&cpu, 0xfffe), EXEC_DONE);
	assert_int_equal(load16(&cpu, 0xffff), EXEC_FAULT);
	for (unsigned i = 0; i < NR_SEGS; i++)
		cpu.seg[i].ar |= SEG_D;
	assert_int_equal(load16(&cpu, 0xffff), EXEC_DONE);
	assert_int_equal(load16(&cpu, 0xffffffff), EXEC_FAULT);
	/* Code has no such bit: the same one makes it conforming. */
	cpu = machine(CR0_PE, 0xfff, 0x9f);
	assert_int_equal(load16(&cpu, 0xffe), EXEC_DONE);
	assert_int_equal(load16(&cpu, 0x1000), EXEC_FAULT);
}

static void linear_addresses_wrap_at_4_gib_outside_64_bit_code(void **state)
{
	struct guest_cpu cpu = machine(CR0_PE, 0xffffffff, 0x4093);

	assert_int_equal(load16(&cpu, 0xffff1000), EXEC_DONE);
	assert_int_equal(seen[0].linear, 0x1000);
}

static void rip_behind_an_instruction(void **state)
{
	struct guest_cpu cpu = machine(CR0_PE, 0xffffffff, 0x4093);

	cpu.rip = 0xfffffffe;
	assert_int_equal(run(&cpu, CODE_32, 1, "\x8b\x03", 2), EXEC_DONE);
	assert_int_equal(cpu.rip, 0);
	cpu.rip = 0xfffffffe;
	assert_int_equal(run(&cpu, CODE_64, 1, "\x8b\x03", 2), EXEC_DONE);
	assert_int_equal(cpu.rip, 0x100000000);
	/* IP goes on beyond the segment, where the next fetch faults. */
	cpu.rip = 0xfffd;
	assert_int_equal(load16(&cpu, 0), EXEC_DONE);
	assert_int_equal(cpu.rip, 0x10000);
}

static void a_string_does_as_many_elements_as_it_may(void **state)
{
	struct guest_cpu cpu = machine(CR0_PE, 0xffffffff, 0x4093);

	cpu.regs[REG_RCX] = 5;
	cpu.shadow = true;
	assert_int_equal(run(&cpu, CODE_32, 3, "\xf3\xaa", 2), EXEC_PART);
	assert_int_equal(accesses, 3);
	assert_int_equal(cpu.regs[REG_RCX], 2);
	assert_int_equal(cpu.regs[REG_RDI], 3);
	assert_int_equal(cpu.rip, 0x1000);
	assert_false(cpu.shadow);
	assert_int_equal(run(&cpu, CODE_32, 3, "\xf3\xaa", 2), EXEC_DONE);
	assert_int_equal(accesses, 2);
	assert_int_equal(cpu.rip, 0x1002);
	/* Nothing to do is done at once, and changes no flags. */
	cpu.rflags |= FLAG_ZF;
	assert_int_equal(run(&cpu, CODE_32, 3, "\xf3\xa6", 2), EXEC_DONE);
	assert_int_equal(accesses, 0);
	assert_int_equal(cpu.rflags, 2 | FLAG_ZF);
}

static void a_store_that_reads_first_says_so(void **state)
{
	struct guest_cpu cpu = machine(CR0_PE, 0xffffffff, 0x4093);

	/*
	 * addl %eax, (%ebx): the read asks for the right to write, so that no device is read in
	 * vain.
	 */
	assert_int_equal(run(&cpu, CODE_32, 1, "\x01\x03", 2), EXEC_DONE);
	assert_int_equal(accesses, 2);
	assert_int_equal(seen[0].kind, ACCESS_READ | ACCESS_WRITE);
	assert_int_equal(seen[1].kind, ACCESS_WRITE);
	/* testl, and a plain store */
	assert_int_equal(run(&cpu, CODE_32, 1, "\x85\x03", 2), EXEC_DONE);
	assert_int_equal(accesses, 1);
	assert_int_equal(seen[0].kind, ACCESS_READ);
	assert_int_equal(run(&cpu, CODE_32, 1, "\x89\x03", 2), EXEC_DONE);
	assert_int_equal(accesses, 1);
	assert_int_equal(seen[0].kind, ACCESS_WRITE);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(real_mode_has_limits_and_no_types),
		cmocka_unit_test(types_say_who_may_read_and_write),
		cmocka_unit_test(a_segment_that_grows_down_begins_above_its_limit),
		cmocka_unit_test(linear_addresses_wrap_at_4_gib_outside_64_bit_code),
		cmocka_unit_test(rip_behind_an_instruction),
		cmocka_unit_test(a_string_does_as_many_elements_as_it_may),
		cmocka_unit_test(a_store_that_reads_first_says_so),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
