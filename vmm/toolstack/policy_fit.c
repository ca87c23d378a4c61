/*
 * A guest that comes from another machine has chosen its instructions by that machine's CPU. If
 * this CPU lacks one of them, the guest would die of it later. So it is refused while it still runs
 * at the source, and the log names the leaf of CPUID and the bits.
 */
#include "vmm/toolstack/control.h"
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

/* *leaf and *subleaf say what was compared last, or in the end nothing. */
static long compare_policies(const struct cpu_policy *asked, const struct cpu_policy *got, u32 *leaf, u32 *subleaf)
{
	const struct cpuid_regs *a = asked->basic, *g = got->basic;
	u32 was[POLICY_FEATURE_WORDS], is[POLICY_FEATURE_WORDS];

	*leaf = *subleaf = 0;
	if (a->b != g->b || a->c != g->c || a->d != g->d)
		return refuse_say(-EINVAL, "restore: the guest's CPU is of another vendor");
	cpu_policy_featureset(asked, was);
	cpu_policy_featureset(got, is);
	for (u32 w = 0; w < ARRAY_SIZE(places); w++) {
		u32 lost = was[w] & ~is[w] & ~(w == WORD_1D ? (u32)HTT : 0);

		*leaf = places[w].leaf;
		*subleaf = places[w].subleaf;
		if (lost)
			return refuse_say(-EINVAL, "restore: the guest uses what this CPU lacks, CPUID leaf %x subleaf %u E%cX bits %08x",
					  *leaf, *subleaf, places[w].reg - 'a' + 'A', lost);
	}
	*leaf = 0xd;
	for (u64 rest = cpu_policy_xcr0(asked) & ~3ull; rest; rest &= rest - 1) {
		u32 i = *subleaf = lowest_bit(rest);

		if (i >= ARRAY_SIZE(asked->xstate) || asked->xstate[i].a != got->xstate[i].a || asked->xstate[i].b != got->xstate[i].b)
			return refuse_say(-EINVAL, "restore: this CPU keeps state %u of XSAVE at another place", i);
	}
	*leaf = *subleaf = ~0u;
	return 0;
}

long policy_fit(struct cpu_policy *p, bool from_elsewhere, u32 *err_leaf, u32 *err_subleaf)
{
	p[1] = p[0];
	cpu_policy_clamp(p, &cpu_policy_max);
	return from_elsewhere ? compare_policies(&p[1], p, err_leaf, err_subleaf) : 0;
}
