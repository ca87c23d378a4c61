/* domctl: the CPUs of vCPUs, their share of the machine, and their state. */
#include <asm/time.h>
#include "sched/cap.h"
#include "sched/sched.h"
#include "vmm/domain.h"
#include "vmm/domain/refuse.h"
#include "vmm/hypercall.h"
#include "vmm/toolstack/control.h"
#include "vmm/vcpu.h"

#define AFFINITY_FLAGS (XEN_VCPUAFFINITY_HARD | XEN_VCPUAFFINITY_SOFT)

/* Makes v run on the CPUs in *hard, on those in *soft if it can, and gives back what is in force. */
static long set_affinity(struct vcpu *v, struct hypercall *hc, cpumask_t *hard, cpumask_t *soft)
{
	*hard &= cpus_online();
	*soft &= cpus_online();
	if (!*hard || !*soft)
		return refuse_say(-EINVAL, "cpus= or xl vcpu-pin: the CPUs are 0 to %u", nr_cpus - 1);
	/*
	 * The service domain's vCPUs take the interrupts of their CPUs and have the APIC ids of
	 * these, so they can't move.
	 */
	if (v->domain == dom0 && *hard != __atomic_load_n(&v->sched.hard, __ATOMIC_RELAXED))
		return refuse(__HYPERVISOR_domctl, hc->head);
	if (sched_set_affinity(&v->sched, *hard, *soft, time_now()))
		return -EINVAL;
	*soft &= *hard;
	return 0;
}

long hc_domctl_vcpuaffinity(struct vcpu *caller, struct hypercall *hc, void *arg)
{
	struct xen_domctl_vcpuaffinity *a = arg;
	bool use_hard = a->flags & XEN_VCPUAFFINITY_HARD, use_soft = a->flags & XEN_VCPUAFFINITY_SOFT;
	struct vcpu *v = domain_vcpu(hc->target, a->vcpu);
	cpumask_t hard, soft;

	/* "Force" undoes a temporary pinning, which we never do. */
	if (!(use_hard || use_soft) || (a->flags & ~(AFFINITY_FLAGS | XEN_VCPUAFFINITY_FORCE)))
		return -EINVAL;
	if (!v)
		return -ESRCH;
	hard = __atomic_load_n(&v->sched.hard, __ATOMIC_RELAXED);
	soft = __atomic_load_n(&v->sched.soft, __ATOMIC_RELAXED);
	if (hc->head->cmd == XEN_DOMCTL_setvcpuaffinity) {
		long rc;

		if ((use_hard && bitmap_from_guest(caller, &a->cpumap_hard, &hard)) ||
		    (use_soft && bitmap_from_guest(caller, &a->cpumap_soft, &soft)))
			return -EFAULT;
		rc = set_affinity(v, hc, &hard, &soft);
		if (rc)
			return rc;
	}
	if ((use_hard && bitmap_to_guest(caller, &a->cpumap_hard, hard & cpus_online())) ||
	    (use_soft && bitmap_to_guest(caller, &a->cpumap_soft, soft & cpus_online())))
		return -EFAULT;
	return 0;
}

long hc_domctl_getvcpuinfo(struct vcpu *caller, struct hypercall *hc, void *arg)
{
	struct xen_domctl_getvcpuinfo *info = arg;
	struct vcpu *v = domain_vcpu(hc->target, info->vcpu);
	u32 pause;

	if (!v)
		return -ESRCH;
	pause = __atomic_load_n(&v->pause_flags, __ATOMIC_RELAXED);
	*info = (struct xen_domctl_getvcpuinfo){
		.vcpu = v->id,
		.online = !(pause & VCPU_DOWN),
		.blocked = !!(pause & VCPU_BLOCKED),
		.running = sched_on_cpu(&v->sched),
		.cpu_time = sched_run_time(&v->sched, time_now()),
		.cpu = __atomic_load_n(&v->sched.cpu, __ATOMIC_RELAXED),
	};
	return 0;
}

/* Sets or gets a domain's weight and cap, in credit2's format. */
long hc_domctl_scheduler(struct vcpu *caller, struct hypercall *hc, void *arg)
{
	struct xen_domctl_scheduler_op *op = arg;
	struct sched_group *g = &hc->target->group;

	if (op->sched_id != XEN_SCHEDULER_CREDIT2)
		return -EINVAL;
	switch (op->cmd) {
	case XEN_DOMCTL_SCHEDOP_putinfo:
		return sched_group_set(g, op->u.credit2.weight, op->u.credit2.cap, time_now());
	case XEN_DOMCTL_SCHEDOP_getinfo:
		op->u.credit2.weight = (u16)__atomic_load_n(&g->weight, __ATOMIC_RELAXED);
		op->u.credit2.cap = (u16)(__atomic_load_n(&g->quota, __ATOMIC_RELAXED) / CAP_PERCENT);
		return 0;
	default:
		return -EINVAL;
	}
}

long hc_domctl_sendtrigger(struct vcpu *caller, struct hypercall *hc, void *arg)
{
	const struct xen_domctl_sendtrigger *t = arg;
	struct vcpu *v = domain_vcpu(hc->target, t->vcpu);

	if (!v)
		return -ESRCH;
	/* The other triggers are buttons of a machine that PVH guests don't have. */
	if (t->trigger != XEN_DOMCTL_SENDTRIGGER_NMI)
		return t->trigger <= XEN_DOMCTL_SENDTRIGGER_SLEEP ? refuse(__HYPERVISOR_domctl, hc->head) : -EINVAL;
	vcpu_alert(v, VCPU_NMI);
	return 0;
}
