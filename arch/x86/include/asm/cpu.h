/* One pCPU: who am I, the barriers, the clock, and the few instructions that need ring 0. */
#ifndef ASM_CPU_H
#define ASM_CPU_H

#define NR_CPUS 64

typedef u64 cpumask_t;  /* bit n is pCPU n */

struct vcpu;
struct record;
struct record_cpu;

/* What every pCPU keeps for itself; reached through GS. Fields are [c] unless marked. */
struct percpu {
	struct percpu *self;        /* [I] at offset 0: "mov %gs:0" */
	u32 cpu;                    /* [I] number, dense from 0 */
	u32 apic_id;                /* [I] physical */
	struct vcpu *current;       /* vCPU whose state is loaded, or NULL */
	/* Guest-mode bookkeeping for remote TLB flushes: see arch/x86/hvm.c. */
	u32 in_guest;               /* [a] */
	const void *guest_p2m;      /* [a] the current vCPU's: whose translations this CPU may be using; NULL without one */
	u64 guest_gen;              /* [a] of that generation */
	u64 need_resched;           /* [a] look at the run queue before entering a guest */
	u64 asid_generation;
	u32 asid_next;
	u64 tlb_flushes;
	u64 xcr0;                   /* value now in XCR0 */
	u32 last_domid;             /* whose vCPU ran last */
	const char *trying;         /* what is being switched on, which may fault; or NULL */
	u64 irq_count;
	u64 idle_ns;
	struct record *records;     /* [I] the ring of what happened here: vmm/domain/record.h */
	struct record_cpu *counters; /* [I] */
	struct record *last_exit;   /* of the current vCPU */
	u64 irqs_off;               /* [a] the longest time without interrupts here, in TSC ticks: vmm/domain/record.h */
	u64 timer_armed;            /* system time at which the physical timer will fire, ~0 if it won't */
};

extern struct percpu percpu[NR_CPUS];
extern unsigned nr_cpus;        /* [I] after bring-up: CPUs online, numbered 0..nr_cpus-1 */

/* All CPUs that run. */
static inline cpumask_t cpus_online(void) { return nr_cpus >= NR_CPUS ? ~0ull : BIT(nr_cpus) - 1; }

static inline struct percpu *this_cpu(void)
{
	struct percpu *p;

	__asm__("mov %%gs:0, %0" : "=r"(p));
	return p;
}

static inline unsigned cpu_id(void) { return this_cpu()->cpu; }
static inline struct vcpu *current_vcpu(void) { return this_cpu()->current; }
/* A fault that comes before the next of these is the CPU's, not a bug: `what` it says that it can, in words. NULL: over. */
static inline void cpu_tries(const char *what) { *(const char *volatile *)&this_cpu()->trying = what; }
static inline void cpu_relax(void) { __asm__ volatile("pause" ::: "memory"); }
static inline void barrier(void) { __asm__ volatile("" ::: "memory"); }
static inline void smp_mb(void) { __atomic_thread_fence(__ATOMIC_SEQ_CST); }

/* Makes pCPU `cpu` leave guest mode (or idle) soon and look at need_resched; harmless if it is elsewhere. */
void cpu_kick(unsigned cpu);

#endif
