/*
 * The ports and the machine's addresses that the service domain reaches directly. Other domains
 * reach no port: IN reads ones, OUT is dropped.
 */
#ifndef VMM_DOM0_PORTS_H
#define VMM_DOM0_PORTS_H

/*
 * Closes the eight ports from `base`, those of the hypervisor's own UART; 0 if it has none.
 * Context: before the first domain.
 */
void dom0_hide_uart(u16 base);
/* True if the service domain reaches the port without an exit. */
bool dom0_port_open(u16 port);
/*
 * Keeps the pages with registers at [start, start + size) for the hypervisor: no domain gets them
 * as device memory. Panics if there are too many such ranges. Context: before the first domain.
 */
void dom0_reserve(paddr_t start, u64 size);
/* True if the service domain may reach the page at `pa`, which isn't RAM, as device memory. */
bool dom0_device_at(paddr_t pa);

#endif
