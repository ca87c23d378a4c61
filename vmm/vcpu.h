/*
 * A vCPU: its place, registers and areas, and the reasons why it doesn't run. vmm/domain/vcpu.c
 * stops and wakes it.
 */
#ifndef VMM_VCPU_H
#define VMM_VCPU_H

#include <xen/xen.h>
#include <xen/vcpu.h>
#include <asm/hvm_vcpu.h>
#include "sched/sched_types.h"
#include "vmm/apic/vlapic.h"

struct domain;
struct keeper;
struct page;

/*
 * A walk of the guest's page tables that led to `target`, and everything it depended on. A later
 * copy may use it again only if the p2m's generation, CR3 and every entry on the way are still the
 * same. Otherwise a guest that changes its tables would be shown an old answer.
 */
struct guest_walk {
	u64 generation;         /* of the p2m, before the walk; 0: unused */
	u64 cr3, page;          /* the question: CR3 and the address's page number */
	bool write;             /* the walk was for a write, and serves reads too */
	const u64 *slot[4];     /* where the guest's entries are; short walks repeat the last */
	u64 entry[4];           /* the values that they had */
	struct page *target;
};

#define GUEST_WALKS 8           /* per vCPU, by the low bits of the page number */

/* The reasons why a vCPU doesn't run. It may run when none is set and its domain isn't paused. */
enum {
	VCPU_DOWN    = 1,       /* not started yet, or stopped for good */
	VCPU_BLOCKED = 2,       /* HLT, SCHEDOP_block or poll */
	VCPU_HELD    = 4,       /* vcpu_hold: another vCPU of its domain works on its state */
	VCPU_VIEWED  = 8,       /* the toolstack is reading its registers */
};

/*
 * What a vCPU has to look after before it enters the guest again. All of it is rare, so the run
 * loop reads it in one load.
 */
enum {
	VCPU_NMI      = 1,      /* an NMI waits */
	VCPU_INIT     = 2,      /* an INIT waits */
	VCPU_SIPI     = 4,      /* a start-up IPI waits */
	VCPU_POLLS    = 8,      /* it is in SCHEDOP_poll, or comes from there */
	VCPU_BUS_LOCK = 16,     /* its last exit was for a locked bus */
	VCPU_SEALED   = 32,     /* its domain is sealed: its exits are hidden */
	VCPU_KEEPER   = 64,     /* its keeper executes an instruction for it */
};

/*
 * The tags are those of vmm/domain.h, and [c]: only the CPU that the vCPU is on may touch the
 * field. While the vCPU can't run, the CPU that keeps it so may (vcpu_hold, a paused or dying
 * domain).
 */
struct vcpu {
	struct domain *domain;          /* [I] (d) */
	u32 id;                         /* [I] (s) */
	u32 apic_id;                    /* [I] (d) */
	struct hvm_vcpu hvm;            /* [c] registers and the vendor's state */
	struct keeper *keeper;          /* [c] (d) NULL until it is needed: vmm/keeper/ */
	struct vlapic apic;
	struct sched_entity sched;
	u32 pause_flags;                /* [a] (s) VCPU_DOWN and VCPU_BLOCKED, (t) the others */
	u32 attention;                  /* [a] (s) VCPU_NMI to VCPU_SIPI, (t) the others */
	u8 upcall_vector;               /* [a] (t) tells of events by the APIC; 0: the domain's callback does */
	u8 sipi_vector;                 /* [a] (s) where the start-up IPI starts it */
	struct vcpu_info *info;         /* [a] (d) in shared_info, a registered frame, or dummy_info */
	struct page *info_page;         /* [c] (s) where: a frame with a reference, or NULL */
	struct vcpu_info dummy_info;    /* [a] (s) vCPUs >= 32 until they register one */
	struct timer timer;             /* (s) single-shot: when it expires */
	struct timer apic_timer;        /* (d) */
	/* Runstate (abi.md F.5): changed with the state, copied to the guest when it gets a CPU. */
	struct vcpu_runstate_info runstate; /* [c] (s) siblings may read it half changed */
	u64 wake_time;                  /* [a] (t) time of the last wake-up from blocking, ns */
	struct page *runstate_page[2];  /* [c] (s) where: up to 2 frames with references */
	bool runstate_narrow;           /* [c] (s) the area has the 32-bit layout */
	u32 runstate_offset;            /* [c] (s) the area's offset in the first page */
	u64 who;                        /* [I] (d) domid | id << 16: its name in records */
	struct record_vcpu *counters;   /* [c] (t) the counters, not the pointer */
	struct guest_walk walks[GUEST_WALKS]; /* [c] (t) see vmm/memory/guest_access.c */
	bool wait_for_sipi;             /* [c] (s) reset by INIT, or never ran; siblings look */
	/* SCHEDOP_poll */
	u32 poll_port;                  /* [a] (t) the port that it polls; ~0: several, 0: none */
	struct timer poll_timer;        /* (t) */
	u16 virq_port[4];               /* [LOCK_EVTCHN] (s) port of each per-vCPU VIRQ, 0 if not bound */
};

/* Returns true if one of `bits` is set in v's attention. Context: any. */
static inline bool vcpu_wants(const struct vcpu *v, u32 bits)
{
	return __atomic_load_n(&v->attention, __ATOMIC_RELAXED) & bits;
}

/* Clears `bit` in v's attention. Returns true if it was set. Context: any. */
static inline bool vcpu_take(struct vcpu *v, u32 bit)
{
	return __atomic_fetch_and(&v->attention, ~bit, __ATOMIC_SEQ_CST) & bit;
}

/* Changes of a vCPU's state. Context: any CPU, unless stated otherwise. Locks: takes LOCK_RQ. */

/* Delivers a start-up IPI: starts v if it is down and waits for one, and does nothing otherwise. */
void vcpu_start(struct vcpu *v);
/*
 * Makes v look for something to deliver: wakes it if it is blocked, ends its run if it is running.
 */
void vcpu_kick(struct vcpu *v);
/* Has v look at its events: posts its own vector to its APIC, or kicks v for the callback. */
static inline void vcpu_upcall(struct vcpu *v)
{
	u8 vector = __atomic_load_n(&v->upcall_vector, __ATOMIC_RELAXED);

	if (unlikely(vector))
		vlapic_post(v, vector, false);
	else
		vcpu_kick(v);
}
/* Sets `bit` in v's attention, and kicks v to look at it. */
static inline void vcpu_alert(struct vcpu *v, u32 bit)
{
	__atomic_or_fetch(&v->attention, bit, __ATOMIC_SEQ_CST);
	vcpu_kick(v);
}
/* Clears VCPU_DOWN: v may run. */
void vcpu_up(struct vcpu *v);
/* Ends v's blocking; does nothing if it isn't blocked. */
void vcpu_wake(struct vcpu *v);
/*
 * Tells the scheduler whether v may run, after a change of its pause flags or its domain's pauses.
 */
void vcpu_sync(struct vcpu *v);
/* Returns true if v may not run, is on no CPU, and won't be on one before it may run again. */
bool vcpu_is_off(struct vcpu *v);
/*
 * Keeps v, which isn't the current vCPU, off every CPU until vcpu_let_go(). Returns true, or false
 * if v is still on a CPU or another vCPU holds it. Code that touches v's own state needs this even
 * if v is down. Otherwise v's CPU may still be on its way out of it, and a sibling may start it
 * again meanwhile.
 */
bool vcpu_hold(struct vcpu *v);
/* Ends vcpu_hold(). */
void vcpu_let_go(struct vcpu *v);
/* Returns true if v may run now: it has no pause flag, and its domain no pause. Locks: none. */
bool vcpu_runnable(const struct vcpu *v);
/* Ends the poll of `vcpu`, because its time is over. Context: its poll_timer. */
void vcpu_poll_timeout(void *vcpu);
/*
 * Tidies up after a poll. Context: the run loop, when a vCPU that polled runs again. Locks:
 * LOCK_TIMER.
 */
void vcpu_poll_end(struct vcpu *v);
/*
 * Accounts the time since v's last change of state, and enters `state` (RUNSTATE_*) at time `now`,
 * in ns. Context: the CPU that v is on, as v starts or stops running; or v's creation, or the
 * registration of its area.
 */
void vcpu_set_runstate(struct vcpu *v, int state, u64 now);

#endif
