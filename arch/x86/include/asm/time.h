/*
 * System time: nanoseconds since the hypervisor calibrated its clock, by the TSC, the same on all
 * CPUs.
 */
#ifndef ASM_TIME_H
#define ASM_TIME_H

/* ns = ((tsc - tsc_base) shifted by `shift`) * mul >> 32. pvclock pages carry the same numbers. */
struct time_scale {
	u64 tsc_base;   /* [I] TSC at system time 0 */
	u32 mul;        /* [I] never 0 */
	s8 shift;       /* [I] left if positive */
	u32 tsc_khz;    /* [I] */
};
extern struct time_scale time_scale;

#define NS_PER_S 1000000000ull

u64 time_now(void);             /* ns */
u64 time_at(u64 tsc);           /* ns when the TSC was `tsc` */
u64 time_tsc(void);             /* raw TSC */
/* Arms the calling CPU's one-shot timer for system time `deadline` in ns; ~0 disarms it. */
void time_arm(u64 deadline);
/* The wall clock at system time 0, in seconds and ns: from the RTC or the last settime. */
void time_wallclock(u64 *sec, u32 *nsec);
/* Sets the wall clock: it was `sec` and `nsec` since 1970 at `system_time` ns. */
void time_set_wallclock(u64 sec, u32 nsec, u64 system_time);

/*
 * Measures the TSC and the APIC timer, and reads the RTC. `acpi_timer`: the port of ACPI's timer,
 * or 0. All CPUs' APIC timers run at the same rate. Context: boot CPU.
 */
void time_init(u16 acpi_timer);
/* Waits, busily, for `ns` nanoseconds. */
void time_delay(u64 ns);

#endif
