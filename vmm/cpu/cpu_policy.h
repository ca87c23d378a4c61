/*
 * CPUID as guests see it. A policy is the set of leaves that libxc and the hypervisor exchange
 * (abi.md I.9). A few values depend on the vCPU; they are filled in when a guest asks.
 */
#ifndef VMM_CPU_CPU_POLICY_H
#define VMM_CPU_CPU_POLICY_H

#include <asm/insn.h>

struct vcpu;

#define POLICY_MAX_LEAVES 120   /* the sizes that sysctl's get_cpu_policy answers to null handles */
#define POLICY_MAX_MSRS   2

struct cpu_policy {
	struct cpuid_regs basic[0xe];       /* leaves 0..0xd with no subleaf; 4, 7, 0xb, 0xd are in the arrays below */
	struct cpuid_regs cache[6];         /* leaf 4 */
	struct cpuid_regs feat[3];          /* leaf 7 */
	struct cpuid_regs topo[2];          /* leaf 0xb */
	struct cpuid_regs xstate[63];       /* leaf 0xd */
	struct cpuid_regs extd[0x22];       /* leaves 0x80000000..0x80000021 */
	u64 msr_platform_info, msr_arch_caps;
};

extern struct cpu_policy cpu_policy_raw;    /* [I] what the CPU says */
extern struct cpu_policy cpu_policy_host;   /* [I] what the hypervisor can use */
extern struct cpu_policy cpu_policy_max;    /* [I] the most a guest may see */
extern struct cpu_policy cpu_policy_def;    /* [I] what a guest sees by default */
extern struct cpu_policy cpu_policy_dom0;   /* [I] with the real APIC ids */

/* Reads the CPU and derives the five policies. Context: the boot CPU, once. */
void cpu_policy_init(void);
/*
 * Hides the features named in `list` from p, such as "-avx512f,-avx2", which ends with a space or
 * 0. Hides what needs them too, if it uses the same XSAVE state. The log names what is no feature.
 * Context: boot.
 */
void cpu_policy_level(struct cpu_policy *p, const char *list);
/*
 * Writes to *out what v's CPUID(leaf, subleaf) returns, also for Xen's leaves at 0x40000000; zeros
 * for a leaf that guests don't have. Context: v is current, since its CR4 is read.
 */
void cpu_policy_cpuid(const struct vcpu *v, u32 leaf, u32 subleaf, struct cpuid_regs *out);
/* Returns the size of the XSAVE area for the states in xcr0, in one of its two formats. */
u32 cpu_policy_xsave_size(const struct cpu_policy *p, u64 xcr0, bool compacted);
/* Returns the XCR0 bits that the policy allows; 0 without XSAVE. */
u64 cpu_policy_xcr0(const struct cpu_policy *p);

struct xen_cpuid_leaf;
/*
 * Writes p to leaf[], at most `max` entries, as Xen's libx86 would; with leaf NULL it only counts.
 * Returns the number of entries. Errors: -ENOBUFS if they don't fit.
 */
int cpu_policy_serialise(const struct cpu_policy *p, struct xen_cpuid_leaf *leaf, u32 max);
/*
 * Puts the nr entries of leaf[] into p. Returns 0. Errors: -ERANGE if a leaf has no place in a policy
 * (*err_leaf and *err_subleaf name it); p then has the entries before it. Locks: none; p is the
 * caller's own copy.
 */
int cpu_policy_deserialise(struct cpu_policy *p, const struct xen_cpuid_leaf *leaf, u32 nr, u32 *err_leaf, u32 *err_subleaf);
#define POLICY_FEATURE_WORDS 19
/* Writes p's feature words in libxc's order, which is that of enum feature_word. */
void cpu_policy_featureset(const struct cpu_policy *p, u32 words[POLICY_FEATURE_WORDS]);

#endif
