/* units: arch/x86/smp.c */
/* Waking the other CPUs: what they are sent, and what becomes of one that doesn't come, can't be called, or counts time apart. */
#include "tests/unit/fake.h"
#include <pthread.h>
#include <asm/insn.h>
#include <asm/lapic.h>
#include <asm/paging.h>
#include <asm/smp.h>
#include <asm/traps.h>

/* The boot code's. */
__asm__(".pushsection .data\n.globl ap_trampoline, ap_trampoline_end, ap_trampoline_cr3, ap_trampoline_gdtr, ap_trampoline_far, boot_gdt\n"
	"ap_trampoline:\nap_trampoline_gdtr: .skip 8\nap_trampoline_cr3: .skip 8\nap_trampoline_far: .skip 8\nap_trampoline_end:\n"
	"boot_gdt: .skip 32\n.popsection");
u64 boot_cr3, ap_cr3, ap_stack, fake_cr[5], fake_dr[8];
paddr_t image_phys;

static char sent[64];           /* I for INIT, S for a start-up IPI */
static bool comes, out_of_reach;
static u64 now, adjust[2] = { 1234, 1234 };
static __thread unsigned me;
static pthread_t thread;

void ap_main(void);
static void *other_cpu(void *arg)
{
	me = 1;
	ap_main();
	return NULL;
}

bool lapic_can_reach(u32 apic_id) { return !out_of_reach; }
void lapic_send_init(u32 apic_id) { __builtin_strcat(sent, "I"); }
void lapic_send_ipi(u32 apic_id, u8 vector) { }
void lapic_enable(void) { }

void lapic_send_sipi(u32 apic_id, u8 page)
{
	assert_int_equal(page, 8);
	__builtin_strcat(sent, "S");
	if (comes)
		assert_int_equal(pthread_create(&thread, NULL, other_cpu, NULL), 0);
}

int paging_map_stacks(unsigned cpu) { return 0; }
void paging_activate(void) { }
void desc_init_cpu(unsigned cpu) { }
/* As long as a CPU is on its way it doesn't get late. */
u64 time_now(void) { return comes ? now : (now += 1000000); }
void time_delay(u64 ns) { now += ns; }

bool rdmsr_safe(u32 msr, u64 *v)
{
	assert_int_equal(msr, MSR_TSC_ADJUST);
	*v = adjust[me];
	return true;
}

u64 rdmsr(u32 msr) { return adjust[me]; }
void wrmsr(u32 msr, u64 v) { adjust[me] = v; }

static void done(void) { pthread_exit(NULL); }

static bool start(u32 apic_id)
{
	sent[0] = 0;
	return smp_start(apic_id, 0x8000, done);
}

static void one_comes(void **state)
{
	comes = true;
	assert_true(start(2));
	pthread_join(thread, NULL);
	assert_string_equal(sent, "IS");
	assert_int_equal(nr_cpus, 2);
	assert_int_equal(percpu[1].apic_id, 2);
}

static void time_is_the_same(void **state)
{
	adjust[1] = (u64)-5000000;
	comes = true;
	assert_true(start(4));
	pthread_join(thread, NULL);
	assert_int_equal(adjust[1], 1234);
	assert_int_equal(adjust[0], 1234);
}

/* It is sent back to waiting, since the next one gets its stack. */
static void one_is_late(void **state)
{
	unsigned before = nr_cpus;

	comes = false;
	assert_false(start(6));
	assert_string_equal(sent, "ISSI");
	assert_int_equal(nr_cpus, before);
}

static void one_is_out_of_reach(void **state)
{
	out_of_reach = true;
	assert_false(start(0x17161514));
	assert_string_equal(sent, "");
	out_of_reach = false;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(one_comes),
		cmocka_unit_test(time_is_the_same),
		cmocka_unit_test(one_is_late),
		cmocka_unit_test(one_is_out_of_reach),
	};

	smp_init_boot_cpu(0);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
