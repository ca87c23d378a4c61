/*
 * The two conditions of an operation that changes a domain: it is the only such operation, and
 * nothing of the domain runs.
 */
#include "vmm/domain.h"
#include "vmm/hypercall.h"
#include "vmm/life/life.h"

spinlock_t control_lock = SPINLOCK(LOCK_CONTROL);

long domain_check_stopped(struct domain *d)
{
	if (!__atomic_load_n(&d->pause_count, __ATOMIC_SEQ_CST))
		return -EINVAL;
	return domain_is_stopped(d) ? 0 : HC_AGAIN;
}
