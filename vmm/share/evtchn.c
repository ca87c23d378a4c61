/*
 * Event channels: numbered bells between domains, and from the hypervisor to a domain. This file
 * opens, links, describes and closes ports. evtchn_port.h has the rules that keep the two ends of
 * a link together.
 */
#include "vmm/share/evtchn.h"
#include <xen/event_channel.h>
#include "mm/heap.h"
#include "vmm/hypercall.h"
#include "vmm/share/evtchn_port.h"
#include "vmm/vcpu.h"

#define CLOSE_STEP 128u     /* ports closed in one step of a reset or a domain's end */

_Static_assert((int)EVTCHN_FREE == EVTCHNSTAT_closed && (int)EVTCHN_UNBOUND == EVTCHNSTAT_unbound &&
	       (int)EVTCHN_INTERDOMAIN == EVTCHNSTAT_interdomain && (int)EVTCHN_VIRQ == EVTCHNSTAT_virq &&
	       (int)EVTCHN_IPI == EVTCHNSTAT_ipi, "ABI");

/* ---- opening ports ---- */

/* Makes the chunk of `port` if it doesn't exist. Returns false without memory. d's lock is held. */
static bool have_chunk(struct domain *d, u32 port)
{
	struct evtchn **chunk = &d->evtchn.chunk[port / EVTCHN_CHUNK_PORTS];

	if (!*chunk)
		*chunk = kzalloc(EVTCHN_CHUNK_PORTS * sizeof(**chunk));
	return *chunk != NULL;
}

/*
 * Opens the lowest free port of d in this state, for vCPU `id`. Returns 0, and its number in
 * *opened. Port 0 means "none" to guests, so it is never given out. Errors: -ENOSPC if all ports
 * are open, -ENOMEM without memory, -ESRCH if d is dying. d's lock is held.
 */
static long open_port(struct domain *d, enum evtchn_state state, u32 id, u32 *opened)
{
	struct evtchn_table *t = &d->evtchn;

	if (t->dying)
		return -ESRCH;
	for (u32 port = 1; port <= t->max_port; port++) {
		struct evtchn *e;

		if (!have_chunk(d, port))
			return -ENOMEM;
		e = evtchn_find(d, port);
		if (e->state != EVTCHN_FREE)
			continue;
		*e = (struct evtchn){ .state = (u8)state, .notify_vcpu = id };
		*opened = port;
		return 0;
	}
	return -ENOSPC;
}

long hc_evtchn_alloc_unbound(struct vcpu *v, struct hypercall *hc, void *arg)
{
	evtchn_alloc_unbound_t *op = arg;
	struct domain *d;
	long err = domain_get_permitted(v, hc, op->dom, &d);

	if (err)
		return err;
	spin_lock(&d->evtchn.lock);
	err = open_port(d, EVTCHN_UNBOUND, 0, &op->port);
	if (!err)
		evtchn_find(d, op->port)->remote_domid = op->remote_dom == DOMID_SELF ? v->domain->domid : op->remote_dom;
	spin_unlock(&d->evtchn.lock);
	domain_put(d);
	return err;
}

long hc_evtchn_bind_ipi(struct vcpu *v, struct hypercall *hc __unused, void *arg)
{
	evtchn_bind_ipi_t *op = arg;
	struct domain *d = v->domain;
	long err;

	if (!domain_vcpu(d, op->vcpu))
		return -ENOENT;
	spin_lock(&d->evtchn.lock);
	err = open_port(d, EVTCHN_IPI, op->vcpu, &op->port);
	spin_unlock(&d->evtchn.lock);
	return err;
}

long hc_evtchn_bind_virq(struct vcpu *v, struct hypercall *hc __unused, void *arg)
{
	evtchn_bind_virq_t *op = arg;
	struct domain *d = v->domain;
	u32 virq = op->virq;
	u16 *slot;
	long err = -EEXIST;

	if (virq >= NR_VIRQS)
		return -EINVAL;
	virq = (u32)array_index_nospec(virq, NR_VIRQS);
	if (evtchn_virq_slot(virq) < 0 && op->vcpu != 0)
		return -EINVAL;
	if (!domain_vcpu(d, op->vcpu))
		return -ENOENT;
	/*
	 * Global VIRQs tell of other domains and of the machine, so only the service domain may
	 * hear them.
	 */
	if (evtchn_virq_slot(virq) < 0 && !d->privileged)
		return -EPERM;

	spin_lock(&d->evtchn.lock);
	slot = evtchn_virq_port(d, virq, op->vcpu);
	if (!*slot)
		err = open_port(d, EVTCHN_VIRQ, op->vcpu, &op->port);
	if (!err) {
		evtchn_find(d, op->port)->virq = (u8)virq;
		*slot = (u16)op->port;
	}
	spin_unlock(&d->evtchn.lock);
	if (!err && virq == VIRQ_DOM_EXC)
		domain_changed_all();
	return err;
}

/* ---- links between domains ---- */

static void lock_pair(struct domain *a, struct domain *b)
{
	struct domain *first = a->domid < b->domid ? a : b;

	spin_lock(&first->evtchn.lock);
	if (a != b)
		spin_lock(first == a ? &b->evtchn.lock : &a->evtchn.lock);
}

static void unlock_pair(struct domain *a, struct domain *b)
{
	spin_unlock(&a->evtchn.lock);
	if (a != b)
		spin_unlock(&b->evtchn.lock);
}

/*
 * Links a new port of d to the unbound port of r that waits for d. Returns 0, and the new port in
 * *port, which then owns the caller's reference to r. Errors: -EINVAL if r's port doesn't wait for
 * d, and those of open_port(). Both locks are held.
 */
static long link_ports(struct domain *d, struct domain *r, u32 remote_port, u32 *port)
{
	struct evtchn *there = evtchn_find(r, remote_port), *here;
	long err;

	if (!there || there->state != EVTCHN_UNBOUND || there->remote_domid != d->domid || r->evtchn.dying)
		return -EINVAL;
	err = open_port(d, EVTCHN_INTERDOMAIN, 0, port);
	if (err)
		return err;
	here = evtchn_find(d, *port);
	here->remote = r;
	here->remote_port = remote_port;
	there->state = EVTCHN_INTERDOMAIN;
	there->remote = d;
	there->remote_port = *port;
	domain_hold(d);
	return 0;
}

long hc_evtchn_bind_interdomain(struct vcpu *v, struct hypercall *hc __unused, void *arg)
{
	evtchn_bind_interdomain_t *op = arg;
	struct domain *d = v->domain, *r = domain_resolve(v, op->remote_dom);
	long err;

	if (!r)
		return -ESRCH;
	lock_pair(d, r);
	err = link_ports(d, r, op->remote_port, &op->local_port);
	/* The peer may have rung before there was a link. That event would be lost. */
	if (!err)
		evtchn_ring_port(d, op->local_port);
	unlock_pair(d, r);
	if (err)
		domain_put(r);
	return err;
}

/* Returns the domain to which a port is linked, with a reference, or NULL. */
static struct domain *hold_peer(struct domain *d, u32 port)
{
	struct domain *r = NULL;
	struct evtchn *e;

	spin_lock(&d->evtchn.lock);
	e = evtchn_find(d, port);
	if (e && e->state == EVTCHN_INTERDOMAIN) {
		r = e->remote;
		domain_hold(r);
	}
	spin_unlock(&d->evtchn.lock);
	return r;
}

/*
 * Frees one port. `peer` is the domain at its other end (NULL: none), whose port then waits for d
 * again. Returns 0; *dropped means that the caller has to drop the link's two references. Errors:
 * -EINVAL if the port isn't open, -EAGAIN if its peer has changed. The locks of d and of the peer
 * are held.
 */
static long free_port(struct domain *d, u32 port, struct domain *peer, bool *dropped)
{
	struct evtchn *e = evtchn_find(d, port);

	if (!e || e->state == EVTCHN_FREE)
		return -EINVAL;
	if ((e->state == EVTCHN_INTERDOMAIN ? e->remote : NULL) != peer)
		return -EAGAIN;
	if (peer) {
		struct evtchn *there = evtchn_find(peer, e->remote_port);

		there->state = EVTCHN_UNBOUND;
		there->remote_domid = d->domid;
		there->remote = NULL;
		there->remote_port = 0;
		*dropped = true;
	}
	if (e->state == EVTCHN_VIRQ)
		*evtchn_virq_port(d, e->virq, e->notify_vcpu) = 0;
	*e = (struct evtchn){ .state = EVTCHN_FREE };
	/* A bit left behind would swallow the first event of the port's next life. */
	__atomic_fetch_and(&d->shared->evtchn_pending[port / 64], ~BIT(port % 64), __ATOMIC_SEQ_CST);
	return 0;
}

/*
 * Closes a port of d. Returns 0. Errors: -EINVAL if it isn't open. We have to know the peer before
 * we can take both locks in order, and the link can change in between. Then we look again. The
 * loop ends, because each new round means that another CPU made progress.
 */
static long close_port(struct domain *d, u32 port)
{
	bool dropped = false;
	long ret;

	do {
		struct domain *peer = hold_peer(d, port);

		lock_pair(d, peer ? peer : d);
		ret = free_port(d, port, peer, &dropped);
		unlock_pair(d, peer ? peer : d);
		if (dropped) {
			domain_put(peer);
			domain_put(d);
		}
		if (peer)
			domain_put(peer);
	} while (ret == -EAGAIN);
	return ret;
}

u32 evtchn_next_open(struct domain *d, u32 port)
{
	for (; port <= d->evtchn.max_port; port++) {
		const struct evtchn *e = evtchn_find(d, port);

		if (e && e->state != EVTCHN_FREE)
			return port;
	}
	return 0;
}

/*
 * Does one step in closing all ports, from the place on where the last step ended: at most about
 * 50,000 instructions. Returns true at the end.
 */
static bool close_some(struct domain *d)
{
	struct evtchn_table *t = &d->evtchn;
	u32 port;

	for (unsigned n = 0; n < CLOSE_STEP; n++) {
		spin_lock(&t->lock);
		port = t->closing = evtchn_next_open(d, MAX(t->closing, 1u));
		spin_unlock(&t->lock);
		if (!port)
			return true;
		close_port(d, port);
	}
	return false;
}

long hc_evtchn_close(struct vcpu *v, struct hypercall *hc __unused, void *arg)
{
	return close_port(v->domain, ((evtchn_close_t *)arg)->port);
}

long hc_evtchn_reset(struct vcpu *v, struct hypercall *hc, void *arg)
{
	struct domain *d;
	long err = domain_get_permitted(v, hc, ((evtchn_reset_t *)arg)->dom, &d);

	if (err)
		return err;
	/*
	 * The next step continues where this one ended. If it started anew, a domain that opens
	 * ports all the time could keep the service domain busy forever.
	 */
	err = close_some(d) ? 0 : HC_AGAIN;
	/*
	 * A kernel that starts anew does this. In any other case no event reaches the service
	 * domain any more, and nobody there could find out why.
	 */
	if (!err && d->privileged)
		printk(LOG_WARN "The service domain has closed all its event channels: no console, no store, no guests' devices until it binds new ones.\n");
	domain_put(d);
	return err;
}

/* ---- looking at a port, moving it, unmasking it ---- */

/*
 * Describes a port (NULL: it was never used) in the guest's structure. Its domain's lock is held.
 */
static void describe_port(const struct evtchn *e, evtchn_status_t *op)
{
	op->status = e ? e->state : EVTCHN_FREE;
	op->vcpu = e ? e->notify_vcpu : 0;
	switch (op->status) {
	case EVTCHN_UNBOUND:
		op->u.unbound.dom = e->remote_domid;
		break;
	case EVTCHN_INTERDOMAIN:
		op->u.interdomain.dom = e->remote->domid;
		op->u.interdomain.port = e->remote_port;
		break;
	case EVTCHN_VIRQ:
		op->u.virq = e->virq;
		break;
	}
}

long hc_evtchn_status(struct vcpu *v, struct hypercall *hc, void *arg)
{
	evtchn_status_t *op = arg;
	struct domain *d;
	long err = domain_get_permitted(v, hc, op->dom, &d);

	if (err)
		return err;
	spin_lock(&d->evtchn.lock);
	/* A port behind the table's end is an error: a program that lists all ports stops there. */
	if (op->port > d->evtchn.max_port)
		err = -EINVAL;
	else
		describe_port(evtchn_find(d, op->port), op);
	spin_unlock(&d->evtchn.lock);
	domain_put(d);
	return err;
}

long hc_evtchn_bind_vcpu(struct vcpu *v, struct hypercall *hc __unused, void *arg)
{
	evtchn_bind_vcpu_t *op = arg;
	struct domain *d = v->domain;
	struct evtchn *e;
	long ret = -EINVAL;

	if (!domain_vcpu(d, op->vcpu))
		return -ENOENT;
	spin_lock(&d->evtchn.lock);
	e = evtchn_find(d, op->port);
	if (e && (e->state == EVTCHN_UNBOUND || e->state == EVTCHN_INTERDOMAIN ||
		  (e->state == EVTCHN_VIRQ && evtchn_virq_slot(e->virq) < 0))) {
		/*
		 * Atomic: a sender holds only its own lock. An event that is pending stays where
		 * it was.
		 */
		__atomic_store_n(&e->notify_vcpu, op->vcpu, __ATOMIC_RELAXED);
		ret = 0;
	}
	spin_unlock(&d->evtchn.lock);
	return ret;
}

/* ---- a domain's table ---- */

void evtchn_init(struct domain *d, u32 max_port)
{
	d->evtchn = (struct evtchn_table){ .max_port = MIN(max_port, EVTCHN_MAX_PORTS - 1u) };
	spin_init(&d->evtchn.lock, LOCK_EVTCHN);
}

bool evtchn_destroy(struct domain *d)
{
	struct evtchn_table *t = &d->evtchn;

	/*
	 * From here on no port of d is opened or linked, so one pass closes all. It has to begin
	 * at the start: the guest's own reset may have stopped anywhere.
	 */
	spin_lock(&t->lock);
	if (!t->dying)
		t->closing = 0;
	t->dying = true;
	spin_unlock(&t->lock);
	if (!close_some(d))
		return false;

	spin_lock(&t->lock);
	for (size_t i = 0; i < ARRAY_SIZE(t->chunk); i++) {
		kfree(t->chunk[i]);
		t->chunk[i] = NULL;
	}
	spin_unlock(&t->lock);
	return true;
}
