/* Bringing up the other pCPUs. */
#ifndef ASM_SMP_H
#define ASM_SMP_H

/* The boot CPU becomes pCPU 0. */
void smp_init_boot_cpu(u32 apic_id);
/*
 * Starts the CPUs with these APIC ids (at most NR_CPUS - 1), all at once, and waits for them: pCPUs 1 and up, in this order, each runs
 * `main` (which never returns). Those that don't come are left out, and the log names them. `trampoline`: a free page below 1 MiB.
 */
void smp_start(const u32 *apic_id, unsigned nr, paddr_t trampoline, void (*main)(void));

#endif
