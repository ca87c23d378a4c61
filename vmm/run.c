/*
 * Each CPU runs one loop, and there are no hypervisor threads. The loop enters the guest, which
 * leaves with an exit, and handles that exit. When asked, it runs timers and the scheduler. So
 * this file shows, from top to bottom, everything that the hypervisor does all day.
 */
#include <asm/hvm.h>
#include <asm/hvm_flush.h>
#include <asm/insn.h>
#include <asm/time.h>
#include <asm/traps.h>
#include "sched/sched.h"
#include "sched/timer.h"
#include "vmm/apic/vlapic.h"
#include "vmm/domain.h"
#include "vmm/domain/record.h"
#include "vmm/exits.h"
#include "vmm/hypercall.h"
#include "vmm/keeper/keeper.h"
#include "vmm/life/life.h"
#include "vmm/vcpu.h"

/* Accounts the cost of v's last exit, which is handled: v is entered again, or leaves this CPU. */
static inline void end_exit(struct percpu *p, const struct vcpu *v)
{
	struct record *r = p->last_exit;
	struct record_exits *c = &v->counters->exits[r->x.reason];
	u32 cost = rdtsc_low() - r->tsc_low;

	r->cost = cost;
	c->count++;
	c->sum += cost;
	if (unlikely(cost > c->max))
		c->max = cost;
	record_irqs_on(p, cost);
}

/*
 * Completes the record of an exit, after the vendor has described the exit in it. Only the cost
 * and the handler's own words are still missing.
 */
static inline struct record *begin_exit(struct percpu *p, const struct vcpu *v)
{
	struct record *r = p->last_exit;

	rdtsc_halves(&r->tsc_low, &r->tsc_high);
	r->cost = 0;
	r->rip = v->hvm.regs.rip;
	r->who = v->who;
	record_done(p);
	return r;
}

static bool run_keeper(struct vcpu *v)
{
	char why[KEEPER_WHY];
	int ended = keeper_run(v, why);

	if (ended < 0)
		domain_crash(v->domain, "vCPU %u: %s", v->id, why);
	return ended;
}

/* Returns false if v can't be entered yet. */
static __noinline bool attend(struct vcpu *v)
{
	if (vcpu_wants(v, VCPU_POLLS))
		vcpu_poll_end(v);
	/*
	 * INIT stops it. It goes down before the look for a SIPI: a later SIPI finds it down and
	 * starts it.
	 */
	if (vlapic_take_init(v))
		vcpu_down(v);
	vlapic_take_sipi(v);
	if (vcpu_wants(v, VCPU_KEEPER) && !run_keeper(v))
		return false;
	/* An NMI that arrives during this merges with the one that is taken, as on a real CPU. */
	if (vcpu_wants(v, VCPU_NMI) && hvm->inject_nmi(v))
		vcpu_take(v, VCPU_NMI);
	/*
	 * Its access made all CPUs wait for memory. So it yields to the vCPUs that wait for this
	 * CPU first.
	 */
	if (vcpu_take(v, VCPU_BUS_LOCK))
		hc_sched_yield(v, NULL, NULL);
	if (vcpu_wants(v, VCPU_SEALED))
		record_sealed_exit(this_cpu());
	return true;
}

/*
 * Offers one interrupt to the guest with the entry: the APIC's next vector, or else the event
 * channels' callback. The callback has no APIC priority. If it has to wait for an interrupt, the
 * guest's EOI exits to us and we offer the callback then.
 */
static void offer_events(struct vcpu *v)
{
	int vector;

	if (unlikely(__atomic_load_n(&v->attention, __ATOMIC_RELAXED)) && !attend(v))
		return;
	vector = vlapic_pending(v) ? vlapic_next(v) : -1;
	v->hvm.offered_by_apic = vector >= 0;
	if (vector < 0 && v->info->evtchn_upcall_pending && !v->upcall_vector)
		vector = v->domain->callback_vector;
	if (vector <= 0)
		return;
	if (v->hvm.offered_by_apic)
		vlapic_offer(v, (u8)vector);
	v->hvm.offered = (u8)vector;
	hvm->offer_interrupt(v, (u8)vector);
}

static void end_offer(struct percpu *p, struct vcpu *v)
{
	bool taken = hvm->took_interrupt(v);

	if (taken)
		p->last_exit->injected = v->hvm.offered;
	if (v->hvm.offered_by_apic)
		vlapic_end_offer(v, v->hvm.offered, taken);
	v->hvm.offered = 0;
}

static void take_off(struct percpu *p, struct vcpu *v, u64 now)
{
	int state = vcpu_runnable(v) ? RUNSTATE_runnable : __atomic_load_n(&v->pause_flags, __ATOMIC_RELAXED) & VCPU_BLOCKED ?
		    RUNSTATE_blocked : RUNSTATE_offline;

	end_exit(p, v);
	record_sealed_exit(p);
	record_leave(p);
	hvm_vcpu_save(v);
	vcpu_set_runstate(v, state, now);
	record_event(RECORD_STOP, v->domain, v, (u64)state, 0);
}

static void switch_to(struct percpu *p, struct vcpu *next, u64 now)
{
	u64 stolen;

	if (p->current)
		take_off(p, p->current, now);
	record_choose(p, next);
	p->current = NULL;
	/* Its p2m's tables may be freed once it is off this CPU. */
	__atomic_store_n(&p->guest_p2m, NULL, __ATOMIC_RELAXED);
	/* From here on another CPU may run the vCPU that left. */
	sched_switched(p->cpu);
	if (!next)
		return;
	p->current = next;
	__atomic_store_n(&p->guest_p2m, &next->domain->p2m, __ATOMIC_RELAXED);
	hvm_vcpu_load(next);
	stolen = next->runstate.time[RUNSTATE_runnable];
	vcpu_set_runstate(next, RUNSTATE_running, now);
	record_event(RECORD_RUN, next->domain, next, next->runstate.time[RUNSTATE_runnable] - stolen, 0);
}

#define REAP_PAUSE 200000   /* ns */

static void schedule(struct percpu *p)
{
	struct sched_entity *e;
	struct vcpu *next;
	u64 now, until;
	bool more;

	/* Cleared first: a request that comes from now on is seen in the next round. */
	__atomic_store_n(&p->look_around, 0, __ATOMIC_SEQ_CST);
	seal_seen(p);
	more = domain_reap();
	now = time_now();
	timer_run(p->cpu, now);
	e = sched_pick(p->cpu, now, &until);
	next = e ? container_of(e, struct vcpu, sched) : NULL;
	if (next != p->current)
		switch_to(p, next, now);
	/* There is more to reap. The running domains get this CPU for a while first. */
	if (unlikely(more))
		until = MIN(until, now + REAP_PAUSE);
	time_arm(MIN(timer_next(p->cpu), until));
}

static void wait_idle(struct percpu *p)
{
	u64 start = time_now();

	if (!__atomic_load_n(&p->look_around, __ATOMIC_SEQ_CST)) {
		p->last_exit->cost = rdtsc_low() - p->last_exit->tsc_low;
		record_irqs_on(p, p->last_exit->cost);
		interrupts_wait();
		record_irqs_off(p);
	}
	p->idle_ns += time_now() - start;
	p->counters->idle_ns = p->idle_ns;
}

/*
 * Enters the guest. Returns the record of its exit, or NULL if this CPU has something to do first.
 */
static inline struct record *enter(struct percpu *p, struct vcpu *v)
{
	if (unlikely(!hvm_begin(p)))
		return NULL;
	end_exit(p, v);
	p->last_exit = record_next(p);
	hvm->run(v, &p->last_exit->x);
	hvm_end(p);
	return begin_exit(p, v);
}

void run_loop(void)
{
	struct percpu *p = this_cpu();
	struct record *r;
	struct vcpu *v;

	__atomic_store_n(&p->look_around, 1, __ATOMIC_RELAXED);
	record_irqs_off(p);
	for (;;) {
		if (__atomic_load_n(&p->look_around, __ATOMIC_ACQUIRE))
			schedule(p);
		v = p->current;
		if (!v) {
			wait_idle(p);
			continue;
		}
		offer_events(v);
		r = enter(p, v);
		if (unlikely(v->hvm.offered))
			end_offer(p, v);
		if (likely(r != NULL))
			exit_handle(v, &r->x);
	}
}
