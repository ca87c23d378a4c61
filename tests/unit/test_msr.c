/* units: vmm/cpu/msr.c vmm/apic/xapic.c vmm/cpu/mtrr.c vmm/cpu/cpu_policy.c vmm/hypercall/hypercall_page.c */
/* MSR policy: what is the guest's own, what is constant, and which values are refused before they can reach a control block. */
#include "tests/unit/fake.h"
#include <asm/hvm.h>
#include <asm/insn.h>
#include "vmm/apic/xapic.h"
#include "vmm/cpu/cpu_policy_words.h"
#include "vmm/domain.h"
#include "vmm/hypercall.h"
#include "vmm/memory/guest_access.h"
#include "vmm/cpu/msr.h"
#include "vmm/vcpu.h"

enum { PAT = 0x277, MTRRCAP = 0xfe, MTRR_BASE0 = 0x200, MTRR_MASK7 = 0x20f, MTRR_DEF = 0x2ff, FIX64K = 0x250, FIX16K = 0x258, FIX4K = 0x268,
       EFER = 0xc0000080, TSC_AUX = 0xc0000103, APIC_BASE = 0x1b };

static struct cpu_policy policy;
static struct domain d = { .domid = 1, .policy = &policy };
static struct vcpu v = { .domain = &d }, second = { .domain = &d, .id = 1 };
static u64 cr0, efer, vendor_pat, tsc_aux, page[1024], apic_written;
static u64 page_at = MiB(1);

static u64 get_cr(const struct vcpu *w, int which) { return which == HVM_CR0 ? cr0 : which == HVM_EFER ? efer : 0; }
static void set_efer(struct vcpu *w, u64 val) { efer = val; }
static void set_pat(struct vcpu *w, u64 pat) { vendor_pat = pat; }
static const struct hvm_constant_msr constants[] = { { 0xc0010015, BIT(24) }, { 0, 0 } };
static const struct hvm_ops ops = {
	.hypercall_insn = { 0x0f, 0x01, 0xd9 }, .constant_msrs = constants, .get_cr = get_cr, .set_efer = set_efer, .set_pat = set_pat,
};
const struct hvm_ops *hvm = &ops;
void hvm_set_tsc_aux(struct vcpu *w, u64 val) { tsc_aux = w->hvm.tsc_aux = val; }
bool rdmsr_safe(u32 msr, u64 *val) { return false; }
struct cpuid_regs cpuid(u32 leaf, u32 sub) { return (struct cpuid_regs){ 0 }; }
void vlapic_reset(struct vcpu *w) { }
void vlapic_post(struct vcpu *w, u8 vector, bool level) { fail(); }
int vlapic_read(struct vcpu *w, u32 msr, u64 *val) { *val = msr; return 0; }
int vlapic_write(struct vcpu *w, u32 msr, u64 val) { apic_written = msr; return 0; }

static unsigned latched;
void narrow_latch(struct vcpu *w) { latched++; }

int copy_to_gpa(struct domain *of, u64 gpa, const void *src, size_t len)
{
	if (gpa < page_at || gpa + len > page_at + 2 * PAGE_SIZE)
		return -EFAULT;
	memcpy((u8 *)page + (gpa - page_at), src, len);
	return 0;
}

static int set_up(void **state)
{
	memset(&d.mtrr, 0, sizeof(d.mtrr));
	mtrr_init_domain(&d);
	cr0 = BIT(31) | 1;
	efer = BIT(8) | BIT(10) | BIT(11);
	vlapic_load_base(&v, APIC_X2_ON);
	vlapic_load_base(&second, APIC_X2_ON);
	return 0;
}

static void keeps(u32 msr, u64 val)
{
	u64 back = ~val;

	if (msr_write(&v, msr, val) || msr_read(&v, msr, &back) || back != val)
		fail_msg("MSR %#x doesn't keep %#llx but has %#llx", msr, (unsigned long long)val, (unsigned long long)back);
}

static void refuses(u32 msr, u64 val)
{
	u64 before, after;

	assert_int_equal(msr_read(&v, msr, &before), 0);
	if (msr_write(&v, msr, val) != -EINVAL)
		fail_msg("MSR %#x takes %#llx", msr, (unsigned long long)val);
	assert_int_equal(msr_read(&v, msr, &after), 0);
	assert_int_equal(before, after);
}

/* Whatever the type's place is, VM entry refuses a reserved one: SDM 27.3.1.1. */
static void pat_has_types_that_exist(void **state)
{
	for (unsigned place = 0; place < 8; place++)
		for (u64 type = 0; type < 256; type++) {
			u64 val = (0x0606060606060606ull & ~(0xffull << place * 8)) | type << place * 8;

			if (type <= 7 && type != 2 && type != 3)
				keeps(PAT, val);
			else
				refuses(PAT, val);
		}
	assert_int_equal(vendor_pat, v.hvm.pat);
}

static void mtrrs(void **state)
{
	u64 val;

	assert_int_equal(msr_read(&v, MTRRCAP, &val), 0);
	assert_int_equal(val & 0xff, 8);
	assert_int_equal(msr_write(&v, MTRRCAP, val), -EINVAL);
	/* All have places of their own. */
	for (u32 i = 0; i < 16; i++)
		keeps(MTRR_BASE0 + i, (u64)(i + 1) << 12);
	for (u32 i = 0; i < 16; i++) {
		assert_int_equal(msr_read(&v, MTRR_BASE0 + i, &val), 0);
		assert_int_equal(val, (u64)(i + 1) << 12);
	}
	assert_int_equal(msr_read(&v, FIX64K, &val), 0);
	assert_int_equal(val, 0x0606060606060606ull);
	assert_int_equal(msr_read(&v, MTRR_MASK7 + 1, &val), -EINVAL);
	assert_int_equal(msr_write(&v, MTRR_MASK7 + 1, 0), -EINVAL);
	assert_int_equal(msr_read(&v, FIX16K + 2, &val), -EINVAL);
	assert_int_equal(msr_read(&v, FIX4K + 8, &val), -EINVAL);
	keeps(FIX64K, 0x0606060606060600ull);
	keeps(FIX16K + 1, 0);
	keeps(FIX4K + 7, 0x0505050505050505ull);
	refuses(FIX4K, 0x0306060606060606ull);
	keeps(MTRR_DEF, 0xc06);
	refuses(MTRR_DEF, 0x1c06);
	refuses(MTRR_DEF, 0xc02);
	/* Of a base: its type, and the address from bit 12 on; of a mask: the valid bit, and the address (SDM 11.11.2.3). */
	for (u32 bit = 0; bit < 64; bit++) {
		if (bit >= 12 && bit < 48) {
			keeps(MTRR_BASE0 + 14, BIT(bit) | 6);
			keeps(MTRR_MASK7, BIT(bit) | 0x800);
		} else if (bit >= 8) {
			refuses(MTRR_BASE0 + 14, BIT(bit) | 6);
		}
		if (bit != 11 && (bit < 12 || bit >= 48))
			refuses(MTRR_MASK7, BIT(bit) | 0x800);
	}
	for (u32 type = 0; type < 8; type++)
		if (type == 2 || type == 3 || type == 7) {
			refuses(MTRR_BASE0, type);
			refuses(FIX64K, 0x0606060606060600ull | type);
			refuses(FIX4K + 7, (u64)type << 56);
		} else {
			keeps(MTRR_BASE0, type);
			keeps(FIX4K + 7, (u64)type << 56);
		}
	refuses(MTRR_BASE0 + 1, 0x400);
	keeps(MTRR_BASE0 + 1, 0x800);
}

static void efer_keeps_its_mode(void **state)
{
	refuses(EFER, efer | BIT(12));          /* SVME */
	refuses(EFER, efer | BIT(1));
	refuses(EFER, efer & ~BIT(8));          /* LME with paging on */
	/* LMA is the CPU's. */
	assert_int_equal(msr_write(&v, EFER, (efer & ~BIT(10)) | 1), 0);
	assert_int_equal(efer, BIT(0) | BIT(8) | BIT(10) | BIT(11));
	/* AMD's fast FXSAVE: where the CPU doesn't have it, the bit is reserved, and VM entry refuses a guest that has it set. */
	refuses(EFER, efer | EFER_FFXSR);
	policy.extd[1].d |= 1u << 25;
	assert_int_equal(msr_write(&v, EFER, efer | EFER_FFXSR), 0);
	cr0 = 1;
	efer = BIT(8);
	assert_int_equal(msr_write(&v, EFER, BIT(10)), 0);
	assert_int_equal(efer, 0);
}

static void the_apic_stays_where_it_is(void **state)
{
	u64 val;

	assert_int_equal(msr_read(&v, APIC_BASE, &val), 0);
	assert_int_equal(val, 0xfee00d00);
	assert_int_equal(msr_write(&v, APIC_BASE, val), 0);
	assert_int_equal(msr_write(&v, APIC_BASE, val & ~BIT(10)), -EINVAL);
	assert_int_equal(msr_write(&second, APIC_BASE, val), -EINVAL);
	assert_int_equal(msr_read(&second, APIC_BASE, &val), 0);
	assert_int_equal(val, 0xfee00c00);
	assert_int_equal(msr_write(&second, APIC_BASE, val), 0);
	assert_int_equal(msr_write(&v, APIC_BASE, val), -EINVAL);
	assert_int_equal(msr_read(&v, 0x8ff, &val), 0);
	assert_int_equal(val, 0x8ff);
	assert_int_equal(msr_read(&v, 0x900, &val), -EINVAL);
	assert_int_equal(msr_read(&v, 0x7ff, &val), -EINVAL);
	assert_int_equal(msr_write(&v, 0x800, 0), 0);
	assert_int_equal(apic_written, 0x800);
}

static void others(void **state)
{
	u64 val;

	keeps(TSC_AUX, 0xffffffff);
	assert_int_equal(tsc_aux, 0xffffffff);
	refuses(TSC_AUX, BIT(32));
	/* Constants: read, and writes are dropped. */
	assert_int_equal(msr_read(&v, 0xc0010015, &val), 0);
	assert_int_equal(val, BIT(24));
	assert_int_equal(msr_write(&v, 0xc0010015, 0), 0);
	assert_int_equal(msr_read(&v, 0xc0010015, &val), 0);
	assert_int_equal(val, BIT(24));
	for (u32 msr = 0x480; msr < 0x492; msr++) {
		assert_int_equal(msr_read(&v, msr, &val), -EINVAL);
		assert_int_equal(msr_write(&v, msr, 0), -EINVAL);
	}
	assert_int_equal(msr_read(&v, 0, &val), -EINVAL);
}

static void the_hypercall_page_is_whole(void **state)
{
	const u8 *stub = (const u8 *)page;

	assert_int_equal(hypercall_page_write(&v, page_at + 32), -EINVAL);
	assert_int_equal(hypercall_page_write(&v, page_at + 1), -EINVAL);
	assert_int_equal(hypercall_page_write(&v, page_at + 2 * PAGE_SIZE), -EINVAL);
	for (unsigned i = 0; i < ARRAY_SIZE(page); i++)
		assert_int_equal(page[i], 0);
	assert_int_equal(latched, 0);
	assert_int_equal(hypercall_page_write(&v, page_at), 0);
	assert_int_equal(latched, 1);
	for (unsigned n = 0; n < 128; n++, stub += 32) {
		const u8 want[] = { 0xb8, (u8)n, 0, 0, 0, 0x0f, 0x01, 0xd9, 0xc3, 0xcc };

		assert_memory_equal(stub, want, sizeof(want));
		assert_int_equal(stub[31], 0xcc);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(pat_has_types_that_exist, set_up),
		cmocka_unit_test_setup(mtrrs, set_up),
		cmocka_unit_test_setup(efer_keeps_its_mode, set_up),
		cmocka_unit_test_setup(the_apic_stays_where_it_is, set_up),
		cmocka_unit_test_setup(others, set_up),
		cmocka_unit_test_setup(the_hypercall_page_is_whole, set_up),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
