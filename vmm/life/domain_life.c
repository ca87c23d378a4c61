/*
 * The life of a domain. It is made of its parts in order, and ended by itself or the toolstack.
 * Then it is taken apart in steps, and freed.
 */
#include <xen/sched.h>
#include <asm/time.h>
#include "drivers/power.h"
#include "lib/printf.h"
#include "mm/heap.h"
#include "mm/page.h"
#include "sched/sched.h"
#include "sched/timer.h"
#include "vmm/cpu/cpu_policy.h"
#include "vmm/cpu/msr.h"
#include "vmm/domain.h"
#include "vmm/domain/record.h"
#include "vmm/life/life.h"
#include "vmm/share/evtchn.h"
#include "vmm/share/grant.h"
#include "vmm/vcpu.h"

/*
 * Limits for one step of a domain's end. They keep interrupts waiting for at most about 80,000
 * instructions.
 */
/* Frames freed, at 190 instructions each; half as many if each frame has an entry of its own. */
#define RELINQUISH_STEP 400u
#define GRANT_STEP      64u             /* handles or frames of the table */
#define VCPU_STEP       16u

static int init_shared_page(struct domain *d)
{
	struct shared_info *s = page_alloc_zeroed();

	if (!s)
		return -ENOMEM;
	d->shared = s;
	d->shared_page = mfn_to_page(virt_to_mfn(s));
	d->shared_gfn = ~0ull;
	domain_update_wallclock(d);
	return 0;
}

int domain_create(u16 domid, u32 max_vcpus, u32 max_evtchn_port, s32 grant_frames, s32 maptrack_frames, struct domain **out)
{
	struct domain *d;
	int err = -ENOMEM;

	if (!max_vcpus || max_vcpus > MAX_VCPUS)
		return -EINVAL;
	d = kzalloc(sizeof(*d));
	if (!d)
		return -ENOMEM;
	d->domid = domid;
	d->privileged = domid == 0;
	d->refs = 1;
	d->pause_count = d->controller_pauses = 1;
	d->max_vcpus = max_vcpus;
	d->max_pages = ~0ull >> 1;
	d->params[HVM_PARAM_TRIPLE_FAULT_REASON] = SHUTDOWN_reboot;
	clock_init(&d->clock);
	spin_init(&d->lock, LOCK_DOMAIN);
	sched_group_init(&d->group);
	mtrr_init_domain(d);

	d->vcpu = kzalloc(max_vcpus * sizeof(d->vcpu[0]));
	d->policy = kzalloc(sizeof(*d->policy));
	if (!d->vcpu || !d->policy)
		goto free_arrays;
	*d->policy = d->privileged ? cpu_policy_dom0 : cpu_policy_def;
	err = p2m_init(&d->p2m);
	if (err)
		goto free_arrays;
	d->p2m.identity = d->privileged;
	err = init_shared_page(d);
	if (err)
		goto undo_p2m;
	err = grant_init(d, grant_frames, maptrack_frames);
	if (err)
		goto undo_shared;
	evtchn_init(d, max_evtchn_port);
	err = domain_enter_table(d);
	if (err)
		goto undo_evtchn;
	record_event(RECORD_CREATE, d, NULL, 0, 0);
	*out = d;
	return 0;

undo_evtchn:
	evtchn_destroy(d);
	grant_destroy(d, 1);
undo_shared:
	page_put(d->shared_page);
undo_p2m:
	p2m_destroy(&d->p2m);
free_arrays:
	kfree(d->policy);
	kfree(d->vcpu);
	kfree(d);
	return err;
}

/* The end of the service domain is the end of the machine (abi.md L.49). */
static void __noreturn end_machine(u8 code)
{
	if (code == SHUTDOWN_poweroff) {
		printk(LOG_INFO "The service domain has halted: powering off.\n");
		machine_power_off();
	}
	printk(LOG_INFO "The service domain asks for a restart (%s).\n", code == SHUTDOWN_crash ? "it crashed" : "reboot");
	machine_restart();
}

void domain_shutdown(struct domain *d, u8 code)
{
	bool first;

	if (d->privileged)
		end_machine(code);
	/* Pauses first, because once the code can be read, another CPU may take the end back. */
	domain_pause(d);
	spin_lock(&d->lock);
	first = !d->shutting_down;
	if (first) {
		d->shutting_down = true;
		d->shutdown_code = code;
		d->clock.suspended_tsc = code == SHUTDOWN_suspend ? time_tsc() : 0;
	}
	spin_unlock(&d->lock);
	if (!first) {
		domain_unpause(d);
		return;
	}
	record_event(RECORD_SHUTDOWN, d, NULL, code, 0);
	domain_changed(d);
	evtchn_raise_global_virq(dom0, VIRQ_DOM_EXC);
}

void domain_resume(struct domain *d)
{
	bool ended;

	spin_lock(&d->lock);
	ended = d->shutting_down;
	d->shutting_down = false;
	d->clock.suspended_tsc = 0;
	spin_unlock(&d->lock);
	if (ended)
		domain_unpause(d);
}

void domain_crash(struct domain *d, const char *fmt, ...)
{
	char text[160];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	/* A reason tells of addresses and registers. */
	printk(LOG_ERR "d%u ended: %s\n", d->domid, seal_closed(d) ? "it crashed (it is sealed: the log says no more)" : text);
	domain_shutdown(d, SHUTDOWN_crash);
}

/* ---- a domain's end: each function does one step, and returns true if it was its last ---- */

static bool release_vcpus(struct domain *d)
{
	u32 end = (u32)MIN(d->max_vcpus, d->end_next + VCPU_STEP);

	for (; d->end_next < end; d->end_next++) {
		struct vcpu *v = d->vcpu[d->end_next];

		if (!v)
			continue;
		timer_cancel_sync(&v->timer);
		timer_cancel_sync(&v->poll_timer);
		timer_cancel_sync(&v->apic_timer);
		vcpu_release_areas(v);
	}
	if (end < d->max_vcpus)
		return false;
	d->end_next = 0;
	return true;
}

static bool release_maps(struct domain *d) { return grant_release_maps(d, GRANT_STEP); }
static bool free_grants(struct domain *d) { return grant_destroy(d, GRANT_STEP); }
/* A sealed domain's frames are cleared as they become free, so a step does fewer. */
static bool free_memory(struct domain *d) { return p2m_relinquish(&d->p2m, &d->end_next, RELINQUISH_STEP >> (d->seal.state ? 3 : 0)); }

/*
 * Frames that others still map keep the domain in the table, as dying, until these are given back.
 * The event comes after that state can be read: xenstored, which has such a frame, would keep it.
 */
static bool await_leave(struct domain *d)
{
	record_event(RECORD_DESTROY, d, NULL, 0, 0);
	domain_may_leave(d);
	domain_changed(d);
	evtchn_raise_global_virq(dom0, VIRQ_DOM_EXC);
	domain_reap();
	return true;
}

/* First its ties to other domains go (ports, then its maps of their pages), and then its memory. */
static bool (*const end_steps[])(struct domain *d) = {
	domain_is_stopped, evtchn_destroy, release_vcpus, release_maps, free_grants, free_memory, await_leave,
};

int domain_destroy(struct domain *d)
{
	bool first;

	spin_lock(&d->lock);
	first = !d->dying;
	if (first)
		__atomic_store_n(&d->dying, DOMAIN_ENDING, __ATOMIC_SEQ_CST);
	spin_unlock(&d->lock);
	if (first)
		domain_pause(d);
	if (d->end_step < ARRAY_SIZE(end_steps))
		d->end_step += end_steps[d->end_step](d);
	return d->end_step < ARRAY_SIZE(end_steps) ? -EAGAIN : 0;
}

/* ---- the last reference is gone ---- */

/*
 * Does one step in freeing a domain that nobody refers to. Returns true when it is gone. Its end
 * has left its vCPUs and little more.
 */
static bool free_some(struct domain *d)
{
	for (u32 n = 0; n < VCPU_STEP && d->max_vcpus; n++)
		if (d->vcpu[--d->max_vcpus])
			vcpu_free(d->vcpu[d->max_vcpus]);
	if (d->max_vcpus)
		return false;
	p2m_destroy(&d->p2m);
	page_put(d->shared_page);
	kfree(d->policy);
	kfree(d->vcpu);
	kfree(d);
	return true;
}

bool domain_reap(void)
{
	struct domain *left, *gone;

	if (!domain_next_to_go(&left, &gone))
		return false;
	if (left) {
		domain_changed(left);
		evtchn_raise_global_virq(dom0, VIRQ_DOM_EXC);
		domain_put(left);
	}
	if (gone && !free_some(gone))
		domain_not_gone(gone);
	return true;
}
