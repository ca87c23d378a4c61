/*
 * Bytes and strings: the functions that the compiler itself calls, and a few more that the
 * hypervisor needs.
 */
#ifndef LIB_STRING_H
#define LIB_STRING_H

/* As in the C standard. */
void *memcpy(void *dst, const void *src, size_t n);
void *memmove(void *dst, const void *src, size_t n);
void *memset(void *dst, int byte, size_t n);
int memcmp(const void *a, const void *b, size_t n);
size_t strlen(const char *s);
size_t strnlen(const char *s, size_t max);

/*
 * A freestanding compiler treats these as unknown functions. Under the names of its builtins it
 * expands small constant sizes in place.
 */
#define memcpy(dst, src, n)  __builtin_memcpy(dst, src, n)
#define memmove(dst, src, n) __builtin_memmove(dst, src, n)
#define memset(dst, byte, n) __builtin_memset(dst, byte, n)
#define memcmp(a, b, n)      __builtin_memcmp(a, b, n)
#define strlen(s)            __builtin_strlen(s)

/*
 * Copies as much of src as fits with its terminator into dst of `size` bytes. Returns strlen(src):
 * the copy is complete if that is below size. Inline, because not every host library that the tests
 * link has it.
 */
static inline size_t strlcpy(char *dst, const char *src, size_t size)
{
	size_t len = strlen(src);

	if (size) {
		size_t n = MIN(len, size - 1);

		memcpy(dst, src, n);
		dst[n] = '\0';
	}
	return len;
}

#endif
