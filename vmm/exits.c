/* Handles the exits of guests. The vendor has said what happened; the policy is here. */
#include <asm/hvm.h>
#include <asm/hvm_vcpu.h>
#include <asm/insn.h>
#include <asm/mcheck.h>
#include <asm/traps.h>
#include "vmm/exits.h"
#include "mm/memory_map.h"
#include "mm/p2m_log.h"
#include "vmm/cpu/cpu_policy.h"
#include "vmm/cpu/msr.h"
#include "vmm/apic/vlapic.h"
#include "vmm/device/io_port.h"
#include "vmm/dom0/ports.h"
#include "vmm/dom0/watch.h"
#include "vmm/domain.h"
#include "vmm/domain/guest_log.h"
#include "vmm/hypercall.h"
#include "vmm/keeper/keeper.h"
#include "vmm/keeper/mmio.h"
#include "vmm/life/life.h"
#include "vmm/vcpu.h"

static void inject_gp(struct vcpu *v) { hvm->inject_exception(v, VECTOR_GP, true, 0); }

static __noinline void exit_cpuid(struct vcpu *v, struct vm_exit *x)
{
	struct cpu_regs *r = &v->hvm.regs;
	struct cpuid_regs out;

	/* This leaf tells the size of the state that XCR0 has enabled. */
	if ((u32)r->rax == 0xd)
		hvm_sync_xcr0(v);
	x->cpuid.leaf = (u32)r->rax;
	x->cpuid.subleaf = (u32)r->rcx;
	cpu_policy_cpuid(v, x->cpuid.leaf, x->cpuid.subleaf, &out);
	r->rax = out.a;
	r->rbx = out.b;
	r->rcx = out.c;
	r->rdx = out.d;
	hvm_complete(v, &v->hvm.regs, x->len);
}

static __noinline void exit_rdmsr(struct vcpu *v, struct vm_exit *x)
{
	struct cpu_regs *r = &v->hvm.regs;
	u64 val = 0;
	int err = msr_read(v, (u32)r->rcx, &val);

	x->msr.index = (u32)r->rcx;
	x->msr.value = val;
	if (err) {
		inject_gp(v);
		return;
	}
	r->rax = (u32)val;
	r->rdx = val >> 32;
	hvm_complete(v, &v->hvm.regs, x->len);
}

static __noinline void exit_wrmsr(struct vcpu *v, struct vm_exit *x)
{
	struct cpu_regs *r = &v->hvm.regs;

	x->msr.index = (u32)r->rcx;
	x->msr.value = r->rdx << 32 | (u32)r->rax;
	if (msr_write(v, x->msr.index, x->msr.value) &&
	    (x->msr.index != MSR_HYPERCALL_PAGE || hypercall_page_write(v, x->msr.value)))
		inject_gp(v);
	else
		hvm_complete(v, &v->hvm.regs, x->len);
}

/*
 * HLT with interrupts off means that the vCPU stops for good (abi.md G.6). While the guest
 * single-steps, HLT ends at once, because the trap of the step is due behind it.
 */
static __noinline void exit_hlt(struct vcpu *v, const struct vm_exit *x)
{
	hvm_complete(v, &v->hvm.regs, x->len);
	if (v->hvm.regs.rflags & RFLAGS_TF)
		return;
	if (v->hvm.regs.rflags & RFLAGS_IF)
		vcpu_block(v);
	else if (!vcpu_wants(v, VCPU_NMI)) {
		dom0_unpacking_failed(v);
		vcpu_down(v);
	}
}

static __noinline void exit_xsetbv(struct vcpu *v, const struct vm_exit *x)
{
	struct cpu_regs *r = &v->hvm.regs;
	u64 value = r->rdx << 32 | (u32)r->rax;

	if (hvm->cpl(v) || (u32)r->rcx || hvm_set_xcr0(v, value, cpu_policy_xcr0(v->domain->policy)))
		inject_gp(v);
	else
		hvm_complete(v, &v->hvm.regs, x->len);
}

/* CR8 is the APIC's task priority. VMX leaves the register to us. */
static __noinline void exit_cr8(struct vcpu *v, const struct vm_exit *x)
{
	u64 *reg = (u64 *)&v->hvm.regs + x->cr8.reg;

	if (x->cr8.read) {
		*reg = v->apic.tpr >> 4;
	} else if (*reg > 15 || vlapic_write(v, MSR_X2APIC_TPR, *reg << 4)) {
		inject_gp(v);
		return;
	}
	hvm_complete(v, &v->hvm.regs, x->len);
}

/*
 * Maps a page of device memory for the service domain, at its machine address, when first touched.
 * Pages are not mapped beforehand, because BARs may be anywhere and may move. Other domains' RAM
 * is not device memory, and neither are the registers that ring 0 uses itself.
 */
static bool map_device_memory(struct vcpu *v, u64 gpa)
{
	u64 gfn = gpa >> PAGE_SHIFT;

	if (gpa >> hvm_phys_bits || memory_map_has_ram(gpa & PAGE_MASK, PAGE_SIZE) || !dom0_device_at(gpa))
		return false;
	return !p2m_map(&v->domain->p2m, GFN(gfn), MFN(gfn), 0, P2M_MMIO);
}

/*
 * Returns true if the guest can simply repeat the access. We may have mapped device memory for it.
 * Or an entry that permits the access was made while the fault was on its way.
 */
static bool resolve_fault(struct vcpu *v, const struct vm_exit *x)
{
	enum p2m_type type = p2m_lookup(&v->domain->p2m, GFN(x->npf.gpa >> PAGE_SHIFT), NULL);

	if (type == P2M_HOLE)
		return v->domain->privileged && map_device_memory(v, x->npf.gpa);
	/* RAM that may not be written is watched: a migration wants to know of the first write. */
	if (x->npf.write && type == P2M_RAM)
		return p2m_make_dirty(&v->domain->p2m, GFN(x->npf.gpa >> PAGE_SHIFT));
	return !(x->npf.write && type == P2M_GRANT_RO) && !(x->npf.fetch && type != P2M_RAM);
}

static __noinline void exit_npf(struct vcpu *v, const struct vm_exit *x)
{
	struct domain *d = v->domain;
	gfn_t gfn = GFN(x->npf.gpa >> PAGE_SHIFT);

	if (unlikely(x->npf.fetch) && dom0_watched(v, gfn))
		return;
	/* Nothing is there, as when the keeper was asked. */
	if (v->keeper && !x->npf.present && keeper_remembers(v, x))
		return;
	if (resolve_fault(v, x))
		return;
	/* The service domain may look at registers that ring 0 uses: it sees ones. */
	if (d->privileged && !x->npf.write && !x->npf.fetch && !dom0_device_at(x->npf.gpa) && !p2m_fill_hole(&d->p2m, gfn))
		return;
	if (d->privileged) {
		printk(LOG_WARN "d0v%u %s address %lx, which is not its own: #GP\n",
		       v->id, x->npf.write ? "writes" : "reads", x->npf.gpa);
		inject_gp(v);
		return;
	}
	if (!x->npf.fetch && mmio_exit(v, x))
		return;
	domain_crash(d, "vCPU %u %s guest-physical %lx, where it has no memory, at rip %lx", v->id,
		     x->npf.fetch ? "executes" : x->npf.write ? "writes" : "reads", x->npf.gpa, v->hvm.regs.rip);
}

/*
 * Handles a machine check. Returns false if there was none. If the error hit only the guest, the
 * guest ends; if nothing can continue, the machine stops.
 */
static bool machine_check(struct vcpu *v)
{
	struct mcheck_error e;
	enum mcheck m = mcheck_take(&e);

	if (m == MCHECK_FATAL)
		panic("machine check while d%uv%u ran: status %lx, bank %d, %lx",
		      v->domain->domid, v->id, e.status, e.bank, e.error);
	if (m == MCHECK_CONTAINED)
		domain_crash(v->domain, "machine check while vCPU %u ran: status %lx, bank %d, %lx",
			     v->id, e.status, e.bank, e.error);
	return m != MCHECK_NONE;
}

static __noinline void exit_exception(struct vcpu *v, const struct vm_exit *x)
{
	if (x->exc.vector == VECTOR_MC)
		machine_check(v);
	else
		hvm->inject_exception(v, x->exc.vector, x->exc.vector != VECTOR_DB, x->exc.error);
}

static __noinline void exit_triple_fault(struct vcpu *v)
{
	/*
	 * AMD's CPUs let a guest clear CR4.MCE, and then a machine check appears as the guest's
	 * shutdown.
	 */
	if (machine_check(v))
		return;
	dom0_unpacking_failed(v);
	printk(LOG_WARN "d%uv%u triple fault\n", v->domain->domid, v->id);
	hvm_dump(v);
	domain_shutdown(v->domain, (u8)v->domain->params[HVM_PARAM_TRIPLE_FAULT_REASON]);
}

static void print_broken_rule(const char *rule) { printk(LOG_WARN "  rule of entry: %s\n", rule); }

/*
 * Handles a guest whose state the CPU refuses to enter, or whose run ended for a reason unknown
 * here. Any process of the guest may have caused this, so the whole guest should not end for it.
 * We repair its state, or inject an exception, by which its kernel kills the process. The guest
 * ends only if that exception can't be delivered either.
 */
static __noinline void exit_odd(struct vcpu *v, const struct vm_exit *x, bool refused)
{
	const char *what = refused ? "the CPU refuses its state:" : "unexpected exit", *then = refused ? "#GP" : "#UD";
	struct domain *d = v->domain;
	bool tell;

	spin_lock(&d->lock);
	tell = guest_log_allows(d) && !vcpu_wants(v, VCPU_SEALED);
	spin_unlock(&d->lock);
	if (tell && refused)
		hvm->check(v, print_broken_rule);
	if (refused && hvm_mend(v)) {
		then = "put right";
	} else if (!x->odd.undelivered) {
		hvm->inject_exception(v, refused ? VECTOR_GP : VECTOR_UD, refused, 0);
	} else {
		hvm_dump(v);
		domain_crash(d, "vCPU %u: %s %lx", v->id, what, x->odd.code);
		return;
	}
	if (tell)
		printk(LOG_WARN "d%uv%u: %s %lx, at rip %lx: %s\n",
		       d->domid, v->id, what, x->odd.code, v->hvm.regs.rip, then);
}

void exit_handle(struct vcpu *v, struct vm_exit *x)
{
	switch ((enum exit_reason)x->reason) {
	case EXIT_HYPERCALL: hypercall_dispatch(v, x); break;
	case EXIT_INTERRUPT:
		if (x->acknowledged)
			interrupt_handle(x->acknowledged);
		interrupts_window();
		break;
	case EXIT_HLT: exit_hlt(v, x); break;
	case EXIT_WRMSR: exit_wrmsr(v, x); break;
	case EXIT_NPF: exit_npf(v, x); break;
	case EXIT_IO: io_exit(v, x); break;
	case EXIT_CPUID: exit_cpuid(v, x); break;
	case EXIT_RDMSR: exit_rdmsr(v, x); break;
	case EXIT_XSETBV: exit_xsetbv(v, x); break;
	case EXIT_CR8: exit_cr8(v, x); break;
	case EXIT_EXCEPTION: exit_exception(v, x); break;
	case EXIT_UNDEFINED: hvm->inject_exception(v, VECTOR_UD, false, 0); break;
	case EXIT_TRIPLE_FAULT: exit_triple_fault(v); break;
	case EXIT_NMI: interrupts_window(); break;
	case EXIT_BUS_LOCK:
	case EXIT_WINDOW:
	case EXIT_CR_WRITE:
	case EXIT_RETRY: break;
	case EXIT_FAILED: exit_odd(v, x, true); break;
	case EXIT_UNKNOWN:
	case EXIT_REASONS: exit_odd(v, x, false); break;
	}
}
