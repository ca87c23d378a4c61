/* Time on the host: the real header's functions, over a clock that stands still until the test moves it. */
#include "arch/x86/include/asm/time.h"

#ifndef TESTS_ASM_TIME_H
#define TESTS_ASM_TIME_H

extern u64 fake_time;       /* ns: what time_now() says; time_tsc() says the same */
extern u64 fake_armed;      /* ns: the last time_arm() */

#endif
