/* units: arch/x86/traps.c arch/x86/mcheck.c */
/* What comes through a gate: exceptions, interrupts with vectors that a device has made up, and machine checks. */
#include "tests/unit/fake.h"
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>
#include <asm/insn.h>
#include <asm/lapic.h>
#include <asm/mcheck.h>
#include <asm/traps.h>

/* The linker's: no symbols, and one instruction that may fault. */
__asm__(".pushsection .data\n.globl image_start, text_end, ex_table, ex_table_end, ksym_count, ksym_table, ksym_names\n"
	"ex_table: .quad 0x1234, 0x5678\nex_table_end:\nimage_start:\ntext_end:\nksym_names:\nksym_count: .long 0\nksym_table: .skip 8\n.popsection");

u64 fake_cr[5];
_Thread_local u64 fake_dr[8];
static bool in_service[256];
static unsigned eois, devices;

void lapic_eoi(void)
{
	eois++;
	for (int v = 255; v >= 0; v--)
		if (in_service[v]) {
			in_service[v] = false;
			break;
		}
}

bool lapic_in_service(u8 vector) { return in_service[vector]; }
void lapic_stop_others(void) { }
u64 rdtsc(void) { static u64 t; return t += 1000000000; }
static void device(u8 vector) { devices++; lapic_eoi(); }

static const char *expected;
static void __noreturn restart(void) { _exit(expected && __builtin_strstr(fake_log, expected) ? 0 : 1); }

static u64 msrs[64];            /* from 0x179 on: MCG_CAP, MCG_STATUS; from 40 on 0x400 and what follows */
static u64 *msr(u32 n) { return n >= 0x400 && n < 0x418 ? &msrs[40 + n - 0x400] : n == 0x179 || n == 0x17a ? &msrs[n - 0x179] : NULL; }

bool rdmsr_safe(u32 n, u64 *v)
{
	if (!msr(n))
		return false;
	*v = *msr(n);
	return true;
}

bool wrmsr_safe(u32 n, u64 v)
{
	if (!msr(n))
		return false;
	*msr(n) = v;
	return true;
}

u64 rdmsr(u32 n) { abort(); }
void wrmsr(u32 n, u64 v) { abort(); }

void trap_handler(struct trap_frame *f);
static struct trap_frame gate(unsigned vector, u64 error)
{
	struct trap_frame f = { .vector = vector, .error = error, .rip = 0x1000 };

	trap_handler(&f);
	return f;
}

static int set_up(void **state)
{
	memset(in_service, 0, sizeof(in_service));
	memset(msrs, 0, sizeof(msrs));
	*msr(0x179) = 6;
	eois = devices = 0;
	traps_set_device_handler(device);
	traps_set_restart(restart);
	fake_log_clear();
	return 0;
}

/* In a child, for a panic is for good. */
static void panics(unsigned vector, u64 error, const char *text)
{
	int status;

	fflush(NULL);
	if (!fork()) {
		expected = text;
		gate(vector, error);
		_exit(2);
	}
	wait(&status);
	if (!WIFEXITED(status) || WEXITSTATUS(status))
		fail_msg("vector %u: no panic with \"%s\"", vector, text);
}

static void exceptions_are_bugs(void **state)
{
	for (unsigned v = 0; v < 32; v++)
		if (v != 2 && v != 18)
			panics(v, 0, "BOTHY PANIC: exception");
	assert_int_equal(eois, 0);
}

static void what_a_cpu_refuses_is_named(void **state)
{
	cpu_tries("SVM");
	panics(13, 0, "CPU 0 can't do what it says it can: SVM (exception 13 at 1000)");
	cpu_tries(NULL);
	panics(13, 0, "BOTHY PANIC: exception 13");
}

static void what_may_fault_goes_on_elsewhere(void **state)
{
	struct trap_frame f = { .vector = 13, .rip = 0x1234 };

	trap_handler(&f);
	assert_int_equal(f.rip, 0x5678);
}

/* Root of the service domain lets a device write any vector to where interrupts are sent. */
static void made_up_vectors_are_dropped(void **state)
{
	for (unsigned v = 0; v < 256; v++) {
		bool ours = v == VECTOR_KICK || v == VECTOR_TIMER || v == VECTOR_ERROR || v == VECTOR_SPURIOUS;
		bool devices_own = v >= VECTOR_DEVICE_FIRST && v <= VECTOR_DEVICE_LAST;

		if (v == 2)
			continue;       /* an NMI ends by its IRET; the APIC refuses this vector */
		in_service[v] = true;
		eois = devices = 0;
		gate(v, 0);
		/* Whatever it was, no other interrupt waits for it. */
		assert_false(in_service[v]);
		assert_int_equal(eois, 1);
		assert_int_equal(devices, devices_own);
		if (!ours && !devices_own)
			assert_logged("an interrupt that no device has");
	}
}

/* From an 8259, asked by a message: an EOI would end another's service, which is the service domain's to end. */
static void what_is_not_in_service_gets_no_eoi(void **state)
{
	in_service[0x71] = true;
	gate(VECTOR_SPURIOUS, 0);
	gate(0xf8, 0);
	interrupt_handle(0x0f);
	assert_true(in_service[0x71] && !eois && !devices);
}

static void a_timer_that_is_forged_is_armed_again(void **state)
{
	this_cpu()->timer_armed = 5;
	this_cpu()->look_around = 0;
	gate(VECTOR_TIMER, 0);
	assert_true(this_cpu()->timer_armed == ~0ull && this_cpu()->look_around && eois == 1);
}

static void an_init_by_a_message_is_ignored(void **state)
{
	gate(30, 1);
	assert_int_equal(eois, 0);
	/* It comes at any time: printing could wait for a lock that this CPU has. */
	assert_string_equal(fake_log, "");
	panics(30, 0, "exception 30");
}

static void a_machine_check_of_ring_0_is_the_end(void **state)
{
	this_cpu()->last_domid = 7;
	*msr(0x17a) = 5;
	*msr(0x401 + 8) = BIT(63) | BIT(61) | 0x11;
	*msr(0x401 + 16) = BIT(63) | 0x22;      /* corrected */
	panics(18, 0, "machine check on CPU 0 outside of guests, the last of which was of domain 7: status 5, bank 2, a000000000000011");
	/* Another CPU's, of which this one is told. */
	*msr(0x401 + 8) = 0;
	gate(18, 0);
	assert_int_equal(*msr(0x17a), 0);
	/* Nothing is known. */
	panics(18, 0, "machine check on CPU 0");
}

static void what_a_machine_check_leaves(void **state)
{
	static const struct { u64 status, error; enum mcheck is; } cases[] = {
		{ 0, 0, MCHECK_NONE }, { 1, 0, MCHECK_NONE }, { 5, 0, MCHECK_ELSEWHERE }, { 4, 0, MCHECK_FATAL },
		{ 5, BIT(63) | 1, MCHECK_ELSEWHERE }, { 5, BIT(61), MCHECK_ELSEWHERE }, { 5, BIT(63) | BIT(61), MCHECK_CONTAINED },
		{ 5, BIT(63) | BIT(61) | BIT(57), MCHECK_FATAL }, { 4, BIT(63) | BIT(61), MCHECK_FATAL },
		{ 0, BIT(63) | BIT(61), MCHECK_CONTAINED },
	};
	struct mcheck_error e;

	for (unsigned i = 0; i < ARRAY_SIZE(cases); i++) {
		*msr(0x17a) = cases[i].status;
		*msr(0x405) = cases[i].error;
		assert_int_equal(mcheck_take(&e), cases[i].is);
		/* Room for the next one. */
		assert_true(!*msr(0x17a) && !(*msr(0x405) & BIT(63)));
	}
	/* Before the start. */
	*msr(0x405) = BIT(63) | BIT(61) | 0x77;
	fake_cr[4] = CR4_PAE;
	mcheck_enable();
	assert_logged("CPU 0: a machine check before the start: bank 1, a000000000000077");
	assert_int_equal(fake_cr[4], CR4_PAE | CR4_MCE);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define TEST(f) cmocka_unit_test_setup(f, set_up)
		TEST(exceptions_are_bugs),
		TEST(what_a_cpu_refuses_is_named),
		TEST(what_may_fault_goes_on_elsewhere),
		TEST(made_up_vectors_are_dropped),
		TEST(what_is_not_in_service_gets_no_eoi),
		TEST(a_timer_that_is_forged_is_armed_again),
		TEST(an_init_by_a_message_is_ignored),
		TEST(a_machine_check_of_ring_0_is_the_end),
		TEST(what_a_machine_check_leaves),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
