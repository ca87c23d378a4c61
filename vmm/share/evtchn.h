/* Event channels, 2-level ABI: ports that one domain rings and another hears (abi.md C). */
#ifndef VMM_SHARE_EVTCHN_H
#define VMM_SHARE_EVTCHN_H

#include "vmm/share/tables.h"

struct domain;
struct vcpu;

void evtchn_init(struct domain *d, u32 max_port);
/*
 * One step in closing all ports (peers become unbound) and freeing their table; true when that is done. No port opens any more. d's vCPUs and
 * shared_info must still be there, no LOCK_EVTCHN held. Calling it again is harmless.
 */
bool evtchn_destroy(struct domain *d);

/* Raises a per-vCPU VIRQ or (on the domain that bound it) a global one. No-op if not bound. Callable from timers. */
void evtchn_raise_virq(struct vcpu *v, unsigned virq);
void evtchn_raise_global_virq(struct domain *d, unsigned virq);
/*
 * For guests and the control layer: 0, or -EINVAL for a port that can't be rung. A ring, whatever its source, also ends polls
 * if d->pollers isn't 0: a vCPU whose poll_port is the port or ~0 gets poll_port 0 and is woken; d->pollers is left to the poller.
 */
long evtchn_send(struct domain *d, u32 port);
/* True if any unmasked event is pending for the vCPU: its upcall_pending flag is set. */
bool evtchn_upcall_pending(const struct vcpu *v);
/* register_vcpu_info has stored the new v->info: makes every pending event visible in it (abi.md L.13) and kicks v. */
void evtchn_vcpu_info_moved(struct vcpu *v);
/* True if port is pending in d's shared_info (SCHEDOP_poll). */
bool evtchn_port_pending(struct domain *d, u32 port);

#endif
