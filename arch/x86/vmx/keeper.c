/* What the keeper's context needs of VMX (vmm/keeper/). */
#include <asm/hvm.h>
#include <asm/insn.h>
#include <asm/vmx_insn.h>
#include "arch/x86/vmx/vmcs.h"
#include "arch/x86/vmx/vmx.h"

void vmx_end_shadow(struct vcpu *v)
{
	struct vmx_vcpu *x = vmx_of(v);

	x->blocked &= BLOCKED_BY_NMI;
	vmwrite(GUEST_INTERRUPTIBILITY, x->blocked);
}

/* Neither entry nor exit switches CR2. */
void vmx_set_cr2(struct vcpu *v, u64 cr2) { write_cr2(cr2); }

u64 vmx_code_at(const struct vcpu *v, u8 *mode)
{
	u64 access = vmread(SEG_FIELD(GUEST_ACCESS, SEG_CS));

	*mode = access & ACCESS_DB ? 4 : 2;
	if (!(vmread(GUEST_EFER) & EFER_LMA) || !(access & ACCESS_L))
		return (u32)(vmread(SEG_FIELD(GUEST_BASE, SEG_CS)) + v->hvm.regs.rip);
	*mode = 8;
	return v->hvm.regs.rip;
}

/* The current vCPU's VMCS stays active on this CPU. The context's goes back to memory each time. */
void vmx_lend_cpu(struct vcpu *c)
{
	BUG_ON(!vmptrld(vmx_of(c)->pa));
	vmx_set_host_state();
	vmx_start_slice(vmx_of(c));
}

void vmx_end_lending(struct vcpu *c)
{
	vmx_give_back(c, true);
	vmx_of(c)->launched = false;
}
