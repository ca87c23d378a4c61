/*
 * Stops and wakes vCPUs, and accounts the time that each spends in its states, for the guest too.
 */
#include <asm/time.h>
#include "lib/string.h"
#include "mm/page.h"
#include "sched/sched.h"
#include "sched/timer.h"
#include "vmm/domain.h"
#include "vmm/guests/narrow.h"
#include "vmm/domain/record.h"
#include "vmm/vcpu.h"

bool vcpu_runnable(const struct vcpu *v)
{
	return !__atomic_load_n(&v->pause_flags, __ATOMIC_SEQ_CST) && !__atomic_load_n(&v->domain->pause_count, __ATOMIC_SEQ_CST);
}

bool sched_may_run(const struct sched_entity *e) { return vcpu_runnable(container_of(e, struct vcpu, sched)); }

/*
 * Tells the scheduler the state of the flags. Two CPUs may do this at once and see different
 * states. Each looks again after it has told the scheduler, so the scheduler always ends with the
 * flags' last state.
 */
void vcpu_sync(struct vcpu *v)
{
	bool runnable;

	do {
		runnable = vcpu_runnable(v);
		if (!runnable)
			sched_sleep(&v->sched, time_now());
		else if (v->domain->privileged)
			sched_wake_boost(&v->sched, time_now());
		else
			sched_wake(&v->sched, time_now());
	} while (vcpu_runnable(v) != runnable);
}

bool vcpu_is_off(struct vcpu *v)
{
	/*
	 * The CPU that stopped v may not have told the scheduler yet, and until then a CPU may
	 * pick v. So we tell the scheduler ourselves. After that no CPU picks v, and a CPU that
	 * has v saves its state and gives it up.
	 */
	vcpu_sync(v);
	return !vcpu_runnable(v) && !sched_on_cpu(&v->sched);
}

void vcpu_let_go(struct vcpu *v)
{
	__atomic_and_fetch(&v->pause_flags, ~(u32)VCPU_HELD, __ATOMIC_SEQ_CST);
	vcpu_sync(v);
}

bool vcpu_hold(struct vcpu *v)
{
	if (__atomic_fetch_or(&v->pause_flags, VCPU_HELD, __ATOMIC_SEQ_CST) & VCPU_HELD)
		return false;
	if (vcpu_is_off(v))
		return true;
	vcpu_let_go(v);
	return false;
}

void vcpu_wake(struct vcpu *v)
{
	if (!(__atomic_fetch_and(&v->pause_flags, ~(u32)VCPU_BLOCKED, __ATOMIC_SEQ_CST) & VCPU_BLOCKED))
		return;
	__atomic_store_n(&v->wake_time, time_now(), __ATOMIC_RELAXED);
	record_event(RECORD_WAKE, v->domain, v, 0, 0);
	vcpu_sync(v);
}

/*
 * A vCPU in guest mode on another CPU has to leave it to see the event. This CPU's own vCPU needs
 * no kick, because it looks before it enters the guest.
 */
void vcpu_kick(struct vcpu *v)
{
	unsigned cpu;

	if (__atomic_load_n(&v->pause_flags, __ATOMIC_SEQ_CST) & VCPU_BLOCKED) {
		vcpu_wake(v);
		return;
	}
	/* It may be on its way to another CPU. That CPU looks by itself. */
	cpu = __atomic_load_n(&v->sched.cpu, __ATOMIC_RELAXED);
	if (cpu != cpu_id() && sched_on_cpu(&v->sched))
		cpu_kick(cpu);
}

void vcpu_up(struct vcpu *v)
{
	__atomic_and_fetch(&v->pause_flags, ~(u32)VCPU_DOWN, __ATOMIC_SEQ_CST);
	vcpu_sync(v);
}

void vcpu_start(struct vcpu *v)
{
	bool down = __atomic_load_n(&v->pause_flags, __ATOMIC_SEQ_CST) & VCPU_DOWN;

	if (down && (v->wait_for_sipi || vcpu_wants(v, VCPU_INIT)))
		vcpu_up(v);
}

void vcpu_poll_timeout(void *arg)
{
	struct vcpu *v = arg;

	__atomic_store_n(&v->poll_port, 0, __ATOMIC_SEQ_CST);
	vcpu_wake(v);
}

/* The vCPU runs again, so its poll is over, whatever ended it. */
void vcpu_poll_end(struct vcpu *v)
{
	vcpu_take(v, VCPU_POLLS);
	__atomic_store_n(&v->poll_port, 0, __ATOMIC_SEQ_CST);
	__atomic_sub_fetch(&v->domain->pollers, 1, __ATOMIC_SEQ_CST);
	timer_cancel(&v->poll_timer);
}

/* ---- runstate ---- */

/*
 * Returns where word n (64 bits) of the guest's runstate area is. The area is 8-byte aligned, so
 * no word crosses a page.
 */
static u64 *runstate_word(const struct vcpu *v, unsigned n)
{
	u32 at = v->runstate_offset + n * 8;
	struct page *pg = v->runstate_page[at / PAGE_SIZE];

	return (u64 *)((char *)page_to_virt(pg) + at % PAGE_SIZE);
}

static void copy_runstate(struct vcpu *v)
{
	const u64 *from = (const u64 *)&v->runstate;
	bool flag = v->domain->runstate_update_flag;

	/*
	 * Bit 63 of the entry time (word 1) tells readers on other CPUs "being written" (abi.md
	 * F.5).
	 */
	if (flag)
		__atomic_store_n(runstate_word(v, 1), from[1] | BIT(63), __ATOMIC_SEQ_CST);
	for (unsigned n = 0; n < sizeof(v->runstate) / 8; n++)
		if (n != 1)
			*runstate_word(v, n) = from[n];
	__atomic_store_n(runstate_word(v, 1), from[1], __ATOMIC_RELEASE);
}

void vcpu_set_runstate(struct vcpu *v, int state, u64 now)
{
	struct vcpu_runstate_info *r = &v->runstate;
	u64 since = r->state_entry_time, woken = __atomic_load_n(&v->wake_time, __ATOMIC_RELAXED);

	/*
	 * The vCPU was blocked until it was woken, and runnable from then until now. Only now,
	 * when it gets a CPU, do we account both.
	 */
	if (r->state == RUNSTATE_blocked && state == RUNSTATE_running && woken > since && woken < now) {
		r->time[RUNSTATE_blocked] += woken - since;
		r->time[RUNSTATE_runnable] += now - woken;
	} else if (now > since) {
		r->time[r->state] += now - since;
	}
	r->state = state;
	r->state_entry_time = now;
	v->counters->state = (u64)state;
	v->counters->since = now;
	memcpy(v->counters->time, r->time, sizeof(r->time));
	if (state == RUNSTATE_running && v->runstate_page[0])
		(v->runstate_narrow ? narrow_runstate : copy_runstate)(v);
}
