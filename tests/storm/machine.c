/* The machine of the storm: CPUs that are threads, memory that is an array, locks whose order is checked, interrupts, a clock and a log. */
#include <pthread.h>
#include <sched.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>
#include "tests/storm/storm.h"
#include <asm/insn.h>
#include <asm/lapic.h>
#include <asm/mcheck.h>
#include <asm/page.h>
#include <asm/paging.h>
#include <asm/time.h>
#include <asm/traps.h>
#include "drivers/power.h"
#include "drivers/console.h"
#include "vmm/exits.h"
#include "vmm/domain/record.h"


u8 storm_memory[STORM_MEMORY] __aligned(MiB(2));
struct percpu percpu[NR_CPUS];
unsigned nr_cpus = STORM_CPUS;
u32 storm_fence;
__thread unsigned storm_cpu = STORM_CPUS;       /* the thread that is none of the CPUs has what comes after them */
struct storm_options storm_options;
bool storm_stop, storm_leave, panic_reboots;

static u32 births[STORM_MEMORY / PAGE_SIZE];    /* [a] */
static struct { u32 kicked; } __aligned(64) interrupts[NR_CPUS];        /* [a] */

/* ---- counts ---- */

__thread struct storm_counts storm_counts;
static struct storm_counts sum;
static pthread_mutex_t sum_mutex = PTHREAD_MUTEX_INITIALIZER;

const struct storm_counts *storm_sum(void) { return &sum; }

static void add_counts(void)
{
	pthread_mutex_lock(&sum_mutex);
	for (unsigned i = 0; i < sizeof(sum) / 8; i++)
		((u64 *)&sum)[i] += ((u64 *)&storm_counts)[i];
	pthread_mutex_unlock(&sum_mutex);
}

/* ---- chance ---- */

static __thread u64 random_state;

u64 storm_random(void)
{
	u64 z = random_state += 0x9e3779b97f4a7c15ull;

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9ull;
	z = (z ^ z >> 27) * 0x94d049bb133111ebull;
	return z ^ z >> 31;
}

/* Mostly nothing; sometimes another thread comes first, and rarely for a while. */
void storm_hold_up(void)
{
	struct timespec t = { 0, 20000 };
	u64 r = storm_random();

	if (likely(r & 16383))
		return;
	if (!(r >> 14 & 7))
		nanosleep(&t, NULL);
	else
		sched_yield();
}

/* Whoever waits for another CPU lets it have one of the host's, but not at once: on a busy host the next turn may be far. */
static void wait_a_little(void)
{
	static __thread unsigned times;

	__builtin_ia32_pause();
	if (++times % 64 == 0)
		sched_yield();
}

void cpu_relax(void)
{
	wait_a_little();
}

/* ---- mistakes ---- */

static char said[64 * 1024];    /* what left by the serial line last; under the console's lock */
static size_t said_len;

void storm_mistake(const char *fmt, ...)
{
	static bool first = true;
	struct vcpu *v = this_cpu()->current;
	va_list args;

	/* Others may find its consequences meanwhile. */
	if (!__atomic_exchange_n(&first, false, __ATOMIC_SEQ_CST))
		for (;;)
			pause();
	fflush(stdout);
	fprintf(stderr, "---- the log ends so:\n%s---- storm: ", said + (said_len > 2000 ? said_len - 2000 : 0));
	va_start(args, fmt);
	vfprintf(stderr, fmt, args);
	va_end(args);
	fprintf(stderr, "\non CPU %u", storm_cpu);
	if (v)
		fprintf(stderr, ", d%uv%u", v->domain->domid, v->id);
	fprintf(stderr, "; seed %llu (SEED= repeats the guests' choices; the threads' order is the host's)\n", (unsigned long long)storm_options.seed);
	fflush(stderr);
	abort();
}

void bug(const char *file, int line, const char *what)
{
	storm_mistake("BUG: %s at %s:%d", what, file, line);
}

void panic(const char *fmt, ...)
{
	char text[256];
	va_list args;

	va_start(args, fmt);
	vsnprintf(text, sizeof(text), fmt, args);
	va_end(args);
	storm_mistake("panic: %s", text);
}

void machine_restart(void) { storm_mistake("the machine restarts"); }
void machine_power_off(void) { storm_mistake("the machine goes off"); }

/* ---- locks ---- */

#define MAX_HELD 16
static __thread spinlock_t *held[MAX_HELD];
static __thread unsigned nr_held;

unsigned storm_locks_held(void) { return nr_held; }

/* Two of a level: by number of the domain, and the run queues by where they are in their array. */
static bool in_order(const spinlock_t *first, const spinlock_t *second)
{
	switch (first->level) {
	case LOCK_EVTCHN:
		return container_of(first, struct domain, evtchn.lock)->domid < container_of(second, struct domain, evtchn.lock)->domid;
	case LOCK_GRANT:
		return container_of(first, struct domain, grant.lock)->domid < container_of(second, struct domain, grant.lock)->domid;
	case LOCK_RQ:
		return first < second;
	default:
		return false;
	}
}

static void note_lock(spinlock_t *l)
{
	if (!l->level)
		storm_mistake("a lock that was never initialised");
	for (unsigned i = 0; i < nr_held; i++)
		if (held[i] == l || held[i]->level > l->level || (held[i]->level == l->level && !in_order(held[i], l)))
			storm_mistake("a lock of level %u is taken while one of level %u is held", l->level, held[i]->level);
	if (nr_held == MAX_HELD)
		storm_mistake("too many locks");
	held[nr_held++] = l;
}

void spin_lock(spinlock_t *l)
{
	u16 ticket;

	note_lock(l);
	ticket = __atomic_fetch_add(&l->next, 1, __ATOMIC_RELAXED);
	while (__atomic_load_n(&l->owner, __ATOMIC_ACQUIRE) != ticket)
		wait_a_little();
}

/* It waits for nobody, but who has it may wait for others. */
bool spin_trylock(spinlock_t *l)
{
	if (!machine_spin_trylock(l))
		return false;
	note_lock(l);
	return true;
}

void spin_unlock(spinlock_t *l)
{
	for (unsigned i = 0; i < nr_held; i++)
		if (held[i] == l) {
			held[i] = held[--nr_held];
			__atomic_store_n(&l->owner, (u16)(l->owner + 1), __ATOMIC_RELEASE);
			return;
		}
	storm_mistake("an unlock without the lock");
}

/* ---- time and interrupts ---- */

struct time_scale time_scale = { .mul = 0x80000000, .shift = 1, .tsc_khz = 1000000 };
static u64 wall_sec = 1700000000;       /* [a] */

u64 time_now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (u64)t.tv_sec * 1000000000 + (u64)t.tv_nsec;
}

u64 time_tsc(void) { return time_now(); }
u64 time_at(u64 tsc) { return tsc; }
u64 rdtsc(void) { return time_now(); }
void time_arm(u64 deadline) { this_cpu()->timer_armed = deadline; }

void time_wallclock(u64 *sec, u32 *nsec)
{
	*sec = __atomic_load_n(&wall_sec, __ATOMIC_RELAXED);
	*nsec = 0;
}

void time_set_wallclock(u64 sec, u32 nsec, u64 system_time)
{
	__atomic_store_n(&wall_sec, sec - system_time / 1000000000, __ATOMIC_RELAXED);
}

void lapic_send_ipi(u32 apic_id, u8 vector)
{
	__atomic_store_n(&interrupts[apic_id].kicked, 1, __ATOMIC_SEQ_CST);
}

void cpu_kick(unsigned cpu)
{
	if (!__atomic_exchange_n(&percpu[cpu].look_around, 1, __ATOMIC_SEQ_CST) && cpu != storm_cpu)
		lapic_send_ipi(cpu, VECTOR_KICK);
}

bool storm_interrupt_pending(void)
{
	return __atomic_load_n(&interrupts[storm_cpu].kicked, __ATOMIC_SEQ_CST) || time_now() >= this_cpu()->timer_armed;
}

void interrupts_window(void)
{
	struct percpu *p = this_cpu();

	__atomic_store_n(&interrupts[storm_cpu].kicked, 0, __ATOMIC_SEQ_CST);
	if (time_now() >= p->timer_armed) {
		p->timer_armed = ~0ull;
		__atomic_store_n(&p->look_around, 1, __ATOMIC_SEQ_CST);
	}
}

/* An idle CPU. It never returns to a caller that is to leave. */
void interrupts_wait(void)
{
	struct timespec t = { 0, 50000 };

	while (!storm_interrupt_pending()) {
		if (__atomic_load_n(&storm_leave, __ATOMIC_SEQ_CST)) {
			if (nr_held)
				storm_mistake("an idle CPU holds a lock");
			add_counts();
			pthread_exit(NULL);
		}
		nanosleep(&t, NULL);
	}
	interrupts_window();
}

void interrupt_handle(u8 vector) { }
bool lapic_is_level(u8 vector) { return false; }
void lapic_eoi(void) { }
void traps_set_device_handler(void (*fn)(u8 vector)) { }

static void *cpu_thread(void *arg)
{
	storm_cpu = (unsigned)(uintptr_t)arg;
	random_state = storm_options.seed * (storm_cpu + 2);
	run_loop();
}

static pthread_t thread[STORM_CPUS];

void storm_run_cpus(void)
{
	for (uintptr_t cpu = 0; cpu < STORM_CPUS; cpu++)
		if (pthread_create(&thread[cpu], NULL, cpu_thread, (void *)cpu))
			storm_mistake("no thread");
}

void storm_join_cpus(void)
{
	for (unsigned cpu = 0; cpu < STORM_CPUS; cpu++)
		pthread_join(thread[cpu], NULL);
}

/* ---- ports, CPUID and MSRs ---- */

static u8 scratch;

/* A serial line where there is always room, and nothing comes in. */
u8 inb(u16 port) { return port == 0x3fd ? 0x60 : port == 0x3ff ? scratch : 0; }

void outb(u16 port, u8 v)
{
	if (port == 0x3ff)
		scratch = v;
	if (port != 0x3f8)
		return;
	if (said_len >= sizeof(said) - 1)
		said_len = 0;
	said[said_len++] = (char)v;
	said[said_len] = '\0';
	if (getenv("STORM_LOG"))
		fputc(v, stderr);
}

u32 inl(u16 port) { return ~0u; }
void outl(u16 port, u32 v) { }

struct cpuid_regs cpuid(u32 leaf, u32 sub) { return machine_cpuid(leaf, sub); }

u64 fake_cr[5];          /* of tests/include/asm: all CPUs have the same, */
_Thread_local u64 fake_dr[8];   /* and each its own of these */
void mcheck_enable(void) { }
enum mcheck mcheck_take(struct mcheck_error *e) { return MCHECK_NONE; }
u64 rdmsr(u32 msr) { return 0; }
void wrmsr(u32 msr, u64 v) { }
bool rdmsr_safe(u32 msr, u64 *v) { return false; }

/* ---- memory ---- */

static bool may_fail;

u32 storm_births(mfn_t mfn) { return __atomic_load_n(&births[mfn.v], __ATOMIC_ACQUIRE); }
void storm_let_fail(bool on) { may_fail = on; }

bool storm_fails(void)
{
	return may_fail && storm_options.scarce && storm_random() % 16 == 0;
}

/* The linker leads calls here (--wrap): what the hypervisor asks for may not be there, and frames that go are counted. */
struct page *__real_page_alloc(unsigned order);
struct page *__wrap_page_alloc(unsigned order);
void *__real_page_alloc_zeroed(void);
void *__wrap_page_alloc_zeroed(void);
void *__real_kzalloc(size_t size);
void *__wrap_kzalloc(size_t size);
void __real_page_release(struct page *pg, u32 before);
void __wrap_page_release(struct page *pg, u32 before);

struct page *__wrap_page_alloc(unsigned order) { return storm_fails() ? NULL : __real_page_alloc(order); }
void *__wrap_page_alloc_zeroed(void) { return storm_fails() ? NULL : __real_page_alloc_zeroed(); }
void *__wrap_kzalloc(size_t size) { return storm_fails() ? NULL : __real_kzalloc(size); }

void __wrap_page_release(struct page *pg, u32 before)
{
	__atomic_add_fetch(&births[page_to_mfn(pg).v], 1, __ATOMIC_RELEASE);
	storm_mirror_check(page_to_mfn(pg));
	__real_page_release(pg, before);
}

void storm_machine_init(void)
{
	random_state = storm_options.seed;
	for (unsigned i = 0; i < NR_CPUS; i++) {
		percpu[i].self = &percpu[i];
		percpu[i].cpu = percpu[i].apic_id = i;
		percpu[i].timer_armed = ~0ull;
	}
	frame_table = calloc(STORM_MEMORY / PAGE_SIZE, sizeof(struct page));
	max_mfn = STORM_MEMORY / PAGE_SIZE;
	total_pages = max_mfn;
	console_init(0x3f8, 115200);
}
