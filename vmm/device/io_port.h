/* Port accesses that exit. */
#ifndef VMM_DEVICE_IO_PORT_H
#define VMM_DEVICE_IO_PORT_H

#define PORT_DEBUG 0xe9         /* bytes for the log */
#define PORT_CONFIG 0xcf8       /* PCI's address port; ring 0's if it hides a function */

struct vcpu;
struct vm_exit;
/*
 * Carries out the port access that exit x reports, and advances RIP past it. RIP stays if the guest
 * must repeat the access: a string instruction with elements left, or a log that is behind.
 * Context: v is current.
 */
void io_exit(struct vcpu *v, const struct vm_exit *x);

#endif
