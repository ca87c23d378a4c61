/* Which ports and MSRs a guest reaches without an exit. APM 15.10 (I/O map: 12 KiB) and 15.11 (MSR map: 8 KiB, two bits an MSR). */
#include <asm/hvm.h>
#include "arch/x86/svm/svm.h"
#include "mm/page.h"
#include "vmm/domain.h"

static struct hvm_maps maps;    /* [I] by init */

static void open_msr(u8 *map, u32 msr)
{
	u32 index = msr < 0x2000 ? msr : 0x2000 + (msr - 0xc0000000);
	u32 bit = index * 2;

	map[bit / 8] &= (u8)~(3u << bit % 8);
}

int svm_init(hvm_port_fn *dom0_port)
{
	static const struct hvm_map_orders order = { .closed_ports = 2, .dom0_ports = 2, .msrs = 1 };

	return hvm_make_maps(&maps, &order, open_msr, dom0_port);
}

u64 svm_iopm(const struct domain *d)
{
	return virt_to_phys(d->privileged ? maps.dom0_ports : maps.closed_ports);
}

u64 svm_msrpm(void)
{
	return virt_to_phys(maps.msrs);
}
