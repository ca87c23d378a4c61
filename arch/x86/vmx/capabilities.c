/*
 * The capabilities of VMX on this CPU: one table of all controls and capabilities that we use. SDM
 * volume 3, appendix A.
 */
#include <asm/guest_clock.h>
#include <asm/insn.h>
#include "arch/x86/vmx/vmcs.h"
#include "arch/x86/vmx/vmx.h"
#include "lib/printf.h"

enum {
	MSR_FEATURE_CONTROL = 0x3a, MSR_BASIC = 0x480, MSR_MISC = 0x485, MSR_CR0_FIXED0 = 0x486, MSR_CR4_FIXED0 = 0x488, MSR_SECONDARY = 0x48b,
	MSR_EPT_VPID_CAP = 0x48c, MSR_TRUE_PIN = 0x48d, MSR_TRUE_PRIMARY = 0x48e, MSR_TRUE_EXIT = 0x48f, MSR_TRUE_ENTRY = 0x490,
};
enum { FEATURE_CONTROL_LOCKED = 1 << 0, FEATURE_CONTROL_VMXON = 1 << 2 };

/*
 * The upper half of an MSR of controls says which bits may be 1, the lower which must be. The other
 * MSRs are plain bits.
 */
enum word { PIN, PRIMARY, SECONDARY, EXIT, ENTRY, CONTROLS, BASIC = CONTROLS, MISC, EPT_VPID, WORDS };
static const u32 word_msr[WORDS] = {
	[PIN] = MSR_TRUE_PIN, [PRIMARY] = MSR_TRUE_PRIMARY, [SECONDARY] = MSR_SECONDARY, [EXIT] = MSR_TRUE_EXIT, [ENTRY] = MSR_TRUE_ENTRY,
	[BASIC] = MSR_BASIC, [MISC] = MSR_MISC, [EPT_VPID] = MSR_EPT_VPID_CAP,
};

enum need { REQUIRED, OPTIONAL, OFF /* must be possible to leave off */ };

/*
 * In the order in which we can ask: a word's MSR exists if the CPU has the capabilities above it.
 */
static const struct { enum word word; u64 bits; enum need need; const char *name; } table[] = {
	{ BASIC,     BIT(55),                REQUIRED, "true controls (IA32_VMX_BASIC bit 55)" },
	{ PRIMARY,   CPU_SECONDARY,          REQUIRED, "secondary controls" },
	{ SECONDARY, CPU2_EPT,               REQUIRED, "EPT (nested paging)" },
	{ SECONDARY, CPU2_UNRESTRICTED,      REQUIRED, "unrestricted guest" },
	{ SECONDARY, CPU2_VPID,              REQUIRED, "VPID" },
	{ SECONDARY, CPU2_RDTSCP,            OPTIONAL, "RDTSCP" },
	{ SECONDARY, CPU2_INVPCID,           OPTIONAL, "INVPCID" },
	{ SECONDARY, CPU2_WBINVD,            OPTIONAL, "WBINVD exiting" },
	{ SECONDARY, CPU2_BUS_LOCK,          OPTIONAL, "bus-lock detection" },
	{ SECONDARY, CPU2_TSC_SCALING,       OPTIONAL, "TSC scaling" },
	{ PIN,       PIN_EXTERNAL_INTERRUPT, REQUIRED, "external-interrupt exiting" },
	{ PIN,       PIN_NMI,                REQUIRED, "NMI exiting" },
	{ PIN,       PIN_VIRTUAL_NMI,        REQUIRED, "virtual NMIs" },
	{ PIN,       PIN_PREEMPTION_TIMER,   OPTIONAL, "the preemption timer" },
	{ PRIMARY,   CPU_TSC_OFFSET,         REQUIRED, "an offset of the TSC" },
	{ PRIMARY,   CPU_HLT,                REQUIRED, "HLT exiting" },
	{ PRIMARY,   CPU_MWAIT,              REQUIRED, "MWAIT exiting" },
	{ PRIMARY,   CPU_MONITOR,            REQUIRED, "MONITOR exiting" },
	{ PRIMARY,   CPU_RDPMC,              REQUIRED, "RDPMC exiting" },
	{ PRIMARY,   CPU_CR8_LOAD,           REQUIRED, "CR8-load exiting" },
	{ PRIMARY,   CPU_CR8_STORE,          REQUIRED, "CR8-store exiting" },
	{ PRIMARY,   CPU_IO_BITMAPS,         REQUIRED, "I/O bitmaps" },
	{ PRIMARY,   CPU_MSR_BITMAPS,        REQUIRED, "MSR bitmaps" },
	{ PRIMARY,   CPU_CR3_LOAD,           OFF,      "CR3 loads without an exit" },
	{ PRIMARY,   CPU_CR3_STORE,          OFF,      "CR3 stores without an exit" },
	{ PRIMARY,   CPU_INVLPG,             OFF,      "INVLPG without an exit" },
	{ EXIT,      EXIT_HOST_64,           REQUIRED, "exits to 64-bit mode" },
	{ EXIT,      EXIT_SAVE_DEBUG,        REQUIRED, "saving of DR7" },
	{ EXIT,      EXIT_ACK_INTERRUPT,     REQUIRED, "interrupt acknowledgement on exit" },
	{ EXIT,      EXIT_SAVE_EFER,         REQUIRED, "saving of EFER" },
	{ EXIT,      EXIT_LOAD_EFER,         REQUIRED, "loading of EFER on exit" },
	{ EXIT,      EXIT_LOAD_PAT,          REQUIRED, "loading of PAT on exit" },
	{ ENTRY,     ENTRY_LOAD_DEBUG,       REQUIRED, "loading of DR7" },
	{ ENTRY,     ENTRY_LOAD_EFER,        REQUIRED, "loading of EFER on entry" },
	{ ENTRY,     ENTRY_LOAD_PAT,         REQUIRED, "loading of PAT on entry" },
	{ MISC,      BIT(5),                 REQUIRED, "storing of EFER.LMA on exit (IA32_VMX_MISC bit 5)" },
	{ EPT_VPID,  BIT(6),                 REQUIRED, "EPT with four levels" },
	{ EPT_VPID,  BIT(14),                REQUIRED, "EPT in write-back memory" },
	{ EPT_VPID,  BIT(16),                REQUIRED, "EPT with 2 MiB pages" },
	{ EPT_VPID,  BIT(17),                OPTIONAL, "EPT with 1 GiB pages" },
	{ EPT_VPID,  BIT(20) | BIT(25),      REQUIRED, "INVEPT for one context" },
	{ EPT_VPID,  BIT(32) | BIT(42),      REQUIRED, "INVVPID for all contexts" },
};

struct vmx_controls vmx_controls;
u32 vmx_revision, vmx_timer_shift;
bool vmx_1g_pages;
u64 vmx_cr0_fixed, vmx_cr4_fixed;

/*
 * Each CPU has its own lock. Some firmware leaves it open; our choice then holds until the next
 * reset.
 */
bool vmx_unlock(void)
{
	u64 v;

	/* Emulators may lack this register; then nothing is forbidden. */
	if (!rdmsr_safe(MSR_FEATURE_CONTROL, &v))
		return true;
	if (!(v & FEATURE_CONTROL_LOCKED))
		wrmsr(MSR_FEATURE_CONTROL, v | FEATURE_CONTROL_LOCKED | FEATURE_CONTROL_VMXON);
	return rdmsr(MSR_FEATURE_CONTROL) & FEATURE_CONTROL_VMXON;
}

/* Returns true if the bits of a row are as needed. Adds the bits that we want to *chosen. */
static bool choose_bits(enum word word, u64 bits, enum need need, u64 msr, u64 *chosen)
{
	u64 may = word < CONTROLS ? msr >> 32 : msr;

	if (need == OFF)
		return !((u32)msr & bits);
	if ((may & bits) == bits)
		*chosen |= bits;
	return need == OPTIONAL || (may & bits) == bits;
}

const char *vmx_find_capabilities(void)
{
	static char why[96];
	u64 msr[WORDS] = { 0 }, chosen[WORDS] = { 0 };

	for (unsigned i = 0; i < ARRAY_SIZE(table); i++) {
		enum word w = table[i].word;

		if (!msr[w]) {
			if (!rdmsr_safe(word_msr[w], &msr[w]))
				msr[w] = 0;
			/*
			 * The bits that must be 1 are the manual's defaults, which change nothing
			 * that matters here.
			 */
			chosen[w] = w < CONTROLS ? (u32)msr[w] : 0;
		}
		if (!choose_bits(w, table[i].bits, table[i].need, msr[w], &chosen[w])) {
			snprintf(why, sizeof(why), "the CPU has VMX without %s", table[i].name);
			return why;
		}
	}
	vmx_controls = (struct vmx_controls){ (u32)chosen[PIN], (u32)chosen[PRIMARY], (u32)chosen[SECONDARY], (u32)chosen[EXIT], (u32)chosen[ENTRY] };
	clock_ratio_bits = chosen[SECONDARY] & CPU2_TSC_SCALING ? ~0ull : 0;
	vmx_revision = msr[BASIC] & 0x7fffffff;
	vmx_timer_shift = msr[MISC] & 31;
	vmx_cr0_fixed = rdmsr(MSR_CR0_FIXED0);
	vmx_cr4_fixed = rdmsr(MSR_CR4_FIXED0);
	vmx_1g_pages = chosen[EPT_VPID] & BIT(17);
	return NULL;
}
