/*
 * The CPUID that a guest may see. A policy begins as the CPU's own answers. Lists name what a guest
 * gets, never what it doesn't get, so that a CPU of next year shows nothing new by accident. The
 * features are in cpu_features.def, the other registers below.
 */
#include "vmm/cpu/cpu_policy.h"
#include <asm/insn.h>
#include "vmm/cpu/cpu_policy_words.h"

struct cpu_policy cpu_policy_raw, cpu_policy_host, cpu_policy_max, cpu_policy_def, cpu_policy_dom0;

#define BASIC_MAX 0xdu              /* the policy's format ends here */
#define EXTD_MAX  0x80000021u
#define BASIC_MIN 1u                /* what any 64-bit kernel reads */
#define EXTD_MIN  0x80000008u

/* Bits of 1.EDX that AMD repeats in 80000001.EDX: APM vol. 3, "Function 8000_0001h", E.4.2. */
#define AMD_COMMON_1D 0x0183f3ffu

#define ARAT BIT(2)                 /* 6.EAX: the APIC timer never stops */

enum { ALL = 1, DOM0 = 2 };

static const struct { u8 word, bit, who; u16 state; } features[] = {
#define FEATURE(word, bit, name, who, state) { WORD_##word, bit, who, state },
#include "vmm/cpu/cpu_features.def"
#undef FEATURE
};

/* Bits that aren't features and are passed on as they are, by leaf. The others read as zero. */
#define WHOLE { ~0u, ~0u, ~0u, ~0u }
static const struct cpuid_regs basic_info[BASIC_MAX + 1] = {
	[0x0] = WHOLE,                                  /* highest leaf and vendor */
	[0x1] = { .a = ~0u, .b = 0x00ffffff },          /* model; brand, CLFLUSH size, number of ids; not the APIC id */
	[0x2] = WHOLE,                                  /* cache descriptors */
};
static const struct cpuid_regs extd_info[EXTD_MAX - CPUID_EXTD + 1] = {
	[0x00] = WHOLE,
	[0x01] = { .a = ~0u, .b = ~0u },
	[0x02] = WHOLE, [0x03] = WHOLE, [0x04] = WHOLE, /* name */
	[0x05] = WHOLE, [0x06] = WHOLE,                 /* caches and TLBs */
	[0x08] = { .a = 0x0000ffff, .c = 0x0000f0ff },  /* address widths; core count and APIC id size */
	[0x19] = WHOLE,                                 /* TLBs of 1 GiB pages */
	[0x1a] = { .a = 0x7 },                          /* width of the data paths */
};

#define AT(field) offsetof(struct cpu_policy, field)

u32 *cpu_policy_word(struct cpu_policy *p, enum feature_word word)
{
	static const u16 places[WORD_NONE] = {
		[WORD_1D] = AT(basic[1].d), [WORD_1C] = AT(basic[1].c), [WORD_E1D] = AT(extd[1].d), [WORD_E1C] = AT(extd[1].c),
		[WORD_DA1] = AT(xstate[1].a), [WORD_7B0] = AT(feat[0].b), [WORD_7C0] = AT(feat[0].c), [WORD_E7D] = AT(extd[7].d),
		[WORD_E8B] = AT(extd[8].b), [WORD_7D0] = AT(feat[0].d), [WORD_7A1] = AT(feat[1].a), [WORD_E21A] = AT(extd[0x21].a),
		[WORD_7B1] = AT(feat[1].b), [WORD_7D2] = AT(feat[2].d), [WORD_7C1] = AT(feat[1].c), [WORD_7D1] = AT(feat[1].d),
		[WORD_E21C] = AT(extd[0x21].c),
	};

	return word < WORD_NONE && places[word] ? (u32 *)(void *)((u8 *)p + places[word]) : NULL;
}

void cpu_policy_featureset(const struct cpu_policy *p, u32 words[POLICY_FEATURE_WORDS])
{
	for (unsigned i = 0; i < POLICY_FEATURE_WORDS; i++) {
		const u32 *word = cpu_policy_word((struct cpu_policy *)p, (enum feature_word)i);

		words[i] = word ? *word : 0;
	}
	words[WORD_ARCH_CAPS_LO] = (u32)p->msr_arch_caps;
	words[WORD_ARCH_CAPS_HI] = (u32)(p->msr_arch_caps >> 32);
}

static void set_feature(struct cpu_policy *p, enum feature f, bool on)
{
	u32 *word = cpu_policy_word(p, (enum feature_word)(f / 32));
	u32 bit = (u32)BIT(f % 32);

	*word = on ? *word | bit : *word & ~bit;
}

u64 cpu_policy_xcr0(const struct cpu_policy *p)
{
	return cpu_policy_has(p, FEAT_XSAVE) ? (u64)p->xstate[0].d << 32 | p->xstate[0].a : 0;
}

static bool is_amd(const struct cpu_policy *p)
{
	return p->basic[0].b == 0x68747541      /* "Auth"enticAMD */
	    || p->basic[0].b == 0x6f677948;     /* "Hygo"nGenuine */
}

static void mask_leaf(struct cpuid_regs *r, const struct cpuid_regs *mask)
{
	r->a &= mask->a;
	r->b &= mask->b;
	r->c &= mask->c;
	r->d &= mask->d;
}

/*
 * Sets the XSAVE leaves. The toolstack's offsets and sizes are ignored, because XSAVE itself uses
 * the hardware's.
 */
static void set_xstate(struct cpu_policy *p, const struct cpu_policy *max, u64 xcr0)
{
	u32 size = xcr0 ? XSAVE_MIN : 0;

	for (unsigned i = 2; i < ARRAY_SIZE(p->xstate); i++) {
		p->xstate[i] = xcr0 >> i & 1 ? max->xstate[i] : (struct cpuid_regs){ 0 };
		size = MAX(size, p->xstate[i].a + p->xstate[i].b);
	}
	p->xstate[0] = (struct cpuid_regs){ .a = (u32)xcr0, .b = size, .c = size, .d = (u32)(xcr0 >> 32) };
	p->xstate[1] = (struct cpuid_regs){ .a = p->xstate[1].a };
}

/*
 * Clears every bit that is neither listed as information nor a feature that `max` has. Caches and
 * XSAVE states stay as they are.
 */
static void keep_listed(struct cpu_policy *p, const struct cpu_policy *max)
{
	u32 words[POLICY_FEATURE_WORDS], limit[POLICY_FEATURE_WORDS];

	cpu_policy_featureset(p, words);
	cpu_policy_featureset(max, limit);
	for (unsigned i = 0; i < ARRAY_SIZE(p->basic); i++)
		mask_leaf(&p->basic[i], &basic_info[i]);
	for (unsigned i = 0; i < ARRAY_SIZE(p->extd); i++)
		mask_leaf(&p->extd[i], &extd_info[i]);
	for (unsigned i = 0; i < ARRAY_SIZE(p->feat); i++)
		p->feat[i] = (struct cpuid_regs){ .a = i ? 0 : p->feat[0].a };
	for (unsigned i = 0; i < ARRAY_SIZE(p->topo); i++)
		p->topo[i] = (struct cpuid_regs){ 0 };
	p->xstate[1] = (struct cpuid_regs){ 0 };
	for (unsigned i = 0; i < POLICY_FEATURE_WORDS; i++) {
		u32 *word = cpu_policy_word(p, (enum feature_word)i);

		if (word)
			*word |= words[i] & limit[i];
	}
}

static void clamp_limits(struct cpu_policy *p, const struct cpu_policy *max)
{
	u32 width = MIN(p->extd[8].a & 0xff, max->extd[8].a & 0xff);
	u32 basic = MAX(MIN(p->basic[0].a, max->basic[0].a), BASIC_MIN), extd = MAX(MIN(p->extd[0].a, max->extd[0].a), EXTD_MIN);

	p->feat[0].a = MIN(p->feat[0].a, max->feat[0].a);
	p->extd[8].a = MAX(width, 32u) | (max->extd[8].a & 0xff00);
	/* Kernels choose VMCALL or VMMCALL by the vendor, so a guest must see the real one. */
	p->basic[0] = max->basic[0];
	p->basic[0].a = basic;
	p->extd[0] = max->extd[0];
	p->extd[0].a = extd;
	/* Features in a leaf beyond the limit are no features, and neither are those that need them. */
	for (unsigned i = 0; basic < 7 && i < ARRAY_SIZE(p->feat); i++)
		p->feat[i] = (struct cpuid_regs){ 0 };
	if (basic < 0xd)
		p->xstate[0] = p->xstate[1] = (struct cpuid_regs){ 0 };
}

void cpu_policy_clamp(struct cpu_policy *p, const struct cpu_policy *max)
{
	u32 *e1d = cpu_policy_word(p, WORD_E1D);
	u64 xcr0;

	keep_listed(p, max);
	clamp_limits(p, max);
	/* There is no other interrupt controller than the x2APIC, so it can't be taken away. */
	set_feature(p, FEAT_APIC, true);
	set_feature(p, FEAT_X2APIC, true);
	/*
	 * The TSC's constant rate can't be taken away either, because every guest reads the CPU's
	 * own TSC. Libxl clears the bit, since Xen couldn't keep the rate after a migration.
	 * Without the bit Linux marks the TSC of AMD's CPUs unstable.
	 */
	set_feature(p, FEAT_INVARIANT_TSC, cpu_policy_has(max, FEAT_INVARIANT_TSC));
	*e1d &= ~AMD_COMMON_1D;
	if (is_amd(p))
		*e1d |= *cpu_policy_word(p, WORD_1D) & AMD_COMMON_1D;
	p->basic[6].a = ARAT;
	xcr0 = xcr0_consistent(cpu_policy_xcr0(p) & cpu_policy_xcr0(max));
	set_xstate(p, max, xcr0);
	/* A feature can't work without its XCR0 states. */
	for (unsigned i = 0; i < ARRAY_SIZE(features); i++)
		if ((features[i].state & xcr0) != features[i].state)
			set_feature(p, (enum feature)(features[i].word * 32 + features[i].bit), false);
	p->msr_platform_info = 0;
	p->msr_arch_caps = 0;
}

static void read_basic(struct cpu_policy *p)
{
	u32 max = MIN(cpuid(0, 0).a, BASIC_MAX);

	for (u32 leaf = 0; leaf <= max; leaf++)
		if (leaf != 4 && leaf != 7 && leaf != 0xb && leaf != 0xd)
			p->basic[leaf] = cpuid(leaf, 0);
	for (u32 i = 0; max >= 4 && i < ARRAY_SIZE(p->cache); i++) {
		p->cache[i] = cpuid(4, i);
		if (!(p->cache[i].a & 0x1f))
			break;
	}
	for (u32 i = 0; max >= 7 && i < ARRAY_SIZE(p->feat) && i <= p->feat[0].a; i++)
		p->feat[i] = cpuid(7, i);
	for (u32 i = 0; max >= 0xb && i < ARRAY_SIZE(p->topo); i++)
		p->topo[i] = cpuid(0xb, i);
}

static void read_xstate(struct cpu_policy *p)
{
	u64 states;

	if (p->basic[0].a < 0xd)
		return;
	p->xstate[0] = cpuid(0xd, 0);
	p->xstate[1] = cpuid(0xd, 1);
	states = p->xstate[0].a | p->xstate[1].c | (u64)(p->xstate[0].d | p->xstate[1].d) << 32;
	for (u32 i = 2; i < ARRAY_SIZE(p->xstate); i++)
		if (states >> i & 1)
			p->xstate[i] = cpuid(0xd, i);
	/*
	 * Bochs's newest CPUs have protection keys in XCR0, but don't report where XSAVE keeps
	 * them. Such a state counts as absent.
	 */
	for (u32 i = 2; i < 32; i++)
		if (!p->xstate[i].a)
			p->xstate[0].a &= ~(1u << i);
}

static void read_extended(struct cpu_policy *p)
{
	u32 max = MIN(cpuid(CPUID_EXTD, 0).a, EXTD_MAX);

	for (u32 leaf = CPUID_EXTD; leaf <= max; leaf++)
		p->extd[leaf - CPUID_EXTD] = cpuid(leaf, 0);
}

/*
 * The hypervisor itself can use everything of the raw policy that has a place in the format, except
 * states that it can't switch.
 */
static void derive_host(struct cpu_policy *p)
{
	u32 width;

	p->basic[0].a = MIN(p->basic[0].a, BASIC_MAX);
	p->feat[0].a = MIN(p->feat[0].a, (u32)ARRAY_SIZE(p->feat) - 1);
	p->extd[0].a = MIN(p->extd[0].a, EXTD_MAX);
	/* Nested tables have four levels, so physical and linear addresses have at most 48 bits. */
	width = MIN(p->extd[8].a & 0xff, 48u);
	p->extd[8].a = width | MIN(p->extd[8].a & 0xff00, 48u << 8);
	set_xstate(p, &cpu_policy_raw, xcr0_consistent(cpu_policy_xcr0(p) & XCR0_SWITCHED));
}

/* Makes *p the most that the guests in `who` may see of cpu_policy_host. */
static void derive_guest(struct cpu_policy *p, u8 who)
{
	u32 listed[POLICY_FEATURE_WORDS] = { 0 };

	*p = cpu_policy_host;
	for (unsigned i = 0; i < ARRAY_SIZE(features); i++)
		if (features[i].who & who)
			listed[features[i].word] |= (u32)BIT(features[i].bit);
	for (unsigned i = 0; i < POLICY_FEATURE_WORDS; i++) {
		u32 *word = cpu_policy_word(p, (enum feature_word)i);

		if (word)
			*word &= listed[i];
	}
	/* The hypervisor provides both, whatever the machine has. */
	set_feature(p, FEAT_HYPERVISOR, true);
	set_feature(p, FEAT_X2APIC, true);
	cpu_policy_clamp(p, p);
}

void cpu_policy_init(void)
{
	cpu_policy_raw = (struct cpu_policy){ 0 };
	read_basic(&cpu_policy_raw);
	read_xstate(&cpu_policy_raw);
	read_extended(&cpu_policy_raw);
	cpu_policy_host = cpu_policy_raw;
	derive_host(&cpu_policy_host);
	derive_guest(&cpu_policy_max, ALL);
	derive_guest(&cpu_policy_dom0, ALL | DOM0);
	cpu_policy_def = cpu_policy_max;
}
