/* units: vmm/domain/vcpu.c vmm/guests/narrow.c vmm/life/vcpu_life.c vmm/hypercall/vcpu_op.c */
/* vCPUs: what stops and wakes them, the areas of guest memory that they keep, polls and timers. Scheduler and tables are the test's. */
#include "mm/page.h"
#include "sched/timer.h"
#include "tests/unit/fake.h"
#include <asm/hvm.h>
#include <pthread.h>
#include <stdlib.h>
#include <xen/sched.h>
#include <xen/vcpu.h>
#include "mm/heap.h"
#include "vmm/domain.h"
#include "vmm/domain/record_layout.h"
#include "vmm/life/life.h"
#include "vmm/memory/guest_access.h"
#include "vmm/hypercall.h"
#include "vmm/vcpu.h"

enum { VCPUS = 34, FRAMES = 8, RAM_GFN = 4, LENT_GFN = 5 };

static struct domain *d;
static struct vcpu *v;

/* ---- what stands around ---- */

static unsigned sleeps, wakes, boosts, kicked, raised, shutdown, powered_off, vector, allocs;
static void (*when_told)(void);         /* between telling the scheduler and the next look at the flags */

static void told(void)
{
	void (*fn)(void) = when_told;

	when_told = NULL;
	if (fn)
		fn();
}

void sched_sleep(struct sched_entity *e, u64 now) { sleeps++; e->runnable = false; told(); }
void sched_wake(struct sched_entity *e, u64 now) { wakes++; e->runnable = true; told(); }
void sched_wake_boost(struct sched_entity *e, u64 now) { boosts++; e->runnable = true; }
void sched_give_way(struct sched_entity *e, u64 now) { }
bool sched_on_cpu(const struct sched_entity *e) { return e->on_cpu; }
void sched_entity_init(struct sched_entity *e, struct sched_group *g, unsigned cpu, cpumask_t hard, cpumask_t soft) { e->cpu = cpu; e->hard = hard; }
void sched_entity_destroy(struct sched_entity *e) { }
void cpu_kick(unsigned cpu) { kicked |= 1u << cpu; }

struct domain *dom0;
void domain_shutdown(struct domain *of, u8 code) { shutdown++; powered_off += code == SHUTDOWN_poweroff; }
struct domain *domain_get(u16 domid) { return domid == d->domid ? d : NULL; }
void domain_put(struct domain *of) { }
void record_event(enum record_kind kind, const struct domain *of, const struct vcpu *w, u64 a, u64 b) { }
struct record_vcpu *record_vcpu_alloc(u64 who) { return calloc(1, sizeof(struct record_vcpu)); }
void record_vcpu_free(struct record_vcpu *c) { free(c); }
static int init_result;
static unsigned destroyed;
const struct hvm_ops *hvm;
int hvm_vcpu_init(struct vcpu *w) { return init_result; }
void hvm_vcpu_destroy(struct vcpu *w) { destroyed++; }
void vlapic_reset(struct vcpu *w) { }
void vlapic_load_base(struct vcpu *w, u64 base) { }
void vlapic_timer_fired(void *w) { }
void keeper_free(struct vcpu *w) { }
int vlapic_next(struct vcpu *w) { return (int)vector - 1; }
void evtchn_raise_virq(struct vcpu *w, unsigned virq) { assert_int_equal(virq, VIRQ_TIMER); raised++; }
void evtchn_vcpu_info_moved(struct vcpu *w) { w->info->evtchn_upcall_pending = 1; }
bool evtchn_port_pending(struct domain *of, u32 port) { return of->shared->evtchn_pending[port / 64] & BIT(port % 64); }
bool evtchn_upcall_pending(const struct vcpu *w) { return w->info->evtchn_upcall_pending; }
void *kzalloc(size_t size) { allocs++; return calloc(1, size); }
void kfree(void *p) { allocs -= p != NULL; free(p); }

static int reserved;
int timer_reserve(unsigned n) { reserved += (int)n; return 0; }
void timer_release(unsigned n) { reserved -= (int)n; }
void timer_init(struct timer *t, void (*fn)(void *arg), void *arg) { *t = (struct timer){ .fn = fn, .arg = arg }; }
void timer_set(struct timer *t, unsigned cpu, u64 expires) { t->index = 1; t->expires = expires; }
void timer_cancel(struct timer *t) { t->index = 0; }

/* Frames of the guest, by number; gva n is gpa n. A foreign one is in the middle. */
static struct page *frame(u64 gfn) { return &frame_table[gfn]; }
struct page *frame_table;
u64 max_mfn = FRAMES + 1;
void page_release(struct page *pg, u32 before) { fail_msg("the last reference is dropped"); }

struct page *p2m_get_page(struct p2m *p2m, gfn_t gfn, enum p2m_type *type, bool write)
{
	if (gfn.v < RAM_GFN || gfn.v >= FRAMES)
		return NULL;
	*type = gfn.v == LENT_GFN ? P2M_GRANT_RW : P2M_RAM;
	assert_true(page_get(frame(gfn.v)));
	return frame(gfn.v);
}

struct page *p2m_get_ram(struct p2m *p2m, gfn_t gfn, bool write)
{
	enum p2m_type type;
	struct page *pg = p2m_get_page(p2m, gfn, &type, true);

	if (pg && type != P2M_RAM)
		page_put(pg);
	return pg && type == P2M_RAM ? pg : NULL;
}

int guest_translate(struct vcpu *w, u64 gva, bool write, u64 *gpa)
{
	*gpa = gva;
	return gva < FRAMES * PAGE_SIZE ? 0 : -EFAULT;
}

int copy_from_guest(struct vcpu *w, void *dst, u64 gva, size_t len)
{
	if (gva < PAGE_SIZE)
		return -EFAULT;
	memcpy(dst, (void *)gva, len);
	return 0;
}

static int set_up(void **state)
{
	static struct page pages[FRAMES + 1];

	frame_table = pages;
	for (unsigned i = 0; i <= FRAMES; i++)
		pages[i] = (struct page){ .count = 1, .state = PAGE_DOMAIN };
	sleeps = wakes = boosts = kicked = raised = shutdown = powered_off = vector = 0;
	destroyed = 0;
	when_told = NULL;
	fake_time = 1000;
	fake_armed = ~0ull;
	nr_cpus = 4;
	d = calloc(1, sizeof(*d));
	d->domid = 3;
	d->max_vcpus = VCPUS;
	d->vcpu = calloc(VCPUS, sizeof(*d->vcpu));
	d->shared = calloc(1, PAGE_SIZE);
	d->evtchn.max_port = 1023;
	clock_init(&d->clock);
	spin_init(&d->lock, LOCK_DOMAIN);
	for (u32 i = 0; i < VCPUS; i++)
		assert_int_equal(vcpu_create(d, i), 0);
	v = d->vcpu[0];
	v->pause_flags = 0;
	return 0;
}

static int tear_down(void **state)
{
	for (u32 i = 0; i < VCPUS; i++) {
		vcpu_release_areas(d->vcpu[i]);
		free(d->vcpu[i]->counters);
		free(d->vcpu[i]);
	}
	for (unsigned i = 0; i <= FRAMES; i++)
		assert_int_equal(frame_table[i].count, 1);
	assert_int_equal(d->pollers, 0);
	free(d->vcpu);
	free(d->shared);
	free(d);
	return 0;
}

static long call(struct vcpu *by, hypercall_fn *fn, u64 a0, u64 a1, void *arg)
{
	struct hypercall hc = { .a = { a0, a1 } };
	long ret = fn(by, &hc, arg);

	assert_int_equal(fake_locks_held(), 0);
	return ret;
}

static void a_new_one_is_down(void **state)
{
	assert_int_equal(vcpu_create(d, 1), -EINVAL);
	assert_int_equal(vcpu_create(d, VCPUS), -EINVAL);
	assert_true(d->vcpu[1]->pause_flags == VCPU_DOWN && d->vcpu[1]->wait_for_sipi);
	assert_ptr_equal(d->vcpu[31]->info, &d->shared->vcpu_info[31]);
	assert_ptr_equal(d->vcpu[32]->info, &d->vcpu[32]->dummy_info);
	assert_int_equal(d->vcpu[2]->apic_id, 4);
	assert_int_equal(d->vcpu[2]->sched.cpu, (2 + 3) % 4);
	/* Records name it by domain and number. */
	assert_int_equal(d->vcpu[33]->who, 33 << 16 | 3);
}

/* ---- stopping and waking ---- */

static void an_event_is_not_slept_through(void **state)
{
	vcpu_block(v);
	assert_true(v->pause_flags & VCPU_BLOCKED && sleeps == 1);
	vcpu_kick(v);
	assert_true(!v->pause_flags && wakes == 1 && v->wake_time == fake_time);
	/* Whatever came before the look: a vector, an upcall that somebody hears, an NMI, INIT. */
	vector = 0x41;
	vcpu_block(v);
	assert_true(!v->pause_flags && sleeps == 1);
	vector = 0;
	v->info->evtchn_upcall_pending = 1;
	vcpu_block(v);
	assert_int_equal(sleeps, 2);
	vcpu_wake(v);
	d->callback_vector = 0xf3;
	vcpu_block(v);
	assert_int_equal(sleeps, 2);
	v->info->evtchn_upcall_pending = 0;
	v->attention = VCPU_NMI;
	vcpu_block(v);
	v->attention = 0;
	v->attention = VCPU_INIT;
	vcpu_block(v);
	v->attention = 0;
	assert_int_equal(sleeps, 2);
}

static void who_runs_elsewhere_is_made_to_look(void **state)
{
	v->sched.cpu = 2;
	vcpu_kick(v);
	assert_int_equal(kicked, 0);
	v->sched.on_cpu = true;
	vcpu_kick(v);
	assert_int_equal(kicked, 1 << 2);
	kicked = 0;
	v->sched.cpu = 0;
	vcpu_kick(v);
	assert_int_equal(kicked, 0);
}

static void unblock(void) { v->pause_flags &= ~(u32)VCPU_BLOCKED; }
static void pause_it(void) { d->pause_count = 1; }

/* Flags that change while the scheduler is told: it hears the last word. */
static void the_last_word_counts(void **state)
{
	when_told = unblock;
	vcpu_block(v);
	assert_true(v->sched.runnable && sleeps == 1 && wakes == 1);
	v->pause_flags = VCPU_BLOCKED;
	when_told = pause_it;
	vcpu_wake(v);
	assert_false(v->sched.runnable);
	d->privileged = true;
	d->pause_count = 0;
	vcpu_sync(v);
	assert_int_equal(boosts, 1);
}

static void the_last_one_down_is_the_end(void **state)
{
	d->vcpu[1]->wait_for_sipi = false;
	assert_int_equal(call(v, hc_vcpu_up, 0, 1, NULL), 0);
	assert_int_equal(call(v, hc_vcpu_is_up, 3, 1, NULL), 1);
	assert_int_equal(call(v, hc_vcpu_down, 0, 1, NULL), 0);
	assert_int_equal(call(v, hc_vcpu_is_up, 3, 1, NULL), 0);
	assert_int_equal(shutdown, 0);
	vcpu_down(v);
	assert_true(shutdown == 1 && powered_off == 1);
	/* One that was never given a state has nothing to run; and numbers are checked. */
	assert_int_equal(call(v, hc_vcpu_up, 0, 2, NULL), -EINVAL);
	assert_int_equal(call(v, hc_vcpu_up, 0, VCPUS, NULL), -ENOENT);
	assert_int_equal(call(v, hc_vcpu_down, 0, ~0ull, NULL), -ENOENT);
	assert_int_equal(call(v, hc_vcpu_is_up, 0, BIT(32), NULL), -ENOENT);
	assert_int_equal(call(v, hc_vcpu_send_nmi, 0, VCPUS, NULL), -ENOENT);
	assert_int_equal(call(v, hc_vcpu_send_nmi, 0, 3, NULL), 0);
	assert_true(d->vcpu[3]->attention & VCPU_NMI);
}

static void a_start_up_ipi_starts_who_waits(void **state)
{
	vcpu_start(d->vcpu[1]);
	assert_true(!d->vcpu[1]->pause_flags && d->vcpu[1]->sched.runnable);
	d->vcpu[2]->wait_for_sipi = false;
	vcpu_start(d->vcpu[2]);
	assert_true(d->vcpu[2]->pause_flags & VCPU_DOWN);
}

/* ---- the clock ---- */

/* abi.md F.1: even when it is whole, and another number each time it is written. */
static void assert_clock(const struct vcpu_time_info *t, u32 older)
{
	assert_true(t->version && !(t->version & 1) && t->version != older);
	assert_int_equal(t->tsc_timestamp, time_scale.tsc_base);
	assert_int_equal(t->tsc_to_system_mul, time_scale.mul);
	assert_int_equal(t->tsc_shift, time_scale.shift);
	assert_true(!t->system_time && !t->flags);
}

static void each_vcpu_has_the_clock(void **state)
{
	struct vcpu_register_vcpu_info at = { .mfn = RAM_GFN };
	struct vcpu_info *moved = phys_to_virt(RAM_GFN * PAGE_SIZE);
	u32 older;

	assert_clock((struct vcpu_time_info *)&d->shared->vcpu_info[31].time, 0);
	assert_clock((struct vcpu_time_info *)&d->vcpu[32]->dummy_info.time, 0);
	/* The area's new home has it even if the guest spoilt the old one's; and shared_info has it too. */
	memset(&v->info->time, 0x77, sizeof(v->info->time));
	older = v->info->time.version;
	assert_int_equal(call(v, hc_vcpu_register_vcpu_info, 0, 0, &at), 0);
	assert_ptr_equal(v->info, moved);
	assert_clock((struct vcpu_time_info *)&moved->time, older);
	assert_clock((struct vcpu_time_info *)&d->shared->vcpu_info[0].time, older);
	memset(&d->vcpu[32]->info->time, 0, sizeof(d->vcpu[32]->info->time));
	at.offset = 64;
	assert_int_equal(call(v, hc_vcpu_register_vcpu_info, 0, 32, &at), 0);
	assert_clock((struct vcpu_time_info *)&d->vcpu[32]->info->time, 0);
	/* A restored guest has its own, whatever the machine's is. */
	d->clock.scale = (struct time_scale){ .tsc_base = 12345, .mul = 0x87654321, .shift = -3 };
	d->clock.base_ns = 678;
	vcpu_update_time(v);
	assert_int_equal(moved->time.tsc_timestamp, 12345);
	assert_int_equal(moved->time.system_time, 678);
	assert_int_equal(moved->time.tsc_to_system_mul, 0x87654321);
	assert_int_equal(moved->time.tsc_shift, -3);
}

static u64 wall_sec;
static u32 wall_nsec = 789;
void time_wallclock(u64 *sec, u32 *nsec) { *sec = wall_sec, *nsec = wall_nsec; }

static void the_wall_clock_is_even_and_new(void **state)
{
	struct shared_info *s = d->shared;
	u32 older = 0;

	wall_sec = 2 * BIT(32) + 1000;
	d->time_offset = -2000;
	for (unsigned i = 0; i < 3; i++) {
		domain_update_wallclock(d);
		assert_true(s->wc_version && !(s->wc_version & 1) && s->wc_version != older);
		older = s->wc_version;
		assert_true(s->wc_sec == (u32)-1000 && s->wc_sec_hi == 1 && s->wc_nsec == 789);
		/* A guest that leaves it odd gets it even again. */
		if (i == 1)
			older = s->wc_version |= 1;
	}
}

static bool reader_ends;

/* A guest's vCPU that reads while Bothy writes: two equal even versions around the fields say that these belong together. */
static void *read_wall_clock(void *arg)
{
	volatile struct shared_info *s = d->shared;
	unsigned long torn = 0;

	while (!__atomic_load_n(&reader_ends, __ATOMIC_ACQUIRE)) {
		u32 before = __atomic_load_n(&s->wc_version, __ATOMIC_ACQUIRE);
		u32 sec = s->wc_sec, nsec = s->wc_nsec;

		__atomic_thread_fence(__ATOMIC_ACQUIRE);
		torn += !(before & 1) && before == s->wc_version && sec != nsec;
	}
	return (void *)torn;
}

static void the_wall_clock_is_never_half_written(void **state)
{
	pthread_t reader;
	void *torn;

	wall_sec = wall_nsec = 0;
	domain_update_wallclock(d);
	reader_ends = false;
	assert_int_equal(pthread_create(&reader, NULL, read_wall_clock, NULL), 0);
	for (u32 i = 0; i < 1000000; i++) {
		wall_sec = wall_nsec = i;
		domain_update_wallclock(d);
	}
	__atomic_store_n(&reader_ends, true, __ATOMIC_RELEASE);
	pthread_join(reader, &torn);
	wall_nsec = 789;
	assert_int_equal((unsigned long)torn, 0);
}

/* ---- areas ---- */

static void info_moves_once_and_fits(void **state)
{
	struct vcpu_register_vcpu_info at = { .mfn = RAM_GFN, .offset = PAGE_SIZE - 64 };
	struct vcpu_info *old = v->info;

	old->evtchn_pending_sel = 0x1234;
	at.offset += 8;
	assert_int_equal(call(v, hc_vcpu_register_vcpu_info, 0, 0, &at), -EINVAL);
	at.offset = 4;
	assert_int_equal(call(v, hc_vcpu_register_vcpu_info, 0, 0, &at), -EINVAL);
	at.mfn = 1, at.offset = 0;
	assert_int_equal(call(v, hc_vcpu_register_vcpu_info, 0, 0, &at), -EFAULT);
	at.mfn = LENT_GFN;
	assert_int_equal(call(v, hc_vcpu_register_vcpu_info, 0, 0, &at), -EINVAL);
	assert_ptr_equal(v->info, old);
	at.mfn = RAM_GFN, at.offset = PAGE_SIZE - 64;
	assert_int_equal(call(v, hc_vcpu_register_vcpu_info, 0, 0, &at), 0);
	assert_ptr_equal(v->info, (u8 *)phys_to_virt(RAM_GFN * PAGE_SIZE) + PAGE_SIZE - 64);
	assert_true(v->info->evtchn_pending_sel == 0x1234 && v->info->evtchn_upcall_pending);
	assert_true(v->info->time.version && !(v->info->time.version & 1));
	assert_int_equal(frame(RAM_GFN)->count, 2);
	assert_int_equal(call(v, hc_vcpu_register_vcpu_info, 0, 0, &at), -EINVAL);
	/* A sibling's, only before it runs. */
	at.offset = 0;
	d->vcpu[1]->pause_flags = 0;
	assert_int_equal(call(v, hc_vcpu_register_vcpu_info, 0, 1, &at), -EINVAL);
	d->vcpu[1]->pause_flags = VCPU_DOWN;
	assert_int_equal(call(v, hc_vcpu_register_vcpu_info, 0, 1, &at), 0);
	assert_int_equal(call(v, hc_vcpu_register_vcpu_info, 0, VCPUS, &at), -ENOENT);
}

static void started_by_another(void)
{
	vcpu_up(d->vcpu[1]);
	assert_false(vcpu_runnable(d->vcpu[1]));
}

/* A vCPU that has gone down may be on its way out of its pCPU, which uses its info; and a third may start it at any moment. */
static void info_moves_when_no_cpu_uses_it(void **state)
{
	struct vcpu_register_vcpu_info at = { .mfn = RAM_GFN };
	struct vcpu *of = d->vcpu[1];
	struct vcpu_info *old = of->info;

	of->sched.on_cpu = true;
	assert_int_equal(call(v, hc_vcpu_register_vcpu_info, 0, 1, &at), HC_AGAIN);
	assert_true(of->info == old && of->pause_flags == VCPU_DOWN && frame(RAM_GFN)->count == 1);
	of->sched.on_cpu = false;
	/* Another sibling is at work on it. */
	of->pause_flags |= VCPU_HELD;
	assert_int_equal(call(v, hc_vcpu_register_vcpu_info, 0, 1, &at), HC_AGAIN);
	assert_true(of->info == old && of->pause_flags == (VCPU_DOWN | VCPU_HELD));
	of->pause_flags = VCPU_DOWN;
	when_told = started_by_another;
	assert_int_equal(call(v, hc_vcpu_register_vcpu_info, 0, 1, &at), 0);
	assert_true(of->info != old && !of->pause_flags && of->sched.runnable);
}

/* Whoever made it stop may not have told the scheduler yet. */
static void off_means_that_the_scheduler_knows(void **state)
{
	d->pause_count = 1;
	v->sched.runnable = true;
	assert_true(vcpu_is_off(v));
	assert_false(v->sched.runnable);
	v->sched.on_cpu = true;
	assert_false(vcpu_is_off(v));
	v->sched.on_cpu = false;
	d->pause_count = 0;
	assert_false(vcpu_is_off(v));
}

static long runstate_at(struct vcpu *by, u64 id, u64 gva)
{
	struct vcpu_register_runstate_memory_area a = { .addr.p = gva };

	return call(by, hc_vcpu_register_runstate, 5, id, &a);
}

static u64 word(u64 gva) { return *(u64 *)phys_to_virt(gva); }

static void runstate_areas_are_held(void **state)
{
	u64 inside = RAM_GFN * PAGE_SIZE + 64, across = 7 * PAGE_SIZE - 16;

	assert_int_equal(runstate_at(v, 0, inside + 4), -EFAULT);
	assert_int_equal(runstate_at(v, 1000, inside), -ENOENT);
	assert_int_equal(runstate_at(v, 0, PAGE_SIZE), -EFAULT);
	assert_int_equal(runstate_at(v, 0, FRAMES * PAGE_SIZE), -EFAULT);
	/* Not in what was lent: neither all of it, nor its end, nor its beginning. */
	assert_int_equal(runstate_at(v, 0, LENT_GFN * PAGE_SIZE), -EFAULT);
	assert_int_equal(runstate_at(v, 0, LENT_GFN * PAGE_SIZE - 8), -EFAULT);
	assert_int_equal(runstate_at(v, 0, (LENT_GFN + 1) * PAGE_SIZE - 8), -EFAULT);
	assert_int_equal(frame(LENT_GFN)->count, 1);
	assert_int_equal(frame(RAM_GFN)->count, 1);
	assert_null(v->runstate_page[0]);
	assert_int_equal(runstate_at(v, 0, inside), 0);
	assert_int_equal(frame(RAM_GFN)->count, 2);
	assert_int_equal((u32)word(inside), RUNSTATE_running);
	/* Another place gives the first back. */
	assert_int_equal(runstate_at(v, 0, across), 0);
	assert_true(frame(RAM_GFN)->count == 1 && frame(6)->count == 2 && frame(7)->count == 2);
	fake_time = 5000;
	d->runstate_update_flag = true;
	vcpu_set_runstate(v, RUNSTATE_running, 5000);
	assert_int_equal(word(across + 8), 5000);
	assert_int_equal(word(across + 16), v->runstate.time[RUNSTATE_running]);
	assert_int_equal(runstate_at(v, 0, inside), 0);
	assert_true(frame(RAM_GFN)->count == 2 && frame(6)->count == 1 && frame(7)->count == 1);
}

/* The 32-bit layout: 4-byte aligned, no padding after the state, across two pages too. */
static void runstate_areas_of_32_bits(void **state)
{
	u64 across = 7 * PAGE_SIZE - 20;
	const u32 *area = phys_to_virt(across);

	assert_int_equal(runstate_at(v, 0, (across + 2) | RUNSTATE_NARROW), -EFAULT);
	memset(phys_to_virt(across), 0x11, 64);
	d->runstate_update_flag = true;
	assert_int_equal(runstate_at(v, 0, across | RUNSTATE_NARROW), 0);
	assert_true(frame(6)->count == 2 && frame(7)->count == 2);
	fake_time = 7000;
	vcpu_set_runstate(v, RUNSTATE_running, 7000);
	assert_int_equal(area[0], RUNSTATE_running);
	assert_true(area[1] == 7000 && area[2] == 0);
	assert_memory_equal(area + 3, v->runstate.time, sizeof(v->runstate.time));
	assert_int_equal(area[11], 0x11111111);
}

/* Linux does this for each sibling after a restore. One that runs, or is just leaving its CPU, would write to the frame that is given back. */
static void runstate_areas_of_siblings(void **state)
{
	u64 inside = RAM_GFN * PAGE_SIZE + 64;
	struct vcpu *to = d->vcpu[1];

	to->pause_flags = 0;
	assert_int_equal(runstate_at(v, 1, inside), -EINVAL);
	to->pause_flags = VCPU_DOWN;
	to->sched.on_cpu = true;
	assert_int_equal(runstate_at(v, 1, inside), HC_AGAIN);
	assert_int_equal(to->pause_flags, VCPU_DOWN);
	to->sched.on_cpu = false;
	assert_int_equal(runstate_at(v, 1, inside + 4), -EFAULT);
	*(u64 *)phys_to_virt(inside) = 77;
	assert_int_equal(runstate_at(v, 1, inside), 0);
	assert_int_equal(to->pause_flags, VCPU_DOWN);
	assert_ptr_equal(to->runstate_page[0], frame(RAM_GFN));
	assert_int_equal(frame(RAM_GFN)->count, 2);
	/* Nothing is written before it runs. */
	assert_int_equal(word(inside), 77);
	vcpu_set_runstate(to, RUNSTATE_running, 100);
	assert_int_equal((u32)word(inside), RUNSTATE_running);
}

/* A guest that was restored has its clock from where it was saved: times that it names are moved to the machine's. */
static void times_of_a_restored_guest(void **state)
{
	d->clock.delta = 1000;
	assert_int_equal(clock_machine_time(&d->clock, 5000), 4000);
	assert_int_equal(clock_machine_time(&d->clock, 999), 0);
	d->clock.delta = (u64)-1000;
	assert_int_equal(clock_machine_time(&d->clock, 5000), 6000);
	assert_int_equal(clock_machine_time(&d->clock, ~0ull - 10), ~0ull);
	d->clock.delta = 0;
	assert_int_equal(clock_machine_time(&d->clock, 5000), 5000);
}

/* Time is in one state at a time, and all of it is. */
static void no_time_is_lost(void **state)
{
	struct vcpu_runstate_info *r = &v->runstate, copy;

	vcpu_set_runstate(v, RUNSTATE_running, 2000);
	assert_int_equal(r->time[RUNSTATE_offline], 1000);
	vcpu_set_runstate(v, RUNSTATE_blocked, 2500);
	v->wake_time = 2700;
	vcpu_set_runstate(v, RUNSTATE_running, 3000);
	assert_int_equal(r->time[RUNSTATE_running], 500);
	assert_int_equal(r->time[RUNSTATE_blocked], 200);
	assert_int_equal(r->time[RUNSTATE_runnable], 300);
	/* A wake-up from before it blocked, or noted only now. */
	vcpu_set_runstate(v, RUNSTATE_blocked, 3100);
	vcpu_set_runstate(v, RUNSTATE_running, 3200);
	assert_int_equal(r->time[RUNSTATE_blocked], 300);
	vcpu_set_runstate(v, RUNSTATE_blocked, 3300);
	v->wake_time = 3500;
	vcpu_set_runstate(v, RUNSTATE_running, 3400);
	assert_int_equal(r->time[RUNSTATE_blocked], 400);
	assert_int_equal(r->time[RUNSTATE_runnable], 300);
	assert_int_equal(r->time[0] + r->time[1] + r->time[2] + r->time[3], 3400 - 1000);
	assert_int_equal(v->counters->time[RUNSTATE_runnable], 300);
	assert_int_equal(call(v, hc_vcpu_get_runstate_info, 4, 0, &copy), 0);
	assert_memory_equal(&copy, r, sizeof(copy));
	assert_int_equal(call(v, hc_vcpu_get_runstate_info, 4, VCPUS, &copy), -ENOENT);
}

/* ---- timers ---- */

static void timers(void **state)
{
	struct vcpu_set_singleshot_timer t = { .timeout_abs_ns = 2000 };

	assert_int_equal(call(v, hc_vcpu_set_singleshot_timer, 8, 1, &t), -EINVAL);
	assert_int_equal(call(v, hc_vcpu_stop_singleshot_timer, 9, 1, NULL), -EINVAL);
	assert_int_equal(call(v, hc_vcpu_set_singleshot_timer, 8, 0, &t), 0);
	assert_true(v->timer.index && v->timer.expires == 2000 && fake_armed == 2000 && !raised);
	/* Past, or now: at once, unless the caller wants the future. */
	t.timeout_abs_ns = 1000;
	assert_int_equal(call(v, hc_vcpu_set_singleshot_timer, 8, 0, &t), 0);
	assert_true(!v->timer.index && raised == 1);
	t.flags = VCPU_SSHOTTMR_future;
	assert_int_equal(call(v, hc_vcpu_set_singleshot_timer, 8, 0, &t), -62);
	t.timeout_abs_ns = 1001;
	assert_int_equal(call(v, hc_vcpu_set_singleshot_timer, 8, 0, &t), 0);
	assert_true(v->timer.index && raised == 1);
	assert_int_equal(call(v, hc_vcpu_stop_singleshot_timer, 9, 0, NULL), 0);
	assert_false(v->timer.index);
	assert_int_equal(call(v, hc_set_timer_op, 3000, 0, NULL), 0);
	assert_true(v->timer.index && v->timer.expires == 3000);
	assert_int_equal(call(v, hc_set_timer_op, 0, 0, NULL), 0);
	assert_false(v->timer.index);
	v->timer.fn(v->timer.arg);
	assert_int_equal(raised, 2);
}

/* ---- sched_op ---- */

static long poll(const u32 *ports, u32 nr, u64 timeout)
{
	struct sched_poll p = { .nr_ports = nr, .timeout = timeout };

	p.ports.p = (void *)(uintptr_t)ports;
	return call(v, hc_sched_poll, 3, 0, &p);
}

static void polls_end(void **state)
{
	u32 ports[129] = { 9, 70 };

	assert_int_equal(poll(ports, 1, 5000), 0);
	assert_true(v->pause_flags & VCPU_BLOCKED && v->poll_port == 9 && d->pollers == 1 && v->poll_timer.index);
	/* The time is over. */
	v->poll_timer.fn(v->poll_timer.arg);
	assert_true(!v->pause_flags && !v->poll_port);
	vcpu_poll_end(v);
	assert_true(!d->pollers && !(v->attention & VCPU_POLLS) && !v->poll_timer.index);
	/* Several ports; and a second poll before the first is over is one poller still. */
	assert_int_equal(poll(ports, 2, 0), 0);
	assert_true(v->poll_port == ~0u && !v->poll_timer.index);
	vcpu_wake(v);
	assert_int_equal(poll(ports, 1, 0), 0);
	assert_int_equal(d->pollers, 1);
	vcpu_wake(v);
	vcpu_poll_end(v);
	/* A port that has rung, or an event for the vCPU: there is nothing to wait for. */
	d->shared->evtchn_pending[1] = BIT(6);
	assert_int_equal(poll(ports, 2, 0), 0);
	assert_false(v->pause_flags);
	d->shared->evtchn_pending[1] = 0;
	v->info->evtchn_upcall_pending = 1;
	assert_int_equal(poll(ports, 2, 0), 0);
	assert_false(v->pause_flags);
	v->info->evtchn_upcall_pending = 0;
	vcpu_poll_end(v);
}

static void wrong_polls_are_refused(void **state)
{
	u32 ports[129] = { 1023 };

	assert_int_equal(poll(ports, 129, 1), -EINVAL);
	assert_int_equal(poll(ports, ~0u, 1), -EINVAL);
	assert_int_equal(poll(NULL, 1, 1), -EFAULT);
	ports[127] = 1024;
	assert_int_equal(poll(ports, 128, 1), -EINVAL);
	assert_true(!v->pause_flags && !d->pollers);
	ports[127] = 5;
	assert_int_equal(poll(ports, 128, 1), 0);
	assert_true(v->pause_flags & VCPU_BLOCKED);
	vcpu_poll_end(v);
}

static void shutdowns(void **state)
{
	struct sched_shutdown s = { .reason = SHUTDOWN_MAX + 1 };
	struct sched_remote_shutdown r = { .domain_id = 3, .reason = SHUTDOWN_reboot };
	struct domain other = { .domid = 4 };
	struct vcpu by = { .domain = &other };

	assert_int_equal(call(v, hc_sched_shutdown, 2, 0, &s), -EINVAL);
	s.reason = SHUTDOWN_MAX;
	assert_int_equal(call(v, hc_sched_shutdown, 2, 0, &s), 0);
	assert_int_equal(call(v, hc_sched_remote_shutdown, 4, 0, &r), -EINVAL);
	assert_int_equal(shutdown, 1);
	assert_int_equal(call(&by, hc_sched_remote_shutdown, 4, 0, &r), 0);
	r.reason = SHUTDOWN_MAX + 1;
	assert_int_equal(call(&by, hc_sched_remote_shutdown, 4, 0, &r), -EINVAL);
	r = (struct sched_remote_shutdown){ .domain_id = 9 };
	assert_int_equal(call(&by, hc_sched_remote_shutdown, 4, 0, &r), -ESRCH);
	assert_int_equal(shutdown, 2);
	/* `xenstore-write control/shutdown suspend` in the service domain itself: an error is what Linux resumes by. */
	s.reason = SHUTDOWN_suspend;
	v->domain->privileged = true;
	fake_log_clear();
	assert_int_equal(call(v, hc_sched_shutdown, 2, 0, &s), -EOPNOTSUPP);
	assert_int_equal(shutdown, 2);
	assert_logged("can't be suspended");
	v->domain->privileged = false;
	assert_int_equal(call(v, hc_sched_shutdown, 2, 0, &s), 0);
	assert_int_equal(shutdown, 3);
}

static void a_vcpu_without_memory_leaves_nothing(void **state)
{
	int allocs_before = (int)allocs, reserved_before = reserved;

	d->max_vcpus = VCPUS + 1;
	d->vcpu = realloc(d->vcpu, (VCPUS + 1) * sizeof(*d->vcpu));
	d->vcpu[VCPUS] = NULL;
	init_result = -ENOMEM;
	assert_int_equal(vcpu_create(d, VCPUS), -ENOMEM);
	init_result = 0;
	assert_null(d->vcpu[VCPUS]);
	assert_int_equal(destroyed, 1);
	assert_int_equal(allocs, allocs_before);
	assert_int_equal(reserved, reserved_before);
	d->max_vcpus = VCPUS;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
		TEST(a_new_one_is_down),
		TEST(an_event_is_not_slept_through),
		TEST(who_runs_elsewhere_is_made_to_look),
		TEST(the_last_word_counts),
		TEST(the_last_one_down_is_the_end),
		TEST(a_start_up_ipi_starts_who_waits),
		TEST(each_vcpu_has_the_clock),
		TEST(the_wall_clock_is_even_and_new),
		TEST(the_wall_clock_is_never_half_written),
		TEST(info_moves_once_and_fits),
		TEST(info_moves_when_no_cpu_uses_it),
		TEST(off_means_that_the_scheduler_knows),
		TEST(runstate_areas_are_held),
		TEST(runstate_areas_of_32_bits),
		TEST(runstate_areas_of_siblings),
		TEST(times_of_a_restored_guest),
		TEST(no_time_is_lost),
		TEST(timers),
		TEST(polls_end),
		TEST(wrong_polls_are_refused),
		TEST(shutdowns),
		TEST(a_vcpu_without_memory_leaves_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
