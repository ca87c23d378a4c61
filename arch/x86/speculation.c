/*
 * Guards against leaks by the CPU's speculation, as a table of threats. A row says which CPUs are
 * affected, which features of the CPU help against it, and which guard then is used.
 * docs/security.md says more.
 */
#include <asm/insn.h>
#include <asm/speculation.h>
#include "lib/printf.h"
#include "lib/string.h"

#define EFER_AIBRSE BIT(21)
#define SPEC_CTRL_IBRS BIT(0)
#define SPEC_CTRL_BHI_DIS_S BIT(10)

/*
 * A fact is a bit of one of these words. Except for the first, the words are registers of CPUID,
 * counted from EAX.
 */
enum { CAPS, LEAF_7_EBX, LEAF_7_EDX, LEAF_7_2_EDX, LEAF_8_EBX, LEAF_21_EAX, LEAF_21_ECX, WORDS };
static const struct { u32 leaf, sub, reg; } sources[WORDS] = {
	[LEAF_7_EBX] = { 7, 0, 1 }, [LEAF_7_EDX] = { 7, 0, 3 }, [LEAF_7_2_EDX] = { 7, 2, 3 },
	[LEAF_8_EBX] = { 0x80000008, 0, 1 }, [LEAF_21_EAX] = { 0x80000021, 0, 0 }, [LEAF_21_ECX] = { 0x80000021, 0, 2 },
};
#define FACT(word, bit) ((word) * 32 + (bit))
enum fact {
	/* IA32_ARCH_CAPABILITIES */
	RDCL_NO = FACT(CAPS, 0), ENHANCED_IBRS = FACT(CAPS, 1), MDS_NO = FACT(CAPS, 5),
	MULTIHIT_NO = FACT(CAPS, 6), TAA_NO = FACT(CAPS, 8), FBSDP_NO = FACT(CAPS, 14),
	FB_CLEAR = FACT(CAPS, 17), BHI_NO = FACT(CAPS, 20), PBRSB_NO = FACT(CAPS, 24),
	RFDS_NO = FACT(CAPS, 27), RFDS_CLEAR = FACT(CAPS, 28),
	/* Intel's CPUID leaf 7 */
	RTM = FACT(LEAF_7_EBX, 11), MD_CLEAR = FACT(LEAF_7_EDX, 10), IBRS_IBPB = FACT(LEAF_7_EDX, 26),
	L1D_FLUSH = FACT(LEAF_7_EDX, 28), ARCH_CAPABILITIES = FACT(LEAF_7_EDX, 29), BHI_CTRL = FACT(LEAF_7_2_EDX, 4),
	/* AMD's leaves 8000_0008 and 8000_0021 */
	IBPB = FACT(LEAF_8_EBX, 12), VERW_CLEAR = FACT(LEAF_21_EAX, 5), AUTO_IBRS = FACT(LEAF_21_EAX, 8),
	IBPB_BRTYPE = FACT(LEAF_21_EAX, 28), SRSO_NO = FACT(LEAF_21_EAX, 29), TSA_NO = FACT(LEAF_21_ECX, 1),
	ALWAYS = WORDS * 32, NEVER,
};

enum { INTEL, AMD };
#define ANY 0, 0xff
#define WITH(means, action) { { means, action }, { NEVER, 0 } }
static const struct threat {
	const char *name;
	u8 vendor, first, last;         /* family */
	u8 only, unless;                /* facts that say whether this CPU is affected */
	/* the first whose feature the CPU has is used */
	struct { u8 means; u32 action; } way[2];
} threats[] = {
	{ "Spectre v2",         INTEL, ANY, ALWAYS, NEVER,
	  { { ENHANCED_IBRS, SPEC_IBRS_ON }, { IBRS_IBPB, SPEC_IBRS } } },
	{ "return predictions", INTEL, ANY, ALWAYS, PBRSB_NO,
	  { { ENHANCED_IBRS, SPEC_RSB_ONE }, { ALWAYS, SPEC_RSB } } },
	{ "BHI",                INTEL, ANY, ALWAYS,     BHI_NO,      WITH(BHI_CTRL, SPEC_BHI) },
	{ "other domains",      INTEL, ANY, ALWAYS,     NEVER,       WITH(IBRS_IBPB, SPEC_DOMAINS) },
	{ "MDS",                INTEL, ANY, ALWAYS,     MDS_NO,      WITH(MD_CLEAR, SPEC_VERW) },
	{ "TAA",                INTEL, ANY, RTM,        TAA_NO,      WITH(MD_CLEAR, SPEC_VERW) },
	{ "MMIO stale data",    INTEL, ANY, FB_CLEAR,   FBSDP_NO,    WITH(FB_CLEAR, SPEC_VERW) },
	{ "RFDS",               INTEL, ANY, RFDS_CLEAR, RFDS_NO,     WITH(RFDS_CLEAR, SPEC_VERW) },
	{ "L1TF",               INTEL, ANY, ALWAYS,     RDCL_NO,     WITH(L1D_FLUSH, SPEC_L1D) },
	{ "iTLB multihit",      INTEL, ANY, ALWAYS,     MULTIHIT_NO, WITH(NEVER, 0) },
	{ "Spectre v2",         AMD,   ANY, ALWAYS,     NEVER,
	  { { AUTO_IBRS, SPEC_AUTO_IBRS }, { IBPB, SPEC_IBPB } } },
	{ "return predictions", AMD,   ANY, ALWAYS,     AUTO_IBRS,   WITH(ALWAYS, SPEC_RSB) },
	{ "Retbleed",           AMD,   0x15, 0x18, ALWAYS, NEVER,    WITH(IBPB, SPEC_IBPB) },
	{ "SRSO",               AMD,   0x17, 0x18, ALWAYS, SRSO_NO,  WITH(IBPB, SPEC_IBPB) },
	{ "SRSO",               AMD,   0x19, 0x19, ALWAYS, SRSO_NO,  WITH(IBPB_BRTYPE, SPEC_IBPB) },
	{ "TSA",                AMD,   0x19, 0x19, ALWAYS, TSA_NO,   WITH(VERW_CLEAR, SPEC_VERW) },
	{ "other domains",      AMD,   ANY, ALWAYS,     NEVER,       WITH(IBPB, SPEC_DOMAINS) },
};

static const struct { u32 action; const char *name; } actions[] = {
	{ SPEC_IBRS_ON, "enhanced IBRS" }, { SPEC_AUTO_IBRS, "automatic IBRS" }, { SPEC_BHI, "BHI_DIS_S" },
	{ SPEC_DOMAINS, "IBPB between domains" }, { SPEC_IBRS, "IBRS at exits" }, { SPEC_IBPB, "IBPB at exits" },
	{ SPEC_RSB, "return stack filled at exits" }, { SPEC_RSB_ONE, "a return address at exits" },
	{ SPEC_VERW, "VERW at entries" }, { SPEC_L1D, "L1D emptied at entries" },
};

u32 speculation;
static u32 words[WORDS];        /* [I] */

static bool has_fact(u8 fact)
{
	return fact == ALWAYS || (fact != NEVER && words[fact / 32] >> fact % 32 & 1);
}

/* Reads the facts about this CPU. Returns its family. */
static unsigned read_facts(void)
{
	u32 model = cpuid(1, 0).a, family = model >> 8 & 15;
	u64 caps = 0;

	for (unsigned i = CAPS + 1; i < WORDS; i++) {
		u32 leaf = sources[i].leaf, max = cpuid(leaf & BIT(31), 0).a;
		struct cpuid_regs r = cpuid(leaf, sources[i].sub);
		const u32 reg[] = { r.a, r.b, r.c, r.d };

		words[i] = leaf <= max ? reg[sources[i].reg] : 0;
	}
	words[CAPS] = has_fact(ARCH_CAPABILITIES) && rdmsr_safe(MSR_ARCH_CAPABILITIES, &caps) ? (u32)caps : 0;
	return family == 15 ? family + (model >> 20 & 0xff) : family;
}

static void add_name(char *list, size_t size, const char *name)
{
	size_t len = strnlen(list, size);

	snprintf(list + len, size - len, "%s%s", len ? ", " : "", name);
}

/* If the threat affects this CPU, chooses a guard, or adds it to the list of open threats. */
static void choose_guard(const struct threat *t, unsigned vendor, unsigned family, char *open, size_t size)
{
	if (t->vendor != vendor || family < t->first || family > t->last)
		return;
	if (!has_fact(t->only) || has_fact(t->unless))
		return;
	for (unsigned i = 0; i < ARRAY_SIZE(t->way); i++)
		if (has_fact(t->way[i].means)) {
			speculation |= t->way[i].action;
			return;
		}
	add_name(open, size, t->name);
}

void speculation_choose(bool wanted, bool amd)
{
	char done[200] = "", open[160] = "";
	unsigned family = read_facts();

	speculation = 0;
	for (unsigned i = 0; i < ARRAY_SIZE(threats); i++)
		choose_guard(&threats[i], amd ? AMD : INTEL, family, open, sizeof(open));
	if (!wanted) {
		speculation = 0;
		printk(LOG_WARN "speculation: nothing is done, as told by \"spec=no\"\n");
		return;
	}
	for (unsigned i = 0; i < ARRAY_SIZE(actions); i++)
		if (speculation & actions[i].action)
			add_name(done, sizeof(done), actions[i].name);
	printk(LOG_INFO "speculation: %s; without means on this CPU: %s\n", done[0] ? done : "nothing",
	       open[0] ? open : "nothing");
}

void speculation_enable_cpu(void)
{
	u64 control = (speculation & SPEC_IBRS_ON ? SPEC_CTRL_IBRS : 0) |
		      (speculation & SPEC_BHI ? SPEC_CTRL_BHI_DIS_S : 0);

	if (control)
		wrmsr(MSR_SPEC_CTRL, control);
	if (speculation & SPEC_AUTO_IBRS)
		wrmsr(MSR_EFER, rdmsr(MSR_EFER) | EFER_AIBRSE);
}
