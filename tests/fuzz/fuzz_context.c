/* units: vmm/life/domctl_context.c vmm/life/save_records.c vmm/apic/vlapic.c vmm/apic/vlapic_record.c vmm/apic/xapic.c vmm/cpu/msr.c vmm/cpu/mtrr.c vmm/cpu/cpuid.c vmm/cpu/cpu_policy.c arch/x86/saved.c */
/*
 * The state of a guest's vCPUs as a file or another machine gives it. Whatever is accepted, the XSAVE states can be restored and
 * the event be injected without a fault of the hypervisor's.
 */
#include "tests/fuzz/fuzz.h"
#include <stdlib.h>
#include <string.h>
#include <xen/domctl.h>
#include <asm/hvm.h>
#include <asm/hvm_saved.h>
#include <asm/insn.h>
#include <asm/time.h>
#include "vmm/cpu/cpu_policy.h"
#include "vmm/domain.h"
#include "vmm/domain/refuse.h"
#include "vmm/hypercall.h"
#include "vmm/life/life.h"
#include "vmm/life/save.h"
#include "vmm/vcpu.h"

#define VCPUS 2
#define AREA  4096

static const u8 *stream;
static size_t stream_size;
static unsigned contexts;

int copy_from_guest(struct vcpu *v, void *dst, u64 gva, size_t len)
{
	if (gva > stream_size || len > stream_size - gva)
		return -EFAULT;
	memcpy(dst, stream + gva, len);
	return 0;
}

int copy_to_guest(struct vcpu *v, u64 gva, const void *src, size_t len) { return -EFAULT; }
void spin_lock(spinlock_t *l) { }
void spin_unlock(spinlock_t *l) { }
struct time_scale time_scale = { .tsc_khz = 1000000 };
void *kzalloc(size_t size) { return calloc(1, size); }
void kfree(void *p) { free(p); }
long domain_check_stopped(struct domain *d) { return 0; }
bool step_over(void) { return true; }
long refuse_say(long error, const char *fmt, ...) { return error; }
void save_start_clock(struct domain *d, u64 tsc) { }
void vcpu_up(struct vcpu *v) { }
void vcpu_start(struct vcpu *v) { }
void vcpu_kick(struct vcpu *v) { }
void lapic_eoi(void) { }
void vlapic_send_ipi(struct vcpu *v, u64 icr) { BUG(); }
u32 vlapic_timer_count(const struct vcpu *v) { return 0; }
void vlapic_timer_write(struct vcpu *v, bool count, u32 value) { *(count ? &v->apic.timer_icr : &v->apic.timer_dcr) = value; }
void hvm_reset(struct vcpu *v) { }
void hvm_start_sipi(struct vcpu *v, u8 vector) { }
void hvm_set_tsc_aux(struct vcpu *v, u64 val) { }
u64 time_tsc(void) { return 0; }
bool rdmsr_safe(u32 msr, u64 *val) { return false; }
u64 hvm_xcr0_mask = XCR0_SWITCHED;

/* A CPU with AVX and protection keys. */
struct cpuid_regs cpuid(u32 leaf, u32 sub)
{
	if (leaf == 0)
		return (struct cpuid_regs){ 0xd, 0x68747541, 0x444d4163, 0x69746e65 };
	if (leaf == 1)
		return (struct cpuid_regs){ 0, 0, ~0u, ~0u };
	if (leaf == 7)
		return (struct cpuid_regs){ 0, ~0u, ~0u, ~0u };
	if (leaf != 0xd)
		return (struct cpuid_regs){ leaf >= 0x80000000 ? 0x80000021 : 0, 0, ~0u, ~0u };
	return sub == 0 ? (struct cpuid_regs){ 0x207, 2696, 2696, 0 } : sub == 2 ? (struct cpuid_regs){ 256, 576, 0, 0 } :
	       sub == 9 ? (struct cpuid_regs){ 8, 2688, 0, 0 } : (struct cpuid_regs){ 0, 0, 0, 0 };
}

static void set_pat(struct vcpu *v, u64 pat) { BUG_ON(!hvm_valid_pat(pat)); }
static u64 get_cr(const struct vcpu *v, int which) { return 0; }
static const struct hvm_constant_msr constant_msrs[] = { { 0, 0 } };
static const struct hvm_ops ops = { .set_pat = set_pat, .get_cr = get_cr, .constant_msrs = constant_msrs };
const struct hvm_ops *hvm = &ops;

int hvm_set_context(struct vcpu *v, const struct hvm_hw_cpu *c)
{
	u64 event = hvm_event_of(v, c);

	contexts++;
	BUG_ON(event && ((event & EVENT_TYPE) != EVENT_EXCEPTION || (u8)event > 31 || (u8)event == 2));
	return 0;
}

void hvm_get_context(struct vcpu *v, struct hvm_hw_cpu *c) { }

/* SDM volume 1, 13.8.1: what XRSTOR refuses; and the rules of XSETBV. */
static void check_xsave(const struct vcpu *v)
{
	u64 words[8], allowed = cpu_policy_xcr0(v->domain->policy) & hvm_xcr0_mask;
	u32 mxcsr;

	memcpy(words, (u8 *)v->hvm.xsave + 512, sizeof(words));
	memcpy(&mxcsr, (u8 *)v->hvm.xsave + 24, sizeof(mxcsr));
	BUG_ON(words[0] & ~allowed || mxcsr >> 16);
	for (unsigned i = 1; i < 8; i++)
		BUG_ON(words[i]);
	BUG_ON(!(v->hvm.xcr0 & 1) || v->hvm.xcr0 & ~allowed || (v->hvm.xcr0 & 4 && !(v->hvm.xcr0 & 2)));
}

int LLVMFuzzerTestOneInput(const u8 *data, size_t size)
{
	static struct domain d;
	static struct vcpu vcpus[VCPUS];
	static struct vcpu *table[VCPUS];
	static u8 areas[VCPUS][AREA];
	static struct cpu_policy policy;
	static struct shared_info shared;
	struct xen_domctl_hvmcontext op = { .size = (u32)size };
	struct hypercall hc = { .target = &d };
	long rc;

	if (!cpu_policy_max.basic[0].a)
		cpu_policy_init();
	policy = cpu_policy_def;
	memset(vcpus, 0, sizeof(vcpus));
	memset(areas, 0, sizeof(areas));
	d = (struct domain){ .domid = 1, .max_vcpus = VCPUS, .vcpu = table, .policy = &policy, .shared = &shared };
	for (u32 i = 0; i < VCPUS; i++) {
		table[i] = &vcpus[i];
		vcpus[i] = (struct vcpu){ .domain = &d, .id = i, .apic_id = 2 * i, .hvm = { .xsave = areas[i], .xcr0 = XCR0_X87 } };
	}
	stream = data;
	stream_size = size;
	do
		rc = hc_domctl_sethvmcontext(&vcpus[0], &hc, &op);
	while (rc == HC_AGAIN);
	for (u32 i = 0; i < VCPUS; i++) {
		check_xsave(&vcpus[i]);
		BUG_ON((vcpus[i].apic.irr[0] | vcpus[i].apic.isr[0]) & 0xffff);
		BUG_ON(vcpus[i].apic.tpr > 0xff);
	}
	return 0;
}
