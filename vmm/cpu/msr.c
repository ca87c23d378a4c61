/*
 * MSR policy. Registers that hold a guest's state are kept for it. A few that stock kernels read
 * without catching an exception answer with a constant. Any other register gets #GP, which kernels
 * expect of registers that they only probe (abi.md G.4, H.1).
 */
#include <asm/hvm.h>
#include <asm/insn.h>
#include <asm/time.h>
#include "vmm/cpu/msr.h"
#include "vmm/cpu/cpu_policy_words.h"
#include "vmm/apic/vlapic.h"
#include "vmm/apic/xapic.h"
#include "vmm/domain.h"
#include "vmm/vcpu.h"

enum {
	MSR_TSC = 0x10, MSR_PATCH_LEVEL = 0x8b, MSR_MCG_CAP = 0x179, MSR_MCG_STATUS = 0x17a, MSR_DEBUGCTL = 0x1d9,
};


/* Constants that stock kernels read as they start; the vendor adds its own. Writes are dropped. */
static const struct hvm_constant_msr constants[] = { { MSR_MCG_CAP, 0 }, { MSR_MCG_STATUS, 0 }, { MSR_DEBUGCTL, 0 }, { 0, 0 } };

static const u64 *find_constant(const struct hvm_constant_msr *c, u32 msr)
{
	for (; c->msr; c++)
		if (c->msr == msr)
			return &c->val;
	return NULL;
}

static const u64 *constant_value(u32 msr)
{
	return find_constant(constants, msr) ?: find_constant(hvm->constant_msrs, msr);
}

static int set_efer(struct vcpu *v, u64 val)
{
	u64 old = hvm->get_cr(v, HVM_EFER), fast_fxsave = cpu_policy_has(v->domain->policy, FEAT_FFXSR) ? EFER_FFXSR : 0;
	u64 allowed = EFER_SCE | EFER_LME | EFER_LMA | EFER_NXE | fast_fxsave;

	if (val & ~allowed || ((val ^ old) & EFER_LME && hvm->get_cr(v, HVM_CR0) & CR0_PG))
		return -EINVAL;
	hvm->set_efer(v, (val & ~EFER_LMA) | (old & EFER_LMA));
	return 0;
}

int msr_read(struct vcpu *v, u32 msr, u64 *val)
{
	const u64 *known;

	if (msr - v->apic.msr_first < 0x100)
		return vlapic_read(v, msr, val);
	switch (msr) {
	case MSR_TSC: *val = clock_guest_tsc(&v->domain->clock, time_tsc()); return 0;
	case MSR_APIC_BASE: *val = vlapic_base(v); return 0;
	case MSR_PATCH_LEVEL: *val = 0; return 0;
	case MSR_MTRRCAP: *val = MTRRCAP_VALUE; return 0;
	case MSR_PAT: *val = v->hvm.pat; return 0;
	case MSR_EFER: *val = hvm->get_cr(v, HVM_EFER); return 0;
	case MSR_TSC_AUX: *val = v->hvm.tsc_aux; return 0;
	}
	known = mtrr_slot(&v->domain->mtrr, msr) ?: constant_value(msr);
	if (!known)
		return -EINVAL;
	*val = *known;
	return 0;
}

int msr_write(struct vcpu *v, u32 msr, u64 val)
{
	u64 *slot;

	if (msr - v->apic.msr_first < 0x100)
		return vlapic_write(v, msr, val);
	switch (msr) {
	case MSR_APIC_BASE: return vlapic_set_base(v, val);
	case MSR_PATCH_LEVEL: return 0;
	case MSR_PAT:
		if (!hvm_valid_pat(val))
			return -EINVAL;
		v->hvm.pat = val;
		hvm->set_pat(v, val);
		return 0;
	case MSR_EFER: return set_efer(v, val);
	case MSR_TSC_AUX:
		if (val >> 32)
			return -EINVAL;
		hvm_set_tsc_aux(v, val);
		return 0;
	}
	slot = mtrr_slot(&v->domain->mtrr, msr);
	if (!slot)
		return constant_value(msr) ? 0 : -EINVAL;
	if (!mtrr_allows(msr, val))
		return -EINVAL;
	*slot = val;
	return 0;
}
