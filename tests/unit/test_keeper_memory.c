/* units: keeper/memory.c keeper/walk.c keeper/decode.c keeper/execute.c keeper/compute.c */
/*
 * Accesses by the guest's page tables. Most tests are about the end of a page, where one access is
 * two.
 */
#include "tests/unit/fake.h"
#include "keeper/cpu.h"
#include "keeper/decode.h"
#include "keeper/memory.h"

#define P  1u
#define RW 2u
#define US 4u

/* 32-bit tables: the directory's first and last entry point to this table of 1,024 pages. */
static u32 table[1024];
static bool torn;               /* entries change under each walk */
static u64 directory_entry = 0x1000 | P | RW | US | 0x20;

static bool read_table(void *context, u64 gpa, unsigned size, u64 *entry)
{
	*entry = gpa < 0x1000 ? directory_entry : table[(gpa - 0x1000) / 4 % 1024];
	return gpa < 0x2000;
}

static bool replace_table(void *context, u64 gpa, unsigned size, u64 old, u64 entry)
{
	if (!torn)
		table[(gpa - 0x1000) / 4 % 1024] = (u32)entry;
	return !torn;
}

static u8 ram[0x6000];          /* guest-physical from 0x10000 on */
static struct { unsigned kind, size; u64 gpa; } parts[8];
static unsigned nr_parts, wait_at;

static enum exec_result note_part(void *context, unsigned kind, u64 gpa, unsigned size, u64 *data)
{
	assert_in_range(nr_parts, 0, ARRAY_SIZE(parts) - 1);
	assert_in_range((gpa & 0xfff) + size, 1, 0x1000);
	parts[nr_parts].kind = kind;
	parts[nr_parts].size = size;
	parts[nr_parts++].gpa = gpa;
	return nr_parts == wait_at ? EXEC_WAIT : EXEC_DONE;
}

static enum exec_result access_ram(void *context, unsigned kind, u64 gpa, unsigned size, u64 *data)
{
	assert_in_range(gpa, 0x10000, 0x15fff);
	if (note_part(context, kind, gpa, size, data) == EXEC_WAIT)
		return EXEC_WAIT;
	if (kind == ACCESS_READ) {
		*data = 0;
		memcpy(data, ram + gpa - 0x10000, size);
	} else {
		assert_true(size == 8 || !(*data >> 8 * size));
		memcpy(ram + gpa - 0x10000, data, size);
	}
	return EXEC_DONE;
}

static struct guest_cpu cpu;
static struct guest_memory memory;
static struct guest_fault fault;

/*
 * Linear pages 0, 1 and 2 are guest-physical frames 0x15, 0x11 and 0x13; the last page of 4 GiB is
 * 0x14.
 */
static int setup(void **state)
{
	cpu = (struct guest_cpu){ .cr0 = CR0_PE | CR0_PG | CR0_WP, .physical_bits = 40, .cpl = 3 };
	memory = (struct guest_memory){ .cpu = &cpu, .tables = { NULL, read_table, replace_table }, .access = access_ram };
	memset(table, 0, sizeof(table));
	table[0] = 0x15000 | P | RW | US;
	table[1] = 0x11000 | P | RW | US;
	table[2] = 0x13000 | P | US;
	table[1023] = 0x14000 | P | RW | US;
	for (unsigned i = 0; i < sizeof(ram); i++)
		ram[i] = (u8)(i * 7 + (i >> 8));
	nr_parts = wait_at = 0;
	torn = false;
	directory_entry = 0x1000 | P | RW | US | 0x20;
	return 0;
}

static u64 bytes_at(u64 gpa, unsigned n)
{
	u64 value = 0;

	memcpy(&value, ram + gpa - 0x10000, n);
	return value;
}

static void an_access_in_a_page_is_one_part(void **state)
{
	u64 data = ~0ull;

	assert_int_equal(memory_access(&memory, ACCESS_READ, 0x1ffc, 4, &data, &fault), EXEC_DONE);
	assert_int_equal(nr_parts, 1);
	assert_int_equal(parts[0].gpa, 0x11ffc);
	assert_int_equal(data, bytes_at(0x11ffc, 4));
	data = 0x1122334455667788;
	assert_int_equal(memory_access(&memory, ACCESS_WRITE, 0x1008, 8, &data, &fault), EXEC_DONE);
	assert_int_equal(bytes_at(0x11008, 8), 0x1122334455667788);
}

static void an_access_across_pages_is_two(void **state)
{
	for (unsigned first = 1; first < 8; first++) {
		u64 data = 0, value = 0x8877665544332211;

		nr_parts = 0;
		assert_int_equal(memory_access(&memory, ACCESS_READ, 0x1000 - first, 8, &data, &fault), EXEC_DONE);
		assert_int_equal(nr_parts, 2);
		assert_int_equal(data, bytes_at(0x16000 - first, first) | bytes_at(0x11000, 8 - first) << 8 * first);
		nr_parts = 0;
		assert_int_equal(memory_access(&memory, ACCESS_WRITE, 0x1000 - first, 8, &value, &fault), EXEC_DONE);
		assert_int_equal(nr_parts, 2);
		assert_int_equal(parts[0].kind, ACCESS_WRITE);
		assert_int_equal(bytes_at(0x16000 - first, first), value & (BIT(8 * first) - 1));
		assert_int_equal(bytes_at(0x11000, 8 - first), value >> 8 * first);
	}
}

static void a_fault_in_the_second_page_touches_neither(void **state)
{
	u64 data = ~0ull;

	/* The third page can be read only. */
	assert_int_equal(memory_access(&memory, ACCESS_WRITE, 0x1ffd, 4, &data, &fault), EXEC_FAULT);
	assert_int_equal(fault.vector, VECTOR_PF);
	assert_int_equal(fault.error, 7);
	assert_int_equal(fault.cr2, 0x2000);
	assert_int_equal(nr_parts, 0);
	/* A read that a write will follow is refused, too; a read alone isn't. */
	assert_int_equal(memory_access(&memory, ACCESS_READ | ACCESS_WRITE, 0x1ffd, 4, &data, &fault), EXEC_FAULT);
	assert_int_equal(nr_parts, 0);
	assert_int_equal(memory_access(&memory, ACCESS_READ, 0x1ffd, 4, &data, &fault), EXEC_DONE);
	assert_int_equal(memory_access(&memory, ACCESS_READ | ACCESS_WRITE, 0x1000, 4, &data, &fault), EXEC_DONE);
	assert_int_equal(parts[nr_parts - 1].kind, ACCESS_READ);
}

static void a_check_touches_no_page(void **state)
{
	u64 data = 5;

	assert_int_equal(memory_access(&memory, ACCESS_WRITE | ACCESS_CHECK, 0xffd, 4, &data, &fault), EXEC_DONE);
	assert_int_equal(memory_access(&memory, ACCESS_READ | ACCESS_CHECK, 0x1ffd, 4, &data, &fault), EXEC_DONE);
	assert_int_equal(memory_access(&memory, ACCESS_WRITE | ACCESS_CHECK, 0x1ffd, 4, &data, &fault), EXEC_FAULT);
	assert_int_equal(fault.cr2, 0x2000);
	assert_int_equal(data, 5);
	assert_int_equal(nr_parts, 0);
	/* The CPU sets the dirty bit then, too. */
	assert_int_equal(table[0] & 0x60, 0x60);
}

/* The fourth page isn't there: not reached, it doesn't matter, and the first byte that isn't there counts. */
static void pages_count_in_their_order(void **state)
{
	u64 data = 0;

	assert_int_equal(memory_access(&memory, ACCESS_READ, 0x2ffc, 4, &data, &fault), EXEC_DONE);
	assert_int_equal(memory_access(&memory, ACCESS_READ, 0x2ffd, 4, &data, &fault), EXEC_FAULT);
	assert_int_equal(fault.cr2, 0x3000);
	assert_int_equal(memory_access(&memory, ACCESS_READ, 0x3ffe, 4, &data, &fault), EXEC_FAULT);
	assert_int_equal(fault.cr2, 0x3ffe);
	assert_int_equal(nr_parts, 1);
}

static void an_access_may_wait_in_each_part(void **state)
{
	u64 data = 0x44332211;

	wait_at = 1;
	assert_int_equal(memory_access(&memory, ACCESS_WRITE, 0xffe, 4, &data, &fault), EXEC_WAIT);
	assert_int_equal(nr_parts, 1);
	nr_parts = 0;
	wait_at = 2;
	assert_int_equal(memory_access(&memory, ACCESS_READ, 0xffe, 4, &data, &fault), EXEC_WAIT);
	assert_int_equal(nr_parts, 2);
	assert_int_equal(data, 0x44332211);
}

static void tables_that_are_nowhere_or_never_still_stop(void **state)
{
	u64 data = 0;

	directory_entry = 0xfee00000 | P | RW | US | 0x20;
	assert_int_equal(memory_access(&memory, ACCESS_READ, 0x1000, 4, &data, &fault), EXEC_STOP);
	assert_int_equal(memory.stopped, WALK_HOLE);
	directory_entry = 0x1000 | P | RW | US | 0x20;
	torn = true;
	assert_int_equal(memory_access(&memory, ACCESS_READ, 0x1000, 4, &data, &fault), EXEC_STOP);
	assert_int_equal(memory.stopped, WALK_RACE);
	assert_int_equal(nr_parts, 0);
}

static void the_last_byte_of_4_gib_has_the_first_behind_it(void **state)
{
	u64 data = 0;

	cpu.seg[SEG_CS].ar = SEG_D;
	assert_int_equal(memory_access(&memory, ACCESS_READ, 0xfffffffe, 4, &data, &fault), EXEC_DONE);
	assert_int_equal(parts[0].gpa, 0x14ffe);
	assert_int_equal(parts[1].gpa, 0x15000);
	/*
	 * In 64-bit code there is another page behind it. Paging is off here only to see its
	 * address.
	 */
	cpu.cr0 = CR0_PE;
	cpu.efer = EFER_LMA;
	cpu.seg[SEG_CS].ar = SEG_L;
	memory.access = note_part;
	nr_parts = 0;
	assert_int_equal(memory_access(&memory, ACCESS_READ, 0xfffffffe, 4, &data, &fault), EXEC_DONE);
	assert_int_equal(parts[1].gpa, 0x100000000);
}

/*
 * The whole way of one instruction: repne scasb over two pages, and push of memory across their
 * border.
 */
static void instructions_go_through_the_tables(void **state)
{
	const struct exec_memory linear = { .context = &memory, .access = memory_access };
	struct insn in;

	cpu.seg[SEG_CS].ar = cpu.seg[SEG_SS].ar = cpu.seg[SEG_DS].ar = cpu.seg[SEG_ES].ar = SEG_D | 0xf3;
	cpu.seg[SEG_DS].limit = cpu.seg[SEG_SS].limit = cpu.seg[SEG_ES].limit = ~0u;
	cpu.regs[REG_RSP] = 0x1002;
	cpu.regs[REG_RBX] = 0x1ffe;
	assert_int_equal(cpu_code_mode(&cpu), CODE_32);
	assert_int_equal(insn_decode((const u8 *)"\xff\x33", 2, CODE_32, &in), DECODE_OK);
	assert_int_equal(insn_execute(&cpu, &in, &linear, 1, &fault), EXEC_DONE);
	assert_int_equal(cpu.regs[REG_RSP], 0xffe);
	assert_int_equal(nr_parts, 4);
	assert_int_equal(bytes_at(0x15ffe, 2), bytes_at(0x11ffe, 2));
	assert_int_equal(bytes_at(0x11000, 2), bytes_at(0x13000, 2));
	/* A table in a hole ends it, with nothing changed. */
	directory_entry = 0xfee00000 | P | RW | US | 0x20;
	assert_int_equal(insn_execute(&cpu, &in, &linear, 1, &fault), EXEC_STOP);
	assert_int_equal(cpu.regs[REG_RSP], 0xffe);
	assert_int_equal(cpu.rip, 2);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(an_access_in_a_page_is_one_part, setup),
		cmocka_unit_test_setup(an_access_across_pages_is_two, setup),
		cmocka_unit_test_setup(a_fault_in_the_second_page_touches_neither, setup),
		cmocka_unit_test_setup(a_check_touches_no_page, setup),
		cmocka_unit_test_setup(pages_count_in_their_order, setup),
		cmocka_unit_test_setup(an_access_may_wait_in_each_part, setup),
		cmocka_unit_test_setup(tables_that_are_nowhere_or_never_still_stop, setup),
		cmocka_unit_test_setup(the_last_byte_of_4_gib_has_the_first_behind_it, setup),
		cmocka_unit_test_setup(instructions_go_through_the_tables, setup),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
