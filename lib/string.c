/*
 * The compiler calls memcpy, memmove, memset and memcmp even in a freestanding program, so they
 * must exist. They copy and fill with string instructions, eight bytes at a time: fast on today's
 * CPUs, and cheap where each repetition is counted. Names are in brackets if the header has a macro
 * of the same name.
 */
#include "lib/string.h"

void *(memcpy)(void *dst, const void *src, size_t n)
{
	void *d = dst;
	size_t words = n / 8;

	__asm__ volatile("rep movsq" : "+D"(d), "+S"(src), "+c"(words) : : "memory");
	n %= 8;
	__asm__ volatile("rep movsb" : "+D"(d), "+S"(src), "+c"(n) : : "memory");
	return dst;
}

void *(memset)(void *dst, int byte, size_t n)
{
	void *d = dst;
	size_t words = n / 8;
	u64 word = (u8)byte * 0x0101010101010101ull;

	__asm__ volatile("rep stosq" : "+D"(d), "+c"(words) : "a"(word) : "memory");
	n %= 8;
	__asm__ volatile("rep stosb" : "+D"(d), "+c"(n) : "a"(word) : "memory");
	return dst;
}

/* Copies from the end, for a destination that begins inside the source. */
static void copy_backwards(void *dst, const void *src, size_t n)
{
	u8 *d = (u8 *)dst + n - 1;
	const u8 *s = (const u8 *)src + n - 1;

	__asm__ volatile("std; rep movsb; cld" : "+D"(d), "+S"(s), "+c"(n) : : "memory", "cc");
}

void *(memmove)(void *dst, const void *src, size_t n)
{
	if ((uintptr_t)dst - (uintptr_t)src >= n)
		return memcpy(dst, src, n);
	copy_backwards(dst, src, n);
	return dst;
}

int (memcmp)(const void *a, const void *b, size_t n)
{
	const u8 *x = a, *y = b;

	for (; n; n--, x++, y++)
		if (*x != *y)
			return *x - *y;
	return 0;
}

size_t strnlen(const char *s, size_t max)
{
	size_t n = 0;

	while (n < max && s[n])
		n++;
	return n;
}

size_t (strlen)(const char *s)
{
	return strnlen(s, SIZE_MAX);
}
