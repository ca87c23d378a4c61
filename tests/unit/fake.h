/* What every unit test includes: cmocka, and the pretended machine under the code that is tested. */
#ifndef TESTS_UNIT_FAKE_H
#define TESTS_UNIT_FAKE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "lib/base.h"
#include "lib/string.h"
#include <asm/cpu.h>
#include <asm/page.h>
#include <asm/spinlock.h>
#include <asm/time.h>

/* Everything printk'ed since the last fake_log_clear(), level marks left out. FAKE_LOG=1 in the environment shows it, too. */
extern char fake_log[];
void fake_log_clear(void);
#define assert_logged(text) do { \
	if (!__builtin_strstr(fake_log, text)) \
		fail_msg("the log lacks \"%s\"; it is:\n%s", text, fake_log); \
} while (0)
#define assert_not_logged(text) do { \
	if (__builtin_strstr(fake_log, text)) \
		fail_msg("the log has \"%s\":\n%s", text, fake_log); \
} while (0)

/*
 * A frame table over the first `frames` frames of the arena, all reserved; page_add_range() is up to the test. Needs
 * mm/buddy.c among the units. Call it once per program.
 */
void fake_memory_init(u64 frames);

/* If set, called when a lock is taken while another of its level is held: whoever has such pairs states their order. */
/* step_over() says yes each so many times that it is asked; 0: never. */
extern unsigned fake_steps;

extern void (*fake_lock_pair)(const spinlock_t *held, const spinlock_t *taken);

/* Locks held now: a test's end is a good moment to find none. */
unsigned fake_locks_held(void);

/* A number from a generator that starts with the seed; the seed is taken from SEED in the environment, or the clock. */
u64 fake_random(void);
u64 fake_random_seed(void);     /* the seed in use: print it when a random test fails */

/* Runs `code` and passes if it ends in BUG() or panic(); the locks it held are forgotten. */
#define expect_bug(code) fake_expect(FAKE_BUG, code)
#define expect_panic(code) fake_expect(FAKE_PANIC, code)

/* How the macros work. */
enum fake_end { FAKE_NONE, FAKE_BUG, FAKE_PANIC };
extern jmp_buf fake_end_jump;
extern enum fake_end fake_end_expected;
void fake_locks_forget(void);
#define fake_expect(which, code) do { \
	if (!setjmp(fake_end_jump)) { \
		fake_end_expected = which; \
		code; \
		fake_end_expected = FAKE_NONE; \
		fail_msg("no %s in: %s", (which) == FAKE_BUG ? "BUG" : "panic", #code); \
	} \
	fake_end_expected = FAKE_NONE; \
	fake_locks_forget(); \
} while (0)

#endif
