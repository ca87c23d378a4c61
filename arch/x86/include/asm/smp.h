/* Bringing up the other CPUs. */
#ifndef ASM_SMP_H
#define ASM_SMP_H

/*
 * Starts the CPUs with these APIC ids (at most NR_CPUS - 1), all at once, and waits for them. They
 * become CPUs 1 and up in this order, and each runs `main`, which never returns. CPUs that don't
 * come up are left out, and the log names them. `trampoline`: a free page below 1 MiB.
 */
void smp_start(const u32 *apic_id, unsigned nr, paddr_t trampoline, void (*main)(void));

#endif
