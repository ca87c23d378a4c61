/* Hypercalls from 32-bit code: the few that a boot loader or firmware makes (PVH GRUB, hvmloader). */
#ifndef VMM_COMPAT_H
#define VMM_COMPAT_H

struct vcpu;
struct vm_exit;

/* As hypercall_dispatch, for a vCPU outside long mode. */
void hypercall_dispatch_compat(struct vcpu *v, struct vm_exit *x);

#endif
