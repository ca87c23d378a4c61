/* units: vmm/run.c */
/* The run loop: what it does with a vCPU's wishes before it enters the guest. Time and guests are the test's. */
#include "tests/unit/fake.h"
#include <asm/hvm.h>
#include <asm/time.h>
#include "sched/sched.h"
#include "sched/timer.h"
#include "vmm/apic/vlapic.h"
#include "vmm/domain.h"
#include "vmm/domain/record.h"
#include "vmm/exits.h"
#include "vmm/hypercall.h"
#include "vmm/life/life.h"
#include "vmm/vcpu.h"

static struct record ring[RECORD_RING];
static struct record_cpu cpu_counters;
static struct record_vcpu counters;
static struct vcpu_info info;
static struct domain domain = { .domid = 1 };
static struct vcpu v = { .domain = &domain, .info = &info, .counters = &counters };
static struct vcpu other = { .domain = &domain, .info = &info, .counters = &counters };
static struct vcpu *picked = &v;        /* by the scheduler */
static struct record last;
static jmp_buf out;
static unsigned rounds;                 /* exits until the test goes on */
static char did[64];                    /* what the loop called, in order */
static bool nmi_taken = true;

static void note(const char *what)
{
	assert_true(strlen(did) + strlen(what) < sizeof(did));
	memcpy(did + strlen(did), what, strlen(what) + 1);
}

u64 rdtsc(void) { return 1; }
u32 rdtsc_low(void) { return 1; }
u64 timer_run(unsigned cpu, u64 now) { return ~0ull; }
u64 timer_next(unsigned cpu) { return ~0ull; }
struct sched_entity *sched_pick(unsigned cpu, u64 now, u64 *until) { *until = ~0ull; return &picked->sched; }
void sched_switched(unsigned cpu) { }
void cpu_kick(unsigned cpu) { }
bool domain_reap(void) { return false; }
void record_event(enum record_kind kind, const struct domain *d, const struct vcpu *w, u64 a, u64 b) { note(kind == RECORD_STOP ? "stop " : ""); }
void record_sealed_exit(struct percpu *p) { note("exit "); }
void record_irqs_off(struct percpu *p) { p->last_exit = &last; }
void record_leave(struct percpu *p) { }
void record_longest(struct percpu *p) { }
void hvm_vcpu_load(struct vcpu *w) { }
void hvm_vcpu_save(struct vcpu *w) { }
bool vcpu_runnable(const struct vcpu *w) { return true; }
void vcpu_set_runstate(struct vcpu *w, int state, u64 now) { }
void vcpu_poll_end(struct vcpu *w) { note("poll "); vcpu_take(w, VCPU_POLLS); }
void vcpu_down(struct vcpu *w) { note("down "); }
bool vlapic_take_init(struct vcpu *w) { return vcpu_take(w, VCPU_INIT); }
void vlapic_take_sipi(struct vcpu *w) { }
int keeper_run(struct vcpu *w, char *why) { return 1; }
void domain_crash(struct domain *w, const char *fmt, ...) { fail(); }
int vlapic_next(struct vcpu *w) { return -1; }
void vlapic_offer(struct vcpu *w, u8 vector) { }
void vlapic_end_offer(struct vcpu *w, u8 vector, bool taken) { }
long hc_sched_yield(struct vcpu *w, struct hypercall *hc, void *arg) { note("yield "); return 0; }

static bool inject_nmi(struct vcpu *w) { note("nmi "); return nmi_taken; }
static void run(struct vcpu *w, struct vm_exit *x) { note("run "); }
static const struct hvm_ops ops = { .inject_nmi = inject_nmi, .run = run };
const struct hvm_ops *hvm = &ops;

void exit_handle(struct vcpu *w, struct vm_exit *x)
{
	if (!--rounds)
		longjmp(out, 1);
}

/* Runs the loop for n exits. */
static void loop(unsigned n)
{
	struct percpu *p = this_cpu();

	p->records = ring;
	p->counters = &cpu_counters;
	rounds = n;
	did[0] = 0;
	if (!setjmp(out))
		run_loop();
}

static void nothing_to_attend_to(void **state)
{
	v.attention = 0;
	loop(2);
	assert_string_equal(did, "run run ");
}

/* It gives way once for each exit that locked the bus, before it runs again. */
static void a_locked_bus_yields_once(void **state)
{
	v.attention = VCPU_BUS_LOCK;
	loop(2);
	assert_string_equal(did, "yield run run ");
	assert_int_equal(v.attention, 0);
}

static void an_nmi_is_kept_until_it_is_injected(void **state)
{
	v.attention = VCPU_NMI;
	nmi_taken = false;
	loop(1);
	assert_string_equal(did, "nmi run ");
	assert_int_equal(v.attention, VCPU_NMI);
	nmi_taken = true;
	loop(2);
	assert_string_equal(did, "nmi run run ");
	assert_int_equal(v.attention, 0);
}

static void a_poll_ends_and_an_init_stops(void **state)
{
	v.attention = VCPU_POLLS | VCPU_INIT | VCPU_BUS_LOCK;
	loop(1);
	assert_string_equal(did, "poll down yield run ");
	assert_int_equal(v.attention, 0);
}

/* The record has the last exit of a sealed vCPU before its end: here it is kept back until then. */
static void the_last_exit_is_recorded_before_the_stop(void **state)
{
	struct vcpu *first = this_cpu()->current;

	picked = first == &v ? &other : &v;
	loop(1);
	assert_string_equal(did, "exit stop run ");
	assert_ptr_equal(this_cpu()->current, picked);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(nothing_to_attend_to), cmocka_unit_test(a_locked_bus_yields_once),
		cmocka_unit_test(an_nmi_is_kept_until_it_is_injected), cmocka_unit_test(a_poll_ends_and_an_init_stops),
		cmocka_unit_test(the_last_exit_is_recorded_before_the_stop),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
