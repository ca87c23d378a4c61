/* units: arch/x86/svm/svm.c arch/x86/svm/state.c arch/x86/svm/permissions.c arch/x86/svm/check.c arch/x86/hvm.c mm/pt.c mm/p2m.c mm/buddy.c mm/heap.c tests/unit/fake_vendor.c */
/* SVM: that every state passes the rules of VMRUN, and that what breaks one is named. */
#include "tests/unit/fake_vendor.h"
#include <stdio.h>
#include "arch/x86/svm/svm.h"
#include "arch/x86/svm/vmcb.h"
#include "mm/page.h"

const struct hvm_ops vmx_ops = { .name = "none" };
char svm_after_vmrun[1];

void cpuid_count(u32 leaf, u32 sub, u32 *a, u32 *b, u32 *c, u32 *d)
{
	*a = *b = *c = *d = 0;
	if (leaf == 0x80000001)
		*c = 4;
	if (leaf == 0x8000000a)
		*b = 16, *d = 1;
}

static struct vcpu *v;
static struct vmcb *vmcb_of(const struct vcpu *w) { return ((struct svm_vcpu *)w->hvm.vendor)->vmcb; }

/* In the assembly's place: VMRUN's checks, and an exit. */
void svm_enter(u64 vmcb_pa, struct cpu_regs *regs, u64 host_pa);
void svm_enter(u64 vmcb_pa, struct cpu_regs *regs, u64 host_pa)
{
	struct vmcb *b = phys_to_virt(vmcb_pa);

	b->exitcode = svm_check_entry(b, fake_rule_counts) ? ~0ull : VMEXIT_HLT;
}

static int set_up(void **state)
{
	fake_msr(0xc0010114, 0);
	hvm = &svm_ops;
	hvm_phys_bits = 40;
	assert_null(svm_ops.probe());
	this_cpu()->asid_generation = this_cpu()->asid_next = 1;
	v = fake_vendor_vcpu(false);
	return 0;
}

static int tear_down(void **state)
{
	fake_vendor_vcpu_free(v);
	return 0;
}

static void check_state(struct vcpu *w, const char *what)
{
	struct vm_exit x;

	vmcb_of(w)->asid = 1;
	if (svm_check_entry(vmcb_of(w), fake_rule_counts))
		print_message("%s\n", what);
	svm_check_entry(vmcb_of(w), fake_rule_fails);
	hvm->run(w, &x);
	assert_int_equal(x.reason, EXIT_HLT);
}

static void states_pass_the_rules(void **state)
{
	struct vcpu *other = fake_vendor_vcpu(true);

	fake_vendor_states(v, check_state);
	fake_vendor_states(other, check_state);
	fake_vendor_vcpu_free(other);
}

static void events_pass_the_rules(void **state)
{
	hvm_start_flat32(v, 0x1000, 0, 0);
	hvm->inject_exception(v, 13, true, 0);
	check_state(v, "#GP");
	hvm->offer_interrupt(v, 0x31);
	check_state(v, "an interrupt");
	assert_false(hvm->took_interrupt(v));
	assert_true(hvm->inject_nmi(v));
	check_state(v, "an NMI");
}

static char broken[1024];
static void note(const char *rule) { snprintf(broken + strlen(broken), sizeof(broken) - strlen(broken), "%s; ", rule); }

#define EXPECT_BROKEN(field, value, words) do { \
	struct vmcb *b = vmcb_of(v), before = *b; \
	broken[0] = 0; \
	b->field = value; \
	svm_check_entry(b, note); \
	if (!__builtin_strstr(broken, words)) \
		fail_msg("%s = %s does not break \"%s\" but: %s", #field, #value, words, broken); \
	*b = before; \
} while (0)

static void broken_rules_are_named(void **state)
{
	hvm_start_flat32(v, 0x1000, 0, 0);
	check_state(v, "flat");
	EXPECT_BROKEN(efer, 0, "EFER: SVME");
	EXPECT_BROKEN(efer, EFER_SVME | BIT(1), "EFER: reserved");
	EXPECT_BROKEN(cr0, CR0_PE | CR0_NW, "CR0: NW");
	EXPECT_BROKEN(cr0, BIT(32), "CR0: upper");
	EXPECT_BROKEN(cr3, BIT(60), "CR3");
	EXPECT_BROKEN(cr4, BIT(32), "CR4");
	EXPECT_BROKEN(dr7, BIT(32), "DR6 or DR7");
	EXPECT_BROKEN(intercept_misc2, 0, "VMRUN");
	EXPECT_BROKEN(asid, 0, "ASID");
	EXPECT_BROKEN(iopm_pa, 1, "permission maps");
	EXPECT_BROKEN(n_cr3, BIT(60), "nested CR3");
	EXPECT_BROKEN(tlb_control, 2, "TLB control");
	EXPECT_BROKEN(eventinj, EVENT_VALID | 1 << 8, "event: reserved type");
	EXPECT_BROKEN(eventinj, EVENT_VALID | EVENT_EXCEPTION | 2, "event: not the vector");
	EXPECT_BROKEN(eventinj, EVENT_VALID | EVENT_EXCEPTION | 6 | BIT(20), "event: reserved bits");
	vmcb_of(v)->efer |= EFER_LME;
	EXPECT_BROKEN(cr0, CR0_PG | CR0_PE, "long mode without PAE");
	EXPECT_BROKEN(cr0, CR0_PG, "long mode without protection");
}

static void refused_entry(void **state)
{
	struct vm_exit x;

	fake_log_clear();
	vmcb_of(v)->cr3 = BIT(60);
	hvm->run(v, &x);
	assert_int_equal(x.reason, EXIT_FAILED);
	assert_logged("CR3: beyond the CPU's addresses");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(states_pass_the_rules, set_up, tear_down),
		cmocka_unit_test_setup_teardown(events_pass_the_rules, set_up, tear_down),
		cmocka_unit_test_setup_teardown(broken_rules_are_named, set_up, tear_down),
		cmocka_unit_test_setup_teardown(refused_entry, set_up, tear_down),
	};

	fake_memory_init(4096);
	page_add_range(MiB(1), MiB(16));
	return cmocka_run_group_tests(tests, NULL, NULL);
}
