/*
 * Copies between the hypervisor and a guest's memory. A guest pointer is a handle, never a C
 * pointer: a guest-virtual address in the calling vCPU's current address space. Each copy walks the
 * guest's page tables, takes a reference on the frame, and touches only RAM.
 */
#ifndef VMM_MEMORY_GUEST_ACCESS_H
#define VMM_MEMORY_GUEST_ACCESS_H

/* The guest-virtual address in a handle; the C pointer in it is never followed. */
#define HANDLE(h) ((u64)(uintptr_t)(h).p)

struct vcpu;
struct domain;
struct page;

/*
 * Copy `len` bytes from or to guest-virtual address gva; they may cross pages. Return 0. Errors:
 * -EFAULT if a page is absent, isn't RAM, or is read-only for a write; some bytes may have been
 * copied. Context: v is current.
 */
int copy_from_guest(struct vcpu *v, void *dst, u64 gva, size_t len);
int copy_to_guest(struct vcpu *v, u64 gva, const void *src, size_t len);
/*
 * Copies `len` bytes to guest-physical address gpa of d. Returns 0. Errors: -EFAULT if a page isn't
 * writable RAM; some bytes may have been copied. Context: any; the caller holds a reference to d.
 */
int copy_to_gpa(struct domain *d, u64 gpa, const void *src, size_t len);
/*
 * Translates gva to a guest-physical address by v's current page tables, as for an access in kernel
 * mode; with `write`, as for a write. Returns 0. Errors: -EFAULT if the tables forbid it. Context:
 * v is current.
 */
int guest_translate(struct vcpu *v, u64 gva, bool write, u64 *gpa);

#endif
