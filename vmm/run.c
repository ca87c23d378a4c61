/*
 * One loop per pCPU and no hypervisor threads: enter the guest, leave with an exit, handle it, and when asked run timers and the
 * scheduler. Reading it from top to bottom is reading what the hypervisor does all day.
 */
#include <xen/xen.h>
#include <asm/cpu.h>
#include <asm/hvm.h>
#include <asm/hvm_flush.h>
#include <asm/insn.h>
#include <asm/time.h>
#include <asm/traps.h>
#include "sched/sched.h"
#include "sched/timer.h"
#include "vmm/domain.h"
#include "vmm/exits.h"
#include "vmm/record.h"

/* The vCPU goes on, or leaves this pCPU: its last exit is dealt with, at this cost. */
static inline void end_exit(struct percpu *p, const struct vcpu *v)
{
	struct record *r = p->last_exit;
	struct record_exits *c;
	u32 cost;

	c = &v->counters->exits[r->x.reason];
	cost = rdtsc_low() - r->tsc_low;
	r->cost = cost;
	c->count++;
	c->sum += cost;
	if (unlikely(cost > c->max))
		c->max = cost;
}

/* The vendor has described an exit in its record: the rest of it, but for the cost and what the handler adds. */
static inline void begin_exit(struct percpu *p, struct record *r, const struct vcpu *v)
{
	rdtsc_halves(&r->tsc_low, &r->tsc_high);
	r->cost = 0;
	r->rip = v->hvm.regs.rip;
	r->who = v->who;
	p->last_exit = r;
	record_done(p);
}

static __noinline void attend(struct vcpu *v)
{
	if (v->polling)
		vcpu_poll_end(v);
	if (v->init_pending || v->sipi)
		vlapic_init_sipi(v);
	if (v->nmi_pending && hvm->inject_nmi(v))
		v->nmi_pending = false;
}

/* What waits for the guest goes in now, or the vendor is asked to tell when it can. One event an entry; the rest asks for a window. */
static void deliver_events(struct percpu *p, struct vcpu *v)
{
	u8 callback = 0;
	int vector;

	if (unlikely(__atomic_load_n(&v->attention, __ATOMIC_RELAXED)))
		attend(v);
	if (v->info->evtchn_upcall_pending)
		callback = v->domain->callback_vector;
	vector = callback ? callback : vlapic_pending(v) ? vlapic_next(v) : -1;
	if (vector < 0)
		return;
	if (!hvm->can_inject(v)) {
		hvm->request_window(v, true);
		return;
	}
	hvm->inject_interrupt(v, (u8)vector);
	p->last_exit->injected = (u32)vector;
	if (!callback)
		vlapic_accept(v, (u8)vector);
	/* Another one, of higher priority than this, may be taken inside its handler. */
	if (__atomic_load_n(&v->apic.irr_pending, __ATOMIC_RELAXED))
		hvm->request_window(v, true);
}

static void take_off(struct percpu *p, struct vcpu *v, u64 now)
{
	int state = vcpu_runnable(v) ? RUNSTATE_runnable : v->pause_flags & VCPU_BLOCKED ? RUNSTATE_blocked : RUNSTATE_offline;

	end_exit(p, v);
	p->last_exit = &record_none;
	hvm_vcpu_save(v);
	vcpu_set_runstate(v, state, now);
	record_event(RECORD_STOP, v->domain, v, (u64)state, 0);
}

static void switch_to(struct percpu *p, struct vcpu *next, u64 now)
{
	u64 stolen;

	if (p->current)
		take_off(p, p->current, now);
	p->current = NULL;
	/* From here on another pCPU may run the one before. */
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

static void schedule(struct percpu *p)
{
	struct sched_entity *e;
	struct vcpu *next;
	u64 now, until, timer;

	/* Cleared first: whoever asks from now on asks again. */
	__atomic_store_n(&p->need_resched, 0, __ATOMIC_SEQ_CST);
	domain_reap();
	now = time_now();
	timer = timer_run(p->cpu, now);
	e = sched_pick(p->cpu, now, &until);
	next = e ? container_of(e, struct vcpu, sched) : NULL;
	if (next != p->current)
		switch_to(p, next, now);
	timer = timer_next(p->cpu);
	time_arm(MIN(timer, until));
}

static void idle(struct percpu *p)
{
	u64 start = time_now();

	if (!__atomic_load_n(&p->need_resched, __ATOMIC_SEQ_CST))
		interrupts_wait();
	p->idle_ns += time_now() - start;
	p->counters->idle_ns = p->idle_ns;
}

/* Enters the guest: its exit, or NULL if this pCPU has something to do first. */
static inline struct vm_exit *enter(struct percpu *p, struct vcpu *v)
{
	struct record *r;

	if (unlikely(!hvm_begin(p)))
		return NULL;
	end_exit(p, v);
	r = record_next(p);
	hvm->run(v, &r->x);
	hvm_end(p);
	begin_exit(p, r, v);
	return &r->x;
}

void run_loop(void)
{
	struct percpu *p = this_cpu();
	struct vm_exit *x;
	struct vcpu *v;

	p->need_resched = 1;
	for (;;) {
		if (__atomic_load_n(&p->need_resched, __ATOMIC_ACQUIRE))
			schedule(p);
		v = p->current;
		if (!v) {
			idle(p);
			continue;
		}
		deliver_events(p, v);
		x = enter(p, v);
		if (likely(x != NULL))
			exit_handle(v, x);
	}
}

void sched_kick(unsigned cpu)
{
	cpu_kick(cpu);
}
