/* units: arch/x86/speculation.c */
/* What is done about speculation on CPUs that there are, and that the log says what isn't. */
#include "tests/unit/fake.h"
#include <signal.h>
#include <stdio.h>
#include <ucontext.h>
#include <unistd.h>
#include <asm/insn.h>
#include <asm/speculation.h>

static struct cpu {
	u32 family, leaf_7_ebx, leaf_7_edx, leaf_7_2_edx, leaf_8_ebx, leaf_21_eax, leaf_21_ecx;
	u64 caps;
} cpu;
u64 fake_cr[5];
_Thread_local u64 fake_dr[8];
static u64 spec_ctrl, efer;

struct cpuid_regs cpuid(u32 leaf, u32 sub)
{
	struct cpuid_regs r = { 0 };

	switch (leaf) {
	case 0: r.a = 7; break;
	case 1: r.a = cpu.family > 15 ? (cpu.family - 15) << 20 | 0xf00 : cpu.family << 8; break;
	case 7:
		if (sub == 2)
			r.d = cpu.leaf_7_2_edx;
		else
			r = (struct cpuid_regs){ .a = 2, .b = cpu.leaf_7_ebx, .d = cpu.leaf_7_edx };
		break;
	case 0x80000000: r.a = 0x80000021; break;
	case 0x80000008: r.b = cpu.leaf_8_ebx; break;
	case 0x80000021: r.a = cpu.leaf_21_eax; r.c = cpu.leaf_21_ecx; break;
	}
	return r;
}

bool rdmsr_safe(u32 msr, u64 *v)
{
	assert_int_equal(msr, 0x10a);
	*v = cpu.caps;
	return true;
}

u64 rdmsr(u32 msr) { assert_int_equal(msr, MSR_EFER); return efer; }

void wrmsr(u32 msr, u64 v)
{
	if (msr == MSR_EFER)
		efer = v;
	else if (msr == MSR_SPEC_CTRL)
		spec_ctrl = v;
	else
		fail_msg("MSR %x is written", msr);
}

#define D7(bit) (1u << (bit))
enum { MD_CLEAR = 10, IBRS = 26, L1D = 28, ARCH_CAPS = 29 };

static const struct { const char *name; bool amd; struct cpu cpu; u32 expected; const char *open; } machines[] = {
	{ "Haswell", false, { .family = 6, .leaf_7_ebx = D7(11), .leaf_7_edx = D7(MD_CLEAR) | D7(IBRS) | D7(L1D) },
	  SPEC_IBRS | SPEC_RSB | SPEC_DOMAINS | SPEC_VERW | SPEC_L1D, "BHI, iTLB multihit" },
	{ "Haswell with its first microcode", false, { .family = 6, .leaf_7_ebx = D7(11) },
	  SPEC_RSB, "Spectre v2, BHI, other domains, MDS, TAA, L1TF, iTLB multihit" },
	{ "Cascade Lake", false, { .family = 6, .leaf_7_ebx = D7(11), .leaf_7_edx = D7(MD_CLEAR) | D7(IBRS) | D7(L1D) | D7(ARCH_CAPS),
				   .caps = BIT(0) | BIT(1) | BIT(3) | BIT(5) | BIT(6) | BIT(17) },
	  SPEC_IBRS_ON | SPEC_RSB_ONE | SPEC_DOMAINS | SPEC_VERW, "BHI" },
	{ "Sapphire Rapids", false, { .family = 6, .leaf_7_edx = D7(MD_CLEAR) | D7(IBRS) | D7(L1D) | D7(ARCH_CAPS), .leaf_7_2_edx = D7(4),
				      .caps = BIT(0) | BIT(1) | BIT(5) | BIT(6) | BIT(8) | BIT(13) | BIT(14) | BIT(15) | BIT(17) | BIT(24) },
	  SPEC_IBRS_ON | SPEC_BHI | SPEC_DOMAINS, "nothing" },
	{ "Gracemont", false, { .family = 6, .leaf_7_edx = D7(IBRS) | D7(ARCH_CAPS),
				.caps = BIT(0) | BIT(1) | BIT(5) | BIT(6) | BIT(8) | BIT(14) | BIT(20) | BIT(24) | BIT(28) },
	  SPEC_IBRS_ON | SPEC_DOMAINS | SPEC_VERW, "nothing" },
	{ "Zen 1 without microcode, as TCG's EPYC", true, { .family = 0x17 }, SPEC_RSB, "Spectre v2, Retbleed, SRSO, other domains" },
	{ "Zen 2", true, { .family = 0x17, .leaf_8_ebx = D7(12) }, SPEC_IBPB | SPEC_RSB | SPEC_DOMAINS, "nothing" },
	{ "Zen 3 before SRSO's microcode", true, { .family = 0x19, .leaf_8_ebx = D7(12) }, SPEC_IBPB | SPEC_RSB | SPEC_DOMAINS, "SRSO, TSA" },
	{ "Zen 4", true, { .family = 0x19, .leaf_8_ebx = D7(12), .leaf_21_eax = D7(5) | D7(8) | D7(28) },
	  SPEC_AUTO_IBRS | SPEC_IBPB | SPEC_DOMAINS | SPEC_VERW, "nothing" },
	{ "Zen 5", true, { .family = 0x1a, .leaf_8_ebx = D7(12), .leaf_21_eax = D7(8) | D7(29) }, SPEC_AUTO_IBRS | SPEC_DOMAINS, "nothing" },
};

static void each_cpu_gets_what_it_needs(void **state)
{
	char line[120];

	for (unsigned i = 0; i < ARRAY_SIZE(machines); i++) {
		cpu = machines[i].cpu;
		fake_log_clear();
		speculation_choose(true, machines[i].amd);
		if (speculation != machines[i].expected)
			fail_msg("%s: %x", machines[i].name, speculation);
		__builtin_snprintf(line, sizeof(line), "without means on this CPU: %s\n", machines[i].open);
		assert_logged(line);
	}
}

/* Capabilities are the CPU's only if CPUID says that there is such a register. */
static void absent_capabilities_are_not_read(void **state)
{
	cpu = (struct cpu){ .family = 6, .caps = ~0ull };
	speculation_choose(true, false);
	assert_int_equal(speculation, SPEC_RSB);
}

static void switched_on_for_good(void **state)
{
	static const struct { u32 chosen; u64 spec_ctrl, efer; } cases[] = {
		{ 0, 0, EFER_LME }, { SPEC_IBRS_ON, 1, EFER_LME }, { SPEC_IBRS_ON | SPEC_BHI, 0x401, EFER_LME },
		{ SPEC_AUTO_IBRS, 0, EFER_LME | BIT(21) }, { SPEC_IBRS, 0, EFER_LME },
	};

	for (unsigned i = 0; i < ARRAY_SIZE(cases); i++) {
		spec_ctrl = 0;
		efer = EFER_LME;
		speculation = cases[i].chosen;
		speculation_enable_cpu();
		assert_true(spec_ctrl == cases[i].spec_ctrl && efer == cases[i].efer);
	}
}

static void nothing_if_not_wanted(void **state)
{
	cpu = machines[0].cpu;
	fake_log_clear();
	speculation_choose(false, false);
	assert_int_equal(speculation, 0);
	assert_logged("nothing is done, as told by \"spec=no\"");
}

/* ---- the guards themselves, which run here as they are: WRMSR faults, and is noted ---- */

#define STRING(x) #x
#define VALUE(x) STRING(x)
__asm__(".set SPEC_VERW, " VALUE(SPEC_VERW) "\n.set SPEC_L1D, " VALUE(SPEC_L1D) "\n.set SPEC_IBRS, " VALUE(SPEC_IBRS) "\n"
	".set SPEC_IBPB, " VALUE(SPEC_IBPB) "\n.set SPEC_RSB, " VALUE(SPEC_RSB) "\n.set SPEC_RSB_ONE, " VALUE(SPEC_RSB_ONE) "\n"
	".include \"arch/x86/include/asm/guards.inc\"\n"
	"enter_guard: guard_entry\n ret\n"
	"leave_guard: guard_exit\n ret\n");
void enter_guard(void);
void leave_guard(void);

enum { RDX = 12, RAX, RCX, RIP = 16 };      /* in gregs[] */
static char written[200];

static void on_fault(int signal, siginfo_t *info, void *context)
{
	long long *r = ((ucontext_t *)context)->uc_mcontext.gregs;
	const u8 *insn = (const u8 *)r[RIP];
	size_t len = strlen(written);

	if (insn[0] != 0x0f || insn[1] != 0x30 || r[RDX])
		_exit(3);
	snprintf(written + len, sizeof(written) - len, "%x=%x ", (unsigned)r[RCX], (unsigned)r[RAX]);
	r[RIP] += 2;
}

/* They change rax, rcx, rdx and the flags, and give the stack back; what they leave below it is addresses of their own code. */
static void call_guard(void (*guard)(void), u32 chosen)
{
	u64 before, after;

	speculation = chosen;
	written[0] = 0;
	__asm__ volatile("mov %%rsp, %0; call *%2; mov %%rsp, %1" : "=&b"(before), "=r"(after) : "r"(guard)
			 : "rax", "rcx", "rdx", "cc", "memory");
	assert_int_equal(before, after);
}

static void guards_do_what_is_chosen(void **state)
{
	static const struct { u32 chosen; const char *entry, *exit; } cases[] = {
		{ 0, "", "" }, { SPEC_VERW, "", "" }, { SPEC_RSB, "", "" }, { SPEC_RSB_ONE, "", "" }, { SPEC_RSB | SPEC_RSB_ONE, "", "" },
		{ SPEC_L1D, "10b=1 ", "" }, { SPEC_IBRS, "48=0 ", "48=1 " }, { SPEC_IBPB, "", "49=1 " },
		{ SPEC_GUARDS, "48=0 10b=1 ", "49=1 48=1 " }, { ~(u32)SPEC_GUARDS, "", "" },
	};
	struct sigaction handler = { .sa_sigaction = on_fault, .sa_flags = SA_SIGINFO }, old;

	sigaction(SIGSEGV, &handler, &old);
	for (unsigned i = 0; i < ARRAY_SIZE(cases); i++) {
		call_guard(enter_guard, cases[i].chosen);
		assert_string_equal(written, cases[i].entry);
		call_guard(leave_guard, cases[i].chosen);
		assert_string_equal(written, cases[i].exit);
	}
	sigaction(SIGSEGV, &old, NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_cpu_gets_what_it_needs),
		cmocka_unit_test(absent_capabilities_are_not_read),
		cmocka_unit_test(switched_on_for_good),
		cmocka_unit_test(nothing_if_not_wanted),
		cmocka_unit_test(guards_do_what_is_chosen),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
