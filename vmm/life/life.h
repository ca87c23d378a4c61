/* Making, ending and changing domains and their vCPUs: what knows all their parts. */
#ifndef VMM_LIFE_LIFE_H
#define VMM_LIFE_LIFE_H

#include <asm/spinlock.h>

struct domain;
struct vcpu;

#define TIMERS_PER_VCPU 2

/* Held by every operation that changes what a domain is made of: they exclude each other, whichever domain they are for. */
extern spinlock_t control_lock;     /* LOCK_CONTROL */

/* New domain with one pause, which is the toolstack's to take back, in the table. domid 0xffff: choose (roving). -EEXIST, -ENOMEM, -EINVAL. */
int domain_create(u16 domid, u32 max_vcpus, u32 max_evtchn_port, s32 grant_frames, s32 maptrack_frames, struct domain **out);
/*
 * 0 if d is paused (by the toolstack, at its creation or by its own end) and nothing of it runs any more; HC_AGAIN if it is
 * paused but still on its way out of a CPU; -EINVAL if it isn't paused. It stays so while the caller holds control_lock.
 */
long domain_check_stopped(struct domain *d);
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
void domain_update_wallclock(struct domain *d);

/* vCPU `id` of d, down. The domain is paused. */
int vcpu_create(struct domain *d, u32 id);
void vcpu_free(struct vcpu *v);         /* one that was made, or not all of it */
void vcpu_block(struct vcpu *v);        /* current vCPU; undone at once if an event is pending */
void vcpu_down(struct vcpu *v);         /* the last one down means power-off */
/* The guest's area for the runstate at guest-virtual `gva`: 0, or -EFAULT. v is current. */
int vcpu_register_runstate(struct vcpu *v, u64 gva);
/* Moves the vCPU's info to a guest frame: 0, -EINVAL (again, or misplaced), -EFAULT. */
int vcpu_register_info(struct vcpu *v, u64 gfn, u32 offset);
/* Frees what the vCPUs hold of the guest's memory; the domain doesn't run any more. */
void vcpu_release_areas(struct vcpu *v);

#endif
