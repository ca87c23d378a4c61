/* units: keeper/decode.c */
/*
 * The keeper's decoder next to Zydis, an independent one, on random bytes. Each instruction that
 * the keeper accepts must be one to Zydis, with the same length and operands. Each instruction of
 * the keeper's list that Zydis accepts must be accepted by the keeper.
 */
#include "tests/unit/fake.h"
#include "keeper/cpu.h"
#include "keeper/decode.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <Zydis/Zydis.h>

#define ROUNDS 900000

static const char *const names[OP_NONE] = {
	"add", "or", "adc", "sbb", "and", "sub", "xor", "cmp", "rol", "ror", "rcl", "rcr", "shl", "shr", "shl", "sar",
	"bt", "bts", "btr", "btc", "test", "not", "neg", "inc", "dec",
	"mov", "movbe", "movzx", "movsx", "cmov", "set", "xlat", "shld", "shrd",
	"xchg", "xadd", "cmpxchg", "cmpxchg8b", "mul", "imul", "div", "idiv", "nop", "clflush",
	"push", "pop", "call", "jmp", "movs", "cmps", "stos", "lods", "scas", "ins", "outs",
};

static const enum code_mode modes[] = { CODE_16, CODE_32, CODE_64 };
static ZydisDecoder decoders[3];

struct zydis {
	ZydisDecodedInstruction in;
	ZydisDecodedOperand operands[ZYDIS_MAX_OPERAND_COUNT];
	ZyanStatus status;
};

static void ask_zydis(unsigned mode, const u8 *bytes, struct zydis *z)
{
	memset(z, 0, sizeof(*z));
	z->status = ZydisDecoderDecodeFull(&decoders[mode], bytes, 15, &z->in, z->operands);
}

static const u8 *now;
static unsigned now_mode;

/* Fails, and names the instruction, unless a is b. */
#define SAME(a, b) same(#a, (u64)(a), (u64)(b))
static void same(const char *what, u64 a, u64 b)
{
	char text[64] = "";

	if (a == b)
		return;
	for (unsigned i = 0; i < 15; i++)
		sprintf(text + 3 * i, " %02x", now[i]);
	fail_msg("%s is %#llx, not %#llx; %u-bit code:%s", what, (unsigned long long)a, (unsigned long long)b, modes[now_mode] * 8, text);
}

static bool is_string(const struct zydis *z)
{
	return z->in.meta.category == ZYDIS_CATEGORY_STRINGOP || z->in.meta.category == ZYDIS_CATEGORY_IOSTRINGOP;
}

/* Its operands aren't written down. */
static bool is_implicit(const struct zydis *z) { return is_string(z) || z->in.mnemonic == ZYDIS_MNEMONIC_XLAT; }

/* The first operand of this type that the instruction names; of an implicit one, the first of all. */
static const ZydisDecodedOperand *operand(const struct zydis *z, ZydisOperandType type)
{
	for (unsigned i = 0; i < z->in.operand_count; i++) {
		const ZydisDecodedOperand *o = &z->operands[i];

		if (o->type == type && (is_implicit(z) || o->visibility != ZYDIS_OPERAND_VISIBILITY_HIDDEN))
			return o;
	}
	return NULL;
}

/* Zydis's name, without a condition and without the size of a string's elements. */
static const char *name_of(const struct zydis *z)
{
	static char name[32];
	const char *full = ZydisMnemonicGetString(z->in.mnemonic);

	memset(name, 0, sizeof(name));
	strncpy(name, full, sizeof(name) - 1);
	if (is_string(z))
		name[strlen(name) - 1] = '\0';
	if (z->in.meta.category == ZYDIS_CATEGORY_CMOV)
		name[4] = '\0';
	if (z->in.meta.category == ZYDIS_CATEGORY_SETCC)
		name[3] = '\0';
	if (!strcmp(full, "movnti"))
		return "mov";
	if (!strcmp(full, "movsxd"))
		return "movsx";
	if (!strcmp(full, "cmpxchg16b"))
		return "cmpxchg8b";
	if (!strcmp(full, "clflushopt"))
		return "clflush";
	if (!strncmp(full, "prefetch", 8))
		return "nop";
	return name;
}

/*
 * Is it on the keeper's list? Zydis has the same names for moves of segment and vector registers.
 */
static bool on_the_list(const struct zydis *z)
{
	const char *name = name_of(z);

	if (z->in.encoding != ZYDIS_INSTRUCTION_ENCODING_LEGACY || !operand(z, ZYDIS_OPERAND_TYPE_MEMORY))
		return false;
	if (z->in.mnemonic == ZYDIS_MNEMONIC_MOV && (z->in.opcode == 0x8c || z->in.opcode == 0x8e))
		return false;
	if (!is_string(z) && (z->in.mnemonic == ZYDIS_MNEMONIC_MOVSD || z->in.mnemonic == ZYDIS_MNEMONIC_CMPSD))
		return false;
	if (z->in.meta.branch_type == ZYDIS_BRANCH_TYPE_FAR)
		return false;
	/* Opcodes that may become instructions are no NOPs to the keeper. */
	if (z->in.mnemonic == ZYDIS_MNEMONIC_NOP && z->in.opcode >= 0x19 && z->in.opcode <= 0x1e)
		return false;
	for (unsigned i = 0; i < OP_NONE; i++)
		if (!strcmp(name, names[i]))
			return true;
	return false;
}

static u8 number_of(ZydisRegister r)
{
	if (r == ZYDIS_REGISTER_NONE)
		return ADDR_NONE;
	if (r == ZYDIS_REGISTER_RIP || r == ZYDIS_REGISTER_EIP)
		return ADDR_RIP;
	return (u8)ZydisRegisterGetId(r);
}

static void check_register(const struct insn *in, const ZydisDecodedOperand *o)
{
	unsigned n = o->reg.value - ZYDIS_REGISTER_AL;
	bool byte = ZydisRegisterGetClass(o->reg.value) == ZYDIS_REGCLASS_GPR8;

	SAME(in->reg_size * 8, o->size);
	SAME(in->high, byte && n >= 4 && n < 8);
	/* AL..BL, AH..BH, SPL..DIL, R8B.. */
	SAME(in->reg, !byte ? number_of(o->reg.value) : n < 4 ? n : n - 4);
	SAME(in->to_reg, in->op == OP_XLAT || (in->op != OP_XCHG && o->id == 0));
}

static void check_memory(const struct insn *in, const struct zydis *z, const ZydisDecodedOperand *o)
{
	static const ZydisRegister segments[] = { ZYDIS_REGISTER_ES, ZYDIS_REGISTER_CS, ZYDIS_REGISTER_SS, ZYDIS_REGISTER_DS,
						  ZYDIS_REGISTER_FS, ZYDIS_REGISTER_GS };
	u64 mask = in->address_size == 8 ? ~0ull : BIT(in->address_size * 8) - 1;

	SAME(in->index, in->op == OP_XLAT ? ADDR_NONE : number_of(o->mem.index));
	if (in->index != ADDR_NONE)
		SAME(1 << in->shift, o->mem.scale);
	/* Zydis says of a DS prefix on a branch that it means CET's NOTRACK alone. The CPU does both. */
	if (!(z->in.attributes & ZYDIS_ATTRIB_HAS_NOTRACK))
		SAME(segments[in->segment], o->mem.segment);
	/*
	 * Base 5 without a displacement by ModRM is none, whatever REX.B says. Zydis 4.0 takes R13;
	 * the CPU doesn't.
	 */
	if (in->base == ADDR_NONE && z->in.raw.modrm.mod == 0 && z->in.raw.sib.base == 5)
		return;
	SAME(in->base, number_of(o->mem.base));
	SAME(in->disp & mask, (u64)o->mem.disp.value & mask);
}

static void check_fields(const struct insn *in, const struct zydis *z)
{
	const ZydisDecodedOperand *memory = operand(z, ZYDIS_OPERAND_TYPE_MEMORY), *o;

	SAME(in->length, z->in.length);
	SAME(strcmp(names[in->op], name_of(z)), 0);
	/*
	 * MOVSXD with 16-bit operands: Zydis reads four bytes, as AMD's manual says, and Intel's
	 * says two.
	 */
	if (z->in.mnemonic != ZYDIS_MNEMONIC_MOVSXD && in->op != OP_NOP && in->op != OP_CLFLUSH)
		SAME(in->size * 8, memory->size);
	SAME(in->address_size * 8, z->in.address_width);
	SAME(in->lock, !!(z->in.attributes & ZYDIS_ATTRIB_HAS_LOCK));
	if (is_string(z)) {
		SAME(!!in->rep, !!(z->in.attributes & (ZYDIS_ATTRIB_HAS_REP | ZYDIS_ATTRIB_HAS_REPE | ZYDIS_ATTRIB_HAS_REPNE)));
		return;
	}
	check_memory(in, z, memory);
	o = operand(z, ZYDIS_OPERAND_TYPE_REGISTER);
	if (in->other == OTHER_REG || in->to_reg)
		check_register(in, o);
	if (in->op == OP_SHLD || in->op == OP_SHRD)
		SAME(in->reg == number_of(o->reg.value) && in->other != OTHER_NONE, true);
	else
		SAME(in->other == OTHER_CL, o && in->op >= OP_ROL && in->op <= OP_SAR);
	o = operand(z, ZYDIS_OPERAND_TYPE_IMMEDIATE);
	SAME(in->other == OTHER_IMM, !!o);
	/* Zydis doesn't extend the sign of a byte that only selects a bit or counts. */
	if (o && o->imm.is_signed)
		SAME(in->imm, o->imm.value.s);
	else if (o)
		SAME(in->imm & (BIT(o->size - 1) * 2 - 1), o->imm.value.u);
}

static unsigned accepted, refused, with_registers, too_long;

static void check_one(unsigned mode, const u8 *bytes)
{
	struct insn in;
	struct zydis z;
	enum decode_result result = insn_decode(bytes, 15, modes[mode], &in);

	now = bytes;
	now_mode = mode;
	ask_zydis(mode, bytes, &z);
	switch (result) {
	case DECODE_OK:
		accepted++;
		SAME(ZYAN_SUCCESS(z.status), true);
		SAME(on_the_list(&z), true);
		check_fields(&in, &z);
		for (unsigned n = 0; n < in.length; n++)
			SAME(insn_decode(bytes, n, modes[mode], &in), DECODE_SHORT);
		break;
	case DECODE_INVALID:
		refused++;
		SAME(z.status, ZYDIS_STATUS_ILLEGAL_LOCK);
		break;
	case DECODE_LONG:
		too_long++;
		SAME(ZYAN_SUCCESS(z.status), false);
		break;
	case DECODE_REGISTER:
		with_registers++;
		SAME(ZYAN_SUCCESS(z.status) && on_the_list(&z), false);
		break;
	case DECODE_OTHER:
		SAME(ZYAN_SUCCESS(z.status) && on_the_list(&z), false);
		break;
	case DECODE_SHORT:
		fail_msg("fifteen bytes are always enough");
	}
}

static u8 random_byte(void)
{
	static u64 pool;
	static unsigned left;

	if (!left--) {
		pool = fake_random();
		left = 7;
	}
	pool = pool >> 8 | pool << 56;
	return (u8)pool;
}

/* Up to `most` prefixes in any order, and then often an opcode of two bytes. */
static void make_bytes(u8 *bytes)
{
	static const u8 prefixes[] = { 0x26, 0x2e, 0x36, 0x3e, 0x64, 0x65, 0x66, 0x67, 0xf0, 0xf2, 0xf3, 0x66, 0x67, 0x48, 0x44, 0x41 };
	unsigned most = random_byte() % 64 ? 4 : 15, n = random_byte() % (most + 1);

	for (unsigned i = 0; i < 15; i++)
		bytes[i] = random_byte();
	for (unsigned i = 0; i < n; i++)
		bytes[i] = prefixes[bytes[i] % ARRAY_SIZE(prefixes)];
	if (n < 15 && random_byte() % 3 == 0)
		bytes[n] = 0x0f;
}

static void lengths_and_operands_are_those_of_zydis(void **state)
{
	u8 bytes[15];

	for (unsigned i = 0; i < ROUNDS; i++) {
		make_bytes(bytes);
		check_one(i % 3, bytes);
	}
	/* The bytes reach every outcome. */
	assert_in_range(accepted, ROUNDS / 10, ROUNDS);
	assert_in_range(refused, ROUNDS / 500, ROUNDS);
	assert_in_range(with_registers, ROUNDS / 100, ROUNDS);
	assert_in_range(too_long, ROUNDS / 5000, ROUNDS);
}

/* Every opcode of one and of two bytes, every choice of a group, every REX and operand size. */
static void every_opcode_is_known_or_refused(void **state)
{
	for (unsigned i = 0; i < 2 * 256 * 256 * 8; i++) {
		u8 bytes[15] = { 0 };
		unsigned n = 0;

		if (i >> 17 & 1)
			bytes[n++] = 0x66;
		if (i >> 18 & 1)
			bytes[n++] = 0x48;
		if (i >> 19 & 1)
			bytes[n++] = 0xf3;
		if (i >> 16 & 1)
			bytes[n++] = 0x0f;
		bytes[n++] = (u8)(i >> 8);
		bytes[n++] = (u8)i;
		for (; n < 15; n++)
			bytes[n] = (u8)(0x81 + n);
		check_one(2 - (i >> 18 & 1 ? 0 : i % 3), bytes);
	}
}

/* The CPU looks at 15 bytes, and the keeper at no more than there are. */
static void fifteen_bytes_are_the_limit(void **state)
{
	u8 bytes[17];
	struct insn in;

	memset(bytes, 0x2e, sizeof(bytes));
	bytes[13] = 0x8b;
	bytes[14] = 0x00;
	assert_int_equal(insn_decode(bytes, 15, CODE_64, &in), DECODE_OK);
	assert_int_equal(in.length, 15);
	assert_int_equal(insn_decode(bytes, 14, CODE_64, &in), DECODE_SHORT);
	/* One byte of displacement more. */
	bytes[14] = 0x40;
	bytes[15] = 0x00;
	assert_int_equal(insn_decode(bytes, 17, CODE_64, &in), DECODE_LONG);
	memset(bytes, 0x66, sizeof(bytes));
	assert_int_equal(insn_decode(bytes, 17, CODE_64, &in), DECODE_LONG);
	assert_int_equal(insn_decode(bytes, 0, CODE_64, &in), DECODE_SHORT);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(lengths_and_operands_are_those_of_zydis),
		cmocka_unit_test(every_opcode_is_known_or_refused),
		cmocka_unit_test(fifteen_bytes_are_the_limit),
	};

	/* The same bytes each time, unless somebody asks for others. */
	setenv("SEED", "1", 0);
	ZydisDecoderInit(&decoders[0], ZYDIS_MACHINE_MODE_LEGACY_16, ZYDIS_STACK_WIDTH_16);
	ZydisDecoderInit(&decoders[1], ZYDIS_MACHINE_MODE_LEGACY_32, ZYDIS_STACK_WIDTH_32);
	ZydisDecoderInit(&decoders[2], ZYDIS_MACHINE_MODE_LONG_64, ZYDIS_STACK_WIDTH_64);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
