/* What operators and backends do to domains that run: any operation, at any time. */
#include "tests/storm/toolstack.h"
#include "lib/string.h"
#include <asm/time.h>
#include <xen/event_channel.h>
#include <xen/grant_table.h>
#include <xen/memory.h>
#include <xen/sched.h>
#include <xen/sysctl.h>
#include "vmm/versions.h"

static void affinity(struct vcpu *v, struct vm_exit *x, u16 domid)
{
	struct xen_domctl op = tools_domctl_of(vcpu_dice(v, 4) ? XEN_DOMCTL_setvcpuaffinity : XEN_DOMCTL_getvcpuaffinity, domid);
	u64 mask = vcpu_random(v) & 31;

	tools_put(v, AT_LIST, &mask, 8);
	op.u.vcpuaffinity = (struct xen_domctl_vcpuaffinity){ .vcpu = (u32)vcpu_dice(v, 4), .flags = 1 + (u32)vcpu_dice(v, 3) };
	op.u.vcpuaffinity.cpumap_hard.nr_bits = op.u.vcpuaffinity.cpumap_soft.nr_bits = 64;
	set_xen_guest_handle(op.u.vcpuaffinity.cpumap_hard.bitmap, (uint8_t *)(tools_args(v) + AT_LIST));
	set_xen_guest_handle(op.u.vcpuaffinity.cpumap_soft.bitmap, (uint8_t *)(tools_args(v) + AT_LIST + 64 * vcpu_dice(v, 2)));
	tools_domctl(v, x, &op);
}

static void weight(struct vcpu *v, struct vm_exit *x, u16 domid)
{
	struct xen_domctl op = tools_domctl_of(XEN_DOMCTL_scheduler_op, domid);

	op.u.scheduler_op.sched_id = XEN_SCHEDULER_CREDIT2;
	op.u.scheduler_op.cmd = vcpu_dice(v, 2) ? XEN_DOMCTL_SCHEDOP_putinfo : XEN_DOMCTL_SCHEDOP_getinfo;
	op.u.scheduler_op.u.credit2.weight = (u16)(1 + vcpu_dice(v, 1024));
	op.u.scheduler_op.u.credit2.cap = (u16)(vcpu_dice(v, 4) ? 0 : vcpu_dice(v, 150));
	tools_domctl(v, x, &op);
}

static void get_context(struct vcpu *v, struct vm_exit *x, u16 domid)
{
	struct xen_domctl op = tools_domctl_of(XEN_DOMCTL_gethvmcontext, domid);

	op.u.hvmcontext.size = (u32)vcpu_dice(v, 2) * 16384;
	set_xen_guest_handle(op.u.hvmcontext.buffer, vcpu_dice(v, 4) ? (uint8_t *)(tools_args(v) + AT_CONTEXT) : NULL);
	tools_domctl(v, x, &op);
}

static void list_domains(struct vcpu *v, struct vm_exit *x)
{
	struct xen_sysctl op = { .cmd = XEN_SYSCTL_getdomaininfolist, .interface_version = XEN_SYSCTL_INTERFACE_VERSION };

	op.u.getdomaininfolist.max_domains = 16;
	set_xen_guest_handle(op.u.getdomaininfolist.buffer, (xen_domctl_getdomaininfo_t *)(tools_args(v) + AT_LIST));
	tools_control(v, x, __HYPERVISOR_sysctl, &op, sizeof(op));
}

/* As a backend: maps what a guest lends, and gives it back. */
static void grants(struct vcpu *v, struct vm_exit *x, u16 domid)
{
	struct storm_tools *t = tools_of(v);
	u64 gfn;

	t->slot = (u32)vcpu_dice(v, ARRAY_SIZE(t->grant));
	t->asked = true;
	gfn = tools_window(v, 32 + t->slot);
	if (t->grant[t->slot].live) {
		gnttab_unmap_grant_ref_t u = { .host_addr = t->grant[t->slot].gfn << PAGE_SHIFT, .handle = t->grant[t->slot].handle };

		tools_put(v, AT_ARG, &u, sizeof(u));
		guest_call(v, x, __HYPERVISOR_grant_table_op, GNTTABOP_unmap_grant_ref, tools_args(v), 1);
	} else {
		gnttab_map_grant_ref_t m = { .host_addr = gfn << PAGE_SHIFT, .flags = GNTMAP_host_map | (vcpu_dice(v, 2) ? GNTMAP_readonly : 0),
					     .ref = 8 + (u32)vcpu_dice(v, 32), .dom = domid };

		tools_put(v, AT_ARG, &m, sizeof(m));
		guest_call(v, x, __HYPERVISOR_grant_table_op, GNTTABOP_map_grant_ref, tools_args(v), 1);
	}
}

/* The answer to grants(). */
void tools_note_grant(struct vcpu *v)
{
	struct storm_tools *t = tools_of(v);
	gnttab_map_grant_ref_t m;

	guest_read(v, tools_args(v), &m, sizeof(m));
	if (t->grant[t->slot].live) {
		t->grant[t->slot].live = false;
		return;
	}
	t->grant[t->slot].live = !storm_vcpu(v)->result && !m.status;
	t->grant[t->slot].handle = m.handle;
	t->grant[t->slot].gfn = m.host_addr >> PAGE_SHIFT;
}

static void events(struct vcpu *v, struct vm_exit *x, u16 domid)
{
	u32 port = (u32)vcpu_dice(v, 64);
	evtchn_alloc_unbound_t a = { .dom = domid, .remote_dom = vcpu_dice(v, 2) ? 0 : domid };
	evtchn_bind_interdomain_t b = { .remote_dom = domid, .remote_port = port };
	evtchn_send_t s = { .port = port };
	u64 cmd = vcpu_dice(v, 4) == 0 ? EVTCHNOP_alloc_unbound : vcpu_dice(v, 3) == 0 ? EVTCHNOP_bind_interdomain :
		  vcpu_dice(v, 4) == 0 ? EVTCHNOP_close : EVTCHNOP_send;

	tools_put(v, AT_ARG, cmd == EVTCHNOP_alloc_unbound ? (void *)&a : cmd == EVTCHNOP_bind_interdomain ? (void *)&b : (void *)&s,
	    cmd == EVTCHNOP_bind_interdomain ? sizeof(b) : cmd == EVTCHNOP_alloc_unbound ? sizeof(a) : sizeof(s));
	guest_call(v, x, __HYPERVISOR_event_channel_op, cmd, tools_args(v), 0);
}

/* The service domain gives memory up and wants the very same back. */
static void balloon(struct vcpu *v, struct vm_exit *x)
{
	u64 gfn[8];
	struct xen_memory_reservation r = { .nr_extents = ARRAY_SIZE(gfn), .domid = DOMID_SELF };

	for (unsigned i = 0; i < ARRAY_SIZE(gfn); i++)
		gfn[i] = tools_ram[STORM_CPUS + vcpu_dice(v, DOM0_BLOCKS - STORM_CPUS)] + vcpu_dice(v, BIT(DOM0_ORDER));
	tools_put(v, AT_LIST, gfn, sizeof(gfn));
	set_xen_guest_handle(r.extent_start, (xen_pfn_t *)(tools_args(v) + AT_LIST));
	tools_memory_op(v, x, vcpu_dice(v, 2) ? XENMEM_populate_physmap : XENMEM_decrease_reservation, &r, sizeof(r));
}

static void trigger(struct vcpu *v, struct vm_exit *x, u16 domid)
{
	struct xen_domctl op = tools_domctl_of(XEN_DOMCTL_sendtrigger, domid);

	op.u.sendtrigger = (struct xen_domctl_sendtrigger){ .trigger = (u32)vcpu_dice(v, 5), .vcpu = (u32)vcpu_dice(v, 5) };
	tools_domctl(v, x, &op);
}

/* A domctl that is none of the above, or one of them with whatever lies in memory. Not one that ends domains, nor that changes limits. */
static void any_domctl(struct vcpu *v, struct vm_exit *x, u16 domid)
{
	struct xen_domctl op = tools_domctl_of((u32)vcpu_dice(v, 100), domid);

	if (op.cmd == XEN_DOMCTL_destroydomain || op.cmd == XEN_DOMCTL_createdomain || op.cmd == XEN_DOMCTL_sethvmcontext)
		op.cmd = XEN_DOMCTL_getdomaininfo;
	op.interface_version = op.cmd == XEN_DOMCTL_get_domain_state ? 0 : 0x15 + (u32)vcpu_dice(v, 4);
	for (unsigned i = 0; i < sizeof(op.u) / 8; i++)
		((u64 *)&op.u)[i] = vcpu_dice(v, 3) ? vcpu_random(v) >> vcpu_dice(v, 64) : tools_args(v) + AT_LIST;
	tools_domctl(v, x, &op);
}

void tools_sleep(struct vcpu *v, struct vm_exit *x)
{
	struct sched_poll p = { .timeout = time_now() + vcpu_dice(v, 1000000) };

	tools_put(v, AT_ARG, &p, sizeof(p));
	guest_call(v, x, __HYPERVISOR_sched_op, SCHEDOP_poll, tools_args(v), 0);
}

void tools_operation(struct vcpu *v, struct vm_exit *x)
{
	u16 domid = __atomic_load_n(&storm_domids[vcpu_dice(v, STORM_DOMAINS)], __ATOMIC_RELAXED);

	switch (vcpu_dice(v, 24)) {
	case 0: tools_plain_domctl(v, x, XEN_DOMCTL_pausedomain, domid); break;
	case 1: case 2: tools_plain_domctl(v, x, XEN_DOMCTL_unpausedomain, domid); break;
	case 3: tools_plain_domctl(v, x, XEN_DOMCTL_getdomaininfo, domid); break;
	case 4: affinity(v, x, domid); break;
	case 5: weight(v, x, domid ?: 1); break;        /* a cap for the service domain would slow all this down */
	case 6: get_context(v, x, domid); break;
	case 7: list_domains(v, x); break;
	case 8: case 9: case 10: grants(v, x, domid); break;
	case 11: case 12: tools_map_foreign(v, x, domid, 8 + vcpu_dice(v, 8), 1 + vcpu_dice(v, 16), true); break;
	case 13: tools_remove_window(v, x, 8 + vcpu_dice(v, 24)); break;
	case 14: case 15: events(v, x, domid); break;
	case 16: balloon(v, x); break;
	case 17: trigger(v, x, domid); break;
	case 18: any_domctl(v, x, domid); break;
	default: tools_sleep(v, x); break;
	}
}

/* Frames that are others', used as a backend or a device model would. */
void tools_use_window(struct vcpu *v)
{
	for (unsigned i = 0; i < 8; i++) {
		u64 n = 8 + vcpu_dice(v, 40), *at = guest_use(v, (tools_window(v, n) << PAGE_SHIFT) + vcpu_dice(v, 512) * 8, vcpu_dice(v, 2));

		if (at && vcpu_dice(v, 2) && guest_use(v, tools_window(v, n) << PAGE_SHIFT, true))
			__atomic_store_n(at, vcpu_random(v), __ATOMIC_RELAXED);
	}
}
