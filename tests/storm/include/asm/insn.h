/* As in the unit tests, and without XCR0, which is the host kernel's. */
#define xsetbv machine_xsetbv
#define xgetbv machine_xgetbv
#include "tests/include/asm/insn.h"
#undef xsetbv
#undef xgetbv

#ifndef TESTS_STORM_ASM_INSN_H
#define TESTS_STORM_ASM_INSN_H

static inline void xsetbv(u64 v) { }
static inline u64 xgetbv(void) { return 1; }

#endif
