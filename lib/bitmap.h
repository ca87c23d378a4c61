/* Arrays of bits in 64-bit words, bit n in word n / 64, for data under a lock. */
#ifndef LIB_BITMAP_H
#define LIB_BITMAP_H

#include "lib/bits.h"

#define BITMAP_WORDS(bits) (((bits) + 63) / 64)

static inline void bitmap_set(u64 *map, size_t bit) { map[bit / 64] |= BIT(bit % 64); }

static inline void bitmap_clear(u64 *map, size_t bit) { map[bit / 64] &= ~BIT(bit % 64); }

/* Returns the first set bit at or after `from`, or `bits` if there is none. */
static inline size_t bitmap_find_next(const u64 *map, size_t bits, size_t from)
{
	u64 word;
	size_t i;

	if (from >= bits)
		return bits;
	i = from / 64;
	word = map[i] & (~0ull << (from % 64));
	while (!word) {
		if (++i == BITMAP_WORDS(bits))
			return bits;
		word = map[i];
	}
	return MIN(bits, i * 64 + lowest_bit(word));
}

#endif
