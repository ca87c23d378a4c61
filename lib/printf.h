/* Text from values: the part of C's formatted output that a hypervisor needs. */
#ifndef LIB_PRINTF_H
#define LIB_PRINTF_H

#include <stdarg.h>
#include "lib/base.h"

/*
 * As in the C standard, for d i u x X p s c %, lengths hh h l ll z t j, flags - 0 + space #, width and precision (either may be *).
 * Writes at most `size` bytes, terminator included; returns the length that the whole text has.
 */
int vsnprintf(char *buf, size_t size, const char *fmt, va_list args) __printf(3, 0);
int snprintf(char *buf, size_t size, const char *fmt, ...) __printf(3, 4);

#endif
