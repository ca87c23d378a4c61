/* One CPU: its own data, the barriers, the clock, and a few instructions that need ring 0. */
#ifndef ASM_CPU_H
#define ASM_CPU_H

#define NR_CPUS 64

typedef u64 cpumask_t;  /* bit n is CPU n */

struct vcpu;
struct record;
struct record_cpu;

/* Each CPU's own data, reached through GS. Fields are [c] unless marked. */
struct percpu {
	struct percpu *self;        /* [I] at offset 0: "mov %gs:0" */
	u32 cpu;                    /* [I] number, dense from 0 */
	u32 apic_id;                /* [I] physical */
	struct vcpu *current;       /* vCPU whose state is loaded, or NULL */
	/* Guest-mode bookkeeping for remote TLB flushes: see arch/x86/hvm.c. */
	u32 in_guest;               /* [a] */
	/* [a] the p2m whose translations this CPU may be using: the current vCPU's, or NULL */
	const void *guest_p2m;
	u64 guest_gen;              /* [a] the generation of that p2m which this CPU has seen */
	/* [a] someone needs this CPU: it looks at timers, run queue and dead domains before a guest */
	u64 look_around;
	u64 seen_seal;              /* [a] the last seal that this CPU knows: vmm/life/seal.h */
	u64 asid_generation;
	u32 asid_next;
	u64 tlb_flushes;
	u64 xcr0;                   /* value now in XCR0 */
	u32 last_domid;             /* domain whose vCPU ran here last */
	/* name of the feature being switched on, which may fault; or NULL */
	const char *trying;
	u64 irq_count;
	u64 idle_ns;
	struct record *records;     /* [I] the ring of records of this CPU: vmm/domain/record.h */
	struct record_cpu *counters; /* [I] */
	/* where the current vCPU's exits go: these two, or out of sight if it is sealed */
	struct record *exit_ring;
	struct record_cpu *exit_head;
	struct record *last_exit;   /* of the current vCPU */
	/* [a] longest time with interrupts off, in TSC ticks: vmm/domain/record.h */
	u64 irqs_off;
	/* system time at which the physical timer fires; ~0 if it is not armed */
	u64 timer_armed;
};

extern struct percpu percpu[NR_CPUS];
extern unsigned nr_cpus;        /* [I] after bring-up: CPUs online, numbered 0..nr_cpus-1 */

/* Returns the mask of all CPUs that run. */
static inline cpumask_t cpus_online(void) { return nr_cpus >= NR_CPUS ? ~0ull : BIT(nr_cpus) - 1; }

static inline struct percpu *this_cpu(void)
{
	struct percpu *p;

	__asm__("mov %%gs:0, %0" : "=r"(p));
	return p;
}

static inline unsigned cpu_id(void) { return this_cpu()->cpu; }
static inline struct vcpu *current_vcpu(void) { return this_cpu()->current; }
/*
 * Names the feature that is about to be switched on. If the CPU faults before the next call, the
 * log blames the CPU, which announced the feature, and not a bug of ours. NULL ends this.
 */
static inline void cpu_tries(const char *what) { *(const char *volatile *)&this_cpu()->trying = what; }
static inline void cpu_relax(void) { __asm__ volatile("pause" ::: "memory"); }
/* Keeps the compiler from moving memory accesses across; smp_mb() keeps the CPU from it too. */
static inline void barrier(void) { __asm__ volatile("" ::: "memory"); }
static inline void smp_mb(void) { __atomic_thread_fence(__ATOMIC_SEQ_CST); }

/*
 * Makes CPU `cpu` leave guest mode (or idle) soon and look around. Harmless if it does
 * neither.
 */
void cpu_kick(unsigned cpu);

#endif
