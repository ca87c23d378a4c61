/*
 * Ticket spinlocks with a stated order. Ring 0 runs with interrupts off, so there is one kind of
 * lock and no irqsave. A CPU may take only a lock of a higher level than those it holds; otherwise
 * two CPUs could wait for each other. Exception: two locks of LOCK_EVTCHN, LOCK_GRANT or LOCK_RQ,
 * in the order of their domain or CPU number. Debug builds assert the order.
 */
#ifndef ASM_SPINLOCK_H
#define ASM_SPINLOCK_H

enum lock_level {
	LOCK_CONTROL = 1,   /* held by the one domctl or sysctl that changes the set of domains */
	LOCK_DOMAINS,       /* the table of domains */
	LOCK_DOMAIN,        /* a domain's life cycle */
	LOCK_EVTCHN,        /* a domain's event channels */
	LOCK_GRANT,         /* a domain's grant table and maptrack */
	LOCK_P2M,           /* a domain's p2m; the service domain's: the IOMMUs too */
	LOCK_RQ,            /* a CPU's run queue */
	LOCK_TIMER,         /* a CPU's timers */
	LOCK_WALLCLOCK,
	LOCK_RECORD,        /* slots of vCPUs' counters */
	LOCK_HEAP,
	LOCK_PAGE,          /* the buddy allocator */
	LOCK_CONSOLE,
};

typedef struct spinlock {
	u16 next;           /* [a] ticket to hand out */
	u16 owner;          /* [a] ticket being served */
	u16 level;          /* [I] enum lock_level */
} spinlock_t;

#define SPINLOCK(lvl) { .level = (lvl) }

static inline void spin_init(spinlock_t *l, enum lock_level level)
{
	*l = (spinlock_t)SPINLOCK((u16)level);
}

static inline void spin_lock(spinlock_t *l)
{
	u16 ticket = __atomic_fetch_add(&l->next, 1, __ATOMIC_RELAXED);

	/* Acquire: reads below see everything that the last holder wrote. */
	while (__atomic_load_n(&l->owner, __ATOMIC_ACQUIRE) != ticket)
		__builtin_ia32_pause();
}

/* Takes the lock if it is free and no CPU waits for it. Returns true if taken. */
static inline bool spin_trylock(spinlock_t *l)
{
	/* Acquire: as in spin_lock. */
	u16 ticket = __atomic_load_n(&l->owner, __ATOMIC_ACQUIRE), next = ticket;

	return __atomic_compare_exchange_n(&l->next, &next, (u16)(ticket + 1), false, __ATOMIC_ACQUIRE, __ATOMIC_RELAXED);
}

static inline void spin_unlock(spinlock_t *l)
{
	/* Release: the next holder sees all writes made under the lock. */
	__atomic_store_n(&l->owner, (u16)(l->owner + 1), __ATOMIC_RELEASE);
}

static inline bool spin_is_locked(const spinlock_t *l)
{
	return __atomic_load_n(&l->owner, __ATOMIC_RELAXED) != __atomic_load_n(&l->next, __ATOMIC_RELAXED);
}

#endif
