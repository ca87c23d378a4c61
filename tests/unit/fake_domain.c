/* The domains and vCPUs of unit tests: see fake_domain.h. */
#include "tests/unit/fake_domain.h"
#include "vmm/domain/record_layout.h"
#include "vmm/vcpu.h"
#include <stdlib.h>

unsigned fake_changed_all;

__attribute__((weak)) void domain_changed_all(void)
{
	assert_int_equal(fake_locks_held(), 0);
	fake_changed_all++;
}

struct fake_vcpu {
	struct vcpu vcpu;
	struct record_vcpu counters;
	unsigned kicks, wakes;
	u8 posted;
};

static struct domain *domains[FAKE_DOMAINS];
static spinlock_t domains_lock = SPINLOCK(LOCK_DOMAINS);
static spinlock_t queue_lock = SPINLOCK(LOCK_RQ);

static struct fake_vcpu *fake_of(const struct vcpu *v)
{
	return container_of(v, struct fake_vcpu, vcpu);
}

static struct vcpu *new_vcpu(struct domain *d, u32 id)
{
	struct fake_vcpu *f = calloc(1, sizeof(*f));
	struct vcpu *v = &f->vcpu;

	v->domain = d;
	v->id = id;
	v->counters = &f->counters;
	v->info = id < XEN_LEGACY_MAX_VCPUS ? &d->shared->vcpu_info[id] : &v->dummy_info;
	return v;
}

struct domain *fake_domain_new(u16 domid, u32 vcpus)
{
	struct domain *d = calloc(1, sizeof(*d));

	assert_true(domid < FAKE_DOMAINS);
	domains[domid] = d;
	d->domid = domid;
	d->privileged = domid == 0;
	d->refs = 1;
	clock_init(&d->clock);
	d->shared = calloc(1, PAGE_SIZE);
	d->max_vcpus = vcpus;
	d->vcpu = calloc(vcpus, sizeof(*d->vcpu));
	for (u32 i = 0; i < vcpus; i++)
		d->vcpu[i] = new_vcpu(d, i);
	return d;
}

void fake_domain_free(struct domain *d)
{
	assert_int_equal(d->refs, 1);
	domains[d->domid] = NULL;
	for (u32 i = 0; i < d->max_vcpus; i++)
		if (d->vcpu[i])
			free(fake_of(d->vcpu[i]));
	free(d->vcpu);
	free(d->shared);
	free(d);
}

struct domain *domain_get(u16 domid)
{
	struct domain *d;

	spin_lock(&domains_lock);
	d = domid < FAKE_DOMAINS ? domains[domid] : NULL;
	if (d)
		d->refs++;
	spin_unlock(&domains_lock);
	return d;
}

void domain_put(struct domain *d)
{
	spin_lock(&domains_lock);
	assert_true(d->refs > 1);   /* the test's is the last to go */
	d->refs--;
	spin_unlock(&domains_lock);
}

struct domain *domain_resolve(struct vcpu *v, u16 domid)
{
	return domain_get(domid == DOMID_SELF ? v->domain->domid : domid);
}

void vcpu_kick(struct vcpu *v)
{
	spin_lock(&queue_lock);
	fake_of(v)->kicks++;
	spin_unlock(&queue_lock);
}

void vcpu_wake(struct vcpu *v)
{
	spin_lock(&queue_lock);
	fake_of(v)->wakes++;
	spin_unlock(&queue_lock);
}

__attribute__((weak)) void vlapic_post(struct vcpu *v, u8 vector, bool level)
{
	assert_false(level);
	fake_of(v)->posted = vector;
}

u8 fake_posted(const struct vcpu *v)
{
	return fake_of(v)->posted;
}

unsigned fake_kicks(const struct vcpu *v)
{
	return fake_of(v)->kicks;
}

unsigned fake_wakes(const struct vcpu *v)
{
	return fake_of(v)->wakes;
}

void fake_vcpu_clear(struct vcpu *v)
{
	fake_of(v)->kicks = 0;
	fake_of(v)->wakes = 0;
	fake_of(v)->posted = 0;
}

long fake_hypercall(struct vcpu *v, hypercall_fn *fn, void *arg)
{
	struct hypercall hc = { .count = 1 };
	long ret = fn(v, &hc, arg);

	assert_int_equal(fake_locks_held(), 0);
	return ret;
}
