/* Which ports and MSRs a guest reaches without an exit. SDM volume 3, 25.6.4 (I/O bitmaps) and 25.6.9 (MSR bitmap), a page each. */
#include <asm/hvm.h>
#include <asm/vmx_insn.h>
#include "arch/x86/vmx/vmcs.h"
#include "arch/x86/vmx/vmx.h"
#include "mm/page.h"
#include "vmm/domain.h"

const u32 vmx_own_msrs[NR_OWN_MSRS] = {
	[OWN_STAR] = 0xc0000081, [OWN_LSTAR] = 0xc0000082, [OWN_CSTAR] = 0xc0000083, [OWN_SFMASK] = 0xc0000084, [OWN_KERNEL_GS_BASE] = 0xc0000102,
};

/* [I] by init. A guest's two I/O bitmaps are alike, the service domain's two are neighbours. */
static struct hvm_maps maps;

/* Reads of low and high MSRs have 1 KiB each, then writes. */
static void open_msr(u8 *map, u32 msr)
{
	u32 byte = (msr >= 0xc0000000 ? 1024 : 0) + (msr & 0x1fff) / 8;
	u8 others = (u8)~(1u << msr % 8);

	map[byte] &= others;
	map[2048 + byte] &= others;
}

int vmx_init(hvm_port_fn *dom0_port)
{
	static const struct hvm_map_orders order = { .closed_ports = 0, .dom0_ports = 1, .msrs = 0 };

	return hvm_make_maps(&maps, &order, open_msr, dom0_port);
}

void vmx_set_maps(const struct domain *d)
{
	vmwrite(IO_BITMAP_A, virt_to_phys(d->privileged ? maps.dom0_ports : maps.closed_ports));
	vmwrite(IO_BITMAP_B, virt_to_phys(d->privileged ? maps.dom0_ports + PAGE_SIZE : maps.closed_ports));
	vmwrite(MSR_BITMAP, virt_to_phys(maps.msrs));
}
