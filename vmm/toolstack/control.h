/* What the handlers of domctl and sysctl share: arguments that are handles, and descriptions of a domain. */
#ifndef VMM_TOOLSTACK_CONTROL_H
#define VMM_TOOLSTACK_CONTROL_H

#include <xen/xen.h>
#include <xen/domctl.h>

struct vcpu;
struct domain;

/* Bitmaps carry their length in bits; at most 128 bits are read or written, and what is written beyond ours is zero. -EFAULT. */
int bitmap_from_guest(struct vcpu *v, const struct xenctl_bitmap *map, u64 *out);
int bitmap_to_guest(struct vcpu *v, const struct xenctl_bitmap *map, u64 bits);

/* The picture is good for no longer than it takes to paint. */
void domain_describe(struct domain *d, struct xen_domctl_getdomaininfo *info);

#endif
