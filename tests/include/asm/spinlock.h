/*
 * Spinlocks on the host: the real header's type and levels; taking one checks what the real one can only trust. Taking a
 * lock twice, or out of order, or letting one go that isn't held, is a bug() that the test reports.
 */
#define spin_init      machine_spin_init
#define spin_lock      machine_spin_lock
#define spin_trylock   machine_spin_trylock
#define spin_unlock    machine_spin_unlock
#define spin_is_locked machine_spin_is_locked
#include "arch/x86/include/asm/spinlock.h"
#undef spin_init
#undef spin_lock
#undef spin_trylock
#undef spin_unlock
#undef spin_is_locked

#ifndef TESTS_ASM_SPINLOCK_H
#define TESTS_ASM_SPINLOCK_H

static inline void spin_init(spinlock_t *l, enum lock_level level)
{
	*l = (spinlock_t)SPINLOCK((u16)level);
}

void spin_lock(spinlock_t *l);
bool spin_trylock(spinlock_t *l);
void spin_unlock(spinlock_t *l);
bool spin_is_locked(const spinlock_t *l);

#endif
