/*
 * The life of a vCPU: it is made, put to sleep and stopped for good. This file also writes its
 * clock, and registers the two areas of guest memory that we keep up to date for it.
 */
#include <xen/sched.h>
#include <asm/time.h>
#include "lib/string.h"
#include "mm/heap.h"
#include "mm/page.h"
#include "sched/sched.h"
#include "sched/timer.h"
#include "vmm/apic/xapic.h"
#include "vmm/domain.h"
#include "vmm/guests/narrow.h"
#include "vmm/domain/record.h"
#include "vmm/keeper/keeper.h"
#include "vmm/life/life.h"
#include "vmm/memory/guest_access.h"
#include "vmm/share/evtchn.h"
#include "vmm/vcpu.h"

static void timer_fired(void *arg)
{
	evtchn_raise_virq(arg, VIRQ_TIMER);
}

/*
 * vCPU i of the service domain stays on CPU i, because its device interrupts arrive there (abi.md
 * H.3).
 */
static void place_vcpu(struct vcpu *v)
{
	unsigned cpu = v->domain->privileged ? v->id : (v->id + v->domain->domid) % nr_cpus;
	cpumask_t all = cpus_online();

	sched_entity_init(&v->sched, &v->domain->group, cpu, v->domain->privileged ? BIT(cpu) : all, all);
	v->apic_id = v->domain->privileged ? percpu[cpu].apic_id : v->id * 2;
}

/*
 * Writes the time stamp, the system time and the scale. They never change, because the TSC is
 * taken to be invariant, so one write is enough for the vCPU's whole life (abi.md F.1).
 */
static void write_time(const struct domain_clock *c, struct vcpu_time_info *t)
{
	u32 version = (t->version | 1) + 2;

	__atomic_store_n(&t->version, version, __ATOMIC_SEQ_CST);
	t->tsc_timestamp = c->scale.tsc_base;
	t->system_time = c->base_ns;
	t->tsc_to_system_mul = c->scale.mul;
	t->tsc_shift = c->scale.shift;
	t->flags = 0;
	/* Release: the version is even again only after the fields are written. */
	__atomic_store_n(&t->version, version + 1, __ATOMIC_RELEASE);
}

void vcpu_update_time(struct vcpu *v)
{
	write_time(&v->domain->clock, (struct vcpu_time_info *)&v->info->time);
	if (v->id < XEN_LEGACY_MAX_VCPUS)
		write_time(&v->domain->clock, &v->domain->shared->vcpu_info[v->id].time);
}

void vcpu_free(struct vcpu *v)
{
	sched_entity_destroy(&v->sched);
	keeper_free(v);
	hvm_vcpu_destroy(v);
	record_vcpu_free(v->counters);
	timer_release(TIMERS_PER_VCPU);
	kfree(v);
}

int vcpu_create(struct domain *d, u32 id)
{
	u64 now = time_now();
	struct vcpu *v;

	if (id >= d->max_vcpus || d->vcpu[id])
		return -EINVAL;
	v = kzalloc(sizeof(*v));
	if (!v || timer_reserve(TIMERS_PER_VCPU)) {
		kfree(v);
		return -ENOMEM;
	}
	v->domain = d;
	v->id = id;
	v->who = d->domid | (u64)id << 16;
	v->counters = record_vcpu_alloc(v->who);
	v->pause_flags = VCPU_DOWN;
	v->wait_for_sipi = true;
	v->runstate.state_entry_time = now;
	v->info = id < XEN_LEGACY_MAX_VCPUS ? (struct vcpu_info *)&d->shared->vcpu_info[id] : &v->dummy_info;
	v->hvm.root = d->p2m.root;
	v->hvm.generation = &d->p2m.tlb_gen;
	timer_init(&v->timer, timer_fired, v);
	timer_init(&v->poll_timer, vcpu_poll_timeout, v);
	timer_init(&v->apic_timer, vlapic_timer_fired, v);
	place_vcpu(v);
	if (!v->counters || hvm_vcpu_init(v)) {
		vcpu_free(v);
		return -ENOMEM;
	}
	vlapic_load_base(v, d->privileged ? APIC_X2_ON : APIC_ON);
	vlapic_reset(v);
	vcpu_update_time(v);
	vcpu_set_runstate(v, RUNSTATE_offline, now);
	/* Release: the vCPU is whole before others can find it. */
	__atomic_store_n(&d->vcpu[id], v, __ATOMIC_RELEASE);
	return 0;
}

static bool has_event(struct vcpu *v)
{
	return (evtchn_upcall_pending(v) && v->domain->callback_vector) || vcpu_wants(v, VCPU_NMI | VCPU_INIT) || vlapic_next(v) >= 0;
}

void vcpu_block(struct vcpu *v)
{
	__atomic_or_fetch(&v->pause_flags, VCPU_BLOCKED, __ATOMIC_SEQ_CST);
	/*
	 * The flag is set before the look for an event. A CPU that raises an event after the look
	 * sees the flag and wakes v. The other way round, v could sleep through the event.
	 */
	if (has_event(v)) {
		__atomic_and_fetch(&v->pause_flags, ~(u32)VCPU_BLOCKED, __ATOMIC_SEQ_CST);
		return;
	}
	vcpu_sync(v);
}

void vcpu_down(struct vcpu *v)
{
	const struct vcpu *other;

	__atomic_or_fetch(&v->pause_flags, VCPU_DOWN, __ATOMIC_SEQ_CST);
	vcpu_sync(v);
	for_each_vcpu(other, v->domain)
		if (!(__atomic_load_n(&other->pause_flags, __ATOMIC_SEQ_CST) & VCPU_DOWN))
			return;
	domain_shutdown(v->domain, SHUTDOWN_poweroff);
}

/* ---- time ---- */

void domain_update_wallclock(struct domain *d)
{
	struct shared_info *s = d->shared;
	u64 sec, nsec;
	u32 part, version = (s->wc_version | 1) + 2;

	time_wallclock(&sec, &part);
	/* The guest adds its system time, which the machine's wall clock doesn't count from. */
	nsec = sec * NS_PER_S + part - d->clock.delta;
	sec = nsec / NS_PER_S + (u64)d->time_offset;
	__atomic_store_n(&s->wc_version, version, __ATOMIC_SEQ_CST);
	s->wc_sec = (u32)sec;
	s->wc_sec_hi = (u32)(sec >> 32);
	s->wc_nsec = (u32)(nsec % NS_PER_S);
	__atomic_store_n(&s->wc_version, version + 1, __ATOMIC_RELEASE);
	if (d->narrow)
		narrow_wallclock(d);
}

/* ---- the two areas of guest memory ---- */

int vcpu_register_info(struct vcpu *v, u64 gfn, u32 offset)
{
	struct vcpu_info *old = v->info, *new;
	enum p2m_type type;
	struct page *pg;

	if (v->info_page || offset & 7 || offset > PAGE_SIZE - sizeof(*new))
		return -EINVAL;
	pg = p2m_get_page(&v->domain->p2m, GFN(gfn), &type, true);
	if (!pg)
		return -EFAULT;
	if (type != P2M_RAM) {
		page_put(pg);
		return -EINVAL;
	}
	new = (struct vcpu_info *)((char *)page_to_virt(pg) + offset);
	memcpy(new, old, sizeof(*new));
	v->info_page = pg;
	__atomic_store_n(&v->info, new, __ATOMIC_SEQ_CST);
	vcpu_update_time(v);
	evtchn_vcpu_info_moved(v);
	return 0;
}

/* Puts the frames of an area, of which there are up to two. */
static void put_pages(struct page *pg[2])
{
	for (int i = 0; i < 2; pg[i++] = NULL)
		if (pg[i])
			page_put(pg[i]);
}

/*
 * The area's address is virtual, and at the next switch other page tables may be in use (KPTI). So
 * we translate the address now, for good, and hold its frames.
 */
int vcpu_register_runstate(struct vcpu *v, struct vcpu *caller, u64 gva)
{
	bool narrow = gva & RUNSTATE_NARROW;
	u64 last = gva + sizeof(v->runstate) - (narrow ? 6 : 1), gpa[2];
	struct page *pg[2] = { NULL, NULL };
	bool crosses = gva >> PAGE_SHIFT != last >> PAGE_SHIFT;

	gva -= narrow;
	if (gva & (narrow ? 3 : 7) || guest_translate(caller, gva, true, &gpa[0]) || (crosses && guest_translate(caller, last & PAGE_MASK, true, &gpa[1])))
		return -EFAULT;
	/*
	 * Only the guest's own RAM: we write there for good, and a lent page goes back to its
	 * owner.
	 */
	for (int i = 0; i <= crosses; i++)
		pg[i] = p2m_get_ram(&v->domain->p2m, GFN(gpa[i] >> PAGE_SHIFT), true);
	if (!pg[0] || (crosses && !pg[1])) {
		put_pages(pg);
		return -EFAULT;
	}
	put_pages(v->runstate_page);
	memcpy(v->runstate_page, pg, sizeof(pg));
	v->runstate_offset = gva & ~PAGE_MASK;
	v->runstate_narrow = narrow;
	/* A sibling's area is written when the sibling runs. */
	if (v == caller)
		vcpu_set_runstate(v, RUNSTATE_running, time_now());
	return 0;
}

void vcpu_release_areas(struct vcpu *v)
{
	put_pages(v->runstate_page);
	__atomic_store_n(&v->info, &v->dummy_info, __ATOMIC_SEQ_CST);
	if (v->info_page)
		page_put(v->info_page);
	v->info_page = NULL;
}
