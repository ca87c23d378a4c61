/*
 * Exceptions in ring 0 are our own bugs: they end in a panic that prints the state. Interrupts are
 * handed on.
 */
#include <asm/cpu.h>
#include <asm/insn.h>
#include <asm/lapic.h>
#include <asm/mcheck.h>
#include <asm/stacks.h>
#include <asm/traps.h>
#include "lib/printf.h"

struct ksym { u32 addr, name; };        /* offsets from the image's start and from ksym_names */
struct fixup { u64 fault, resume; };

extern char image_start[], text_end[];
extern const struct fixup ex_table[], ex_table_end[];
extern const u32 ksym_count;
extern const struct ksym ksym_table[];
extern const char ksym_names[];

bool panic_reboots = true;
enum { SX_INIT = 1 };   /* APM 8.2 */

static void (*device_handler)(u8 vector);
static void (*panic_console)(void), (*panic_dump)(void);
static void (*panic_restart)(void) __noreturn;
static u32 panicking;                   /* [a] number of the CPU that panics, + 1; or 0 */

void traps_set_device_handler(void (*fn)(u8 vector)) { device_handler = fn; }
void traps_set_panic_hooks(void (*console)(void), void (*dump)(void)) { panic_console = console; panic_dump = dump; }
void traps_set_restart(void (*fn)(void) __noreturn) { panic_restart = fn; }

static const char *find_symbol(u64 addr, u64 *off)
{
	u64 rel = addr - (u64)image_start;
	u32 lo = 0, hi = ksym_count;

	if (addr < (u64)image_start || addr >= (u64)text_end || !hi)
		return NULL;
	while (hi - lo > 1) {
		u32 mid = (lo + hi) / 2;

		if (ksym_table[mid].addr <= rel)
			lo = mid;
		else
			hi = mid;
	}
	*off = rel - ksym_table[lo].addr;
	return ksym_names + ksym_table[lo].name;
}

static void print_address(u64 addr)
{
	u64 off;
	const char *name = find_symbol(addr, &off);

	if (name)
		printk(LOG_ERR "  %016lx  %s+0x%lx\n", addr, name, off);
}

static bool on_a_stack(u64 p)
{
	return (p >= STACKS_BASE && p < STACKS_BASE + NR_CPUS * STACKS_PER_CPU * STACK_SLOT) ||
	       (p >= (u64)image_start && p < (u64)image_start + MiB(4));
}

static void print_backtrace(u64 rip, u64 rbp)
{
	print_address(rip);
	for (int depth = 0; depth < 32 && on_a_stack(rbp) && !(rbp & 7) && (rbp & 4095) <= 4080; depth++) {
		u64 *frame = (u64 *)rbp;

		print_address(frame[1]);
		if (frame[0] <= rbp)
			break;
		rbp = frame[0];
	}
}

static void print_frame(const struct trap_frame *f)
{
#define R(a, b, c, d) \
	printk(LOG_ERR "%4s %016lx %4s %016lx %4s %016lx %4s %016lx\n", #a, f->a, #b, f->b, #c, f->c, #d, f->d)
	R(rax, rbx, rcx, rdx);
	R(rsi, rdi, rbp, rsp);
	R(r8, r9, r10, r11);
	R(r12, r13, r14, r15);
	R(rip, rflags, cs, ss);
#undef R
	printk(LOG_ERR " cr0 %lx cr2 %lx cr3 %lx cr4 %lx\n", read_cr0(), read_cr2(), read_cr3(), read_cr4());
}

/* The end of every panic: prints the last exits, then restarts or stands still. */
static __noreturn void end_of_the_world(void)
{
	if (panic_dump)
		panic_dump();
	if (panic_reboots) {
		printk(LOG_ERR "Restarting in a moment (boot with \"noreboot\" to stand still instead).\n");
		for (u64 start = rdtsc(); rdtsc() - start < 3000000000ull; )
			cpu_relax();
		panic_restart();
	}
	printk(LOG_ERR "Standing still, as told by \"noreboot\".\n");
	for (;;)
		halt();
}

static void enter_panic(void)
{
	u32 expected = 0, me = cpu_id() + 1;

	if (!__atomic_compare_exchange_n(&panicking, &expected, me, false, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST)) {
		if (expected == me)
			panic_restart();        /* a panic within the panic */
		for (;;)
			halt();
	}
	if (panic_console)
		panic_console();
	lapic_stop_others();
}

void bug(const char *file, int line, const char *what)
{
	enter_panic();
	printk(LOG_ERR "BOTHY PANIC: bug at %s:%d: %s (CPU %u)\n", file, line, what, cpu_id());
	print_backtrace((u64)__builtin_return_address(0), (u64)__builtin_frame_address(0));
	end_of_the_world();
}

void panic(const char *fmt, ...)
{
	char text[256];
	va_list ap;

	enter_panic();
	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	printk(LOG_ERR "BOTHY PANIC: %s\n", text);
	/* the machine or the user is the cause: exits say nothing about it */
	panic_dump = NULL;
	end_of_the_world();
}

/*
 * Logs one line only, because root of the service domain can make devices send any number of such
 * interrupts.
 */
static void say_once(unsigned vector)
{
	static bool said;

	if (!__atomic_exchange_n(&said, true, __ATOMIC_RELAXED))
		printk(LOG_WARN "CPU %u: an interrupt that no device has (vector %#x): dropped, as will be more of them\n",
		       cpu_id(), vector);
}

static void handle_exception(struct trap_frame *f)
{
	static const char *const names[32] = {
		"divide error", "debug", "NMI", "breakpoint", "overflow", "bound", "invalid opcode", "no FPU", "double fault",
		"", "invalid TSS", "segment not present", "stack fault", "general protection", "page fault", "", "x87", "alignment",
		"machine check", "SIMD", "virtualization", "control protection",
	};

	for (const struct fixup *x = ex_table; x < ex_table_end; x++)
		if (x->fault == f->rip) {
			f->rip = x->resume;
			return;
		}
	/*
	 * Not an exception but an interrupt. The APIC is told to hold such vectors back (lapic.c);
	 * this is for an APIC that doesn't.
	 */
	if (lapic_in_service((u8)f->vector)) {
		interrupt_handle((u8)f->vector);
		return;
	}
	if (f->vector == VECTOR_MC) {
		mcheck_in_ring_0();
		return;
	}
	/*
	 * A device's message was an INIT, and this CPU makes #SX of it instead of a reset (svm.c).
	 * Print nothing: this comes with interrupts off too, perhaps while this very CPU holds the
	 * console's lock.
	 */
	if (f->vector == VECTOR_SX && f->error == SX_INIT)
		return;
	if (this_cpu()->trying)
		panic("CPU %u can't do what it says it can: %s (exception %lu at %lx)", cpu_id(),
		      this_cpu()->trying, f->vector, f->rip);
	enter_panic();
	printk(LOG_ERR "BOTHY PANIC: exception %lu (%s), error %lx, on CPU %u\n", f->vector,
	       names[f->vector & 31] ?: "", f->error, cpu_id());
	print_frame(f);
	print_backtrace(f->rip, f->rbp);
	end_of_the_world();
}

void interrupt_handle(u8 vector)
{
	switch (vector) {
	case VECTOR_TIMER:
		this_cpu()->timer_armed = ~0ull;
		this_cpu()->look_around = 1;
		lapic_eoi();
		break;
	case VECTOR_KICK:
	case VECTOR_ERROR:
		lapic_eoi();
		break;
	case 0 ... VECTOR_DEVICE_FIRST - 1:
	case VECTOR_TIMER + 1 ... VECTOR_ERROR - 1:
		say_once(vector);
		__attribute__((fallthrough));
	case VECTOR_SPURIOUS:
		/*
		 * The 8259s are masked, but a message can still ask one for a vector. It then
		 * answers, and no interrupt is in service. Nor is a spurious interrupt, unless a
		 * message names just this vector. Without its EOI all others would wait for ever.
		 */
		if (lapic_in_service(vector))
			lapic_eoi();
		break;
	default:
		this_cpu()->irq_count++;
		if (device_handler)
			device_handler(vector);
		else
			lapic_eoi();
	}
}

void trap_handler(struct trap_frame *f);
void trap_handler(struct trap_frame *f)
{
	switch (f->vector) {
	case VECTOR_NMI:
		/*
		 * If another CPU panics, it wants this one to stop. Any other NMI is the
		 * platform's, and we have no one to tell.
		 */
		while (__atomic_load_n(&panicking, __ATOMIC_RELAXED))
			halt();
		break;
	case 0 ... VECTOR_NMI - 1:
	case VECTOR_NMI + 1 ... VECTOR_DEVICE_FIRST - 1:
		handle_exception(f);
		break;
	default:
		interrupt_handle((u8)f->vector);
	}
}
