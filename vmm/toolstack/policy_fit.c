/*
 * A guest that comes from another machine has chosen its instructions by that machine's CPU. If
 * this CPU lacks one of them, the guest would die of it later. So it is refused while it still runs
 * at the source, and the log names the leaf of CPUID and the bits.
 */
#include "vmm/toolstack/policy_fit.h"
#include <xen/xen.h>
#include "lib/bits.h"
#include "vmm/cpu/cpu_policy_words.h"
#include "vmm/domain/refuse.h"

/* Where CPUID shows each word, in the order of enum feature_word. */
static const struct { u32 leaf, subleaf; char reg; } places[] = {
	{ 1, 0, 'd' }, { 1, 0, 'c' }, { 0x80000001, 0, 'd' }, { 0x80000001, 0, 'c' }, { 0xd, 1, 'a' }, { 7, 0, 'b' }, { 7, 0, 'c' },
	{ 0x80000007, 0, 'd' }, { 0x80000008, 0, 'b' }, { 7, 0, 'd' }, { 7, 1, 'a' }, { 0x80000021, 0, 'a' }, { 7, 1, 'b' }, { 7, 2, 'd' },
	{ 7, 1, 'c' }, { 7, 1, 'd' },
};
_Static_assert(ARRAY_SIZE(places) == WORD_ARCH_CAPS_LO, "each word that CPUID shows");

/* Libxl sets it in every policy, to describe a topology. */
#define HTT BIT(28)

static long lacks(u32 leaf, u32 subleaf, u32 *err_leaf, u32 *err_subleaf)
{
	*err_leaf = leaf;
	*err_subleaf = subleaf;
	return -EINVAL;
}

static long compare_policies(const struct cpu_policy *asked, const struct cpu_policy *got, u32 *err_leaf, u32 *err_subleaf)
{
	const struct cpuid_regs *a = asked->basic, *g = got->basic;
	u64 states = cpu_policy_xcr0(asked);
	u32 was[POLICY_FEATURE_WORDS], is[POLICY_FEATURE_WORDS];

	if (a->b != g->b || a->c != g->c || a->d != g->d)
		return refuse_say(lacks(0, 0, err_leaf, err_subleaf), "restore: the guest's CPU is of another vendor");
	cpu_policy_featureset(asked, was);
	cpu_policy_featureset(got, is);
	for (u32 w = 0; w < ARRAY_SIZE(places); w++) {
		u32 lost = was[w] & ~is[w] & ~(w == WORD_1D ? (u32)HTT : 0);

		if (lost)
			return refuse_say(lacks(places[w].leaf, places[w].subleaf, err_leaf, err_subleaf),
					  "restore: the guest uses what this CPU lacks, CPUID leaf %x subleaf %u E%cX bits %08x",
					  places[w].leaf, places[w].subleaf, places[w].reg - 'a' + 'A', lost);
	}
	for (u64 rest = states & ~3ull; rest; rest &= rest - 1) {
		u32 i = lowest_bit(rest);

		if (i >= ARRAY_SIZE(asked->xstate) || asked->xstate[i].a != got->xstate[i].a || asked->xstate[i].b != got->xstate[i].b)
			return refuse_say(lacks(0xd, i, err_leaf, err_subleaf), "restore: this CPU keeps state %u of XSAVE at another place", i);
	}
	return 0;
}

long policy_fit(struct cpu_policy *p, bool from_elsewhere, u32 *err_leaf, u32 *err_subleaf)
{
	p[1] = p[0];
	cpu_policy_clamp(p, &cpu_policy_max);
	return from_elsewhere ? compare_policies(&p[1], p, err_leaf, err_subleaf) : 0;
}
