/* System time: nanoseconds since the hypervisor calibrated its clock, the same on all CPUs, from the TSC. */
#ifndef ASM_TIME_H
#define ASM_TIME_H

/* ns = ((tsc - tsc_base) shifted by `shift`) * mul >> 32: the triple that pvclock pages carry too. */
struct time_scale {
	u64 tsc_base;   /* [I] TSC at system time 0 */
	u32 mul;        /* [I] never 0 */
	s8 shift;       /* [I] left if positive */
	u32 tsc_khz;    /* [I] */
};
extern struct time_scale time_scale;

u64 time_now(void);             /* ns */
u64 time_tsc(void);             /* raw TSC */
/* Arms this CPU's one-shot timer for system time `deadline` ns (~0: none). */
void time_arm(u64 deadline);
/* Wall clock at system time 0, seconds and ns, from the RTC or the last settime. */
void time_wallclock(u64 *sec, u32 *nsec);
void time_set_wallclock(u64 sec, u32 nsec, u64 system_time);

/* Boot CPU: measures TSC and APIC timer, reads the RTC. `acpi_timer`: its port, 0 for none. Each CPU's APIC timer runs at the same rate. */
void time_init(u16 acpi_timer);
/* Busy-waits. */
void time_delay(u64 ns);

#endif
