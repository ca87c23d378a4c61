/*
 * Copies between the hypervisor and a guest's memory. A guest pointer is a handle (a guest-virtual address in the calling
 * vCPU's current address space), never a C pointer; each copy walks the guest's page tables, takes a reference on the frame,
 * and touches nothing but RAM.
 */
#ifndef VMM_MEMORY_GUEST_ACCESS_H
#define VMM_MEMORY_GUEST_ACCESS_H

/* The guest-virtual address in a handle; the C pointer in it is never followed. */
#define HANDLE(h) ((u64)(uintptr_t)(h).p)

struct vcpu;
struct domain;
struct page;

/* 0 or -EFAULT (some bytes may have been copied). Crosses pages. v must be the current vCPU. */
int copy_from_guest(struct vcpu *v, void *dst, u64 gva, size_t len);
int copy_to_guest(struct vcpu *v, u64 gva, const void *src, size_t len);
/* The same to a guest-physical address of any live domain. */
int copy_to_gpa(struct domain *d, u64 gpa, const void *src, size_t len);
/* Guest-virtual to guest-physical in the vCPU's current address space; 0 or -EFAULT. Supervisor access; `write` asks for R/W. */
int guest_translate(struct vcpu *v, u64 gva, bool write, u64 *gpa);

#endif
