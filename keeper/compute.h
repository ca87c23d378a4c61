/* Results and flags of integer operations, as the CPU has them. */
#ifndef KEEPER_COMPUTE_H
#define KEEPER_COMPUTE_H

/* Numbers have 1, 2, 4 or 8 bytes: all their bits, and the highest one. */
static inline u64 ones(unsigned size) { return ~0ull >> (64 - 8 * size); }
static inline u64 sign_bit(unsigned size) { return BIT(8 * size - 1); }
static inline u64 sign_extend(u64 value, unsigned size)
{
	return (u64)((s64)(value << (64 - 8 * size)) >> (64 - 8 * size));
}

/*
 * Returns what becomes of the destination `a` when the operation (enum insn_op, up to OP_DEC, and
 * OP_IMUL) is done with the source `b`, and sets the status flags in *flags. Bits above `size`
 * bytes are ignored in a and b and mean nothing in the result.
 */
u64 compute(unsigned op, u64 a, u64 b, unsigned size, u64 *flags);
/*
 * SHLD and SHRD: returns what becomes of `a` when bits of `fill` come in, and sets flags as
 * compute() does.
 */
u64 shift_double(bool left, u64 a, u64 fill, u64 count, unsigned size, u64 *flags);
/* Returns the lower half of a product, and sets *high to the other one, and CF and OF in *flags. */
u64 multiply(bool is_signed, u64 a, u64 b, unsigned size, u64 *high, u64 *flags);
/*
 * Divides a number, whose halves are *high and *low, and sets *low to the quotient and *high to the
 * remainder. Returns false if the quotient has no room (#DE); then nothing has changed.
 */
bool divide(bool is_signed, u64 *low, u64 *high, u64 divisor, unsigned size);
/* Is the condition number `cond` of Jcc, CMOVcc and SETcc true? */
bool condition_holds(u64 flags, unsigned cond);

#endif
