/* units: arch/x86/smp.c */
/* Waking the other CPUs: what they are sent, and what becomes of one that doesn't come, can't be called, or counts time apart. */
#include "tests/unit/fake.h"
#include <pthread.h>
#include <sched.h>
#include <asm/insn.h>
#include <asm/lapic.h>
#include <asm/paging.h>
#include <asm/smp.h>
#include <asm/stacks.h>
#include <asm/traps.h>

/* The boot code's. */
__asm__(".pushsection .data\n.globl ap_trampoline, ap_trampoline_end, ap_trampoline_cr3, ap_trampoline_gdtr, ap_trampoline_far, boot_gdt\n"
	"ap_trampoline:\nap_trampoline_gdtr: .skip 8\nap_trampoline_cr3: .skip 8\nap_trampoline_far: .skip 8\nap_trampoline_end:\n"
	"boot_gdt: .skip 32\n.popsection");
u64 boot_cr3, ap_cr3, ap_stack, fake_cr[5];
_Thread_local u64 fake_dr[8];
paddr_t image_phys;

enum { CPUS = NR_CPUS };

extern u32 ap_turn, ap_id_leaf;
static char sent[CPUS][64];     /* by APIC id: I for INIT, S for a start-up IPI */
static enum { COMES, IS_LATE, NEVER, OUT_OF_REACH } kind[CPUS];
static u64 now, adjust[2] = { 1234, 1234 };
static __thread unsigned me;    /* the boot CPU is 0, the others are 1 */
static pthread_t thread[CPUS];
static u32 has_turn[CPUS];      /* [a] was called, and came */
static u32 running[CPUS];       /* [a] has reached its `main` */
static unsigned stacks_left;
static bool has_leaf_b;

struct cpuid_regs cpuid(u32 leaf, u32 sub)
{
	assert_int_equal(leaf, 0xb);
	return (struct cpuid_regs){ .b = has_leaf_b };
}

/* What entry.S does until it is in C: one at a time has the stack, and only the one that is called. */
static void take_turn(u32 id)
{
	for (u32 turn = id; !__atomic_compare_exchange_n(&ap_turn, &turn, ~0u, false, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE); turn = id)
		sched_yield();
	__atomic_store_n(&has_turn[id], 1, __ATOMIC_RELEASE);
}

void ap_main(void);
static void *other_cpu(void *arg)
{
	me = 1;
	take_turn((u32)(u64)arg);
	ap_main();
	return NULL;
}

static void done(void)
{
	for (unsigned i = 1; i < CPUS; i++)
		if (pthread_equal(thread[i], pthread_self()))
			__atomic_store_n(&running[i], 1, __ATOMIC_RELEASE);
	pthread_exit(NULL);
}

bool lapic_can_reach(u32 apic_id) { return kind[apic_id] != OUT_OF_REACH; }
void lapic_send_init(u32 apic_id) { __builtin_strcat(sent[apic_id], "I"); }
void lapic_send_ipi(u32 apic_id, u8 vector) { }
void lapic_enable(void) { }

void lapic_send_sipi(u32 apic_id, u8 page)
{
	assert_int_equal(page, 8);
	__builtin_strcat(sent[apic_id], "S");
	/* One that runs already takes no notice. */
	if (kind[apic_id] == COMES && !thread[apic_id])
		assert_int_equal(pthread_create(&thread[apic_id], NULL, other_cpu, (void *)(u64)apic_id), 0);
}

int paging_map_stacks(unsigned cpu) { return stacks_left-- ? 0 : -ENOMEM; }
void paging_activate(void) { }
void desc_init_cpu(unsigned cpu) { assert_int_equal(ap_stack, stack_top(cpu, STACK_MAIN)); }
void time_delay(u64 ns) { now += ns; }

/* As long as a CPU is on its way it hardly gets later. */
u64 time_now(void)
{
	bool on_its_way = false;

	for (unsigned i = 0; i < CPUS; i++) {
		if (kind[i] == IS_LATE && now > 1500000000 && !thread[i])
			assert_int_equal(pthread_create(&thread[i], NULL, other_cpu, (void *)(u64)i), 0);
		on_its_way |= thread[i] && !__atomic_load_n(&has_turn[i], __ATOMIC_ACQUIRE);
	}
	if (on_its_way)
		sched_yield();
	now += on_its_way ? 1000 : 500000;
	return now;
}

bool rdmsr_safe(u32 msr, u64 *v)
{
	assert_int_equal(msr, MSR_TSC_ADJUST);
	*v = adjust[me];
	return true;
}

u64 rdmsr(u32 msr) { return adjust[me]; }
void wrmsr(u32 msr, u64 v) { adjust[me] = v; }

static int set_up(void **state)
{
	memset(sent, 0, sizeof(sent));
	memset(kind, 0, sizeof(kind));
	memset(thread, 0, sizeof(thread));
	memset(has_turn, 0, sizeof(has_turn));
	memset(running, 0, sizeof(running));
	now = 0;
	stacks_left = CPUS;
	nr_cpus = 1;
	fake_log_clear();
	return 0;
}

/* Starts CPUs with the APIC ids 1 to nr, and waits until those that came are where they should be. */
static void start(unsigned nr)
{
	u32 ids[CPUS];

	for (unsigned i = 0; i < nr; i++)
		ids[i] = i + 1;
	smp_start(ids, nr, 0x8000, done);
	for (unsigned i = 1; i < CPUS; i++) {
		if (!thread[i])
			continue;
		pthread_join(thread[i], NULL);
		assert_true(running[i]);
	}
	/* Whoever comes now finds nobody who calls. */
	assert_int_equal(ap_turn, ~0u);
}

static void one_comes(void **state)
{
	start(1);
	assert_int_equal(nr_cpus, 2);
	assert_int_equal(percpu[1].apic_id, 1);
	assert_true(sent[1][0] == 'I' && sent[1][1] == 'S' && !__builtin_strchr(sent[1] + 1, 'I'));
}

/* Each gets a number of its own, also where they come all at once. */
static void all_come(void **state)
{
	start(CPUS - 1);
	assert_int_equal(nr_cpus, CPUS);
	for (unsigned i = 1; i < CPUS; i++)
		for (unsigned j = i + 1; j < CPUS; j++)
			assert_int_not_equal(percpu[i].apic_id, percpu[j].apic_id);
	assert_not_logged("left out");
}

static void time_is_the_same(void **state)
{
	adjust[1] = (u64)-5000000;
	start(1);
	assert_int_equal(adjust[1], 1234);
	assert_int_equal(adjust[0], 1234);
}

/* It is called again and again, and the others don't wait for it. */
static void one_is_late(void **state)
{
	kind[2] = IS_LATE;
	start(5);
	assert_int_equal(nr_cpus, 6);
	assert_int_equal(percpu[5].apic_id, 2);
	assert_string_equal(sent[2], "ISS");
	assert_not_logged("left out");
}

/* It is sent back to waiting, for the page where it would begin is another's later. */
static void one_never_comes(void **state)
{
	kind[2] = NEVER;
	start(5);
	assert_int_equal(nr_cpus, 5);
	assert_string_equal(sent[2], "ISSI");
	assert_logged("APIC id 2 does not start");
	assert_int_not_equal(percpu[4].apic_id, 2);
}

static void one_is_out_of_reach(void **state)
{
	kind[1] = OUT_OF_REACH;
	start(2);
	assert_int_equal(nr_cpus, 2);
	assert_int_equal(percpu[1].apic_id, 2);
	assert_string_equal(sent[1], "");
	assert_logged("APIC id 1 does not start");
}

static void no_memory_for_the_last(void **state)
{
	stacks_left = 2;
	start(3);
	assert_int_equal(nr_cpus, 3);
	assert_logged("APIC id 3 does not start");
}

static void their_id_is_where_cpuid_has_it(void **state)
{
	start(1);
	assert_int_equal(ap_id_leaf, 1);
	set_up(state);
	has_leaf_b = true;
	start(1);
	assert_int_equal(ap_id_leaf, 0xb);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(one_comes, set_up),
		cmocka_unit_test_setup(all_come, set_up),
		cmocka_unit_test_setup(time_is_the_same, set_up),
		cmocka_unit_test_setup(one_is_late, set_up),
		cmocka_unit_test_setup(one_never_comes, set_up),
		cmocka_unit_test_setup(one_is_out_of_reach, set_up),
		cmocka_unit_test_setup(no_memory_for_the_last, set_up),
		cmocka_unit_test_setup(their_id_is_where_cpuid_has_it, set_up),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
