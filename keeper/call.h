/*
 * The contract between ring 0 and the keeper: where the keeper's parts are, and the page by which
 * both talk. Both sides are built together. The page belongs to one vCPU, and only one side runs at
 * a time.
 */
#ifndef KEEPER_CALL_H
#define KEEPER_CALL_H

#include "keeper/memo.h"

/*
 * The keeper's addresses, which are linear and physical alike. It begins at KEEPER_TEXT, and each
 * call enters it there, with its stack below KEEPER_STACK_END.
 */
#define KEEPER_TEXT      0x10000ull
#define KEEPER_RECOVER   (KEEPER_TEXT + 16)     /* goes on here after an access that found no RAM */
#define KEEPER_TABLES    0x100000ull    /* three pages: its own page tables */
#define KEEPER_CALL      0x104000ull
#define KEEPER_STACK_END 0x107000ull    /* one page; below it is nothing */

/*
 * Windows of 2 MiB into the guest's memory, of which each begins at a multiple of its size. Piece n
 * of the guest's memory can appear in one window only: n modulo their number.
 */
#define KEEPER_WINDOWS   64u
#define WINDOW_SHIFT     21
#define WINDOW_NONE      ~0ull
#define WINDOW_ADDRESS(n) (BIT(WINDOW_SHIFT) * (1 + (n) % KEEPER_WINDOWS))

/* A segment as the CPU holds it. keeper/cpu.h has the bits of `ar`. */
struct guest_segment { u64 base; u32 limit; u16 sel, ar; };

enum { NR_REGS = 16, NR_SEGS = 6 };     /* numbered as instructions encode them */

struct guest_cpu {
	u64 regs[NR_REGS], rip, rflags;
	u64 cr0, cr3, cr4, efer;
	struct guest_segment seg[NR_SEGS];
	u32 pkru;
	u8 cpl;
	u8 physical_bits;       /* of an address, by the guest's CPUID: 32 to 52 */
	bool shadow;            /* behind STI or MOV SS: interrupts wait for one instruction more */
};

/* An exception. Ring 0 leaves the error code out in real mode, and where the vector has none. */
struct guest_fault { u8 vector; u32 error; u64 cr2; };

#define KEEPER_BYTES 15         /* the longest instruction */

/* What the keeper asks for, or replies. */
enum keeper_request {
	KEEPER_NOTHING,         /* it hasn't replied yet */
	KEEPER_WINDOW,          /* ask: show piece `gpa` >> WINDOW_SHIFT in its window */
	KEEPER_DEVICE,          /* ask: read or write `size` bytes of a device at `gpa` */
	KEEPER_DONE,            /* reply: `cpu` has the new registers */
	KEEPER_RETRY,           /* reply: the guest has to execute the instruction again */
	KEEPER_FAULT,           /* reply: the instruction raises `fault` */
	KEEPER_CRASH,           /* reply: it can't be executed here */
};

struct keeper_call {
	/* to the keeper */
	struct guest_cpu cpu;
	u64 fault_gpa;          /* where the access stopped */
	u8 bytes[KEEPER_BYTES], nr_bytes;
	bool vmcall;            /* the CPU's instruction for a hypercall is VMCALL, not VMMCALL */
	u64 window[KEEPER_WINDOWS];     /* the piece that each window shows, or WINDOW_NONE */
	/* from the keeper */
	u32 request;            /* enum keeper_request */
	u64 gpa;
	u8 size;                /* 1 to 8, not across a page's end */
	bool write;
	u64 data;               /* of the device: from the keeper, or to it */
	struct guest_fault fault;
	struct memo memo;       /* of the instruction, if it is one that ring 0 may remember */
};

_Static_assert(sizeof(struct keeper_call) <= 4096, "it is a page");

#endif
