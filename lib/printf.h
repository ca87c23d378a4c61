/* Text from values: the part of C's formatted output that a hypervisor needs. */
#ifndef LIB_PRINTF_H
#define LIB_PRINTF_H

#include <stdarg.h>

/*
 * As in the C standard, for the conversions d u x s c %, the lengths l ll z, and the flags - 0 #.
 * They take a width, and for s a precision, which may be *. Writes at most `size` bytes, terminator
 * included. Returns the length of the whole text.
 */
int vsnprintf(char *buf, size_t size, const char *fmt, va_list args) __printf(3, 0);
int snprintf(char *buf, size_t size, const char *fmt, ...) __printf(3, 4);

#endif
