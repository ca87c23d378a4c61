/* units: keeper/decode.c keeper/execute.c keeper/compute.c tests/unit/native.c */
/*
 * The keeper's executor next to this machine's CPU: random instructions of the decoder's table,
 * with random registers, flags and addresses, are executed by both. Registers, flags, memory, RIP
 * and exceptions must be the same afterwards.
 */
#include "tests/unit/fake.h"
#include "tests/unit/native.h"
#include "keeper/cpu.h"
#include "keeper/decode.h"
#include "keeper/compute.h"
#include "keeper/execute.h"
#include <cpuid.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ROUNDS 50000

static bool segments;           /* 16 and 32-bit code can run */
static bool intel;              /* the CPU's vendor */
static bool has_movbe, has_clflushopt;
static u8 model[0x3000];        /* what the memory from NATIVE_RW on should be */

struct test_case {
	u8 bytes[16];
	u8 opcode;
	enum code_mode mode;
	enum decode_result decoded;
	struct insn in;
	struct guest_cpu cpu;
	bool small_stack;
	unsigned most;
};

/* ---- the executor's memory: as the native one, with the exceptions of its pages ---- */

static enum exec_result model_access(void *context, unsigned kind, u64 linear, unsigned size, u64 *data, struct guest_fault *fault)
{
	for (u64 at = linear; at < linear + size; at++) {
		bool present = at >= NATIVE_RW && at < NATIVE_END;

		if (present && !(at >= NATIVE_RO && (kind & ACCESS_WRITE)))
			continue;
		/* Linux says of all addresses above user memory that they are there. */
		present |= at >= 0x7ffffffff000;
		/* User mode; and a page that is there, or a write. */
		*fault = (struct guest_fault){ .vector = VECTOR_PF, .error = 4u | present | (kind & ACCESS_WRITE ? 2 : 0), .cr2 = at };
		return EXEC_FAULT;
	}
	if (kind & ACCESS_CHECK)
		return EXEC_DONE;
	if (kind & ACCESS_READ) {
		*data = 0;
		memcpy(data, model + (linear - NATIVE_RW), size);
	} else {
		memcpy(model + (linear - NATIVE_RW), data, size);
	}
	return EXEC_DONE;
}

/*
 * A device that answers when it is asked again. What it has answered stays so until the element is
 * done.
 */
struct slow { unsigned asked, answered; u64 data[8]; };

static enum exec_result slow_access(void *context, unsigned kind, u64 linear, unsigned size, u64 *data, struct guest_fault *fault)
{
	struct slow *slow = context;
	enum exec_result done;

	if (slow->asked < slow->answered) {
		*data = slow->data[slow->asked++];
		return EXEC_DONE;
	}
	done = model_access(NULL, kind, linear, size, data, fault);
	if (done != EXEC_DONE)
		return done;
	assert_in_range(slow->answered, 0, 7);
	slow->data[slow->answered++] = *data;
	return EXEC_WAIT;
}

/* ---- random cases ---- */

static unsigned below(unsigned n) { return (unsigned)(fake_random() >> 32) % n; }

/*
 * Every opcode of the table with every choice of a group, by operation: what the random bytes are
 * made around.
 */
static struct { unsigned n; struct { u8 escape, opcode, modrm; } way[256]; } ways[3][OP_NONE];

static unsigned mode_index(enum code_mode mode) { return mode == CODE_16 ? 0 : mode == CODE_32 ? 1 : 2; }

static void collect_ways(enum code_mode mode)
{
	for (unsigned i = 0; i < 3 * 256 * 8; i++) {
		u8 escape = (u8[]){ 0x2e, 0x0f, 0x38 }[i >> 11], opcode = (u8)(i >> 3), modrm = (u8)((i & 7) << 3);
		u8 bytes[15] = { escape == 0x38 ? 0x0f : 0x2e, escape, opcode, modrm };
		bool prefix = memchr("\x0f\x26\x2e\x36\x3e\x64\x65\x66\x67\xf0\xf2\xf3", opcode, 12) || (mode == CODE_64 && opcode >> 4 == 4);
		struct insn in;

		if ((escape != 0x2e || !prefix) && insn_decode(bytes, 15, mode, &in) == DECODE_OK) {
			unsigned *n = &ways[mode_index(mode)][in.op].n;

			assert_in_range(*n, 0, 255);
			ways[mode_index(mode)][in.op].way[*n].escape = escape;
			ways[mode_index(mode)][in.op].way[*n].opcode = opcode;
			ways[mode_index(mode)][in.op].way[(*n)++].modrm = modrm;
		}
	}
}

/* A process may not use ports, and some CPUs don't have all instructions. */
static bool can_run(unsigned op)
{
	return op != OP_INS && op != OP_OUTS && (op != OP_MOVBE || has_movbe) && (op != OP_CLFLUSH || has_clflushopt);
}

static void random_insn(struct test_case *t)
{
	static const u8 prefixes[] = { 0x26, 0x2e, 0x36, 0x3e, 0x64, 0x65, 0x66, 0x67, 0xf0, 0xf2, 0xf3, 0x66, 0x67, 0xf3, 0xf2, 0x66 };
	unsigned n = below(64) ? below(4) : below(12), op = below(OP_NONE), m = mode_index(t->mode), way;
	u64 random[2] = { fake_random(), fake_random() };

	while (!ways[m][op].n || !can_run(op))
		op = below(OP_NONE);
	way = below(ways[m][op].n);
	memcpy(t->bytes, random, sizeof(random));
	for (unsigned i = 0; i < n; i++)
		t->bytes[i] = prefixes[t->bytes[i] & 15];
	if (t->mode == CODE_64 && below(2))
		t->bytes[n++] = 0x40 | (u8)below(16);
	if (ways[m][op].way[way].escape != 0x2e)
		t->bytes[n++] = 0x0f;
	if (ways[m][op].way[way].escape == 0x38)
		t->bytes[n++] = 0x38;
	t->bytes[n++] = t->opcode = ways[m][op].way[way].opcode;
	if (op < OP_MOVS && op != OP_XLAT)
		t->bytes[n] = (u8)((t->bytes[n] & 0xc7) | ways[m][op].way[way].modrm);
	t->decoded = insn_decode(t->bytes, 15, t->mode, &t->in);
}

static u64 random_value(void)
{
	u64 v = fake_random();

	switch (below(8)) {
	case 0: return below(4);
	case 1: return ~0ull - below(4);
	case 2: return 1ull << below(64);
	case 3: return (1ull << below(64)) - 1;
	case 4: return v & 0x8080808080808080ull;
	default: return v;
	}
}

/*
 * A linear address, most often of memory that is there, often at the end of a page or of a
 * segment's limit.
 */
static u64 random_place(const struct test_case *t, unsigned align)
{
	static const u64 edges[] = { NATIVE_RW, NATIVE_RW + 0x1000, NATIVE_RO, NATIVE_END, NATIVE_DS_BASE + NATIVE_DS_LIMIT,
				     NATIVE_ES_BASE + NATIVE_ES_LIMIT, NATIVE_SS_BASE + NATIVE_SS_LIMIT };
	u64 at = NATIVE_RW + 0x100 + below(0x1e00);

	if (below(4) == 0)
		at = edges[below(ARRAY_SIZE(edges))] - 20 + below(40);
	if (t->mode == CODE_64 && t->in.address_size == 8 && below(40) == 0)
		return (below(2) ? BIT(47) : fake_random() | BIT(62)) - below(20);
	return at & ~(u64)(align - 1);
}

static u64 segment_base(const struct test_case *t, unsigned seg)
{
	return t->mode != CODE_64 || seg >= SEG_FS ? t->cpu.seg[seg].base : 0;
}

/* Changes the bits of a register that make an address; the others stay. */
static void set_part(u64 *reg, unsigned size, u64 value) { *reg = (*reg & ~ones(size)) | (value & ones(size)); }

static u64 operand_address(const struct test_case *t)
{
	const struct insn *in = &t->in;
	u64 offset = in->disp;

	if (in->base != ADDR_NONE)
		offset += in->base == ADDR_RIP ? t->cpu.rip + in->length : t->cpu.regs[in->base];
	if (in->index != ADDR_NONE)
		offset += t->cpu.regs[in->index] << in->shift;
	if (in->op == OP_XLAT)
		offset += (u8)t->cpu.regs[REG_RAX];
	return offset & ones(in->address_size);
}

/*
 * Finds the displacement among the bytes, by changing one after the other, and puts another in its
 * place.
 */
static void patch_disp(struct test_case *t, u64 by)
{
	struct insn in;

	for (unsigned i = 1; i < t->in.length; i++) {
		t->bytes[i] ^= 1;
		insn_decode(t->bytes, 15, t->mode, &in);
		t->bytes[i] ^= 1;
		if ((in.disp ^ t->in.disp) == 1) {
			u64 disp = t->in.disp + by;

			memcpy(t->bytes + i, &disp, MIN(t->in.address_size, 4));
			break;
		}
	}
	insn_decode(t->bytes, 15, t->mode, &t->in);
}

/*
 * Makes the operand's linear address `target`: by its base, its index or its displacement. False if
 * it can't be.
 */
static bool aim(struct test_case *t, u64 target)
{
	struct insn *in = &t->in;
	u64 by = target - segment_base(t, in->segment) - operand_address(t);

	if (in->base < 16 && in->base != in->index)
		set_part(&t->cpu.regs[in->base], in->address_size, t->cpu.regs[in->base] + by);
	else if (in->base == ADDR_NONE && in->index < 16 && !in->shift)
		set_part(&t->cpu.regs[in->index], in->address_size, t->cpu.regs[in->index] + by);
	else if (in->index == ADDR_NONE)
		patch_disp(t, by);
	return ((operand_address(t) + segment_base(t, in->segment) - target) & ones(in->address_size)) == 0;
}

/*
 * The stack pointer, if the instruction uses it. It may be the operand's base as well, and then has
 * to fit both.
 */
static bool aim_stack(struct test_case *t)
{
	u64 width = t->mode == CODE_64 ? 8 : t->small_stack ? 2 : 4, base = segment_base(t, SEG_SS), at;

	if (t->in.op != OP_PUSH && t->in.op != OP_POP && t->in.op != OP_CALL)
		return true;
	if (t->in.base != REG_RSP)
		set_part(&t->cpu.regs[REG_RSP], (unsigned)width, random_place(t, 1) - base);
	at = base + (t->cpu.regs[REG_RSP] & ones((unsigned)width));
	return (at >= NATIVE_ARENA - 0x10000 && at < NATIVE_CODE - 0x100) || at > BIT(46);
}

/*
 * Puts an address of code where CALL and JMP will look for it, and stops behind them: by a single
 * step, because nothing is there.
 */
static void aim_branch(struct test_case *t)
{
	u64 at = segment_base(t, t->in.segment) + operand_address(t);
	u64 target = t->mode == CODE_64 ? NATIVE_CODE - below(0x10000) : below(0x11000);

	if (t->in.op != OP_CALL && t->in.op != OP_JMP)
		return;
	t->cpu.rflags |= FLAG_TF;
	if (t->mode == CODE_64 && below(4) == 0)
		target = (below(2) ? BIT(47) : random_value()) - below(2);
	if (at >= NATIVE_RW && at + t->in.size <= NATIVE_RO) {
		memcpy((void *)at, &target, t->in.size);
		memcpy(model + (at - NATIVE_RW), &target, t->in.size);
	}
}

/* Most numbers are too large to be divided by others. */
static void make_dividend(struct test_case *t)
{
	bool minus = t->in.op == OP_IDIV && (t->cpu.regs[REG_RAX] & sign_bit(t->in.size));

	if (below(4) == 0)
		return;
	if (t->in.size > 1)
		set_part(&t->cpu.regs[REG_RDX], t->in.size, (minus ? ~0ull : 0) ^ (below(2) ? below(20) : 0));
	else
		set_part(&t->cpu.regs[REG_RAX], 2, sign_extend(below(0x200), 2) - (minus ? 0x200 : 0));
}

/* How often SHLD, SHRD, shifts and rotations move a bit. */
static unsigned shift_count(const struct test_case *t)
{
	return (t->in.other == OTHER_CL ? (unsigned)t->cpu.regs[REG_RCX] : (unsigned)t->in.imm) & (t->in.size == 8 ? 63 : 31);
}

static bool aim_string(struct test_case *t)
{
	unsigned size = t->in.address_size;

	set_part(&t->cpu.regs[REG_RSI], size, random_place(t, 1) - segment_base(t, t->in.segment));
	set_part(&t->cpu.regs[REG_RDI], size, random_place(t, 1) - segment_base(t, SEG_ES));
	set_part(&t->cpu.regs[REG_RCX], size, below(4) ? below(20) : below(3000));
	/* Some CPUs clear the upper halves of these as soon as a repeated instruction begins. */
	if (t->mode == CODE_64 && size == 4)
		for (unsigned i = 0; i < 3; i++)
			t->cpu.regs[(u8[]){ REG_RCX, REG_RSI, REG_RDI }[i]] &= 0xffffffff;
	return true;
}

static void random_state(struct test_case *t)
{
	static const struct guest_segment segs[] = {
		[SEG_ES] = { NATIVE_ES_BASE, NATIVE_ES_LIMIT, 0, 0x40f7 }, [SEG_CS] = { NATIVE_CS_BASE, NATIVE_LIMIT, 0, 0x00fb },
		[SEG_SS] = { NATIVE_SS_BASE, NATIVE_SS_LIMIT, 0, 0x40f3 }, [SEG_DS] = { NATIVE_DS_BASE, NATIVE_DS_LIMIT, 0, 0x40f3 },
		[SEG_GS] = { NATIVE_GS_BASE, NATIVE_LIMIT, 0, 0x40f1 },
	};

	memcpy(t->cpu.seg, segs, sizeof(segs));
	t->cpu.seg[SEG_FS].base = native_fs_base();
	if (!segments)
		t->cpu.seg[SEG_GS].base = 0;
	if (t->small_stack)
		t->cpu.seg[SEG_SS].ar &= (u16)~SEG_D;
	t->cpu.cr0 = CR0_PE;
	t->cpu.cpl = 3;
	t->cpu.rip = t->mode == CODE_64 ? NATIVE_CODE : NATIVE_CODE - NATIVE_CS_BASE;
	for (unsigned i = 0; i < NR_REGS; i++)
		t->cpu.regs[i] = random_value() & (t->mode == CODE_64 ? ~0ull : 0xffffffff);
	t->cpu.rflags = 0x202 | (fake_random() & (FLAG_CF | FLAG_PF | FLAG_AF | FLAG_ZF | FLAG_SF | FLAG_DF | FLAG_OF | FLAG_TF));
	t->cpu.shadow = true;
	/* 1: the memory is slow. */
	t->most = below(3) ? 1 : 2 + below(8);
}

/* CALL and JMP in 64-bit code: AMD's CPUs take an operand-size prefix, and Intel's don't. */
static bool branch_of_choice(const struct test_case *t)
{
	if (intel || t->mode != CODE_64 || (t->in.op != OP_CALL && t->in.op != OP_JMP))
		return false;
	return memchr(t->bytes, 0x66, t->in.length) != NULL;
}

/* Makes a case; false if its addresses can't be brought to where memory is. */
static bool make_case(struct test_case *t, enum code_mode mode)
{
	bool bits, locked;

	memset(t, 0, sizeof(*t));
	t->mode = mode;
	t->small_stack = mode != CODE_64 && below(2);
	random_insn(t);
	random_state(t);
	if (t->decoded == DECODE_LONG || t->decoded == DECODE_INVALID)
		return true;
	/*
	 * FS has no base in 16 and 32-bit code, and in 64-bit code one that 32 bits don't reach
	 * from here.
	 */
	if (t->decoded != DECODE_OK || (t->in.segment == SEG_FS && (mode != CODE_64 || t->in.address_size == 4)))
		return false;
	if (t->in.op >= OP_MOVS)
		return aim_string(t);
	bits = t->in.op >= OP_BT && t->in.op <= OP_BTC && t->in.other == OTHER_REG;
	if (bits && (t->in.reg == t->in.base || t->in.reg == t->in.index))
		return false;
	if (bits)
		set_part(&t->cpu.regs[t->in.reg], t->in.reg_size, below(4096) - 2048ull);
	/* The stack pointer's upper half doesn't survive the way into a process's own segment. */
	if (t->small_stack && t->in.address_size == 4 && t->in.base == REG_RSP)
		return false;
	/*
	 * A locked access across cache lines stops the whole machine for a while, and some kernels
	 * object.
	 */
	if (t->in.op == OP_DIV || t->in.op == OP_IDIV)
		make_dividend(t);
	locked = t->in.lock || t->in.op == OP_XCHG || (t->in.op == OP_CMPXCHG8B && below(8));
	if (branch_of_choice(t) || !aim(t, random_place(t, locked ? t->in.size : 1)) || !aim_stack(t))
		return false;
	aim_branch(t);
	/* With a count beyond a word's size, a word becomes anything. */
	return !((t->in.op == OP_SHLD || t->in.op == OP_SHRD) && shift_count(t) > 8u * t->in.size);
}

/* ---- comparison ---- */

/* Status flags that the manual leaves undefined behind this instruction with these registers. */
static u64 undefined_flags(const struct test_case *t)
{
	const struct insn *in = &t->in;
	unsigned op = in->op, bits = in->size * 8, count = shift_count(t);

	if (op == OP_MUL || op == OP_IMUL)
		return FLAG_SF | FLAG_ZF | FLAG_AF | FLAG_PF;
	if (op == OP_DIV || op == OP_IDIV)
		return FLAG_CF | FLAG_OF | FLAG_SF | FLAG_ZF | FLAG_AF | FLAG_PF;
	if (op == OP_SHLD || op == OP_SHRD)
		return !count ? 0 : FLAG_AF | (count != 1 ? FLAG_OF : 0);
	if (op == OP_AND || op == OP_OR || op == OP_XOR || op == OP_TEST)
		return FLAG_AF;
	if (op >= OP_BT && op <= OP_BTC)
		return FLAG_OF | FLAG_SF | FLAG_AF | FLAG_PF;
	if (op < OP_ROL || op > OP_SAR || !count)
		return 0;
	return (op >= OP_SHL ? FLAG_AF : 0) | (count != 1 ? FLAG_OF : 0) |
	       ((op == OP_SHL || op == OP_SHR || op == OP_SAL) && count >= bits ? FLAG_CF : 0);
}

static void report(const struct test_case *t, const struct guest_cpu *ours, const struct native *cpu, const struct guest_fault *fault)
{
	printf("%u-bit code, %u-bit stack:", t->mode * 8, t->mode == CODE_64 ? 64 : t->small_stack ? 16 : 32);
	for (unsigned i = 0; i < 15; i++)
		printf(" %02x", t->bytes[i]);
	printf("; op %u, length %u, size %u, most %u\n%8s%18s%18s%18s\n", t->in.op, t->in.length, t->in.size, t->most, "", "before", "keeper", "CPU");
	for (unsigned i = 0; i < NR_REGS; i++)
		printf("reg %-4u%18llx%18llx%18llx\n", i, (unsigned long long)t->cpu.regs[i], (unsigned long long)ours->regs[i],
		       (unsigned long long)cpu->regs[i]);
	printf("rip     %18llx%18llx%18llx\n", (unsigned long long)t->cpu.rip, (unsigned long long)ours->rip, (unsigned long long)cpu->rip);
	printf("rflags  %18llx%18llx%18llx\n", (unsigned long long)t->cpu.rflags, (unsigned long long)ours->rflags, (unsigned long long)cpu->rflags);
	printf("vector %u, error %#x, cr2 %#llx; the CPU's %u, %#x, %#llx\n", fault->vector, fault->error, (unsigned long long)fault->cr2,
	       cpu->vector, cpu->error, (unsigned long long)cpu->cr2);
	fail_msg("the keeper and the CPU differ; SEED=%llu", (unsigned long long)fake_random_seed());
}

/* ---- where the manuals of Intel and AMD leave the CPU a choice ---- */

/*
 * The keeper does as Intel's CPUs, and there the test insists on it. On another CPU either rule
 * will do, since the test can't know which one that CPU follows.
 */
static u64 flags_of_choice(const struct test_case *t, enum exec_result done)
{
	const struct insn *in = &t->in;
	u64 flags = 0;

	if (intel)
		return 0;
	/* AMD's manual leaves ZF undefined behind BT. */
	if (in->op >= OP_BT && in->op <= OP_BTC)
		flags |= FLAG_ZF;
	/* A repeated comparison that isn't finished: whether its flags show. */
	if ((in->op == OP_CMPS || in->op == OP_SCAS) && in->rep && done != EXEC_DONE)
		flags |= FLAG_CF | FLAG_PF | FLAG_AF | FLAG_ZF | FLAG_SF | FLAG_OF;
	/* RF in the flags that an exception saves. */
	return flags | FLAG_RF;
}

static bool same_registers(const struct test_case *t, enum exec_result done, const struct guest_cpu *ours, const struct native *cpu)
{
	u64 flags = ~undefined_flags(t) & ~flags_of_choice(t, done) &
		    (FLAG_CF | FLAG_PF | FLAG_AF | FLAG_ZF | FLAG_SF | FLAG_DF | FLAG_OF | FLAG_TF | FLAG_RF);
	bool same = ours->rip == cpu->rip && !((ours->rflags ^ cpu->rflags) & flags);

	/* Outside 64-bit code, registers have 32 bits; a small stack's pointer has 16. */
	for (unsigned i = 0; i < (t->mode == CODE_64 ? 16 : 8); i++) {
		u64 mask = t->mode == CODE_64 ? ~0ull : t->small_stack && i == REG_RSP ? 0xffff : 0xffffffff;

		same = same && !((ours->regs[i] ^ cpu->regs[i]) & mask);
	}
	return same;
}

/*
 * The keeper's side: decoding's exceptions, or execution until it is done, faults, or has to be
 * stepped.
 */
static enum exec_result run_keeper(const struct test_case *t, struct guest_cpu *cpu, struct guest_fault *fault)
{
	struct slow slow = { 0 };
	const struct exec_memory fast = { .access = model_access }, waiting = { .context = &slow, .access = slow_access };
	enum exec_result done;

	if (t->decoded != DECODE_OK) {
		*fault = (struct guest_fault){ .vector = t->decoded == DECODE_LONG ? VECTOR_GP : VECTOR_UD };
		cpu->rflags |= FLAG_RF;
		return EXEC_FAULT;
	}
	do {
		struct guest_cpu before = *cpu;

		slow.asked = 0;
		done = insn_execute(cpu, &t->in, t->most == 1 ? &waiting : &fast, t->most, fault);
		if (done == EXEC_WAIT)
			assert_memory_equal(&before, cpu, sizeof(before));
		else
			slow.answered = 0;
	} while (done == EXEC_WAIT || (done == EXEC_PART && !(cpu->rflags & FLAG_TF)));
	if (done != EXEC_FAULT || !t->in.rep)
		assert_int_equal(cpu->shadow, done == EXEC_FAULT);
	return done;
}

/* Is the keeper's outcome that of the CPU? */
static bool agrees(const struct test_case *t, enum exec_result done, const struct guest_cpu *ours, const struct guest_fault *fault,
		   const struct native *cpu)
{
	u8 vector = done == EXEC_FAULT ? fault->vector : ours->rflags & FLAG_TF ? 1 : 3;

	return vector == cpu->vector && same_registers(t, done, ours, cpu) && (done != EXEC_FAULT || fault->error == cpu->error) &&
	       (vector != VECTOR_PF || fault->cr2 == cpu->cr2) && !memcmp(model, (void *)NATIVE_RW, sizeof(model));
}

/* The other rule, where there is one: `ours` and `done` are what the keeper's own has given. */
static bool agrees_otherwise(const struct test_case *t, enum exec_result done, const struct guest_cpu *ours, const struct guest_fault *first,
			     const struct native *cpu)
{
	struct test_case other = *t;
	struct guest_cpu registers = t->cpu;
	struct guest_fault fault = { 0 };

	/* MOVSXD with 16-bit operands reads four bytes. */
	if (t->opcode == 0x63 && t->in.op == OP_MOVSX && t->in.size == 2) {
		other.in.size = 4;
		done = run_keeper(&other, &registers, &fault);
		return agrees(t, done, &registers, &fault, cpu);
	}
	/* CALL looks at its target before it writes to the stack. */
	if (t->in.op == OP_CALL && done == EXEC_FAULT) {
		memcpy(model, (void *)NATIVE_RW, sizeof(model));
		return agrees(t, done, ours, first, cpu);
	}
	/* CMPS reads the source first: its fault counts. LODS reads the source alone. */
	if (t->in.op == OP_CMPS && done == EXEC_FAULT) {
		other.in.op = OP_LODS;
		other.in.rep = 0;
		other.most = 2;
		registers = *ours;
		return run_keeper(&other, &registers, &fault) == EXEC_FAULT && agrees(t, EXEC_FAULT, ours, &fault, cpu);
	}
	return false;
}

static unsigned runs[OP_NONE], faults[32], steps, branches;

static void check_case(const struct test_case *t)
{
	struct guest_fault fault = { 0 };
	struct guest_cpu ours = t->cpu;
	struct native cpu = { .mode = t->mode, .small_stack = t->small_stack, .rflags = t->cpu.rflags };
	enum exec_result done = run_keeper(t, &ours, &fault);

	memcpy(cpu.regs, t->cpu.regs, sizeof(cpu.regs));
	native_run(&cpu, t->bytes, t->decoded == DECODE_OK ? t->in.length : 15);
	if (!agrees(t, done, &ours, &fault, &cpu) && (intel || !agrees_otherwise(t, done, &ours, &fault, &cpu)))
		report(t, &ours, &cpu, &fault);
	runs[t->in.op] += t->decoded == DECODE_OK;
	if (done == EXEC_FAULT)
		faults[fault.vector]++;
	steps += done == EXEC_PART;
	branches += done == EXEC_DONE && ours.rip != t->cpu.rip + t->in.length;
}

static void compare_with_the_cpu(enum code_mode mode)
{
	struct test_case t;

	memset(runs, 0, sizeof(runs));
	memset(faults, 0, sizeof(faults));
	steps = branches = 0;
	native_begin();
	collect_ways(mode);
	for (unsigned i = 0; i < ROUNDS; i++) {
		if (i % 1000 == 0) {
			for (unsigned at = 0; at < sizeof(model); at += 8)
				*(u64 *)(model + at) = random_value();
			memcpy((void *)NATIVE_RW, model, 0x2000);
			memcpy(model + 0x2000, (void *)NATIVE_RO, 0x1000);
		}
		while (!make_case(&t, mode))
			;
		check_case(&t);
	}
	for (unsigned op = 0; op < OP_NONE; op++)
		if (can_run(op))
			assert_in_range(runs[op], ROUNDS / 1000, ROUNDS);
	assert_in_range(branches, ROUNDS / 1000, ROUNDS);
	assert_in_range(runs[OP_DIV] + runs[OP_IDIV], 2 * faults[VECTOR_DE], ROUNDS);
	assert_in_range(faults[VECTOR_DE], ROUNDS / 1000, ROUNDS);
	assert_in_range(steps, ROUNDS / 1000, ROUNDS);
	assert_in_range(faults[VECTOR_UD], ROUNDS / 1000, ROUNDS);
	assert_in_range(faults[VECTOR_GP], ROUNDS / 1000, ROUNDS);
	assert_in_range(faults[VECTOR_SS], ROUNDS / 10000, ROUNDS);
	assert_in_range(faults[VECTOR_PF], ROUNDS / 100, ROUNDS);
}

static void long_code_does_as_the_cpu(void **state) { compare_with_the_cpu(CODE_64); }

static void wide_code_does_as_the_cpu(void **state)
{
	if (!segments)
		skip();
	compare_with_the_cpu(CODE_32);
}

static void narrow_code_does_as_the_cpu(void **state)
{
	if (!segments)
		skip();
	compare_with_the_cpu(CODE_16);
}

static void know_the_cpu(void)
{
	unsigned a, b, c, d;

	__cpuid(0, a, b, c, d);
	intel = b == 0x756e6547 && d == 0x49656e69 && c == 0x6c65746e;          /* "GenuineIntel" */
	__cpuid(1, a, b, c, d);
	has_movbe = c >> 22 & 1;
	has_clflushopt = __get_cpuid_count(7, 0, &a, &b, &c, &d) && (b >> 23 & 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(long_code_does_as_the_cpu),
		cmocka_unit_test(wide_code_does_as_the_cpu),
		cmocka_unit_test(narrow_code_does_as_the_cpu),
	};

	know_the_cpu();
	/* The same cases each time, unless somebody asks for others. */
	setenv("SEED", "1", 0);
	segments = native_init();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
