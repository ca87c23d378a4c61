/* How long one step of a long operation may keep interrupts waiting. */
#include <asm/insn.h>
#include <asm/time.h>
#include "vmm/domain/record.h"

#define STEPS_PER_SECOND 25000u /* of 40 us each */

bool step_over(void)
{
	return (u64)(rdtsc_low() - this_cpu()->last_exit->tsc_low) * (STEPS_PER_SECOND / 1000) > time_scale.tsc_khz;
}
