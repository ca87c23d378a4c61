/* Guest-physical addresses without RAM: what is there for a guest, and what its accesses do. */
#ifndef VMM_KEEPER_MMIO_H
#define VMM_KEEPER_MMIO_H

struct vcpu;
struct vm_exit;

/*
 * Handles an access of v's to an address without RAM. Returns true if the guest may go on; or false
 * if the access can't be carried out: of an event's delivery, of the guest's page tables, or without
 * memory for a keeper. Context: v is current, and not of the service domain.
 */
bool mmio_exit(struct vcpu *v, const struct vm_exit *x);
/*
 * Reads or writes up to 8 bytes, not across a page's end. Where nothing is, reads give ones and
 * writes vanish. Context: v is current.
 */
void mmio_access(struct vcpu *v, u64 gpa, unsigned size, bool write, u64 *data);

#endif
