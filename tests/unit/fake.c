/* The pretended machine: log, clock, locks, CPUs and memory of the unit tests. */
#include "tests/unit/fake.h"
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <time.h>

#define WEAK __attribute__((weak))  /* a test, or a unit that it links, may bring its own */

/* --- memory ----------------------------------------------------------------------------------------------------------------- */

u8 fake_arena[FAKE_ARENA_SIZE] __aligned(MiB(2));

struct page;
struct domain;
struct cpuid_regs;
extern struct page *frame_table WEAK;
extern u64 max_mfn WEAK;

void fake_memory_init(u64 frames)
{
	assert_true(&frame_table && frames <= FAKE_ARENA_SIZE / PAGE_SIZE);
	frame_table = calloc(frames, 16);
	max_mfn = frames;
}

/* --- log and ends ----------------------------------------------------------------------------------------------------------- */

char fake_log[64 * 1024];
static size_t log_len;

jmp_buf fake_end_jump;
enum fake_end fake_end_expected;

void fake_log_clear(void)
{
	log_len = 0;
	fake_log[0] = '\0';
}

static void log_text(const char *fmt, va_list args)
{
	if (fmt[0] == '\001')
		fmt += 2;
	if (log_len > sizeof(fake_log) - 4096)  /* a test that logs a lot wants its last lines */
		fake_log_clear();
	log_len += (size_t)vsnprintf(fake_log + log_len, 4096, fmt, args);
}

WEAK void printk(const char *fmt, ...)
{
	size_t start = log_len;
	va_list args;

	va_start(args, fmt);
	log_text(fmt, args);
	va_end(args);
	if (getenv("FAKE_LOG"))
		fputs(fake_log + MIN(start, log_len), stderr);
}

static void __noreturn end(enum fake_end which)
{
	if (fake_end_expected == which)
		longjmp(fake_end_jump, 1);
	fprintf(stderr, "%s\n", fake_log);
	fflush(stderr);
	abort();
}

WEAK void bug(const char *file, int line, const char *what)
{
	printk("BUG: %s at %s:%d\n", what, file, line);
	end(FAKE_BUG);
}

WEAK void panic(const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	log_text(fmt, args);
	va_end(args);
	end(FAKE_PANIC);
}

/* --- locks ------------------------------------------------------------------------------------------------------------------ */

#define MAX_HELD 16
static spinlock_t *held[MAX_HELD];
static unsigned nr_held;
void (*fake_lock_pair)(const spinlock_t *held, const spinlock_t *taken);

/* Two locks of these levels may be held at once; their order (by domain or CPU number) is the owner's business. */
static bool may_pair(unsigned level)
{
	return level == LOCK_EVTCHN || level == LOCK_GRANT || level == LOCK_RQ;
}

void spin_lock(spinlock_t *l)
{
	if (!l->level)
		bug(__FILE__, __LINE__, "a lock that was never initialised");
	for (unsigned i = 0; i < nr_held; i++) {
		if (held[i] == l)
			bug(__FILE__, __LINE__, "a lock taken twice");
		if (held[i]->level > l->level || (held[i]->level == l->level && !may_pair(l->level)))
			bug(__FILE__, __LINE__, "a lock taken out of order");
		if (held[i]->level == l->level && fake_lock_pair)
			fake_lock_pair(held[i], l);
	}
	if (nr_held == MAX_HELD)
		bug(__FILE__, __LINE__, "too many locks");
	held[nr_held++] = l;
	l->next++;
}

/* A test says that another CPU has the lock by raising `next`. */
bool spin_trylock(spinlock_t *l)
{
	if (l->next != l->owner)
		return false;
	spin_lock(l);
	return true;
}

void spin_unlock(spinlock_t *l)
{
	for (unsigned i = 0; i < nr_held; i++) {
		if (held[i] == l) {
			held[i] = held[--nr_held];
			l->owner++;
			return;
		}
	}
	bug(__FILE__, __LINE__, "an unlock without the lock");
}

bool spin_is_locked(const spinlock_t *l)
{
	return l->next != l->owner;
}

unsigned fake_locks_held(void)
{
	return nr_held;
}

void fake_locks_forget(void)
{
	while (nr_held)
		held[--nr_held]->owner++;
}

/* --- CPUs and time ---------------------------------------------------------------------------------------------------------- */

WEAK struct percpu percpu[NR_CPUS];
WEAK unsigned nr_cpus = 1;
unsigned fake_cpu;

u64 fake_time;
u64 fake_armed = ~0ull;
WEAK struct time_scale time_scale = { .mul = 0x80000000, .shift = 1, .tsc_khz = 1000000 };
static u64 wall_sec;
static u32 wall_nsec;

unsigned fake_steps;
bool step_over(void);
WEAK bool step_over(void)
{
	static unsigned asked;

	return fake_steps && ++asked % fake_steps == 0;
}

/* No domain is sealed, and no call refused, unless a test brings the units that do. */
bool seal_closed(const struct domain *d);
WEAK bool seal_closed(const struct domain *d) { return false; }
void seal_cpuid(const struct domain *d, u32 index, struct cpuid_regs *out);
WEAK void seal_cpuid(const struct domain *d, u32 index, struct cpuid_regs *out) { }
void seal_seen(struct percpu *p);
WEAK void seal_seen(struct percpu *p) { }
long seal_choose(u32 sid);
WEAK long seal_choose(u32 sid) { return 0; }
long seal_step(struct domain *d);
WEAK long seal_step(struct domain *d) { return 0; }
long refuse_say(long error, const char *fmt, ...);
WEAK long refuse_say(long error, const char *fmt, ...) { return error; }
void record_sealed_exit(struct percpu *p);
WEAK void record_sealed_exit(struct percpu *p) { }
void record_choose(struct percpu *p, const struct vcpu *v);
WEAK void record_choose(struct percpu *p, const struct vcpu *v)
{
	p->exit_ring = p->records;
	p->exit_head = p->counters;
}

WEAK void cpu_kick(unsigned cpu) { percpu[cpu].look_around = 1; }
WEAK u64 time_now(void) { return fake_time; }
u64 rdtsc(void);
WEAK u64 rdtsc(void) { return __builtin_ia32_rdtsc(); }
WEAK u64 time_tsc(void) { return fake_time; }
WEAK u64 time_at(u64 tsc) { return tsc; }
WEAK void time_arm(u64 deadline) { fake_armed = deadline; }

WEAK void time_wallclock(u64 *sec, u32 *nsec)
{
	*sec = wall_sec;
	*nsec = wall_nsec;
}

WEAK void time_set_wallclock(u64 sec, u32 nsec, u64 system_time)
{
	u64 ns = sec * 1000000000ull + nsec - system_time;

	wall_sec = ns / 1000000000;
	wall_nsec = (u32)(ns % 1000000000);
}

/* The numbers that the real CPU start-up would have set. */
__attribute__((constructor)) static void number_cpus(void)
{
	for (unsigned i = 0; i < NR_CPUS; i++) {
		percpu[i].self = &percpu[i];
		percpu[i].cpu = percpu[i].apic_id = i;
	}
}

/* --- random numbers --------------------------------------------------------------------------------------------------------- */

static u64 seed, random_state;

u64 fake_random_seed(void)
{
	const char *given = getenv("SEED");

	if (!seed)
		seed = random_state = given ? strtoull(given, NULL, 0) : (u64)time(NULL) * 2654435761u + 1;
	return seed;
}

/* splitmix64: passes every test that matters here, in four lines. */
u64 fake_random(void)
{
	u64 z;

	fake_random_seed();
	z = random_state += 0x9e3779b97f4a7c15ull;
	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9ull;
	z = (z ^ z >> 27) * 0x94d049bb133111ebull;
	return z ^ z >> 31;
}
