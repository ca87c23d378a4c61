/* Bringing up the other pCPUs. */
#ifndef ASM_SMP_H
#define ASM_SMP_H

#include "lib/base.h"

/* The boot CPU becomes pCPU 0. */
void smp_init_boot_cpu(u32 apic_id);
/*
 * Starts the CPU with that APIC id as the next pCPU and waits until it runs `main` (which never returns).
 * `trampoline`: a free page below 1 MiB. -EIO-like: false if it did not come up.
 */
bool smp_start(u32 apic_id, paddr_t trampoline, void (*main)(void));

#endif
