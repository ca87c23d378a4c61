/* Every privileged or unusual instruction that C code uses, one function each. */
#ifndef ASM_INSN_H
#define ASM_INSN_H

struct cpuid_regs { u32 a, b, c, d; };

static inline struct cpuid_regs cpuid(u32 leaf, u32 sub)
{
	struct cpuid_regs r;

	__asm__ volatile("cpuid" : "=a"(r.a), "=b"(r.b), "=c"(r.c), "=d"(r.d) : "a"(leaf), "c"(sub));
	return r;
}

static inline u64 rdmsr(u32 msr)
{
	u32 lo, hi;

	__asm__ volatile("rdmsr" : "=a"(lo), "=d"(hi) : "c"(msr));
	return (u64)hi << 32 | lo;
}

static inline void wrmsr(u32 msr, u64 v)
{
	__asm__ volatile("wrmsr" :: "c"(msr), "a"((u32)v), "d"((u32)(v >> 32)) : "memory");
}

/* Reads an MSR that may not exist. Returns false if the read faulted. */
bool rdmsr_safe(u32 msr, u64 *v);
/* Writes an MSR that may lack these bits or not exist. Returns false if the write faulted. */
bool wrmsr_safe(u32 msr, u64 v);

static inline u64 rdtsc(void)
{
	u32 lo, hi;

	__asm__ volatile("rdtsc" : "=a"(lo), "=d"(hi));
	return (u64)hi << 32 | lo;
}

/*
 * The TSC in a cheaper form: its low half, for intervals below 2^32 ticks; both halves, to be
 * stored.
 */
static inline u32 rdtsc_low(void)
{
	u32 lo;

	__asm__ volatile("rdtsc" : "=a"(lo) :: "rdx");
	return lo;
}

static inline void rdtsc_halves(u32 *lo, u32 *hi)
{
	__asm__ volatile("rdtsc" : "=a"(*lo), "=d"(*hi));
}

static inline u8 inb(u16 port)
{
	u8 v;

	__asm__ volatile("inb %1, %0" : "=a"(v) : "Nd"(port));
	return v;
}

static inline void outb(u16 port, u8 v) { __asm__ volatile("outb %0, %1" :: "a"(v), "Nd"(port)); }

static inline void outw(u16 port, u16 v) { __asm__ volatile("outw %0, %1" :: "a"(v), "Nd"(port)); }

static inline u32 inl(u16 port)
{
	u32 v;

	__asm__ volatile("inl %1, %0" : "=a"(v) : "Nd"(port));
	return v;
}

static inline void outl(u16 port, u32 v) { __asm__ volatile("outl %0, %1" :: "a"(v), "Nd"(port)); }

/* Writes the cache line with this byte back to memory. */
static inline void clflush(const void *at) { __asm__ volatile("clflush %0" :: "m"(*(const char *)at) : "memory"); }

/* Returns high:low divided by `by`. The CPU faults unless `high` is less than `by`. */
static inline u64 divide(u64 high, u64 low, u64 by)
{
	__asm__("divq %2" : "+a"(low), "+d"(high) : "r"(by) : "cc");
	return low;
}

#define CR_ACCESSORS(n) \
	static inline u64 read_cr##n(void) { u64 v; __asm__ volatile("mov %%cr" #n ", %0" : "=r"(v)); return v; } \
	static inline void write_cr##n(u64 v) { __asm__ volatile("mov %0, %%cr" #n :: "r"(v) : "memory"); }
CR_ACCESSORS(0)
CR_ACCESSORS(2)
CR_ACCESSORS(3)
CR_ACCESSORS(4)
#undef CR_ACCESSORS

#define DR_ACCESSORS(n) \
	static inline u64 read_dr##n(void) { u64 v; __asm__ volatile("mov %%dr" #n ", %0" : "=r"(v)); return v; } \
	static inline void write_dr##n(u64 v) { __asm__ volatile("mov %0, %%dr" #n :: "r"(v)); }
DR_ACCESSORS(0)
DR_ACCESSORS(1)
DR_ACCESSORS(2)
DR_ACCESSORS(3)
DR_ACCESSORS(6)
#undef DR_ACCESSORS

static inline void cli(void) { __asm__ volatile("cli" ::: "memory"); }
static inline void halt(void) { __asm__ volatile("hlt"); }

static inline u64 xgetbv(void)
{
	u32 lo, hi;

	__asm__ volatile("xgetbv" : "=a"(lo), "=d"(hi) : "c"(0));
	return (u64)hi << 32 | lo;
}

static inline void xsetbv(u64 v)
{
	__asm__ volatile("xsetbv" :: "c"(0), "a"((u32)v), "d"((u32)(v >> 32)));
}

#define MSR_APIC_BASE       0x1bu
#define MSR_TSC_ADJUST      0x3bu
#define MSR_ARCH_CAPABILITIES 0x10au
#define MSR_PAT             0x277u
#define MSR_EFER            0xc0000080u
#define MSR_GS_BASE         0xc0000101u
#define MSR_TSC_AUX         0xc0000103u

/* SDM vol. 3, "Exception and Interrupt Vectors", 6.2; APM, "Vectors", 8.2. */
enum { VECTOR_DB = 1, VECTOR_NMI = 2, VECTOR_UD = 6, VECTOR_DF = 8, VECTOR_GP = 13, VECTOR_AC = 17, VECTOR_MC = 18, VECTOR_SX = 30 };

/* SDM vol. 1, "XSAVE-Supported Features and State-Component Bitmaps", 13.1. */
#define XCR0_X87    BIT(0)
#define XCR0_SSE    BIT(1)
#define XCR0_AVX    BIT(2)
#define XCR0_AVX512 (BIT(5) | BIT(6) | BIT(7))
#define XCR0_PKRU   BIT(9)
/* The states that we switch with XSAVE. */
#define XCR0_SWITCHED (XCR0_X87 | XCR0_SSE | XCR0_AVX | XCR0_AVX512 | XCR0_PKRU)

/*
 * Returns the part of `want` that XSETBV accepts, or 0 without x87. AVX needs SSE; the AVX-512
 * parts come together and need AVX. SDM vol. 1, "Enabling the XSAVE Feature Set and XSAVE-Enabled
 * Features", 13.3.
 */
static inline u64 xcr0_consistent(u64 want)
{
	if (!(want & XCR0_SSE))
		want &= ~XCR0_AVX;
	if (!(want & XCR0_AVX) || (want & XCR0_AVX512) != XCR0_AVX512)
		want &= ~XCR0_AVX512;
	return want & XCR0_X87 ? want : 0;
}

#define EFER_SCE   BIT(0)
#define EFER_LME   BIT(8)
#define EFER_LMA   BIT(10)
#define EFER_NXE   BIT(11)
#define EFER_SVME  BIT(12)
#define EFER_FFXSR BIT(14)

#define CR0_PE BIT(0)
#define CR0_MP BIT(1)
#define CR0_TS BIT(3)
#define CR0_ET BIT(4)
#define CR0_NE BIT(5)
#define CR0_WP BIT(16)
#define CR0_NW BIT(29)
#define CR0_CD BIT(30)
#define CR0_PG BIT(31)

#define CR4_PSE        BIT(4)
#define CR4_PAE        BIT(5)
#define CR4_MCE        BIT(6)
#define CR4_PGE        BIT(7)
#define CR4_OSFXSR     BIT(9)
#define CR4_OSXMMEXCPT BIT(10)
#define CR4_PCIDE      BIT(17)
#define CR4_OSXSAVE    BIT(18)
#define CR4_PKE        BIT(22)

#define DR6_BS BIT(14)
#define DR7_GD BIT(13)

#endif
