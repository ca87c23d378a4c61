/*
 * What the hypervisor records of itself, as the service domain maps it, read-only: a ring of records for each pCPU and counters for each
 * vCPU. The tools there are compiled with this header and the tables that it names; `version` says whether they fit.
 */
#ifndef VMM_DOMAIN_RECORD_LAYOUT_H
#define VMM_DOMAIN_RECORD_LAYOUT_H

#include <asm/cpu.h>
#include <asm/hvm.h>

#define RECORD_MAGIC        0x7968746f42ull /* "Bothy" */
#define RECORD_VERSION      2
#define RECORD_RING         4096u           /* records of a pCPU, a power of two */
#define RECORD_CALLS        128u
#define RECORD_NO_VCPU      0xff            /* the record tells of a whole domain */

/* XENMEM_acquire_resource: this type, any domain, and as `id` one of the things there are. */
#define RECORD_RESOURCE     0xb074u
enum { RECORD_ID_MACHINE, RECORD_ID_VCPUS, RECORD_ID_RING /* + pCPU */ };

/* Kinds of records: the reasons of exits, then the events. */
enum record_kind {
	RECORD_EVENTS = 31,
#define EVENT(name, label, fields) RECORD_##name,
#include "vmm/domain/records.def"
#undef EVENT
	RECORD_KINDS
};

/* An exit is described in place: the vendor writes `x`. The other kinds use its reason and its words. */
struct record {
	union {
		u64 tsc;        /* when it happened */
		struct { u32 tsc_low, tsc_high; };
	};
	u32 cost;               /* exits: ticks (modulo 2^32) until the vCPU was entered again or lost the CPU; 0: not yet */
	u32 unused;
	u64 rip;                /* exits */
	union {
		u64 who;        /* as in struct record_vcpu */
		struct {
			u16 domid;
			u8 vcpu;
			u32 injected;   /* exits: the vector of the interrupt that the guest took in the run before, 0 for none */
		};
	};
	struct vm_exit x;
	u64 unused2;
};

/* RECORD_ID_MACHINE, first page. */
struct record_machine {
	u64 magic;
	u32 version;
	u32 cpus;
	u32 ring;               /* records in each ring */
	u32 rows;               /* of vmm/hypercall/hypercalls.def */
	u32 tsc_khz;
	u32 vcpu_slots;         /* [a] how many there are; two in each page of RECORD_ID_VCPUS */
	u64 tsc_base;           /* TSC at system time 0 */
};

/* The longest time for which a pCPU took no interrupts, and the exit with which it began. */
struct record_longest {
	u64 tsc;                /* [a] when it ended; written last. 0: there is none */
	u64 who;                /* whose exit, as in struct record_vcpu */
	u32 ticks;
	u16 reason;             /* of the exit; EXIT_REASONS: there was none, the pCPU was idle before */
	u16 row;                /* of a hypercall, in vmm/hypercall/hypercalls.def */
	u64 switched;           /* the pCPU went from one vCPU to another meanwhile */
};

/* Second page: one for each pCPU, in cache lines of their own. */
struct record_cpu {
	u64 head;               /* [a] records written since boot; the last one may still be under way */
	u64 idle_ns;
	struct record_longest irqs_off;
	u64 unused[2];
};

struct record_exits { u64 count, sum, max, unused; };    /* TSC ticks */

/* Counters of a vCPU: written by its pCPU alone. The slots are used again, but never given back. */
struct record_vcpu {
	u64 who;                /* [a] domid, vCPU number << 16; ~0: nobody's */
	u64 state;              /* RUNSTATE_*, since when, and ns in each before that: time[RUNSTATE_runnable] was stolen */
	u64 since, time[4];
	struct record_exits exits[EXIT_REASONS + 1];    /* the last: entered without an exit before, which has no cost */
	u64 calls[RECORD_CALLS];        /* hypercalls by row of vmm/hypercall/hypercalls.def from 1; 0: those without */
};

#define RECORD_VCPU_SLOT 2048u

_Static_assert(sizeof(struct record) == 64 && sizeof(struct record_cpu) == 64, "a cache line each");
_Static_assert(sizeof(struct record_vcpu) <= RECORD_VCPU_SLOT, "two in a page");
_Static_assert((int)EXIT_REASONS <= (int)RECORD_EVENTS, "kinds are unique");

#endif
