/*
 * Makes, ends and changes domains and their vCPUs. Only vmm/life/ knows all the parts of a domain.
 */
#ifndef VMM_LIFE_LIFE_H
#define VMM_LIFE_LIFE_H

#include <asm/spinlock.h>

struct domain;
struct vcpu;

#define TIMERS_PER_VCPU 3

/*
 * Every operation that changes the make-up of a domain holds this lock. So only one such operation
 * runs at a time, even if two are for different domains.
 */
extern spinlock_t control_lock;     /* LOCK_CONTROL */

/*
 * Creates a domain and enters it in the table, paused once; the toolstack takes the pause back.
 * domid 0xffff picks the next free id. Returns 0, and the domain in *out with the table's
 * reference. Errors: -EEXIST if domid is in use, -EINVAL if domid is reserved, or max_vcpus is 0
 * or too large. -ENOMEM if memory or ids ran out. Locks: control_lock is held, except at boot.
 */
int domain_create(u16 domid, u32 max_vcpus, u32 max_evtchn_port, s32 grant_frames, s32 maptrack_frames, struct domain **out);
/*
 * Checks that d stands still: it is paused, and none of its vCPUs is on a CPU. The pause may come
 * from the toolstack, d's creation or d's own end. Returns 0, or HC_AGAIN if it is paused but
 * still on its way out of a CPU. Errors: -EINVAL if it isn't paused. Locks: control_lock is held;
 * d stands still as long as the caller keeps that lock.
 */
long domain_check_stopped(struct domain *d);
/*
 * Ends d by its own doing: notes the code (SHUTDOWN_*), pauses d, and tells the service domain.
 * The end of the service domain itself powers the machine off or restarts it. Locks: takes
 * LOCK_DOMAIN.
 */
void domain_shutdown(struct domain *d, u8 code);
/*
 * Takes d's own end back, if there was one. d then continues behind the hypercall that ended it.
 * Locks: control_lock is held.
 */
void domain_resume(struct domain *d);
/*
 * Ends a guest that did something impossible: logs the reason, and shuts the guest down as
 * crashed. For the service domain this restarts the machine, so callers do something gentler there
 * if they can. Locks: as domain_shutdown.
 */
void domain_crash(struct domain *d, const char *fmt, ...) __printf(2, 3);
/*
 * Does one step of d's destruction. Returns 0 if that was the last one. Errors: -EAGAIN if the
 * caller has to call again for the next step. Locks: control_lock is held.
 */
int domain_destroy(struct domain *d);
/*
 * Does one step for dead domains. Takes a destroyed domain out of the table if its last frame is
 * free, and frees some of a domain without a reference. Returns true if it found either. Locks:
 * the caller holds none above LOCK_CONTROL.
 */
bool domain_reap(void);
/* Writes the wall clock, with d's offset, into its shared_info. Locks: takes LOCK_WALLCLOCK. */
void domain_update_wallclock(struct domain *d);

/*
 * Writes v's clock (pvclock), also into shared_info. Context: v is current, or its domain paused.
 */
void vcpu_update_time(struct vcpu *v);
/*
 * Makes vCPU `id` of d, which stays down. Returns 0. Errors: -EINVAL if it exists or `id` is too
 * large, -ENOMEM without memory. Context: d is paused. Locks: control_lock is held, except at
 * boot.
 */
int vcpu_create(struct domain *d, u32 id);
/* Frees a vCPU, whether vcpu_create() finished it or not. Context: no CPU uses it any more. */
void vcpu_free(struct vcpu *v);
/*
 * Blocks v until it has an event, or not at all if it has one already. Context: v is the current
 * vCPU.
 */
void vcpu_block(struct vcpu *v);
/*
 * Stops v for good, or until it is started again. When all vCPUs of the domain are down, this
 * shuts the domain down with the code for power-off. Locks: as domain_shutdown.
 */
void vcpu_down(struct vcpu *v);
/*
 * Registers the guest's area for v's runstate at `gva`, which is virtual in the tables of `caller`.
 * Returns 0. Errors: -EFAULT if gva isn't 8-byte aligned or not all of the area is the guest's own
 * writable RAM. Context: `caller` is current; v is the same, or held.
 */
#define RUNSTATE_NARROW 1u  /* in gva: the area has the 32-bit layout, and is 4-byte aligned */
int vcpu_register_runstate(struct vcpu *v, struct vcpu *caller, u64 gva);
/*
 * Moves v's info to `offset` in the guest's frame gfn. Returns 0. Errors: -EFAULT if there is no
 * writable frame. -EINVAL if the info was moved before, `offset` is misaligned or too large, or
 * the frame isn't its own RAM. Context: v is current, or held. Locks: d->lock is held.
 */
int vcpu_register_info(struct vcpu *v, u64 gfn, u32 offset);
/* Gives back the frames of v's two areas. Context: v's domain is dying and doesn't run any more. */
void vcpu_release_areas(struct vcpu *v);

#endif
