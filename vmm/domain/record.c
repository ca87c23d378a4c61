/*
 * The record: a ring of fixed-size records for each CPU, and a slot of counters for each vCPU.
 * Only its CPU writes a ring, with interrupts off, so there is no lock. The run loop writes exits
 * in place; all other records come through record_event(). Readers map the record read-only. They
 * read the head after a record, and discard the record if the ring has wrapped round to it.
 */
#include "vmm/domain/record.h"
#include <asm/insn.h>
#include <asm/page.h>
#include <asm/spinlock.h>
#include <asm/time.h>
#include "lib/string.h"
#include "mm/page.h"
#include "vmm/domain.h"
#include "vmm/vcpu.h"

#define RING_ORDER  6u
#define RING_FRAMES BIT(RING_ORDER)
#define SLOTS_MAX   8192u
#define IN_A_PAGE   (PAGE_SIZE / RECORD_VCPU_SLOT)
#define DUMPED      32u

_Static_assert(RECORD_RING * sizeof(struct record) == RING_FRAMES * PAGE_SIZE, "a ring is a block of the page allocator");
_Static_assert(NR_CPUS * sizeof(struct record_cpu) == PAGE_SIZE, "the machine's part is two pages");

static struct record_machine *machine;                      /* [I] */
static struct record_cpu *cpus;                             /* [I] the array; each element [c] */
/*
 * Each element [c]: stands in for the last exit of a vCPU that comes onto the CPU. The real exit's
 * reason is in x.len.
 */
static struct record between[NR_CPUS] __aligned(64);
static void *slots[SLOTS_MAX / IN_A_PAGE];                  /* [slots_lock] pages of counters, filled from the start */
static struct record_vcpu *free_slots;                      /* [slots_lock] linked through `since` */
static spinlock_t slots_lock = SPINLOCK(LOCK_RECORD);

static const char *const labels[RECORD_KINDS] = {
#define EXIT(name, label, fields) [EXIT_##name] = label,
#include <asm/exits.def>
#undef EXIT
#define EVENT(name, label, fields) [RECORD_##name] = label,
#include "vmm/domain/records.def"
#undef EVENT
};

void record_init(u32 rows)
{
	machine = page_alloc_zeroed();
	cpus = page_alloc_zeroed();
	if (!machine || !cpus)
		panic("no memory for the record");
	*machine = (struct record_machine){
		.magic = RECORD_MAGIC, .version = RECORD_VERSION, .ring = RECORD_RING, .rows = rows,
		.tsc_khz = time_scale.tsc_khz, .tsc_base = time_scale.tsc_base,
	};
}

void record_init_cpu(void)
{
	struct percpu *p = this_cpu();
	struct page *ring = page_alloc(RING_ORDER);

	if (!ring)
		panic("no memory for the record of CPU %u", p->cpu);
	p->records = page_to_virt(ring);
	memset(p->records, 0, RING_FRAMES * PAGE_SIZE);
	p->counters = &cpus[p->cpu];
	record_choose(p, NULL);
	record_irqs_off(p);
	__atomic_add_fetch(&machine->cpus, 1, __ATOMIC_SEQ_CST);
}

/* ---- the longest time without interrupts ---- */

void record_irqs_off(struct percpu *p)
{
	struct record *r = &between[p->cpu];

	*r = (struct record){ .who = ~0ull, .x = { .reason = EXIT_REASONS, .len = EXIT_REASONS } };
	r->tsc_low = rdtsc_low();
	p->last_exit = r;
}

void record_leave(struct percpu *p)
{
	struct record *r = &between[p->cpu];

	if (p->last_exit == r)
		return;
	*r = *p->last_exit;
	r->x.len = r->x.reason;
	r->x.reason = EXIT_REASONS;
	p->last_exit = r;
}

void record_longest(struct percpu *p)
{
	struct record_longest *l = &p->counters->irqs_off;
	const struct record *r = p->last_exit;
	bool switched = r->x.reason == EXIT_REASONS;
	u32 reason = switched ? r->x.len : r->x.reason;

	p->irqs_off = r->cost;
	__atomic_store_n(&l->tsc, 0, __ATOMIC_RELAXED);
	barrier();
	l->who = r->who;
	l->ticks = r->cost;
	l->reason = (u16)reason;
	l->row = reason == EXIT_HYPERCALL ? r->x.call.row : 0;
	l->switched = switched && reason != EXIT_REASONS;
	/* Release: a reader that finds the time also finds the rest. */
	__atomic_store_n(&l->tsc, rdtsc(), __ATOMIC_RELEASE);
}

void record_longest_reset(void)
{
	for (unsigned cpu = 0; cpu < nr_cpus; cpu++) {
		__atomic_store_n(&cpus[cpu].irqs_off.tsc, 0, __ATOMIC_RELAXED);
		__atomic_store_n(&percpu[cpu].irqs_off, 0, __ATOMIC_RELAXED);
	}
}

/* ---- counters ---- */

/* Adds a page of slots. Returns false without memory. slots_lock is held. */
static bool add_slots(void)
{
	u32 nr = machine->vcpu_slots;
	u8 *page = nr < SLOTS_MAX ? page_alloc_zeroed() : NULL;

	if (!page)
		return false;
	slots[nr / IN_A_PAGE] = page;
	for (u32 i = 0; i < IN_A_PAGE; i++) {
		struct record_vcpu *c = (struct record_vcpu *)(page + i * RECORD_VCPU_SLOT);

		c->who = ~0ull;
		c->since = (u64)free_slots;
		free_slots = c;
	}
	/* Release: a CPU that reads the number also finds the pages. */
	__atomic_store_n(&machine->vcpu_slots, nr + (u32)IN_A_PAGE, __ATOMIC_RELEASE);
	return true;
}

struct record_vcpu *record_vcpu_alloc(u64 who)
{
	struct record_vcpu *c = NULL;

	spin_lock(&slots_lock);
	if (free_slots || add_slots()) {
		c = free_slots;
		free_slots = (struct record_vcpu *)c->since;
	}
	spin_unlock(&slots_lock);
	if (c) {
		memset(c, 0, sizeof(*c));
		/* Release: no reader takes the counts of the slot's last user for this vCPU's. */
		__atomic_store_n(&c->who, who, __ATOMIC_RELEASE);
	}
	return c;
}

void record_vcpu_free(struct record_vcpu *c)
{
	if (!c)
		return;
	__atomic_store_n(&c->who, ~0ull, __ATOMIC_RELEASE);
	spin_lock(&slots_lock);
	c->since = (u64)free_slots;
	free_slots = c;
	spin_unlock(&slots_lock);
}

/* ---- records ---- */

void record_event(enum record_kind kind, const struct domain *d, const struct vcpu *v, u64 a, u64 b)
{
	struct percpu *p = this_cpu();
	struct record *r = &p->records[p->counters->head % RECORD_RING];

	*r = (struct record){
		.tsc = rdtsc(), .domid = d->domid, .vcpu = v ? (u8)v->id : RECORD_NO_VCPU, .x = { .reason = kind, .word = { a, b } },
	};
	/* As in record_done(). */
	barrier();
	p->counters->head++;
}

static void dump_one(const struct record *r)
{
	u32 kind = r->x.reason;
	const char *label = kind < RECORD_KINDS ? labels[kind] : NULL;

	printk(LOG_ERR "  %lx d%uv%u %-16s rip %lx, %lx %lx\n", r->tsc, r->domid, r->vcpu, label ?: "?",
	       r->rip, r->x.word[0], r->x.word[1]);
}

void record_dump(void)
{
	for (unsigned cpu = 0; cpu < nr_cpus; cpu++) {
		const struct record *ring = percpu[cpu].records;
		u64 head = ring ? percpu[cpu].counters->head : 0;

		printk(LOG_ERR "Last records of CPU %u, newest first:\n", cpu);
		for (u64 n = 1; n <= MIN(head, DUMPED); n++)
			dump_one(&ring[(head - n) % RECORD_RING]);
	}
}

/* ---- the service domain's view ---- */

u64 record_frames(u32 id)
{
	if (id == RECORD_ID_MACHINE)
		return 2;
	if (id == RECORD_ID_VCPUS)
		return __atomic_load_n(&machine->vcpu_slots, __ATOMIC_ACQUIRE) / IN_A_PAGE;
	return id - RECORD_ID_RING < nr_cpus ? RING_FRAMES : 0;
}

mfn_t record_frame(u32 id, u64 frame)
{
	if (id == RECORD_ID_MACHINE)
		return virt_to_mfn(frame ? (void *)cpus : machine);
	if (id == RECORD_ID_VCPUS)
		return virt_to_mfn(slots[array_index_nospec(frame, ARRAY_SIZE(slots))]);
	id = (u32)array_index_nospec(id - RECORD_ID_RING, NR_CPUS);
	return virt_to_mfn((u8 *)percpu[id].records + frame * PAGE_SIZE);
}
