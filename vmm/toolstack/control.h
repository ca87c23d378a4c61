/* What the handlers of domctl and sysctl share: arguments that are handles, and descriptions of a domain. */
#ifndef VMM_CONTROL_H
#define VMM_CONTROL_H

#include "lib/base.h"
#include <xen/xen.h>
#include <xen/domctl.h>
#include <asm/cpu.h>
#include <asm/spinlock.h>

struct vcpu;
struct domain;

/* Held by every operation that changes what a domain is made of: they exclude each other, whichever domain they are for. */
extern spinlock_t control_lock;     /* LOCK_CONTROL */

/* The guest-virtual address in a handle; the C pointer in it is never followed. */
#define HANDLE(h) ((u64)(uintptr_t)(h).p)

/* Bitmaps carry their length in bits; at most 128 bits are read or written, and what is written beyond ours is zero. -EFAULT. */
int bitmap_from_guest(struct vcpu *v, const struct xenctl_bitmap *map, u64 *out);
int bitmap_to_guest(struct vcpu *v, const struct xenctl_bitmap *map, u64 bits);

/* All pCPUs. */
static inline cpumask_t cpus_online(void)
{
	return nr_cpus >= 64 ? ~0ull : BIT(nr_cpus) - 1;
}

/*
 * 0 if d is paused (by the control domain, at its creation or by its own end) and nothing of it runs any more; HC_AGAIN if it is
 * paused but still on its way out of a pCPU; -EINVAL if it isn't paused. It stays so while the caller holds control_lock.
 */
long domain_check_stopped(struct domain *d);

/* The picture is good for no longer than it takes to paint. */
void domain_describe(struct domain *d, struct xen_domctl_getdomaininfo *info);

#endif
