/* domctl and sysctl: CPU policies on their way to and from the toolstack. */
#include <xen/domctl.h>
#include <xen/sysctl.h>
#include <asm/time.h>
#include "mm/heap.h"
#include "sched/sched.h"
#include "vmm/cpu/cpu_policy_words.h"
#include "vmm/domain.h"
#include "vmm/hypercall.h"
#include "vmm/life/life.h"
#include "vmm/memory/guest_access.h"
#include "vmm/toolstack/control.h"
#include "vmm/vcpu.h"

enum { MSR_PLATFORM_INFO = 0xce };

#define NO_ERROR_AT (~0u)

static long leaves_to_guest(struct vcpu *v, const struct cpu_policy *p, u64 gva, u32 *nr)
{
	xen_cpuid_leaf_t *leaves = kzalloc(POLICY_MAX_LEAVES * sizeof(*leaves));
	long rc;

	if (!leaves)
		return -ENOMEM;
	rc = cpu_policy_serialise(p, leaves, MIN(*nr, (u32)POLICY_MAX_LEAVES));
	if (rc >= 0) {
		*nr = (u32)rc;
		rc = copy_to_guest(v, gva, leaves, *nr * sizeof(*leaves));
	}
	kfree(leaves);
	return rc;
}

static long msrs_to_guest(struct vcpu *v, const struct cpu_policy *p, u64 gva, u32 *nr)
{
	const xen_msr_entry_t msrs[POLICY_MAX_MSRS] = {
		{ .idx = MSR_PLATFORM_INFO, .val = p->msr_platform_info },
		{ .idx = MSR_ARCH_CAPABILITIES, .val = p->msr_arch_caps },
	};

	if (*nr < POLICY_MAX_MSRS)
		return -ENOBUFS;
	*nr = POLICY_MAX_MSRS;
	return copy_to_guest(v, gva, msrs, sizeof(msrs));
}

/*
 * Copies a policy to two arrays of the guest's. *nr_leaves and *nr_msrs are the sizes, and then the
 * entries written. A null handle is left out. Returns 0. Errors: -ENOBUFS if an array is too small,
 * -EFAULT if it can't be written, -ENOMEM without memory for a copy.
 */
static long policy_to_guest(struct vcpu *v, const struct cpu_policy *p, u64 leaves, u32 *nr_leaves,
			    u64 msrs, u32 *nr_msrs)
{
	long rc = leaves ? leaves_to_guest(v, p, leaves, nr_leaves) : 0;

	return !rc && msrs ? msrs_to_guest(v, p, msrs, nr_msrs) : rc;
}

static long get_policy(struct vcpu *v, struct domain *d, struct xen_domctl_cpu_policy *op)
{
	return policy_to_guest(v, d->policy, HANDLE(op->leaves), &op->nr_leaves, HANDLE(op->msrs), &op->nr_msrs);
}

/* A policy's MSRs describe features that we don't have, so only their form is checked. */
static long check_msrs(struct vcpu *v, struct xen_domctl_cpu_policy *op)
{
	xen_msr_entry_t msrs[POLICY_MAX_MSRS];

	if (op->nr_msrs > POLICY_MAX_MSRS)
		return -E2BIG;
	if (copy_from_guest(v, msrs, HANDLE(op->msrs), op->nr_msrs * sizeof(msrs[0])))
		return -EFAULT;
	for (u32 i = 0; i < op->nr_msrs; i++) {
		op->err_msr = msrs[i].idx;
		if (msrs[i].flags)
			return -EINVAL;
		if (msrs[i].idx != MSR_PLATFORM_INFO && msrs[i].idx != MSR_ARCH_CAPABILITIES)
			return -ERANGE;
	}
	op->err_msr = NO_ERROR_AT;
	return 0;
}

static bool has_run(const struct domain *d)
{
	const struct vcpu *v;

	for_each_vcpu(v, d)
		if (sched_run_time(&v->sched, time_now()))
			return true;
	return false;
}

/* A guest that has run has read its CPUID and relies on it, so the policy can't change then. */
static long install_policy(struct domain *d, const struct cpu_policy *p)
{
	long rc = domain_check_stopped(d);

	if (!rc && has_run(d))
		rc = -EEXIST;
	if (!rc)
		*d->policy = *p;
	return rc;
}

static long read_leaves(struct vcpu *v, struct cpu_policy *p, struct xen_domctl_cpu_policy *op)
{
	xen_cpuid_leaf_t *leaves;
	long rc;

	if (op->nr_leaves > POLICY_MAX_LEAVES)
		return -E2BIG;
	leaves = kzalloc(POLICY_MAX_LEAVES * sizeof(*leaves));
	if (!leaves)
		return -ENOMEM;
	rc = copy_from_guest(v, leaves, HANDLE(op->leaves), op->nr_leaves * sizeof(*leaves));
	if (!rc)
		rc = cpu_policy_deserialise(p, leaves, op->nr_leaves, &op->err_leaf, &op->err_subleaf);
	kfree(leaves);
	return rc;
}

static long set_policy(struct vcpu *v, struct domain *d, struct xen_domctl_cpu_policy *op)
{
	struct cpu_policy *p;
	long rc;

	op->err_leaf = op->err_subleaf = op->err_msr = NO_ERROR_AT;
	if (d == dom0)
		return -EINVAL;
	rc = check_msrs(v, op);
	if (rc)
		return rc;
	p = kzalloc(2 * sizeof(*p));
	if (!p)
		return -ENOMEM;
	/*
	 * Libxl 4.17 gives MSRs only for a guest from elsewhere. That guest has the leaves that come
	 * with it, and no others. A new guest may ask for too much.
	 */
	if (!op->nr_msrs)
		*p = *d->policy;
	rc = read_leaves(v, p, op);
	if (!rc)
		rc = policy_fit(p, op->nr_msrs, &op->err_leaf, &op->err_subleaf);
	if (!rc)
		rc = install_policy(d, p);
	kfree(p);
	return rc;
}

long hc_domctl_cpu_policy(struct vcpu *v, struct hypercall *hc, void *arg)
{
	return (hc->head->cmd == XEN_DOMCTL_get_cpu_policy ? get_policy : set_policy)(v, hc->target, arg);
}

/* The policies by sysctl's numbers; there are none for PV guests. */
static const struct cpu_policy *const system_policies[] = {
	[XEN_SYSCTL_cpu_policy_raw]         = &cpu_policy_raw,
	[XEN_SYSCTL_cpu_policy_host]        = &cpu_policy_host,
	[XEN_SYSCTL_cpu_policy_hvm_max]     = &cpu_policy_max,
	[XEN_SYSCTL_cpu_policy_hvm_default] = &cpu_policy_def,
};

static const struct cpu_policy *const featuresets[] = {
	[XEN_SYSCTL_cpu_featureset_raw]     = &cpu_policy_raw,
	[XEN_SYSCTL_cpu_featureset_host]    = &cpu_policy_host,
	[XEN_SYSCTL_cpu_featureset_hvm]     = &cpu_policy_def,
	[XEN_SYSCTL_cpu_featureset_hvm_max] = &cpu_policy_max,
};

long hc_sysctl_cpu_policy(struct vcpu *v, struct hypercall *hc, void *arg)
{
	struct xen_sysctl_cpu_policy *op = arg;
	const struct cpu_policy *p;

	if (op->_rsvd || op->index >= ARRAY_SIZE(system_policies))
		return -EINVAL;
	/* Both handles null: the sizes that fit any policy. */
	if (!HANDLE(op->leaves) && !HANDLE(op->msrs)) {
		op->nr_leaves = POLICY_MAX_LEAVES;
		op->nr_msrs = POLICY_MAX_MSRS;
		return 0;
	}
	p = system_policies[array_index_nospec(op->index, ARRAY_SIZE(system_policies))];
	return p ? policy_to_guest(v, p, HANDLE(op->leaves), &op->nr_leaves, HANDLE(op->msrs), &op->nr_msrs) : -EOPNOTSUPP;
}

/* A caller with room for fewer words than we have gets those and -ENOBUFS, as libxc expects. */
long hc_sysctl_get_cpu_featureset(struct vcpu *v, struct hypercall *hc, void *arg)
{
	struct xen_sysctl_cpu_featureset *op = arg;
	u32 words[POLICY_FEATURE_WORDS];
	u32 room = op->nr_features;
	const struct cpu_policy *p;

	op->nr_features = POLICY_FEATURE_WORDS;
	if (!HANDLE(op->features))
		return 0;
	if (op->index >= ARRAY_SIZE(featuresets))
		return -EINVAL;
	p = featuresets[array_index_nospec(op->index, ARRAY_SIZE(featuresets))];
	if (!p)
		return -EOPNOTSUPP;
	cpu_policy_featureset(p, words);
	if (copy_to_guest(v, HANDLE(op->features), words, MIN(room, (u32)POLICY_FEATURE_WORDS) * sizeof(words[0])))
		return -EFAULT;
	return room < POLICY_FEATURE_WORDS ? -ENOBUFS : 0;
}
