/* Guards against leaks by the CPU's speculation: docs/security.md. */
#ifndef ASM_SPECULATION_H
#define ASM_SPECULATION_H

#include <asm/speculation_bits.h>

#define MSR_SPEC_CTRL 0x48u
#define MSR_PRED_CMD  0x49u     /* bit 0: IBPB */

extern u32 speculation;         /* [I] SPEC_* that are in use */

/*
 * Chooses the guards by the CPU's model and features, and logs them in one line. Chooses none
 * unless `wanted`. `amd`: the CPU is AMD's or Hygon's, otherwise Intel's. Context: boot CPU.
 */
void speculation_choose(bool wanted, bool amd);
/* Switches the permanent guards on, on the calling CPU. */
void speculation_enable_cpu(void);

#endif
