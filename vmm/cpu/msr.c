/*
 * MSR policy. A guest's own state is kept; a few registers that stock kernels read without a net answer with a constant; anything else is
 * #GP, which kernels expect of registers they only probe (abi.md G.4, H.1).
 */
#include <asm/hvm.h>
#include <asm/insn.h>
#include <asm/time.h>
#include "lib/string.h"
#include "vmm/cpu/cpu_policy_words.h"
#include "vmm/cpu/vlapic.h"
#include "vmm/domain.h"
#include "vmm/cpu/msr.h"
#include "vmm/vcpu.h"

enum {
	MSR_TSC = 0x10, MSR_PATCH_LEVEL = 0x8b, MSR_MTRRCAP = 0xfe, MSR_MCG_CAP = 0x179, MSR_MCG_STATUS = 0x17a, MSR_MTRR_PHYS = 0x200, MSR_MTRR_DEF = 0x2ff,
	MSR_MTRR_FIX64K = 0x250, MSR_MTRR_FIX16K = 0x258, MSR_MTRR_FIX4K = 0x268,
	MSR_DEBUGCTL = 0x1d9,
};
#define MSR_TSC_AUX 0xc0000103u

#define APIC_BASE_FIXED 0xfee00c00ull   /* enabled, x2APIC, at the usual place */
#define MTRR_VARIABLE   16

/* Constants that start-up code of stock kernels reads; the vendor adds its own. Writes are dropped. */
static const struct hvm_constant_msr constants[] = { { MSR_MCG_CAP, 0 }, { MSR_MCG_STATUS, 0 }, { MSR_DEBUGCTL, 0 }, { 0, 0 } };

static const u64 *find_constant(const struct hvm_constant_msr *c, u32 msr)
{
	for (; c->msr; c++)
		if (c->msr == msr)
			return &c->val;
	return NULL;
}

static const u64 *constant(u32 msr)
{
	return find_constant(constants, msr) ?: find_constant(hvm->constant_msrs, msr);
}

/* The place of an MTRR in d->mtrr, or NULL if msr is none. */
static u64 *mtrr_slot(struct domain *d, u32 msr)
{
	if (msr == MSR_MTRR_DEF)
		return &d->mtrr.def_type;
	if (msr >= MSR_MTRR_PHYS && msr < MSR_MTRR_PHYS + MTRR_VARIABLE)
		return &d->mtrr.variable[msr - MSR_MTRR_PHYS];
	if (msr == MSR_MTRR_FIX64K)
		return &d->mtrr.fixed[0];
	if (msr == MSR_MTRR_FIX16K || msr == MSR_MTRR_FIX16K + 1)
		return &d->mtrr.fixed[1 + msr - MSR_MTRR_FIX16K];
	if (msr >= MSR_MTRR_FIX4K && msr < MSR_MTRR_FIX4K + 8)
		return &d->mtrr.fixed[3 + msr - MSR_MTRR_FIX4K];
	return NULL;
}

void msr_init_domain(struct domain *d)
{
	u64 cap = 0;

	d->mtrr.def_type = 0xc06;     /* enabled, fixed ranges too, default write-back */
	memset(d->mtrr.fixed, 6, sizeof(d->mtrr.fixed));
	if (!d->privileged || !rdmsr_safe(MSR_MTRRCAP, &cap))
		return;
	for (u32 msr = MSR_MTRR_PHYS; msr <= MSR_MTRR_DEF; msr++) {
		u64 *slot = mtrr_slot(d, msr);

		if (slot && !(msr < MSR_MTRR_PHYS + MTRR_VARIABLE && msr >= MSR_MTRR_PHYS + 2 * (cap & 0xff)))
			rdmsr_safe(msr, slot);
	}
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

	if (msr >= MSR_X2APIC_FIRST && msr <= MSR_X2APIC_LAST)
		return vlapic_read(v, msr, val);
	switch (msr) {
	case MSR_TSC: *val = time_tsc(); return 0;
	case MSR_APIC_BASE: *val = APIC_BASE_FIXED | (v->id == 0 ? BIT(8) : 0); return 0;
	case MSR_PATCH_LEVEL: *val = 0; return 0;
	case MSR_MTRRCAP: *val = MTRRCAP_VALUE; return 0;
	case MSR_PAT: *val = v->hvm.pat; return 0;
	case MSR_EFER: *val = hvm->get_cr(v, HVM_EFER); return 0;
	case MSR_TSC_AUX: *val = v->hvm.tsc_aux; return 0;
	}
	known = mtrr_slot(v->domain, msr) ?: constant(msr);
	if (!known)
		return -EINVAL;
	*val = *known;
	return 0;
}

int msr_write(struct vcpu *v, u32 msr, u64 val)
{
	u64 *slot;

	if (msr >= MSR_X2APIC_FIRST && msr <= MSR_X2APIC_LAST)
		return vlapic_write(v, msr, val);
	switch (msr) {
	case MSR_APIC_BASE: return val == (APIC_BASE_FIXED | (v->id == 0 ? BIT(8) : 0)) ? 0 : -EINVAL;
	case MSR_PATCH_LEVEL: return 0;
	case MSR_PAT:
		if (!hvm_valid_types(val, 8, 7))
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
	slot = mtrr_slot(v->domain, msr);
	if (slot) {
		bool variable = msr < MSR_MTRR_PHYS + MTRR_VARIABLE, fixed = msr >= MSR_MTRR_FIX64K && msr < MSR_MTRR_DEF;

		/* SDM 11.11.2: the default's type and two enables; a base with a type, or a mask with its valid bit; fixed types. */
		u64 reserved = fixed ? 0 : !variable ? ~(u64)0xcff : ~(BIT(48) - 1) | (msr & 1 ? 0x7ff : 0xf00);

		if (val & reserved || !hvm_valid_types(val, fixed ? 8 : variable && msr & 1 ? 0 : 1, 6))
			return -EINVAL;
		*slot = val;
		return 0;
	}
	return constant(msr) ? 0 : -EINVAL;
}
