/* Which ports the service domain reaches directly. Everybody else reaches none: IN reads ones, OUT is dropped. */
#ifndef VMM_IO_POLICY_H
#define VMM_IO_POLICY_H

#include "lib/base.h"

/* The ports of the hypervisor's own UART are taken away; 0 if it has none. Before the first domain. */
void io_policy_hide_uart(u16 base);
bool io_policy_dom0_open(u16 port);

struct vcpu;
struct vm_exit;
/* Completes an intercepted port access. */
void io_exit(struct vcpu *v, const struct vm_exit *x);

#endif
