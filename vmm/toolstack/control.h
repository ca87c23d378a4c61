/* Shared by the handlers of domctl and sysctl: bitmaps, descriptions of a domain, and CPU policies. */
#ifndef VMM_TOOLSTACK_CONTROL_H
#define VMM_TOOLSTACK_CONTROL_H

#include <xen/xen.h>
#include <xen/domctl.h>

struct vcpu;
struct domain;
struct cpu_policy;

/*
 * Copy 64 bits between the caller's bitmap and `out` or `bits`. The map carries its length in bits:
 * bits beyond it read as zero, and at most 128 are touched. Bits written beyond the first 64 are
 * zero. Return 0. Errors: -EFAULT if the handle isn't the caller's memory. Context: v is current.
 */
int bitmap_from_guest(struct vcpu *v, const struct xenctl_bitmap *map, u64 *out);
int bitmap_to_guest(struct vcpu *v, const struct xenctl_bitmap *map, u64 bits);

/*
 * Fills *info for d. It is a snapshot: it may be out of date when the function returns. Context:
 * the caller holds a reference to d. Locks: takes d->lock.
 */
void domain_describe(struct domain *d, struct xen_domctl_getdomaininfo *info);

/*
 * Cuts the policy *p down to what this machine has. The policy behind it is room to work in.
 * Returns 0. Errors: -EINVAL if something was cut off a guest from elsewhere; *err_leaf and
 * *err_subleaf and the log say what. Locks: as refuse_say().
 */
long policy_fit(struct cpu_policy *p, bool from_elsewhere, u32 *err_leaf, u32 *err_subleaf);

#endif
