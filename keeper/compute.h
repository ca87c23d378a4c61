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
 * Returns what becomes of the destination `a` when the operation (enum insn_op, up to OP_DEC) is
 * done with the source `b`, and sets the status flags in *flags. Bits above `size` bytes are
 * ignored in a and b and mean nothing in the result.
 */
u64 compute(unsigned op, u64 a, u64 b, unsigned size, u64 *flags);
/* Is the condition number `cond` of Jcc, CMOVcc and SETcc true? */
bool condition_holds(u64 flags, unsigned cond);

#endif
