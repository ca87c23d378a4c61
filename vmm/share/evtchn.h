/* Event channels, 2-level ABI: one domain rings a port, and another domain hears it (abi.md C). */
#ifndef VMM_SHARE_EVTCHN_H
#define VMM_SHARE_EVTCHN_H

#include "vmm/share/tables.h"

struct domain;
struct vcpu;

/* Makes d's table, empty, with port numbers up to max_port. Context: d's creation. */
void evtchn_init(struct domain *d, u32 max_port);
/*
 * Does one step in closing all ports of d and freeing their table. Peers become unbound, and no
 * port opens any more. Returns true when all is done; calling it again is harmless. Context: d's
 * vCPUs and shared_info still exist. Locks: the caller holds none of LOCK_DOMAINS or above.
 */
bool evtchn_destroy(struct domain *d);

/*
 * Raise a VIRQ: one of v, or a global one of d. They do nothing if it isn't bound. Context: any,
 * timers too. Locks: take LOCK_EVTCHN.
 */
void evtchn_raise_virq(struct vcpu *v, unsigned virq);
void evtchn_raise_global_virq(struct domain *d, unsigned virq);
/*
 * Rings d's port: its peer hears it, or d's own vCPU if the port is an IPI. Returns 0. Errors:
 * -EINVAL if the port isn't open or is a VIRQ. Locks: takes LOCK_EVTCHN.
 *
 * A ring, whatever its source, also ends polls of its receiver. Each vCPU whose poll_port is the
 * port or ~0 gets poll_port 0 and is woken. The vCPU itself takes its part off `pollers` later.
 */
long evtchn_send(struct domain *d, u32 port);
/*
 * Returns the lowest open port of d that isn't below `port`, or 0. Locks: d's LOCK_EVTCHN is held, or
 * nobody can open or close d's ports.
 */
u32 evtchn_next_open(struct domain *d, u32 port);
/*
 * Returns true if v has an unmasked event pending: its evtchn_upcall_pending flag is set. Context:
 * any.
 */
bool evtchn_upcall_pending(const struct vcpu *v);
/*
 * Makes every pending event visible in v->info, after that was moved, and kicks v (abi.md L.13).
 * Without this, an event rung into the old area meanwhile would be lost. Locks: takes LOCK_RQ.
 */
void evtchn_vcpu_info_moved(struct vcpu *v);
/*
 * Returns true if `port`, any number, is pending in d's shared_info (SCHEDOP_poll). Context: any.
 */
bool evtchn_port_pending(struct domain *d, u32 port);

#endif
