/* platform_op: what dom0 tells the machine, and asks of it. */
#include "lib/base.h"
#include <xen/platform.h>
#include <asm/cpu.h>
#include <asm/time.h>
#include "vmm/control.h"
#include "vmm/domain.h"
#include "vmm/guest_access.h"
#include "vmm/hypercall.h"

_Static_assert(sizeof(struct xen_platform_op) == 136, "abi.md N");
_Static_assert(sizeof(struct xenpf_pcpuinfo) == 20, "abi.md N");

#define NSEC_PER_SEC 1000000000u

/* Intel's _PDC (Processor Vendor-Specific ACPI): P, T, C1, and C2 and C3 states by fixed hardware. */
#define PDC_REVISION 1u
#define PDC_FIXED_HARDWARE (1u << 0 | 1u << 2 | 1u << 8 | 1u << 9)

/* dom0 has set its clock: the wall clock of all domains follows. */
long hc_settime(struct vcpu *v __unused, struct hypercall *hc __unused, void *arg)
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
	time_set_wallclock(sec, nsec, wide ? t64->system_time : t32->system_time);
	for (u32 id = 0; id < DOMID_FIRST_RESERVED && (d = domain_get_next((u16)id)); ) {
		id = d->domid + 1u;
		domain_update_wallclock(d);
		domain_put(d);
	}
	return 0;
}

/*
 * Linux from 6.5 on shows what it will tell ACPI (_PDC) that it can do with C, P and T states. By ports it can; what goes by MSRs or MWAIT
 * ("fixed hardware") it can't, since those aren't its own. Other types of upload mean a hypervisor that drives these states itself.
 */
long hc_set_pminfo(struct vcpu *v, struct hypercall *hc __unused, void *arg)
{
	const struct xenpf_set_processor_pminfo *op = &((struct xen_platform_op *)arg)->u.set_pminfo;
	u32 pdc[3];     /* revision, number of words that follow, capabilities */

	if (op->type != XEN_PM_PDC)
		return -ENOSYS;
	if (copy_from_guest(v, pdc, HANDLE(op->u.pdc), sizeof(pdc)))
		return -EFAULT;
	if (pdc[0] != PDC_REVISION || pdc[1] != 1)
		return -EINVAL;
	pdc[2] &= ~PDC_FIXED_HARDWARE;
	return copy_to_guest(v, HANDLE(op->u.pdc), pdc, sizeof(pdc));
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
