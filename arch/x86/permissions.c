/*
 * The ports and MSRs that a guest reaches without an exit: the contents of the vendors' maps, in
 * which a set bit makes an access exit.
 */
#include <asm/hvm.h>
#include "lib/string.h"
#include "mm/page.h"

/*
 * While a guest runs, its own values are in these MSRs: entry switches them, or the code that loads
 * the vCPU.
 */
static const u32 open_msrs[] = {
	0x174, 0x175, 0x176,                                    /* SYSENTER_CS, _ESP, _EIP */
	0xc0000081, 0xc0000082, 0xc0000083, 0xc0000084,         /* STAR, LSTAR, CSTAR, SFMASK */
	0xc0000100, 0xc0000101, 0xc0000102,                     /* FS, GS, KERNEL_GS base */
};

struct hvm_maps hvm_maps;

static u8 *alloc_ones(unsigned order)
{
	struct page *pg = page_alloc(order);

	return pg ? memset(page_to_virt(pg), 0xff, PAGE_SIZE << order) : NULL;
}

int hvm_make_maps(bool (*dom0_port)(u16 port))
{
	struct hvm_maps *m = &hvm_maps;

	m->closed_ports = alloc_ones(hvm->orders.closed_ports);
	m->dom0_ports = alloc_ones(hvm->orders.dom0_ports);
	m->msrs = alloc_ones(hvm->orders.msrs);
	if (!m->closed_ports || !m->dom0_ports || !m->msrs)
		return -ENOMEM;
	for (u32 port = 0; port < 0x10000; port++)
		if (dom0_port((u16)port))
			m->dom0_ports[port / 8] &= (u8)~(1u << port % 8);
	for (u32 i = 0; i < ARRAY_SIZE(open_msrs); i++)
		hvm->open_msr(m->msrs, open_msrs[i]);
	return 0;
}
