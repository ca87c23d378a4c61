/* units: arch/x86/time.c */
/* How fast the TSC counts: by one timer or the other, and by those of a few tries that nothing came between. */
#include "tests/unit/fake.h"
#include <asm/insn.h>
#include <asm/lapic.h>

enum { ACPI_TIMER = 0x408 };

static u64 khz = 2000000;

/* Reading a port takes a microsecond. What else has the CPU now and then takes a millisecond, in the middle of one. */
#define PORT (khz / 1000)
#define AWAY khz

static bool has_pit, has_acpi_timer;
static u64 tsc, pit_end, acpi_start;
static unsigned tries, disturbed;       /* of the tries the first are */

u64 rdtsc(void) { return tsc += 20; }

static void away(void)
{
	if (tries <= disturbed)
		tsc += AWAY;
}

u8 inb(u16 port)
{
	bool out;

	/* It comes a while before OUT2 rises, and goes a while after. */
	if (port == 0x61 && tsc < pit_end && tsc + AWAY / 2 >= pit_end)
		away();
	tsc += PORT / 2;
	out = tsc >= pit_end;
	tsc += PORT / 2;
	/* What nobody answers reads as ones. */
	return port != 0x61 ? 0 : has_pit ? (u8)(out << 5) : 0xff;
}

void outb(u16 port, u8 v)
{
	tries += port == 0x43;
	tsc += PORT;
	if (port == 0x42)
		pit_end = tsc + 10 * khz;
}

u32 inl(u16 port)
{
	u64 ticks;

	assert_int_equal(port, ACPI_TIMER);
	if (!acpi_start) {
		tries++;
		away();
		acpi_start = tsc;
	}
	tsc += PORT / 2;
	ticks = (tsc - acpi_start) * 3579545 / khz / 1000;
	tsc += PORT / 2;
	if (ticks > 35796)
		acpi_start = 0;
	/* The upper 8 bits may be anything, and it wraps. */
	return has_acpi_timer ? ((u32)ticks + 0xfffff0) | 0xa5000000 : ~0u;
}

void lapic_timer(u32 count) { }
u32 lapic_timer_count(void) { return 0x80000000; }

static void measure(unsigned disturb)
{
	tries = 0;
	disturbed = disturb;
	acpi_start = 0;
	fake_log_clear();
	time_init(ACPI_TIMER);
}

#define EXPECT_RIGHT() assert_in_range(time_scale.tsc_khz, khz - khz / 5000, khz + khz / 5000)

static void by_the_8254(void **state)
{
	has_pit = true;
	for (unsigned disturb = 0; disturb < 5; disturb++) {
		measure(disturb);
		EXPECT_RIGHT();
	}
}

/* As in an emulator whose seconds have so many instructions. */
static void slowly(void **state)
{
	khz = 99995;
	measure(0);
	EXPECT_RIGHT();
	khz = 2000000;
}

static void by_the_acpi_timer(void **state)
{
	has_pit = false;
	has_acpi_timer = true;
	for (unsigned disturb = 0; disturb < 5; disturb++) {
		measure(5 + disturb);   /* the 8254 has its tries first */
		EXPECT_RIGHT();
		assert_not_logged("clocks will be wrong");
	}
}

static void by_nothing(void **state)
{
	has_acpi_timer = false;
	measure(0);
	assert_int_equal(time_scale.tsc_khz, 1000000);
	assert_logged("clocks will be wrong");
	time_init(0);
	assert_int_equal(time_scale.tsc_khz, 1000000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(by_the_8254),
		cmocka_unit_test(slowly),
		cmocka_unit_test(by_the_acpi_timer),
		cmocka_unit_test(by_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
