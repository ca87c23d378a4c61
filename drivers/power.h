/* Switching the machine off and starting it anew, by what its ACPI tables say. */
#ifndef DRIVERS_POWER_H
#define DRIVERS_POWER_H

struct acpi_info;

/* Uses the ports of *info, which has to stay. Before this, restarting uses the chipset's reset alone. */
void power_init(const struct acpi_info *info);
/* Neither returns. */
void machine_restart(void) __noreturn;
void machine_power_off(void) __noreturn;

#endif
