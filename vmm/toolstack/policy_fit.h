/* Whether this CPU has all that a guest from elsewhere relies on. */
#ifndef VMM_TOOLSTACK_POLICY_FIT_H
#define VMM_TOOLSTACK_POLICY_FIT_H

struct cpu_policy;

/*
 * Cuts the policy *p down to what this machine has. The policy behind it is room to work in.
 * Returns 0. Errors: -EINVAL if something was cut off a guest from elsewhere; *err_leaf and
 * *err_subleaf and the log say what. Locks: as refuse_say().
 */
long policy_fit(struct cpu_policy *p, bool from_elsewhere, u32 *err_leaf, u32 *err_subleaf);

#endif
