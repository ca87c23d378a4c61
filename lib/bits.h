/* Functions on the bits of one word. */
#ifndef LIB_BITS_H
#define LIB_BITS_H

/* Returns the index of the lowest set bit; x must not be 0. */
static inline unsigned lowest_bit(u64 x) { return (unsigned)__builtin_ctzll(x); }

/* Return the logarithm to base 2, rounded down and up; x must not be 0. */
static inline unsigned ilog2(u64 x) { return 63 - (unsigned)__builtin_clzll(x); }
static inline unsigned ilog2_up(u64 x) { return x > 1 ? ilog2(x - 1) + 1 : 0; }

#endif
