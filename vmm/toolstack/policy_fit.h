/* Whether this CPU has all that a guest from elsewhere relies on. */
#ifndef VMM_TOOLSTACK_POLICY_FIT_H
#define VMM_TOOLSTACK_POLICY_FIT_H

struct cpu_policy;

/*
 * Compares the policy that a guest has with what this machine leaves of it. Returns 0. Errors:
 * -EINVAL if something is missing; *err_leaf and *err_subleaf and the log say what. Locks: as
 * refuse_say().
 */
long policy_fit(const struct cpu_policy *asked, const struct cpu_policy *got, u32 *err_leaf, u32 *err_subleaf);

#endif
