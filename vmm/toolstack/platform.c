/* platform_op: what dom0 tells the machine, and asks of it. */
#include <xen/platform.h>
#include <asm/cpu.h>
#include <asm/time.h>
#include "vmm/domain.h"
#include "vmm/domain/record.h"
#include "vmm/hypercall.h"
#include "vmm/life/life.h"

_Static_assert(sizeof(struct xenpf_pcpuinfo) == 20, "abi.md N");

#define NSEC_PER_SEC 1000000000u

/* dom0 has set its clock: the wall clock of all domains follows, of as many as one step does. The next step knows from which id on. */
long hc_settime(struct vcpu *v __unused, struct hypercall *hc, void *arg)
{
	const struct xen_platform_op *op = arg;
	const struct xenpf_settime64 *t64 = &op->u.settime64;
	const struct xenpf_settime32 *t32 = &op->u.settime32;
	bool wide = op->cmd == XENPF_settime64;
	u64 sec = wide ? t64->secs : t32->secs;
	u32 nsec = wide ? t64->nsecs : t32->nsecs;
	struct domain *d;

	if ((wide && t64->mbz) || nsec >= NSEC_PER_SEC)
		return -EINVAL;
	if (!hc->progress)
		time_set_wallclock(sec, nsec, wide ? t64->system_time : t32->system_time);
	for (u32 id = hc->progress; id < DOMID_FIRST_RESERVED && (d = domain_get_next((u16)id)); ) {
		id = d->domid + 1u;
		domain_update_wallclock(d);
		domain_put(d);
		if (step_over()) {
			hc->progress = id;
			return HC_AGAIN;
		}
	}
	return 0;
}

long hc_get_pcpuinfo(struct vcpu *v __unused, struct hypercall *hc __unused, void *arg)
{
	struct xenpf_pcpuinfo *info = &((struct xen_platform_op *)arg)->u.pcpu_info;
	u32 cpu = info->xen_cpuid;

	info->max_present = nr_cpus - 1;
	if (cpu >= nr_cpus) {
		info->flags = XEN_PCPU_FLAGS_INVALID;
		return 0;
	}
	cpu = (u32)array_index_nospec(cpu, NR_CPUS);
	info->flags = XEN_PCPU_FLAGS_ONLINE;
	info->apic_id = percpu[cpu].apic_id;
	info->acpi_id = cpu;    /* the MADT that dom0 gets numbers them so */
	return 0;
}
