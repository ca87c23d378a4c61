/* Makes a guest's clock run at its own rate by this machine's TSC, which the CPU may scale for it. */
#include <asm/guest_clock.h>
#include <asm/insn.h>
#include "lib/bits.h"

/*
 * The same machine measures its TSC differently by some 20 in a million from boot to boot. Guests
 * that rely on the rate correct up to 500 in a million by NTP.
 */
#define PER_MILLION 250ull

u64 clock_ratio_bits;

u64 clock_ratio(u32 khz)
{
	u32 own = time_scale.tsc_khz, more = MAX(khz, own), less = MIN(khz, own);
	u64 ratio;

	if ((more - less) * 1000000ull <= PER_MILLION * own)
		return CLOCK_UNSCALED;
	if (khz >> 16 >= own)
		return 0;       /* 2^16 or more */
	ratio = divide(khz >> 16, (u64)khz << 48, own);
	return ratio > (clock_ratio_bits | 0xffff) ? 0 : ratio & clock_ratio_bits;
}

void clock_start(struct domain_clock *c, u64 tsc, u64 now)
{
	u64 ratio = clock_ratio(c->restored_khz), factor = (u64)time_scale.mul << 32, exact;
	int zeros = 63 - (int)ilog2(ratio), half = factor >= ratio << zeros;

	/*
	 * The machine's factor divided by the ratio that the CPU uses, in 64 bits of which the
	 * highest is set. The scale has room for the upper half.
	 */
	exact = divide(factor >> half, 0, ratio << zeros);
	c->scale = (struct time_scale){ tsc, (u32)(exact >> 32), (s8)(time_scale.shift + zeros + half - 16), c->restored_khz };
	c->drift = (exact << 32) / (exact >> 32);
	c->tsc_ratio = ratio;
	c->tsc_offset = tsc - clock_product(now, ratio, 48);
	c->base_ns = c->restored_ns;
	c->delta = c->base_ns - time_at(now);
	c->restored_khz = 0;
}
