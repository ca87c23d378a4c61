/*
 * domctl: takes a suspension back, and reads or writes a vCPU's registers. The registers come in
 * the structure with which PV guests were started; core dumps have it too.
 */
#include <xen/domctl.h>
#include <asm/hvm.h>
#include "lib/string.h"
#include "mm/heap.h"
#include "vmm/domain.h"
#include "vmm/domain/record.h"
#include "vmm/hypercall.h"
#include "vmm/life/life.h"
#include "vmm/memory/guest_access.h"
#include "vmm/vcpu.h"

_Static_assert(sizeof((struct vcpu_guest_context){ 0 }.fpu_ctxt) == sizeof((struct hvm_hw_cpu){ 0 }.fpu_regs), "both are FXSAVE's");

/*
 * A vCPU's registers as the vendor code and as the toolstack know them. It is too large for the
 * stack.
 */
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
#define SHOW(f) g->user_regs.f = cpu->f;
	CONTEXT_REGS(SHOW)
#define SHOW_SEGMENT(f) g->user_regs.f = (u16)cpu->f##_sel;
	CONTEXT_SEGMENTS(SHOW_SEGMENT)
	g->ctrlreg[0] = cpu->cr0;
	g->ctrlreg[2] = cpu->cr2;
	g->ctrlreg[3] = cpu->cr3;
	g->ctrlreg[4] = cpu->cr4;
	g->fs_base = cpu->fs_base;
	g->gs_base_kernel = kernel ? cpu->gs_base : cpu->shadow_gs;
	g->gs_base_user = kernel ? cpu->shadow_gs : cpu->gs_base;
}

/*
 * Reads a vCPU's registers. Only this vCPU has to stand still for it, not its domain. VCPU_VIEWED
 * stops it, but it may take a while to leave its CPU. Until then the call is repeated and the flag
 * stays set; the last call clears it.
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
 * Sets the general registers and the FPU, and ignores the rest of the structure, as Xen does for
 * such guests. Libxl changes RAX this way to tell a guest that its suspension was cancelled.
 */
static long replace_registers(struct vcpu *v, struct context *c)
{
	long rc = domain_check_stopped(v->domain);

	if (rc)
		return rc;
	if (!(c->guest.flags & VGCF_online) != !!(v->pause_flags & VCPU_DOWN))
		return -EOPNOTSUPP;
	hvm_get_context(v, &c->cpu);
#define TAKE(f) c->cpu.f = c->guest.user_regs.f;
	CONTEXT_REGS(TAKE)
	memcpy(c->cpu.fpu_regs, &c->guest.fpu_ctxt, sizeof(c->cpu.fpu_regs));
	c->cpu.flags = c->guest.flags & VGCF_I387_VALID ? XEN_X86_FPU_INITIALISED : 0;
	return hvm_set_registers(v, &c->cpu);
}

long hc_domctl_vcpucontext(struct vcpu *caller, struct hypercall *hc, void *arg)
{
	const struct xen_domctl_vcpucontext *vc = arg;
	struct vcpu *v = domain_vcpu(hc->target, vc->vcpu);
	struct context *c;
	long rc;

	/* The caller can't stand still while it makes this call. */
	if (!v || hc->target == caller->domain)
		return -EINVAL;
	c = kzalloc(sizeof(*c));
	if (!c)
		return -ENOMEM;
	if (hc->head->cmd == XEN_DOMCTL_setvcpucontext)
		rc = copy_from_guest(caller, &c->guest, HANDLE(vc->ctxt), sizeof(c->guest)) ?: replace_registers(v, c);
	else
		rc = view_context(v, c) ?: copy_to_guest(caller, HANDLE(vc->ctxt), &c->guest, sizeof(c->guest));
	kfree(c);
	return rc;
}

/* The toolstack calls this after a save or a migration that failed, and after a checkpoint. */
long hc_domctl_resumedomain(struct vcpu *v, struct hypercall *hc, void *arg)
{
	domain_resume(hc->target);
	record_event(RECORD_RESUME, hc->target, NULL, 0, 0);
	return 0;
}
