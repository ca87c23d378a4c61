/* Which ports and MSRs a guest reaches without an exit. SDM volume 3, 25.6.4 (I/O bitmaps) and 25.6.9 (MSR bitmap), a page each. */
#include <asm/vmx_insn.h>
#include "arch/x86/vmx/vmcs.h"
#include "arch/x86/vmx/vmx.h"
#include "lib/string.h"
#include "mm/page.h"
#include "vmm/domain.h"
#include "vmm/io_policy.h"

/* The guest's own values are in the CPU while it runs: entry switches them, or vmx_vcpu_load. */
static const u32 switched_msrs[] = {
	0x174, 0x175, 0x176,                                    /* SYSENTER_CS, _ESP, _EIP */
	0xc0000100, 0xc0000101,                                 /* FS, GS base */
};
const u32 vmx_own_msrs[NR_OWN_MSRS] = {
	[OWN_STAR] = 0xc0000081, [OWN_LSTAR] = 0xc0000082, [OWN_CSTAR] = 0xc0000083, [OWN_SFMASK] = 0xc0000084, [OWN_KERNEL_GS_BASE] = 0xc0000102,
};

/* [I] after the first domain. A guest's two I/O bitmaps are alike, the service domain's two are neighbours. */
static u8 *closed_ports, *dom0_ports, *msr_map;

static u8 *alloc_ones(unsigned order)
{
	struct page *pg = page_alloc(order);

	return pg ? memset(page_to_virt(pg), 0xff, PAGE_SIZE << order) : NULL;
}

/* Reads of low and high MSRs have 1 KiB each, then writes. */
static void open_msr(u32 msr)
{
	u32 byte = (msr >= 0xc0000000 ? 1024 : 0) + (msr & 0x1fff) / 8;
	u8 others = (u8)~(1u << msr % 8);

	msr_map[byte] &= others;
	msr_map[2048 + byte] &= others;
}

static int make_maps(void)
{
	closed_ports = alloc_ones(0);
	dom0_ports = alloc_ones(1);
	msr_map = alloc_ones(0);
	if (!closed_ports || !dom0_ports || !msr_map)
		return -ENOMEM;
	for (u32 port = 0; port < 0x10000; port++)
		if (io_policy_dom0_open((u16)port))
			dom0_ports[port / 8] &= (u8)~(1u << port % 8);
	for (u32 i = 0; i < ARRAY_SIZE(switched_msrs); i++)
		open_msr(switched_msrs[i]);
	for (u32 i = 0; i < NR_OWN_MSRS; i++)
		open_msr(vmx_own_msrs[i]);
	return 0;
}

int vmx_domain_init(struct domain *d __unused)
{
	return msr_map ? 0 : make_maps();
}

void vmx_set_maps(const struct domain *d)
{
	vmwrite(IO_BITMAP_A, virt_to_phys(d->privileged ? dom0_ports : closed_ports));
	vmwrite(IO_BITMAP_B, virt_to_phys(d->privileged ? dom0_ports + PAGE_SIZE : closed_ports));
	vmwrite(MSR_BITMAP, virt_to_phys(msr_map));
}
