/*
 * One loop per pCPU and no hypervisor threads: enter the guest, leave with an exit, handle it, and when asked run timers and the
 * scheduler. Reading it from top to bottom is reading what the hypervisor does all day.
 */
#include <xen/xen.h>
#include <asm/cpu.h>
#include <asm/hvm.h>
#include <asm/time.h>
#include <asm/traps.h>
#include "sched/sched.h"
#include "sched/timer.h"
#include "vmm/domain.h"
#include "vmm/exits.h"

#define LAST_EXITS 32u

/* The last exits of each pCPU, for the panic's report. */
static struct exit_record { u64 rip; u16 domid; u8 vcpu, reason; } last_exits[NR_CPUS][LAST_EXITS];    /* [c] */
static u32 last_exit[NR_CPUS];                                                                        /* [c] */

static const char *const exit_names[EXIT_REASONS] = {
	"interrupt", "NMI", "window", "hypercall", "CPUID", "HLT", "RDMSR", "WRMSR", "I/O", "nested fault", "XSETBV", "CR write",
	"exception", "triple fault", "undefined", "retry", "failed", "unknown",
};

static inline void note_exit(struct exit_record *r, const struct vcpu *v, const struct vm_exit *x)
{
	r->rip = v->hvm.regs.rip;
	r->domid = v->domain->domid;
	r->vcpu = (u8)v->id;
	r->reason = (u8)x->reason;
}

void exits_dump(void)
{
	for (unsigned cpu = 0; cpu < nr_cpus; cpu++) {
		printk(LOG_ERR "Last exits of CPU %u, newest first:\n", cpu);
		for (u32 n = 0; n < MIN(last_exit[cpu], LAST_EXITS); n++) {
			u32 i = (last_exit[cpu] - 1 - n) % LAST_EXITS;

			printk(LOG_ERR "  d%uv%u %-12s rip %llx\n", last_exits[cpu][i].domid, last_exits[cpu][i].vcpu,
			       exit_names[last_exits[cpu][i].reason], (unsigned long long)last_exits[cpu][i].rip);
		}
	}
}

/*
 * What waits for the guest is offered to it with the entry: the APIC's next vector, or else the event channels' callback, which no
 * register of the APIC holds back. So while a callback waits for its turn, an interrupt's EOI brings it on, and the exit for that is there.
 */
static void offer_events(struct vcpu *v)
{
	int vector;

	if (unlikely(v->polling))
		vcpu_poll_end(v);
	if (unlikely(v->apic.init_pending | v->apic.sipi))
		vlapic_init_sipi(v);
	if (unlikely(v->nmi_pending) && hvm->inject_nmi(v))
		v->nmi_pending = false;

	vector = vlapic_pending(v) ? vlapic_next(v) : -1;
	v->hvm.offered_by_apic = vector >= 0;
	if (vector < 0 && v->info->evtchn_upcall_pending)
		vector = v->domain->callback_vector;
	if (vector <= 0)
		return;
	if (v->hvm.offered_by_apic)
		vlapic_offer(v, (u8)vector);
	v->hvm.offered = (u8)vector;
	hvm->offer_interrupt(v, (u8)vector);
}

static void end_offer(struct vcpu *v)
{
	bool taken = hvm->took_interrupt(v);

	if (v->hvm.offered_by_apic)
		vlapic_end_offer(v, v->hvm.offered, taken);
	v->hvm.offered = 0;
}

static void switch_to(struct percpu *p, struct vcpu *next, u64 now)
{
	struct vcpu *prev = p->current;

	if (prev) {
		hvm_vcpu_save(prev);
		vcpu_set_runstate(prev, vcpu_runnable(prev) ? RUNSTATE_runnable : prev->pause_flags & VCPU_BLOCKED ? RUNSTATE_blocked :
				  RUNSTATE_offline, now);
	}
	p->current = NULL;
	/* From here on another pCPU may run prev. */
	sched_switched(p->cpu);
	if (!next)
		return;
	p->current = next;
	hvm_vcpu_load(next);
	vcpu_set_runstate(next, RUNSTATE_running, now);
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
}

void run_loop(void)
{
	struct percpu *p = this_cpu();
	struct exit_record *records = last_exits[p->cpu];
	u32 *count = &last_exit[p->cpu];
	struct vm_exit x = { 0 };

	p->need_resched = 1;
	for (;;) {
		if (__atomic_load_n(&p->need_resched, __ATOMIC_ACQUIRE))
			schedule(p);
		if (!p->current) {
			idle(p);
			continue;
		}
		offer_events(p->current);
		hvm_enter(p->current, &x);
		if (unlikely(p->current->hvm.offered))
			end_offer(p->current);
		note_exit(&records[(*count)++ % LAST_EXITS], p->current, &x);
		exit_handle(p->current, &x);
	}
}

void sched_kick(unsigned cpu)
{
	cpu_kick(cpu);
}
