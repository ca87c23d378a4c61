/*
 * Calls in which a vCPU asks about itself and its siblings: vcpu_op, sched_op and timers (abi.md
 * B.5, B.6, F.4).
 */
#include <xen/sched.h>
#include <asm/time.h>
#include "sched/sched.h"
#include "sched/timer.h"
#include "vmm/domain.h"
#include "vmm/hypercall.h"
#include "vmm/life/life.h"
#include "vmm/memory/guest_access.h"
#include "vmm/share/evtchn.h"
#include "vmm/vcpu.h"

#define ETIME 62
#define POLL_PORTS_MAX 128

long hc_vcpu_up(struct vcpu *v, struct hypercall *hc, void *arg)
{
	struct vcpu *to = domain_vcpu(v->domain, hc->a[1]);

	if (!to)
		return -ENOENT;
	/* A vCPU that was never given a state has nothing to run. */
	if (to->wait_for_sipi)
		return -EINVAL;
	vcpu_up(to);
	return 0;
}

long hc_vcpu_down(struct vcpu *v, struct hypercall *hc, void *arg)
{
	struct vcpu *to = domain_vcpu(v->domain, hc->a[1]);

	if (!to)
		return -ENOENT;
	vcpu_down(to);
	return 0;
}

long hc_vcpu_is_up(struct vcpu *v, struct hypercall *hc, void *arg)
{
	struct vcpu *to = domain_vcpu(v->domain, hc->a[1]);

	return to ? !(__atomic_load_n(&to->pause_flags, __ATOMIC_SEQ_CST) & VCPU_DOWN) : -ENOENT;
}

long hc_vcpu_get_runstate_info(struct vcpu *v, struct hypercall *hc, void *arg)
{
	struct vcpu *of = domain_vcpu(v->domain, hc->a[1]);

	if (!of)
		return -ENOENT;
	*(struct vcpu_runstate_info *)arg = of->runstate;
	return 0;
}

/*
 * A sibling's area may change only while the sibling is down. If it has just gone down, its CPU may
 * still use the area; vcpu_hold says when it no longer does. After a restore, Linux takes each
 * sibling down and registers both areas of it.
 */
static long hold_sibling(const struct vcpu *v, struct vcpu *of)
{
	if (!of)
		return -ENOENT;
	if (of != v && !(__atomic_load_n(&of->pause_flags, __ATOMIC_SEQ_CST) & VCPU_DOWN))
		return -EINVAL;
	return of == v || vcpu_hold(of) ? 0 : HC_AGAIN;
}

long hc_vcpu_register_runstate(struct vcpu *v, struct hypercall *hc, void *arg)
{
	const struct vcpu_register_runstate_memory_area *area = arg;
	struct vcpu *of = domain_vcpu(v->domain, hc->a[1]);
	long rc = hold_sibling(v, of);

	if (rc)
		return rc;
	rc = vcpu_register_runstate(of, v, area->addr.p);
	if (of != v)
		vcpu_let_go(of);
	return rc;
}

long hc_vcpu_register_vcpu_info(struct vcpu *v, struct hypercall *hc, void *arg)
{
	const struct vcpu_register_vcpu_info *info = arg;
	struct vcpu *of = domain_vcpu(v->domain, hc->a[1]);
	long err = hold_sibling(v, of);

	if (err)
		return err;
	spin_lock(&v->domain->lock);
	err = vcpu_register_info(of, info->mfn, info->offset);
	spin_unlock(&v->domain->lock);
	if (of != v)
		vcpu_let_go(of);
	return err;
}

long hc_vcpu_send_nmi(struct vcpu *v, struct hypercall *hc, void *arg)
{
	struct vcpu *to = domain_vcpu(v->domain, hc->a[1]);

	if (!to)
		return -ENOENT;
	vcpu_alert(to, VCPU_NMI);
	return 0;
}

/* ---- timers ---- */

static void arm_timer(struct vcpu *v, u64 when)
{
	if (when <= time_now()) {
		timer_cancel(&v->timer);
		evtchn_raise_virq(v, VIRQ_TIMER);
		return;
	}
	timer_set(&v->timer, cpu_id(), when);
	time_arm(when);
}

long hc_vcpu_set_singleshot_timer(struct vcpu *v, struct hypercall *hc, void *arg)
{
	const struct vcpu_set_singleshot_timer *set = arg;
	u64 when = clock_machine_time(&v->domain->clock, set->timeout_abs_ns);

	if (hc->a[1] != v->id)
		return -EINVAL;
	if (set->flags & VCPU_SSHOTTMR_future && when <= time_now())
		return -ETIME;
	arm_timer(v, when);
	return 0;
}

long hc_vcpu_stop_singleshot_timer(struct vcpu *v, struct hypercall *hc, void *arg)
{
	if (hc->a[1] != v->id)
		return -EINVAL;
	timer_cancel(&v->timer);
	return 0;
}

long hc_set_timer_op(struct vcpu *v, struct hypercall *hc, void *arg)
{
	if (hc->a[0])
		arm_timer(v, clock_machine_time(&v->domain->clock, hc->a[0]));
	else
		timer_cancel(&v->timer);
	return 0;
}

/* ---- sched_op ---- */

long hc_sched_yield(struct vcpu *v, struct hypercall *hc, void *arg)
{
	sched_give_way(&v->sched, time_now());
	__atomic_store_n(&this_cpu()->look_around, 1, __ATOMIC_RELAXED);
	return 0;
}

long hc_sched_block(struct vcpu *v, struct hypercall *hc, void *arg)
{
	vcpu_block(v);
	return 0;
}

long hc_sched_shutdown(struct vcpu *v, struct hypercall *hc, void *arg)
{
	u32 reason = ((struct sched_shutdown *)arg)->reason;

	if (reason > SHUTDOWN_MAX)
		return -EINVAL;
	/*
	 * No domain could resume the service domain, and its end is the machine's. Linux takes an
	 * error for a suspension that was cancelled, and goes on.
	 */
	if (v->domain->privileged && reason == SHUTDOWN_suspend) {
		printk(LOG_WARN "The service domain can't be suspended: it goes on.\n");
		return -EOPNOTSUPP;
	}
	domain_shutdown(v->domain, (u8)reason);
	return 0;
}

long hc_sched_remote_shutdown(struct vcpu *v, struct hypercall *hc, void *arg)
{
	const struct sched_remote_shutdown *s = arg;
	struct domain *d;

	if (s->reason > SHUTDOWN_MAX || s->domain_id == v->domain->domid || s->domain_id == DOMID_SELF)
		return -EINVAL;
	d = domain_get(s->domain_id);
	if (!d)
		return -ESRCH;
	domain_shutdown(d, (u8)s->reason);
	domain_put(d);
	return 0;
}

static bool any_pending(struct vcpu *v, const u32 *ports, u32 nr)
{
	for (u32 i = 0; i < nr; i++)
		if (evtchn_port_pending(v->domain, ports[i]))
			return true;
	return evtchn_upcall_pending(v);
}

long hc_sched_poll(struct vcpu *v, struct hypercall *hc, void *arg)
{
	const struct sched_poll *poll = arg;
	u32 ports[POLL_PORTS_MAX];

	if (poll->nr_ports > POLL_PORTS_MAX)
		return -EINVAL;
	if (copy_from_guest(v, ports, HANDLE(poll->ports), poll->nr_ports * sizeof(ports[0])))
		return -EFAULT;
	for (u32 i = 0; i < poll->nr_ports; i++)
		if (ports[i] >= v->domain->evtchn.max_port + 1)
			return -EINVAL;

	/* Announce, then look at the ports: a sender after the look finds a poller to wake. */
	if (!vcpu_wants(v, VCPU_POLLS))       /* it may be the second poll of a multicall */
		__atomic_add_fetch(&v->domain->pollers, 1, __ATOMIC_SEQ_CST);
	__atomic_or_fetch(&v->attention, VCPU_POLLS, __ATOMIC_RELAXED);
	__atomic_or_fetch(&v->pause_flags, VCPU_BLOCKED, __ATOMIC_SEQ_CST);
	__atomic_store_n(&v->poll_port, poll->nr_ports == 1 ? ports[0] : ~0u, __ATOMIC_SEQ_CST);
	if (any_pending(v, ports, poll->nr_ports)) {
		__atomic_and_fetch(&v->pause_flags, ~(u32)VCPU_BLOCKED, __ATOMIC_SEQ_CST);
		return 0;
	}
	if (poll->timeout) {
		u64 when = clock_machine_time(&v->domain->clock, poll->timeout);

		timer_set(&v->poll_timer, cpu_id(), when);
		time_arm(when);
	}
	vcpu_sync(v);
	return 0;
}
