/*
 * Which ports and which of the machine's addresses the service domain reaches directly. Other domains reach no port: IN reads ones, OUT is
 * dropped.
 */
#ifndef VMM_IO_POLICY_H
#define VMM_IO_POLICY_H

#include "lib/base.h"

/* The ports of the hypervisor's own UART are taken away; 0 if it has none. Before the first domain. */
void io_policy_hide_uart(u16 base);
bool io_policy_dom0_open(u16 port);
/*
 * Ring 0 uses the registers at [start, start + size): from now on no domain gets their pages as device memory. Panics if there are too
 * many. Before the first domain.
 */
void io_policy_reserve(paddr_t start, u64 size);
/* True if the service domain may reach the page at `pa`, which isn't RAM, as device memory. */
bool io_policy_dom0_device(paddr_t pa);

struct vcpu;
struct vm_exit;
/* Completes an intercepted port access. */
void io_exit(struct vcpu *v, const struct vm_exit *x);

#endif
