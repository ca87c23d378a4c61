/*
 * Integer arithmetic with flags (SDM vol. 2, each instruction's "Flags Affected"). All flags are
 * made from the operands and the result; nothing is left to the CPU that this code runs on.
 */
#include "keeper/cpu.h"
#include "keeper/decode.h"
#include "keeper/compute.h"

#define FLAGS_RESULT (FLAG_PF | FLAG_ZF | FLAG_SF)
#define FLAGS_STATUS (FLAGS_RESULT | FLAG_CF | FLAG_AF | FLAG_OF)

static void put_flags(u64 *flags, u64 which, u64 value)
{
	*flags = (*flags & ~which) | (value & which);
}

static u64 result_flags(u64 result, unsigned size)
{
	return (result & ones(size) ? 0 : FLAG_ZF) | (result & sign_bit(size) ? FLAG_SF : 0) |
	       (__builtin_parity(result & 0xff) ? 0 : FLAG_PF);
}

static u64 add(u64 a, u64 b, bool carry, unsigned size, u64 *flags)
{
	u64 sum = a + b + carry;
	u64 carries = (a & b) | ((a | b) & ~sum);       /* out of each bit */

	put_flags(flags, FLAGS_STATUS, result_flags(sum, size) |
		  (carries & sign_bit(size) ? FLAG_CF : 0) | (carries & BIT(3) ? FLAG_AF : 0) |
		  ((a ^ sum) & (b ^ sum) & sign_bit(size) ? FLAG_OF : 0));
	return sum;
}

/* a - b is a + ~b + 1, and a borrow is the carry that is missing. */
static u64 subtract(u64 a, u64 b, bool borrow, unsigned size, u64 *flags)
{
	u64 difference = add(a, ~b, !borrow, size, flags);

	*flags ^= FLAG_CF | FLAG_AF;
	return difference;
}

static u64 logic(u64 result, unsigned size, u64 *flags)
{
	put_flags(flags, FLAGS_STATUS, result_flags(result, size));
	return result;
}

/* INC and DEC leave CF alone. */
static u64 step(unsigned op, u64 a, unsigned size, u64 *flags)
{
	u64 before = *flags, result;

	result = op == OP_INC ? add(a, 1, false, size, flags) : subtract(a, 1, false, size, flags);
	put_flags(flags, FLAG_CF, before);
	return result;
}

/*
 * One bit at a time: at most 63 steps, and each leaves the bit that goes out in CF. SHL and SHR
 * take in the bits of `fill`.
 */
static u64 shift(unsigned op, u64 a, u64 fill, u64 count, unsigned size, u64 *flags)
{
	u64 top = sign_bit(size);
	bool left = op == OP_ROL || op == OP_RCL || op == OP_SHL || op == OP_SAL;
	bool carry = *flags & FLAG_CF, sign_changed;

	count &= size == 8 ? 63 : 31;
	if (!count)
		return a;
	for (; count; count--) {
		bool out = a & (left ? top : 1), in = op == OP_ROL || op == OP_ROR ? out :
			op == OP_RCL || op == OP_RCR ? carry : op == OP_SAR ? a & top :
			fill & (left ? top : 1);

		a = left ? a << 1 | in : (a & ones(size)) >> 1 | (in ? top : 0);
		fill = left ? fill << 1 : fill >> 1;
		carry = out;
	}
	put_flags(flags, FLAG_CF, carry ? FLAG_CF : 0);
	/*
	 * Defined for a count of 1: did the sign change? To the right, the sign before is now the
	 * bit below.
	 */
	sign_changed = left ? !!(a & top) != carry : !!((a ^ a << 1) & top);
	put_flags(flags, FLAG_OF, sign_changed ? FLAG_OF : 0);
	if (op >= OP_SHL)
		put_flags(flags, FLAGS_RESULT | FLAG_AF, result_flags(a, size));
	return a;
}

u64 shift_double(bool left, u64 a, u64 fill, u64 count, unsigned size, u64 *flags)
{
	return shift(left ? OP_SHL : OP_SHR, a, fill, count, size, flags);
}

u64 multiply(bool is_signed, u64 a, u64 b, unsigned size, u64 *high, u64 *flags)
{
	__int128 product = is_signed ?
		(__int128)(s64)sign_extend(a, size) * (s64)sign_extend(b, size) :
		(__int128)((unsigned __int128)(a & ones(size)) * (b & ones(size)));
	u64 low = (u64)product & ones(size);

	*high = (u64)(product >> 8 * size) & ones(size);
	put_flags(flags, FLAG_CF | FLAG_OF,
		  *high == (is_signed && (low & sign_bit(size)) ? ones(size) : 0) ? 0 : ~0ull);
	return low;
}

/* One bit at a time, of positive numbers. */
bool divide(bool is_signed, u64 *low, u64 *high, u64 divisor, unsigned size)
{
	unsigned __int128 dividend = (unsigned __int128)(*high & ones(size)) << 8 * size |
		(*low & ones(size)), rest;
	bool minus = is_signed && (*high & sign_bit(size));
	bool negative = is_signed && minus != !!(divisor & sign_bit(size));
	u64 quotient = 0;

	if (minus)
		dividend = -dividend & ~(unsigned __int128)0 >> (128 - 16 * size);
	divisor = (negative != minus ? -divisor : divisor) & ones(size);
	rest = dividend >> 8 * size;
	if (rest >= divisor)
		return false;
	for (unsigned i = 8 * size; i-- > 0; ) {
		rest = rest << 1 | (dividend >> i & 1);
		quotient = quotient << 1 | (rest >= divisor);
		if (rest >= divisor)
			rest -= divisor;
	}
	if (is_signed && quotient > sign_bit(size) - !negative)
		return false;
	*low = negative ? -quotient : quotient;
	*high = minus ? -(u64)rest : (u64)rest;
	return true;
}

static u64 bit(unsigned op, u64 a, u64 number, unsigned size, u64 *flags)
{
	u64 mask = BIT(number & (8 * size - 1));

	put_flags(flags, FLAG_CF, a & mask ? FLAG_CF : 0);
	return op == OP_BTS ? a | mask : op == OP_BTR ? a & ~mask : op == OP_BTC ? a ^ mask : a;
}

u64 compute(unsigned op, u64 a, u64 b, unsigned size, u64 *flags)
{
	bool carry = *flags & FLAG_CF;
	u64 unused;

	switch (op) {
	case OP_ADD:
		return add(a, b, false, size, flags);
	case OP_ADC:
		return add(a, b, carry, size, flags);
	case OP_SBB:
		return subtract(a, b, carry, size, flags);
	case OP_SUB: case OP_CMP:
		return subtract(a, b, false, size, flags);
	case OP_NEG:
		return subtract(0, a, false, size, flags);
	case OP_OR:
		return logic(a | b, size, flags);
	case OP_XOR:
		return logic(a ^ b, size, flags);
	case OP_AND: case OP_TEST:
		return logic(a & b, size, flags);
	case OP_INC: case OP_DEC:
		return step(op, a, size, flags);
	case OP_BT: case OP_BTS: case OP_BTR: case OP_BTC:
		return bit(op, a, b, size, flags);
	case OP_NOT:
		return ~a;
	case OP_IMUL:
		return multiply(true, a, b, size, &unused, flags);
	default:
		return shift(op, a, 0, b, size, flags);
	}
}

bool condition_holds(u64 flags, unsigned cond)
{
	bool sign = flags & FLAG_SF, overflow = flags & FLAG_OF, holds;

	switch (cond >> 1 & 7) {
	case 0: holds = overflow; break;
	case 1: holds = flags & FLAG_CF; break;
	case 2: holds = flags & FLAG_ZF; break;
	case 3: holds = flags & (FLAG_CF | FLAG_ZF); break;
	case 4: holds = sign; break;
	case 5: holds = flags & FLAG_PF; break;
	case 6: holds = sign != overflow; break;
	default: holds = (flags & FLAG_ZF) || sign != overflow; break;
	}
	return holds != (cond & 1);
}
