/*
 * One instruction: its address, its loads, its result, its stores, and only then its registers. So
 * an instruction that faults, or has to wait for a device, can be executed again from its start.
 */
#include "keeper/cpu.h"
#include "keeper/decode.h"
#include "keeper/compute.h"
#include "keeper/execute.h"

struct exec {
	struct guest_cpu *cpu;
	const struct insn *in;
	const struct exec_memory *memory;
	struct guest_fault *fault;
};

/* Operations that don't write their memory operand, and those that don't read it. */
#define ONLY_READ  (BIT(OP_CMP) | BIT(OP_TEST) | BIT(OP_BT))
#define ONLY_WRITE (BIT(OP_MOV) | BIT(OP_MOVBE) | BIT(OP_SET))

static u64 read_reg(const struct guest_cpu *cpu, unsigned reg, unsigned size)
{
	return cpu->regs[reg] & ones(size);
}

/* A write of four bytes clears the upper half; smaller ones keep the rest (SDM vol. 1, 3.4.1.1). */
static void write_reg(struct guest_cpu *cpu, unsigned reg, unsigned size, u64 value)
{
	u64 changed = size == 4 ? ~0ull : ones(size);

	cpu->regs[reg] = (cpu->regs[reg] & ~changed) | (value & ones(size) & changed);
}

/* AH, CH, DH and BH are the second bytes of the first four. */
static u64 read_operand(const struct exec *x)
{
	const struct insn *in = x->in;

	switch ((enum insn_other)in->other) {
	case OTHER_REG:
		return x->cpu->regs[in->reg] >> (in->high ? 8 : 0) & ones(in->reg_size);
	case OTHER_IMM:
		return in->imm;
	case OTHER_CL:
		return read_reg(x->cpu, REG_RCX, 1);
	case OTHER_NONE:
		break;
	}
	return 0;
}

static void write_operand(const struct exec *x, u64 value)
{
	const struct insn *in = x->in;

	if (in->high)
		write_reg(x->cpu, in->reg, 2, (value & 0xff) << 8 | read_reg(x->cpu, in->reg, 1));
	else
		write_reg(x->cpu, in->reg, in->reg_size, value);
}

/* ---- addresses ---- */

static enum exec_result protection(const struct exec *x, unsigned seg)
{
	*x->fault = (struct guest_fault){ .vector = seg == SEG_SS ? VECTOR_SS : VECTOR_GP };
	return EXEC_FAULT;
}

/* Guests have four levels of page tables: the highest bits are copies of bit 47. */
static bool canonical(u64 linear)
{
	return sign_extend(linear, 6) == linear;
}

/* SDM vol. 3, "Limit Checking", 5.3, and "Type Checking", 5.5. Real mode has no types. */
static bool segment_allows(const struct exec *x, unsigned seg, u64 first, u64 last, unsigned kind)
{
	const struct guest_segment *s = &x->cpu->seg[seg];
	bool typed = (x->cpu->cr0 & CR0_PE) && !(x->cpu->rflags & FLAG_VM), code = s->ar & SEG_CODE;

	if (typed && !(s->ar & SEG_P))
		return false;
	if (typed && (kind & ACCESS_WRITE) && (code || !(s->ar & SEG_WRITE)))
		return false;
	/* CLFLUSH may name code that can't be read. */
	if (typed && code && !(s->ar & SEG_READ) && !(kind & ACCESS_CHECK))
		return false;
	if (!code && (s->ar & SEG_DOWN))
		return first > s->limit && last <= (s->ar & SEG_D ? 0xffffffff : 0xffff);
	return last <= s->limit;
}

static u64 linear_address(const struct exec *x, unsigned seg, u64 offset)
{
	u64 linear = offset + (x->in->mode != CODE_64 || seg >= SEG_FS ? x->cpu->seg[seg].base : 0);

	return x->in->mode == CODE_64 ? linear : (u32)linear;
}

/* Reads or writes `size` bytes at seg:offset. */
static enum exec_result access(const struct exec *x, unsigned kind, unsigned seg, u64 offset,
			       unsigned size, u64 *data)
{
	u64 linear = linear_address(x, seg, offset);
	bool allowed = x->in->mode == CODE_64 ? canonical(linear) && canonical(linear + size - 1) :
		segment_allows(x, seg, offset, offset + size - 1, kind);

	if (!allowed)
		return protection(x, seg);
	*data &= ones(size);
	return x->memory->access(x->memory->context, kind, linear, size, data, x->fault);
}

static u64 operand_offset(const struct exec *x)
{
	const struct insn *in = x->in;
	const struct guest_cpu *cpu = x->cpu;
	u64 offset = in->disp;

	if (in->base == ADDR_RIP)
		offset += cpu->rip + in->length;
	else if (in->base != ADDR_NONE)
		offset += cpu->regs[in->base];
	if (in->index != ADDR_NONE)
		offset += cpu->regs[in->index] << in->shift;
	if (in->op == OP_XLAT)
		offset += read_reg(cpu, REG_RAX, 1);
	/* BT with a register: the bit may lie in another word, before or behind. */
	if (in->op >= OP_BT && in->op <= OP_BTC && in->other == OTHER_REG) {
		s64 number = (s64)sign_extend(read_operand(x), in->size);

		offset += (u64)(number >> 3) & ~(u64)(in->size - 1);
	}
	return offset & ones(in->address_size);
}

/* ---- instructions with one memory operand ---- */

/* Returns what the destination becomes. */
static u64 result(const struct exec *x, u64 memory, u64 other, u64 *flags)
{
	const struct insn *in = x->in;
	u64 destination = in->to_reg ? other : memory, source = in->to_reg ? memory : other;
	u64 accumulator = read_reg(x->cpu, REG_RAX, in->size);

	switch (in->op) {
	case OP_MOV: case OP_MOVZX: case OP_XLAT: case OP_XCHG:
		return source;
	case OP_MOVBE:
		return __builtin_bswap64(source) >> (64 - 8 * in->size);
	case OP_MOVSX:
		return sign_extend(source, in->size);
	case OP_CMOV:
		return condition_holds(*flags, in->cond) ? source : destination;
	case OP_SET:
		return condition_holds(*flags, in->cond);
	case OP_SHLD: case OP_SHRD:
		return shift_double(in->op == OP_SHLD, memory, read_reg(x->cpu, in->reg, in->size),
				    other, in->size, flags);
	case OP_XADD:
		return compute(OP_ADD, destination, source, in->size, flags);
	case OP_CMPXCHG:
		compute(OP_CMP, accumulator, destination, in->size, flags);
		return accumulator == destination ? source : destination;
	default:
		return compute(in->op, destination, source, in->size, flags);
	}
}

static enum exec_result one_operand(const struct exec *x)
{
	const struct insn *in = x->in;
	unsigned kind = in->to_reg || (ONLY_READ & BIT(in->op)) ? ACCESS_READ :
		ONLY_WRITE & BIT(in->op) ? ACCESS_WRITE : ACCESS_READ | ACCESS_WRITE;
	u64 offset = operand_offset(x), other = read_operand(x);
	u64 memory = 0, flags = x->cpu->rflags, value;
	enum exec_result done = EXEC_DONE;

	if (kind & ACCESS_READ)
		done = access(x, kind, in->segment, offset, in->size, &memory);
	if (done != EXEC_DONE)
		return done;
	value = result(x, memory, other, &flags);
	if (kind & ACCESS_WRITE) {
		u64 data = value;

		done = access(x, ACCESS_WRITE, in->segment, offset, in->size, &data);
	}
	if (done != EXEC_DONE)
		return done;
	x->cpu->rflags = flags;
	if (in->to_reg && in->op != OP_CMP)
		write_operand(x, value);
	if (in->op == OP_XCHG || in->op == OP_XADD)
		write_operand(x, memory);
	if (in->op == OP_CMPXCHG && !(flags & FLAG_ZF))
		write_reg(x->cpu, REG_RAX, in->size, memory);
	return EXEC_DONE;
}

static u64 join(u64 low, u64 high) { return (low & ones(4)) | high << 32; }

/*
 * CMPXCHG8B, and CMPXCHG16B in two accesses: its operand is aligned, so nothing can end between
 * them.
 */
static enum exec_result compare_pair(const struct exec *x)
{
	struct guest_cpu *cpu = x->cpu;
	unsigned seg = x->in->segment;
	bool wide = x->in->size == 16;
	u64 offset = operand_offset(x), old[2] = { 0, 0 }, *regs = cpu->regs;
	u64 expected = wide ? regs[REG_RAX] : join(regs[REG_RAX], regs[REG_RDX]);
	u64 now[2] = { wide ? regs[REG_RBX] : join(regs[REG_RBX], regs[REG_RCX]), regs[REG_RCX] };
	enum exec_result done = EXEC_DONE;
	bool equal;

	if (wide && (linear_address(x, seg, offset) & 15))
		return protection(x, SEG_DS);
	for (unsigned i = 0; i <= wide && done == EXEC_DONE; i++)
		done = access(x, ACCESS_READ | ACCESS_WRITE, seg, offset + 8 * i, 8, &old[i]);
	equal = old[0] == expected && (!wide || old[1] == regs[REG_RDX]);
	for (unsigned i = 0; i <= wide && done == EXEC_DONE; i++)
		done = access(x, ACCESS_WRITE, seg, offset + 8 * i, 8, equal ? &now[i] : &old[i]);
	if (done != EXEC_DONE)
		return done;
	cpu->rflags = (cpu->rflags & ~FLAG_ZF) | (equal ? FLAG_ZF : 0);
	if (!equal) {
		write_reg(cpu, REG_RAX, wide ? 8 : 4, old[0]);
		write_reg(cpu, REG_RDX, wide ? 8 : 4, wide ? old[1] : old[0] >> 32);
	}
	return EXEC_DONE;
}

/*
 * MUL, IMUL, DIV and IDIV of the accumulator. Its upper half is RDX, or AH if it has two bytes.
 */
static enum exec_result accumulate(const struct exec *x)
{
	struct guest_cpu *cpu = x->cpu;
	unsigned op = x->in->op, size = x->in->size;
	u64 low = cpu->regs[REG_RAX], memory = 0;
	u64 high = size == 1 ? cpu->regs[REG_RAX] >> 8 : cpu->regs[REG_RDX];
	enum exec_result done;

	done = access(x, ACCESS_READ, x->in->segment, operand_offset(x), size, &memory);
	if (done != EXEC_DONE)
		return done;
	if (op == OP_MUL || op == OP_IMUL) {
		low = multiply(op == OP_IMUL, low, memory, size, &high, &cpu->rflags);
	} else if (!divide(op == OP_IDIV, &low, &high, memory, size)) {
		*x->fault = (struct guest_fault){ .vector = VECTOR_DE };
		return EXEC_FAULT;
	}
	if (size == 1)
		low = (low & 0xff) | high << 8;
	else
		write_reg(cpu, REG_RDX, size, high);
	write_reg(cpu, REG_RAX, size == 1 ? 2 : size, low);
	return EXEC_DONE;
}

/* CLFLUSH can be refused as a load can; the others can't. There is nothing to flush in a device. */
static enum exec_result hint(const struct exec *x)
{
	u64 unused = 0;

	if (x->in->op == OP_NOP)
		return EXEC_DONE;
	return access(x, ACCESS_READ | ACCESS_CHECK, x->in->segment, operand_offset(x), 1, &unused);
}

static unsigned stack_width(const struct exec *x)
{
	return x->in->mode == CODE_64 ? 8 : x->cpu->seg[SEG_SS].ar & SEG_D ? 4 : 2;
}

static enum exec_result push(const struct exec *x, u64 data)
{
	u64 top = (x->cpu->regs[REG_RSP] - x->in->size) & ones(stack_width(x));
	enum exec_result done = access(x, ACCESS_WRITE, SEG_SS, top, x->in->size, &data);

	if (done == EXEC_DONE)
		write_reg(x->cpu, REG_RSP, stack_width(x), top);
	return done;
}

/* CALL and JMP to an address in memory; *next is the instruction behind, and becomes the target. */
static enum exec_result branch(const struct exec *x, u64 *next)
{
	const struct insn *in = x->in;
	u64 target = 0, before = x->cpu->regs[REG_RSP];
	enum exec_result done;

	done = access(x, ACCESS_READ, in->segment, operand_offset(x), in->size, &target);
	if (done == EXEC_DONE && in->op == OP_CALL)
		done = push(x, *next);
	if (done != EXEC_DONE)
		return done;
	*next = target;
	if (in->mode == CODE_64 ? canonical(target) : target <= x->cpu->seg[SEG_CS].limit)
		return EXEC_DONE;
	/* The return address stays below the stack. */
	x->cpu->regs[REG_RSP] = before;
	return protection(x, SEG_CS);
}

/* PUSH and POP of memory. POP's address is computed with the stack pointer behind the POP. */
static enum exec_result stack(const struct exec *x)
{
	struct guest_cpu *cpu = x->cpu;
	const struct insn *in = x->in;
	unsigned width = stack_width(x), size = in->size;
	u64 before = cpu->regs[REG_RSP], data = 0;
	enum exec_result done;

	if (in->op == OP_PUSH) {
		done = access(x, ACCESS_READ, in->segment, operand_offset(x), size, &data);
		return done == EXEC_DONE ? push(x, data) : done;
	}
	done = access(x, ACCESS_READ, SEG_SS, before & ones(width), size, &data);
	if (done != EXEC_DONE)
		return done;
	write_reg(cpu, REG_RSP, width, before + size);
	done = access(x, ACCESS_WRITE, in->segment, operand_offset(x), size, &data);
	if (done != EXEC_DONE)
		cpu->regs[REG_RSP] = before;
	return done;
}

/* ---- strings ---- */

static enum exec_result port(const struct exec *x, unsigned kind, u64 *data)
{
	u16 number = (u16)x->cpu->regs[REG_RDX];

	*data &= ones(x->in->size);
	return x->memory->port(x->memory->context, kind, number, x->in->size, data);
}

static enum exec_result element(const struct exec *x, u64 *flags)
{
	struct guest_cpu *cpu = x->cpu;
	const struct insn *in = x->in;
	unsigned size = in->size, width = in->address_size;
	u64 from = read_reg(cpu, REG_RSI, width), to = read_reg(cpu, REG_RDI, width);
	u64 data = read_reg(cpu, REG_RAX, size), other = 0;
	u64 by = cpu->rflags & FLAG_DF ? -(u64)size : size;
	bool compares = in->op == OP_CMPS || in->op == OP_SCAS;
	bool source = in->op != OP_STOS && in->op != OP_SCAS && in->op != OP_INS;
	bool target = in->op != OP_LODS && in->op != OP_OUTS;
	enum exec_result done = EXEC_DONE;

	/* CMPS begins with the target, which shows when both fault. */
	if (compares)
		done = access(x, ACCESS_READ, SEG_ES, to, size, &other);
	if (done == EXEC_DONE && source)
		done = access(x, ACCESS_READ, in->segment, from, size, &data);
	/* No port is read in vain. */
	if (in->op == OP_INS)
		done = access(x, ACCESS_WRITE | ACCESS_CHECK, SEG_ES, to, size, &data);
	if (done == EXEC_DONE && in->op == OP_INS)
		done = port(x, ACCESS_READ, &data);
	if (done == EXEC_DONE && in->op == OP_OUTS)
		done = port(x, ACCESS_WRITE, &data);
	if (done == EXEC_DONE && target && !compares)
		done = access(x, ACCESS_WRITE, SEG_ES, to, size, &data);
	if (done != EXEC_DONE)
		return done;
	if (in->op == OP_LODS)
		write_reg(cpu, REG_RAX, size, data);
	if (compares)
		compute(OP_CMP, data, other, size, flags);
	if (source)
		write_reg(cpu, REG_RSI, width, from + by);
	if (target)
		write_reg(cpu, REG_RDI, width, to + by);
	return EXEC_DONE;
}

/* The flags of a comparison become visible only when the last element is done, as on a CPU. */
static enum exec_result string(const struct exec *x, unsigned most)
{
	struct guest_cpu *cpu = x->cpu;
	const struct insn *in = x->in;
	bool repeat = in->rep && read_reg(cpu, REG_RCX, in->address_size);
	bool compares = in->op == OP_CMPS || in->op == OP_SCAS;
	u64 flags = cpu->rflags, left = 0;
	enum exec_result done = EXEC_DONE;

	if (!in->rep)
		done = element(x, &flags);
	while (repeat && done == EXEC_DONE) {
		done = element(x, &flags);
		if (done != EXEC_DONE)
			break;
		left = read_reg(cpu, REG_RCX, in->address_size) - 1;
		write_reg(cpu, REG_RCX, in->address_size, left);
		/* REPE goes on while equal, and REPNE while not. */
		repeat = left && !(compares && !(flags & FLAG_ZF) == (in->rep == 0xf3));
		if (repeat && (!--most || (flags & FLAG_TF)))
			done = EXEC_PART;
	}
	if (done == EXEC_DONE)
		cpu->rflags = flags;
	return done;
}

enum exec_result insn_execute(struct guest_cpu *cpu, const struct insn *in,
			      const struct exec_memory *memory, unsigned most,
			      struct guest_fault *fault)
{
	struct exec x = { .cpu = cpu, .in = in, .memory = memory, .fault = fault };
	u64 next = cpu->rip + in->length;
	enum exec_result done;

	/* In 16-bit code IP doesn't wrap at the segment's end: the next fetch faults there. */
	if (in->mode != CODE_64)
		next = (u32)next;
	if (in->op >= OP_MOVS)
		done = string(&x, most);
	else if (in->op >= OP_CALL)
		done = branch(&x, &next);
	else if (in->op >= OP_PUSH)
		done = stack(&x);
	else if (in->op >= OP_NOP)
		done = hint(&x);
	else if (in->op >= OP_MUL && in->other == OTHER_NONE)
		done = accumulate(&x);
	else if (in->op == OP_CMPXCHG8B)
		done = compare_pair(&x);
	else
		done = one_operand(&x);
	/*
	 * SDM vol. 3, "Instruction-Breakpoint Exception Condition", 18.3.1.1: for exceptions in an
	 * instruction.
	 */
	if (done == EXEC_FAULT || done == EXEC_PART)
		cpu->rflags |= FLAG_RF;
	if (done == EXEC_DONE || done == EXEC_PART)
		cpu->shadow = false;
	if (done != EXEC_DONE)
		return done;
	cpu->rip = next;
	cpu->rflags &= ~FLAG_RF;
	return EXEC_DONE;
}
