/* What is where a guest has no RAM. */
#include "vmm/keeper/mmio.h"
#include <asm/hvm.h>
#include "mm/p2m.h"
#include "vmm/apic/xapic.h"
#include "vmm/domain.h"
#include "vmm/keeper/keeper.h"
#include "vmm/vcpu.h"

void mmio_access(struct vcpu *v, u64 gpa, unsigned size, bool write, u64 *data)
{
	if (gpa >> PAGE_SHIFT == APIC_PAGE >> PAGE_SHIFT && v->apic.enabled && !vlapic_is_x2(v))
		xapic_access(v, (u32)(gpa & ~PAGE_MASK), size, write, data);
	else if (!write)
		*data = ~0ull;
	if (!write)
		*data &= ~0ull >> (64 - 8 * size);
}

bool mmio_exit(struct vcpu *v, const struct vm_exit *x)
{
	gfn_t gfn = GFN(x->npf.gpa >> PAGE_SHIFT);

	/* What is there but may not be written is no hole. */
	if (x->npf.indirect || (x->npf.present && p2m_lookup(&v->domain->p2m, gfn, NULL) != P2M_HOLE))
		return false;
	/*
	 * What is read again and again costs no exit then. Nothing may stand at the APIC's page, whose
	 * mode may change.
	 */
	if (!x->npf.write && x->npf.gpa >> 21 != APIC_PAGE >> 21 && !p2m_fill_hole(&v->domain->p2m, gfn))
		return true;
	/* An access to an entry that isn't present has been looked up already. */
	return (x->npf.present && v->keeper && keeper_remembers(v, x)) || !keeper_begin(v, x);
}
