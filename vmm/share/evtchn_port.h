/*
 * What the two halves of event channels share: evtchn.c opens, links and closes ports, evtchn_ring.c rings them. A port is a row
 * in its domain's table; the bits that ringing sets are in pages that the guest also writes, so they are never believed.
 *
 * Locks: a domain's table has one, and a link between two domains changes only under both (taken in domid order). Ringing a
 * link therefore needs the sender's alone: while it is held the peer's port stays linked, and its domain stays referenced.
 */
#ifndef VMM_SHARE_EVTCHN_PORT_H
#define VMM_SHARE_EVTCHN_PORT_H

#include <xen/xen.h>
#include "vmm/domain.h"
#include "vmm/vcpu.h"

#define EVTCHN_CHUNK_PORTS 128

/* Numbers here may be a guest's: checked, and masked against speculation. */

/* The row of a port, or NULL where no port was ever opened nearby. d's lock held, or the port known to be linked. */
static inline struct evtchn *evtchn_find(struct domain *d, u32 port)
{
	struct evtchn *chunk;

	if (port >= EVTCHN_MAX_PORTS)
		return NULL;
	port = (u32)array_index_nospec(port, EVTCHN_MAX_PORTS);
	chunk = d->evtchn.chunk[port / EVTCHN_CHUNK_PORTS];
	return chunk ? &chunk[port % EVTCHN_CHUNK_PORTS] : NULL;
}

/* Where a vCPU keeps the port of a per-vCPU VIRQ; -1 for the global ones, which the domain keeps. */
static inline int evtchn_virq_slot(u32 virq)
{
	switch (virq) {
	case VIRQ_TIMER:    return 0;
	case VIRQ_DEBUG:    return 1;
	case VIRQ_XENOPROF: return 2;
	case VIRQ_XENPMU:   return 3;
	default:            return -1;
	}
}

/* The place of the port that hears `virq` (< NR_VIRQS) for vCPU `id`, which exists. d's lock held for its contents. */
static inline u16 *evtchn_virq_port(struct domain *d, u32 virq, u32 id)
{
	int slot = evtchn_virq_slot(virq);

	return slot >= 0 ? &domain_vcpu(d, id)->virq_port[slot] : &d->evtchn.global_virq[virq];
}

/* Rings an open port of d at whatever vCPU it is bound to. d's lock, or that of the domain it is linked to, held. */
void evtchn_ring_port(struct domain *d, u32 port);

#endif
