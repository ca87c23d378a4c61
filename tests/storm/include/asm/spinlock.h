/* The real header's locks and levels, taken and let go by tests/storm/machine.c, which checks the order and lets the host's threads take turns. */
#define spin_lock      machine_spin_lock
#define spin_unlock    machine_spin_unlock
#define spin_trylock   machine_spin_trylock
#include "arch/x86/include/asm/spinlock.h"
#undef spin_lock
#undef spin_unlock
#undef spin_trylock

#ifndef TESTS_STORM_ASM_SPINLOCK_H
#define TESTS_STORM_ASM_SPINLOCK_H

void spin_lock(spinlock_t *l);
void spin_unlock(spinlock_t *l);
bool spin_trylock(spinlock_t *l);

#endif
