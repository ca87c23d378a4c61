/*
 * 32-bit callers pass arguments in EBX, ECX, EDX, ESI, EDI and use structures with 32-bit handles
 * and alignment. There is no second table: each structure of which the layout differs is a row here.
 * It is widened into the 64-bit one, and the same handler is called.
 */
#include <xen/grant_table.h>
#include <xen/memory.h>
#include <xen/sched.h>
#include <xen/vcpu.h>
#include <xen/version.h>
#include "lib/string.h"
#include "vmm/hypercall/dispatch.h"
#include "vmm/life/life.h"
#include "vmm/memory/guest_access.h"
#include "vmm/memory/memory.h"

/*
 * The fields of a structure, in their order: 2, 4 and 8 are integers of so many bytes, and L is a
 * `long` or a handle. i386 aligns all but 2 to four bytes.
 */
static const struct layout { u8 nr, cmd; const char *fields; } layouts[] = {
	{ __HYPERVISOR_memory_op, XENMEM_decrease_reservation, "LL442" },
	{ __HYPERVISOR_memory_op, XENMEM_populate_physmap, "LL442" },
	{ __HYPERVISOR_memory_op, XENMEM_add_to_physmap, "224LL" },
	{ __HYPERVISOR_memory_op, XENMEM_memory_map, "4L" },
	{ __HYPERVISOR_memory_op, XENMEM_remove_from_physmap, "2L" },
	{ __HYPERVISOR_sched_op, SCHEDOP_poll, "L48" },
	{ __HYPERVISOR_vcpu_op, VCPUOP_get_runstate_info, "488888" },
	{ __HYPERVISOR_vcpu_op, VCPUOP_register_runstate_memory_area, "L" },
	{ __HYPERVISOR_vcpu_op, VCPUOP_set_singleshot_timer, "84" },
	{ __HYPERVISOR_xen_version, XENVER_platform_parameters, "L" },
};

#define NARROW_MAX 48   /* the largest of them, in either layout */

/*
 * Copies each field of a structure between its two layouts. Returns the length of the 32-bit one.
 * Both are in memory of ours, NARROW_MAX bytes long.
 */
static u32 convert(const char *fields, char *narrow, char *wide, bool widen)
{
	u32 n = 0, w = 0;

	for (; *fields; fields++) {
		u32 here = *fields == 'L' ? 4 : (u32)(*fields - '0'), there = *fields == 'L' ? 8 : here;

		n = ROUND_UP(n, MIN(here, 4u));
		w = ROUND_UP(w, there);
		if (widen)
			memcpy(wide + w, narrow + n, here);
		else
			memcpy(narrow + n, wide + w, here);
		n += here;
		w += there;
	}
	return ROUND_UP(n, 4);
}

/* Marks an argument whose handler reads or writes more of the guest's memory, in 32-bit layout. */
static void mark(const struct layout *l, u64 *wide)
{
	if (l->nr == __HYPERVISOR_memory_op && l->cmd <= XENMEM_populate_physmap && l->cmd != XENMEM_maximum_ram_page)
		((struct xen_memory_reservation *)wide)->mem_flags |= MEMORY_NARROW_LIST;
	if (l->nr == __HYPERVISOR_vcpu_op && l->cmd == VCPUOP_register_runstate_memory_area)
		wide[0] |= RUNSTATE_NARROW;
}

/* Makes a call whose structure has another layout. */
static long call_converted(struct vcpu *v, const struct layout *l, struct hypercall *hc)
{
	const struct hypercall_row *row = hypercall_find(l->nr, l->cmd, hc);
	u64 arg = hc->a[l->nr == __HYPERVISOR_vcpu_op ? 2 : 1], wide[NARROW_MAX / 8] = { 0 };
	char narrow[NARROW_MAX];
	u32 size = convert(l->fields, narrow, (char *)wide, false);
	long ret;

	if (row->dir != HC_OUT && copy_from_guest(v, narrow, arg, size))
		return -EFAULT;
	if (row->dir != HC_OUT)
		convert(l->fields, narrow, (char *)wide, true);
	mark(l, wide);
	ret = row->fn(v, hc, wide);
	if (ret < 0 || row->dir == HC_IN)
		return ret;
	convert(l->fields, narrow, (char *)wide, false);
	return copy_to_guest(v, arg, narrow, size) ?: ret;
}

/* Makes the call. Every other call of these families is alike in both ABIs. */
static long compat_call(struct vcpu *v, u32 nr, struct hypercall *hc)
{
	u32 cmd = (u32)hc->a[0] & (nr == __HYPERVISOR_memory_op ? BIT(MEMORY_START_SHIFT) - 1 : ~0u);

	for (unsigned i = 0; i < ARRAY_SIZE(layouts); i++)
		if (layouts[i].nr == nr && layouts[i].cmd == cmd)
			return call_converted(v, &layouts[i], hc);
	switch (nr) {
	case __HYPERVISOR_set_timer_op:
		hc->a[0] |= hc->a[1] << 32;
		return hypercall_do(v, nr, hc);
	case __HYPERVISOR_memory_op:
		/* The other structures that guests use are a domain's number. */
		return cmd == XENMEM_add_to_physmap_batch ? -ENOSYS : hypercall_do(v, nr, hc);
	case __HYPERVISOR_grant_table_op:
		/* A copy has frame numbers. Only back ends make copies, and none of them is 32-bit. */
		return cmd == GNTTABOP_copy ? -ENOSYS : hypercall_do(v, nr, hc);
	case __HYPERVISOR_sched_op:
	case __HYPERVISOR_xen_version:
	case __HYPERVISOR_event_channel_op:
	case __HYPERVISOR_vcpu_op:
	case __HYPERVISOR_vm_assist:
	case __HYPERVISOR_hvm_op:
	case __HYPERVISOR_console_io:
		return hypercall_do(v, nr, hc);
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
