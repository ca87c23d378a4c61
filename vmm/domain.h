/*
 * A domain: memory, event channels, grants and vCPUs that live and die together. vmm/domain/ keeps
 * the table of domains and decides whether each runs.
 */
#ifndef VMM_DOMAIN_H
#define VMM_DOMAIN_H

#include <xen/xen.h>
#include <xen/hvm/params.h>
#include <xen/hvm/save.h>
#include <asm/guest_clock.h>
#include <asm/spinlock.h>
#include "mm/p2m.h"
#include "sched/sched_types.h"
#include "vmm/life/seal.h"
#include "vmm/share/tables.h"

struct cpu_policy;
struct hypercall;
struct vcpu;

#define MAX_VCPUS 128
#define DOMAIN_E820_MAX 128

/* How far the end of a domain has come. */
enum {
	DOMAIN_ALIVE,
	DOMAIN_ENDING,
	DOMAIN_LENDING,         /* only frames that others map are left */
	DOMAIN_LEFT             /* gone from the table */
};

/*
 * Each field has two tags. The first says who may touch the field:
 *   [I]       nobody changes it once others can see the domain
 *   [a]       everybody, by atomic instructions or in whole words
 *   [LOCK_X]  the holder of that lock
 * The second says what a move of the domain to another machine does with the field:
 *   (s)       saved: its value goes along
 *   (d)       derived: the new machine makes it from its own resources and the configuration
 *   (t)       transient: it has no meaning elsewhere
 * The fields of an embedded struct have their tags where that struct is declared.
 */
struct domain {
	u16 domid;                      /* [I] (d) */
	bool privileged;                /* [I] (d) the service domain, which doesn't move */
	u8 dying;                       /* [a] (t) DOMAIN_*, only upwards */
	u32 refs;                       /* [a] (t) */
	u64 unique_id;                  /* [I] (d) no other domain has it until the machine restarts */
	spinlock_t lock;                /* (t) LOCK_DOMAIN */
	xen_domain_handle_t handle;     /* [I] (d) */
	u32 create_flags;               /* [I] (d) XEN_DOMCTL_CDF_* */
	u32 max_vcpus;                  /* [I] (d) length of vcpu[] */
	struct vcpu **vcpu;             /* [I] (d) each entry [a], from NULL to its vCPU once */
	struct p2m p2m;
	u64 tot_pages;                  /* [a] (d) frames owned */
	u64 max_pages;                  /* [a] (d) */
	u64 beyond;                     /* [a] (s) frames allowed above max_pages until given up */
	u64 pod_target;                 /* [a] (t) frames populated above it count as `beyond` */
	struct shared_info *shared;     /* [I] (s) its contents */
	struct page *shared_page;       /* [I] (d) one reference */
	u64 shared_gfn;                 /* [a] (s) where the guest has it, ~0: nowhere */
	struct evtchn_table evtchn;
	struct grant_table grant;
	struct sched_group group;
	u64 params[HVM_NR_PARAMS];      /* [a] (s) */
	u8 callback_vector;             /* [a] (d) from params, 0: none */
	struct cpu_policy *policy;      /* [I] (s) before it runs, *policy is [LOCK_CONTROL] */
	u32 pause_count;                /* [a] (t) pauses by domctl, shutdown and creation */
	u32 controller_pauses;          /* [LOCK_DOMAIN] (t) those by domctl alone */
	bool shutting_down;             /* [LOCK_DOMAIN] (t) */
	u8 shutdown_code;               /* [LOCK_DOMAIN] (t) */
	bool narrow;                    /* [a] (s) its shared structures have 32-bit layouts */
	bool runstate_update_flag;      /* [a] (s) vm_assist 5 */
	s64 time_offset;                /* [a] (d) seconds, for the wall clock */
	struct domain_clock clock;
	/* The dirty log: the migration's round, from 1 (0: it is off), the count so far, and who reads it. [a] (t) vmm/life/domctl_dirty.c */
	struct { u32 round, count; u64 user; } dirty;
	struct seal seal;               /* (d) its label; the rest is made anew */
	u32 e820_nr;                    /* [LOCK_DOMAIN] (s) */
	u8 e820[DOMAIN_E820_MAX * 20];  /* [LOCK_DOMAIN] (s) packed entries as given */
	u32 end_step;                   /* [LOCK_CONTROL] (t) destruction's current step */
	u64 end_next;                   /* [LOCK_CONTROL] (t) where that step continues */
	struct domain *next;            /* [LOCK_DOMAINS] (t) in a list of vmm/domain/domain.c */
	u32 pollers;                    /* [a] (t) vCPUs in SCHEDOP_poll */
	struct { char line[120]; u32 len; u64 window, count; } log;     /* [LOCK_DOMAIN] (t) see vmm/domain/guest_log.c */
	struct hvm_hw_mtrr mtrr;        /* [a] (s) as the guest set them, without PAT: see vmm/cpu/mtrr.c */
};

extern struct domain *dom0;

/*
 * Returns vCPU `id` of d, or NULL if it doesn't exist (yet). A guest may have chosen `id` freely:
 * it is checked, and masked against speculation.
 */
static inline struct vcpu *domain_vcpu(const struct domain *d, u64 id)
{
	if (id >= d->max_vcpus)
		return NULL;
	return __atomic_load_n(&d->vcpu[array_index_nospec(id, d->max_vcpus)], __ATOMIC_ACQUIRE);
}

/* Runs the statement for each vCPU of d that exists. */
#define for_each_vcpu(v, d) for (u32 i_ = 0; i_ < (d)->max_vcpus; i_++) \
		if (!((v) = domain_vcpu(d, i_))) { } else

/* Takes one more reference to d, which can't vanish now: somebody keeps another. */
static inline void domain_hold(struct domain *d) { __atomic_fetch_add(&d->refs, 1, __ATOMIC_RELAXED); }
/*
 * Returns the domain with this id, with a reference for the caller, or NULL. Dying domains are
 * found too. The same holds for the other functions that return a domain. Locks: takes
 * LOCK_DOMAINS.
 */
struct domain *domain_get(u16 domid);
/* Returns the domain that v means by `domid`, as domain_get does; DOMID_SELF is v's own domain. */
struct domain *domain_resolve(struct vcpu *v, u16 domid);
/*
 * Looks up the domain that v's call hc means by `domid`, by the rule of most operations: a guest may
 * name itself, the service domain any domain. A sealed domain may be named by others only where the
 * call's row says so, and the log tells of a refusal. Returns 0 and the domain in *out, with a
 * reference. Errors: -ESRCH if it doesn't exist, -EPERM if v may not name it. Locks: takes
 * LOCK_DOMAINS, and then as refuse().
 */
int domain_get_permitted(struct vcpu *v, const struct hypercall *hc, u16 domid, struct domain **out);
/*
 * Returns the domain with the lowest id >= domid, with a reference, or NULL. Locks: takes
 * LOCK_DOMAINS.
 */
struct domain *domain_get_next(u16 domid);
/* Returns how many domains are in the table. */
u32 domain_count(void);
/*
 * Drops a reference. With the last one the domain goes to domain_reap(), which frees it. Locks:
 * the caller holds none above LOCK_CONTROL.
 */
void domain_put(struct domain *d);
/*
 * Enters d, which has its first reference, in the table under d->domid; for 0xffff it picks the
 * next free id. Returns 0. Errors: -EEXIST if the id is in use, -EINVAL if it is a reserved one,
 * -ENOMEM if memory or free ids have run out. Locks: takes LOCK_DOMAINS.
 */
int domain_enter_table(struct domain *d);
/*
 * Says that d's destruction is complete except for frames that others map. Once those have been
 * given back, domain_next_to_go() takes d out of the table. Locks: takes LOCK_DOMAINS.
 */
void domain_may_leave(struct domain *d);
/*
 * Looks for a domain that can leave the table, and for one that nobody refers to. Returns true if
 * there was either. *left has left the table just now, and the caller puts its reference. *gone
 * has no reference, and the caller frees it. One of the two may be NULL. Locks: takes
 * LOCK_DOMAINS.
 */
bool domain_next_to_go(struct domain **left, struct domain **gone);
/*
 * Hands back a domain that came as *gone and isn't freed completely yet. Locks: takes
 * LOCK_DOMAINS.
 */
void domain_not_gone(struct domain *d);
/*
 * Charges d for n frames. Returns true, or false (nothing changed) if tot_pages would exceed
 * max_pages and `beyond` together. Context: any.
 */
bool domain_charge(struct domain *d, u64 n);
/*
 * Takes n frames that d has given up off its account, and off `beyond`. If d is being destroyed it
 * may vanish with its last frame, so the caller needs a reference to touch it afterwards. Context:
 * any.
 */
void domain_uncharge(struct domain *d, u64 n);
/* Takes n off `beyond`, or all of it if that is less. Context: any. */
void domain_drop_beyond(struct domain *d, u64 n);

/*
 * Marks d as changed, since it was made, has ended or has gone. The first call gives d its unique
 * id. Context: any.
 */
void domain_changed(struct domain *d);
/* Marks all domains as changed, for a new listener. Context: any. */
void domain_changed_all(void);
/*
 * Returns the id of a domain that has changed since it was last returned, or DOMID_INVALID if there
 * is none. The domain may have gone. Locks: takes LOCK_DOMAINS.
 */
u16 domain_next_changed(void);

/*
 * Adds a pause to d: while it has one, no CPU starts to run its vCPUs. Doesn't wait for those that
 * are running (domain_is_stopped). Context: any. Locks: takes LOCK_RQ.
 */
void domain_pause(struct domain *d);
/*
 * Takes one pause back; with the last one d's vCPUs may run again. Context, locks: as
 * domain_pause.
 */
void domain_unpause(struct domain *d);
/*
 * Returns true if d is paused, no vCPU of it runs or has state on a CPU, and none will while the
 * pause lasts. Context, locks: as domain_pause.
 */
bool domain_is_stopped(struct domain *d);

#endif
