/* What Bothy does about what the CPU's speculation gives away: docs/security.md. */
#ifndef ASM_SPECULATION_H
#define ASM_SPECULATION_H

#include <asm/speculation_bits.h>

#define MSR_SPEC_CTRL 0x48u
#define MSR_PRED_CMD  0x49u     /* bit 0: IBPB */

extern u32 speculation;         /* [I] SPEC_* that are in use */

/*
 * Boot CPU: chooses by what the CPU is and has, and logs that in one line. Chooses nothing if not `wanted`.
 * `amd`: the CPU is AMD's or Hygon's, else Intel's.
 */
void speculation_choose(bool wanted, bool amd);
/* Switches on, on this CPU, what is on for good. */
void speculation_enable_cpu(void);

#endif
