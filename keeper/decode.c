/*
 * Prefixes, two tables of opcodes, and the bytes behind the opcode (SDM vol. 2, chapter 2 and
 * appendix A). A row says which operation an opcode is and where its operands are, so an
 * instruction is added by a row.
 */
#include "keeper/cpu.h"
#include "keeper/decode.h"
#include "keeper/memo.h"

/* Where the operands are. "mem" is the operand that ModRM names. */
enum form {
	FORM_NONE,      /* not in the table */
	FORM_MEM,       /* mem alone */
	FORM_MEM_REG,   /* mem, and a register that is a source */
	FORM_REG_MEM,   /* a register that is the destination, and mem */
	FORM_MEM_IMM, FORM_MEM_IMM8, FORM_MEM_ONE, FORM_MEM_CL,
	FORM_REG_MEM_IMM, FORM_REG_MEM_IMM8,    /* the register is only the destination */
	FORM_LOAD, FORM_STORE,  /* the accumulator, and an address without ModRM */
	FORM_XLAT,
	FORM_STRING,
};

enum {
	BY_WIDTH = 1,   /* bit 0 of the opcode says whether operands are bytes */
	BYTE = 2,       /* mem is a byte */
	WORD = 4,       /* mem is a word */
	DWORD = 8,      /* mem has at most four bytes */
	GROUP = 16,     /* `op` is a row of `groups`, and bits 5:3 of ModRM choose from it */
	PLAIN = 32,     /* another instruction if it has an operand-size or REP prefix */
	NO_REP = 64,    /* another one if it has a REP prefix */
};

struct row { u8 op, form, flags; };

enum {
	GROUP_ALU, GROUP_SHIFT, GROUP_BIT, GROUP_UNARY, GROUP_INC, GROUP_PUSH,
	GROUP_FIRST_POP, GROUP_FIRST_MOV, GROUP_CMPXCHG8B, GROUP_CLFLUSH,
};

#define FROM(op) { op, op + 1, op + 2, op + 3, op + 4, op + 5, op + 6, op + 7 }
#define NONE OP_NONE
static const u8 groups[][8] = {
	[GROUP_ALU] = FROM(OP_ADD),
	[GROUP_SHIFT] = FROM(OP_ROL),
	[GROUP_BIT] = { NONE, NONE, NONE, NONE, OP_BT, OP_BTS, OP_BTR, OP_BTC },
	[GROUP_UNARY] = { OP_TEST, OP_TEST, OP_NOT, OP_NEG, OP_MUL, OP_IMUL, OP_DIV, OP_IDIV },
	[GROUP_INC] = { OP_INC, OP_DEC, NONE, NONE, NONE, NONE, NONE, NONE },
	[GROUP_PUSH] = { OP_INC, OP_DEC, OP_CALL, NONE, OP_JMP, NONE, OP_PUSH, NONE },
	[GROUP_FIRST_POP] = { OP_POP, NONE, NONE, NONE, NONE, NONE, NONE, NONE },
	[GROUP_FIRST_MOV] = { OP_MOV, NONE, NONE, NONE, NONE, NONE, NONE, NONE },
	[GROUP_CMPXCHG8B] = { NONE, OP_CMPXCHG8B, NONE, NONE, NONE, NONE, NONE, NONE },
	[GROUP_CLFLUSH] = { NONE, NONE, NONE, NONE, NONE, NONE, NONE, OP_CLFLUSH },
};

/* The operations that may be locked, if their destination is memory (SDM vol. 2, "LOCK"). */
#define LOCKABLE \
	(BIT(OP_ADD) | BIT(OP_OR) | BIT(OP_ADC) | BIT(OP_SBB) | BIT(OP_AND) | BIT(OP_SUB) | BIT(OP_XOR) | \
	 BIT(OP_BTS) | BIT(OP_BTR) | BIT(OP_BTC) | BIT(OP_NOT) | BIT(OP_NEG) | BIT(OP_INC) | BIT(OP_DEC) | \
	 BIT(OP_XCHG) | BIT(OP_XADD) | BIT(OP_CMPXCHG) | BIT(OP_CMPXCHG8B))

#define ALU(at, op) \
	[at ... at + 1] = { op, FORM_MEM_REG, BY_WIDTH }, \
	[at + 2 ... at + 3] = { op, FORM_REG_MEM, BY_WIDTH }

static const struct row one_byte[256] = {
	ALU(0x00, OP_ADD), ALU(0x08, OP_OR), ALU(0x10, OP_ADC), ALU(0x18, OP_SBB),
	ALU(0x20, OP_AND), ALU(0x28, OP_SUB), ALU(0x30, OP_XOR), ALU(0x38, OP_CMP),
	[0x63] = { OP_MOVSX, FORM_REG_MEM, DWORD },
	[0x69] = { OP_IMUL, FORM_REG_MEM_IMM, 0 },
	[0x6b] = { OP_IMUL, FORM_REG_MEM_IMM8, 0 },
	[0x6c ... 0x6d] = { OP_INS, FORM_STRING, BY_WIDTH | DWORD },
	[0x6e ... 0x6f] = { OP_OUTS, FORM_STRING, BY_WIDTH | DWORD },
	[0x80 ... 0x81] = { GROUP_ALU, FORM_MEM_IMM, BY_WIDTH | GROUP },
	[0x82 ... 0x83] = { GROUP_ALU, FORM_MEM_IMM8, BY_WIDTH | GROUP },
	[0x84 ... 0x85] = { OP_TEST, FORM_MEM_REG, BY_WIDTH },
	[0x86 ... 0x87] = { OP_XCHG, FORM_MEM_REG, BY_WIDTH },
	[0x88 ... 0x89] = { OP_MOV, FORM_MEM_REG, BY_WIDTH },
	[0x8a ... 0x8b] = { OP_MOV, FORM_REG_MEM, BY_WIDTH },
	[0x8f] = { GROUP_FIRST_POP, FORM_MEM, GROUP },
	[0xa0 ... 0xa1] = { OP_MOV, FORM_LOAD, BY_WIDTH },
	[0xa2 ... 0xa3] = { OP_MOV, FORM_STORE, BY_WIDTH },
	[0xa4 ... 0xa5] = { OP_MOVS, FORM_STRING, BY_WIDTH },
	[0xa6 ... 0xa7] = { OP_CMPS, FORM_STRING, BY_WIDTH },
	[0xaa ... 0xab] = { OP_STOS, FORM_STRING, BY_WIDTH },
	[0xac ... 0xad] = { OP_LODS, FORM_STRING, BY_WIDTH },
	[0xae ... 0xaf] = { OP_SCAS, FORM_STRING, BY_WIDTH },
	[0xc0 ... 0xc1] = { GROUP_SHIFT, FORM_MEM_IMM8, BY_WIDTH | GROUP },
	[0xc6 ... 0xc7] = { GROUP_FIRST_MOV, FORM_MEM_IMM, BY_WIDTH | GROUP },
	[0xd0 ... 0xd1] = { GROUP_SHIFT, FORM_MEM_ONE, BY_WIDTH | GROUP },
	[0xd2 ... 0xd3] = { GROUP_SHIFT, FORM_MEM_CL, BY_WIDTH | GROUP },
	[0xd7] = { OP_XLAT, FORM_XLAT, BYTE },
	[0xf6 ... 0xf7] = { GROUP_UNARY, FORM_MEM, BY_WIDTH | GROUP },
	[0xfe] = { GROUP_INC, FORM_MEM, BY_WIDTH | GROUP },
	[0xff] = { GROUP_PUSH, FORM_MEM, BY_WIDTH | GROUP },
};

/* Those that begin with 0x0f. */
static const struct row two_bytes[256] = {
	[0x0d] = { OP_NOP, FORM_MEM, 0 },                       /* PREFETCHW and its like */
	[0x18] = { OP_NOP, FORM_MEM, 0 },                       /* PREFETCHh */
	[0x1f] = { OP_NOP, FORM_MEM, 0 },
	[0x40 ... 0x4f] = { OP_CMOV, FORM_REG_MEM, 0 },
	[0x90 ... 0x9f] = { OP_SET, FORM_MEM, BYTE },
	[0xa3] = { OP_BT, FORM_MEM_REG, 0 },
	[0xa4] = { OP_SHLD, FORM_MEM_IMM8, 0 },
	[0xa5] = { OP_SHLD, FORM_MEM_CL, 0 },
	[0xab] = { OP_BTS, FORM_MEM_REG, 0 },
	[0xac] = { OP_SHRD, FORM_MEM_IMM8, 0 },
	[0xad] = { OP_SHRD, FORM_MEM_CL, 0 },
	[0xae] = { GROUP_CLFLUSH, FORM_MEM, GROUP | NO_REP },   /* and CLFLUSHOPT */
	[0xaf] = { OP_IMUL, FORM_REG_MEM, 0 },
	[0xb0 ... 0xb1] = { OP_CMPXCHG, FORM_MEM_REG, BY_WIDTH },
	[0xb3] = { OP_BTR, FORM_MEM_REG, 0 },
	[0xb6] = { OP_MOVZX, FORM_REG_MEM, BYTE },
	[0xb7] = { OP_MOVZX, FORM_REG_MEM, WORD },
	[0xba] = { GROUP_BIT, FORM_MEM_IMM8, GROUP },
	[0xbb] = { OP_BTC, FORM_MEM_REG, 0 },
	[0xbe] = { OP_MOVSX, FORM_REG_MEM, BYTE },
	[0xbf] = { OP_MOVSX, FORM_REG_MEM, WORD },
	[0xc0 ... 0xc1] = { OP_XADD, FORM_MEM_REG, BY_WIDTH },
	[0xc3] = { OP_MOV, FORM_MEM_REG, PLAIN },               /* MOVNTI */
	[0xc7] = { GROUP_CMPXCHG8B, FORM_MEM, GROUP },
};

/* 0x0f 0x38 0xf0, and 0xf1 behind these two. */
static const struct row movbe[2] = {
	{ OP_MOVBE, FORM_REG_MEM, NO_REP }, { OP_MOVBE, FORM_MEM_REG, NO_REP },
};

/* Bytes beyond the end read as 0, and still move `pos`. */
struct reader { const u8 *bytes; unsigned n, pos; };

#define REX_B 1
#define REX_X 2
#define REX_R 4
#define REX_W 8
#define NO_SEGMENT 0xff
struct prefixes { u8 rex, rep, segment; bool operand, address; };

static u64 take(struct reader *r, unsigned size)
{
	u64 value = 0;

	for (unsigned i = 0; i < size; i++, r->pos++)
		if (r->pos < r->n)
			value |= (u64)r->bytes[r->pos] << (8 * i);
	return value;
}

static u64 take_signed(struct reader *r, unsigned size)
{
	unsigned unused = 64 - 8 * size;

	return (u64)((s64)(take(r, size) << unused) >> unused);
}

/* Returns the byte behind the prefixes. REX counts only if it is the last one. */
static u8 take_prefixes(struct reader *r, struct insn *in, struct prefixes *p)
{
	for (;;) {
		u8 byte = (u8)take(r, 1);

		switch (byte) {
		case 0x26: case 0x2e: case 0x36: case 0x3e:
			if (in->mode != CODE_64)
				p->segment = byte >> 3 & 3;
			break;
		case 0x64: case 0x65:
			p->segment = SEG_FS + (byte & 1);
			break;
		case 0x66:
			p->operand = true;
			break;
		case 0x67:
			p->address = true;
			break;
		case 0xf0:
			in->lock = true;
			break;
		case 0xf2: case 0xf3:
			p->rep = byte;
			break;
		default:
			if (in->mode != CODE_64 || (byte & 0xf0) != 0x40)
				return byte;
			p->rex = byte;
			continue;
		}
		p->rex = 0;
	}
}

/* SDM vol. 2, "Addressing-Mode Encoding of ModR/M and SIB Bytes", 2.1.5. */
static void take_address(struct reader *r, struct insn *in, const struct prefixes *p, u8 modrm)
{
	static const u8 narrow[8][2] = {
		{ REG_RBX, REG_RSI }, { REG_RBX, REG_RDI },
		{ REG_RBP, REG_RSI }, { REG_RBP, REG_RDI },
		{ REG_RSI, ADDR_NONE }, { REG_RDI, ADDR_NONE },
		{ REG_RBP, ADDR_NONE }, { REG_RBX, ADDR_NONE },
	};
	unsigned mod = modrm >> 6, rm = modrm & 7, wide = MIN(in->address_size, 4);
	unsigned disp = mod == 1 ? 1 : mod == 2 ? wide : 0;
	bool no_base = mod == 0 && rm == (wide == 2 ? 6 : 5);

	if (wide == 2) {
		in->base = narrow[rm][0];
		in->index = narrow[rm][1];
	} else if (rm == 4) {
		u8 sib = (u8)take(r, 1);

		in->base = (u8)((sib & 7) | (p->rex & REX_B ? 8 : 0));
		in->index = (u8)((sib >> 3 & 7) | (p->rex & REX_X ? 8 : 0));
		in->shift = sib >> 6;
		if (in->index == REG_RSP)
			in->index = ADDR_NONE;
		no_base = mod == 0 && (sib & 7) == 5;
	} else {
		in->base = (u8)(rm | (p->rex & REX_B ? 8 : 0));
	}
	if (no_base) {
		in->base = in->mode == CODE_64 && rm == 5 ? ADDR_RIP : ADDR_NONE;
		disp = wide;
	}
	if (in->base == REG_RSP || in->base == REG_RBP)
		in->segment = SEG_SS;
	if (disp)
		in->disp = take_signed(r, disp);
}

static void set_sizes(struct insn *in, const struct row *row, const struct prefixes *p, u8 opcode)
{
	/* MOVNTI, the one PLAIN row, has no form for words. */
	bool word = (in->mode == CODE_16) != p->operand && !(row->flags & PLAIN);
	u8 size = p->rex & REX_W ? 8 : word ? 2 : 4;

	if (in->mode == CODE_64 && (in->op == OP_PUSH || in->op == OP_POP))
		size = size == 2 ? 2 : 8;
	/* AMD's CPUs take the prefix for words here, too. No compiler makes it. */
	if (in->mode == CODE_64 && (in->op == OP_CALL || in->op == OP_JMP))
		size = 8;
	if (in->op == OP_CMPXCHG8B)
		size = size == 8 ? 16 : 8;
	if ((row->flags & BY_WIDTH) && !(opcode & 1))
		size = 1;
	in->size = in->reg_size = size;
	if (row->flags & BYTE)
		in->size = 1;
	if (row->flags & WORD)
		in->size = 2;
	if (row->flags & DWORD)
		in->size = MIN(size, 4);
}

/* The operand that isn't in memory. */
static void take_other(struct reader *r, struct insn *in, const struct row *row,
		       const struct prefixes *p)
{
	in->to_reg = row->form == FORM_REG_MEM || row->form == FORM_LOAD || row->form == FORM_XLAT ||
		row->form == FORM_REG_MEM_IMM || row->form == FORM_REG_MEM_IMM8;
	switch ((enum form)row->form) {
	case FORM_REG_MEM: case FORM_MEM_REG: case FORM_LOAD: case FORM_STORE:
		in->other = OTHER_REG;
		in->high = in->reg_size == 1 && !p->rex && in->reg >= 4;
		in->reg &= in->high ? 3 : 15;
		break;
	case FORM_XLAT:
		in->other = OTHER_REG;
		in->reg_size = 1;
		break;
	case FORM_MEM_IMM: case FORM_REG_MEM_IMM:
		in->other = OTHER_IMM;
		in->imm = take_signed(r, MIN(in->size, 4));
		break;
	case FORM_MEM_IMM8: case FORM_REG_MEM_IMM8:
		in->other = OTHER_IMM;
		in->imm = take_signed(r, 1);
		break;
	case FORM_MEM_ONE:
		in->other = OTHER_IMM;
		in->imm = 1;
		break;
	case FORM_MEM_CL:
		in->other = OTHER_CL;
		break;
	case FORM_MEM:
		if (in->op != OP_TEST)
			break;
		in->other = OTHER_IMM;
		in->imm = take_signed(r, MIN(in->size, 4));
		break;
	case FORM_NONE: case FORM_STRING:
		break;
	}
}

static enum decode_result take_insn(struct reader *r, struct insn *in)
{
	struct prefixes p = { .segment = NO_SEGMENT };
	u8 opcode = take_prefixes(r, in, &p), modrm;
	const struct row *row = &one_byte[opcode];

	if (opcode == (in->mode == CODE_64 ? 0x82 : 0x63))
		return DECODE_OTHER;
	if (opcode == 0x0f) {
		opcode = (u8)take(r, 1);
		row = &two_bytes[opcode];
	}
	/* 0x38 begins a third table, which has MOVBE alone. */
	if (row == &two_bytes[0x38]) {
		opcode = (u8)take(r, 1);
		row = opcode >> 1 == 0xf0 >> 1 ? &movbe[opcode & 1] : row;
	}
	if (row->form == FORM_NONE || ((row->flags & PLAIN) && p.operand) ||
	    ((row->flags & (PLAIN | NO_REP)) && p.rep))
		return DECODE_OTHER;
	in->op = row->op;
	in->cond = opcode & 15;
	in->segment = SEG_DS;
	in->address_size = !p.address ? in->mode : in->mode == CODE_32 ? 2 : 4;
	if (row->form == FORM_STRING) {
		in->rep = p.rep;
	} else if (row->form == FORM_XLAT) {
		in->base = REG_RBX;
	} else if (row->form == FORM_LOAD || row->form == FORM_STORE) {
		in->disp = take(r, in->address_size);
	} else {
		modrm = (u8)take(r, 1);
		if (modrm >= 0xc0)
			return DECODE_REGISTER;
		if (row->flags & GROUP)
			in->op = groups[row->op][modrm >> 3 & 7];
		if (in->op == OP_NONE)
			return DECODE_OTHER;
		in->reg = (u8)((modrm >> 3 & 7) | (p.rex & REX_R ? 8 : 0));
		take_address(r, in, &p, modrm);
	}
	if (p.segment != NO_SEGMENT)
		in->segment = p.segment;
	set_sizes(in, row, &p, opcode);
	take_other(r, in, row, &p);
	return in->lock && (in->to_reg || !(LOCKABLE & BIT(in->op))) ? DECODE_INVALID : DECODE_OK;
}

enum decode_result insn_decode(const u8 *bytes, unsigned n, enum code_mode mode, struct insn *in)
{
	struct reader r = { .bytes = bytes, .n = MIN(n, INSN_MOST) };
	enum decode_result result;

	*in = (struct insn){ .mode = mode, .base = ADDR_NONE, .index = ADDR_NONE };
	result = take_insn(&r, in);
	if (r.pos > r.n)
		return r.n < INSN_MOST ? DECODE_SHORT : DECODE_LONG;
	in->length = (u8)r.pos;
	return result;
}

bool insn_memo(const struct insn *in, struct memo *memo)
{
	*memo = (struct memo){ 0 };
	if (in->op != OP_MOV && in->op != OP_MOVZX && in->op != OP_MOVSX)
		return false;
	memo->length = in->length;
	memo->flags = (u8)((in->to_reg ? 0 : MEMO_STORE) | (in->other == OTHER_IMM ? MEMO_IMM : 0) |
			   (in->high ? MEMO_HIGH : 0) | (in->op == OP_MOVSX ? MEMO_SIGNED : 0));
	memo->size = in->size;
	memo->reg = in->reg;
	memo->reg_size = in->reg_size;
	memo->imm = (s32)in->imm;
	return true;
}
