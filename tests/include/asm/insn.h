/*
 * Instructions on the host: CPUID, I/O ports, MSRs, control and debug registers are the test's; the rest is the real header's, and faults if
 * it is used. A test defines what its units use.
 */
#define cpuid       machine_cpuid
#define inb         machine_inb
#define outb        machine_outb
#define inl         machine_inl
#define outl        machine_outl
#define clflush     machine_clflush
#define rdtsc       machine_rdtsc
#define rdtsc_low   machine_rdtsc_low
#define rdmsr       machine_rdmsr
#define wrmsr       machine_wrmsr
#define read_cr0    machine_read_cr0
#define read_cr2    machine_read_cr2
#define read_cr3    machine_read_cr3
#define read_cr4    machine_read_cr4
#define write_cr0   machine_write_cr0
#define write_cr2   machine_write_cr2
#define write_cr3   machine_write_cr3
#define write_cr4   machine_write_cr4
#define read_dr0    machine_read_dr0
#define read_dr1    machine_read_dr1
#define read_dr2    machine_read_dr2
#define read_dr3    machine_read_dr3
#define read_dr6    machine_read_dr6
#define write_dr0   machine_write_dr0
#define write_dr1   machine_write_dr1
#define write_dr2   machine_write_dr2
#define write_dr3   machine_write_dr3
#define write_dr6   machine_write_dr6
#include "arch/x86/include/asm/insn.h"
#undef cpuid
#undef inb
#undef outb
#undef inl
#undef outl
#undef clflush
#undef rdtsc
#undef rdtsc_low
#undef rdmsr
#undef wrmsr
#undef read_cr0
#undef read_cr2
#undef read_cr3
#undef read_cr4
#undef write_cr0
#undef write_cr2
#undef write_cr3
#undef write_cr4
#undef read_dr0
#undef read_dr1
#undef read_dr2
#undef read_dr3
#undef read_dr6
#undef write_dr0
#undef write_dr1
#undef write_dr2
#undef write_dr3
#undef write_dr6

#ifndef TESTS_ASM_INSN_H
#define TESTS_ASM_INSN_H

struct cpuid_regs cpuid(u32 leaf, u32 sub);
u8 inb(u16 port);
void outb(u16 port, u8 v);
u32 inl(u16 port);
void outl(u16 port, u32 v);
void clflush(const void *at);
u64 rdtsc(void);        /* the host's, if the test has none of its own */
static inline u32 rdtsc_low(void) { return (u32)rdtsc(); }

/* tests/unit/fake_vendor.c */
u64 rdmsr(u32 msr);
void wrmsr(u32 msr, u64 v);
extern u64 fake_cr[5];
extern _Thread_local u64 fake_dr[8];
static inline u64 read_cr0(void) { return fake_cr[0]; }
static inline u64 read_cr2(void) { return fake_cr[2]; }
static inline u64 read_cr3(void) { return fake_cr[3]; }
static inline u64 read_cr4(void) { return fake_cr[4]; }
static inline void write_cr0(u64 v) { fake_cr[0] = v; }
static inline void write_cr2(u64 v) { fake_cr[2] = v; }
static inline void write_cr3(u64 v) { fake_cr[3] = v; }
static inline void write_cr4(u64 v) { fake_cr[4] = v; }
static inline u64 read_dr0(void) { return fake_dr[0]; }
static inline u64 read_dr1(void) { return fake_dr[1]; }
static inline u64 read_dr2(void) { return fake_dr[2]; }
static inline u64 read_dr3(void) { return fake_dr[3]; }
static inline u64 read_dr6(void) { return fake_dr[6]; }
static inline void write_dr0(u64 v) { fake_dr[0] = v; }
static inline void write_dr1(u64 v) { fake_dr[1] = v; }
static inline void write_dr2(u64 v) { fake_dr[2] = v; }
static inline void write_dr3(u64 v) { fake_dr[3] = v; }
static inline void write_dr6(u64 v) { fake_dr[6] = v; }

#endif
