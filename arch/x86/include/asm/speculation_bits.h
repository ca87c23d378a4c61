/* The guards against speculation, as bits for C and assembler. */
#ifndef ASM_SPECULATION_BITS_H
#define ASM_SPECULATION_BITS_H

/* At each entry: overwrite the CPU's buffers; empty its level 1 data cache. */
#define SPEC_VERW       0x001
#define SPEC_L1D        0x002
/*
 * At each exit: raise IBRS (lowered at entry); forget all branches; fill the return stack; fill one
 * entry.
 */
#define SPEC_IBRS       0x004
#define SPEC_IBPB       0x008
#define SPEC_RSB        0x010
#define SPEC_RSB_ONE    0x020
#define SPEC_GUARDS     0x03f   /* all of the above */
/* Permanently, set once for each CPU. */
#define SPEC_IBRS_ON    0x040
#define SPEC_AUTO_IBRS  0x080
#define SPEC_BHI        0x100
/* When a vCPU of another domain is loaded: forget all branches. */
#define SPEC_DOMAINS    0x200

#endif
