/* units: keeper/decode.c keeper/execute.c keeper/compute.c */
/*
 * What ring 0 will remember of an instruction, next to the executor: a memo has to make the same
 * access, and leave the same registers. The executor itself is compared with a CPU elsewhere.
 */
#include "tests/unit/fake.h"
#include "keeper/cpu.h"
#include "keeper/decode.h"
#include "keeper/execute.h"
#include "keeper/memo.h"
#include <stdlib.h>
#include <string.h>

/* The one access of a plain instruction. */
struct seen { unsigned accesses, kind, size; u64 loaded, stored; };

static enum exec_result see(void *context, unsigned kind, u64 linear, unsigned size, u64 *data, struct guest_fault *fault)
{
	struct seen *seen = context;

	seen->accesses++;
	seen->kind |= kind;
	seen->size = size;
	if (kind & ACCESS_READ)
		*data = seen->loaded & (~0ull >> (64 - 8 * size));
	else
		seen->stored = *data;
	return EXEC_DONE;
}

/* Random registers, with an address that is canonical. */
static struct guest_cpu random_cpu(const struct insn *in)
{
	struct guest_cpu cpu = { .rip = 0x1000, .rflags = 0x202 };

	for (unsigned i = 0; i < NR_SEGS; i++)
		cpu.seg[i] = (struct guest_segment){ .limit = 0xffffffff, .ar = 0x40f3 };
	for (unsigned i = 0; i < NR_REGS; i++)
		cpu.regs[i] = fake_random() >> (i == in->base || i == in->index ? 24 : 0);
	return cpu;
}

static unsigned plain[3], other, kinds[MEMO_FLAGS + 1], sizes[9][9];

static void check(const u8 *bytes, unsigned m)
{
	static const enum code_mode modes[] = { CODE_16, CODE_32, CODE_64 };
	struct guest_cpu cpu, before;
	struct seen seen = { .loaded = fake_random() };
	const struct exec_memory memory = { .context = &seen, .access = see };
	struct guest_fault fault;
	struct insn in;
	struct memo memo;

	if (insn_decode(bytes, 15, modes[m], &in) != DECODE_OK)
		return;
	if (!insn_memo(&in, &memo)) {
		assert_true(in.op != OP_MOV && in.op != OP_MOVZX && in.op != OP_MOVSX);
		assert_int_equal(memo.length, 0);
		assert_false(memo_is_sound(&memo));
		other++;
		return;
	}
	/* An address of 8 random bytes is hardly ever canonical. */
	in.disp = (u64)((s64)(in.disp << 17) >> 17);
	cpu = before = random_cpu(&in);
	assert_int_equal(insn_execute(&cpu, &in, &memory, 1, &fault), EXEC_DONE);
	assert_true(memo_is_sound(&memo));
	assert_int_equal(seen.accesses, 1);
	assert_int_equal(seen.kind, memo.flags & MEMO_STORE ? ACCESS_WRITE : ACCESS_READ);
	assert_int_equal(seen.size, memo.size);
	if (memo.flags & MEMO_STORE)
		assert_int_equal(memo_store(&memo, before.regs[memo.reg]), seen.stored);
	else
		before.regs[memo.reg] = memo_load(&memo, before.regs[memo.reg], seen.loaded);
	before.rip += memo.length;
	assert_memory_equal(&before, &cpu, sizeof(cpu));
	plain[m]++;
	kinds[memo.flags]++;
	sizes[memo.size][memo.reg_size]++;
}

/* Every opcode, every ModRM, operand size and REX prefix, in all modes. */
static void a_memo_does_as_the_executor(void **state)
{
	for (unsigned i = 0; i < 2 * 256 * 256 * 18 * 3; i++) {
		unsigned prefix = i / 3 / (2 * 256 * 256), n = 0;
		u64 random[2] = { fake_random(), fake_random() };
		u8 bytes[16];

		memcpy(bytes, random, sizeof(bytes));
		if (prefix > 16)
			bytes[n++] = 0x66;
		else if (prefix)
			bytes[n++] = (u8)(0x3f + prefix);
		if (i / 3 & 1)
			bytes[n++] = 0x0f;
		bytes[n++] = (u8)(i / 3 >> 1);
		bytes[n] = (u8)(i / 3 >> 9);
		check(bytes, i % 3);
	}
	for (unsigned m = 0; m < 3; m++)
		assert_in_range(plain[m], 5000, 100000);
	assert_in_range(other, 100000, 1000000);
	/* Loads and stores, of high bytes and immediates, and with signs: each was there. */
	for (unsigned i = 0; i <= MEMO_FLAGS; i++) {
		bool can_be = !((i & MEMO_IMM) && (i & MEMO_HIGH)) && !((i & MEMO_SIGNED) && (i & ~MEMO_SIGNED)) && (i & MEMO_STORE || !(i & MEMO_IMM));

		assert_int_equal(!!kinds[i], can_be);
	}
	for (unsigned from = 1; from <= 8; from *= 2)
		for (unsigned to = from; to <= 8; to *= 2)
			assert_true(sizes[from][to] || (from == 4 && to == 8));
}

static struct memo memo_of(const char *bytes, enum code_mode mode)
{
	u8 all[16] = { 0 };
	struct insn in;
	struct memo memo;

	memcpy(all, bytes, strlen(bytes));
	assert_int_equal(insn_decode(all, 15, mode, &in), DECODE_OK);
	assert_true(insn_memo(&in, &memo));
	return memo;
}

#define SAME_MEMO(bytes, mode, ...) do { \
	struct memo is = memo_of(bytes, mode), should = { __VA_ARGS__ }; \
	assert_memory_equal(&is, &should, sizeof(is)); \
} while (0)

static void memos_of_known_instructions(void **state)
{
	/* mov (%rax), %ecx; mov %r9, (%rax); mov %ah, (%rbx) */
	SAME_MEMO("\x8b\x08", CODE_64, .length = 2, .size = 4, .reg = 1, .reg_size = 4);
	SAME_MEMO("\x4c\x89\x08", CODE_64, .length = 3, .flags = MEMO_STORE, .size = 8, .reg = 9, .reg_size = 8);
	SAME_MEMO("\x88\x23", CODE_64, .length = 2, .flags = MEMO_STORE | MEMO_HIGH, .size = 1, .reg = 0, .reg_size = 1);
	/* movzbl (%rax), %ecx; movsbq (%rax), %rcx */
	SAME_MEMO("\x0f\xb6\x08", CODE_64, .length = 3, .size = 1, .reg = 1, .reg_size = 4);
	SAME_MEMO("\x48\x0f\xbe\x08", CODE_64, .length = 4, .flags = MEMO_SIGNED, .size = 1, .reg = 1, .reg_size = 8);
	/* movw $-2, (%ebx); movq $-2, (%rbx); mov 0xfee00020, %eax */
	SAME_MEMO("\x66\xc7\x03\xfe\xff", CODE_32, .length = 5, .flags = MEMO_STORE | MEMO_IMM, .size = 2, .reg_size = 2, .imm = -2);
	SAME_MEMO("\x48\xc7\x03\xfe\xff\xff\xff", CODE_64, .length = 7, .flags = MEMO_STORE | MEMO_IMM, .size = 8, .reg_size = 8, .imm = -2);
	SAME_MEMO("\xa1\x20\x01\xe0\xfe", CODE_32, .length = 5, .size = 4, .reg_size = 4);
}

/* Ring 0 may be told anything; a shift by more than a register has, or register 16, is refused. */
static void lies_are_refused(void **state)
{
	const struct memo good = { .length = 15, .flags = MEMO_FLAGS, .size = 8, .reg = 15, .reg_size = 8 };

	assert_true(memo_is_sound(&good));
	for (unsigned at = 0; at < 5; at++) {
		for (unsigned value = 0; value < 256; value++) {
			struct memo memo = good;
			bool is_size = value == 1 || value == 2 || value == 4 || value == 8;

			((u8 *)&memo)[at] = (u8)value;
			assert_int_equal(memo_is_sound(&memo), at == 0 ? value >= 1 && value <= 15 : at == 1 || at == 3 ? value <= 15 : is_size);
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_memo_does_as_the_executor),
		cmocka_unit_test(memos_of_known_instructions),
		cmocka_unit_test(lies_are_refused),
	};

	/* The same registers each time, unless somebody asks for others. */
	setenv("SEED", "1", 0);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
