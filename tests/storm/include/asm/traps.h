/* Interrupts of a CPU of the storm wait in tests/storm/machine.c until they are taken. */
#define interrupts_window machine_interrupts_window
#define interrupts_wait   machine_interrupts_wait
#include "arch/x86/include/asm/traps.h"
#undef interrupts_window
#undef interrupts_wait

#ifndef TESTS_STORM_ASM_TRAPS_H
#define TESTS_STORM_ASM_TRAPS_H

void interrupts_window(void);
void interrupts_wait(void);

#endif
