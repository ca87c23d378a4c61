/* Questions about the bits of one word. */
#ifndef LIB_BITS_H
#define LIB_BITS_H

#include "lib/base.h"

/* Index of the lowest or highest bit that is set; x must not be 0. */
static inline unsigned lowest_bit(u64 x) { return (unsigned)__builtin_ctzll(x); }
static inline unsigned highest_bit(u64 x) { return 63 - (unsigned)__builtin_clzll(x); }

/* Logarithm to base 2, rounded down and up; x must not be 0. */
static inline unsigned ilog2(u64 x) { return highest_bit(x); }
static inline unsigned ilog2_up(u64 x) { return x > 1 ? highest_bit(x - 1) + 1 : 0; }

static inline bool is_power_of_2(u64 x) { return x && !(x & (x - 1)); }

/* Number of bits that are set. Not the builtin: without the POPCNT instruction that is a call into the compiler's library. */
static inline unsigned count_bits(u64 x)
{
	unsigned n = 0;

	for (; x; x &= x - 1)
		n++;
	return n;
}

#endif
