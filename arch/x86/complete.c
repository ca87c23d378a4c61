/* What comes behind an instruction that was done for a guest, in the rare cases. */
#include <asm/hvm.h>
#include <asm/insn.h>
#include "vmm/domain.h"

enum { AR_L = 1 << 13 };

void hvm_carry_rip(struct vcpu *v)
{
	struct hvm_state s;

	hvm->get_state(v, &s);
	if (s.efer & EFER_LME && s.cr0 & CR0_PG && s.seg[HVM_SEG_CS].ar & AR_L)
		v->hvm.regs.rip += BIT(32);
}
