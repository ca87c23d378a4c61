/*
 * The registers of the guest's vCPU, as far as an instruction with a memory operand reads or
 * changes them. Registers and segments are numbered as instructions encode them.
 */
#ifndef KEEPER_CPU_H
#define KEEPER_CPU_H

#include "keeper/call.h"

enum { REG_RAX, REG_RCX, REG_RDX, REG_RBX, REG_RSP, REG_RBP, REG_RSI, REG_RDI };
enum { SEG_ES, SEG_CS, SEG_SS, SEG_DS, SEG_FS, SEG_GS };

/* SDM vol. 1, "EFLAGS Register", 3.4.3. */
#define FLAG_CF BIT(0)
#define FLAG_PF BIT(2)
#define FLAG_AF BIT(4)
#define FLAG_ZF BIT(6)
#define FLAG_SF BIT(7)
#define FLAG_TF BIT(8)
#define FLAG_DF BIT(10)
#define FLAG_OF BIT(11)
#define FLAG_RF BIT(16)
#define FLAG_VM BIT(17)
#define FLAG_AC BIT(18)

/* SDM vol. 3, "Control Registers", 2.5, and "Extended Feature Enable Register", 2.2.1. */
#define CR0_PE   BIT(0)
#define CR0_WP   BIT(16)
#define CR0_PG   BIT(31)
#define CR4_PSE  BIT(4)
#define CR4_PAE  BIT(5)
#define CR4_SMEP BIT(20)
#define CR4_SMAP BIT(21)
#define CR4_PKE  BIT(22)
#define EFER_LMA BIT(10)
#define EFER_NXE BIT(11)

/*
 * A segment as the CPU holds it. `ar` is the attribute word of VMX: type..P in bits 7:0, and AVL,
 * L, D, G in 15:12. Without SEG_P the segment can't be used.
 */
#define SEG_WRITE  BIT(1)       /* of data: may be written */
#define SEG_READ   BIT(1)       /* of code: may be read */
#define SEG_DOWN   BIT(2)       /* of data: offsets above the limit are valid */
#define SEG_CODE   BIT(3)
#define SEG_P      BIT(7)
#define SEG_L      BIT(13)
#define SEG_D      BIT(14)

/*
 * The code segment's kind. The value is the size of an address in bytes, unless a prefix changes
 * it.
 */
enum code_mode { CODE_16 = 2, CODE_32 = 4, CODE_64 = 8 };

/* Returns the kind of code that the vCPU executes. Virtual 8086 mode has no SEG_D. */
static inline enum code_mode cpu_code_mode(const struct guest_cpu *cpu)
{
	if ((cpu->efer & EFER_LMA) && (cpu->seg[SEG_CS].ar & SEG_L))
		return CODE_64;
	return cpu->seg[SEG_CS].ar & SEG_D ? CODE_32 : CODE_16;
}

/*
 * What an instruction does to memory. An access that reads first and then writes has both bits.
 * With ACCESS_CHECK nothing is read or written, but all that could refuse it does.
 */
enum { ACCESS_READ = 1, ACCESS_WRITE = 2, ACCESS_FETCH = 4, ACCESS_CHECK = 8 };

enum { VECTOR_DE = 0, VECTOR_UD = 6, VECTOR_SS = 12, VECTOR_GP = 13, VECTOR_PF = 14 };

#endif
