/*
 * Which ports and which of the machine's addresses the service domain reaches directly. Other domains reach no port: IN reads ones, OUT is
 * dropped.
 */
#ifndef VMM_DOM0_PORTS_H
#define VMM_DOM0_PORTS_H

/* The ports of the hypervisor's own UART are taken away; 0 if it has none. Before the first domain. */
void dom0_hide_uart(u16 base);
bool dom0_port_open(u16 port);
/*
 * Ring 0 uses the registers at [start, start + size): from now on no domain gets their pages as device memory. Panics if there are too
 * many. Before the first domain.
 */
void dom0_reserve(paddr_t start, u64 size);
/* True if the service domain may reach the page at `pa`, which isn't RAM, as device memory. */
bool dom0_device_at(paddr_t pa);

#endif
