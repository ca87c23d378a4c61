/*
 * The parts of the machine that the service domain reaches directly: ports without an exit, and
 * registers as device memory.
 */
#include "vmm/dom0/ports.h"
#include "vmm/device/io_port.h"
#include "drivers/iommu/iommu.h"

/*
 * The 8259s and the 8254 are closed, so that Linux doesn't find them (abi.md H.1). PORT_DEBUG is
 * closed because its bytes go to the log. The other ports are the service domain's, except `uart`.
 */
static const struct { u16 first, last; } closed[] = { { 0x20, 0x21 }, { 0x40, 0x43 }, { 0xa0, 0xa1 }, { PORT_DEBUG, PORT_DEBUG } };
static u16 uart;
static struct { paddr_t start, end; } reserved[64];     /* [I] the hypervisor's registers */
static unsigned nr_reserved;                            /* [I] entries in use */

void dom0_hide_uart(u16 base) { uart = base; }

bool dom0_port_open(u16 port)
{
	for (unsigned i = 0; i < ARRAY_SIZE(closed); i++)
		if (port >= closed[i].first && port <= closed[i].last)
			return false;
	return (!uart || port < uart || port > uart + 7) && (port != PORT_CONFIG || !iommu_hides_functions());
}

void dom0_reserve(paddr_t start, u64 size)
{
	if (nr_reserved == ARRAY_SIZE(reserved))
		panic("there are more devices than the hypervisor can keep for itself");
	reserved[nr_reserved].start = start & PAGE_MASK;
	reserved[nr_reserved++].end = ROUND_UP(start + size, PAGE_SIZE);
}

bool dom0_device_at(paddr_t pa)
{
	for (unsigned i = 0; i < nr_reserved; i++)
		if (pa >= reserved[i].start && pa < reserved[i].end)
			return false;
	return true;
}
