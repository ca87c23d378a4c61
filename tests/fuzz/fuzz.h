/* A fuzz target is one function that may be given any bytes at all and must come back. */
#ifndef TESTS_FUZZ_FUZZ_H
#define TESTS_FUZZ_FUZZ_H

#include "lib/base.h"

/* Called once for each input; `data` is exactly `size` bytes long. Always returns 0: the sanitisers say what is wrong. */
int LLVMFuzzerTestOneInput(const u8 *data, size_t size);

/* For results that nobody else looks at: keeps the compiler from leaving out the reads. */
static inline void fuzz_use(const void *p, size_t len)
{
	u8 sum = 0;

	for (size_t i = 0; i < len; i++)
		sum = (u8)(sum + ((const u8 *)p)[i]);
	__asm__ volatile("" : : "r"(sum));
}

#endif
