/*
 * The functions that the two halves of event channels share. evtchn.c opens, links and closes
 * ports, and evtchn_ring.c rings them. A port is a row in its domain's table. Ringing sets bits in
 * pages that the guest writes too, so the hypervisor never relies on those bits.
 *
 * Locks: each domain's table has a lock. A link between two domains changes only under both locks,
 * taken in domid order. So ringing a link needs the sender's lock alone: while it is held, the
 * peer's port stays linked and the peer's domain stays referenced.
 */
#ifndef VMM_SHARE_EVTCHN_PORT_H
#define VMM_SHARE_EVTCHN_PORT_H

#include <xen/xen.h>
#include "vmm/domain.h"
#include "vmm/vcpu.h"

#define EVTCHN_CHUNK_PORTS 128

/*
 * A guest may have chosen the numbers passed here: they are checked, and masked against
 * speculation.
 */

/*
 * Returns the row of a port of d, or NULL if no port of its chunk was ever opened. Locks: d's lock
 * is held, or the lock of a domain that has a link to this port.
 */
static inline struct evtchn *evtchn_find(struct domain *d, u32 port)
{
	struct evtchn *chunk;

	if (port >= EVTCHN_MAX_PORTS)
		return NULL;
	port = (u32)array_index_nospec(port, EVTCHN_MAX_PORTS);
	chunk = d->evtchn.chunk[port / EVTCHN_CHUNK_PORTS];
	return chunk ? &chunk[port % EVTCHN_CHUNK_PORTS] : NULL;
}

/*
 * Returns the index in a vCPU's virq_port[] for a per-vCPU VIRQ, or -1 for a global one, which the
 * domain keeps.
 */
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

/*
 * Returns where d keeps the port that hears `virq` (< NR_VIRQS) for vCPU `id`, which exists.
 * Locks: d's lock is held, to read or write the place.
 */
static inline u16 *evtchn_virq_port(struct domain *d, u32 virq, u32 id)
{
	int slot = evtchn_virq_slot(virq);

	return slot >= 0 ? &domain_vcpu(d, id)->virq_port[slot] : &d->evtchn.global_virq[virq];
}

/*
 * Rings an open port of d at the vCPU that the port is bound to. Locks: d's lock is held, or that
 * of the domain to which the port is linked.
 */
void evtchn_ring_port(struct domain *d, u32 port);

#endif
