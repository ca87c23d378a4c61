/*
 * System time from the TSC, measured once against the 8254, and the one-shot timer that ends a
 * CPU's idling.
 */
#include <asm/cpu.h>
#include <asm/insn.h>
#include <asm/lapic.h>
#include <asm/spinlock.h>
#include <asm/time.h>

enum { PIT_HZ = 1193182, PIT_CH2 = 0x42, PIT_MODE = 0x43, PIT_GATE = 0x61 };
enum { CALIBRATION_MS = 10, CALIBRATION_TRIES = 5, TSC_KHZ_MIN = 10000 };
#define ACPI_TIMER_HZ 3579545ull

struct time_scale time_scale;

static u64 apic_mul;            /* [I] APIC timer counts per ns, 32.32 fixed point */
static spinlock_t wallclock_lock = SPINLOCK(LOCK_WALLCLOCK);
static u64 wallclock_sec;       /* [wallclock_lock] at system time 0 */
static u32 wallclock_nsec;

/*
 * Returns the TSC cycles in CALIBRATION_MS by channel 2 of the PIT in mode 0, which raises OUT2 at
 * zero; 0 if it doesn't tick. *doubt says by how many cycles the start and the end may be wrong: a
 * hypervisor below us, or SMM, may have had the CPU just then.
 */
static u64 measure_pit(u64 *doubt)
{
	u16 count = (u16)(PIT_HZ * CALIBRATION_MS / 1000);
	u64 before, start, prior, last, now;
	bool done;

	outb(PIT_GATE, (inb(PIT_GATE) & ~2) | 1);
	outb(PIT_MODE, 0xb0);
	outb(PIT_CH2, (u8)count);
	before = rdtsc();
	outb(PIT_CH2, (u8)(count >> 8));
	start = last = now = rdtsc();
	do {
		prior = last;
		last = now;
		if (last - start > 4000000000ull)
			return 0;
		done = inb(PIT_GATE) & 0x20;
		now = rdtsc();
	} while (!done);
	/* Zero came between the last two reads of OUT2, and each may have taken long. */
	*doubt = (start - before) + (now - prior);
	return (last + now) / 2 - start;
}

/*
 * As measure_pit, by 24 bits of the ACPI timer. It works where firmware has put the 8254 to sleep.
 */
static u64 measure_acpi_timer(u16 port, u64 *doubt)
{
	u64 before = rdtsc(), start, last, now;
	u32 ticks, from = inl(port);

	start = rdtsc();
	do {
		last = rdtsc();
		ticks = (inl(port) - from) & 0xffffff;
		now = rdtsc();
		if (now - start > 4000000000ull)
			return 0;
	} while (ticks < ACPI_TIMER_HZ * CALIBRATION_MS / 1000);
	*doubt = (start - before) + (now - last);
	return (last + now - before - start) / 2 * ACPI_TIMER_HZ / 1000 * CALIBRATION_MS / ticks;
}

/*
 * Returns the result of the least doubtful of a few tries. `acpi_timer`: the port of the ACPI
 * timer, or 0 to use the 8254.
 */
static u64 measure_tsc_khz(u16 acpi_timer)
{
	u64 best = 0, least = ~0ull;

	for (int i = 0; i < CALIBRATION_TRIES; i++) {
		u64 doubt, cycles = acpi_timer ? measure_acpi_timer(acpi_timer, &doubt) : measure_pit(&doubt);

		if (cycles && doubt < least) {
			best = cycles;
			least = doubt;
		}
	}
	return best / CALIBRATION_MS;
}

/*
 * ns = (ticks << shift) * mul >> 32. The shift is chosen so that mul has its top bit set; then the
 * relative error is below 2^-31. For shift <= 0, ticks << shift stays below 2^64. For shift > 0
 * (TSC below 1 GHz) it does so for 584 years, halved for each shift.
 */
static void set_scale(u32 khz)
{
	u64 ns_per_s = NS_PER_S, hz = (u64)khz * 1000;
	s8 shift = 0;

	while (hz > ns_per_s * 2) {
		hz >>= 1;
		shift--;
	}
	while (hz <= ns_per_s) {
		hz <<= 1;
		shift++;
	}
	/* ns_per_s <= hz < 2 * ns_per_s, so the quotient lies in [2^31, 2^32). */
	time_scale.mul = (u32)((ns_per_s << 32) / hz - (hz == ns_per_s));
	time_scale.shift = shift;
	time_scale.tsc_khz = khz;
}

static u64 scale_ticks(u64 ticks)
{
	ticks = time_scale.shift < 0 ? ticks >> -time_scale.shift : ticks << time_scale.shift;
	return (u64)((unsigned __int128)ticks * time_scale.mul >> 32);
}

u64 time_tsc(void) { return rdtsc(); }
u64 time_at(u64 tsc) { return scale_ticks(tsc - time_scale.tsc_base); }
u64 time_now(void) { return time_at(rdtsc()); }

void time_delay(u64 ns)
{
	u64 start = time_now();

	while (time_now() - start < ns)
		cpu_relax();
}

static u8 read_cmos(u8 reg)
{
	outb(0x70, reg);
	return inb(0x71);
}

static unsigned from_bcd(u8 v, bool is_bcd) { return is_bcd ? (v >> 4) * 10u + (v & 15) : v; }

static u64 seconds_since_1970(unsigned y, unsigned m, unsigned d, unsigned h, unsigned min, unsigned s)
{
	/* Days by the civil calendar counted from 1 March, which puts the leap day last. */
	unsigned yy = m <= 2 ? y - 1 : y, mm = m <= 2 ? m + 9 : m - 3;
	u64 days = 365ull * yy + yy / 4 - yy / 100 + yy / 400 + (153 * mm + 2) / 5 + d - 1 - 719468;

	return ((days * 24 + h) * 60 + min) * 60 + s;
}

static void read_rtc(void)
{
	unsigned v[6];
	static const u8 reg[6] = { 9, 8, 7, 4, 2, 0 };

	for (int tries = 0; tries < 100000 && read_cmos(0xa) & 0x80; tries++)
		;
	bool is_bcd = !(read_cmos(0xb) & 4), is_12h = !(read_cmos(0xb) & 2);

	for (int i = 0; i < 6; i++) {
		u8 raw = read_cmos(reg[i]);
		bool pm = reg[i] == 4 && is_12h && raw & 0x80;

		v[i] = from_bcd(raw & (reg[i] == 4 && is_12h ? 0x7f : 0xff), is_bcd);
		if (reg[i] == 4 && is_12h)
			v[i] = v[i] % 12 + (pm ? 12 : 0);
	}
	wallclock_sec = seconds_since_1970(2000 + v[0], v[1], v[2], v[3], v[4], v[5]);
}

void time_wallclock(u64 *sec, u32 *nsec)
{
	spin_lock(&wallclock_lock);
	*sec = wallclock_sec;
	*nsec = wallclock_nsec;
	spin_unlock(&wallclock_lock);
}

void time_set_wallclock(u64 sec, u32 nsec, u64 system_time)
{
	u64 up_sec = system_time / NS_PER_S;
	u32 up_nsec = (u32)(system_time % NS_PER_S);

	spin_lock(&wallclock_lock);
	wallclock_sec = sec - up_sec - (nsec < up_nsec);
	wallclock_nsec = nsec + (nsec < up_nsec ? (u32)NS_PER_S : 0) - up_nsec;
	spin_unlock(&wallclock_lock);
}

/* On real machines the APIC timer has a clock of its own, so we count it against the TSC. */
static void measure_apic_timer(void)
{
	u64 ns = 10000000, start = time_now(), took;
	u32 counted;

	lapic_timer(~0u);
	time_delay(ns);
	counted = ~0u - lapic_timer_count();
	took = time_now() - start;
	lapic_timer(0);
	apic_mul = ((u64)counted << 32) / took;
	if (!apic_mul)
		panic("the local APIC timer does not count: this machine can't be used");
}

void time_init(u16 acpi_timer)
{
	u64 khz = measure_tsc_khz(0);

	/*
	 * No TSC is slower than this, not even an emulator's, which may have 100 MHz. A lower rate
	 * comes from a port without a timer behind it.
	 */
	if (khz < TSC_KHZ_MIN && acpi_timer)
		khz = measure_tsc_khz(acpi_timer);
	if (khz < TSC_KHZ_MIN) {
		khz = 1000000;
		printk(LOG_WARN "no 8254 and no ACPI timer to measure the TSC against: taking 1 GHz, clocks will be wrong\n");
	}
	set_scale((u32)khz);
	time_scale.tsc_base = rdtsc();
	read_rtc();
	measure_apic_timer();
	printk(LOG_INFO "TSC %u.%03u MHz\n", (u32)khz / 1000, (u32)khz % 1000);
}

/*
 * Arms the timer for the earlier of the deadlines asked and armed. If it fires early, the run loop
 * takes one more turn and asks again. To arm anew on every entry would cost a register write each
 * time. Counts are clamped to 2 s so that the product stays in 64 bits.
 */
void time_arm(u64 deadline)
{
	struct percpu *p = this_cpu();
	u64 now, delta, count;

	if (deadline >= p->timer_armed)
		return;
	now = time_now();
	delta = deadline > now ? MIN(deadline - now, 2 * NS_PER_S) : 0;
	count = (u64)((unsigned __int128)delta * apic_mul >> 32);
	p->timer_armed = now + delta;
	lapic_timer((u32)MIN(MAX(count, 1), ~0u));
}
