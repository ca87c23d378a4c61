/* Instructions on the host: CPUID and I/O ports are the test's; the rest is the real header's, and faults if it is used. */
#define cpuid_count machine_cpuid_count
#define inb         machine_inb
#define outb        machine_outb
#include "arch/x86/include/asm/insn.h"
#undef cpuid_count
#undef inb
#undef outb

#ifndef TESTS_ASM_INSN_H
#define TESTS_ASM_INSN_H

void cpuid_count(u32 leaf, u32 sub, u32 *a, u32 *b, u32 *c, u32 *d);
u8 inb(u16 port);
void outb(u16 port, u8 v);

#endif
