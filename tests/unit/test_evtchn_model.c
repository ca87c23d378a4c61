/* units: vmm/share/evtchn.c vmm/share/evtchn_ring.c mm/heap.c mm/buddy.c tests/unit/fake_domain.c vmm/domain/permitted.c */
/*
 * Event channels against a model: random operations of three domains, one of which dies and comes back now and then. The model
 * is the rules, written down plainly with no locks, chunks or references; after every step all that can be seen must agree.
 */
#include "mm/page.h"
#include "tests/unit/fake_domain.h"
#include "vmm/share/evtchn.h"
#include "vmm/vcpu.h"
#include <xen/event_channel.h>

#define STEPS   200000
#define DOMAINS 3
#define VCPUS   2
#define PORTS   14      /* few, so that the table is often full */
#define MORTAL  2       /* the domain that dies */

/* ---- the model ---- */

struct port {
	u32 status;         /* EVTCHNSTAT_* */
	u32 dom, peer;      /* whom it waits for, or is linked to, and where */
	u32 vcpu, virq;
	bool pending, masked;
};

static struct port model[DOMAINS][PORTS + 1];
static bool told[DOMAINS][VCPUS];   /* evtchn_upcall_pending and the selector's one bit: nothing here clears just one */
static unsigned kicks[DOMAINS][VCPUS];

static bool per_vcpu(u32 virq)
{
	return virq == VIRQ_TIMER || virq == VIRQ_DEBUG || virq == VIRQ_XENOPROF || virq == VIRQ_XENPMU;
}

static struct port *port_at(u32 d, u32 port)
{
	return port >= 1 && port <= PORTS ? &model[d][port] : NULL;
}

static void model_tell(u32 d, u32 vcpu)
{
	kicks[d][vcpu] += !told[d][vcpu];
	told[d][vcpu] = true;
}

static void model_ring(u32 d, u32 port)
{
	struct port *p = &model[d][port];

	if (!p->pending && !p->masked)
		model_tell(d, p->vcpu);
	p->pending = true;
}

static long model_open(u32 d, struct port like)
{
	for (u32 port = 1; port <= PORTS; port++) {
		struct port *p = &model[d][port];

		if (p->status != EVTCHNSTAT_closed)
			continue;
		like.pending = p->pending;
		like.masked = p->masked;
		*p = like;
		return port;
	}
	return -ENOSPC;
}

static long model_alloc(u32 d, u32 dom, u32 remote)
{
	if (dom >= DOMAINS)
		return -ESRCH;
	if (dom != d && d != 0)
		return -EPERM;
	return model_open(dom, (struct port){ .status = EVTCHNSTAT_unbound, .dom = remote == DOMID_SELF ? d : remote });
}

static long model_bind_interdomain(u32 d, u32 dom, u32 remote)
{
	struct port *there = dom < DOMAINS ? port_at(dom, remote) : NULL;
	long port;

	if (dom >= DOMAINS)
		return -ESRCH;
	if (!there || there->status != EVTCHNSTAT_unbound || there->dom != d)
		return -EINVAL;
	port = model_open(d, (struct port){ .status = EVTCHNSTAT_interdomain, .dom = dom, .peer = remote });
	if (port < 0)
		return port;
	there->status = EVTCHNSTAT_interdomain;
	there->peer = (u32)port;
	model_ring(d, (u32)port);
	return port;
}

static long model_find_virq(u32 d, u32 virq, u32 vcpu)
{
	for (u32 port = 1; port <= PORTS; port++) {
		struct port *p = &model[d][port];

		if (p->status == EVTCHNSTAT_virq && p->virq == virq && (!per_vcpu(virq) || p->vcpu == vcpu))
			return port;
	}
	return 0;
}

static long model_bind_virq(u32 d, u32 virq, u32 vcpu)
{
	if (virq >= NR_VIRQS || (!per_vcpu(virq) && vcpu != 0))
		return -EINVAL;
	if (vcpu >= VCPUS)
		return -ENOENT;
	if (!per_vcpu(virq) && d != 0)
		return -EPERM;
	if (model_find_virq(d, virq, vcpu))
		return -EEXIST;
	return model_open(d, (struct port){ .status = EVTCHNSTAT_virq, .virq = virq, .vcpu = vcpu });
}

static long model_close(u32 d, u32 port)
{
	struct port *p = port_at(d, port);

	if (!p || p->status == EVTCHNSTAT_closed)
		return -EINVAL;
	if (p->status == EVTCHNSTAT_interdomain) {
		model[p->dom][p->peer].status = EVTCHNSTAT_unbound;
		model[p->dom][p->peer].dom = d;
	}
	*p = (struct port){ .masked = p->masked };
	return 0;
}

static long model_send(u32 d, u32 port)
{
	struct port *p = port_at(d, port);

	if (p && p->status == EVTCHNSTAT_interdomain)
		model_ring(p->dom, p->peer);
	else if (p && p->status == EVTCHNSTAT_ipi)
		model_ring(d, port);
	else if (!p || p->status != EVTCHNSTAT_unbound)
		return -EINVAL;
	return 0;
}

static long model_bind_vcpu(u32 d, u32 port, u32 vcpu)
{
	struct port *p = port_at(d, port);

	if (vcpu >= VCPUS)
		return -ENOENT;
	if (!p || p->status == EVTCHNSTAT_closed || p->status == EVTCHNSTAT_ipi || (p->status == EVTCHNSTAT_virq && per_vcpu(p->virq)))
		return -EINVAL;
	p->vcpu = vcpu;
	return 0;
}

static void model_unmask(u32 d, u32 port)
{
	struct port *p = port_at(d, port);

	if (p && p->masked && p->pending)
		model_tell(d, p->vcpu);
	if (p)
		p->masked = false;
}

/* ---- the real thing beside it ---- */

static struct domain *domain[DOMAINS];

static void start(u32 d)
{
	domain[d] = fake_domain_new((u16)d, VCPUS);
	evtchn_init(domain[d], PORTS);
	memset(model[d], 0, sizeof(model[d]));
	memset(told[d], 0, sizeof(told[d]));
	memset(kicks[d], 0, sizeof(kicks[d]));
}

static void compare_port(u32 d, u32 port)
{
	const struct port *p = &model[d][port];
	evtchn_status_t op = { .dom = (u16)d, .port = port };

	assert_int_equal(fake_hypercall(domain[0]->vcpu[0], hc_evtchn_status, &op), 0);
	assert_int_equal(op.status, p->status);
	assert_int_equal(op.vcpu, p->vcpu);
	if (p->status == EVTCHNSTAT_unbound)
		assert_int_equal(op.u.unbound.dom, (u16)p->dom);
	if (p->status == EVTCHNSTAT_virq)
		assert_int_equal(op.u.virq, p->virq);
	if (p->status == EVTCHNSTAT_interdomain) {
		assert_int_equal(op.u.interdomain.dom, p->dom);
		assert_int_equal(op.u.interdomain.port, p->peer);
		assert_int_equal(model[p->dom][p->peer].dom, d);
		assert_int_equal(model[p->dom][p->peer].peer, port);
	}
	assert_int_equal(evtchn_port_pending(domain[d], port), p->pending);
	assert_int_equal(!!(domain[d]->shared->evtchn_mask[0] & BIT(port)), p->masked);
}

static void compare(void)
{
	u32 refs[DOMAINS] = { 1, 1, 1 };

	for (u32 d = 0; d < DOMAINS; d++) {
		for (u32 port = 1; port <= PORTS; port++) {
			compare_port(d, port);
			if (model[d][port].status == EVTCHNSTAT_interdomain)
				refs[model[d][port].dom]++;
		}
		for (u32 i = 0; i < VCPUS; i++) {
			struct vcpu *v = domain[d]->vcpu[i];

			assert_int_equal(evtchn_upcall_pending(v), told[d][i]);
			assert_int_equal(v->info->evtchn_pending_sel, told[d][i]);
			assert_int_equal(fake_kicks(v), kicks[d][i]);
		}
	}
	for (u32 d = 0; d < DOMAINS; d++)
		assert_int_equal(domain[d]->refs, refs[d]);
}

/* ---- one step of both ---- */

static u32 below(u32 n)
{
	return (u32)(fake_random() % n);
}

/* Mostly a sensible port, now and then a guest's nonsense. */
static u32 any_port(void)
{
	return below(30) ? below(PORTS + 2) : (u32)fake_random();
}

static u16 any_domid(u32 self)
{
	static const u16 odd[] = { DOMID_SELF, DOMID_SELF, 6, 0x7fff };
	u32 i = below(8);

	return i < ARRAY_SIZE(odd) ? odd[i] : (u16)((self + i) % DOMAINS);
}

static u32 resolve(u32 self, u16 domid)
{
	return domid == DOMID_SELF ? self : domid;
}

static long result(long err, u32 port)
{
	return err ? err : (long)port;
}

static void step_open(u32 d)
{
	struct vcpu *v = domain[d]->vcpu[0];
	u16 dom = any_domid(d);

	switch (below(4)) {
	case 0: {
		evtchn_alloc_unbound_t op = { .dom = dom, .remote_dom = any_domid(d) };
		long err = fake_hypercall(v, hc_evtchn_alloc_unbound, &op);

		assert_int_equal(result(err, op.port), model_alloc(d, resolve(d, dom), op.remote_dom));
		break;
	}
	case 1: {
		evtchn_bind_interdomain_t op = { .remote_dom = dom, .remote_port = any_port() };
		long err = fake_hypercall(v, hc_evtchn_bind_interdomain, &op);

		assert_int_equal(result(err, op.local_port), model_bind_interdomain(d, resolve(d, dom), op.remote_port));
		break;
	}
	case 2: {
		evtchn_bind_virq_t op = { .virq = below(NR_VIRQS + 1), .vcpu = below(VCPUS + 1) };
		long err = fake_hypercall(v, hc_evtchn_bind_virq, &op);

		assert_int_equal(result(err, op.port), model_bind_virq(d, op.virq, op.vcpu));
		break;
	}
	case 3: {
		evtchn_bind_ipi_t op = { .vcpu = below(VCPUS + 1) };
		long err = fake_hypercall(v, hc_evtchn_bind_ipi, &op);
		struct port like = { .status = EVTCHNSTAT_ipi, .vcpu = op.vcpu };

		assert_int_equal(result(err, op.port), op.vcpu < VCPUS ? model_open(d, like) : -ENOENT);
		break;
	}
	}
}

static void step_close(u32 d)
{
	u32 port = any_port();
	evtchn_close_t op = { .port = port };

	assert_int_equal(fake_hypercall(domain[d]->vcpu[0], hc_evtchn_close, &op), model_close(d, port));
}

static void step_move(u32 d)
{
	evtchn_bind_vcpu_t op = { .port = any_port(), .vcpu = below(VCPUS + 1) };

	assert_int_equal(fake_hypercall(domain[d]->vcpu[0], hc_evtchn_bind_vcpu, &op), model_bind_vcpu(d, op.port, op.vcpu));
}

static void step_ring(u32 d)
{
	evtchn_send_t op = { .port = any_port() };
	u32 virq = below(NR_VIRQS), vcpu = below(VCPUS);
	long port = model_find_virq(d, virq, vcpu);

	assert_int_equal(fake_hypercall(domain[d]->vcpu[0], hc_evtchn_send, &op), model_send(d, op.port));
	evtchn_raise_virq(domain[d]->vcpu[vcpu], virq);
	if (port)
		model_ring(d, (u32)port);
}

static void step_mask(u32 d)
{
	evtchn_unmask_t op = { .port = any_port() };
	u32 port = 1 + below(PORTS);

	domain[d]->shared->evtchn_mask[0] |= BIT(port);
	model[d][port].masked = true;
	/* Whether a port that was never opened can be unmasked depends on its neighbours: keep to those that were. */
	if (op.port <= PORTS && (!op.port || model[d][op.port].status == EVTCHNSTAT_closed))
		return;
	fake_hypercall(domain[d]->vcpu[0], hc_evtchn_unmask, &op);
	model_unmask(d, op.port);
}

/* The guest's handler: vCPU i takes its news. */
static void step_hear(u32 d)
{
	u32 i = below(VCPUS);

	domain[d]->vcpu[i]->info->evtchn_upcall_pending = 0;
	domain[d]->vcpu[i]->info->evtchn_pending_sel = 0;
	domain[d]->shared->evtchn_pending[0] = 0;
	told[d][i] = false;
	for (u32 port = 1; port <= PORTS; port++)
		model[d][port].pending = false;
}

static void step_end(u32 d)
{
	evtchn_reset_t op = { .dom = DOMID_SELF };

	for (u32 port = 1; port <= PORTS; port++)
		model_close(d, port);
	if (d != MORTAL) {
		assert_int_equal(fake_hypercall(domain[d]->vcpu[0], hc_evtchn_reset, &op), 0);
		return;
	}
	assert_true(evtchn_destroy(domain[d]));
	compare();
	fake_domain_free(domain[d]);
	start(d);
}

static void random_operations_agree_with_the_model(void **state)
{
	static void (*const steps[])(u32) = { step_open, step_open, step_open, step_ring, step_ring, step_close, step_move, step_mask, step_hear };
	u64 free_before = page_free_count();

	print_message("SEED=%#lx\n", fake_random_seed());
	for (u32 d = 0; d < DOMAINS; d++)
		start(d);
	for (unsigned i = 0; i < STEPS; i++) {
		u32 d = below(DOMAINS);

		if (below(500))
			steps[below(ARRAY_SIZE(steps))](d);
		else
			step_end(d);
		compare();
	}
	for (u32 d = 0; d < DOMAINS; d++)
		assert_true(evtchn_destroy(domain[d]));
	for (u32 d = 0; d < DOMAINS; d++)
		fake_domain_free(domain[d]);
	assert_int_equal(page_free_count(), free_before);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(random_operations_agree_with_the_model) };

	fake_memory_init(1024);
	page_add_range(0, MiB(4));
	return cmocka_run_group_tests(tests, NULL, NULL);
}
