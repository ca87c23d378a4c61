/*
 * Device interrupts go straight to the service domain. Vector v on CPU p becomes vector v of its
 * vCPU p, which is pinned there (abi.md H.3). An edge is acknowledged at once. A level is
 * acknowledged when the service domain does so; else the line would fire again before Linux has
 * silenced the device.
 */
#include <asm/cpu.h>
#include <asm/lapic.h>
#include <asm/traps.h>
#include "vmm/dom0/irq.h"
#include "vmm/apic/vlapic.h"
#include "vmm/domain.h"
#include "vmm/vcpu.h"

static void device_interrupt(u8 vector)
{
	unsigned cpu = cpu_id();
	struct vcpu *v = dom0 && cpu < dom0->max_vcpus ? dom0->vcpu[cpu] : NULL;
	bool level = lapic_is_level(vector);

	if (!v) {
		printk(LOG_DEBUG "interrupt %#x on CPU %u, where the service domain has no vCPU: dropped\n", vector, cpu);
		lapic_eoi();
		return;
	}
	if (level)
		v->apic.phys_level[vector / 64] |= BIT(vector % 64);
	else
		lapic_eoi();
	vlapic_post(v, vector, level);
}

void irq_init(void) { traps_set_device_handler(device_interrupt); }
