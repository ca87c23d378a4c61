/* Questions about the bits of one word. */
#ifndef LIB_BITS_H
#define LIB_BITS_H

/* Index of the lowest bit that is set; x must not be 0. */
static inline unsigned lowest_bit(u64 x) { return (unsigned)__builtin_ctzll(x); }

/* Logarithm to base 2, rounded down and up; x must not be 0. */
static inline unsigned ilog2(u64 x) { return 63 - (unsigned)__builtin_clzll(x); }
static inline unsigned ilog2_up(u64 x) { return x > 1 ? ilog2(x - 1) + 1 : 0; }

#endif
