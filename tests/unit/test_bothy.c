/* units: dom0-lite/bothy/decode.c dom0-lite/bothy/guests.c dom0-lite/bothy/ring.c dom0-lite/bothy/trace.c */
/* The service domain's tool: names for numbers, rings that are written while they are read, and traces that other programs can read. */
#include "tests/unit/fake.h"
#include <xen/domctl.h>
#include "dom0-lite/bothy/bothy.h"
#include <signal.h>
#include <stdlib.h>
#include <sys/time.h>

enum { RING = 1024 };

static struct record ring[RING];
static const struct record_machine machine = { .tsc_khz = 1000000, .tsc_base = 1000, .ring = RING };

const char *guest_name(u32 domid) { return domid ? "we\"b</script>" : "Domain-0"; }
u64 ticks_to_ns(const struct record_machine *m, u64 ticks) { return ticks * 1000000 / m->tsc_khz; }

static char described[512];

static void describe(void *to, const char *name, const char *value, bool number)
{
	char *at = described + __builtin_strlen(described);

	snprintf(at, sizeof(described) - (size_t)(at - described), "%s=%s%s ", name, value, number ? "" : "'");
}

/* The words of an exit or event, as text; what all exits have is left out. */
static const char *words(u32 kind, u64 a, u64 b)
{
	struct record r = { .rip = 0x1234, .x = { .reason = kind, .word = { a, b } } };
	char *rip;

	described[0] = '\0';
	record_fields(&r, describe, NULL);
	rip = __builtin_strstr(described, "rip=");
	if (rip)
		*rip = '\0';
	return described;
}

static void names(void **state)
{
	struct record r = { .x = { .reason = EXIT_HYPERCALL, .call = { .row = 1 } } };

	assert_string_equal(kind_label(EXIT_NPF), "nested page fault");
	assert_string_equal(kind_label(RECORD_WAKE), "wakes");
	assert_string_equal(kind_label(EXIT_REASONS), "?");
	assert_string_equal(kind_label(~0u), "?");
	assert_string_equal(record_label(&r), "xen_version version");
	assert_string_equal(call_label(0), "unknown hypercall");
	assert_string_equal(call_label(call_rows() + 1), "unknown hypercall");
	assert_true(call_rows() > 100 && call_rows() < RECORD_CALLS);
	/* Every kind has a name, and fields that can be read. */
	for (u32 k = 0; k < EXIT_REASONS; k++) {
		assert_string_not_equal(kind_label(k), "?");
		words(k, ~0ull, ~0ull);
	}
	for (u32 k = RECORD_EVENTS + 1; k < RECORD_KINDS; k++) {
		assert_string_not_equal(kind_label(k), "?");
		words(k, ~0ull, ~0ull);
	}
}

/* Laid down by the fields of struct vm_exit, read back by the table's. */
static void fields(void **state)
{
	struct vm_exit x = { .reason = EXIT_IO, .io = { .port = 0x3f8, .size = 2, .in = true } };

	assert_string_equal(words(EXIT_IO, x.word[0], x.word[1]), "port=0x3f8' bytes=2 direction=in' ");
	x = (struct vm_exit){ .npf = { .gpa = 0xfee00000, .write = true, .present = true } };
	assert_string_equal(words(EXIT_NPF, x.word[0], x.word[1]), "address=0xfee00000' write=1 fetch=0 present=1 ");
	x = (struct vm_exit){ .exc = { .vector = 17, .error = 5 } };
	assert_string_equal(words(EXIT_EXCEPTION, x.word[0], x.word[1]), "vector=17 error=0x5' ");
	x = (struct vm_exit){ .cpuid = { .leaf = 0x40000001, .subleaf = 2 } };
	assert_string_equal(words(EXIT_CPUID, x.word[0], x.word[1]), "leaf=0x40000001' subleaf=2 ");
	x = (struct vm_exit){ .msr = { .index = 0x830, .value = 0xabc } };
	assert_string_equal(words(EXIT_WRMSR, x.word[0], x.word[1]), "msr=0x830' value=0xabc' ");
	x = (struct vm_exit){ .call = { .row = 1, .result = (u64)-14 } };
	assert_string_equal(words(EXIT_HYPERCALL, x.word[0], x.word[1]), "call=xen_version version' result=-14 ");
	x = (struct vm_exit){ .call = { .op = 40 | 7 << 8, .result = (u64)-38 } };
	assert_string_equal(words(EXIT_HYPERCALL, x.word[0], x.word[1]), "call=unknown hypercall' number=40 sub-op=7 result=-38 ");
	assert_string_equal(words(RECORD_STOP, 2, 0), "why=blocked' ");
	assert_string_equal(words(RECORD_STOP, 9, 0), "why=9' ");
	assert_string_equal(words(RECORD_SHUTDOWN, 5, 0), "reason=soft reset' ");
	assert_string_equal(words(RECORD_RUN, 1500, 0), "waited=1500 ns' ");
	assert_string_equal(words(RECORD_LOG, XEN_DOMCTL_SHADOW_OP_OFF, 7), "op=off' round=0 frames=7 ");
	assert_string_equal(words(RECORD_LOG, XEN_DOMCTL_SHADOW_OP_ENABLE_LOGDIRTY | 1 << 8, 7), "op=on' round=1 frames=7 ");
	assert_string_equal(words(RECORD_LOG, XEN_DOMCTL_SHADOW_OP_CLEAN | 3 << 8, 7), "op=clean' round=3 frames=7 ");
	assert_string_equal(words(RECORD_LOG, XEN_DOMCTL_SHADOW_OP_PEEK | 3 << 8, 7), "op=peek' round=3 frames=7 ");
}

static void write_one(u64 *head, u32 cost)
{
	ring[*head % RING] = (struct record){ .tsc = 5000 + *head * 10, .cost = cost, .domid = 1, .x = { .reason = EXIT_HLT } };
	++*head;
}

static void rings(void **state)
{
	struct samples t = { 0 };
	u64 head = 0, next = 0;

	ring_read(ring, &head, RING, &next, 0, &t);
	assert_int_equal(t.nr, 0);
	for (int i = 0; i < 10; i++)
		write_one(&head, 3);
	/* One is still under way: it is read when it is done. */
	write_one(&head, 0);
	ring_read(ring, &head, RING, &next, 4, &t);
	assert_int_equal(t.nr, 10);
	assert_int_equal(t.s[9].cpu, 4);
	ring_read(ring, &head, RING, &next, 4, &t);
	assert_int_equal(t.nr, 10);
	ring[10].cost = 3;
	ring_read(ring, &head, RING, &next, 4, &t);
	assert_int_equal(t.nr, 11);
	assert_int_equal(t.lost, 0);
	/* Too late: some are overwritten. All are counted, as read or as lost, and those read are in order. */
	for (int i = 0; i < 3 * RING; i++)
		write_one(&head, 3);
	ring_read(ring, &head, RING, &next, 4, &t);
	assert_int_equal(t.nr + t.lost, head);
	assert_true(t.lost > 0);
	assert_int_equal(t.s[t.nr - 1].r.tsc, 5000 + (head - 1) * 10);
	for (size_t i = 12; i < t.nr; i++)
		assert_int_equal(t.s[i].r.tsc, t.s[i - 1].r.tsc + 10);
	free(t.s);
}

static void busy_rings(void **state)
{
	struct samples t = { 0 };
	u64 head = 0, next = 0;

	/* The oldest are given up before they are overwritten under the reader's hands: a quarter of the ring is left to the writer. */
	while (head < RING - 200)
		write_one(&head, 3);
	ring_read(ring, &head, RING, &next, 0, &t);
	assert_int_equal(t.nr, RING - 256);
	assert_int_equal(t.lost, 56);
	assert_int_equal(next, head);
	/* An exit that never gets its cost, since its vCPU is gone, is waited for only while 64 records follow. */
	t.nr = t.lost = 0;
	write_one(&head, 0);
	for (int i = 0; i < 63; i++)
		write_one(&head, 3);
	ring_read(ring, &head, RING, &next, 0, &t);
	assert_int_equal(t.nr, 0);
	write_one(&head, 3);
	ring_read(ring, &head, RING, &next, 0, &t);
	assert_int_equal(t.nr, 65);
	free(t.s);
}

/* The hypervisor goes on whenever it likes: a signal interrupts the reader anywhere, and leaves a record half written. */
static u64 busy_head;

static void write_half(bool whole)
{
	struct record *r = &ring[busy_head % RING];

	*r = (struct record){ .tsc = busy_head, .rip = whole ? busy_head : ~0ull, .cost = 1, .x = { .reason = EXIT_HLT } };
}

static void meanwhile(int signal)
{
	static const u16 steps[] = { 0, 1, 254, 255, 256, 257, 300, RING - 1, RING, 3 * RING };
	static u32 chance;
	u32 n = steps[(chance = chance * 1664525 + 1013904223) >> 16 & 0xff ? (chance >> 16) % ARRAY_SIZE(steps) : 0];

	do {
		write_half(true);
		__atomic_store_n(&busy_head, busy_head + 1, __ATOMIC_RELEASE);
	} while (n--);
	write_half(false);
}

static void rings_that_are_written_meanwhile(void **state)
{
	struct itimerval often = { { 0, 30 }, { 0, 30 } }, never = { { 0, 0 }, { 0, 0 } };
	struct samples t = { 0 };
	u64 next = 0;

	signal(SIGALRM, meanwhile);
	setitimer(ITIMER_REAL, &often, NULL);
	for (unsigned i = 0; i < 60000; i++) {
		u64 from = next, lost = t.lost;

		t.nr = 0;
		ring_read(ring, &busy_head, RING, &next, 0, &t);
		assert_int_equal(t.nr + t.lost - lost, next - from);
		for (size_t k = 0; k < t.nr; k++) {
			assert_int_equal(t.s[k].r.rip, t.s[k].r.tsc);
			assert_int_equal(t.s[k].r.tsc, next - t.nr + k);
		}
	}
	setitimer(ITIMER_REAL, &never, NULL);
	assert_true(t.lost > 0);
	free(t.s);
}

/* ---- guests ---- */

static struct record_vcpu counters[4];
u32 source_slots(struct source *s) { return ARRAY_SIZE(counters); }
u64 system_time(const struct source *s) { return 10000; }

bool source_counters(struct source *s, u32 n, struct record_vcpu *out)
{
	*out = counters[n];
	return out->who != ~0ull;
}

static void longest_times(void **state)
{
	struct record_cpu cpus[3] = { { .irqs_off = { .tsc = 5, .ticks = 100, .reason = EXIT_NPF, .who = 3 | 2 << 16 } },
				      { .irqs_off = { .tsc = 6, .ticks = 300, .reason = EXIT_HYPERCALL, .row = 1, .who = 7, .switched = 1 } },
				      { .irqs_off = { .tsc = 0, .ticks = 900 } } };
	struct record_longest l;
	char text[64];
	u32 cpu = 99;

	assert_true(longest_read(&cpus[0].irqs_off, &l));
	longest_label(&l, text, sizeof(text));
	assert_string_equal(text, "nested page fault of d3v2");
	/* One that is being written is none. */
	assert_false(longest_read(&cpus[2].irqs_off, &l));
	assert_true(longest_of_all(cpus, 3, &l, &cpu));
	assert_int_equal(cpu, 1);
	longest_label(&l, text, sizeof(text));
	assert_string_equal(text, "xen_version version of d7v0, and a switch");
	l.reason = EXIT_REASONS;
	longest_label(&l, text, sizeof(text));
	assert_string_equal(text, "waking up");
	assert_false(longest_of_all(&cpus[2], 1, &l, &cpu));
}

/* A domain's figures are its vCPUs' sums, but for the largest, and what a vCPU does now counts as well. */
static void sums(void **state)
{
	struct guest g[4];

	counters[0] = (struct record_vcpu){ .who = 7 | 1 << 16, .state = 0, .since = 9000, .time = { 100, 20, 3 }, .exits[EXIT_HLT] = { 2, 50, 40 } };
	counters[1].who = ~0ull;
	counters[2] = (struct record_vcpu){ .who = 0, .state = 3, .since = 5000, .time = { 7 } };
	counters[3] = (struct record_vcpu){ .who = 7, .state = 2, .since = 9990, .time = { 100, 20, 3 }, .exits[EXIT_HLT] = { 1, 5, 5 }, .calls[3] = 9 };
	assert_int_equal(guests_read(NULL, g, 4), 2);
	assert_int_equal(g[0].domid, 0);
	assert_int_equal(g[0].run, 7);
	assert_int_equal(g[1].vcpus, 2);
	assert_int_equal(g[1].run, 200 + 1000);
	assert_int_equal(g[1].steal, 40);
	assert_int_equal(g[1].blocked, 6 + 10);
	assert_true(g[1].exits[EXIT_HLT].count == 3 && g[1].exits[EXIT_HLT].sum == 55 && g[1].exits[EXIT_HLT].max == 40);
	assert_int_equal(guest_exits(&g[1]), 3);
	assert_int_equal(g[1].calls[3], 9);
	/* No room for another domain: the first ones are whole. */
	assert_int_equal(guests_read(NULL, g, 1), 1);
	assert_int_equal(g[0].vcpus, 2);
}

static char *written(void (*write)(FILE *, const struct record_machine *, const struct samples *, int), int only)
{
	static struct sample s[] = {
		{ { .tsc = 4000, .cost = 500, .rip = 0x99, .domid = 1, .vcpu = 2, .injected = 243, .x = { .reason = EXIT_HYPERCALL, .call.row = 1 } }, 1 },
		{ { .tsc = 2000, .domid = 1, .vcpu = 2, .x = { .reason = RECORD_RUN, .word = { 300 } } }, 1 },
		{ { .tsc = 6000, .domid = 1, .vcpu = 2, .x = { .reason = RECORD_STOP, .word = { 2 } } }, 1 },
		{ { .tsc = 7000, .domid = 0, .vcpu = RECORD_NO_VCPU, .x = { .reason = RECORD_PAUSE } }, 0 },
	};
	struct samples t = { s, ARRAY_SIZE(s), 0, 0 };
	char *text = NULL;
	size_t size;
	FILE *f = open_memstream(&text, &size);

	write(f, &machine, &t, only);
	fclose(f);
	return text;
}

#define assert_has(text, part) do { if (!__builtin_strstr(text, part)) fail_msg("no %s in %s", part, text); } while (0)

static void traces(void **state)
{
	char *text = written(trace_text, -1);

	assert_has(text, "0.000003000 1 d1v2   xen_version version call=xen_version version result=0 rip=0x99 injected=243 took=500ns\n");
	assert_has(text, "d0     paused");
	free(text);
	text = written(trace_text, 0);
	assert_null(__builtin_strstr(text, "d1v2"));
	free(text);
	text = written(trace_json, -1);
	assert_has(text, "\"tid\":2,\"name\":\"xen_version version\",\"ts\":3.000,\"dur\":0.500,\"args\":{");
	assert_has(text, "\"injected\":243");
	assert_has(text, "vCPU 2\",\"ts\":1.000,\"dur\":4.000}");
	assert_has(text, "we\\u0022b\\u003c/script\\u003e");
	free(text);
	text = written(trace_html, -1);
	assert_has(text, "<title>");
	assert_null(__builtin_strstr(text, "@TRACE@"));
	free(text);
}

static void migrations(void **state)
{
	struct guest g = { 0 };
	char text[100];

	guest_migration(&g, text, sizeof(text));
	assert_string_equal(text, "");
	g.log = (struct record_log){ .round = 1, .frames = 40960 };
	guest_migration(&g, text, sizeof(text));
	assert_string_equal(text, "migrates: round 1; ");
	g.log = (struct record_log){ .round = 3, .frames = 2295, .ns = 1850000000 };
	guest_migration(&g, text, sizeof(text));
	assert_string_equal(text, "migrates: round 3, 2295 frames dirty, 1241/s; ");
	guest_migration(&g, text, 10);
	assert_string_equal(text, "migrates:");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(migrations), cmocka_unit_test(names), cmocka_unit_test(fields), cmocka_unit_test(rings), cmocka_unit_test(busy_rings), cmocka_unit_test(rings_that_are_written_meanwhile),
		cmocka_unit_test(longest_times), cmocka_unit_test(sums), cmocka_unit_test(traces),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
