/*
 * Runs one instruction on this machine's CPU in user mode, in 16, 32 or 64-bit code, with registers
 * and memory of the caller's choice, and says what it did. Registers are numbered as instructions
 * encode them.
 */
#ifndef TESTS_UNIT_NATIVE_H
#define TESTS_UNIT_NATIVE_H

#include "lib/base.h"

/*
 * Memory that nothing else uses: pages that can't be accessed, in their middle two that can and one
 * that can be read. Code lies higher up. All of it is in reach of 16-bit offsets from the segments'
 * bases.
 */
#define NATIVE_ARENA 0x20000000ull
#define NATIVE_RW    (NATIVE_ARENA + 0x1000)
#define NATIVE_RO    (NATIVE_ARENA + 0x3000)
#define NATIVE_END   (NATIVE_ARENA + 0x4000)
#define NATIVE_CODE  (NATIVE_ARENA + 0x8000)

/*
 * The segments of 16 and 32-bit code, in the order of their numbers: ES grows down, and GS can be
 * read only.
 */
#define NATIVE_ES_BASE  (NATIVE_ARENA - 0x1000)
#define NATIVE_ES_LIMIT 0x27ffu
#define NATIVE_CS_BASE  (NATIVE_ARENA - 0x4000)
#define NATIVE_SS_BASE  (NATIVE_ARENA - 0x2000)
#define NATIVE_SS_LIMIT 0x4a0bu
#define NATIVE_DS_BASE  (NATIVE_ARENA - 0x3000)
#define NATIVE_DS_LIMIT 0x5e05u
#define NATIVE_GS_BASE  (NATIVE_ARENA - 0x4800)
#define NATIVE_LIMIT    0xffffu

struct native {
	u64 regs[16], rip, rflags;
	unsigned mode;          /* bytes of an address: 2, 4 or 8 */
	bool small_stack;       /* not in 64-bit code: PUSH and POP use SP, not ESP */
	/*
	 * the outcome: 1 (a step) or 3 (the breakpoint behind the instruction) if it ended well,
	 * else its exception
	 */
	u8 vector;
	u32 error;
	u64 cr2;
};

/*
 * Returns whether 16 and 32-bit code can run, too; some kernels have no segments of a process's
 * own. Call it once.
 */
bool native_init(void);
/*
 * Takes the signals for exceptions. cmocka takes them too, before each test, so each test calls
 * this first.
 */
void native_begin(void);
/* The base of FS in 64-bit code; GS has NATIVE_GS_BASE if native_init() returned true, else 0. */
u64 native_fs_base(void);
/*
 * Puts `n` bytes at NATIVE_CODE, runs them from there, and changes *s to what the CPU has made of
 * it.
 */
void native_run(struct native *s, const u8 *bytes, unsigned n);

#endif
