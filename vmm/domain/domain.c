/* Domains: making them, finding them, ending them. A domain stays in the table until nothing refers to it any more. */
#include <xen/sched.h>
#include "drivers/power.h"
#include "lib/bitmap.h"
#include "lib/printf.h"
#include "lib/string.h"
#include "mm/heap.h"
#include "vmm/domain.h"
#include "vmm/hypercall.h"
#include "vmm/cpu/msr.h"

/* One step of a domain's end: interrupts wait for no more than some 80,000 instructions. */
#define RELINQUISH_STEP 400u            /* frames freed, at 190 instructions, or half of that if each has an entry of its own */
#define GRANT_STEP      64u             /* handles or frames of the table */
#define VCPU_STEP       16u

struct domain *dom0;

static spinlock_t domains_lock = SPINLOCK(LOCK_DOMAINS);
static struct domain **table;           /* [domains_lock] by domid, DOMID_FIRST_RESERVED pointers */
static u64 used[BITMAP_WORDS(DOMID_FIRST_RESERVED)];    /* [domains_lock] the ids in the table */
static u32 nr_used;                     /* [a] how many; changed under domains_lock */
static u16 last_domid;                  /* [domains_lock] */
static struct list ending = LIST_INIT(ending);  /* [domains_lock] destroyed, but others may map frames of theirs */
static struct list dead = LIST_INIT(dead);      /* [domains_lock] no reference is left */
static bool reap_wanted;                /* [a] one of the former has no frames left, or there is one of the latter */

struct domain *domain_get(u16 domid)
{
	struct domain *d = NULL;

	if (domid >= DOMID_FIRST_RESERVED || !table)
		return NULL;
	spin_lock(&domains_lock);
	d = table[array_index_nospec(domid, DOMID_FIRST_RESERVED)];
	if (d)
		__atomic_add_fetch(&d->refs, 1, __ATOMIC_RELAXED);
	spin_unlock(&domains_lock);
	return d;
}

u32 domain_count(void) { return __atomic_load_n(&nr_used, __ATOMIC_RELAXED); }

struct domain *domain_get_next(u16 domid)
{
	struct domain *d = NULL;

	size_t id;

	spin_lock(&domains_lock);
	id = bitmap_find_next(used, DOMID_FIRST_RESERVED, domid);
	if (id < DOMID_FIRST_RESERVED) {
		d = table[id];
		__atomic_add_fetch(&d->refs, 1, __ATOMIC_RELAXED);
	}
	spin_unlock(&domains_lock);
	return d;
}

struct domain *domain_get_target(struct vcpu *v, u16 domid)
{
	struct domain *self = v->domain;

	if (domid == DOMID_SELF || domid == self->domid) {
		__atomic_add_fetch(&self->refs, 1, __ATOMIC_RELAXED);
		return self;
	}
	return domain_get(domid);
}

static void free_vcpu(struct vcpu *v)
{
	if (!v)
		return;
	sched_entity_destroy(&v->sched);
	hvm_vcpu_destroy(v);
	record_vcpu_free(v->counters);
	timer_release(TIMERS_PER_VCPU);
	kfree(v);
}

/* One step in freeing a domain that nobody refers to; true when it is gone. Its end has left the vCPUs and little more. */
static bool free_some(struct domain *d)
{
	for (u32 n = 0; n < VCPU_STEP && d->max_vcpus; n++)
		free_vcpu(d->vcpu[--d->max_vcpus]);
	if (d->max_vcpus)
		return false;
	p2m_destroy(&d->p2m);
	page_put(d->shared_page);
	kfree(d->policy);
	kfree(d->vcpu);
	kfree(d);
	return true;
}

static void want_reap(void)
{
	__atomic_store_n(&reap_wanted, true, __ATOMIC_SEQ_CST);
	__atomic_store_n(&this_cpu()->need_resched, 1, __ATOMIC_RELAXED);
}

/*
 * The last reference is gone, and with it the table's: references are taken only from the table or from another one. Whoever drops it may
 * be a guest that unmaps a page: the work is domain_reap's.
 */
void domain_put(struct domain *d)
{
	if (__atomic_sub_fetch(&d->refs, 1, __ATOMIC_ACQ_REL))
		return;
	BUG_ON(table[d->domid] == d);
	spin_lock(&domains_lock);
	list_add_tail(&dead, &d->ending);
	spin_unlock(&domains_lock);
	want_reap();
}

bool domain_charge(struct domain *d, u64 n)
{
	u64 old = __atomic_load_n(&d->tot_pages, __ATOMIC_RELAXED);
	u64 max = __atomic_load_n(&d->max_pages, __ATOMIC_RELAXED) + __atomic_load_n(&d->beyond, __ATOMIC_RELAXED);

	do {
		if (old + n > max || old + n < old)
			return false;
	} while (!__atomic_compare_exchange_n(&d->tot_pages, &old, old + n, true, __ATOMIC_SEQ_CST, __ATOMIC_RELAXED));
	return true;
}

void domain_drop_beyond(struct domain *d, u64 n)
{
	u64 old = __atomic_load_n(&d->beyond, __ATOMIC_RELAXED);

	while (unlikely(old != 0) && !__atomic_compare_exchange_n(&d->beyond, &old, old - MIN(old, n), true,
								  __ATOMIC_SEQ_CST, __ATOMIC_RELAXED))
		;
}

void domain_uncharge(struct domain *d, u64 n)
{
	domain_drop_beyond(d, n);
	/*
	 * Not touched after this: a destroyed domain may go with its last frame. Frames are given up under any lock, so the going is left
	 * to domain_reap, in the run loop.
	 */
	if (__atomic_sub_fetch(&d->tot_pages, n, __ATOMIC_SEQ_CST) == 0)
		want_reap();
}

/* Until it is uncharged, a frame keeps its owner in the table. */
static void frame_released(u16 owner)
{
	domain_uncharge(table[owner], 1);
}

/* Frames may outlive their domain while others map them; when the last is gone a destroyed domain leaves. One of these, or NULL. */
static struct domain *leave_table(void)
{
	struct domain *d;

	list_for_each(d, &ending, ending) {
		u8 dying = 2;

		/* In this order: whoever charges it for a frame then looks whether it dies. */
		if (__atomic_load_n(&d->tot_pages, __ATOMIC_SEQ_CST) ||
		    !__atomic_compare_exchange_n(&d->dying, &dying, 3, false, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST))
			continue;
		list_remove(&d->ending);
		table[d->domid] = NULL;
		bitmap_clear(used, d->domid);
		__atomic_store_n(&nr_used, nr_used - 1, __ATOMIC_RELAXED);
		return d;
	}
	return NULL;
}

bool domain_reap(void)
{
	struct domain *left, *d;

	if (likely(!__atomic_load_n(&reap_wanted, __ATOMIC_RELAXED)) || !__atomic_exchange_n(&reap_wanted, false, __ATOMIC_SEQ_CST))
		return false;
	spin_lock(&domains_lock);
	left = leave_table();
	d = list_first(&dead, struct domain, ending);
	if (d)
		list_remove(&d->ending);
	spin_unlock(&domains_lock);
	if (left) {
		evtchn_raise_global_virq(dom0, VIRQ_DOM_EXC);
		domain_put(left);
	}
	if (d && !free_some(d)) {
		spin_lock(&domains_lock);
		list_add(&dead, &d->ending);
		spin_unlock(&domains_lock);
	}
	if (!left && !d)
		return false;
	/* Whether there is more shows the next time. */
	__atomic_store_n(&reap_wanted, true, __ATOMIC_SEQ_CST);
	return true;
}

static int init_table(void)
{
	table = kzalloc(DOMID_FIRST_RESERVED * sizeof(table[0]));
	if (!table)
		return -ENOMEM;
	page_set_release(frame_released);
	return 0;
}

/* Ids rove: the tools refuse one that was used within the last minute (abi.md I.4). */
static int choose_domid(u16 *domid)
{
	if (*domid != 0xffff)
		return *domid >= DOMID_FIRST_RESERVED ? -EINVAL : table[array_index_nospec(*domid, DOMID_FIRST_RESERVED)] ? -EEXIST : 0;
	for (u32 i = 0; i < DOMID_FIRST_RESERVED; i++) {
		last_domid = (u16)(last_domid + 1u >= DOMID_FIRST_RESERVED ? 1 : last_domid + 1);
		if (!table[last_domid]) {
			*domid = last_domid;
			return 0;
		}
	}
	return -ENOMEM;
}

static int enter_table(struct domain *d)
{
	int err;

	spin_lock(&domains_lock);
	err = choose_domid(&d->domid);
	if (!err) {
		table[d->domid] = d;
		bitmap_set(used, d->domid);
		__atomic_store_n(&nr_used, nr_used + 1, __ATOMIC_RELAXED);
	}
	spin_unlock(&domains_lock);
	return err;
}

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
	if (!table && init_table())
		return -ENOMEM;
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
	spin_init(&d->lock, LOCK_DOMAIN);
	sched_group_init(&d->group);
	msr_init_domain(d);

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
	err = enter_table(d);
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

static void sync_vcpus(struct domain *d)
{
	struct vcpu *v;

	for_each_vcpu(v, d)
		vcpu_sync(v);
}

void domain_pause(struct domain *d)
{
	__atomic_add_fetch(&d->pause_count, 1, __ATOMIC_SEQ_CST);
	record_event(RECORD_PAUSE, d, NULL, 0, 0);
	sync_vcpus(d);
}

void domain_unpause(struct domain *d)
{
	BUG_ON(!__atomic_load_n(&d->pause_count, __ATOMIC_RELAXED));
	__atomic_sub_fetch(&d->pause_count, 1, __ATOMIC_SEQ_CST);
	record_event(RECORD_UNPAUSE, d, NULL, 0, 0);
	sync_vcpus(d);
}

bool domain_is_stopped(struct domain *d)
{
	struct vcpu *v;

	if (!__atomic_load_n(&d->pause_count, __ATOMIC_SEQ_CST))
		return false;
	for_each_vcpu(v, d)
		if (!vcpu_is_off(v))
			return false;
	return true;
}

/* dom0's end is the machine's: abi.md L.49. */
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
	/* First: once the code can be read, another CPU may take the end back. */
	domain_pause(d);
	spin_lock(&d->lock);
	first = !d->shutting_down;
	if (first) {
		d->shutting_down = true;
		d->shutdown_code = code;
	}
	spin_unlock(&d->lock);
	if (!first) {
		domain_unpause(d);
		return;
	}
	record_event(RECORD_SHUTDOWN, d, NULL, code, 0);
	evtchn_raise_global_virq(dom0, VIRQ_DOM_EXC);
}

void domain_resume(struct domain *d)
{
	bool ended;

	spin_lock(&d->lock);
	ended = d->shutting_down;
	d->shutting_down = false;
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
	printk(LOG_ERR "d%u ended: %s\n", d->domid, text);
	domain_shutdown(d, SHUTDOWN_crash);
}

/* ---- a domain's end, in steps: each of these does one, and says whether it was its last ---- */

static bool release_vcpus(struct domain *d)
{
	u32 end = (u32)MIN(d->max_vcpus, d->end_next + VCPU_STEP);

	for (; d->end_next < end; d->end_next++) {
		struct vcpu *v = d->vcpu[d->end_next];

		if (!v)
			continue;
		timer_cancel_sync(&v->timer);
		timer_cancel_sync(&v->poll_timer);
		vcpu_release_areas(v);
	}
	if (end < d->max_vcpus)
		return false;
	d->end_next = 0;
	return true;
}

static bool release_maps(struct domain *d)
{
	return grant_release_maps(d, GRANT_STEP);
}

static bool free_grants(struct domain *d)
{
	return grant_destroy(d, GRANT_STEP);
}

static bool free_memory(struct domain *d)
{
	return p2m_relinquish(&d->p2m, &d->end_next, RELINQUISH_STEP);
}

/* Frames that others still map keep the domain in the table, as dying, until they let go. */
static bool leave(struct domain *d)
{
	__atomic_store_n(&d->dying, 2, __ATOMIC_SEQ_CST);
	record_event(RECORD_DESTROY, d, NULL, 0, 0);
	evtchn_raise_global_virq(dom0, VIRQ_DOM_EXC);
	spin_lock(&domains_lock);
	list_add(&ending, &d->ending);
	spin_unlock(&domains_lock);
	want_reap();
	domain_reap();
	return true;
}

/* Its ties first (ports, then what it maps of others), then its memory. */
static bool (*const end_steps[])(struct domain *d) = {
	domain_is_stopped, evtchn_destroy, release_vcpus, release_maps, free_grants, free_memory, leave,
};

int domain_destroy(struct domain *d)
{
	bool first;

	spin_lock(&d->lock);
	first = !d->dying;
	if (first)
		__atomic_store_n(&d->dying, 1, __ATOMIC_SEQ_CST);
	spin_unlock(&d->lock);
	if (first)
		domain_pause(d);
	if (d->end_step < ARRAY_SIZE(end_steps))
		d->end_step += end_steps[d->end_step](d);
	return d->end_step < ARRAY_SIZE(end_steps) ? -EAGAIN : 0;
}
