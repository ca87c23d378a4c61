/* A domain: memory, event channels, grants and vCPUs that live and die together; and its life cycle. */
#ifndef VMM_DOMAIN_H
#define VMM_DOMAIN_H

#include "lib/list.h"
#include <xen/xen.h>
#include <xen/vcpu.h>
#include <xen/hvm/params.h>
#include <asm/hvm.h>
#include <asm/hvm_vcpu.h>
#include "mm/p2m.h"
#include "vmm/share/evtchn.h"
#include "vmm/share/grant.h"
#include "vmm/memory/guest_access.h"
#include "vmm/domain/record.h"
#include "vmm/cpu/vlapic.h"
#include "vmm/cpu/cpu_policy.h"
#include "sched/sched.h"
#include "sched/timer.h"

#define MAX_VCPUS 128
#define DOMAIN_E820_MAX 128
#define POLL_PORTS_MAX 128
#define TIMERS_PER_VCPU 2

/* Why a vCPU does not run; it runs when none is set (and its domain isn't paused). */
enum {
	VCPU_DOWN    = 1,       /* not started yet, or stopped for good */
	VCPU_BLOCKED = 2,       /* HLT, SCHEDOP_block or poll */
	VCPU_HELD    = 4,       /* a sibling is at work on it */
	VCPU_VIEWED  = 8,       /* the toolstack reads its registers: for a moment */
};

struct vcpu {
	struct domain *domain;          /* [I] */
	u32 id;                         /* [I] */
	u32 apic_id;                    /* [I] */
	struct hvm_vcpu hvm;            /* [c] registers and the vendor's state; others only while the vCPU can't run */
	struct vlapic apic;
	struct sched_entity sched;
	u32 pause_flags;                /* [a] VCPU_* */
	union {                         /* all of it is rare, so one look serves */
		u64 attention;          /* [a] */
		struct {
			bool polling;   /* [c] in SCHEDOP_poll */
			bool nmi_pending, init_pending; /* [a] */
			bool bus_lock;  /* [c] with its last exit it locked the bus */
			u32 sipi;       /* [a] 0x100 | vector: a start-up IPI waits */
		};
	};
	struct vcpu_info *info;         /* [a] in shared_info, a registered frame, or dummy_info */
	struct page *info_page;         /* registered frame (with reference) or NULL */
	struct vcpu_info dummy_info;    /* vCPUs >= 32 until they register one */
	struct timer timer;             /* single-shot */
	/* Runstate (abi.md F.5): changed where the state changes, copied to the guest when scheduled in. */
	struct vcpu_runstate_info runstate; /* [c] */
	u64 wake_time;                  /* [a] when it last became runnable after blocking, ns */
	struct page *runstate_page[2];  /* [c] the guest's area may cross a page; with references, NULL if there is none */
	u32 runstate_offset;            /* [c] in the first page */
	u64 who;                        /* [I] domid, id << 16: how records name it */
	struct record_vcpu *counters;   /* [c] what it points to */
	struct guest_walk walks[GUEST_WALKS]; /* [c] see vmm/memory/guest_access.c */
	bool wait_for_sipi;             /* [c] reset by INIT, or never started */
	/* SCHEDOP_poll */
	u32 poll_port;                  /* [a] single polled port, ~0 for several, 0 for none */
	struct timer poll_timer;
	u16 virq_port[8];               /* [LOCK_EVTCHN] port of each per-vCPU VIRQ, 0 if not bound */
};

struct domain {
	u16 domid;                      /* [I] */
	bool privileged;                /* [I] dom0 */
	u8 dying;                       /* [a] 0 alive, 1 being destroyed, 2 only frames that others map are left, 3 gone from the table */
	u32 refs;                       /* [a] */
	spinlock_t lock;                /* LOCK_DOMAIN */
	xen_domain_handle_t handle;     /* [I] */
	u32 create_flags;               /* [I] XEN_DOMCTL_CDF_* */
	u32 max_vcpus;                  /* [I] length of vcpu[] */
	struct vcpu **vcpu;             /* [I] after max_vcpus: entries may be NULL before */
	struct p2m p2m;
	u64 tot_pages;                  /* [a] frames owned */
	u64 max_pages;                  /* [a] */
	u64 beyond;                     /* [a] frames that it may have besides, from its start until it gives some up */
	u64 pod_target;                 /* [a] how many of those that it starts with are not `beyond` */
	struct shared_info *shared;     /* [I] */
	struct page *shared_page;       /* [I] one reference */
	u64 shared_gfn;                 /* [a] where the guest has it, ~0 */
	struct evtchn_table evtchn;
	struct grant_table grant;
	struct sched_group group;
	u64 params[HVM_NR_PARAMS];      /* [a] */
	u8 callback_vector;             /* [a] 0: none */
	struct cpu_policy *policy;      /* [I] once running */
	u32 pause_count;                /* [LOCK_DOMAIN] by domctl, shutdown and creation */
	u32 controller_pauses;          /* [LOCK_DOMAIN] by domctl alone */
	bool shutting_down;             /* [LOCK_DOMAIN] */
	u8 shutdown_code;               /* [LOCK_DOMAIN] */
	bool runstate_update_flag;      /* [a] vm_assist 5 */
	s64 time_offset;                /* [a] seconds, for the wall clock */
	u32 e820_nr;                    /* [LOCK_DOMAIN] */
	u8 e820[DOMAIN_E820_MAX * 20];  /* [LOCK_DOMAIN] packed entries as given */
	u32 end_step;                   /* [LOCK_CONTROL] of destruction */
	u64 end_next;                   /* [LOCK_CONTROL] where that step goes on */
	struct list ending;             /* [LOCK_DOMAINS] destroyed or dead: see vmm/domain/domain.c */
	u32 pollers;                    /* [a] vCPUs in SCHEDOP_poll */
	char io_line[120];              /* [c-ish, LOCK_DOMAIN] bytes written to port 0xE9 */
	u32 io_len;
	u64 io_window, io_count;        /* rate limit of the above */
	struct { u64 def_type, variable[16], fixed[11]; } mtrr; /* [a] shadow of the MTRR MSRs: see vmm/cpu/msr.c */
};

extern struct domain *dom0;

/* vCPU `id` of d, whatever number a guest makes of it, or NULL if there is none (yet). */
static inline struct vcpu *domain_vcpu(const struct domain *d, u64 id)
{
	if (id >= d->max_vcpus)
		return NULL;
	return __atomic_load_n(&d->vcpu[array_index_nospec(id, d->max_vcpus)], __ATOMIC_ACQUIRE);
}

/* For each vCPU of d. */
#define for_each_vcpu(v, d) for (u32 i_ = 0; i_ < (d)->max_vcpus; i_++) \
		if (!((v) = domain_vcpu(d, i_))) { } else

/* New domain with one pause, which is the control domain's to take back, in the table. domid 0xffff: choose (roving). -EEXIST, -ENOMEM, -EINVAL. */
int domain_create(u16 domid, u32 max_vcpus, u32 max_evtchn_port, s32 grant_frames, s32 maptrack_frames, struct domain **out);
/* vCPU `id` of d, down. The domain is paused. */
int vcpu_create(struct domain *d, u32 id);
/* With a reference, or NULL; dying domains are found too. */
struct domain *domain_get(u16 domid);
/* The first domain with an id >= domid, with a reference. */
struct domain *domain_get_next(u16 domid);
/* How many domain_get_next finds from 0 on. */
u32 domain_count(void);
/* At the last reference the domain is handed to domain_reap. No lock above LOCK_CONTROL held. */
void domain_put(struct domain *d);
/* Adds n to tot_pages if that stays within max_pages, and what it may have beyond. */
bool domain_charge(struct domain *d, u64 n);
/* Given up: so many fewer may also be beyond max_pages. */
void domain_uncharge(struct domain *d, u64 n);
/* Takes n off `beyond`, or all that there is. */
void domain_drop_beyond(struct domain *d, u64 n);

void domain_pause(struct domain *d);
void domain_unpause(struct domain *d);
/* True when no vCPU of d runs or holds state on a pCPU, nor will while it is paused. */
bool domain_is_stopped(struct domain *d);
/* The guest's own end: records the code, pauses, tells dom0. dom0's own ends the machine. */
void domain_shutdown(struct domain *d, u8 code);
/* Takes the guest's own end back, if there was one: it goes on behind the hypercall that ended it. control_lock is held. */
void domain_resume(struct domain *d);
/* The guest did what it can't: logs why, shuts it down as crashed. For dom0 the caller must have something gentler. */
void domain_crash(struct domain *d, const char *fmt, ...) __printf(2, 3);
/* One step of destruction, with control_lock held: 0 when done, -EAGAIN to be called again. */
int domain_destroy(struct domain *d);
/*
 * One step for destroyed domains whose last frame is free, which leave the table, and for those without a reference, which are freed; true
 * if it found any. With no lock above LOCK_CONTROL held.
 */
bool domain_reap(void);

/* vCPU state changes; callable from any pCPU. */
void vcpu_start(struct vcpu *v);        /* a start-up IPI: runs if it waits for one */
void vcpu_kick(struct vcpu *v);         /* something to deliver: wake it if blocked, make it leave guest mode if it runs */
void vcpu_block(struct vcpu *v);        /* current vCPU; undone at once if an event is pending */
void vcpu_up(struct vcpu *v);
void vcpu_down(struct vcpu *v);         /* the last one down means power-off */
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
void domain_update_wallclock(struct domain *d);
void vcpu_poll_timeout(void *vcpu);
void vcpu_poll_end(struct vcpu *v);     /* called when a vCPU that polled runs again */
/* Called by the run loop when a vCPU starts or stops running, with the state it enters. */
void vcpu_set_runstate(struct vcpu *v, int state, u64 now);
/* The guest's area for the runstate at guest-virtual `gva`: 0, or -EFAULT. v is current. */
int vcpu_register_runstate(struct vcpu *v, u64 gva);
/* Moves the vCPU's info to a guest frame: 0, -EINVAL (again, or misplaced), -EFAULT. */
int vcpu_register_info(struct vcpu *v, u64 gfn, u32 offset);
/* Frees what the vCPUs hold of the guest's memory; the domain doesn't run any more. */
void vcpu_release_areas(struct vcpu *v);

#endif
