/*
 * The layout of the record, which the service domain maps read-only: a ring of records for each
 * CPU, and counters for each vCPU. The `bothy` program there is compiled with this header and the
 * tables that it names. RECORD_VERSION tells it whether the running hypervisor has the same
 * layout.
 */
#ifndef VMM_DOMAIN_RECORD_LAYOUT_H
#define VMM_DOMAIN_RECORD_LAYOUT_H

#include <asm/cpu.h>
#include <asm/hvm.h>

#define RECORD_MAGIC        0x7968746f42ull /* "Bothy" */
#define RECORD_VERSION      3
#define RECORD_RING         4096u           /* records in a CPU's ring, a power of two */
#define RECORD_CALLS        144u
#define RECORD_NO_VCPU      0xff            /* the record is about a whole domain */

/* For XENMEM_acquire_resource: the type, and the ids that it knows. The domain doesn't matter. */
#define RECORD_RESOURCE     0xb074u
enum { RECORD_ID_MACHINE, RECORD_ID_VCPUS, RECORD_ID_RING /* + CPU number */ };

/* The kinds of records: below RECORD_EVENTS the reasons of exits, then the events. */
enum record_kind {
	RECORD_EVENTS = 31,
#define EVENT(name, label, fields) RECORD_##name,
#include "vmm/domain/records.def"
#undef EVENT
	RECORD_KINDS
};

/* The vendor describes an exit in place, in `x`. Events use the reason and the words of `x`. */
struct record {
	union {
		u64 tsc;        /* when it happened */
		struct { u32 tsc_low, tsc_high; };
	};
	u32 cost;               /* exits: ticks (mod 2^32) until v ran again or left; 0: not yet */
	u32 unused;
	u64 rip;                /* of exits */
	union {
		u64 who;        /* as in struct record_vcpu */
		struct {
			u16 domid;
			u8 vcpu;
			u32 injected;   /* exits: the vector that the guest took before, or 0 */
		};
	};
	struct vm_exit x;
	u64 unused2;
};

/* The first page of RECORD_ID_MACHINE. */
struct record_machine {
	u64 magic;
	u32 version;
	u32 cpus;
	u32 ring;               /* records in each ring */
	u32 rows;               /* rows of vmm/hypercall/hypercalls.def */
	u32 tsc_khz;
	u32 vcpu_slots;         /* [a] slots that exist, two in each page of RECORD_ID_VCPUS */
	u64 tsc_base;           /* TSC at system time 0 */
};

/* The longest time in which a CPU took no interrupts, and the exit with which that time began. */
struct record_longest {
	u64 tsc;                /* [a] when the time ended; written last. 0: there is none */
	u64 who;                /* whose exit, as in struct record_vcpu */
	u32 ticks;
	u16 reason;             /* of the exit; EXIT_REASONS: no exit, the CPU was idle before */
	u16 row;                /* of a hypercall: row in vmm/hypercall/hypercalls.def */
	u64 switched;           /* 1: the CPU went from one vCPU to another meanwhile */
};

/* The second page of RECORD_ID_MACHINE: one for each CPU, each in a cache line of its own. */
struct record_cpu {
	u64 head;               /* [a] records written since boot; the last may not be finished */
	u64 idle_ns;
	struct record_longest irqs_off;
	u64 unused[2];
};

struct record_exits { u64 count, sum, max, unused; };    /* TSC ticks */

/*
 * A vCPU's counters. Only its CPU writes them. Slots are used again, but their memory is never
 * freed.
 */
struct record_vcpu {
	u64 who;                /* [a] domid, vCPU number << 16; ~0: nobody's */
	u64 state;              /* RUNSTATE_*; `since` when, and time[] in each before, ns */
	u64 since, time[4];     /* time[RUNSTATE_runnable] was stolen from it */
	/* The last element counts entries that had no exit before them, and so no cost. */
	struct record_exits exits[EXIT_REASONS + 1];
	/*
	 * Its domain's dirty log, if it is the first vCPU: the round from 1 (0: the log is off),
	 * when it began, and the frames that were dirty in the round before, which took `ns`. The
	 * CPU that works on the log writes them.
	 */
	struct record_log { u64 round, since, frames, ns; } log;
	u64 calls[RECORD_CALLS];        /* by row of hypercalls.def, from 1; 0: others */
};

#define RECORD_VCPU_SLOT 2048u

_Static_assert(sizeof(struct record) == 64 && sizeof(struct record_cpu) == 64, "a cache line each");
_Static_assert(sizeof(struct record_vcpu) <= RECORD_VCPU_SLOT, "two in a page");
_Static_assert((int)EXIT_REASONS <= (int)RECORD_EVENTS, "kinds are unique");

#endif
