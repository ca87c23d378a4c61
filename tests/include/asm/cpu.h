/*
 * The host's pCPUs: the real header, whose structures must not drift from it, with the one thing replaced that needs
 * ring 0's GS base: who am I. A test becomes another pCPU by setting fake_cpu.
 */
#define this_cpu     machine_this_cpu
#define cpu_id       machine_cpu_id
#define current_vcpu machine_current_vcpu
#define cpu_tries    machine_cpu_tries
#include "arch/x86/include/asm/cpu.h"
#undef this_cpu
#undef cpu_id
#undef current_vcpu
#undef cpu_tries

#ifndef TESTS_ASM_CPU_H
#define TESTS_ASM_CPU_H

extern unsigned fake_cpu;   /* the pCPU that the test is now */

static inline struct percpu *this_cpu(void) { return &percpu[fake_cpu]; }
static inline unsigned cpu_id(void) { return fake_cpu; }
static inline void cpu_tries(const char *what) { this_cpu()->trying = what; }
static inline struct vcpu *current_vcpu(void) { return this_cpu()->current; }

#endif
