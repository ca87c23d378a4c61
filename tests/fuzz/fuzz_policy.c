/* units: vmm/toolstack/policy_ops.c vmm/toolstack/policy_fit.c vmm/cpu/cpu_policy.c vmm/cpu/cpu_policy_serial.c */
/*
 * The CPUID policy that the toolstack gives a guest, often from a file or another machine. Whatever is accepted shows nothing that
 * this CPU lacks, and nothing changes by being written and read again. A guest from elsewhere loses no feature.
 */
#include "tests/fuzz/fuzz.h"
#include <stdlib.h>
#include <string.h>
#include <xen/domctl.h>
#include <asm/hvm.h>
#include <asm/insn.h>
#include <asm/time.h>
#include "sched/sched.h"
#include "vmm/cpu/cpu_policy_words.h"
#include "vmm/domain.h"
#include "vmm/domain/refuse.h"
#include "vmm/hypercall.h"
#include "vmm/life/life.h"
#include "vmm/toolstack/control.h"
#include "vmm/vcpu.h"

/* The toolstack's memory: what is fuzzed at 0, and from WRITTEN on what the hypervisor writes. */
#define WRITTEN 0x100000u

static const u8 *input;
static size_t input_size;
static u8 written[POLICY_MAX_LEAVES * sizeof(xen_cpuid_leaf_t) + POLICY_MAX_MSRS * sizeof(xen_msr_entry_t)];

int copy_from_guest(struct vcpu *v, void *dst, u64 gva, size_t len)
{
	const u8 *from = gva < WRITTEN ? input : written;
	size_t size = gva < WRITTEN ? input_size : sizeof(written);

	gva &= WRITTEN - 1;
	if (gva > size || len > size - gva)
		return -EFAULT;
	memcpy(dst, from + gva, len);
	return 0;
}

int copy_to_guest(struct vcpu *v, u64 gva, const void *src, size_t len)
{
	BUG_ON(gva < WRITTEN || gva - WRITTEN > sizeof(written) || len > sizeof(written) - (gva - WRITTEN));
	memcpy(written + (gva - WRITTEN), src, len);
	return 0;
}

struct domain *dom0;
u64 hvm_xcr0_mask = XCR0_SWITCHED;
void spin_lock(spinlock_t *l) { }
void spin_unlock(spinlock_t *l) { }
void *kzalloc(size_t size) { return calloc(1, size); }
void kfree(void *p) { free(p); }
long domain_check_stopped(struct domain *d) { return 0; }
long refuse_say(long error, const char *fmt, ...) { return error; }
u64 sched_run_time(const struct sched_entity *e, u64 now) { return 0; }
u64 time_now(void) { return 0; }

/* A CPU with AVX and protection keys. */
struct cpuid_regs cpuid(u32 leaf, u32 sub)
{
	if (leaf == 0)
		return (struct cpuid_regs){ 0xd, 0x68747541, 0x444d4163, 0x69746e65 };
	if (leaf == 7)
		return sub ? (struct cpuid_regs){ 0 } : (struct cpuid_regs){ 0, 0x219c07a9, 0x18, 0 };
	if (leaf == 1 || leaf == 0x80000001)
		return (struct cpuid_regs){ 0x800f12, 0x10800, 0x7ed8320b, 0x178bfbff };
	if (leaf != 0xd)
		return (struct cpuid_regs){ leaf >= 0x80000000 ? 0x80000021 : 0, 0, 0, 0 };
	return sub == 0 ? (struct cpuid_regs){ 0x207, 2696, 2696, 0 } : sub == 1 ? (struct cpuid_regs){ 0xf, 0, 0, 0 } :
	       sub == 2 ? (struct cpuid_regs){ 256, 576, 0, 0 } : sub == 9 ? (struct cpuid_regs){ 8, 2688, 0, 0 } : (struct cpuid_regs){ 0 };
}

static void check_policy(const struct cpu_policy *p)
{
	u32 words[POLICY_FEATURE_WORDS], limit[POLICY_FEATURE_WORDS];
	u64 xcr0 = cpu_policy_xcr0(p);

	cpu_policy_featureset(p, words);
	cpu_policy_featureset(&cpu_policy_max, limit);
	for (u32 i = 0; i < POLICY_FEATURE_WORDS; i++)
		BUG_ON(words[i] & ~limit[i]);
	/* The rules of XSETBV: SDM volume 1, 13.3. */
	BUG_ON(xcr0 & ~cpu_policy_xcr0(&cpu_policy_max) || (xcr0 && !(xcr0 & 1)) || ((xcr0 & 4) && !(xcr0 & 2)));
	for (u32 i = 2; i < ARRAY_SIZE(p->xstate); i++)
		BUG_ON(p->xstate[i].a + p->xstate[i].b > p->xstate[0].c || p->xstate[i].a > cpu_policy_max.xstate[i].a);
	BUG_ON(p->xstate[0].c > cpu_policy_max.xstate[0].c || p->basic[0].a > 0xd || p->extd[0].a > 0x80000021 || p->feat[0].a > 2);
	BUG_ON(memcmp(&p->basic[0].b, &cpu_policy_max.basic[0].b, 3 * sizeof(u32)));
}

/* Libxl sets HTT in every policy, to describe a topology. */
static void check_nothing_lost(const struct cpu_policy *p, const u8 *data, u32 nr)
{
	static struct cpu_policy asked;
	static xen_cpuid_leaf_t leaves[POLICY_MAX_LEAVES];
	u32 wanted[POLICY_FEATURE_WORDS], words[POLICY_FEATURE_WORDS], leaf, subleaf;

	memcpy(leaves, data, nr * sizeof(leaves[0]));
	asked = (struct cpu_policy){ 0 };
	BUG_ON(cpu_policy_deserialise(&asked, leaves, nr, &leaf, &subleaf));
	cpu_policy_featureset(&asked, wanted);
	cpu_policy_featureset(p, words);
	for (u32 i = 0; i < WORD_ARCH_CAPS_LO; i++)
		BUG_ON(wanted[i] & ~words[i] & ~(i == WORD_1D ? 1u << 28 : 0));
	BUG_ON(cpu_policy_xcr0(&asked) != cpu_policy_xcr0(p));
}

static void get_policy_of(struct vcpu *v, struct hypercall *hc, struct xen_domctl_cpu_policy *op)
{
	memset(written, 0, sizeof(written));
	*op = (struct xen_domctl_cpu_policy){ .nr_leaves = POLICY_MAX_LEAVES, .nr_msrs = POLICY_MAX_MSRS };
	set_xen_guest_handle_raw(op->leaves, (void *)(size_t)WRITTEN);
	set_xen_guest_handle_raw(op->msrs, (void *)(WRITTEN + POLICY_MAX_LEAVES * sizeof(xen_cpuid_leaf_t)));
	BUG_ON(hc_domctl_cpu_policy(v, hc, op));
}

/* Input: the number of MSRs, then as many, then leaves. Neither number is checked here. */
int LLVMFuzzerTestOneInput(const u8 *data, size_t size)
{
	static struct cpu_policy policy, before;
	static struct domain d;
	static struct vcpu v;
	static struct control_head set = { .cmd = XEN_DOMCTL_set_cpu_policy }, get = { .cmd = XEN_DOMCTL_get_cpu_policy };
	struct hypercall hc = { .target = &d, .head = &set };
	struct xen_domctl_cpu_policy op = { 0 };
	static u8 first[sizeof(written)];
	size_t msrs;

	if (!size)
		return 0;
	if (!cpu_policy_max.basic[0].a)
		cpu_policy_init();
	before = policy = cpu_policy_def;
	d = (struct domain){ .domid = 1, .policy = &policy };
	input = data + 1;
	input_size = size - 1;
	msrs = data[0] * sizeof(xen_msr_entry_t);
	op.nr_msrs = data[0];
	set_xen_guest_handle_raw(op.msrs, (void *)0);
	set_xen_guest_handle_raw(op.leaves, (void *)msrs);
	op.nr_leaves = msrs < input_size ? (u32)((input_size - msrs) / sizeof(xen_cpuid_leaf_t)) : 1;
	if (hc_domctl_cpu_policy(&v, &hc, &op)) {
		BUG_ON(memcmp(&policy, &before, sizeof(policy)));
		return 0;
	}
	check_policy(&policy);
	if (data[0])
		check_nothing_lost(&policy, input + msrs, op.nr_leaves);

	/* A machine of this kind accepts it from here, and guests see the same there. */
	hc.head = &get;
	get_policy_of(&v, &hc, &op);
	memcpy(first, written, sizeof(first));
	policy = cpu_policy_def;
	hc.head = &set;
	BUG_ON(hc_domctl_cpu_policy(&v, &hc, &op));
	hc.head = &get;
	get_policy_of(&v, &hc, &op);
	BUG_ON(memcmp(first, written, sizeof(first)));
	return 0;
}
