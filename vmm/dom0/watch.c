/*
 * The watch over the kernel that unpacks itself: the memory that it writes isn't executable until
 * the kernel first jumps there (docs/boot.md).
 */
#include <asm/hvm.h>
#include "vmm/dom0/watch.h"
#include "mm/p2m.h"
#include "vmm/domain.h"
#include "vmm/vcpu.h"

static void (*fetched)(struct vcpu *v);     /* [I] after the builder; cleared once used */

void dom0_watch(struct p2m *p2m, paddr_t start, paddr_t end, void (*fn)(struct vcpu *v))
{
	if ((p2m->nx_frames && p2m_set_nx(p2m, p2m->nx_gfn, p2m->nx_frames, false)) ||
	    (fn && p2m_set_nx(p2m, GFN(start >> PAGE_SHIFT), (end - start) >> PAGE_SHIFT, true)))
		panic("no memory to start the service domain");
	fetched = fn;
}

bool dom0_watched(struct vcpu *v, gfn_t gfn)
{
	void (*fn)(struct vcpu *) = fetched;

	if (!fn || !p2m_is_nx(&v->domain->p2m, gfn))
		return false;
	fetched = NULL;
	fn(v);
	return true;
}

void dom0_unpacking_failed(struct vcpu *v)
{
	if (!fetched)
		return;
	hvm_dump(v);
	panic("the service domain's kernel can't unpack itself: its file is damaged; copy it again");
}
