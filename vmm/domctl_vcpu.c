/* domctl: where vCPUs run, how much of the machine they get, what they are doing, and their registers. */
#include "lib/base.h"
#include <xen/domctl.h>
#include <xen/hvm/save.h>
#include <asm/hvm.h>
#include <asm/time.h>
#include "lib/string.h"
#include "mm/heap.h"
#include "sched/cap.h"
#include "vmm/control.h"
#include "vmm/domain.h"
#include "vmm/guest_access.h"
#include "vmm/hypercall.h"
#include "vmm/refuse.h"

_Static_assert(sizeof(struct xen_domctl_vcpuaffinity) == 40, "abi.md N");
_Static_assert(sizeof(struct xen_domctl_getvcpuinfo) == 24, "abi.md N");
_Static_assert(sizeof(struct xen_domctl_scheduler_op) == 24, "abi.md N");
_Static_assert(sizeof(struct xen_domctl_vcpucontext) == 16, "abi.md N");
_Static_assert(sizeof(struct vcpu_guest_context) == 5168, "abi.md N");
_Static_assert(sizeof((struct vcpu_guest_context){ 0 }.fpu_ctxt) == sizeof((struct hvm_hw_cpu){ 0 }.fpu_regs), "both are FXSAVE's");

#define AFFINITY_FLAGS (XEN_VCPUAFFINITY_HARD | XEN_VCPUAFFINITY_SOFT)

static long set_affinity(struct vcpu *caller, struct vcpu *v, struct xen_domctl *op)
{
	struct xen_domctl_vcpuaffinity *a = &op->u.vcpuaffinity;
	cpumask_t hard = v->sched.hard, soft = v->sched.soft;
	bool set_hard = a->flags & XEN_VCPUAFFINITY_HARD, set_soft = a->flags & XEN_VCPUAFFINITY_SOFT;
	int rc;

	if ((set_hard && bitmap_from_guest(caller, &a->cpumap_hard, &hard)) ||
	    (set_soft && bitmap_from_guest(caller, &a->cpumap_soft, &soft)))
		return -EFAULT;
	hard &= cpus_online();
	soft &= cpus_online();
	if (!hard || !soft)
		return refuse_say(-EINVAL, "cpus= or xl vcpu-pin: the CPUs are 0 to %u", nr_cpus - 1);
	/* dom0's vCPUs take the interrupts of their pCPUs and have the APIC ids of these: they can't move. */
	if (v->domain == dom0 && hard != v->sched.hard)
		return refuse(__HYPERVISOR_domctl, op);
	rc = sched_set_affinity(&v->sched, hard, soft, time_now());
	if (rc)
		return rc;
	/* The caller learns what is in force. */
	if ((set_hard && bitmap_to_guest(caller, &a->cpumap_hard, hard)) ||
	    (set_soft && bitmap_to_guest(caller, &a->cpumap_soft, soft & hard)))
		return -EFAULT;
	return 0;
}

static long get_affinity(struct vcpu *caller, const struct vcpu *v, struct xen_domctl_vcpuaffinity *a)
{
	if ((a->flags & XEN_VCPUAFFINITY_HARD) && bitmap_to_guest(caller, &a->cpumap_hard, v->sched.hard & cpus_online()))
		return -EFAULT;
	if ((a->flags & XEN_VCPUAFFINITY_SOFT) && bitmap_to_guest(caller, &a->cpumap_soft, v->sched.soft & cpus_online()))
		return -EFAULT;
	return 0;
}

long hc_vcpuaffinity(struct vcpu *caller, struct hypercall *hc, void *arg)
{
	struct xen_domctl *op = arg;
	struct xen_domctl_vcpuaffinity *a = &op->u.vcpuaffinity;
	struct vcpu *v;

	/* "Force" undoes a temporary pinning, which we never do. */
	if (!(a->flags & AFFINITY_FLAGS) || (a->flags & ~(AFFINITY_FLAGS | XEN_VCPUAFFINITY_FORCE)))
		return -EINVAL;
	v = domain_vcpu(hc->target, a->vcpu);
	if (!v)
		return -ESRCH;
	return op->cmd == XEN_DOMCTL_setvcpuaffinity ? set_affinity(caller, v, op) : get_affinity(caller, v, a);
}

long hc_getvcpuinfo(struct vcpu *caller __unused, struct hypercall *hc, void *arg)
{
	struct xen_domctl_getvcpuinfo *info = &((struct xen_domctl *)arg)->u.getvcpuinfo;
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
		.cpu = v->sched.cpu,
	};
	return 0;
}

/* Weight and cap of a domain, in the clothes of credit2. */
long hc_domctl_scheduler(struct vcpu *caller __unused, struct hypercall *hc, void *arg)
{
	struct xen_domctl_scheduler_op *op = &((struct xen_domctl *)arg)->u.scheduler_op;
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

long hc_sendtrigger(struct vcpu *caller __unused, struct hypercall *hc, void *arg)
{
	const struct xen_domctl *op = arg;
	const struct xen_domctl_sendtrigger *t = &op->u.sendtrigger;
	struct vcpu *v = domain_vcpu(hc->target, t->vcpu);

	if (!v)
		return -ESRCH;
	/* The others are buttons of a machine that PVH guests don't have. */
	if (t->trigger != XEN_DOMCTL_SENDTRIGGER_NMI)
		return t->trigger <= XEN_DOMCTL_SENDTRIGGER_SLEEP ? refuse(__HYPERVISOR_domctl, op) : -EINVAL;
	__atomic_store_n(&v->nmi_pending, true, __ATOMIC_RELEASE);
	vcpu_kick(v);
	return 0;
}

/* ---- registers, in the structure that PV guests were started with ---- */

/* A vCPU's registers as the vendor's layer has them, and as the tools know them. Too large for the stack. */
struct context {
	struct hvm_hw_cpu cpu;
	struct vcpu_guest_context guest;
};

#define CONTEXT_REGS(X) X(rax) X(rbx) X(rcx) X(rdx) X(rbp) X(rsi) X(rdi) X(rsp) X(r8) X(r9) X(r10) X(r11) X(r12) X(r13) X(r14) X(r15) X(rip) \
	X(rflags)
#define CONTEXT_SEGMENTS(X) X(cs) X(ss) X(ds) X(es) X(fs) X(gs)

static void describe_context(const struct hvm_hw_cpu *cpu, bool online, struct vcpu_guest_context *g)
{
	bool kernel = !(cpu->cs_sel & 3);

	g->flags = VGCF_I387_VALID | (online ? VGCF_online : 0);
	memcpy(&g->fpu_ctxt, cpu->fpu_regs, sizeof(g->fpu_ctxt));
#define X(f) g->user_regs.f = cpu->f;
	CONTEXT_REGS(X)
#undef X
#define X(f) g->user_regs.f = (u16)cpu->f##_sel;
	CONTEXT_SEGMENTS(X)
#undef X
	g->ctrlreg[0] = cpu->cr0;
	g->ctrlreg[2] = cpu->cr2;
	g->ctrlreg[3] = cpu->cr3;
	g->ctrlreg[4] = cpu->cr4;
	g->fs_base = cpu->fs_base;
	g->gs_base_kernel = kernel ? cpu->gs_base : cpu->shadow_gs;
	g->gs_base_user = kernel ? cpu->shadow_gs : cpu->gs_base;
}

/*
 * The registers of a vCPU that stands still for it, whether or not its domain does. It leaves its pCPU in its own time; until then the
 * flag stays, which a repeated call sets again, and which the last one takes back.
 */
static long view_context(struct vcpu *v, struct context *c)
{
	__atomic_or_fetch(&v->pause_flags, VCPU_VIEWED, __ATOMIC_SEQ_CST);
	if (!vcpu_is_off(v))
		return HC_AGAIN;
	if (!v->wait_for_sipi) {
		hvm_get_context(v, &c->cpu);
		describe_context(&c->cpu, !(__atomic_load_n(&v->pause_flags, __ATOMIC_RELAXED) & VCPU_DOWN), &c->guest);
	}
	__atomic_and_fetch(&v->pause_flags, ~(u32)VCPU_VIEWED, __ATOMIC_SEQ_CST);
	vcpu_sync(v);
	return v->wait_for_sipi ? -ENODATA : 0;
}

/*
 * As in Xen, of such a guest only the general registers and the FPU are set; the rest of the structure isn't looked at. Libxl changes RAX
 * so, by which a guest learns that its suspension was cancelled.
 */
static long replace_registers(struct vcpu *v, struct context *c)
{
	long rc = domain_check_stopped(v->domain);

	if (rc)
		return rc;
	if (!(c->guest.flags & VGCF_online) != !!(v->pause_flags & VCPU_DOWN))
		return -EOPNOTSUPP;
	hvm_get_context(v, &c->cpu);
#define X(f) c->cpu.f = c->guest.user_regs.f;
	CONTEXT_REGS(X)
#undef X
	memcpy(c->cpu.fpu_regs, &c->guest.fpu_ctxt, sizeof(c->cpu.fpu_regs));
	c->cpu.flags = c->guest.flags & VGCF_I387_VALID ? XEN_X86_FPU_INITIALISED : 0;
	return hvm_set_registers(v, &c->cpu);
}

long hc_vcpucontext(struct vcpu *caller, struct hypercall *hc, void *arg)
{
	const struct xen_domctl *op = arg;
	const struct xen_domctl_vcpucontext *vc = &op->u.vcpucontext;
	struct vcpu *v = domain_vcpu(hc->target, vc->vcpu);
	bool set = op->cmd == XEN_DOMCTL_setvcpucontext;
	struct context *c;
	long rc;

	/* The caller's own domain can't stand still for its caller. */
	if (!v || hc->target == caller->domain)
		return -EINVAL;
	c = kzalloc(sizeof(*c));
	if (!c)
		return -ENOMEM;
	rc = set ? copy_from_guest(caller, &c->guest, HANDLE(vc->ctxt), sizeof(c->guest)) : 0;
	if (!rc) {
		spin_lock(&control_lock);
		rc = set ? replace_registers(v, c) : view_context(v, c);
		spin_unlock(&control_lock);
	}
	if (!rc && !set)
		rc = copy_to_guest(caller, HANDLE(vc->ctxt), &c->guest, sizeof(c->guest));
	kfree(c);
	return rc;
}
