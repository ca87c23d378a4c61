/*
 * The table of domains, their references, their accounts of frames, and their pauses. A destroyed
 * domain stays in the table until its last frame is free. vmm/life/ makes and ends domains.
 */
#include "lib/bitmap.h"
#include "mm/heap.h"
#include "mm/page.h"
#include "vmm/domain.h"
#include "vmm/domain/record.h"
#include "vmm/vcpu.h"

struct domain *dom0;

static spinlock_t domains_lock = SPINLOCK(LOCK_DOMAINS);
static struct domain **table;           /* [domains_lock] by domid, DOMID_FIRST_RESERVED pointers */
static u64 used[BITMAP_WORDS(DOMID_FIRST_RESERVED)];    /* [domains_lock] the ids in the table */
static u32 nr_used;                     /* [a] how many these are; changed under domains_lock */
static u16 last_domid;                  /* [domains_lock] */
static struct domain *ending;           /* [domains_lock] destroyed; others may map their frames */
static struct domain *dead;             /* [domains_lock] without a reference */
static bool reap_wanted;                /* [a] `ending` or `dead` may have one to go */

struct domain *domain_get(u16 domid)
{
	struct domain *d = NULL;

	if (domid >= DOMID_FIRST_RESERVED || !table)
		return NULL;
	spin_lock(&domains_lock);
	d = table[array_index_nospec(domid, DOMID_FIRST_RESERVED)];
	if (d)
		domain_hold(d);
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
		domain_hold(d);
	}
	spin_unlock(&domains_lock);
	return d;
}

struct domain *domain_resolve(struct vcpu *v, u16 domid)
{
	struct domain *self = v->domain;

	if (domid == DOMID_SELF || domid == self->domid) {
		domain_hold(self);
		return self;
	}
	return domain_get(domid);
}

static void push_domain(struct domain **list, struct domain *d)
{
	spin_lock(&domains_lock);
	d->next = *list;
	*list = d;
	spin_unlock(&domains_lock);
}

static void want_reap(void)
{
	__atomic_store_n(&reap_wanted, true, __ATOMIC_SEQ_CST);
	__atomic_store_n(&this_cpu()->look_around, 1, __ATOMIC_RELAXED);
}

/*
 * The domain has left the table before its last reference goes, because the table has one too.
 * References are taken only from the table or with another reference. The caller may be a guest
 * that unmaps a page and should not pay for the rest, so domain_reap() frees the domain.
 */
void domain_put(struct domain *d)
{
	if (__atomic_sub_fetch(&d->refs, 1, __ATOMIC_ACQ_REL))
		return;
	BUG_ON(table[d->domid] == d);
	push_domain(&dead, d);
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
	 * d is not touched after this: if it is destroyed, it may vanish with its last frame. The
	 * caller may hold any lock, so we leave the removal from the table to domain_reap(), in
	 * the run loop.
	 */
	if (__atomic_sub_fetch(&d->tot_pages, n, __ATOMIC_SEQ_CST) == 0)
		want_reap();
}

/*
 * The owner is still in the table, because the frame is charged to it until now. No one shall find
 * a sealed domain's data in a free frame.
 */
static void frame_released(struct page *pg)
{
	struct domain *d = table[pg->owner];

	if (unlikely(__atomic_load_n(&d->seal.state, __ATOMIC_RELAXED)))
		clear_page(page_to_virt(pg));
	domain_uncharge(d, 1);
}

/*
 * Takes one destroyed domain out of the table, after others have given back the last of its
 * frames. Returns that domain, or NULL if there is none. domains_lock is held.
 */
static struct domain *leave_table(void)
{
	struct domain *d;

	for (struct domain **link = &ending; (d = *link) != NULL; link = &d->next) {
		u8 dying = DOMAIN_LENDING;

		/*
		 * In this order, because a CPU that charges the domain for a frame looks
		 * afterwards whether the domain is dying.
		 */
		if (__atomic_load_n(&d->tot_pages, __ATOMIC_SEQ_CST) ||
		    !__atomic_compare_exchange_n(&d->dying, &dying, DOMAIN_LEFT, false, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST))
			continue;
		*link = d->next;
		table[d->domid] = NULL;
		bitmap_clear(used, d->domid);
		__atomic_store_n(&nr_used, nr_used - 1, __ATOMIC_RELAXED);
		return d;
	}
	return NULL;
}

bool domain_next_to_go(struct domain **left, struct domain **gone)
{
	if (likely(!__atomic_load_n(&reap_wanted, __ATOMIC_RELAXED)) || !__atomic_exchange_n(&reap_wanted, false, __ATOMIC_SEQ_CST))
		return false;
	spin_lock(&domains_lock);
	*left = leave_table();
	*gone = dead;
	if (dead)
		dead = dead->next;
	spin_unlock(&domains_lock);
	if (!*left && !*gone)
		return false;
	/* There may be more of both: the next call looks. */
	__atomic_store_n(&reap_wanted, true, __ATOMIC_SEQ_CST);
	return true;
}

void domain_not_gone(struct domain *d) { push_domain(&dead, d); }

void domain_may_leave(struct domain *d)
{
	__atomic_store_n(&d->dying, DOMAIN_LENDING, __ATOMIC_SEQ_CST);
	push_domain(&ending, d);
	want_reap();
}

/*
 * Picks the next free id after the last one, if the caller leaves the choice to us. The lowest
 * free id would not do: the toolstack refuses an id that was used within the last minute (abi.md
 * I.4).
 */
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

int domain_enter_table(struct domain *d)
{
	int err;

	/* The first domain is alone, so this needs no lock. */
	if (!table) {
		table = kzalloc(DOMID_FIRST_RESERVED * sizeof(table[0]));
		if (!table)
			return -ENOMEM;
		page_set_release(frame_released);
	}
	spin_lock(&domains_lock);
	err = choose_domid(&d->domid);
	if (!err) {
		table[d->domid] = d;
		bitmap_set(used, d->domid);
		domain_changed(d);
		__atomic_store_n(&nr_used, nr_used + 1, __ATOMIC_RELAXED);
	}
	spin_unlock(&domains_lock);
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

