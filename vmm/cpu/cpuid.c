/*
 * The answer to a guest's CPUID: a look-up in its policy, and the few bits that depend on the vCPU.
 * This is one of the hottest exits.
 */
#include <xen/arch-x86/cpuid.h>
#include <asm/hvm.h>
#include <asm/insn.h>
#include <asm/time.h>
#include "lib/bits.h"
#include "vmm/cpu/cpu_policy_words.h"
#include "vmm/domain.h"
#include "vmm/vcpu.h"
#include "vmm/versions.h"

#define OSXSAVE            BIT(27)  /* 1.ECX: CR4.OSXSAVE */
#define OSPKE              BIT(4)   /* 7.0.ECX: CR4.PKE */

#define HYPERCALL_MSR      0x40000000u

u32 xen_version = 4 << 16 | 17;

/*
 * In the standard format each state has its place. In the compacted one they follow each other,
 * some aligned to 64 bytes (0xD.n ECX[1]).
 */
u32 cpu_policy_xsave_size(const struct cpu_policy *p, u64 xcr0, bool compacted)
{
	u32 size = XSAVE_MIN;

	for (u64 rest = xcr0 & ~3ull & ~BIT(63); rest; rest &= rest - 1) {
		const struct cpuid_regs *state = &p->xstate[lowest_bit(rest)];

		if (!compacted)
			size = MAX(size, state->a + state->b);
		else
			size = ROUND_UP(size, state->c & 2 ? 64 : 1) + state->a;
	}
	return size;
}

/*
 * The service domain's vCPUs are pinned and have the APIC ids of their CPUs. So this CPU's answer
 * about its place in the machine is true for the vCPU, too. Other guests see only their id.
 */
static void topology_leaf(const struct vcpu *v, u32 leaf, u32 subleaf, struct cpuid_regs *out)
{
	if (v->domain->privileged)
		*out = cpuid(leaf, subleaf);
}

static void xstate_leaf(const struct vcpu *v, const struct cpu_policy *p, u32 subleaf, struct cpuid_regs *out)
{
	if (subleaf >= ARRAY_SIZE(p->xstate))
		return;
	*out = p->xstate[array_index_nospec(subleaf, ARRAY_SIZE(p->xstate))];
	if (!out->a)
		return;
	if (subleaf == 0)
		out->b = cpu_policy_xsave_size(p, v->hvm.xcr0, false);
	else if (subleaf == 1 && cpu_policy_has(p, FEAT_XSAVEC))
		out->b = cpu_policy_xsave_size(p, v->hvm.xcr0, true);
}

static void basic_leaf(const struct vcpu *v, const struct cpu_policy *p, u32 leaf, u32 subleaf, struct cpuid_regs *out)
{
	switch (leaf) {
	case 1:
		*out = p->basic[1];
		out->b |= v->apic_id << 24;
		if (hvm_get_cr(v, HVM_CR4) & CR4_OSXSAVE)
			out->c |= OSXSAVE;
		break;
	case 4:
		if (subleaf < ARRAY_SIZE(p->cache))
			*out = p->cache[array_index_nospec(subleaf, ARRAY_SIZE(p->cache))];
		break;
	case 7:
		if (subleaf >= ARRAY_SIZE(p->feat) || subleaf > p->feat[0].a)
			break;
		*out = p->feat[array_index_nospec(subleaf, ARRAY_SIZE(p->feat))];
		if (subleaf == 0 && (hvm_get_cr(v, HVM_CR4) & CR4_PKE))
			out->c |= OSPKE;
		break;
	case 0xb:
		topology_leaf(v, leaf, subleaf, out);
		out->c = (out->c & ~0xffu) | (subleaf & 0xff);
		out->d = v->apic_id;
		break;
	case 0xd:
		xstate_leaf(v, p, subleaf, out);
		break;
	default:
		*out = p->basic[array_index_nospec(leaf, ARRAY_SIZE(p->basic))];
	}
}

static void extended_leaf(const struct vcpu *v, const struct cpu_policy *p, u32 index, u32 subleaf, struct cpuid_regs *out)
{
	if ((index == 0x1d || index == 0x1e) && cpu_policy_has(p, FEAT_TOPOEXT))
		topology_leaf(v, CPUID_EXTD + index, subleaf, out);
	else
		*out = p->extd[array_index_nospec(index, ARRAY_SIZE(p->extd))];
}

static void time_leaf(const struct vcpu *v, const struct cpu_policy *p, u32 subleaf, struct cpuid_regs *out)
{
	const struct time_scale *scale = &v->domain->clock.scale;

	switch (subleaf) {
	case 0:     /* the machine's TSC is safe; RDTSCP; tsc_mode 0 */
		out->a = (u32)BIT(1) | (cpu_policy_has(p, FEAT_RDTSCP) ? (u32)BIT(2) : 0);
		out->c = scale->tsc_khz;
		break;
	case 1:     /* no offset; how ticks become nanoseconds */
		out->c = scale->mul;
		out->d = (u32)(s32)scale->shift;
		break;
	case 2:
		out->a = time_scale.tsc_khz;
		break;
	}
}

/* Xen's own leaves: abi.md A.5. */
static void xen_leaf(const struct vcpu *v, const struct cpu_policy *p, u32 index, u32 subleaf, struct cpuid_regs *out)
{
	switch (index) {
	case 0:
		*out = (struct cpuid_regs){ XEN_CPUID_LEAF(XEN_CPUID_MAX_NUM_LEAVES), XEN_CPUID_SIGNATURE_EBX,
					    XEN_CPUID_SIGNATURE_ECX, XEN_CPUID_SIGNATURE_EDX };
		break;
	case 1:
		out->a = xen_version;
		break;
	case 2:
		out->a = 1;     /* one hypercall page, by this MSR */
		out->b = HYPERCALL_MSR;
		break;
	case 3:
		time_leaf(v, p, subleaf, out);
		break;
	case 4:
		if (subleaf)
			break;
		out->a = XEN_HVM_CPUID_VCPU_ID_PRESENT | XEN_HVM_CPUID_DOMID_PRESENT | (v->domain->p2m.mirror ? XEN_HVM_CPUID_IOMMU_MAPPINGS : 0);
		out->b = v->id;
		out->c = v->domain->domid;
		break;
	}
}

void cpu_policy_cpuid(const struct vcpu *v, u32 leaf, u32 subleaf, struct cpuid_regs *out)
{
	const struct cpu_policy *p = v->domain->policy;

	*out = (struct cpuid_regs){ 0 };
	if (leaf <= p->basic[0].a)
		basic_leaf(v, p, leaf, subleaf, out);
	else if (leaf >= CPUID_EXTD && leaf <= p->extd[0].a)
		extended_leaf(v, p, leaf - CPUID_EXTD, subleaf, out);
	else if (leaf - XEN_CPUID_FIRST_LEAF < 0x100)
		xen_leaf(v, p, leaf - XEN_CPUID_FIRST_LEAF, subleaf, out);
	else
		seal_cpuid(v->domain, leaf - SEAL_LEAF, out);
}
