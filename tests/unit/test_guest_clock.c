/* units: arch/x86/guest_clock.c */
/* A guest's clock by a TSC of another rate: which ratios there are, and that the page, the TSC and the timers never disagree. */
#include "tests/unit/fake.h"
#include <asm/guest_clock.h>

typedef unsigned __int128 u128;

#define VMX_BITS (~0ull)
#define SVM_BITS ((BIT(40) - 1) << 16)
#define YEAR_NS  (365ull * 24 * 3600 * NS_PER_S)

/* As arch/x86/time.c: how the machine's ticks become nanoseconds. */
static void machine(u32 khz, u64 tsc_base)
{
	u64 hz = (u64)khz * 1000;
	s8 shift = 0;

	for (; hz > 2 * NS_PER_S; hz >>= 1)
		shift--;
	for (; hz <= NS_PER_S; hz <<= 1)
		shift++;
	time_scale = (struct time_scale){ tsc_base, (u32)((NS_PER_S << 32) / hz - (hz == NS_PER_S)), shift, khz };
}

static u64 scaled(const struct time_scale *s, u64 tsc)
{
	u64 ticks = tsc - s->tsc_base;

	ticks = s->shift < 0 ? ticks >> -s->shift : ticks << s->shift;
	return (u64)((u128)ticks * s->mul >> 32);
}

u64 time_at(u64 tsc) { return scaled(&time_scale, tsc); }

/* What the guest reads: its TSC by the hardware, and the page by that. */
static u64 guest_ns(const struct domain_clock *c, u64 tsc)
{
	return c->base_ns + scaled(&c->scale, clock_guest_tsc(c, tsc));
}

static void rates_and_their_ratios(void **state)
{
	static const u32 rates[] = { 1, 2, 999, 10000, 12345, 100000, 150000, 1000000, 2595925, 2595936, 4000000, 5700000, 655350000, 655360000, 2560000000u, ~0u };

	clock_ratio_bits = VMX_BITS;
	for (unsigned own = 3; own < ARRAY_SIZE(rates); own++)
		for (unsigned i = 0; i < ARRAY_SIZE(rates); i++) {
			u128 wanted = ((u128)rates[i] << 48) / rates[own];
			u64 more = MAX(rates[i], rates[own]), less = MIN(rates[i], rates[own]);
			bool near = (more - less) * 4000 <= rates[own];

			machine(rates[own], 0);
			clock_ratio_bits = VMX_BITS;
			assert_int_equal(clock_ratio(rates[i]), near ? CLOCK_UNSCALED : wanted >> 64 ? 0 : (u64)wanted);
			clock_ratio_bits = SVM_BITS;
			assert_int_equal(clock_ratio(rates[i]), near ? CLOCK_UNSCALED : wanted >> 56 ? 0 : (u64)wanted >> 16 << 16);
			clock_ratio_bits = 0;
			assert_int_equal(clock_ratio(rates[i]), near ? CLOCK_UNSCALED : 0);
		}
}

/* 250 in a million is the same rate, whatever the CPU can do; 251 is not. */
static void near_rates_are_not_scaled(void **state)
{
	machine(2000000, 0);
	for (unsigned i = 0; i < 2; i++) {
		clock_ratio_bits = i ? VMX_BITS : 0;
		assert_int_equal(clock_ratio(2000500), CLOCK_UNSCALED);
		assert_int_equal(clock_ratio(1999500), CLOCK_UNSCALED);
	}
	assert_int_equal(clock_ratio(2000501), ((u128)2000501 << 48) / 2000000);
	assert_int_equal(clock_ratio(1999499), ((u128)1999499 << 48) / 2000000);
}

/* The ends of what the two vendors' registers can hold. */
static void ratios_end_where_the_register_does(void **state)
{
	machine(10000, 0);
	clock_ratio_bits = VMX_BITS;
	assert_int_equal(clock_ratio(655359999), ((u128)655359999 << 48) / 10000);
	assert_int_equal(clock_ratio(655360000), 0);
	assert_int_equal(clock_ratio(1), BIT(48) / 10000);
	clock_ratio_bits = SVM_BITS;
	assert_int_equal(clock_ratio(2559999), (((u128)2559999 << 48) / 10000) & SVM_BITS);
	assert_int_equal(clock_ratio(2560000), 0);
	/* So slow that no bit is left. */
	machine(~0u, 0);
	assert_int_equal(clock_ratio(1), BIT(16));
	clock_ratio_bits = VMX_BITS;
	assert_int_equal(clock_ratio(1), BIT(48) / ~0u);
}

/* `close` ns: the truncations of a page's two shifts, in ticks of either TSC. */
static void check_clock(u32 own, u32 khz, u64 up, u64 tsc, u64 ns)
{
	static const u64 later[] = { 0, 1, 1000, NS_PER_S, 3600 * NS_PER_S, 50 * 24 * 3600 * NS_PER_S, 3 * YEAR_NS };
	struct domain_clock c = { .restored_khz = khz, .restored_ns = ns, .suspended_tsc = 99 };
	u64 now, ratio, close;

	machine(own, 1000000);
	now = (u64)((u128)up * own / 1000000) + time_scale.tsc_base;
	ratio = clock_ratio(khz);
	assert_true(ratio);
	clock_start(&c, tsc, now);
	assert_true(c.tsc_ratio == ratio && c.scale.tsc_khz == khz && !c.restored_khz && c.suspended_tsc == 99);
	/* It goes on with the very tick and nanosecond. */
	assert_int_equal(clock_guest_tsc(&c, now), tsc);
	assert_int_equal(guest_ns(&c, now), ns);
	assert_true(c.scale.mul >> 31);
	close = 4 + 4000000 / MIN(own, khz);
	for (unsigned i = 0; i < ARRAY_SIZE(later); i++) {
		u64 then = now + (u64)((u128)later[i] * own / 1000000), page = guest_ns(&c, then), machines = time_at(then), back;
		u128 ticks = (u128)(then - now) * ratio >> 48;

		/* The hardware's product, truncated twice. */
		assert_true(clock_guest_tsc(&c, then) - tsc - (u64)ticks <= 1);
		/* The page never runs ahead, and is behind by less than a half in 2^30. */
		assert_true(page - ns <= machines - time_at(now) + close);
		assert_true(machines - time_at(now) <= page - ns + later[i] / BIT(31) + close);
		/* A timer for what the page says now is due now: not a drift later, and none too early. */
		back = clock_machine_time(&c, page);
		assert_true(back <= machines + close && machines <= back + close);
	}
}

static void page_and_timers_agree(void **state)
{
	static const u32 rates[] = { 10000, 100000, 150000, 999999, 1000000, 1000001, 2000000, 2000001, 2595925, 4000000, 5700000 };

	for (unsigned bits = 0; bits < 2; bits++) {
		clock_ratio_bits = bits ? SVM_BITS : VMX_BITS;
		for (unsigned own = 0; own < ARRAY_SIZE(rates); own++)
			for (unsigned i = 0; i < ARRAY_SIZE(rates); i++)
				if ((u64)rates[i] < (u64)rates[own] * 256) {
					check_clock(rates[own], rates[i], 1000, 0, 0);
					check_clock(rates[own], rates[i], NS_PER_S, 123456789, 5 * NS_PER_S);
					check_clock(rates[own], rates[i], YEAR_NS, BIT(60), YEAR_NS / 2);
					check_clock(rates[own], rates[i], YEAR_NS, ~0ull - 5, 3 * YEAR_NS);
				}
	}
}

static void random_clocks_agree(void **state)
{
	clock_ratio_bits = VMX_BITS;
	for (unsigned i = 0; i < 20000; i++) {
		u32 own = 10000 + (u32)(fake_random() % 6000000), khz = 10000 + (u32)(fake_random() % 6000000);

		check_clock(own, khz, fake_random() % YEAR_NS, fake_random(), fake_random() % YEAR_NS);
	}
}

/* A machine with the same rate gives a guest the machine's own scale, so nothing can drift. */
static void an_unscaled_clock_is_the_machines(void **state)
{
	struct domain_clock c = { .restored_khz = 2595936, .restored_ns = 70000 };

	clock_ratio_bits = 0;
	machine(2595925, 500);
	clock_start(&c, 4000, 900000);
	assert_true(c.tsc_ratio == CLOCK_UNSCALED && c.scale.mul == time_scale.mul && c.scale.shift == time_scale.shift && !c.drift);
	assert_int_equal(c.tsc_offset, (u64)(4000 - 900000));
	assert_int_equal(c.delta, 70000 - time_at(900000));
	assert_int_equal(c.scale.tsc_khz, 2595936);
	clock_init(&c);
	assert_true(c.tsc_ratio == CLOCK_UNSCALED && !c.tsc_offset && !c.base_ns && !c.delta && c.scale.tsc_base == 500);
	assert_int_equal(clock_guest_tsc(&c, ~0ull), ~0ull);
	assert_int_equal(clock_machine_time(&c, ~0ull), ~0ull);
}

/* Guests may ask for any time. One beyond the machine's is never or at once, with a drift too. */
static void times_out_of_reach(void **state)
{
	struct domain_clock c = { .delta = 1000, .base_ns = 5000, .drift = BIT(33) - 1 };

	assert_int_equal(clock_machine_time(&c, 0), 0);
	assert_int_equal(clock_machine_time(&c, 999), 0);
	assert_int_equal(clock_machine_time(&c, 5000), 4000);
	assert_true(clock_machine_time(&c, ~0ull) >= ~0ull - 1000);
	assert_true(clock_machine_time(&c, BIT(63)) >= BIT(63));
	c.delta = (u64)-1000;
	assert_int_equal(clock_machine_time(&c, 0), 1000);
	assert_int_equal(clock_machine_time(&c, ~0ull), ~0ull);
	assert_int_equal(clock_machine_time(&c, ~0ull - 2000), ~0ull);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(rates_and_their_ratios),
		cmocka_unit_test(near_rates_are_not_scaled),
		cmocka_unit_test(ratios_end_where_the_register_does),
		cmocka_unit_test(page_and_timers_agree),
		cmocka_unit_test(random_clocks_agree),
		cmocka_unit_test(an_unscaled_clock_is_the_machines),
		cmocka_unit_test(times_out_of_reach),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
