/*
 * The feature words that libxc and the hypervisor number alike (abi.md I.9), and their places in a
 * policy.
 */
#ifndef VMM_CPU_CPU_POLICY_WORDS_H
#define VMM_CPU_CPU_POLICY_WORDS_H

#include "vmm/cpu/cpu_policy.h"

enum feature_word {
	WORD_1D, WORD_1C, WORD_E1D, WORD_E1C, WORD_DA1, WORD_7B0, WORD_7C0, WORD_E7D, WORD_E8B, WORD_7D0, WORD_7A1,
	WORD_E21A, WORD_7B1, WORD_7D2, WORD_7C1, WORD_7D1, WORD_ARCH_CAPS_LO, WORD_ARCH_CAPS_HI, WORD_E21C, WORD_NONE,
};

/* A feature is its word and bit in one number, as 32 * word + bit. */
enum feature {
#define FEATURE(word, bit, name, who, state) FEAT_##name = WORD_##word * 32 + (bit),
#include "vmm/cpu/cpu_features.def"
#undef FEATURE
};

/* Bytes before the first extended state: SDM vol. 1, "XSAVE Area", 13.4. */
#define XSAVE_MIN 576u

#define CPUID_EXTD 0x80000000u      /* leaves from here on are extd[] */

/* Returns the word's place in p, or NULL if no CPUID register holds the word (WORD_ARCH_CAPS_*). */
u32 *cpu_policy_word(struct cpu_policy *p, enum feature_word word);

/* True if p has feature f. */
static inline bool cpu_policy_has(const struct cpu_policy *p, enum feature f)
{
	const u32 *word = cpu_policy_word((struct cpu_policy *)p, (enum feature_word)(f / 32));

	return word && (*word >> (f % 32) & 1);
}

/*
 * Makes p a policy that a guest may have. Features and XCR0 states are then within those of `max`,
 * and leaves that aren't virtualised are zero. Sizes, limits, vendor and address widths agree with
 * the rest.
 */
void cpu_policy_clamp(struct cpu_policy *p, const struct cpu_policy *max);

#endif
