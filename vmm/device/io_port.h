/* Port accesses that exit. */
#ifndef VMM_DEVICE_IO_PORT_H
#define VMM_DEVICE_IO_PORT_H

#define PORT_DEBUG 0xe9         /* bytes for the log */

struct vcpu;
struct vm_exit;
/* Completes an intercepted port access. */
void io_exit(struct vcpu *v, const struct vm_exit *x);

#endif
