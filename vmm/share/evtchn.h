/* Event channels, 2-level ABI: ports that one domain rings and another hears (abi.md C). */
#ifndef VMM_EVTCHN_H
#define VMM_EVTCHN_H

#include <asm/spinlock.h>

#define EVTCHN_MAX_PORTS 4096   /* 64 words of 64 bits */

struct domain;
struct vcpu;

enum evtchn_state { EVTCHN_FREE, EVTCHN_UNBOUND, EVTCHN_INTERDOMAIN, EVTCHN_VIRQ, EVTCHN_IPI };

struct evtchn {
	u8 state;               /* all fields [LOCK_EVTCHN of the owning domain]; a link between two domains changes under both */
	u8 virq;
	u16 remote_domid;       /* UNBOUND: who may bind */
	u32 notify_vcpu;        /* [a] for reading: the other end's sender reads it under its own lock alone */
	u32 remote_port;
	struct domain *remote;  /* INTERDOMAIN: with a reference */
};

struct evtchn_table {
	spinlock_t lock;            /* LOCK_EVTCHN; two at once in domid order */
	u32 max_port;               /* [I] highest port number that may be allocated */
	bool dying;                 /* [LOCK_EVTCHN] */
	u32 closing;                /* [LOCK_EVTCHN] the port before which all were closed, by the one who closes all; 0: nobody does */
	struct evtchn *chunk[EVTCHN_MAX_PORTS / 128];   /* 128 ports each, allocated as needed */
	u16 global_virq[32];        /* [LOCK_EVTCHN] port of a global VIRQ or 0 */
};

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
