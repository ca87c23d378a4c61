/* units: vmm/domain/record.c mm/buddy.c */
/* The record: rings that go round, slots of counters that are used again, and what the service domain may map. */
#include "tests/unit/fake.h"
#include "mm/page.h"
#include "vmm/domain.h"
#include "vmm/domain/record.h"
#include "vmm/vcpu.h"

static u64 tsc = 1;
u64 rdtsc(void) { return tsc; }

static struct domain domain = { .domid = 7 };
static struct vcpu vcpu = { .domain = &domain, .id = 3 };

static int setup(void **state)
{
	fake_memory_init(1024);
	page_add_range(MiB(1), MiB(4));
	record_init(12);
	for (fake_cpu = 0; fake_cpu < 2; fake_cpu++)
		record_init_cpu();
	fake_cpu = 0;
	nr_cpus = 2;
	return 0;
}

static void *frame(u32 id, u64 n) { return mfn_to_virt(record_frame(id, n)); }

static void the_machine(void **state)
{
	const struct record_machine *m = frame(RECORD_ID_MACHINE, 0);

	assert_int_equal(record_frames(RECORD_ID_MACHINE), 2);
	assert_int_equal(m->magic, RECORD_MAGIC);
	assert_int_equal(m->version, RECORD_VERSION);
	assert_int_equal(m->cpus, 2);
	assert_int_equal(m->rows, 12);
	assert_int_equal(m->ring, RECORD_RING);
	assert_ptr_equal(frame(RECORD_ID_MACHINE, 1), percpu[0].counters);
}

static void a_record(void **state)
{
	const struct record *r = percpu[1].records + percpu[1].counters->head % RECORD_RING;
	u64 head = percpu[1].counters->head;

	fake_cpu = 1;
	record_event(RECORD_RUN, &domain, &vcpu, 55, 66);
	fake_cpu = 0;
	assert_int_equal(percpu[1].counters->head, head + 1);
	assert_int_equal(r->x.reason, RECORD_RUN);
	assert_int_equal(r->domid, 7);
	assert_int_equal(r->vcpu, 3);
	assert_int_equal(r->x.word[0], 55);
	assert_int_equal(r->x.word[1], 66);
	assert_true(r->tsc > 0);
	record_event(RECORD_PAUSE, &domain, NULL, 0, 0);
	assert_int_equal(percpu[0].records[(percpu[0].counters->head - 1) % RECORD_RING].vcpu, RECORD_NO_VCPU);
}

/* The oldest is overwritten, and nothing beside the ring. */
static void goes_round(void **state)
{
	u64 head = percpu[0].counters->head, other = percpu[1].counters->head;

	for (u32 i = 0; i < 2 * RECORD_RING; i++)
		record_event(RECORD_WAKE, &domain, &vcpu, i, 0);
	assert_int_equal(percpu[0].counters->head, head + 2 * RECORD_RING);
	assert_int_equal(percpu[1].counters->head, other);
	for (u32 i = 0; i < RECORD_RING; i++)
		assert_int_equal(percpu[0].records[(head + i) % RECORD_RING].x.word[0], RECORD_RING + i);
}

static void counters(void **state)
{
	struct record_vcpu *c[5];
	u32 slots;

	for (u32 i = 0; i < 5; i++) {
		c[i] = record_vcpu_alloc(i);
		assert_non_null(c[i]);
		assert_int_equal(c[i]->who, i);
		memset(c[i]->calls, 0xff, sizeof(c[i]->calls));
	}
	slots = ((struct record_machine *)frame(RECORD_ID_MACHINE, 0))->vcpu_slots;
	assert_int_equal(slots, 6);
	assert_int_equal(record_frames(RECORD_ID_VCPUS), 3);
	/* Each is where a reader looks for it. */
	for (u32 i = 0; i < 5; i++)
		assert_true((u8 *)c[i] >= (u8 *)frame(RECORD_ID_VCPUS, i / 2) && (u8 *)c[i] < (u8 *)frame(RECORD_ID_VCPUS, i / 2) + PAGE_SIZE);
	record_vcpu_free(c[2]);
	record_vcpu_free(NULL);
	assert_int_equal(c[2]->who, ~0ull);
	assert_ptr_equal(record_vcpu_alloc(9), c[2]);
	assert_int_equal(c[2]->calls[5], 0);
	assert_int_equal(((struct record_machine *)frame(RECORD_ID_MACHINE, 0))->vcpu_slots, 6);
	for (u32 i = 0; i < 5; i++)
		record_vcpu_free(c[i]);
}

static void resources(void **state)
{
	assert_int_equal(record_frames(RECORD_ID_RING), 64);
	assert_int_equal(record_frames(RECORD_ID_RING + 1), 64);
	assert_int_equal(record_frames(RECORD_ID_RING + 2), 0);
	assert_int_equal(record_frames(~0u), 0);
	assert_ptr_equal(frame(RECORD_ID_RING + 1, 0), percpu[1].records);
	assert_ptr_equal(frame(RECORD_ID_RING + 1, 63), (u8 *)percpu[1].records + 63 * PAGE_SIZE);
}

/* ---- the longest time without interrupts ---- */

/* The vCPU's exit begins at `start`, and it goes on, or leaves the pCPU, at `end`: as vmm/run.c does. */
static void an_exit(u32 start, u32 end, u32 reason, u16 row)
{
	struct percpu *p = this_cpu();
	struct record *r = record_next(p);

	*r = (struct record){ .tsc_low = start, .who = 7 | 3 << 16, .x = { .reason = reason, .call.row = row } };
	p->last_exit = r;
	record_done(p);
	r->cost = end - start;
	record_irqs_on(p, r->cost);
}

/* The same for what is between two vCPUs. */
static void until(u32 end)
{
	struct record *r = this_cpu()->last_exit;

	r->cost = end - r->tsc_low;
	record_irqs_on(this_cpu(), r->cost);
}

static const struct record_longest *longest(u32 cpu) { return &percpu[cpu].counters->irqs_off; }

static void the_longest_is_kept(void **state)
{
	record_longest_reset();
	assert_int_equal(longest(0)->tsc, 0);
	tsc = 1000;
	an_exit(100, 150, EXIT_CPUID, 0);
	assert_int_equal(longest(0)->tsc, 1000);
	assert_int_equal(longest(0)->ticks, 50);
	assert_int_equal(longest(0)->reason, EXIT_CPUID);
	tsc = 2000;
	an_exit(200, 250, EXIT_HYPERCALL, 9);
	assert_int_equal(longest(0)->tsc, 1000);
	/* The counter's low half wraps. */
	an_exit(~0u - 9, 90, EXIT_HYPERCALL, 9);
	assert_int_equal(longest(0)->tsc, 2000);
	assert_int_equal(longest(0)->ticks, 100);
	assert_int_equal(longest(0)->row, 9);
	assert_int_equal(longest(0)->who, 7 | 3 << 16);
	assert_int_equal(longest(0)->switched, 0);
	/* Each CPU has its own. */
	assert_int_equal(longest(1)->tsc, 0);
	record_longest_reset();
	assert_int_equal(longest(0)->tsc, 0);
	an_exit(0, 1, EXIT_CPUID, 0);
	assert_int_equal(longest(0)->ticks, 1);
}

static void a_switch_goes_on_with_the_time(void **state)
{
	record_longest_reset();
	an_exit(1000, 1040, EXIT_HYPERCALL, 5);
	record_leave(this_cpu());
	/* On to the next vCPU, which is not entered either, and to a third. */
	until(1060);
	record_leave(this_cpu());
	tsc = 7;
	until(1090);
	assert_int_equal(longest(0)->ticks, 90);
	assert_int_equal(longest(0)->reason, EXIT_HYPERCALL);
	assert_int_equal(longest(0)->row, 5);
	assert_int_equal(longest(0)->switched, 1);
	/* As an exit it belongs to no vCPU. */
	assert_int_equal(this_cpu()->last_exit->x.reason, EXIT_REASONS);
}

static void idling_is_no_time(void **state)
{
	record_longest_reset();
	an_exit(1000, 1010, EXIT_HLT, 0);
	record_leave(this_cpu());
	until(1020);
	assert_int_equal(longest(0)->ticks, 20);
	tsc = 900000;
	record_irqs_off(this_cpu());
	until(900030);
	assert_int_equal(longest(0)->ticks, 30);
	assert_int_equal(longest(0)->reason, EXIT_REASONS);
	assert_int_equal(longest(0)->who, ~0ull);
	assert_int_equal(longest(0)->switched, 0);
}

/* Between two vCPUs each pCPU writes to a line of its own: one for all was in every CPU's way at each switch. */
static void no_line_is_shared(void **state)
{
	struct record *r[2];

	for (fake_cpu = 0; fake_cpu < 2; fake_cpu++) {
		record_irqs_off(this_cpu());
		r[fake_cpu] = this_cpu()->last_exit;
	}
	fake_cpu = 0;
	assert_true((u64)r[0] / 64 != (u64)r[1] / 64);
	assert_int_equal((u64)r[0] % 64, 0);
}

static void a_panic(void **state)
{
	fake_log_clear();
	record_event(RECORD_SHUTDOWN, &domain, NULL, 3, 0);
	record_dump();
	assert_logged("Last records of CPU 0");
	assert_logged("d7v255 shut down");
	assert_logged("Last records of CPU 1");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_machine), cmocka_unit_test(a_record), cmocka_unit_test(goes_round), cmocka_unit_test(counters),
		cmocka_unit_test(resources), cmocka_unit_test(the_longest_is_kept), cmocka_unit_test(a_switch_goes_on_with_the_time),
		cmocka_unit_test(idling_is_no_time), cmocka_unit_test(no_line_is_shared), cmocka_unit_test(a_panic),
	};

	return cmocka_run_group_tests(tests, setup, NULL);
}
