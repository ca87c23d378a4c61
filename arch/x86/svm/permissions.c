/* Which ports and MSRs a guest reaches without an exit. APM 15.10 (I/O map: 12 KiB) and 15.11 (MSR map: 8 KiB, two bits an MSR). */
#include "arch/x86/svm/svm.h"
#include "lib/string.h"
#include "mm/page.h"
#include "vmm/domain.h"
#include "vmm/io_policy.h"

enum { IOPM_ORDER = 2, IOPM_SIZE = 3 * 4096, MSRPM_ORDER = 1, MSRPM_SIZE = 2 * 4096 };

/* What VMLOAD and VMSAVE switch, so the guest's own values are in the CPU while it runs. */
static const u32 open_msrs[] = {
	0x174, 0x175, 0x176,                                    /* SYSENTER_CS, _ESP, _EIP */
	0xc0000081, 0xc0000082, 0xc0000083, 0xc0000084,         /* STAR, LSTAR, CSTAR, SFMASK */
	0xc0000100, 0xc0000101, 0xc0000102,                     /* FS, GS, KERNEL_GS base */
};

static u8 *closed_iopm, *dom0_iopm, *msrpm;     /* [I] after the first domain */

static u8 *alloc_ones(unsigned order, size_t size)
{
	struct page *pg = page_alloc(order);

	return pg ? memset(page_to_virt(pg), 0xff, size) : NULL;
}

static void open_msr(u32 msr)
{
	u32 index = msr < 0x2000 ? msr : 0x2000 + (msr - 0xc0000000);
	u32 bit = index * 2;

	msrpm[bit / 8] &= (u8)~(3u << bit % 8);
}

static int make_maps(void)
{
	closed_iopm = alloc_ones(IOPM_ORDER, IOPM_SIZE);
	dom0_iopm = alloc_ones(IOPM_ORDER, IOPM_SIZE);
	msrpm = alloc_ones(MSRPM_ORDER, MSRPM_SIZE);
	if (!closed_iopm || !dom0_iopm || !msrpm)
		return -ENOMEM;
	for (u32 port = 0; port < 0x10000; port++)
		if (io_policy_dom0_open((u16)port))
			dom0_iopm[port / 8] &= (u8)~(1u << port % 8);
	for (u32 i = 0; i < ARRAY_SIZE(open_msrs); i++)
		open_msr(open_msrs[i]);
	return 0;
}

int svm_domain_init(struct domain *d __unused)
{
	return msrpm ? 0 : make_maps();
}

u64 svm_iopm(const struct domain *d)
{
	return virt_to_phys(d->privileged ? dom0_iopm : closed_iopm);
}

u64 svm_msrpm(void)
{
	return virt_to_phys(msrpm);
}
