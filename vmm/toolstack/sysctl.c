/*
 * sysctl: the toolstack's questions about the machine. Console, policies and debug keys have files
 * of their own.
 */
#include <xen/sysctl.h>
#include <asm/time.h>
#include "lib/string.h"
#include "mm/page.h"
#include "vmm/cpu/cpu_policy.h"
#include "vmm/domain.h"
#include "vmm/domain/record.h"
#include "vmm/domain/refuse.h"
#include "vmm/hypercall.h"
#include "vmm/memory/guest_access.h"
#include "vmm/toolstack/control.h"

/* PVH guests with nested paging and version 1 grants. */
#define CAPABILITIES (XEN_SYSCTL_PHYSCAP_hvm | XEN_SYSCTL_PHYSCAP_hap | XEN_SYSCTL_PHYSCAP_gnttab_v1)

#define NODE_DISTANCE_LOCAL 10  /* ACPI's SLIT */
/* credit2's minimum turn. Ours follows from the bound on lag and can't be set. */
#define RATELIMIT_US 1000

/* A CPU's place by its APIC id: thread below bit `core_shift`, core below `socket_shift`. */
struct topology { u32 core_shift, socket_shift; };

static struct topology read_topology(void)
{
	const struct cpu_policy *p = &cpu_policy_raw;
	struct topology t = { 0, 0 };

	if (p->topo[0].c & 0xff00) {            /* leaf 0xB, a level each */
		t.core_shift = p->topo[0].a & 31;
		t.socket_shift = p->topo[1].c & 0xff00 ? p->topo[1].a & 31 : t.core_shift;
	} else if (p->extd[8].c & 0xff) {       /* AMD before it: ApicIdSize, or the number of cores */
		t.socket_shift = p->extd[8].c >> 12 & 15;
		while (!(p->extd[8].c & 0xf000) && (p->extd[8].c & 0xff) >> t.socket_shift)
			t.socket_shift++;
	}
	return t;
}

/* Counts the online CPUs that share the first one's core or socket, as `shift` says. */
static u32 count_same(u32 shift)
{
	u32 n = 0;

	for (u32 i = 0; i < nr_cpus; i++)
		n += percpu[i].apic_id >> shift == percpu[0].apic_id >> shift;
	return n;
}

long hc_sysctl_physinfo(struct vcpu *v, struct hypercall *hc, void *arg)
{
	struct xen_sysctl_physinfo *info = arg;
	struct topology t = read_topology();
	u32 words[POLICY_FEATURE_WORDS];

	*info = (struct xen_sysctl_physinfo){
		.threads_per_core = count_same(t.core_shift),
		.nr_cpus = nr_cpus,
		.max_cpu_id = nr_cpus - 1,
		.nr_nodes = 1,
		.cpu_khz = time_scale.tsc_khz,
		.capabilities = CAPABILITIES,
		.total_pages = total_pages,
		.free_pages = page_free_count(),
		.max_mfn = max_mfn - 1,
	};
	info->cores_per_socket = count_same(t.socket_shift) / info->threads_per_core;
	cpu_policy_featureset(&cpu_policy_host, words);
	memcpy(info->hw_cap, words, sizeof(info->hw_cap));
	return 0;
}

long hc_sysctl_sched_id(struct vcpu *v, struct hypercall *hc, void *arg)
{
	*(u32 *)arg = XEN_SCHEDULER_CREDIT2;
	return 0;
}

/*
 * A step that goes on needs two numbers: the domains reported so far, and the next one's id. Both
 * fit, because ids are below 2^15.
 */
#define LIST_NEXT(progress) ((progress) & 0x7fff)
#define LIST_DONE(progress) ((progress) >> 15)
_Static_assert(DOMID_FIRST_RESERVED < 0x8000, "LIST_NEXT");

long hc_sysctl_getdomaininfolist(struct vcpu *v, struct hypercall *hc, void *arg)
{
	struct xen_sysctl_getdomaininfolist *op = arg;
	u32 id = hc->progress ? LIST_NEXT(hc->progress) : op->first_domain, n = LIST_DONE(hc->progress);
	struct domain *d;

	while (n < op->max_domains && id < DOMID_FIRST_RESERVED && (d = domain_get_next((u16)id))) {
		struct xen_domctl_getdomaininfo info;

		domain_describe(d, &info);
		id = d->domid + 1u;
		domain_put(d);
		if (copy_to_guest(v, HANDLE(op->buffer) + n * sizeof(info), &info, sizeof(info)))
			return -EFAULT;
		n++;
		if (step_over()) {
			hc->progress = n << 15 | id;
			return HC_AGAIN;
		}
	}
	op->num_domains = n;
	return 0;
}

long hc_sysctl_getcpuinfo(struct vcpu *v, struct hypercall *hc, void *arg)
{
	struct xen_sysctl_getcpuinfo *op = arg;
	u32 n = MIN(op->max_cpus, nr_cpus);

	for (u32 i = 0; i < n; i++) {
		struct xen_sysctl_cpuinfo info = { .idletime = __atomic_load_n(&percpu[i].idle_ns, __ATOMIC_RELAXED) };

		if (copy_to_guest(v, HANDLE(op->info) + i * sizeof(info), &info, sizeof(info)))
			return -EFAULT;
	}
	op->nr_cpus = n;
	return 0;
}

long hc_sysctl_availheap(struct vcpu *v, struct hypercall *hc, void *arg)
{
	struct xen_sysctl_availheap *op = arg;

	if (op->node < -1)
		return -EINVAL;
	op->avail_bytes = op->node > 0 ? 0 : page_free_count() << PAGE_SHIFT;
	return 0;
}

long hc_sysctl_cputopoinfo(struct vcpu *v, struct hypercall *hc, void *arg)
{
	struct xen_sysctl_cputopoinfo *op = arg;
	struct topology t = read_topology();
	u32 n = HANDLE(op->cputopo) ? MIN(op->num_cpus, nr_cpus) : 0;

	for (u32 i = 0; i < n; i++) {
		u32 socket = percpu[i].apic_id >> t.socket_shift;
		struct xen_sysctl_cputopo topo = {
			.core = (percpu[i].apic_id >> t.core_shift) - (socket << (t.socket_shift - t.core_shift)),
			.socket = socket,
		};

		if (copy_to_guest(v, HANDLE(op->cputopo) + i * sizeof(topo), &topo, sizeof(topo)))
			return -EFAULT;
	}
	op->num_cpus = nr_cpus;
	return 0;
}

/*
 * Reports all devices as on the one node, as many at a time as a step may have. The toolstack comes
 * back for the rest.
 */
long hc_sysctl_pcitopoinfo(struct vcpu *v, struct hypercall *hc, void *arg)
{
	struct xen_sysctl_pcitopoinfo *op = arg;
	static const u32 nodes[64];

	op->num_devs = MIN(op->num_devs, (u32)ARRAY_SIZE(nodes));
	return copy_to_guest(v, HANDLE(op->nodes), nodes, op->num_devs * sizeof(nodes[0]));
}

/* Reports one node, whatever the machine has. */
long hc_sysctl_numainfo(struct vcpu *v, struct hypercall *hc, void *arg)
{
	struct xen_sysctl_numainfo *op = arg;
	struct xen_sysctl_meminfo mem = { total_pages << PAGE_SHIFT, page_free_count() << PAGE_SHIFT };
	u32 distance = NODE_DISTANCE_LOCAL;
	bool room = op->num_nodes != 0;

	if (room && HANDLE(op->meminfo) && copy_to_guest(v, HANDLE(op->meminfo), &mem, sizeof(mem)))
		return -EFAULT;
	if (room && HANDLE(op->distance) && copy_to_guest(v, HANDLE(op->distance), &distance, sizeof(distance)))
		return -EFAULT;
	op->num_nodes = 1;
	return 0;
}

/* There is one pool with everything in it. */
long hc_sysctl_cpupool(struct vcpu *v, struct hypercall *hc, void *arg)
{
	struct xen_sysctl_cpupool_op *op = arg;

	switch (op->op) {
	case XEN_SYSCTL_CPUPOOL_OP_INFO:
		if (op->cpupool_id)
			return -ENOENT;
		op->sched_id = XEN_SCHEDULER_CREDIT2;
		op->n_dom = domain_count();
		return bitmap_to_guest(v, &op->cpumap, cpus_online());
	case XEN_SYSCTL_CPUPOOL_OP_FREEINFO:
		return bitmap_to_guest(v, &op->cpumap, 0);
	default:
		return refuse(__HYPERVISOR_sysctl, hc->head);
	}
}

long hc_sysctl_scheduler(struct vcpu *v, struct hypercall *hc, void *arg)
{
	struct xen_sysctl_scheduler_op *op = arg;

	if (op->sched_id != XEN_SCHEDULER_CREDIT2)
		return -EINVAL;
	if (op->cpupool_id)
		return -ESRCH;
	if (op->cmd != XEN_SYSCTL_SCHEDOP_getinfo)
		return op->cmd == XEN_SYSCTL_SCHEDOP_putinfo ? refuse(__HYPERVISOR_sysctl, hc->head) : -EINVAL;
	op->u.sched_credit2.ratelimit_us = RATELIMIT_US;
	return 0;
}
