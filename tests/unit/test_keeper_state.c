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
static u64 answer, written;     /* what a read gives, and what the last access wrote */

static enum exec_result note_access(void *context, unsigned kind, u64 linear, unsigned size, u64 *data, struct guest_fault *fault)
{
	assert_in_range(accesses, 0, ARRAY_SIZE(seen) - 1);
	seen[accesses].kind = kind;
	seen[accesses].size = size;
	seen[accesses++].linear = linear;
	if ((kind & ACCESS_READ) && !(kind & ACCESS_CHECK))
		*data = answer & ~0ull >> (64 - 8 * size);
	written = kind == ACCESS_WRITE ? *data : 0;
	return EXEC_DONE;
}

static unsigned ports, wait_at;
static u64 port_data[8];

/* Port 0x1f0 and no other; it answers with numbers that say which read it was. */
static enum exec_result note_port(void *context, unsigned kind, u16 port, unsigned size, u64 *data)
{
	assert_int_equal(port, 0x1f0);
	assert_in_range(ports, 0, ARRAY_SIZE(port_data) - 1);
	if (ports + 1 == wait_at)
		return EXEC_WAIT;
	if (kind == ACCESS_READ)
		*data = 0x1111111111111111 * (ports + 1);
	port_data[ports++] = *data;
	assert_in_range(accesses, 0, ARRAY_SIZE(seen) - 1);
	seen[accesses].kind = kind;
	seen[accesses].size = size;
	seen[accesses++].linear = ~0ull;
	return EXEC_DONE;
}

static const struct exec_memory memory = { .access = note_access, .port = note_port };
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
	accesses = ports = 0;
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

/* No process may use ports, so this isn't compared with a CPU. */
static void ins_writes_what_the_port_has(void **state)
{
	struct guest_cpu cpu = machine(CR0_PE, 0xffffffff, 0x4093);

	cpu.regs[REG_RDX] = 0xabcd01f0;
	cpu.regs[REG_RCX] = 5;
	cpu.regs[REG_RDI] = 0x100;
	/* repz insw, three at a time: the right to write is asked for before the port is read */
	assert_int_equal(run(&cpu, CODE_32, 3, "\xf3\x66\x6d", 3), EXEC_PART);
	assert_int_equal(accesses, 9);
	for (unsigned i = 0; i < 3; i++) {
		assert_int_equal(seen[3 * i].kind, ACCESS_WRITE | ACCESS_CHECK);
		assert_int_equal(seen[3 * i].linear, 0x10100 + 2 * i);
		assert_int_equal(seen[3 * i + 1].kind, ACCESS_READ);
		assert_int_equal(seen[3 * i + 1].linear, ~0ull);
		assert_int_equal(seen[3 * i + 2].kind, ACCESS_WRITE);
		assert_int_equal(seen[3 * i + 2].linear, 0x10100 + 2 * i);
		assert_int_equal(seen[3 * i + 2].size, 2);
	}
	assert_int_equal(written, 0x3333);
	assert_int_equal(cpu.regs[REG_RCX], 2);
	assert_int_equal(cpu.regs[REG_RDI], 0x106);
	assert_int_equal(cpu.regs[REG_RAX], 0);
	assert_int_equal(cpu.rip, 0x1000);
	/* Where nothing may be written, the port isn't read. */
	cpu.seg[SEG_ES].ar = 0x4091;
	assert_int_equal(run(&cpu, CODE_32, 3, "\xf3\x66\x6d", 3), EXEC_FAULT);
	assert_int_equal(fault.vector, VECTOR_GP);
	assert_int_equal(accesses, 0);
}

static void outs_writes_what_memory_has(void **state)
{
	struct guest_cpu cpu = machine(CR0_PE, 0xffffffff, 0x4093);

	cpu.regs[REG_RDX] = 0x1f0;
	cpu.regs[REG_RSI] = 0x100;
	cpu.rflags |= FLAG_DF;
	answer = 0x8877665544332211;
	/* fs outsl; REX.W makes no eight bytes of it */
	cpu.seg[SEG_FS].base = 0x50000;
	assert_int_equal(run(&cpu, CODE_32, 1, "\x64\x6f", 2), EXEC_DONE);
	assert_int_equal(seen[0].linear, 0x50100);
	assert_int_equal(port_data[0], 0x44332211);
	assert_int_equal(cpu.regs[REG_RSI], 0xfc);
	assert_int_equal(run(&cpu, CODE_64, 1, "\x48\x6f", 2), EXEC_DONE);
	assert_int_equal(port_data[0], 0x44332211);
	assert_int_equal(seen[1].size, 4);
	answer = 0;
	/* A device that isn't ready: nothing has moved yet. */
	wait_at = 1;
	assert_int_equal(run(&cpu, CODE_64, 1, "\x6e", 1), EXEC_WAIT);
	assert_int_equal(cpu.regs[REG_RSI], 0xf8);
	wait_at = 2;
	cpu.regs[REG_RCX] = 3;
	assert_int_equal(run(&cpu, CODE_64, 9, "\xf3\x6e", 2), EXEC_WAIT);
	assert_int_equal(cpu.regs[REG_RSI], 0xf7);
	assert_int_equal(cpu.regs[REG_RCX], 2);
	wait_at = 0;
}

static void hints_access_nothing(void **state)
{
	/* Code that can't be read. */
	struct guest_cpu cpu = machine(CR0_PE, 0xffff, 0x99);

	/* clflush (%bx), which a segment may refuse all the same */
	assert_int_equal(run(&cpu, CODE_16, 1, "\x0f\xae\x3f", 3), EXEC_DONE);
	assert_int_equal(accesses, 1);
	assert_int_equal(seen[0].kind, ACCESS_READ | ACCESS_CHECK);
	cpu.seg[SEG_DS].limit = 0;
	cpu.regs[REG_RBX] = 1;
	assert_int_equal(run(&cpu, CODE_16, 1, "\x0f\xae\x3f", 3), EXEC_FAULT);
	/* nopw (%bx); prefetcht0 (%bx) */
	assert_int_equal(run(&cpu, CODE_16, 1, "\x0f\x1f\x07", 3), EXEC_DONE);
	assert_int_equal(run(&cpu, CODE_16, 1, "\x0f\x18\x0f", 3), EXEC_DONE);
	assert_int_equal(accesses, 0);
}

static void a_branch_stays_inside_its_segment(void **state)
{
	struct guest_cpu cpu = machine(0, 0xffff, 0x93);

	/* In real mode: jmp *(%bx), jmpl *(%bx); then call *(%bx) at the segment's end */
	answer = 0xabcd1234;
	assert_int_equal(run(&cpu, CODE_16, 1, "\xff\x27", 2), EXEC_DONE);
	assert_int_equal(cpu.rip, 0x1234);
	assert_int_equal(run(&cpu, CODE_16, 1, "\x66\xff\x27", 3), EXEC_FAULT);
	assert_int_equal(fault.vector, VECTOR_GP);
	assert_int_equal(cpu.rip, 0x1234);
	cpu.rip = 0xfffe;
	cpu.regs[REG_RSP] = 2;
	assert_int_equal(run(&cpu, CODE_16, 1, "\xff\x17", 2), EXEC_DONE);
	assert_int_equal(written, 0);
	assert_int_equal(cpu.regs[REG_RSP], 0);
	assert_int_equal(cpu.rip, 0x1234);
	/* The segment's last byte is inside. */
	answer = 0xffff;
	assert_int_equal(run(&cpu, CODE_16, 1, "\x66\xff\x27", 3), EXEC_DONE);
	answer = 0x10000;
	assert_int_equal(run(&cpu, CODE_16, 1, "\x66\xff\x27", 3), EXEC_FAULT);
	assert_int_equal(cpu.rip, 0xffff);
	answer = 0;
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
		cmocka_unit_test(ins_writes_what_the_port_has),
		cmocka_unit_test(outs_writes_what_memory_has),
		cmocka_unit_test(hints_access_nothing),
		cmocka_unit_test(a_branch_stays_inside_its_segment),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
