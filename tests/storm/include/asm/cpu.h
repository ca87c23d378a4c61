/* A CPU of the storm is a thread of the host: the real header, with what needs ring 0's GS base replaced. */
#define this_cpu     machine_this_cpu
#define cpu_id       machine_cpu_id
#define current_vcpu machine_current_vcpu
#define cpu_relax    machine_cpu_relax
#define smp_mb       machine_smp_mb
#include "arch/x86/include/asm/cpu.h"
#undef this_cpu
#undef cpu_id
#undef current_vcpu
#undef cpu_relax
#undef smp_mb

#ifndef TESTS_STORM_ASM_CPU_H
#define TESTS_STORM_ASM_CPU_H

extern __thread unsigned storm_cpu;

static inline struct percpu *this_cpu(void) { return &percpu[storm_cpu]; }
static inline unsigned cpu_id(void) { return storm_cpu; }
static inline struct vcpu *current_vcpu(void) { return this_cpu()->current; }
/* There are more CPUs than the host has: who waits lets others go on. */
void cpu_relax(void);

/* ThreadSanitizer knows no fences. */
extern u32 storm_fence;
static inline void smp_mb(void) { __atomic_fetch_add(&storm_fence, 0, __ATOMIC_SEQ_CST); }

#endif
