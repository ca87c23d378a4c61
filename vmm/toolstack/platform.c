/* platform_op: the service domain sets the machine's clock and asks about its CPUs. */
#include <xen/platform.h>
#include <asm/time.h>
#include "vmm/domain.h"
#include "vmm/domain/record.h"
#include "vmm/hypercall.h"
#include "vmm/life/life.h"

#define NSEC_PER_SEC 1000000000u

/*
 * The service domain has set its clock, so the wall clock of all domains follows. A step updates as
 * many as it can; hc->progress is the id from which the next step goes on.
 */
static long set_time(struct hypercall *hc, u64 sec, u32 nsec, u64 system_time)
{
	struct domain *d;

	if (nsec >= NSEC_PER_SEC)
		return -EINVAL;
	if (!hc->progress)
		time_set_wallclock(sec, nsec, system_time);
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

long hc_platform_settime64(struct vcpu *v, struct hypercall *hc, void *arg)
{
	const struct xenpf_settime64 *t = arg;

	return t->mbz ? -EINVAL : set_time(hc, t->secs, t->nsecs, t->system_time);
}

long hc_platform_settime32(struct vcpu *v, struct hypercall *hc, void *arg)
{
	const struct xenpf_settime32 *t = arg;

	return set_time(hc, t->secs, t->nsecs, t->system_time);
}

long hc_platform_get_cpuinfo(struct vcpu *v, struct hypercall *hc, void *arg)
{
	struct xenpf_pcpuinfo *info = arg;
	u32 cpu = info->xen_cpuid;

	info->max_present = nr_cpus - 1;
	if (cpu >= nr_cpus) {
		info->flags = XEN_PCPU_FLAGS_INVALID;
		return 0;
	}
	cpu = (u32)array_index_nospec(cpu, NR_CPUS);
	info->flags = XEN_PCPU_FLAGS_ONLINE;
	info->apic_id = percpu[cpu].apic_id;
	info->acpi_id = cpu;    /* the service domain's MADT numbers them so */
	return 0;
}
