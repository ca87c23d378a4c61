/* units: vmm/record.c mm/buddy.c */
/* The record: rings that go round, slots of counters that are used again, and what the service domain may map. */
#include "tests/unit/fake.h"
#include "mm/page.h"
#include "vmm/domain.h"
#include "vmm/record.h"

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
		cmocka_unit_test(resources), cmocka_unit_test(a_panic),
	};

	return cmocka_run_group_tests(tests, setup, NULL);
}
