/* What every micro-guest uses: hypercalls, checks and their report, faults that are expected, interrupts, time, and other vCPUs. */
#ifndef GUEST_H
#define GUEST_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <xen/xen.h>
#include <xen/event_channel.h>
#include <xen/hvm/hvm_op.h>
#include <xen/hvm/params.h>
#include <xen/memory.h>
#include <xen/sched.h>
#include <xen/vcpu.h>
#include "layout.h"

typedef uint8_t u8;
typedef uint16_t u16;
typedef uint32_t u32;
typedef uint64_t u64;
typedef int64_t s64;

#define PAGE_SIZE   4096ull
#define BIT(n)      (1ull << (n))
#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))
#define MS          1000000ull          /* nanoseconds */
#define SECOND      1000000000ull
#define PAGE_ALIGNED __attribute__((aligned(4096)))

/* Guest-physical addresses where nothing is at first. The 4 GiB below are mapped one to one. */
#define SHARED_INFO_GFN 0x10000ull
#define HOLE_GFN        0x20000ull

enum { EPERM = 1, ENOENT = 2, ESRCH = 3, EAGAIN = 11, ENOMEM = 12, EACCES = 13, EFAULT = 14, EBUSY = 16, EEXIST = 17, EXDEV = 18, ENODEV = 19,
       EINVAL = 22, ENOSPC = 28, ENOSYS = 38, ENODATA = 61, ETIME = 62, EOPNOTSUPP = 95 };

enum { VECTOR_DE = 0, VECTOR_DB = 1, VECTOR_NMI = 2, VECTOR_BP = 3, VECTOR_UD = 6, VECTOR_GP = 13, VECTOR_PF = 14, VECTOR_AC = 17, NO_FAULT = 255 };

/* ---- hypercalls ---- */

long hypercall(u64 nr, u64 a0, u64 a1, u64 a2, u64 a3, u64 a4);
void hypercall_regs(u64 regs[15]);      /* rax rbx rcx rdx rsi rdi rbp r8 to r15 */

static inline long hc2(u64 nr, u64 cmd, const void *arg) { return hypercall(nr, cmd, (u64)arg, 0, 0, 0); }
static inline long evtchn_op(u64 cmd, void *arg) { return hc2(__HYPERVISOR_event_channel_op, cmd, arg); }
static inline long memory_op(u64 cmd, void *arg) { return hc2(__HYPERVISOR_memory_op, cmd, arg); }
static inline long sched_op(u64 cmd, void *arg) { return hc2(__HYPERVISOR_sched_op, cmd, arg); }
static inline long hvm_op(u64 cmd, void *arg) { return hc2(__HYPERVISOR_hvm_op, cmd, arg); }
static inline long vcpu_op(u64 cmd, u64 vcpu, void *arg) { return hypercall(__HYPERVISOR_vcpu_op, cmd, vcpu, (u64)arg, 0, 0); }
static inline long grant_op(u64 cmd, void *arg, u64 count) { return hypercall(__HYPERVISOR_grant_table_op, cmd, (u64)arg, count, 0, 0); }

long get_param(u32 index, u64 *value);
long set_param(u32 index, u64 value);
long map_space(u32 space, u64 idx, u64 gfn);    /* add_to_physmap of the guest's own */
void __attribute__((noreturn)) shut_down(u32 reason);

/* ---- the report ---- */

void say(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
/* One PASS or FAIL line. */
bool check(bool ok, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* The same for a result; a FAIL line tells both values. */
bool expect(long got, long want, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
void skip(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
void flush_report(void);        /* until the console daemon has it all */

/* The number behind "NAME=" on the command line, or otherwise. */
u64 option(const char *name, u64 otherwise);

/* ---- CPUs ---- */

struct cpu {
	struct cpu *self;
	u32 id, fault, error;           /* the last expected fault's vector and error code */
	u64 user_rsp;
	u64 fault_addr;
};

struct frame {
	u64 r15, r14, r13, r12, r11, r10, r9, r8, rbp, rdi, rsi, rdx, rcx, rbx, rax, vector, error, rip, cs, rflags, rsp, ss;
};

struct entry_state { u32 eax, ebx, cr0, cr3, cr4, eflags, efer, dr6, dr7; };
extern struct entry_state entry_state;
extern char image_end[];

static inline struct cpu *this_cpu(void)
{
	struct cpu *c;

	__asm__ volatile("mov %%gs:0, %0" : "=r"(c));
	return c;
}

extern void (*handlers[256])(struct frame *f);
extern volatile u32 interrupts[256];            /* how often each came; handlers only see those that have one */

/* Starts fn on vCPU id by INIT and SIPI; false if it doesn't come up within five seconds. */
bool start_cpu(u32 id, void (*fn)(void));
/* Runs code in user mode with the given RAX until its int $0x80; the result is its RAX then. */
u64 run_user(void (*code)(void), u64 rax);

/* ---- instructions ---- */

struct regs { u32 a, b, c, d; };
static inline struct regs cpuid(u32 leaf, u32 sub)
{
	struct regs r;

	__asm__ volatile("cpuid" : "=a"(r.a), "=b"(r.b), "=c"(r.c), "=d"(r.d) : "a"(leaf), "c"(sub));
	return r;
}

/* The instruction `insn` may fault; its fault's vector, or NO_FAULT. Operands as in any asm. */
#define TRY(insn, ...) ({ \
	this_cpu()->fault = NO_FAULT; \
	__asm__ volatile("1: " insn "\n2:\n.pushsection .extable, \"a\"\n.quad 1b, 2b\n.popsection" __VA_ARGS__); \
	this_cpu()->fault; })

static inline u32 rdmsr_try(u32 msr, u64 *val)
{
	u32 lo = 0, hi = 0, fault = TRY("rdmsr", : "+a"(lo), "+d"(hi) : "c"(msr));

	*val = (u64)hi << 32 | lo;
	return fault;
}
static inline u32 wrmsr_try(u32 msr, u64 val) { return TRY("wrmsr", :: "a"((u32)val), "d"((u32)(val >> 32)), "c"(msr) : "memory"); }
static inline u64 rdmsr(u32 msr) { u64 v; rdmsr_try(msr, &v); return v; }
static inline void wrmsr(u32 msr, u64 v) { __asm__ volatile("wrmsr" :: "a"((u32)v), "d"((u32)(v >> 32)), "c"(msr) : "memory"); }
static inline u64 rdtsc(void) { u32 a, d; __asm__ volatile("lfence; rdtsc" : "=a"(a), "=d"(d) :: "memory"); return (u64)d << 32 | a; }
static inline void outb(u16 port, u8 v) { __asm__ volatile("outb %0, %1" :: "a"(v), "Nd"(port)); }
static inline void cli(void) { __asm__ volatile("cli" ::: "memory"); }
static inline void sti(void) { __asm__ volatile("sti; nop" ::: "memory"); }
static inline void sti_hlt(void) { __asm__ volatile("sti; hlt" ::: "memory"); }
static inline void relax(void) { __asm__ volatile("pause" ::: "memory"); }
static inline void barrier(void) { __asm__ volatile("" ::: "memory"); }

/* ---- x2APIC ---- */

#define APIC_BASE        0x1b
#define APIC_BASE_X2APIC BIT(10)
enum { X2APIC_ID = 0x802, X2APIC_VERSION = 0x803, X2APIC_TPR = 0x808, X2APIC_PPR = 0x80a, X2APIC_EOI = 0x80b, X2APIC_LDR = 0x80d, X2APIC_SVR = 0x80f,
       X2APIC_ISR = 0x810, X2APIC_IRR = 0x820, X2APIC_ESR = 0x828, X2APIC_ICR = 0x830, X2APIC_SELF = 0x83f };

static inline void eoi(void) { wrmsr(X2APIC_EOI, 0); }
static inline void send_icr(u32 dest, u32 low) { wrmsr(X2APIC_ICR, (u64)dest << 32 | low); }
static inline u32 apic_id_of(u32 vcpu) { return vcpu * 2; }     /* the rule of Xen's tools */

/* ---- time and events ---- */

extern struct shared_info *shared;
u64 now(void);                                  /* nanoseconds of Xen's system time */
void delay(u64 ns);
/* Waits until *flag is at least `value`; false after ns. */
bool wait_for(volatile u32 *flag, u32 value, u64 ns);

#define EVENT_VECTOR 0xf3
/* Events come as interrupt EVENT_VECTOR from now on; those of a port are counted in port_events[]. */
void enable_events(void);
extern volatile u32 port_events[4096];
extern volatile u8 port_vcpu[4096];     /* which vCPU took the last */
void mask_port(u32 port, bool masked);
bool port_pending(u32 port);
void clear_port(u32 port);
/* New ports, by hypercalls that are known to work; 0 for none. */
u32 new_unbound(u16 remote);
u32 new_ipi(u32 vcpu);
u32 new_virq(u32 virq, u32 vcpu);
long close_port(u32 port);
long notify(u32 port);
long arm_timer(u64 when);       /* VIRQ_TIMER of this vCPU at this system time */

u32 own_domid(void);
u64 random64(u64 *state);
void *memset(void *to, int c, size_t n);
void *memcpy(void *to, const void *from, size_t n);
int memcmp(const void *a, const void *b, size_t n);
int strcmp(const char *a, const char *b);
size_t strlen(const char *s);

/* The library's own. */
void cpu_init(u32 id);
void report_init(void);
void boot_main(void);

/* What a micro-guest is. */
void test_main(void);
/* And one that an emulator can also start without a hypervisor: without hypercalls, so it doesn't return. */
void __attribute__((weak, noreturn)) bare_main(void);

#endif
