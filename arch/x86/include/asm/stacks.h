/*
 * Each CPU's stacks: the run loop's, and one for each exception that can't trust the run loop's
 * stack. Below each lies an unmapped page, so that an overflow faults.
 */
#ifndef ASM_STACKS_H
#define ASM_STACKS_H

#include <asm/page.h>

enum { STACK_MAIN, STACK_NMI, STACK_DF, STACK_MC, STACKS_PER_CPU };

#define STACK_PAGES 4u                          /* of each stack */
#define STACK_SLOT  ((STACK_PAGES + 1) * PAGE_SIZE)   /* with its guard page, which comes first */

static inline u64 stack_bottom(unsigned cpu, unsigned which)
{
	return STACKS_BASE + (cpu * STACKS_PER_CPU + which) * STACK_SLOT + PAGE_SIZE;
}

static inline u64 stack_top(unsigned cpu, unsigned which)
{
	return stack_bottom(cpu, which) + STACK_PAGES * PAGE_SIZE;
}

#endif
