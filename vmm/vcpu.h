/* A vCPU: its place, registers and areas, and why it doesn't run. What stops and wakes it is in vmm/domain/vcpu.c. */
#ifndef VMM_VCPU_H
#define VMM_VCPU_H

#include <xen/xen.h>
#include <xen/vcpu.h>
#include <asm/hvm_vcpu.h>
#include "sched/sched_types.h"
#include "vmm/cpu/vlapic.h"

struct domain;
struct page;

/*
 * A walk that led to `target`, and all that it depended on. It may be used again when the p2m's generation, CR3 and every entry on
 * the way are compared and found the same, so a guest that changes its tables is never shown an old answer.
 */
struct guest_walk {
	u64 generation;         /* of the p2m, before the walk; 0: unused */
	u64 cr3, page;          /* what was asked: CR3 and the address's page number */
	bool write;             /* the walk was for a write, and serves reads too */
	const u64 *slot[4];     /* the guest's entries and what they were; short walks repeat the last */
	u64 entry[4];
	struct page *target;
};

#define GUEST_WALKS 8           /* remembered by a vCPU, by the low bits of the page number */

/* Why a vCPU does not run; it runs when none is set (and its domain isn't paused). */
enum {
	VCPU_DOWN    = 1,       /* not started yet, or stopped for good */
	VCPU_BLOCKED = 2,       /* HLT, SCHEDOP_block or poll */
	VCPU_HELD    = 4,       /* a sibling is at work on it */
	VCPU_VIEWED  = 8,       /* the toolstack reads its registers: for a moment */
};

/*
 * Tags as in vmm/domain.h, and [c]: only the CPU that the vCPU is on, or, while it can't run (vcpu_hold, a paused or dying domain), the one that
 * sees to that.
 */
struct vcpu {
	struct domain *domain;          /* [I] (d) */
	u32 id;                         /* [I] (s) */
	u32 apic_id;                    /* [I] (d) */
	struct hvm_vcpu hvm;            /* [c] registers and the vendor's state */
	struct vlapic apic;
	struct sched_entity sched;
	u32 pause_flags;                /* [a] (s) VCPU_DOWN and VCPU_BLOCKED, (t) the others */
	union {                         /* all of it is rare, so one look serves */
		u64 attention;          /* [a] */
		struct {
			bool polling;   /* [c] (t) in SCHEDOP_poll */
			bool nmi_pending, init_pending; /* [a] (s) */
			bool bus_lock;  /* [c] (t) with its last exit it locked the bus */
			u32 sipi;       /* [a] (s) 0x100 | vector: a start-up IPI waits */
		};
	};
	struct vcpu_info *info;         /* [a] (d) in shared_info, a registered frame, or dummy_info */
	struct page *info_page;         /* [c] (s) where: registered frame (with reference) or NULL */
	struct vcpu_info dummy_info;    /* [a] (s) vCPUs >= 32 until they register one */
	struct timer timer;             /* (s) single-shot: when it expires */
	/* Runstate (abi.md F.5): changed where the state changes, copied to the guest when scheduled in. */
	struct vcpu_runstate_info runstate; /* [c] (s); siblings may read it, and find it half changed */
	u64 wake_time;                  /* [a] (t) when it last became runnable after blocking, ns */
	struct page *runstate_page[2];  /* [c] (s) where: the guest's area may cross a page; with references, NULL if there is none */
	u32 runstate_offset;            /* [c] (s) in the first page */
	u64 who;                        /* [I] (d) domid, id << 16: how records name it */
	struct record_vcpu *counters;   /* [c] (t) what it points to */
	struct guest_walk walks[GUEST_WALKS]; /* [c] (t) see vmm/memory/guest_access.c */
	bool wait_for_sipi;             /* [c] (s) reset by INIT, or never started; siblings look, and may find the last state */
	/* SCHEDOP_poll */
	u32 poll_port;                  /* [a] (t) single polled port, ~0 for several, 0 for none */
	struct timer poll_timer;        /* (t) */
	u16 virq_port[8];               /* [LOCK_EVTCHN] (s) port of each per-vCPU VIRQ, 0 if not bound */
};

/* vCPU state changes; callable from any pCPU. */
void vcpu_start(struct vcpu *v);        /* a start-up IPI: runs if it waits for one */
void vcpu_kick(struct vcpu *v);         /* something to deliver: wake it if blocked, make it leave guest mode if it runs */
void vcpu_up(struct vcpu *v);
void vcpu_wake(struct vcpu *v);
void vcpu_sync(struct vcpu *v);         /* the scheduler learns what the pause flags and counts say */
/* For a vCPU that may not run: true when it is on no pCPU, nor will be before it may run again. */
bool vcpu_is_off(struct vcpu *v);
/*
 * Keeps v, which isn't the caller, off every pCPU until vcpu_let_go: true, or false if it still is on one, or held by another. Being down is not
 * enough for who touches v's own state, since its pCPU may be on its way out of it, and another sibling may start it again.
 */
bool vcpu_hold(struct vcpu *v);
void vcpu_let_go(struct vcpu *v);
/* Runnable now? */
bool vcpu_runnable(const struct vcpu *v);
void vcpu_poll_timeout(void *vcpu);
void vcpu_poll_end(struct vcpu *v);     /* called when a vCPU that polled runs again */
/* Called by the run loop when a vCPU starts or stops running, with the state it enters. */
void vcpu_set_runstate(struct vcpu *v, int state, u64 now);

#endif
