/* A domain: memory, event channels, grants and vCPUs that live and die together. Which there are, and whether they run: vmm/domain/. */
#ifndef VMM_DOMAIN_H
#define VMM_DOMAIN_H

#include <xen/xen.h>
#include <xen/hvm/params.h>
#include <asm/spinlock.h>
#include "mm/p2m.h"
#include "sched/sched_types.h"
#include "vmm/share/tables.h"

struct cpu_policy;
struct vcpu;

#define MAX_VCPUS 128
#define DOMAIN_E820_MAX 128

/* How far the end of a domain has come. */
enum { DOMAIN_ALIVE, DOMAIN_ENDING, DOMAIN_LENDING /* only frames that others map are left */, DOMAIN_LEFT /* gone from the table */ };

/*
 * Each field has two tags. Who may touch it: [I] nobody changes it once others can see the domain; [a] everybody, by atomic instructions or whole
 * words at a time; [LOCK_X] with that lock held. What becomes of it when the domain moves: (s) saved, it goes along; (d) derived, the new place
 * makes it anew from its own resources and the configuration; (t) transient, it has no meaning elsewhere. Parts have theirs where they are declared.
 */
struct domain {
	u16 domid;                      /* [I] (d) */
	bool privileged;                /* [I] (d) dom0, which doesn't move */
	u8 dying;                       /* [a] (t) DOMAIN_*, only upwards */
	u32 refs;                       /* [a] (t) */
	spinlock_t lock;                /* (t) LOCK_DOMAIN */
	xen_domain_handle_t handle;     /* [I] (d) */
	u32 create_flags;               /* [I] (d) XEN_DOMCTL_CDF_* */
	u32 max_vcpus;                  /* [I] (d) length of vcpu[] */
	struct vcpu **vcpu;             /* [I] (d) each entry [a], from NULL to its vCPU once */
	struct p2m p2m;
	u64 tot_pages;                  /* [a] (d) frames owned */
	u64 max_pages;                  /* [a] (d) */
	u64 beyond;                     /* [a] (s) frames that it may have besides, from its start until it gives some up */
	u64 pod_target;                 /* [a] (t) how many of those that it starts with are not `beyond` */
	struct shared_info *shared;     /* [I] (s) its contents */
	struct page *shared_page;       /* [I] (d) one reference */
	u64 shared_gfn;                 /* [a] (s) where the guest has it, ~0 */
	struct evtchn_table evtchn;
	struct grant_table grant;
	struct sched_group group;
	u64 params[HVM_NR_PARAMS];      /* [a] (s) */
	u8 callback_vector;             /* [a] (d) from params, 0: none */
	struct cpu_policy *policy;      /* [I] (s) once running; before, what it points to changes under LOCK_CONTROL */
	u32 pause_count;                /* [a] (t) by domctl, shutdown and creation */
	u32 controller_pauses;          /* [LOCK_DOMAIN] (t) by domctl alone */
	bool shutting_down;             /* [LOCK_DOMAIN] (t) */
	u8 shutdown_code;               /* [LOCK_DOMAIN] (t) */
	bool runstate_update_flag;      /* [a] (s) vm_assist 5 */
	s64 time_offset;                /* [a] (d) seconds, for the wall clock */
	u32 e820_nr;                    /* [LOCK_DOMAIN] (s) */
	u8 e820[DOMAIN_E820_MAX * 20];  /* [LOCK_DOMAIN] (s) packed entries as given */
	u32 end_step;                   /* [LOCK_CONTROL] (t) of destruction */
	u64 end_next;                   /* [LOCK_CONTROL] (t) where that step goes on */
	struct domain *next;            /* [LOCK_DOMAINS] (t) destroyed or dead: see vmm/domain/domain.c */
	u32 pollers;                    /* [a] (t) vCPUs in SCHEDOP_poll */
	struct { char line[120]; u32 len; u64 window, count; } log;     /* [LOCK_DOMAIN] (t) see vmm/domain/guest_log.c */
	struct mtrrs { u64 def_type, variable[16], fixed[11]; } mtrr;   /* [a] (s) as the guest set them: see vmm/cpu/mtrr.c */
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

/* With a reference, or NULL; dying domains are found too. */
struct domain *domain_get(u16 domid);
/* The same for a number that v passes: DOMID_SELF is its own domain. */
struct domain *domain_resolve(struct vcpu *v, u16 domid);
/*
 * The rule of most operations that name a domain: a guest may name itself, the service domain anybody. The domain with a reference in *out: 0,
 * -ESRCH if there is none, -EPERM if it isn't v's to name.
 */
int domain_get_permitted(struct vcpu *v, u16 domid, struct domain **out);
/* The first domain with an id >= domid, with a reference. */
struct domain *domain_get_next(u16 domid);
/* How many domain_get_next finds from 0 on. */
u32 domain_count(void);
/* At the last reference the domain is handed to domain_reap. No lock above LOCK_CONTROL held. */
void domain_put(struct domain *d);
/* Puts d, which has its first reference, into the table under d->domid, which 0xffff leaves to us. -EEXIST, -ENOMEM, -EINVAL. */
int domain_enter_table(struct domain *d);
/* d's destruction is done but for frames that others map: when they are gone it leaves the table. */
void domain_may_leave(struct domain *d);
/*
 * True if there is one that has left the table just now (*left: its reference is the caller's to put), or one without a reference, to be freed
 * (*gone); or both. domain_not_gone hands back one that isn't freed yet.
 */
bool domain_next_to_go(struct domain **left, struct domain **gone);
void domain_not_gone(struct domain *d);
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

#endif
