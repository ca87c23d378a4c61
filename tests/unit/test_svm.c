/* units: arch/x86/svm/svm.c arch/x86/svm/keeper.c arch/x86/svm/state.c arch/x86/permissions.c arch/x86/svm/check.c arch/x86/hvm.c mm/pt.c mm/p2m.c mm/p2m_log.c mm/buddy.c mm/heap.c tests/unit/fake_vendor.c arch/x86/complete.c arch/x86/svm/cr0.c arch/x86/saved.c arch/x86/guest_clock.c */
/* SVM: that every state passes the rules of VMRUN, and that what breaks one is named. */
#include "tests/unit/fake_vendor.h"
#include <stdio.h>
#include "arch/x86/svm/svm.h"
#include "arch/x86/svm/vmcb.h"
#include "mm/page.h"
#include "vmm/vcpu.h"

const struct hvm_ops vmx_ops = { .name = "none" };
char svm_after_vmrun_plain[1], svm_after_vmrun_guarded[1];

static u32 tsc_rate;        /* of CPUID 8000_000A EDX */

struct cpuid_regs cpuid(u32 leaf, u32 sub)
{
	if (leaf == 0x80000001)
		return (struct cpuid_regs){ .c = 4 };
	if (leaf == 0x8000000a)
		return (struct cpuid_regs){ .b = 16, .d = 1 | 1u << 29 | tsc_rate };
	return (struct cpuid_regs){ 0 };
}

static struct vcpu *v;

/*
 * With the rules about what is the hypervisor's alone, of which no guest comes near: ring 0 does
 * without them.
 */
static unsigned check_entry(const struct vmcb *b, void (*broken)(const char *rule))
{
	u64 type = b->eventinj & EVENT_TYPE, vector = b->eventinj & 0xff;
	bool valid = b->eventinj & EVENT_VALID;
	const struct { bool holds; const char *rule; } rules[] = {
		{ b->intercept_misc2 & INT2_VMRUN, "VMRUN is not intercepted" },
		{ b->asid, "ASID 0" },
		{ !(b->iopm_pa % PAGE_SIZE || b->iopm_pa >> hvm_phys_bits), "permission maps: address" },
		{ !(b->msrpm_pa % PAGE_SIZE || b->msrpm_pa >> hvm_phys_bits), "permission maps: address" },
		{ !(b->n_cr3 % PAGE_SIZE || b->n_cr3 >> hvm_phys_bits), "nested CR3" },
		{ b->tlb_control <= 1 || b->tlb_control == 3 || b->tlb_control == 7, "TLB control" },
		{ !valid || type == EVENT_INTR || type == EVENT_NMI || type == EVENT_EXCEPTION ||
		  type == 4 << 8, "event: reserved type" },
		{ !valid || type != EVENT_EXCEPTION || (vector < 32 && vector != 2),
		  "event: not the vector of an exception" },
		{ !valid || !(b->eventinj & 0x7ffff000), "event: reserved bits" },
	};
	struct svm_vcpu s = { .vmcb = (struct vmcb *)b };
	struct vcpu w = { .hvm.vendor = &s };
	unsigned count = svm_check(&w, broken);

	for (unsigned i = 0; i < ARRAY_SIZE(rules); i++)
		if (!rules[i].holds) {
			broken(rules[i].rule);
			count++;
		}
	return count;
}

static u64 next_exit = VMEXIT_HLT;
static u32 seen_tlb_control;
static void (*guest)(struct vmcb *b);   /* what it does before its exit */

/* In the assembly's place: VMRUN's checks, and an exit. */
svm_enter_fn svm_enter_plain, svm_enter_guarded;
void svm_enter_guarded(u64 vmcb_pa, struct cpu_regs *regs, u64 host_pa) { fail_msg("nothing asks for guards"); }
void svm_enter_plain(u64 vmcb_pa, struct cpu_regs *regs, u64 host_pa)
{
	struct vmcb *b = phys_to_virt(vmcb_pa);

	seen_tlb_control = b->tlb_control;
	b->exitcode = ~0ull;
	if (check_entry(b, fake_rule_counts))
		return;
	b->exitcode = next_exit;
	next_exit = VMEXIT_HLT;
	if (guest)
		guest(b);
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
	guest = NULL;
	fake_vendor_vcpu_free(v);
	return 0;
}

/*
 * The ratio is in a register of the CPU's, which takes 8 bits before the point and 32 behind it. A guest with the machine's rate never touches it:
 * this CPU has none then, and the fake refuses each write.
 */
static void scaled_guests(void **state)
{
	assert_int_equal(clock_ratio_bits, 0);
	fake_msr_forget(0xc0000104);
	fake_vendor_load(v);
	fake_vendor_load(NULL);
	tsc_rate = 1u << 4;
	assert_null(svm_ops.probe());
	assert_int_equal(clock_ratio_bits, 0xffffffffff0000);
	fake_msr(0xc0000104, BIT(32));
	v->domain->clock.tsc_ratio = 0xfe12345678ull << 16;
	fake_vendor_load(v);
	assert_int_equal(rdmsr(0xc0000104), 0xfe12345678);
	fake_vendor_load(NULL);
	assert_int_equal(rdmsr(0xc0000104), BIT(32));
	tsc_rate = 0;
	assert_null(svm_ops.probe());
}

static void check_state(struct vcpu *w, const char *what)
{
	struct vm_exit x;

	vmcb_of(w)->asid = 1;
	if (check_entry(vmcb_of(w), fake_rule_counts))
		print_message("%s\n", what);
	check_entry(vmcb_of(w), fake_rule_fails);
	hvm->run(w, &x);
	assert_int_equal(x.reason, EXIT_HLT);
}

static void check_retry(void)
{
	struct vm_exit x;

	hvm->run(v, &x);
	assert_int_equal(x.reason, EXIT_RETRY);
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

/* A changed p2m, or another CPU, is a new ASID; when they run out, all of them are flushed. */
static void translations(void **state)
{
	struct vmcb *b = vmcb_of(v);
	u32 asid;
	struct vm_exit x;

	hvm_start_flat32(v, 0x1000, 0, 0);
	hvm->run(v, &x);
	asid = b->asid;
	hvm->run(v, &x);
	assert_int_equal(b->asid, asid);
	v->domain->p2m.tlb_gen++;
	hvm->run(v, &x);
	assert_int_equal(b->asid, asid + 1);
	assert_int_equal(this_cpu()->guest_gen, v->domain->p2m.tlb_gen);
	v->hvm.asid_generation = 0;
	hvm->run(v, &x);
	assert_int_equal(b->asid, asid + 2);
	v->hvm.asid_cpu++;
	hvm->run(v, &x);
	assert_int_equal(b->asid, asid + 3);
	/* There are 16, of which 0 is the host's. */
	this_cpu()->asid_next = 15;
	seen_tlb_control = 0;
	v->hvm.asid_generation = 0;
	hvm->run(v, &x);
	assert_true(b->asid == 15 && seen_tlb_control == 0);
	v->hvm.asid_generation = 0;
	hvm->run(v, &x);
	assert_true(b->asid == 1 && seen_tlb_control == 1);
	hvm->run(v, &x);
	assert_true(b->asid == 2 && seen_tlb_control == 0);
	hvm->run(v, &x);
	assert_true(b->asid == 2 && seen_tlb_control == 0);
}

static void nmis_wait(void **state)
{
	struct vmcb *b = vmcb_of(v);

	hvm_start_flat32(v, 0x1000, 0, 0);
	b->interrupt_shadow = 1;
	assert_false(hvm->inject_nmi(v));
	b->interrupt_shadow = 0;
	hvm->inject_exception(v, 13, true, 0);
	assert_false(hvm->inject_nmi(v));
	b->eventinj = 0;
	assert_true(hvm->inject_nmi(v));
	check_state(v, "an NMI");
	/* Not while one is handled. */
	assert_false(hvm->inject_nmi(v));
	next_exit = VMEXIT_IRET;
	check_retry();
	assert_true(hvm->inject_nmi(v));
}

/* VMRUN wants the bit; guests don't see it. */
static void efer_keeps_svme(void **state)
{
	hvm_start_flat32(v, 0x1000, 0, 0);
	hvm->set_efer(v, EFER_LME | EFER_NXE);
	check_state(v, "EFER");
	assert_int_equal(hvm->get_cr(v, HVM_EFER), EFER_LME | EFER_NXE);
}

/* What guests don't have, and what can hold the CPU without end. */
static void intercepts(void **state)
{
	struct vcpu *other = fake_vendor_vcpu(true);
	const u32 misc1 = INT1_INTR | INT1_NMI | INT1_SMI | INT1_INIT | INT1_CR0_SEL_WRITE |
		INT1_RDPMC | INT1_CPUID | INT1_INVD | INT1_HLT | INT1_INVLPGA | INT1_IOIO |
		INT1_MSR | INT1_FERR | INT1_SHUTDOWN;
	const u32 misc2 = INT2_VMRUN | INT2_VMMCALL | INT2_VMLOAD | INT2_VMSAVE | INT2_STGI | INT2_CLGI | INT2_SKINIT | INT2_MONITOR | INT2_MWAIT |
			  INT2_MWAIT_ARMED | INT2_XSETBV | INT2_RDPRU;

	assert_int_equal(vmcb_of(v)->intercept_misc1, misc1);
	assert_int_equal(vmcb_of(v)->intercept_misc2, misc2 | INT2_WBINVD);
	assert_int_equal(vmcb_of(other)->intercept_misc2, misc2);
	assert_int_equal(vmcb_of(v)->intercept_exceptions, 1 << 1 | 1 << 17 | 1 << 18);
	fake_vendor_vcpu_free(other);
}

/* A bit for each port, two for each MSR: read and write. */
static void permission_maps(void **state)
{
	const u8 *msr = phys_to_virt(vmcb_of(v)->msrpm_pa), *io = phys_to_virt(vmcb_of(v)->iopm_pa);
	struct vcpu *other = fake_vendor_vcpu(true);

	assert_int_equal(msr[0x174 / 4], 0xc0);                 /* 0x174 to 0x176 */
	assert_int_equal(msr[2048 + 0x80 / 4], 0x03);           /* 0xc0000081 to 83; 80 is EFER */
	assert_int_equal(msr[2048 + 0x84 / 4], 0xfc);
	assert_int_equal(msr[2048 + 0x100 / 4], 0xc0);          /* FS, GS, KERNEL_GS base */
	assert_int_equal(msr[0x277 / 4], 0xff);
	assert_true(io[0x3f8 / 8] == 0xff && io[0x20 / 8] == 0xff && io[0x2000] == 0xff);
	io = phys_to_virt(vmcb_of(other)->iopm_pa);
	assert_true(io[0x3f8 / 8] == 0 && io[0x20 / 8] == 1 && io[0x1fff] == 0 && io[0x2000] == 0xff);
	fake_vendor_vcpu_free(other);
}

static char broken[1024];
static void note(const char *rule) { snprintf(broken + strlen(broken), sizeof(broken) - strlen(broken), "%s; ", rule); }

#define EXPECT_BROKEN(field, value, words) do { \
	struct vmcb *b = vmcb_of(v), before = *b; \
	broken[0] = 0; \
	b->field = value; \
	check_entry(b, note); \
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
	EXPECT_BROKEN(cr4, BIT(32), "CR4: upper");
	EXPECT_BROKEN(cr4, CR4_PKE, "CR4: reserved");
	EXPECT_BROKEN(g_pat, 2, "PAT");
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

/* The rule is named; the exception that was to come still waits, and is told apart from none. */
static void refused_entry(void **state)
{
	struct vmcb *b = vmcb_of(v);
	struct vm_exit x;

	fake_vendor_load(v);
	hvm_start_flat32(v, 0x1000, 0, 0);
	b->cr3 = BIT(60);
	hvm->run(v, &x);
	assert_true(x.reason == EXIT_FAILED && x.odd.code == ~0ull && !x.odd.undelivered);
	broken[0] = 0;
	assert_int_equal(hvm->check(v, note), 1);
	assert_non_null(__builtin_strstr(broken, "CR3: beyond the CPU's addresses"));
	hvm->inject_exception(v, 13, true, 0);
	hvm->run(v, &x);
	assert_true(x.reason == EXIT_FAILED && x.odd.undelivered);
	/* TCG has it where it puts what was cut off. */
	b->exitintinfo = b->eventinj;
	b->eventinj = 0;
	hvm->run(v, &x);
	assert_true(x.reason == EXIT_FAILED && x.odd.undelivered && b->eventinj & EVENT_VALID);
	assert_true(hvm_mend(v));
	assert_false(hvm_mend(v));
	check_state(v, "mended");
	/* An exit that nobody knows, in the middle of an exception's delivery and otherwise. */
	b->exitintinfo = EVENT_VALID | EVENT_EXCEPTION | 6;
	next_exit = 0x123;
	hvm->run(v, &x);
	assert_true(x.reason == EXIT_UNKNOWN && x.odd.code == 0x123 && x.odd.undelivered);
	b->exitintinfo = 0;
	next_exit = 0x123;
	hvm->run(v, &x);
	assert_true(x.reason == EXIT_UNKNOWN && !x.odd.undelivered);
	/* L and D in long mode: only emulators let guests come there. */
	b->cr0 = CR0_PG | CR0_PE, b->cr4 = CR4_PAE, b->efer |= EFER_LME | EFER_LMA,
	b->cs.attr = 0xe9b;
	hvm->run(v, &x);
	assert_int_equal(x.reason, EXIT_FAILED);
	assert_true(hvm_mend(v));
	check_state(v, "mended");
	fake_vendor_load(NULL);
}

static void hostile_states(void **state)
{
	fake_vendor_hostile_states(v, check_state);
}

/* #DB with DR6.BS, as delivery would have left the debug registers. */
static void a_step_is_a_debug_exception(void **state)
{
	struct vmcb *b = vmcb_of(v);
	struct vm_exit x;

	hvm_start_flat32(v, 0x1000, 0, 0);
	b->dr7 |= DR7_GD;
	v->hvm.regs.rip = 0xfffffffe;
	v->hvm.regs.rflags = 2 | RFLAGS_TF | RFLAGS_RF;
	next_exit = VMEXIT_INVD;
	hvm->run(v, &x);
	assert_true(x.reason == EXIT_RETRY && v->hvm.regs.rip == 0 &&
		v->hvm.regs.rflags == (2 | RFLAGS_TF));
	assert_true(b->eventinj == (EVENT_VALID | EVENT_EXCEPTION | 1) && b->dr6 & DR6_BS &&
		!(b->dr7 & DR7_GD));
	check_state(v, "a step");
}

/* It exits before the instruction, which has to be let pass: the counter takes one. */
static void bus_locks_are_counted(void **state)
{
	struct vmcb *b = vmcb_of(v);
	struct vm_exit x;

	hvm_start_flat32(v, 0x1000, 0, 0);
	assert_true(b->intercept_misc3 == INT3_BUS_LOCK && !b->bus_lock_counter && !v->attention);
	next_exit = VMEXIT_BUS_LOCK;
	hvm->run(v, &x);
	assert_true(x.reason == EXIT_BUS_LOCK && v->attention == VCPU_BUS_LOCK && b->bus_lock_counter == 1 && v->hvm.regs.rip == 0x1000);
}

/* ---- CR0.CD and CR0.NW ---- */

static u64 cr0_wanted, cr0_while;
static u32 exceptions_while;
static u16 irq_while;
static bool cut_step;

/*
 * MOV to CR0 in RAX, as the CPU executes it: by an exit if it is asked for one, else to the trap
 * behind it.
 */
static void mov_cr0(struct vmcb *b)
{
	bool matters = b->intercept_cr & INTERCEPT_CR0_WRITE ||
		(b->intercept_misc1 & INT1_CR0_SEL_WRITE &&
			(b->cr0 ^ cr0_wanted) & ~(CR0_TS | CR0_MP));

	if (matters) {
		b->exitcode = b->intercept_cr & INTERCEPT_CR0_WRITE ? VMEXIT_CR0_WRITE
								    : VMEXIT_CR0_SEL_WRITE;
		return;
	}
	exceptions_while = b->intercept_exceptions;
	irq_while = b->v_irq;
	cr0_while = b->cr0;
	if (cut_step) {
		b->exitcode = VMEXIT_INTR;
		return;
	}
	b->cr0 = cr0_wanted;
	b->rip += 3;
	b->exitcode = VMEXIT_HLT;
	if (b->rflags & RFLAGS_TF) {
		b->dr6 |= DR6_BS;
		b->exitcode = VMEXIT_EXCP + 1;
	}
}

static u32 write_guest_cr0(u64 value)
{
	struct vm_exit x;

	v->hvm.regs.rip = 0x1000;
	cr0_wanted = value;
	guest = mov_cr0;
	hvm->run(v, &x);
	guest = NULL;
	/* Whatever the guest wants, and whatever came between. */
	assert_false(vmcb_of(v)->cr0 & (CR0_CD | CR0_NW));
	assert_true(vmcb_of(v)->intercept_misc1 & INT1_CR0_SEL_WRITE);
	assert_int_equal(vmcb_of(v)->intercept_exceptions, 1 << 1 | 1 << 17 | 1 << 18);
	return x.reason;
}

static void caches_stay_on(void **state)
{
	struct vmcb *b = vmcb_of(v);
	struct hvm_state s;
	u64 dr6;

	hvm_start_flat32(v, 0x1000, 0, 0);
	dr6 = b->dr6;
	/* TS is a guest's own. */
	assert_int_equal(write_guest_cr0(b->cr0 | CR0_TS), EXIT_HLT);
	assert_int_equal(write_guest_cr0(CR0_PE | CR0_ET | CR0_CD), EXIT_CR_WRITE);
	assert_true(v->hvm.regs.rip == 0x1003 && v->hvm.regs.rflags == 2 && b->dr6 == dr6 &&
		!b->eventinj);
	assert_int_equal(exceptions_while, ~0u);
	assert_int_equal(hvm->get_cr(v, HVM_CR0), CR0_PE | CR0_ET | CR0_CD);
	/*
	 * From now on even what changes nothing of the CPU's is seen; the guest's bits are there
	 * while it executes.
	 */
	assert_true(b->intercept_cr == (INTERCEPT_CR0_READ | INTERCEPT_CR0_WRITE));
	assert_int_equal(write_guest_cr0(CR0_PE | CR0_ET | CR0_CD | CR0_NW), EXIT_CR_WRITE);
	assert_int_equal(cr0_while, CR0_PE | CR0_ET | CR0_CD);
	hvm->get_state(v, &s);
	assert_int_equal(s.cr0, CR0_PE | CR0_ET | CR0_CD | CR0_NW);
	/*
	 * The guest's own single-stepping goes on; an interrupt waits, and an exit that comes
	 * between only costs another try.
	 */
	v->hvm.regs.rflags = 2 | RFLAGS_TF | RFLAGS_IF;
	hvm->offer_interrupt(v, 0x31);
	cut_step = true;
	assert_int_equal(write_guest_cr0(CR0_PE | CR0_ET), EXIT_RETRY);
	cut_step = false;
	assert_true(v->hvm.regs.rip == 0x1000 &&
		v->hvm.regs.rflags == (2 | RFLAGS_TF | RFLAGS_IF) && !irq_while && b->v_irq);
	assert_int_equal(write_guest_cr0(CR0_PE | CR0_ET), EXIT_CR_WRITE);
	assert_true(b->dr6 & DR6_BS && b->eventinj == (EVENT_VALID | EVENT_EXCEPTION | 1) &&
		!b->intercept_cr);
	assert_int_equal(hvm->get_cr(v, HVM_CR0), CR0_PE | CR0_ET);
	/* NW alone an emulator lets pass, and VMRUN refuses. */
	v->hvm.regs.rflags = 2;
	assert_int_equal(write_guest_cr0(CR0_PE | CR0_ET | CR0_NW), EXIT_CR_WRITE);
	check_state(v, "NW without CD");
	/* As the toolstack sets it, and INIT. */
	hvm_reset(v);
	assert_int_equal(hvm->get_cr(v, HVM_CR0), CR0_ET | CR0_CD | CR0_NW);
	assert_int_equal(b->cr0, CR0_ET);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(states_pass_the_rules, set_up, tear_down),
		cmocka_unit_test_setup_teardown(scaled_guests, set_up, tear_down),
		cmocka_unit_test_setup_teardown(events_pass_the_rules, set_up, tear_down),
		cmocka_unit_test_setup_teardown(translations, set_up, tear_down),
		cmocka_unit_test_setup_teardown(nmis_wait, set_up, tear_down),
		cmocka_unit_test_setup_teardown(efer_keeps_svme, set_up, tear_down),
		cmocka_unit_test_setup_teardown(intercepts, set_up, tear_down),
		cmocka_unit_test_setup_teardown(permission_maps, set_up, tear_down),
		cmocka_unit_test_setup_teardown(broken_rules_are_named, set_up, tear_down),
		cmocka_unit_test_setup_teardown(refused_entry, set_up, tear_down),
		cmocka_unit_test_setup_teardown(hostile_states, set_up, tear_down),
		cmocka_unit_test_setup_teardown(a_step_is_a_debug_exception, set_up, tear_down),
		cmocka_unit_test_setup_teardown(bus_locks_are_counted, set_up, tear_down),
		cmocka_unit_test_setup_teardown(caches_stay_on, set_up, tear_down),
	};

	fake_memory_init(4096);
	page_add_range(MiB(1), MiB(16));
	return cmocka_run_group_tests(tests, NULL, NULL);
}
