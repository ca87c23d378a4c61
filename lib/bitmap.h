/*
 * Arrays of bits in 64-bit words, bit n in word n / 64. The plain operations are for data under a lock; the atomic_ ones
 * work on words that other CPUs, or a guest, change at the same time.
 */
#ifndef LIB_BITMAP_H
#define LIB_BITMAP_H

#include "lib/bits.h"

#define BITMAP_WORDS(bits) (((bits) + 63) / 64)

static inline bool bitmap_test(const u64 *map, size_t bit)
{
	return map[bit / 64] & BIT(bit % 64);
}

static inline void bitmap_set(u64 *map, size_t bit)
{
	map[bit / 64] |= BIT(bit % 64);
}

static inline void bitmap_clear(u64 *map, size_t bit)
{
	map[bit / 64] &= ~BIT(bit % 64);
}

/* The first set bit at or after `from`, or `bits` if there is none. */
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

static inline size_t bitmap_find_first(const u64 *map, size_t bits)
{
	return bitmap_find_next(map, bits, 0);
}

/* The first clear bit at or after `from`, or `bits` if there is none. */
static inline size_t bitmap_find_next_zero(const u64 *map, size_t bits, size_t from)
{
	u64 word;
	size_t i;

	if (from >= bits)
		return bits;
	i = from / 64;
	word = ~map[i] & (~0ull << (from % 64));
	while (!word) {
		if (++i == BITMAP_WORDS(bits))
			return bits;
		word = ~map[i];
	}
	return MIN(bits, i * 64 + lowest_bit(word));
}

/* The locked operations order everything before them against everything after. Those that return tell the bit's old value. */
static inline bool atomic_test_bit(const u64 *map, size_t bit)
{
	return __atomic_load_n(&map[bit / 64], __ATOMIC_ACQUIRE) & BIT(bit % 64);
}

static inline void atomic_set_bit(u64 *map, size_t bit)
{
	__atomic_or_fetch(&map[bit / 64], BIT(bit % 64), __ATOMIC_SEQ_CST);
}

static inline void atomic_clear_bit(u64 *map, size_t bit)
{
	__atomic_and_fetch(&map[bit / 64], ~BIT(bit % 64), __ATOMIC_SEQ_CST);
}

static inline bool atomic_test_and_set_bit(u64 *map, size_t bit)
{
	return __atomic_fetch_or(&map[bit / 64], BIT(bit % 64), __ATOMIC_SEQ_CST) & BIT(bit % 64);
}

static inline bool atomic_test_and_clear_bit(u64 *map, size_t bit)
{
	return __atomic_fetch_and(&map[bit / 64], ~BIT(bit % 64), __ATOMIC_SEQ_CST) & BIT(bit % 64);
}

#endif
