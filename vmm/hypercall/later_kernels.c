/*
 * Small calls that later Linux makes as it starts in the service domain. It needs none of their
 * results, but complains without them.
 */
#include <xen/platform.h>
#include <xen/arch-x86/xen-mca.h>
#include <asm/cpu.h>
#include "vmm/cpu/cpu_policy.h"
#include "vmm/hypercall.h"
#include "vmm/memory/guest_access.h"

/* Intel's _PDC (Processor Vendor-Specific ACPI): P, T, C1, C2 and C3 states by fixed hardware. */
#define PDC_REVISION 1u
#define PDC_FIXED_HARDWARE (1u << 0 | 1u << 2 | 1u << 8 | 1u << 9)

/*
 * Linux from 6.5 on shows us the C, P and T states that it will tell ACPI (_PDC) it can drive. It
 * can drive them by ports. It can't by MSRs or MWAIT ("fixed hardware"), since those aren't its
 * own. The other types of upload are for a hypervisor that drives these states itself.
 */
long hc_platform_set_pminfo(struct vcpu *v, struct hypercall *hc, void *arg)
{
	const struct xenpf_set_processor_pminfo *op = arg;
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

/*
 * HYPERVISOR_mca: the list of CPUs. Linux's xen_mcelog would find a machine check's place by it,
 * and starts only if it gets the list.
 */
long hc_mca_physcpuinfo(struct vcpu *v, struct hypercall *hc, void *arg)
{
	struct xen_mc_physcpuinfo *op = arg;
	u32 signature = cpu_policy_raw.basic[1].a, n = HANDLE(op->info) ? MIN(op->ncpus, nr_cpus) : 0;

	for (u32 i = 0; i < n; i++) {
		struct mcinfo_logical_cpu cpu = {
			.mc_cpunr = i, .mc_apicid = percpu[i].apic_id, .mc_step = signature & 15,
			.mc_model = (signature >> 4 & 15) | (signature >> 12 & 0xf0),
			.mc_family = (signature >> 8 & 15) + (signature >> 20 & 0xff),
		};

		if (copy_to_guest(v, HANDLE(op->info) + i * sizeof(cpu), &cpu, sizeof(cpu)))
			return -EFAULT;
	}
	op->ncpus = nr_cpus;
	return 0;
}
