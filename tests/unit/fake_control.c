/* The surroundings of the control operations: see fake_control.h. */
#include "tests/unit/fake_control.h"
#include <stdlib.h>
#include <xen/hvm/save.h>
#include <asm/hvm.h>
#include "mm/heap.h"
#include "sched/cap.h"
#include "vmm/life/life.h"
#include "vmm/memory/guest_access.h"
#include "vmm/vcpu.h"
#include "vmm/versions.h"

struct domain *dom0;
__attribute__((weak)) u32 xen_version = 0x40011;

/* --- memory ---------------------------------------------------------------------------------------------------------------- */

u8 fake_memory[FAKE_MEMORY];
unsigned fake_alloc_fails;
int fake_allocs;
u64 total_pages = 65536;
extern u64 max_mfn;
u64 max_mfn = 70000;

static bool inside(u64 gva, size_t len)
{
	return gva >= FAKE_GVA && gva - FAKE_GVA <= FAKE_MEMORY && len <= FAKE_MEMORY - (gva - FAKE_GVA);
}

int copy_from_guest(struct vcpu *v, void *dst, u64 gva, size_t len)
{
	if (len && !inside(gva, len))
		return -EFAULT;
	if (len)
		memcpy(dst, fake_memory + (gva - FAKE_GVA), len);
	return 0;
}

int copy_to_guest(struct vcpu *v, u64 gva, const void *src, size_t len)
{
	if (len && !inside(gva, len))
		return -EFAULT;
	if (len)
		memcpy(fake_memory + (gva - FAKE_GVA), src, len);
	return 0;
}

void *kzalloc(size_t size)
{
	if (fake_alloc_fails && --fake_alloc_fails == 0)
		return NULL;
	fake_allocs++;
	return calloc(1, size);
}

void kfree(void *p)
{
	fake_allocs -= p != NULL;
	free(p);
}

u64 page_free_count(void)
{
	return 1000;
}

__attribute__((weak)) bool guest_log_allows(struct domain *d)
{
	assert_true(spin_is_locked(&d->lock));
	return true;
}

void domain_drop_beyond(struct domain *d, u64 n)
{
	d->beyond -= MIN(d->beyond, n);
}

/* --- life cycle ------------------------------------------------------------------------------------------------------------ */

struct fake_calls fake_calls;
bool fake_stopped = true;
int fake_destroy_result, fake_context_result;
u64 fake_cr4, fake_run_time;
unsigned fake_timer_queues;

bool fake_alone(const char *handler)
{
#define HC(num, sub, name, type, dir, who, target, fn) if (who == HC_ALONE && !__builtin_strcmp(handler, #fn)) return true;
#include "vmm/hypercall/hypercalls.def"
#undef HC
	return false;
}

/* Of programs without one. */
__attribute__((weak)) spinlock_t control_lock = SPINLOCK(LOCK_CONTROL);

long fake_control_at(struct vcpu *v, hypercall_fn *fn, bool alone, struct domain *target, void *head, void *arg)
{
	static u32 progress;
	struct hypercall hc = { .target = target, .head = head, .progress = progress };
	int allocs = fake_allocs;
	long rc;

	if (alone)
		spin_lock(&control_lock);
	rc = fn(v, &hc, arg);
	assert_int_equal(fake_locks_held(), alone);
	if (alone)
		spin_unlock(&control_lock);
	assert_int_equal(fake_allocs, allocs);
	progress = rc == HC_AGAIN ? hc.progress : 0;
	return rc;
}

u32 domain_count(void)
{
	struct domain *d;
	u32 n = 0;

	for (u32 id = 0; (d = domain_get_next((u16)id)); n++) {
		id = d->domid + 1u;
		domain_put(d);
	}
	return n;
}

struct domain *domain_get_next(u16 domid)
{
	for (u32 id = domid; id < FAKE_DOMAINS; id++) {
		struct domain *d = domain_get((u16)id);

		if (d)
			return d;
	}
	return NULL;
}

int domain_create(u16 domid, u32 max_vcpus, u32 max_evtchn_port, s32 grant_frames, s32 maptrack_frames, struct domain **out)
{
	struct domain *d;

	if (domid != 0xffff && (d = domain_get(domid))) {
		domain_put(d);
		return -EEXIST;
	}
	fake_calls.creates++;
	fake_calls.create_domid = domid;
	fake_calls.create_vcpus = max_vcpus;
	*out = fake_domain_new(domid == 0xffff ? 5 : domid, max_vcpus);
	(*out)->pause_count = 1;
	spin_init(&(*out)->lock, LOCK_DOMAIN);
	return 0;
}

int timer_prepare(unsigned n)
{
	assert_int_equal(n, TIMERS_PER_VCPU);
	return fake_timer_queues && fake_timer_queues--;
}

int vcpu_create(struct domain *d, u32 id)
{
	assert_int_equal(fake_timer_queues, 0);
	fake_calls.vcpus++;
	return 0;
}

void domain_pause(struct domain *d)
{
	spin_lock(&d->lock);
	/* Another CPU may take back right away what is counted: by then it has to be paused. */
	assert_true(d->controller_pauses <= d->pause_count);
	d->pause_count++;
	spin_unlock(&d->lock);
	fake_calls.pauses++;
}

void domain_unpause(struct domain *d)
{
	spin_lock(&d->lock);
	d->pause_count--;
	spin_unlock(&d->lock);
	fake_calls.unpauses++;
}

void domain_resume(struct domain *d)
{
	spin_lock(&d->lock);
	fake_calls.resumes++;
	spin_unlock(&d->lock);
}

void vcpu_sync(struct vcpu *v)
{
	fake_calls.syncs++;
}

bool vcpu_is_off(struct vcpu *v)
{
	vcpu_sync(v);
	return v->pause_flags && !v->sched.on_cpu;
}

bool domain_is_stopped(struct domain *d)
{
	return fake_stopped;
}

int domain_destroy(struct domain *d)
{
	spin_lock(&d->lock);
	fake_calls.destroys++;
	spin_unlock(&d->lock);
	return fake_destroy_result;
}

void vcpu_up(struct vcpu *v)
{
	v->pause_flags &= ~(u32)VCPU_DOWN;
	fake_calls.ups++;
}

void vcpu_update_time(struct vcpu *v) { fake_calls.times_updated++; }

void domain_update_wallclock(struct domain *d)
{
	fake_calls.wallclocks++;
}

/* --- scheduler and vendor -------------------------------------------------------------------------------------------------- */

int sched_group_set(struct sched_group *g, u32 weight, u32 cap, u64 now)
{
	if (!weight)
		return -EINVAL;
	g->weight = weight;
	g->quota = (u32)(cap * CAP_PERCENT);
	return 0;
}

int sched_set_affinity(struct sched_entity *e, cpumask_t hard, cpumask_t soft, u64 now)
{
	fake_calls.affinity_calls++;
	e->hard = hard;
	e->soft = soft;
	return 0;
}

bool sched_on_cpu(const struct sched_entity *e)
{
	return e->on_cpu;
}

u64 sched_run_time(const struct sched_entity *e, u64 now)
{
	return fake_run_time;
}

int hvm_set_context(struct vcpu *v, const struct hvm_hw_cpu *c)
{
	fake_calls.contexts_set++;
	fake_calls.context_rip = c->rip;
	return fake_context_result;
}

int hvm_set_registers(struct vcpu *v, const struct hvm_hw_cpu *c)
{
	fake_calls.registers = *c;
	return fake_context_result;
}

void hvm_get_context(struct vcpu *v, struct hvm_hw_cpu *c)
{
	c->rip = 0x1234;
	c->rsp = 0x5678;
	c->cr3 = 0x9000;
	c->cs_sel = 0x10;
	c->gs_base = 1;
	c->shadow_gs = 2;
	c->fpu_regs[511] = 0x77;
}

static u64 fake_get_cr(const struct vcpu *v, int which)
{
	return which == HVM_CR4 ? fake_cr4 : 0;
}

static void fake_set_pat(struct vcpu *v, u64 pat) { fake_calls.pat = pat; }

static const struct hvm_constant_msr no_constants[] = { { 0, 0 } };
static const struct hvm_ops fake_ops = { .constant_msrs = no_constants, .name = "fake", .get_cr = fake_get_cr, .set_pat = fake_set_pat };
const struct hvm_ops *hvm = &fake_ops;
