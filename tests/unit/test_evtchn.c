/* units: vmm/share/evtchn.c vmm/share/evtchn_ring.c mm/heap.c mm/buddy.c tests/unit/fake_domain.c vmm/domain/permitted.c */
/* Event channels: each operation's good and bad cases, and which bits, kicks and wakes a ring causes. */
#include "mm/page.h"
#include "tests/unit/fake_domain.h"
#include "vmm/share/evtchn.h"
#include "vmm/vcpu.h"
#include <xen/event_channel.h>

#define MAX_PORT 300    /* so that the table needs several chunks */

static struct domain *a, *b, *c;    /* a is the service domain */

static u16 owner_of(const spinlock_t *l) { return container_of(l, struct domain, evtchn.lock)->domid; }

/* Of two domains the one with the lower number comes first: else two that bind to each other wait for ever. */
static void lower_domid_first(const spinlock_t *held, const spinlock_t *taken)
{
	assert_true(owner_of(held) < owner_of(taken));
}

static int set_up(void **state)
{
	fake_lock_pair = lower_domid_first;
	a = fake_domain_new(0, 4);
	b = fake_domain_new(1, 2);
	c = fake_domain_new(2, 1);
	evtchn_init(a, MAX_PORT);
	evtchn_init(b, MAX_PORT);
	evtchn_init(c, MAX_PORT);
	return 0;
}

/* All the steps of an end; how many. */
static unsigned end_of(struct domain *d)
{
	unsigned steps = 1;

	while (!evtchn_destroy(d)) {
		assert_int_equal(fake_locks_held(), 0);
		steps++;
	}
	return steps;
}

static int tear_down(void **state)
{
	struct domain *all[] = { a, b, c };

	for (unsigned i = 0; i < ARRAY_SIZE(all); i++)
		end_of(all[i]);
	for (unsigned i = 0; i < ARRAY_SIZE(all); i++)
		fake_domain_free(all[i]);
	return 0;
}

/* ---- the operations, as a guest would write them: the port, or a negative error ---- */

static long alloc_unbound(struct domain *d, u16 dom, u16 remote)
{
	evtchn_alloc_unbound_t op = { .dom = dom, .remote_dom = remote };
	long err = fake_hypercall(d->vcpu[0], hc_evtchn_alloc_unbound, &op);

	return err ? err : op.port;
}

static long bind_interdomain(struct domain *d, u16 remote, u32 port)
{
	evtchn_bind_interdomain_t op = { .remote_dom = remote, .remote_port = port };
	long err = fake_hypercall(d->vcpu[0], hc_evtchn_bind_interdomain, &op);

	return err ? err : op.local_port;
}

static long bind_virq(struct domain *d, u32 virq, u32 vcpu)
{
	evtchn_bind_virq_t op = { .virq = virq, .vcpu = vcpu };
	long err = fake_hypercall(d->vcpu[0], hc_evtchn_bind_virq, &op);

	return err ? err : op.port;
}

static long bind_ipi(struct domain *d, u32 vcpu)
{
	evtchn_bind_ipi_t op = { .vcpu = vcpu };
	long err = fake_hypercall(d->vcpu[0], hc_evtchn_bind_ipi, &op);

	return err ? err : op.port;
}

static long bind_vcpu(struct domain *d, u32 port, u32 vcpu)
{
	evtchn_bind_vcpu_t op = { .port = port, .vcpu = vcpu };

	return fake_hypercall(d->vcpu[0], hc_evtchn_bind_vcpu, &op);
}

static long close(struct domain *d, u32 port)
{
	return fake_hypercall(d->vcpu[0], hc_evtchn_close, &(evtchn_close_t){ .port = port });
}

static long send(struct domain *d, u32 port)
{
	return fake_hypercall(d->vcpu[0], hc_evtchn_send, &(evtchn_send_t){ .port = port });
}

static long unmask(struct domain *d, u32 port)
{
	return fake_hypercall(d->vcpu[0], hc_evtchn_unmask, &(evtchn_unmask_t){ .port = port });
}

static long reset(struct domain *d, u16 dom)
{
	return fake_hypercall(d->vcpu[0], hc_evtchn_reset, &(evtchn_reset_t){ .dom = dom });
}

static evtchn_status_t status_of(struct domain *d, u32 port)
{
	evtchn_status_t op = { .dom = DOMID_SELF, .port = port };

	assert_int_equal(fake_hypercall(d->vcpu[0], hc_evtchn_status, &op), 0);
	return op;
}

/* ---- what a guest would look at ---- */

static bool pending(struct domain *d, u32 port)
{
	return d->shared->evtchn_pending[port / 64] & BIT(port % 64);
}

/* Takes everything that waits, as a guest's handler does. */
static void hear(struct domain *d)
{
	memset(d->shared->evtchn_pending, 0, sizeof(d->shared->evtchn_pending));
	for (u32 i = 0; i < d->max_vcpus; i++) {
		d->vcpu[i]->info->evtchn_upcall_pending = 0;
		d->vcpu[i]->info->evtchn_pending_sel = 0;
		fake_vcpu_clear(d->vcpu[i]);
	}
}

/* port rang, and told vCPU `vcpu` alone. */
static void assert_heard(struct domain *d, u32 port, u32 vcpu)
{
	assert_true(pending(d, port));
	assert_true(evtchn_port_pending(d, port));
	for (u32 i = 0; i < d->max_vcpus; i++) {
		assert_int_equal(evtchn_upcall_pending(d->vcpu[i]), i == vcpu);
		assert_int_equal(d->vcpu[i]->info->evtchn_pending_sel, i == vcpu ? BIT(port / 64) : 0);
		assert_int_equal(fake_kicks(d->vcpu[i]), i == vcpu);
	}
	hear(d);
}

static void assert_silent(struct domain *d)
{
	for (u32 i = 0; i < d->max_vcpus; i++) {
		assert_false(evtchn_upcall_pending(d->vcpu[i]));
		assert_int_equal(fake_kicks(d->vcpu[i]), 0);
	}
}

/* Links a port of d to one of e; the ring that binding causes is heard. */
static void make_link(struct domain *d, struct domain *e, u32 *port_d, u32 *port_e)
{
	long p = alloc_unbound(d, DOMID_SELF, e->domid), q;

	assert_true(p > 0);
	q = bind_interdomain(e, d->domid, (u32)p);
	assert_true(q > 0);
	hear(e);
	*port_d = (u32)p;
	*port_e = (u32)q;
}

/* ---- opening ---- */

static void ports_are_the_lowest_free_and_end_at_the_limit(void **state)
{
	for (long port = 1; port <= MAX_PORT; port++)
		assert_int_equal(bind_ipi(b, 0), port);
	assert_int_equal(bind_ipi(b, 0), -ENOSPC);
	assert_int_equal(alloc_unbound(b, DOMID_SELF, 0), -ENOSPC);
	assert_int_equal(bind_virq(b, VIRQ_TIMER, 0), -ENOSPC);
	assert_int_equal(bind_interdomain(b, 0, (u32)alloc_unbound(a, DOMID_SELF, 1)), -ENOSPC);
	assert_int_equal(close(b, 200), 0);
	assert_int_equal(close(b, 7), 0);
	assert_int_equal(bind_ipi(b, 0), 7);
	assert_int_equal(bind_ipi(b, 0), 200);
	assert_int_equal(close(b, 9), 0);
	/* The slot of the timer's VIRQ was not lost to the failed attempt. */
	assert_int_equal(bind_virq(b, VIRQ_TIMER, 0), 9);
}

static void the_limit_is_the_table_at_most(void **state)
{
	evtchn_init(c, ~0u);
	for (u32 port = 1; port < EVTCHN_MAX_PORTS; port++)
		assert_int_equal(bind_ipi(c, 0), port);
	assert_int_equal(bind_ipi(c, 0), -ENOSPC);
	assert_int_equal(send(c, EVTCHN_MAX_PORTS - 1), 0);
	assert_heard(c, EVTCHN_MAX_PORTS - 1, 0);
}

static void unbound_ports_belong_to_whom_they_name(void **state)
{
	assert_int_equal(alloc_unbound(b, DOMID_SELF, DOMID_SELF), 1);
	assert_int_equal(status_of(b, 1).status, EVTCHNSTAT_unbound);
	assert_int_equal(status_of(b, 1).u.unbound.dom, 1);
	assert_int_equal(alloc_unbound(b, 1, 2), 2);
	assert_int_equal(status_of(b, 2).u.unbound.dom, 2);
	/* The service domain opens ports for others; "self" is then still the service domain. */
	assert_int_equal(alloc_unbound(a, 1, DOMID_SELF), 3);
	assert_int_equal(status_of(b, 3).u.unbound.dom, 0);
	assert_int_equal(alloc_unbound(b, 0, 1), -EPERM);
	assert_int_equal(alloc_unbound(a, 7, 1), -ESRCH);
	assert_int_equal(alloc_unbound(a, 0xffff, 1), -ESRCH);
}

static void a_link_rings_the_binder_at_once(void **state)
{
	long p = alloc_unbound(a, DOMID_SELF, 1), q = bind_interdomain(b, 0, (u32)p);
	evtchn_status_t s;

	assert_int_equal(q, 1);
	assert_heard(b, (u32)q, 0);
	assert_silent(a);
	s = status_of(a, (u32)p);
	assert_int_equal(s.status, EVTCHNSTAT_interdomain);
	assert_int_equal(s.u.interdomain.dom, 1);
	assert_int_equal(s.u.interdomain.port, q);
	s = status_of(b, (u32)q);
	assert_int_equal(s.u.interdomain.dom, 0);
	assert_int_equal(s.u.interdomain.port, p);
	assert_int_equal(a->refs, 2);
	assert_int_equal(b->refs, 2);
}

static void only_the_invited_may_bind(void **state)
{
	long p = alloc_unbound(a, DOMID_SELF, 1), ipi = bind_ipi(a, 0);

	assert_int_equal(bind_interdomain(c, 0, (u32)p), -EINVAL);
	assert_int_equal(bind_interdomain(b, 0, (u32)ipi), -EINVAL);
	assert_int_equal(bind_interdomain(b, 0, 0), -EINVAL);
	assert_int_equal(bind_interdomain(b, 0, 99), -EINVAL);
	assert_int_equal(bind_interdomain(b, 0, ~0u), -EINVAL);
	assert_int_equal(bind_interdomain(b, 6, (u32)p), -ESRCH);
	assert_int_equal(status_of(b, 1).status, EVTCHNSTAT_closed);
	assert_true(bind_interdomain(b, 0, (u32)p) > 0);
	assert_int_equal(bind_interdomain(b, 0, (u32)p), -EINVAL);
	assert_int_equal(a->refs, 2);
}

static void a_domain_may_link_to_itself(void **state)
{
	u32 p, q;

	make_link(a, a, &p, &q);
	assert_int_equal(a->refs, 3);
	assert_int_equal(send(a, p), 0);
	assert_heard(a, q, 0);
	assert_int_equal(send(a, q), 0);
	assert_heard(a, p, 0);
	assert_int_equal(close(a, p), 0);
	assert_int_equal(a->refs, 1);
	assert_int_equal(status_of(a, q).status, EVTCHNSTAT_unbound);
	assert_int_equal(status_of(a, q).u.unbound.dom, 0);
	assert_int_equal(bind_interdomain(a, DOMID_SELF, q), p);
}

static void ipis_need_a_vcpu(void **state)
{
	assert_int_equal(bind_ipi(b, 2), -ENOENT);
	assert_int_equal(bind_ipi(b, ~0u), -ENOENT);
	assert_int_equal(bind_ipi(b, 1), 1);
	assert_int_equal(send(b, 1), 0);
	assert_heard(b, 1, 1);
	assert_int_equal(status_of(b, 1).status, EVTCHNSTAT_ipi);
	assert_int_equal(status_of(b, 1).vcpu, 1);
}

/* ---- VIRQs ---- */

static void virqs_have_their_rules(void **state)
{
	assert_int_equal(bind_virq(a, NR_VIRQS, 0), -EINVAL);
	assert_int_equal(bind_virq(a, ~0u, 0), -EINVAL);
	assert_int_equal(bind_virq(a, VIRQ_TIMER, 4), -ENOENT);
	assert_int_equal(bind_virq(a, VIRQ_CONSOLE, 1), -EINVAL);
	assert_int_equal(bind_virq(b, VIRQ_CONSOLE, 0), -EPERM);
	assert_int_equal(bind_virq(b, VIRQ_DOM_EXC, 0), -EPERM);
	assert_int_equal(bind_virq(b, VIRQ_PCPU_STATE, 0), -EPERM);
	assert_int_equal(bind_virq(b, VIRQ_TIMER, 0), 1);
	assert_int_equal(bind_virq(b, VIRQ_TIMER, 1), 2);
	assert_int_equal(bind_virq(b, VIRQ_TIMER, 0), -EEXIST);
	assert_int_equal(bind_virq(b, VIRQ_DEBUG, 0), 3);
	assert_int_equal(bind_virq(b, VIRQ_XENPMU, 0), 4);
	assert_int_equal(status_of(b, 2).status, EVTCHNSTAT_virq);
	assert_int_equal(status_of(b, 2).u.virq, VIRQ_TIMER);
	assert_int_equal(status_of(b, 2).vcpu, 1);
	assert_int_equal(close(b, 1), 0);
	assert_int_equal(bind_virq(b, VIRQ_TIMER, 0), 1);
}

static void every_virq_binds_once_in_the_service_domain(void **state)
{
	/* A new listener for VIRQ_DOM_EXC learns of all domains; one that comes too late doesn't. */
	for (u32 virq = 0; virq < NR_VIRQS; virq++) {
		fake_changed_all = 0;
		assert_int_equal(bind_virq(a, virq, 0), virq + 1);
		assert_int_equal(fake_changed_all, virq == VIRQ_DOM_EXC);
	}
	fake_changed_all = 0;
	for (u32 virq = 0; virq < NR_VIRQS; virq++)
		assert_int_equal(bind_virq(a, virq, 0), -EEXIST);
	assert_int_equal(fake_changed_all, 0);
	for (u32 virq = 0; virq < NR_VIRQS; virq++) {
		evtchn_raise_virq(a->vcpu[0], virq);
		assert_heard(a, virq + 1, 0);
	}
}

static void virqs_ring_who_bound_them(void **state)
{
	long timer = bind_virq(a, VIRQ_TIMER, 3), console = bind_virq(a, VIRQ_CONSOLE, 0);

	evtchn_raise_virq(a->vcpu[2], VIRQ_TIMER);
	evtchn_raise_global_virq(a, VIRQ_DOM_EXC);
	evtchn_raise_global_virq(a, VIRQ_TIMER);
	evtchn_raise_global_virq(a, NR_VIRQS);
	evtchn_raise_virq(a->vcpu[0], ~0u);
	assert_silent(a);
	evtchn_raise_virq(a->vcpu[3], VIRQ_TIMER);
	assert_heard(a, (u32)timer, 3);
	evtchn_raise_global_virq(a, VIRQ_CONSOLE);
	assert_heard(a, (u32)console, 0);
	/* A global one moves with its port, and is still found when the port goes. */
	assert_int_equal(bind_vcpu(a, (u32)console, 2), 0);
	evtchn_raise_global_virq(a, VIRQ_CONSOLE);
	assert_heard(a, (u32)console, 2);
	assert_int_equal(close(a, (u32)console), 0);
	evtchn_raise_global_virq(a, VIRQ_CONSOLE);
	assert_silent(a);
}

/* ---- ringing ---- */

static void send_reaches_the_other_end(void **state)
{
	u32 p, q;

	make_link(a, b, &p, &q);
	assert_int_equal(bind_vcpu(b, q, 1), 0);
	assert_int_equal(send(a, p), 0);
	assert_heard(b, q, 1);
	assert_silent(a);
	assert_int_equal(bind_vcpu(a, p, 3), 0);
	assert_int_equal(send(b, q), 0);
	assert_heard(a, p, 3);
	assert_silent(b);
}

static void only_some_ports_can_be_rung(void **state)
{
	long unbound = alloc_unbound(a, DOMID_SELF, 1), virq = bind_virq(a, VIRQ_TIMER, 0);

	assert_int_equal(send(a, (u32)unbound), 0);
	assert_int_equal(send(a, (u32)virq), -EINVAL);
	assert_int_equal(send(a, 0), -EINVAL);
	assert_int_equal(send(a, 50), -EINVAL);
	assert_int_equal(send(a, 290), -EINVAL);
	assert_int_equal(send(a, EVTCHN_MAX_PORTS), -EINVAL);
	assert_int_equal(send(a, ~0u), -EINVAL);
	assert_silent(a);
}

static void a_pending_port_is_not_rung_again(void **state)
{
	u32 p, q;

	bind_ipi(a, 0);
	send(a, 1);
	send(a, 1);
	assert_heard(a, 1, 0);
	/* Two ports of a word, then of two words: one kick while the guest has not looked. */
	bind_ipi(a, 0);
	for (u32 i = 3; i < 70; i++)
		bind_ipi(a, 0);
	send(a, 1);
	send(a, 2);
	send(a, 69);
	assert_int_equal(fake_kicks(a->vcpu[0]), 1);
	assert_int_equal(a->vcpu[0]->info->evtchn_pending_sel, 3);
	/* A guest that has seen the flags looks at its ports one after the other: one that it hasn't come to yet is no news. */
	make_link(a, b, &p, &q);
	assert_int_equal(send(a, p), 0);
	b->vcpu[0]->info->evtchn_upcall_pending = 0;
	b->vcpu[0]->info->evtchn_pending_sel = 0;
	fake_vcpu_clear(b->vcpu[0]);
	assert_int_equal(send(a, p), 0);
	assert_silent(b);
	hear(b);
	assert_int_equal(send(a, p), 0);
	assert_heard(b, q, 0);
}

static void a_masked_port_waits_for_unmask(void **state)
{
	bind_ipi(a, 2);
	a->shared->evtchn_mask[0] = ~0ull;
	send(a, 1);
	assert_silent(a);
	assert_true(pending(a, 1));
	assert_int_equal(unmask(a, 1), 0);
	assert_int_equal(a->shared->evtchn_mask[0], ~2ull);
	assert_heard(a, 1, 2);
	/* Unmasking what is not masked, or not pending, tells nobody. */
	send(a, 1);
	hear(a);
	assert_int_equal(unmask(a, 1), 0);
	a->shared->evtchn_mask[0] = ~0ull;
	assert_int_equal(unmask(a, 1), 0);
	assert_silent(a);
	assert_int_equal(unmask(a, 290), -EINVAL);
	assert_int_equal(unmask(a, EVTCHN_MAX_PORTS), -EINVAL);
	assert_int_equal(unmask(a, ~0u), -EINVAL);
}

static void pollers_are_woken_masked_or_not(void **state)
{
	bind_ipi(a, 0);
	bind_ipi(a, 0);
	a->shared->evtchn_mask[0] = ~0ull;
	a->pollers = 3;
	a->vcpu[1]->poll_port = 1;
	a->vcpu[2]->poll_port = 2;
	a->vcpu[3]->poll_port = ~0u;
	send(a, 1);
	assert_int_equal(fake_wakes(a->vcpu[0]), 0);
	assert_int_equal(fake_wakes(a->vcpu[1]), 1);
	assert_int_equal(fake_wakes(a->vcpu[2]), 0);
	assert_int_equal(fake_wakes(a->vcpu[3]), 1);
	assert_int_equal(a->vcpu[1]->poll_port, 0);
	assert_int_equal(a->vcpu[2]->poll_port, 2);
	send(a, 2);
	assert_int_equal(fake_wakes(a->vcpu[2]), 1);
	assert_silent(a);
	assert_false(evtchn_port_pending(a, EVTCHN_MAX_PORTS));
	assert_false(evtchn_port_pending(a, ~0u));
}

static void an_area_that_moved_shows_everything(void **state)
{
	struct vcpu *v = a->vcpu[1];
	static struct vcpu_info moved;

	moved = (struct vcpu_info){ 0 };
	v->info = &moved;
	evtchn_vcpu_info_moved(v);
	assert_int_equal(moved.evtchn_pending_sel, ~0ull);
	assert_true(evtchn_upcall_pending(v));
	assert_int_equal(fake_kicks(v), 1);
	v->info = &a->shared->vcpu_info[1];
}

static void a_domain_without_vcpus_can_be_rung(void **state)
{
	struct domain *d = fake_domain_new(3, 2);
	struct vcpu *v0 = d->vcpu[0], *v1 = d->vcpu[1];
	long p, q;

	evtchn_init(d, 10);
	d->vcpu[0] = d->vcpu[1] = NULL;
	p = alloc_unbound(a, 3, DOMID_SELF);
	assert_int_equal(p, 1);
	q = bind_interdomain(a, 3, (u32)p);
	assert_true(q > 0);
	assert_int_equal(send(a, (u32)q), 0);
	assert_true(pending(d, (u32)p));
	d->vcpu[0] = v0;
	assert_int_equal(bind_ipi(d, 1), -ENOENT);
	assert_int_equal(bind_virq(d, VIRQ_TIMER, 1), -ENOENT);
	assert_int_equal(bind_vcpu(d, (u32)p, 1), -ENOENT);
	d->vcpu[1] = v1;
	end_of(d);
	fake_domain_free(d);
}

/* ---- closing, moving, asking ---- */

static void closing_leaves_the_peer_waiting(void **state)
{
	u32 p, q;

	make_link(a, b, &p, &q);
	send(b, q);
	assert_true(pending(a, p));
	assert_int_equal(close(a, p), 0);
	assert_false(pending(a, p));
	assert_int_equal(close(a, p), -EINVAL);
	assert_int_equal(status_of(a, p).status, EVTCHNSTAT_closed);
	assert_int_equal(status_of(b, q).status, EVTCHNSTAT_unbound);
	assert_int_equal(status_of(b, q).u.unbound.dom, 0);
	assert_int_equal(send(b, q), 0);
	assert_int_equal(a->refs, 1);
	assert_int_equal(b->refs, 1);
	assert_int_equal(bind_interdomain(a, 1, q), p);
	assert_int_equal(close(b, q), 0);
	assert_int_equal(status_of(a, p).u.unbound.dom, 1);
	assert_int_equal(close(a, 0), -EINVAL);
	assert_int_equal(close(a, 299), -EINVAL);
	assert_int_equal(close(a, ~0u), -EINVAL);
}

static void only_some_ports_move(void **state)
{
	long unbound = alloc_unbound(a, DOMID_SELF, 1), ipi = bind_ipi(a, 0);
	long timer = bind_virq(a, VIRQ_TIMER, 0), global = bind_virq(a, VIRQ_DOM_EXC, 0);

	assert_int_equal(bind_vcpu(a, (u32)unbound, 3), 0);
	assert_int_equal(status_of(a, (u32)unbound).vcpu, 3);
	assert_int_equal(bind_vcpu(a, (u32)global, 3), 0);
	assert_int_equal(bind_vcpu(a, (u32)ipi, 3), -EINVAL);
	assert_int_equal(bind_vcpu(a, (u32)timer, 3), -EINVAL);
	assert_int_equal(bind_vcpu(a, (u32)unbound, 4), -ENOENT);
	assert_int_equal(bind_vcpu(a, 0, 0), -EINVAL);
	assert_int_equal(bind_vcpu(a, ~0u, 0), -EINVAL);
	/* A port that is opened again starts at vCPU 0. */
	assert_int_equal(close(a, (u32)unbound), 0);
	assert_int_equal(alloc_unbound(a, DOMID_SELF, 1), unbound);
	assert_int_equal(status_of(a, (u32)unbound).vcpu, 0);
}

static void status_is_for_the_owner_and_the_service_domain(void **state)
{
	evtchn_status_t op = { .dom = 1, .port = (u32)bind_ipi(b, 1) };

	assert_int_equal(fake_hypercall(a->vcpu[0], hc_evtchn_status, &op), 0);
	assert_int_equal(op.status, EVTCHNSTAT_ipi);
	assert_int_equal(fake_hypercall(c->vcpu[0], hc_evtchn_status, &op), -EPERM);
	op.dom = 5;
	assert_int_equal(fake_hypercall(a->vcpu[0], hc_evtchn_status, &op), -ESRCH);
	assert_int_equal(status_of(b, 0).status, EVTCHNSTAT_closed);
	assert_int_equal(status_of(b, MAX_PORT).status, EVTCHNSTAT_closed);
	op = (evtchn_status_t){ .dom = DOMID_SELF, .port = MAX_PORT + 1 };
	assert_int_equal(fake_hypercall(b->vcpu[0], hc_evtchn_status, &op), -EINVAL);
	op.port = ~0u;
	assert_int_equal(fake_hypercall(b->vcpu[0], hc_evtchn_status, &op), -EINVAL);
}

static void reset_closes_all(void **state)
{
	u32 p, q;

	make_link(b, a, &p, &q);
	bind_ipi(b, 0);
	bind_virq(b, VIRQ_TIMER, 1);
	assert_int_equal(reset(b, 0), -EPERM);
	assert_int_equal(reset(b, 6), -ESRCH);
	assert_int_equal(reset(b, DOMID_SELF), 0);
	for (u32 port = 1; port < 5; port++)
		assert_int_equal(status_of(b, port).status, EVTCHNSTAT_closed);
	assert_int_equal(status_of(a, q).status, EVTCHNSTAT_unbound);
	assert_int_equal(b->refs, 1);
	assert_int_equal(bind_virq(b, VIRQ_TIMER, 1), 1);
}

static unsigned count_open(struct domain *d)
{
	unsigned n = 0;

	for (u32 port = 1; port <= MAX_PORT; port++)
		n += status_of(d, port).status != EVTCHNSTAT_closed;
	return n;
}

static void open_all(struct domain *d)
{
	while (alloc_unbound(d, DOMID_SELF, 0) > 0)
		;
	assert_int_equal(count_open(d), MAX_PORT);
}

/* Ports are closed a bounded number at a time; one that a guest opens behind the place where its reset is doesn't make that endless. */
static void many_ports_are_closed_in_steps(void **state)
{
	unsigned open = MAX_PORT, steps = 1;

	open_all(b);
	for (; reset(b, DOMID_SELF) == HC_AGAIN; steps++) {
		assert_int_equal(open - count_open(b), 128);
		assert_int_equal(alloc_unbound(b, DOMID_SELF, 0), 1);
		assert_int_equal(close(b, 1), 0);
		open -= 128;
	}
	assert_int_equal(steps, MAX_PORT / 128 + 1);
	assert_int_equal(count_open(b), 0);
	/* The end begins at the start, wherever a reset was. */
	open_all(b);
	assert_int_equal(reset(b, DOMID_SELF), HC_AGAIN);
	assert_int_equal(alloc_unbound(b, DOMID_SELF, 0), 1);
	assert_int_equal(end_of(b), MAX_PORT / 128);
	assert_int_equal(count_open(b), 0);
}

/* Nobody else can tell root why its system is silent. */
static void the_service_domain_is_told_of_its_own_reset(void **state)
{
	fake_log_clear();
	assert_int_equal(reset(b, DOMID_SELF), 0);
	assert_not_logged("closed all its event channels");
	b->privileged = true;
	assert_int_equal(reset(b, DOMID_SELF), 0);
	assert_logged("The service domain has closed all its event channels");
}

static void the_dead_are_not_called(void **state)
{
	u32 p, q;
	long waiting = alloc_unbound(b, DOMID_SELF, 0);

	make_link(a, b, &p, &q);
	bind_virq(b, VIRQ_TIMER, 0);
	assert_int_equal(end_of(b), 1);
	assert_int_equal(end_of(b), 1);
	assert_int_equal(b->refs, 1);
	evtchn_raise_virq(b->vcpu[0], VIRQ_TIMER);
	assert_silent(b);
	assert_int_equal(send(a, p), 0);
	assert_int_equal(bind_interdomain(a, 1, (u32)waiting), -EINVAL);
	assert_int_equal(alloc_unbound(a, 1, 0), -ESRCH);
	assert_int_equal(status_of(a, p).u.unbound.dom, 1);
	assert_int_equal(close(a, p), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
		TEST(ports_are_the_lowest_free_and_end_at_the_limit),
		TEST(the_limit_is_the_table_at_most),
		TEST(unbound_ports_belong_to_whom_they_name),
		TEST(a_link_rings_the_binder_at_once),
		TEST(only_the_invited_may_bind),
		TEST(a_domain_may_link_to_itself),
		TEST(ipis_need_a_vcpu),
		TEST(virqs_have_their_rules),
		TEST(every_virq_binds_once_in_the_service_domain),
		TEST(virqs_ring_who_bound_them),
		TEST(send_reaches_the_other_end),
		TEST(only_some_ports_can_be_rung),
		TEST(a_pending_port_is_not_rung_again),
		TEST(a_masked_port_waits_for_unmask),
		TEST(pollers_are_woken_masked_or_not),
		TEST(an_area_that_moved_shows_everything),
		TEST(a_domain_without_vcpus_can_be_rung),
		TEST(closing_leaves_the_peer_waiting),
		TEST(only_some_ports_move),
		TEST(status_is_for_the_owner_and_the_service_domain),
		TEST(reset_closes_all),
		TEST(many_ports_are_closed_in_steps),
		TEST(the_service_domain_is_told_of_its_own_reset),
		TEST(the_dead_are_not_called),
	};

	fake_memory_init(1024);
	page_add_range(0, MiB(4));
	return cmocka_run_group_tests(tests, NULL, NULL);
}
