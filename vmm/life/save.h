/* Saving and restoring a guest: the kinds of records that describe it, its clock, and its memory. */
#ifndef VMM_LIFE_SAVE_H
#define VMM_LIFE_SAVE_H

struct domain;
struct vcpu;

/* The largest record: a page of XSAVE states and what stands before them. */
#define SAVED_MAX 4120u

/*
 * A kind of record, of which each vCPU may have one. `fill` writes it to `data`, or only counts if
 * that is NULL; returns its length, or 0 if v has none. Without it we save none. `valid` says
 * whether v may have the record. `load` gives it to v and returns 0; -EINVAL if the CPU refuses it.
 * Without it the record changes nothing here. Context: v's domain is stopped.
 */
struct saved_kind {
	u32 (*fill)(struct vcpu *v, void *data);
	bool (*valid)(struct vcpu *v, const void *data, u32 length);
	int (*load)(struct vcpu *v, const void *data);
};
/* By their types, and so in the order in which they are saved. A kind without `valid` is none. */
#define SAVED_KINDS 21u
extern const struct saved_kind saved_kinds[SAVED_KINDS];

/*
 * Starts the clock of a guest that settscinfo said is being restored: from now on its TSC goes on
 * from `tsc`. Does nothing for other guests. Locks: control_lock is held. Context: d is stopped.
 */
void save_start_clock(struct domain *d, u64 tsc);

#endif
