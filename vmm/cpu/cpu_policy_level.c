/*
 * Levels a pool of machines (the option cpuid=): a guest can move to every one of them if it never
 * sees a feature that one of them lacks.
 */
#include "vmm/cpu/cpu_policy.h"
#include <asm/insn.h>
#include "lib/string.h"
#include "vmm/cpu/cpu_policy_words.h"

static const struct { const char *name; enum feature feature; } names[] = {
#define FEATURE(word, bit, name, who, state) { #name, FEAT_##name },
#include "vmm/cpu/cpu_features.def"
#undef FEATURE
};

/* Programs take the first of these features for the whole group. So its XSAVE state goes with it, and then all that needs the state. */
static const struct { enum feature feature; u32 state; } openers[] = {
	{ FEAT_AVX, XCR0_AVX }, { FEAT_AVX512F, XCR0_AVX512 }, { FEAT_PKU, XCR0_PKRU },
};

static bool same_name(const char *name, const char *text, size_t len)
{
	size_t i = 0;

	while (i < len && name[i] && (name[i] | 0x20) == (text[i] | 0x20))
		i++;
	return i == len && !name[i];
}

static bool hide(struct cpu_policy *p, const char *text, size_t len)
{
	u32 n = 0;

	while (n < ARRAY_SIZE(names) && !same_name(names[n].name, text, len))
		n++;
	if (n == ARRAY_SIZE(names))
		return false;
	*cpu_policy_word(p, (enum feature_word)(names[n].feature / 32)) &= ~(u32)BIT(names[n].feature % 32);
	for (u32 i = 0; i < ARRAY_SIZE(openers); i++)
		if (openers[i].feature == names[n].feature)
			p->xstate[0].a &= ~openers[i].state;
	return true;
}

void cpu_policy_level(struct cpu_policy *p, const char *list)
{
	while (*list > ' ') {
		const char *word = list;

		while (*list > ' ' && *list != ',')
			list++;
		if (*word != '-' || !hide(p, word + 1, (size_t)(list - word - 1)))
			printk(LOG_WARN "cpuid=: \"%.*s\" is ignored: it has to be - and a feature's name, such as -avx2\n", (int)(list - word), word);
		list += *list == ',';
	}
	cpu_policy_clamp(p, p);
}
