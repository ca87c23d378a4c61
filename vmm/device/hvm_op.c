/*
 * Calls that kernels other than Linux make as they start: a vCPU's own vector for events, a flush of
 * all vCPUs' TLBs, and a vCPU's first state in one call.
 */
#include <xen/hvm/hvm_op.h>
#include <xen/hvm/hvm_vcpu.h>
#include <xen/hvm/save.h>
#include <asm/hvm.h>
#include <asm/insn.h>
#include "mm/p2m.h"
#include "vmm/domain.h"
#include "vmm/hypercall.h"
#include "vmm/share/evtchn.h"
#include "vmm/vcpu.h"

long hc_hvm_flush_tlbs(struct vcpu *v, struct hypercall *hc, void *arg)
{
	if (hc->a[1])
		return -EINVAL;
	p2m_flush(&v->domain->p2m);
	return 0;
}

/*
 * CPUID doesn't offer this, as it may: Linux would use it, and then each event would cost it an exit
 * for the APIC's EOI. The callback needs none. Kernels that want it ask without a look at CPUID.
 */
long hc_hvm_set_upcall_vector(struct vcpu *v, struct hypercall *hc, void *arg)
{
	const struct xen_hvm_evtchn_upcall_vector *op = arg;
	struct vcpu *of = domain_vcpu(v->domain, op->vcpu);

	if (op->vector < 16)
		return -EINVAL;
	if (!of)
		return -ENOENT;
	__atomic_store_n(&of->upcall_vector, op->vector, __ATOMIC_SEQ_CST);
	/* An event that came before has told the vCPU in the old way, if at all. */
	if (evtchn_upcall_pending(of))
		vcpu_upcall(of);
	return 0;
}

/* ---- VCPUOP_initialise ---- */

#define FLAT_CODE 0xa9bu    /* 64-bit, present, accessed (SDM vol. 3, "Segment Descriptors", 3.4.5) */
#define FLAT_DATA 0xc93u
#define BUSY_TSS  0x8bu

/* The bits above the type that the structure keeps in 8 to 11 stand in the same place in Xen's record. */
static bool state_of_32(const struct vcpu_hvm_x86_32 *r, struct hvm_hw_cpu *c)
{
	*c = (struct hvm_hw_cpu){
		.rax = r->eax, .rcx = r->ecx, .rdx = r->edx, .rbx = r->ebx, .rsp = r->esp, .rbp = r->ebp, .rsi = r->esi, .rdi = r->edi,
		.rip = r->eip, .rflags = r->eflags, .cr0 = r->cr0, .cr3 = r->cr3, .cr4 = r->cr4, .msr_efer = r->efer,
		.cs_base = r->cs_base, .ds_base = r->ds_base, .ss_base = r->ss_base, .es_base = r->es_base, .tr_base = r->tr_base,
		.cs_limit = r->cs_limit, .ds_limit = r->ds_limit, .ss_limit = r->ss_limit, .es_limit = r->es_limit, .tr_limit = r->tr_limit,
		.cs_arbytes = r->cs_ar, .ds_arbytes = r->ds_ar, .ss_arbytes = r->ss_ar, .es_arbytes = r->es_ar, .tr_arbytes = r->tr_ar,
	};
	return !(r->pad1 | r->pad2[0] | r->pad2[1] | r->pad2[2]) && !((r->cs_ar | r->ds_ar | r->ss_ar | r->es_ar | r->tr_ar) & 0xf000);
}

static void state_of_64(const struct vcpu_hvm_x86_64 *r, struct hvm_hw_cpu *c)
{
	*c = (struct hvm_hw_cpu){
		.rax = r->rax, .rcx = r->rcx, .rdx = r->rdx, .rbx = r->rbx, .rsp = r->rsp, .rbp = r->rbp, .rsi = r->rsi, .rdi = r->rdi,
		.rip = r->rip, .rflags = r->rflags, .cr0 = r->cr0, .cr3 = r->cr3, .cr4 = r->cr4, .msr_efer = r->efer,
		.cs_limit = ~0u, .ds_limit = ~0u, .ss_limit = ~0u, .es_limit = ~0u, .tr_limit = 0x67,
		.cs_arbytes = FLAT_CODE, .ds_arbytes = FLAT_DATA, .ss_arbytes = FLAT_DATA, .es_arbytes = FLAT_DATA, .tr_arbytes = BUSY_TSS,
	};
}

/* A 64-bit start is in long mode with paging on, as its structure has no segments. */
static bool wanted_state(const struct vcpu_hvm_context *ctx, struct hvm_hw_cpu *c)
{
	if (ctx->pad)
		return false;
	if (ctx->mode == VCPU_HVM_MODE_32B)
		return state_of_32(&ctx->cpu_regs.x86_32, c);
	state_of_64(&ctx->cpu_regs.x86_64, c);
	return ctx->mode == VCPU_HVM_MODE_64B && c->cr0 & CR0_PG && c->cr4 & CR4_PAE && c->msr_efer & EFER_LME;
}

long hc_vcpu_initialise(struct vcpu *v, struct hypercall *hc, void *arg)
{
	struct vcpu *to = domain_vcpu(v->domain, hc->a[1]);
	struct hvm_hw_cpu c;
	long err;

	if (!to)
		return -ENOENT;
	if (!to->wait_for_sipi)
		return -EEXIST;
	if (!wanted_state(arg, &c))
		return -EINVAL;
	c.rflags |= 2;
	c.gdtr_limit = c.idtr_limit = 0xffff;
	c.dr6 = 0xffff0ff0;
	c.dr7 = 0x400;
	/* This also keeps out a start-up IPI, and a sibling that does the same. */
	if (!vcpu_hold(to))
		return HC_AGAIN;
	err = to->wait_for_sipi ? hvm_set_context(to, &c) : -EEXIST;
	if (!err)
		to->wait_for_sipi = false;
	vcpu_let_go(to);
	return err;
}
