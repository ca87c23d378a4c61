/* Power-off and restart without AML: the \_S5 values and the reset register of the FADT (ACPI 6.4, 4.8.3.2 and 4.8.3.6). */
#include <asm/insn.h>
#include "drivers/acpi.h"
#include "drivers/console.h"
#include "drivers/power.h"

enum { SLP_EN = 1 << 13, SLP_TYP_SHIFT = 10 };

static struct { u16 pm1a, pm1b, reset; u8 typ_a, typ_b, reset_value; bool has_s5; } power;

void power_init(const struct acpi_info *info)
{
	power.pm1a = info->pm1a_control;
	power.pm1b = info->pm1b_control;
	power.typ_a = info->slp_typ_a;
	power.typ_b = info->slp_typ_b;
	power.has_s5 = info->has_s5 && info->pm1a_control;
	if (info->has_reset && info->reset.space == ACPI_SPACE_IO && info->reset.address < 0x10000) {
		power.reset = (u16)info->reset.address;
		power.reset_value = info->reset_value;
	}
}

void machine_power_off(void)
{
	console_flush();
	if (power.has_s5) {
		outw(power.pm1a, (u16)(power.typ_a << SLP_TYP_SHIFT | SLP_EN));
		if (power.pm1b)
			outw(power.pm1b, (u16)(power.typ_b << SLP_TYP_SHIFT | SLP_EN));
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
	if (power.reset) {
		outb(power.reset, power.reset_value);
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
