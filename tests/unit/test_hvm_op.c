/* units: vmm/device/hvm_op.c tests/unit/fake_domain.c */
/* Calls of kernels other than Linux: a vector of their own for events, a flush, and a vCPU's first state. */
#include "tests/unit/fake_domain.h"
#include <asm/hvm.h>
#include <asm/insn.h>
#include <xen/hvm/hvm_op.h>
#include <xen/hvm/hvm_vcpu.h>
#include <xen/hvm/save.h>
#include "mm/p2m.h"
#include "vmm/share/evtchn.h"
#include "vmm/vcpu.h"

static struct domain *d;
static unsigned flushes, held;
static bool busy;
static int set_result;
static struct hvm_hw_cpu given;

void p2m_flush(struct p2m *p2m) { flushes += p2m == &d->p2m; }
bool evtchn_upcall_pending(const struct vcpu *v) { return v->info->evtchn_upcall_pending; }
bool vcpu_hold(struct vcpu *v) { held += !busy; return !busy; }
void vcpu_let_go(struct vcpu *v) { held--; }
int hvm_set_context(struct vcpu *v, const struct hvm_hw_cpu *c) { given = *c; assert_int_equal(held, 1); return set_result; }

static int set_up(void **state)
{
	d = fake_domain_new(1, 3);
	d->vcpu[1]->wait_for_sipi = d->vcpu[2]->wait_for_sipi = true;
	flushes = held = 0;
	busy = false;
	set_result = 0;
	return 0;
}

static int tear_down(void **state)
{
	assert_int_equal(held, 0);
	fake_domain_free(d);
	return 0;
}

static long call(hypercall_fn *fn, u64 a1, void *arg)
{
	struct hypercall hc = { .a = { 0, a1 } };

	return fn(d->vcpu[0], &hc, arg);
}

static void a_flush_takes_no_argument(void **state)
{
	assert_int_equal(call(hc_hvm_flush_tlbs, 8, NULL), -EINVAL);
	assert_int_equal(flushes, 0);
	assert_int_equal(call(hc_hvm_flush_tlbs, 0, NULL), 0);
	assert_int_equal(flushes, 1);
}

static long set_vector(u32 vcpu, u8 vector)
{
	return call(hc_hvm_set_upcall_vector, 0, &(struct xen_hvm_evtchn_upcall_vector){ .vcpu = vcpu, .vector = vector });
}

static void a_vector_is_one_of_the_apics(void **state)
{
	assert_int_equal(set_vector(1, 15), -EINVAL);
	assert_int_equal(set_vector(3, 0x30), -ENOENT);
	assert_int_equal(set_vector(~0u, 0x30), -ENOENT);
	assert_int_equal(set_vector(1, 0x30), 0);
	assert_int_equal(d->vcpu[1]->upcall_vector, 0x30);
	assert_int_equal(fake_posted(d->vcpu[1]), 0);
	/* An event that waits is told in the new way. */
	d->vcpu[1]->info->evtchn_upcall_pending = 1;
	assert_int_equal(set_vector(1, 0xff), 0);
	assert_int_equal(fake_posted(d->vcpu[1]), 0xff);
	assert_int_equal(d->vcpu[0]->upcall_vector, 0);
}

static struct vcpu_hvm_context wide(void)
{
	return (struct vcpu_hvm_context){
		.mode = VCPU_HVM_MODE_64B,
		.cpu_regs.x86_64 = { .rip = 0xffff800000001000, .rsp = 1, .rdi = 2, .rflags = 0x200, .cr0 = CR0_PG | CR0_PE, .cr3 = 0x5000, .cr4 = CR4_PAE,
				     .efer = EFER_LME | EFER_LMA },
	};
}

static void a_64_bit_start_is_flat(void **state)
{
	struct vcpu_hvm_context c = wide();

	assert_int_equal(call(hc_vcpu_initialise, 1, &c), 0);
	assert_false(d->vcpu[1]->wait_for_sipi);
	assert_true(given.rip == 0xffff800000001000 && given.rsp == 1 && given.rdi == 2 && given.rflags == 0x202 && given.cr3 == 0x5000);
	assert_true(given.cs_arbytes == 0xa9b && given.ss_arbytes == 0xc93 && given.tr_arbytes == 0x8b && given.cs_limit == ~0u);
	assert_int_equal(call(hc_vcpu_initialise, 1, &c), -EEXIST);
	assert_int_equal(call(hc_vcpu_initialise, 0, &c), -EEXIST);
	assert_int_equal(call(hc_vcpu_initialise, 3, &c), -ENOENT);
}

static void a_32_bit_start_has_its_segments(void **state)
{
	struct vcpu_hvm_context c = {
		.mode = VCPU_HVM_MODE_32B,
		.cpu_regs.x86_32 = { .eax = 1, .esi = 2, .eip = 0x1000, .cr0 = CR0_PE, .cs_limit = ~0u, .cs_ar = 0xc9b, .ds_ar = 0xc93, .ss_base = 16, .tr_ar = 0x8b },
	};

	assert_int_equal(call(hc_vcpu_initialise, 2, &c), 0);
	assert_true(given.rax == 1 && given.rsi == 2 && given.rip == 0x1000 && given.cr0 == CR0_PE && given.rflags == 2);
	assert_true(given.cs_arbytes == 0xc9b && given.ds_arbytes == 0xc93 && given.ss_base == 16 && given.fs_arbytes == 0);
	assert_true(given.dr7 == 0x400 && given.gdtr_limit == 0xffff);
}

static void malformed_starts_change_nothing(void **state)
{
	struct vcpu_hvm_context c = wide();

	c.mode = 2;
	assert_int_equal(call(hc_vcpu_initialise, 1, &c), -EINVAL);
	c = wide();
	c.pad = 1;
	assert_int_equal(call(hc_vcpu_initialise, 1, &c), -EINVAL);
	c = wide();
	c.cpu_regs.x86_64.efer = 0;
	assert_int_equal(call(hc_vcpu_initialise, 1, &c), -EINVAL);
	c = (struct vcpu_hvm_context){ .mode = VCPU_HVM_MODE_32B, .cpu_regs.x86_32.ds_ar = 0x1093 };
	assert_int_equal(call(hc_vcpu_initialise, 1, &c), -EINVAL);
	c = wide();
	set_result = -EINVAL;
	assert_int_equal(call(hc_vcpu_initialise, 1, &c), -EINVAL);
	busy = true;
	assert_int_equal(call(hc_vcpu_initialise, 1, &c), HC_AGAIN);
	assert_true(d->vcpu[1]->wait_for_sipi);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
		TEST(a_flush_takes_no_argument),
		TEST(a_vector_is_one_of_the_apics),
		TEST(a_64_bit_start_is_flat),
		TEST(a_32_bit_start_has_its_segments),
		TEST(malformed_starts_change_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
