/* units: keeper/decode.c keeper/execute.c keeper/compute.c keeper/walk.c keeper/memory.c */
/*
 * The keeper on bytes and states of a guest's choice: an instruction, registers, and what memory
 * and page tables answer. Nothing may be read beyond what is there, no call may take for ever, and
 * each must keep its contract.
 */
#include "tests/fuzz/fuzz.h"
#include "keeper/cpu.h"
#include "keeper/decode.h"
#include "keeper/execute.h"
#include "keeper/memory.h"
#include "keeper/walk.h"
#include <stdlib.h>
#include <string.h>

/* The input from its start on; what is missing is 0. */
struct input { const u8 *data; size_t size, at; unsigned calls; };

static u64 next(struct input *input, unsigned size)
{
	u64 value = 0;

	for (unsigned i = 0; i < size; i++, input->at++)
		if (input->at < input->size)
			value |= (u64)input->data[input->at] << 8 * i;
	return value;
}

static const struct insn *current;
static unsigned most;

static enum exec_result access_memory(void *context, unsigned kind, u64 linear, unsigned size, u64 *data, struct guest_fault *fault)
{
	struct input *input = context;
	u8 answer = (u8)next(input, 1);

	BUG_ON(++input->calls > 4 * most);
	BUG_ON((kind & 3) == 0 || (kind & ~11u));
	BUG_ON(size != 1 && size != 2 && size != 4 && size != 8);
	if (current->mode == CODE_64)
		BUG_ON((u64)((s64)(linear << 16) >> 16) != linear);
	else
		BUG_ON(linear >> 32);
	if (kind == ACCESS_WRITE)
		BUG_ON(size < 8 && *data >> 8 * size);
	else if (!(kind & ACCESS_CHECK))
		*data = next(input, size);
	fault->vector = VECTOR_PF;
	return answer < 240 ? EXEC_DONE : answer < 248 ? EXEC_WAIT : EXEC_FAULT;
}

static enum exec_result access_port(void *context, unsigned kind, u16 port, unsigned size, u64 *data)
{
	struct input *input = context;

	BUG_ON(++input->calls > 4 * most);
	BUG_ON(kind != ACCESS_READ && kind != ACCESS_WRITE);
	BUG_ON(size != 1 && size != 2 && size != 4);
	if (kind == ACCESS_READ)
		*data = next(input, size);
	else
		BUG_ON(*data >> 8 * size);
	return next(input, 1) & 1 ? EXEC_WAIT : EXEC_DONE;
}

static bool read_entry(void *context, u64 gpa, unsigned size, u64 *entry)
{
	struct input *input = context;

	BUG_ON(++input->calls > 2 * 64);
	BUG_ON((size != 4 && size != 8) || (gpa & (size - 1)) || gpa >> 52);
	*entry = next(input, size);
	return input->at <= input->size;
}

static bool replace_entry(void *context, u64 gpa, unsigned size, u64 old, u64 entry)
{
	/* Only accessed and dirty bits are new. */
	BUG_ON((old & ~entry) || ((old ^ entry) & ~0x60ull));
	return next(context, 1) & 1;
}

static void read_state(struct input *input, struct guest_cpu *cpu)
{
	memset(cpu, 0, sizeof(*cpu));
	for (unsigned i = 0; i < NR_REGS; i++)
		cpu->regs[i] = next(input, 8);
	cpu->rip = next(input, 8);
	cpu->rflags = next(input, 4);
	cpu->cr0 = next(input, 4);
	cpu->cr3 = next(input, 8);
	cpu->cr4 = next(input, 4);
	cpu->efer = next(input, 2);
	cpu->pkru = (u32)next(input, 4);
	cpu->cpl = next(input, 1) & 3;
	cpu->physical_bits = (u8)(36 + next(input, 1) % 17);
	cpu->shadow = next(input, 1) & 1;
	for (unsigned i = 0; i < NR_SEGS; i++) {
		cpu->seg[i].base = next(input, 8);
		cpu->seg[i].limit = (u32)next(input, 4);
		cpu->seg[i].ar = (u16)next(input, 2);
	}
}

static void execute(struct input *input, const struct insn *in, struct guest_cpu *cpu)
{
	const struct exec_memory memory = { .context = input, .access = access_memory, .port = access_port };
	struct guest_cpu before = *cpu;
	struct guest_fault fault;
	enum exec_result done;

	current = in;
	input->calls = 0;
	done = insn_execute(cpu, in, &memory, most, &fault);
	BUG_ON(done == EXEC_PART && !in->rep);
	if (done == EXEC_DONE && (in->op == OP_CALL || in->op == OP_JMP))
		BUG_ON(in->mode == CODE_64 ? (u64)((s64)(cpu->rip << 16) >> 16) != cpu->rip : cpu->rip > cpu->seg[SEG_CS].limit);
	else if (done == EXEC_DONE)
		BUG_ON(cpu->rip != (in->mode == CODE_64 ? before.rip + in->length : (u32)(before.rip + in->length)));
	else
		BUG_ON(cpu->rip != before.rip);
	BUG_ON((cpu->rflags ^ before.rflags) & ~(FLAG_CF | FLAG_PF | FLAG_AF | FLAG_ZF | FLAG_SF | FLAG_OF | FLAG_RF));
	BUG_ON((done == EXEC_FAULT || done == EXEC_PART) && !(cpu->rflags & FLAG_RF));
	if ((done == EXEC_FAULT || done == EXEC_WAIT) && !in->rep)
		BUG_ON(memcmp(cpu->regs, before.regs, sizeof(before.regs)));
	BUG_ON(memcmp(cpu->seg, before.seg, sizeof(before.seg)) || cpu->cr3 != before.cr3);
}

static void walk(struct input *input, const struct guest_cpu *cpu)
{
	const struct walk_memory memory = { .context = input, .read = read_entry, .replace = replace_entry };
	u64 linear = (u64)((s64)(cpu->regs[0] << 16) >> 16), gpa;
	unsigned kind = cpu->regs[1] & 4 ? ACCESS_FETCH : 1 + cpu->regs[1] % 3;
	struct guest_fault fault;

	if (!(cpu->efer & EFER_LMA))
		linear = (u32)linear;
	input->calls = 0;
	switch (walk_linear(cpu, &memory, linear, kind, &gpa, &fault)) {
	case WALK_OK:
		BUG_ON((gpa ^ linear) & 0xfff || ((cpu->cr0 & CR0_PG) && gpa >> cpu->physical_bits));
		break;
	case WALK_FAULT:
		BUG_ON(fault.vector != VECTOR_PF || fault.error > 63 || fault.cr2 != linear);
		break;
	case WALK_HOLE: case WALK_RACE:
		break;
	}
	BUG_ON(input->calls > 64);
}

static enum exec_result access_physical(void *context, unsigned kind, u64 gpa, unsigned size, u64 *data)
{
	BUG_ON(kind != ACCESS_READ && kind != ACCESS_WRITE);
	BUG_ON(!size || size > 8 || (gpa & 0xfff) + size > 0x1000);
	if (kind == ACCESS_READ)
		*data = next(context, size);
	else
		BUG_ON(size < 8 && *data >> 8 * size);
	return next(context, 1) & 1 ? EXEC_WAIT : EXEC_DONE;
}

static void reach(struct input *input, const struct guest_cpu *cpu)
{
	struct guest_memory memory = { .cpu = cpu, .tables = { input, read_entry, replace_entry }, .context = input, .access = access_physical };
	unsigned size = 1u << (cpu->regs[2] & 3), check = cpu->regs[2] & 4 ? ACCESS_CHECK : 0, kind = (1 + (unsigned)(cpu->regs[1] % 3)) | check;
	u64 linear = (u64)((s64)(cpu->regs[0] << 16) >> 16), data = size < 8 ? cpu->regs[3] & (BIT(8 * size) - 1) : cpu->regs[3];
	struct guest_fault fault;

	if (!(cpu->efer & EFER_LMA))
		linear = (u32)linear;
	/* Two walks at most. */
	input->calls = 0;
	if (memory_access(&memory, kind, linear, size, &data, &fault) == EXEC_DONE && (kind & ACCESS_READ) && !check)
		BUG_ON(size < 8 && data >> 8 * size);
}

int LLVMFuzzerTestOneInput(const u8 *data, size_t size)
{
	struct input input = { .data = data, .size = size };
	enum code_mode mode = (enum code_mode)(2 << next(&input, 1) % 3);
	unsigned n;
	struct guest_cpu cpu;
	struct insn in;
	enum decode_result result;
	u8 *bytes;

	most = 1 + (unsigned)next(&input, 1) % 64;
	n = (unsigned)next(&input, 1) % 17;
	/* Exactly so many bytes that one too many is seen. */
	bytes = malloc(n ? n : 1);
	for (unsigned i = 0; i < n; i++)
		bytes[i] = (u8)next(&input, 1);
	read_state(&input, &cpu);
	walk(&input, &cpu);
	reach(&input, &cpu);
	result = insn_decode(bytes, n, mode, &in);
	BUG_ON(n >= INSN_MOST && result == DECODE_SHORT);
	if (result == DECODE_OK) {
		BUG_ON(!in.length || in.length > n || in.length > INSN_MOST || in.op >= OP_NONE);
		execute(&input, &in, &cpu);
	}
	free(bytes);
	return 0;
}
