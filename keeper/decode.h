/*
 * What the bytes of an instruction mean. The table has the integer instructions with a memory
 * operand that drivers, kernels and firmware use on devices. Decoding reads bytes and a mode, and
 * nothing else, so ring 0 may remember its result by these.
 */
#ifndef KEEPER_DECODE_H
#define KEEPER_DECODE_H

#include "keeper/cpu.h"

struct memo;

#define INSN_MOST 15    /* bytes; a longer instruction is #GP (SDM vol. 2, 2.3.11) */

/* The first twenty stand in the order of the bits that choose them. */
enum insn_op {
	OP_ADD, OP_OR, OP_ADC, OP_SBB, OP_AND, OP_SUB, OP_XOR, OP_CMP,
	OP_ROL, OP_ROR, OP_RCL, OP_RCR, OP_SHL, OP_SHR, OP_SAL, OP_SAR,
	OP_BT, OP_BTS, OP_BTR, OP_BTC,
	OP_TEST, OP_NOT, OP_NEG, OP_INC, OP_DEC,
	OP_MOV, OP_MOVBE, OP_MOVZX, OP_MOVSX, OP_CMOV, OP_SET, OP_XLAT, OP_SHLD, OP_SHRD,
	OP_XCHG, OP_XADD, OP_CMPXCHG, OP_CMPXCHG8B,
	OP_MUL, OP_IMUL, OP_DIV, OP_IDIV,
	OP_NOP, OP_CLFLUSH,     /* NOP and the prefetches do nothing with their operand */
	OP_PUSH, OP_POP, OP_CALL, OP_JMP,
	OP_MOVS, OP_CMPS, OP_STOS, OP_LODS, OP_SCAS, OP_INS, OP_OUTS,
	OP_NONE,
};

/* The operand that isn't the memory. SHLD and SHRD count by it, and IMUL may multiply it. */
enum insn_other { OTHER_NONE, OTHER_REG, OTHER_IMM, OTHER_CL };

/* Where `base` and `index` have no register, and where the base is the next instruction. */
enum { ADDR_NONE = 16, ADDR_RIP = 17 };

struct insn {
	u8 length;
	u8 op;                  /* enum insn_op */
	u8 mode;                /* enum code_mode */
	u8 size;                /* bytes of the memory operand, or of one element */
	u8 reg_size;            /* bytes of the register operand */
	u8 other;               /* enum insn_other */
	bool to_reg;            /* `reg` is the destination */
	bool high;              /* the register is AH, CH, DH or BH; `reg` names RAX..RBX */
	u8 reg;
	u8 cond;                /* CMOV, SET: the condition's number */
	bool lock;
	u8 rep;                 /* 0, 0xf2 or 0xf3 */
	u8 segment;             /* SEG_*; a string's source */
	u8 address_size;
	u8 base, index, shift;  /* the address: base + (index << shift) + disp */
	u64 disp;               /* sign-extended */
	u64 imm;                /* sign-extended */
};

enum decode_result {
	DECODE_OK,
	DECODE_SHORT,           /* the bytes end inside the instruction */
	DECODE_LONG,            /* the instruction has more than 15 bytes: #GP(0) */
	DECODE_INVALID,         /* the instruction can't be locked: #UD */
	DECODE_REGISTER,        /* its operands are registers: the CPU needs no help */
	DECODE_OTHER,           /* not in the table */
};

/*
 * Decodes the instruction that begins at `bytes`, of which `n` can be read. Returns DECODE_OK, and
 * *in is complete; otherwise *in has no meaning. Context: any; reads at most 15 bytes.
 */
enum decode_result insn_decode(const u8 *bytes, unsigned n, enum code_mode mode, struct insn *in);

/*
 * Describes a plain load or store: MOV, MOVNTI, and MOVZX, MOVSX and MOVSXD with their extension.
 * Returns false for every other instruction; then *memo is all zeroes. Context: any.
 */
bool insn_memo(const struct insn *in, struct memo *memo);

#endif
