/* Moves architectural state between the VMCS and the vendor-neutral struct hvm_state. */
#include <asm/cpu.h>
#include <asm/hvm.h>
#include <asm/insn.h>
#include <asm/vmx_insn.h>
#include "arch/x86/vmx/vmcs.h"
#include "arch/x86/vmx/vmx.h"
#include "vmm/domain.h"

const u32 vmx_own_msrs[NR_OWN_MSRS] = {
	[OWN_STAR] = 0xc0000081, [OWN_LSTAR] = 0xc0000082, [OWN_CSTAR] = 0xc0000083, [OWN_SFMASK] = 0xc0000084, [OWN_KERNEL_GS_BASE] = 0xc0000102,
};


/*
 * A VMCS can be read and written only while it is the CPU's current one. The toolstack's calls are
 * for vCPUs that run nowhere. Their VMCS becomes current for the time of the access, and then the
 * caller's own comes back.
 */
bool vmx_borrow(const struct vcpu *v)
{
	if (current_vcpu() == v)
		return false;
	BUG_ON(!vmptrld(vmx_of(v)->pa));
	return true;
}

void vmx_give_back(const struct vcpu *v, bool borrowed)
{
	if (!borrowed)
		return;
	/*
	 * Write it back to memory, so that any CPU can load it: SDM vol. 3, "Software Use of
	 * Virtual-Machine Control Structures", 25.11.1.
	 */
	BUG_ON(!vmclear(vmx_of(v)->pa));
	BUG_ON(current_vcpu() && !vmptrld(vmx_of(current_vcpu())->pa));
}

/* The manual's order of segments is ours, except for these two. */
static unsigned segment_encoding(unsigned seg)
{
	return seg == HVM_SEG_TR ? SEG_TR : seg == HVM_SEG_LDTR ? SEG_LDTR : seg;
}

/* struct hvm_segment says "not usable" by P = 0. */
static struct hvm_segment read_segment(unsigned seg)
{
	unsigned e = segment_encoding(seg);
	struct hvm_segment s = { .base = vmread(SEG_FIELD(GUEST_BASE, e)), .limit = (u32)vmread(SEG_FIELD(GUEST_LIMIT, e)) };
	u64 access;

	if (e >= SEG_GDTR)
		return s;
	access = vmread(SEG_FIELD(GUEST_ACCESS, e));
	s.sel = (u16)vmread(SEG_FIELD(GUEST_SELECTOR, e));
	s.ar = (u16)(access & (access & ACCESS_UNUSABLE ? ~(u64)ACCESS_P : ~0ull));
	return s;
}

static void write_segment(unsigned seg, const struct hvm_segment *s)
{
	unsigned e = segment_encoding(seg);

	vmwrite(SEG_FIELD(GUEST_BASE, e), s->base);
	vmwrite(SEG_FIELD(GUEST_LIMIT, e), s->limit);
	if (e >= SEG_GDTR)
		return;
	vmwrite(SEG_FIELD(GUEST_SELECTOR, e), s->sel);
	vmwrite(SEG_FIELD(GUEST_ACCESS, e), s->ar & ACCESS_P ? s->ar & 0xf0ff : (s->ar & 0xf0ff) | ACCESS_UNUSABLE);
}

/* Registers that neither entry nor exit switches stay in the CPU as long as the vCPU does. */
void vmx_load_registers(const struct vmx_vcpu *x)
{
	write_cr2(x->cr2);
	write_dr6(x->dr6);
	for (unsigned i = 0; i < NR_OWN_MSRS; i++)
		wrmsr(vmx_own_msrs[i], x->own_msr[i]);
}

void vmx_save_registers(struct vmx_vcpu *x)
{
	x->cr2 = read_cr2();
	x->dr6 = read_dr6();
	for (unsigned i = 0; i < NR_OWN_MSRS; i++)
		x->own_msr[i] = rdmsr(vmx_own_msrs[i]);
}

static u64 guest_cr0(void) { return (vmread(GUEST_CR0) & ~CR0_OWNED) | (vmread(CR0_SHADOW) & CR0_OWNED); }
static u64 guest_cr4(void) { return (vmread(GUEST_CR4) & ~CR4_OWNED) | vmread(CR4_SHADOW); }

u64 vmx_get_cr(const struct vcpu *v, int which)
{
	bool borrowed = vmx_borrow(v);
	u64 val;

	switch (which) {
	case HVM_CR0: val = guest_cr0(); break;
	case HVM_CR2: val = borrowed ? vmx_of(v)->cr2 : read_cr2(); break;
	case HVM_CR3: val = vmread(GUEST_CR3); break;
	case HVM_CR4: val = guest_cr4(); break;
	case HVM_EFER: val = vmread(GUEST_EFER); break;
	default: BUG();
	}
	vmx_give_back(v, borrowed);
	return val;
}

#define OWN_MSRS(X) X(STAR, star) X(LSTAR, lstar) X(CSTAR, cstar) X(SFMASK, sfmask) X(KERNEL_GS_BASE, kernel_gs_base)
#define FIELDS(X) \
	X(CR3, cr3) X(DR7, dr7) X(SYSENTER_CS, sysenter_cs) X(SYSENTER_ESP, sysenter_esp) X(SYSENTER_EIP, sysenter_eip)

void vmx_get_state(const struct vcpu *v, struct hvm_state *s)
{
	struct vmx_vcpu *x = vmx_of(v);
	bool borrowed = vmx_borrow(v);

	if (!borrowed)
		vmx_save_registers(x);
	for (unsigned i = 0; i < HVM_NR_SEGS; i++)
		s->seg[i] = read_segment(i);
#define X(n, f) s->f = vmread(GUEST_##n);
	FIELDS(X)
#undef X
#define X(n, f) s->f = x->own_msr[OWN_##n];
	OWN_MSRS(X)
#undef X
	s->cr0 = guest_cr0();
	s->cr4 = guest_cr4();
	s->efer = vmread(GUEST_EFER);
	s->cr2 = x->cr2;
	s->dr6 = x->dr6;
	s->event = x->injecting ? vmread(ENTRY_INTERRUPTION) | vmread(ENTRY_ERROR_CODE) << 32 : 0;
	vmx_give_back(v, borrowed);
}

/*
 * Returns the EFER that the CPU itself would have: LMA is set in long mode exactly while paging is
 * on.
 */
static u64 with_lma(u64 efer, u64 cr0)
{
	return (efer & ~EFER_LMA) | (efer & EFER_LME && cr0 & CR0_PG ? EFER_LMA : 0);
}

/* Only a guest that needs it has a scaled TSC. */
static void set_clock(const struct domain *d)
{
	u32 unwanted = (d->privileged ? CPU2_WBINVD : 0) | (d->clock.tsc_ratio == CLOCK_UNSCALED ? CPU2_TSC_SCALING : 0);

	vmwrite(SECONDARY_CONTROLS, vmx_controls.secondary & ~unwanted);
	vmwrite(TSC_OFFSET, d->clock.tsc_offset);
	if (!(unwanted & CPU2_TSC_SCALING))
		vmwrite(TSC_MULTIPLIER, d->clock.tsc_ratio);
}

void vmx_set_state(struct vcpu *v, const struct hvm_state *s)
{
	struct vmx_vcpu *x = vmx_of(v);
	bool borrowed = vmx_borrow(v);
	u64 efer = with_lma(s->efer, s->cr0);

	for (unsigned i = 0; i < HVM_NR_SEGS; i++)
		write_segment(i, &s->seg[i]);
#define X(n, f) vmwrite(GUEST_##n, s->f);
	FIELDS(X)
#undef X
#define X(n, f) x->own_msr[OWN_##n] = s->f;
	OWN_MSRS(X)
#undef X
	vmwrite(GUEST_CR0, (s->cr0 & ~(CR0_CD | CR0_NW)) | CR0_NE);
	vmwrite(CR0_SHADOW, s->cr0);
	vmwrite(GUEST_CR4, s->cr4 | CR4_MCE | vmx_cr4_fixed);
	vmwrite(CR4_SHADOW, s->cr4 & CR4_MCE);
	for (unsigned i = 0; i < 4; i++)
		vmwrite(GUEST_PDPTE + 2 * i, 0);
	vmwrite(GUEST_EFER, efer);
	vmwrite(ENTRY_CONTROLS, vmx_controls.entry | (efer & EFER_LMA ? ENTRY_GUEST_64 : 0));
	vmwrite(GUEST_PAT, v->hvm.pat);
	vmwrite(GUEST_INTERRUPTIBILITY, 0);
	vmwrite(GUEST_PENDING_DEBUG, 0);
	vmwrite(ENTRY_INTERRUPTION, (u32)s->event);
	vmwrite(ENTRY_ERROR_CODE, s->event >> 32);
	set_clock(v->domain);
	vmwrite(GUEST_ACTIVITY, 0);
	x->blocked = 0;
	x->injecting = s->event;
	x->cr2 = s->cr2;
	x->dr6 = s->dr6;
	if (!borrowed)
		vmx_load_registers(x);
	vmx_give_back(v, borrowed);
	v->hvm.asid_generation = 0;
}

unsigned vmx_check(const struct vcpu *v, void (*broken)(const char *rule))
{
	bool borrowed = vmx_borrow(v);
	unsigned count;

	vmwrite(GUEST_RIP, v->hvm.regs.rip);
	vmwrite(GUEST_RFLAGS, v->hvm.regs.rflags);
	count = vmx_check_entry(broken);
	vmx_give_back(v, borrowed);
	return count;
}
