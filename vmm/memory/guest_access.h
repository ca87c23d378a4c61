/*
 * Copies between the hypervisor and a guest's memory. A guest pointer is a handle (a guest-virtual address in the calling
 * vCPU's current address space), never a C pointer; each copy walks the guest's page tables, takes a reference on the frame,
 * and touches nothing but RAM.
 */
#ifndef VMM_GUEST_ACCESS_H
#define VMM_GUEST_ACCESS_H

#include "lib/base.h"

struct vcpu;
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

/* 0 or -EFAULT (some bytes may have been copied). Crosses pages. v must be the current vCPU. */
int copy_from_guest(struct vcpu *v, void *dst, u64 gva, size_t len);
int copy_to_guest(struct vcpu *v, u64 gva, const void *src, size_t len);
/* The same to a guest-physical address of any live domain. */
int copy_to_gpa(struct domain *d, u64 gpa, const void *src, size_t len);
/* Guest-virtual to guest-physical in the vCPU's current address space; 0 or -EFAULT. Supervisor access; `write` asks for R/W. */
int guest_translate(struct vcpu *v, u64 gva, bool write, u64 *gpa);

#endif
