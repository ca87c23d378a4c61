/* Switching the machine off and restarting it, as its ACPI tables say. */
#ifndef DRIVERS_POWER_H
#define DRIVERS_POWER_H

struct acpi_info;

/*
 * Uses the ports of *info, which must stay, from now on. Before this call a restart only has the
 * chipset's reset.
 */
void power_init(const struct acpi_info *info);
/* Restart the machine, and switch it off. They never return. */
void machine_restart(void) __noreturn;
void machine_power_off(void) __noreturn;

#endif
