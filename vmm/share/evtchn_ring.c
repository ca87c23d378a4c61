/*
 * Rings event channels. Every notification takes this path, so it is short and takes one lock. It
 * sets bits in the guest's shared_info and vcpu_info with locked instructions. It kicks the vCPU
 * only if it was the first to set that vCPU's flag.
 */
#include <xen/event_channel.h>
#include "vmm/guests/narrow.h"
#include "vmm/hypercall.h"
#include "vmm/share/evtchn.h"
#include "vmm/share/evtchn_port.h"
#include "vmm/vcpu.h"

_Static_assert(EVTCHN_MAX_PORTS == sizeof(((struct shared_info *)0)->evtchn_pending) * 8, "one pending bit for each port");
_Static_assert(offsetof(struct shared_info, evtchn_pending) == 2048, "ABI");
_Static_assert(offsetof(struct shared_info, evtchn_mask) == 2560, "ABI");
_Static_assert(offsetof(struct vcpu_info, evtchn_pending_sel) == 8, "ABI");

/* Sets the flag that says "look for events", and has v look if it was clear. */
static void raise_upcall(struct vcpu *v, struct vcpu_info *info)
{
	if (!__atomic_exchange_n(&info->evtchn_upcall_pending, 1, __ATOMIC_SEQ_CST))
		vcpu_upcall(v);
}

/* Tells v that word `word` of the pending bits has a new one, and kicks v if its flag was clear. */
static void tell_vcpu(struct vcpu *v, u32 word)
{
	/*
	 * Read once: register_vcpu_info may move the area now. It then makes every event visible
	 * in the new area, so this one is not lost.
	 */
	struct vcpu_info *info = __atomic_load_n(&v->info, __ATOMIC_ACQUIRE);

	if (unlikely(v->domain->narrow))
		narrow_select(info, word);
	else if (__atomic_fetch_or(&info->evtchn_pending_sel, BIT(word), __ATOMIC_SEQ_CST) & BIT(word))
		return;
	raise_upcall(v, info);
}

/*
 * Ends the SCHEDOP_poll of each vCPU that waits for this port. A vCPU that polls several ports is
 * woken too, and looks itself which one it was.
 */
static __noinline void wake_pollers(struct domain *d, u32 port)
{
	struct vcpu *v;

	for_each_vcpu(v, d) {
		u32 polled = __atomic_load_n(&v->poll_port, __ATOMIC_SEQ_CST);

		if (polled != port && polled != ~0u)
			continue;
		/*
		 * Only one of several senders ends this poll, and none ends a poll that began
		 * meanwhile.
		 */
		if (__atomic_compare_exchange_n(&v->poll_port, &polled, 0, false, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST))
			vcpu_wake(v);
	}
}

/*
 * Rings port `port` of d for vCPU `id`. Nothing happens if the port is pending already. The locked
 * instruction that sets the bit comes before the look at d->pollers, and a poller counts itself
 * before it looks at the bit. So either we see the poller, or the poller sees the bit.
 */
static void ring_vcpu(struct domain *d, u32 port, u32 id)
{
	struct shared_info *s = d->shared;
	u32 word = port / 64;
	u64 bit = BIT(port % 64);
	struct vcpu *v;

	if (__atomic_fetch_or(&s->evtchn_pending[word], bit, __ATOMIC_SEQ_CST) & bit)
		return;
	v = domain_vcpu(d, id);
	/* The toolstack may ring a domain that has no vCPU yet. The bit stays set for it. */
	if (v && !(__atomic_load_n(&narrow_mask(d)[word], __ATOMIC_SEQ_CST) & bit))
		tell_vcpu(v, word);
	if (unlikely(__atomic_load_n(&d->pollers, __ATOMIC_SEQ_CST)))
		wake_pollers(d, port);
}

void evtchn_ring_port(struct domain *d, u32 port)
{
	/* Atomic: bind_vcpu may change it just now, under the lock of d, which we may not hold. */
	ring_vcpu(d, port, __atomic_load_n(&evtchn_find(d, port)->notify_vcpu, __ATOMIC_RELAXED));
}

long evtchn_send(struct domain *d, u32 port)
{
	struct evtchn *e;
	long ret = 0;

	spin_lock(&d->evtchn.lock);
	e = evtchn_find(d, port);
	switch (e ? e->state : EVTCHN_FREE) {
	case EVTCHN_INTERDOMAIN:
		evtchn_ring_port(e->remote, e->remote_port);
		break;
	case EVTCHN_IPI:
		ring_vcpu(d, port, e->notify_vcpu);
		break;
	case EVTCHN_UNBOUND:    /* the peer is gone or has not come yet */
		break;
	default:
		ret = -EINVAL;
	}
	spin_unlock(&d->evtchn.lock);
	return ret;
}

long hc_evtchn_send(struct vcpu *v, struct hypercall *hc __unused, void *arg)
{
	return evtchn_send(v->domain, ((evtchn_send_t *)arg)->port);
}

static void raise_virq(struct domain *d, u32 virq, u32 id)
{
	u16 port;

	if (virq >= NR_VIRQS)
		return;
	spin_lock(&d->evtchn.lock);
	port = *evtchn_virq_port(d, virq, id);
	if (port)
		evtchn_ring_port(d, port);
	spin_unlock(&d->evtchn.lock);
}

void evtchn_raise_virq(struct vcpu *v, unsigned virq) { raise_virq(v->domain, virq, v->id); }

void evtchn_raise_global_virq(struct domain *d, unsigned virq)
{
	if (evtchn_virq_slot(virq) < 0)
		raise_virq(d, virq, 0);
}

bool evtchn_upcall_pending(const struct vcpu *v)
{
	struct vcpu_info *info = __atomic_load_n(&v->info, __ATOMIC_ACQUIRE);

	return __atomic_load_n(&info->evtchn_upcall_pending, __ATOMIC_SEQ_CST) != 0;
}

void evtchn_vcpu_info_moved(struct vcpu *v)
{
	struct vcpu_info *info = __atomic_load_n(&v->info, __ATOMIC_ACQUIRE);

	/*
	 * An event told to the old area had set its pending bit before that. A look at every word
	 * finds it.
	 */
	__atomic_store_n(&info->evtchn_pending_sel, ~0ull, __ATOMIC_SEQ_CST);
	narrow_select_all(info);
	__atomic_store_n(&info->evtchn_upcall_pending, 1, __ATOMIC_SEQ_CST);
	vcpu_upcall(v);
}

bool evtchn_port_pending(struct domain *d, u32 port)
{
	if (port >= EVTCHN_MAX_PORTS)
		return false;
	port = (u32)array_index_nospec(port, EVTCHN_MAX_PORTS);
	return __atomic_load_n(&d->shared->evtchn_pending[port / 64], __ATOMIC_SEQ_CST) & BIT(port % 64);
}

long hc_evtchn_unmask(struct vcpu *v, struct hypercall *hc __unused, void *arg)
{
	struct domain *d = v->domain;
	struct shared_info *s = d->shared;
	u32 port = ((evtchn_unmask_t *)arg)->port;
	/* The port exists if it has a target. */
	u32 word = (u32)array_index_nospec(port, EVTCHN_MAX_PORTS) / 64;
	u64 bit = BIT(port % 64);
	struct evtchn *e;
	struct vcpu *target;

	spin_lock(&d->evtchn.lock);
	e = evtchn_find(d, port);
	target = e ? domain_vcpu(d, e->notify_vcpu) : NULL;
	/* An event that came while the port was masked is delivered now. */
	if (target && (__atomic_fetch_and(&narrow_mask(d)[word], ~bit, __ATOMIC_SEQ_CST) & bit) &&
	    (__atomic_load_n(&s->evtchn_pending[word], __ATOMIC_SEQ_CST) & bit))
		tell_vcpu(target, word);
	spin_unlock(&d->evtchn.lock);
	return target ? 0 : -EINVAL;
}
