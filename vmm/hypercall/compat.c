/*
 * 32-bit callers pass arguments in EBX, ECX, EDX, ESI, EDI and use structures with 32-bit handles
 * and alignment. There is no second table: each structure that such callers use is widened into the
 * 64-bit one, and the same handler is called.
 */
#include <xen/grant_table.h>
#include <xen/memory.h>
#include <xen/sched.h>
#include "vmm/hypercall/dispatch.h"
#include "vmm/memory/guest_access.h"

/* Layouts of the 32-bit ABI, with i386's alignment: u64 on 4 bytes where not stated otherwise. */
struct compat_add_to_physmap { u16 domid, size; u32 space, idx, gpfn; };
struct compat_memory_map { u32 nr_entries, buffer; };
struct compat_poll { u32 ports, nr_ports; u64 timeout; };

static long compat_add_to_physmap(struct vcpu *v, struct hypercall *hc, u64 arg)
{
	struct compat_add_to_physmap c;
	struct xen_add_to_physmap op;

	if (copy_from_guest(v, &c, arg, sizeof(c)))
		return -EFAULT;
	op = (struct xen_add_to_physmap){ .domid = c.domid, .size = c.size, .space = c.space, .idx = c.idx, .gpfn = c.gpfn };
	return hc_memory_add_to_physmap(v, hc, &op);
}

static long compat_memory_map(struct vcpu *v, struct hypercall *hc, u64 arg)
{
	struct compat_memory_map c;
	struct xen_memory_map op;
	long ret;

	if (copy_from_guest(v, &c, arg, sizeof(c)))
		return -EFAULT;
	op = (struct xen_memory_map){ .nr_entries = c.nr_entries, .buffer.p = (void *)(u64)c.buffer };
	ret = hc_memory_map(v, hc, &op);
	c.nr_entries = op.nr_entries;
	return ret < 0 ? ret : copy_to_guest(v, arg, &c, sizeof(c)) ?: ret;
}

static long compat_poll(struct vcpu *v, struct hypercall *hc, u64 arg)
{
	struct compat_poll c;
	struct sched_poll op;

	if (copy_from_guest(v, &c, arg, sizeof(c)))
		return -EFAULT;
	op = (struct sched_poll){
		.ports.p = (void *)(u64)c.ports, .nr_ports = c.nr_ports, .timeout = c.timeout,
	};
	return hc_sched_poll(v, hc, &op);
}

/* Widens arguments whose layout differs. Every other call here is alike in both ABIs. */
static long compat_call(struct vcpu *v, u32 nr, struct hypercall *hc)
{
	u32 cmd = (u32)hc->a[0];

	switch (nr) {
	case __HYPERVISOR_memory_op:
		switch (cmd) {
		case XENMEM_add_to_physmap: return compat_add_to_physmap(v, hc, hc->a[1]);
		case XENMEM_memory_map: return compat_memory_map(v, hc, hc->a[1]);
		default: return -ENOSYS;
		}
	case __HYPERVISOR_sched_op:
		return cmd == SCHEDOP_poll ? compat_poll(v, hc, hc->a[1]) : hypercall_do(v, nr, hc);
	case __HYPERVISOR_xen_version:
	case __HYPERVISOR_event_channel_op:
	case __HYPERVISOR_hvm_op:
	case __HYPERVISOR_console_io:
		return hypercall_do(v, nr, hc);
	case __HYPERVISOR_grant_table_op:
		/* These have no pointers. Map and copy differ, and no 32-bit caller uses them. */
		return cmd == GNTTABOP_query_size || cmd == GNTTABOP_set_version || cmd == GNTTABOP_get_version ?
		       hypercall_do(v, nr, hc) : -ENOSYS;
	default:
		return -ENOSYS;
	}
}

void hypercall_dispatch_compat(struct vcpu *v, struct vm_exit *x)
{
	struct cpu_regs *r = &v->hvm.regs;
	struct hypercall hc = {
		.a = { (u32)r->rbx, (u32)r->rcx, (u32)r->rdx, (u32)r->rsi, (u32)r->rdi },
		.op = (u32)r->rax | (u32)r->rbx << 8,
	};
	long ret = compat_call(v, (u32)r->rax, &hc);

	hypercall_note(v, x, &hc, ret);
	if (ret == HC_AGAIN) {
		r->rbx = (u32)hc.a[0];
		r->rcx = (u32)hc.a[1];
		r->rdx = (u32)hc.a[2];
		return;
	}
	r->rax = (u32)ret;
	hvm_complete(v, &v->hvm.regs, x->len);
}
