/*
 * Power-off and restart without AML: the \_S5 values and the reset register of the FADT (ACPI 6.4,
 * 4.8.3.2 and 4.8.3.6).
 */
#include <asm/insn.h>
#include "drivers/acpi.h"
#include "drivers/console.h"
#include "drivers/power.h"

enum { SLP_EN = 1 << 13, SLP_TYP_SHIFT = 10 };

static const struct acpi_info *ports;      /* [I] NULL before power_init */

void power_init(const struct acpi_info *info) { ports = info; }

void machine_power_off(void)
{
	console_flush();
	if (ports && ports->has_s5 && ports->pm1a_control) {
		outw(ports->pm1a_control, (u16)(ports->slp_typ_a << SLP_TYP_SHIFT | SLP_EN));
		if (ports->pm1b_control)
			outw(ports->pm1b_control, (u16)(ports->slp_typ_b << SLP_TYP_SHIFT | SLP_EN));
	}
	printk(LOG_INFO "It is safe to switch the machine off now.\n");
	cli();
	for (;;)
		halt();
}

static void wait_a_moment(void)
{
	for (int i = 0; i < 100000; i++)
		inb(0x80);
}

void machine_restart(void)
{
	struct { u16 limit; u64 base; } __packed no_idt = { 0, 0 };

	console_flush();
	cli();
	if (ports && ports->reset) {
		outb(ports->reset, ports->reset_value);
		wait_a_moment();
	}
	outb(0xcf9, 0x06);      /* full reset of the chipset */
	wait_a_moment();
	outb(0x64, 0xfe);       /* keyboard controller */
	wait_a_moment();
	__asm__ volatile("lidt %0; int3" :: "m"(no_idt));
	for (;;)
		halt();
}
