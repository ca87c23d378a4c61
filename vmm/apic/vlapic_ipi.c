/* Interrupts that a guest's CPUs send each other: SDM vol. 3, "Issuing Interprocessor Interrupts", 11.6. */
#include "vmm/apic/vlapic.h"
#include "vmm/apic/xapic.h"
#include "vmm/apic/vlapic_regs.h"
#include "vmm/domain.h"
#include "vmm/vcpu.h"

static void deliver_ipi(struct vcpu *to, unsigned mode, u8 vector)
{
	switch (mode) {
	case MODE_FIXED:
	case MODE_LOWEST:
		vlapic_post(to, vector, false);
		break;
	case MODE_NMI:
		vcpu_alert(to, VCPU_NMI);
		break;
	case MODE_INIT:
		/*
		 * An INIT for the first vCPU would reset the machine; guests ask for that in
		 * another way.
		 */
		if (to->id == 0)
			break;
		vcpu_take(to, VCPU_SIPI);
		vcpu_alert(to, VCPU_INIT);
		break;
	case MODE_SIPI:
		__atomic_store_n(&to->sipi_vector, vector, __ATOMIC_RELAXED);
		__atomic_or_fetch(&to->attention, VCPU_SIPI, __ATOMIC_SEQ_CST);
		vcpu_start(to);
		break;
	}
}

/*
 * Logical destinations: x2APIC derives a cluster and a bit from the id; the xAPIC has what the guest
 * has written (SDM vol. 3, "Logical Destination Mode", 11.6.2.2).
 */
static bool is_logical(const struct vcpu *to, u32 dest)
{
	u32 logical = to->apic.ldr >> 24, x2 = vlapic_logical_id(to);

	if (vlapic_is_x2(to))
		return dest >> 16 == x2 >> 16 && dest & x2 & 0xffff;
	if (dest >> 8)
		return false;
	if (to->apic.dfr >> 28 == DFR_FLAT)
		return dest & logical;
	return dest >> 4 == logical >> 4 && dest & logical & 15;
}

/* The sender's mode says how wide the destination is, and with it which one means all. */
static bool is_destination(const struct vcpu *from, const struct vcpu *to, u64 icr)
{
	u32 dest = vlapic_is_x2(from) ? (u32)(icr >> 32) : (u32)(icr >> 56);

	if (dest == (vlapic_is_x2(from) ? ~0u : 0xff))
		return true;
	return icr & BIT(11) ? is_logical(to, dest) : dest == to->apic_id;
}

void vlapic_send_ipi(struct vcpu *v, u64 icr)
{
	struct domain *d = v->domain;
	unsigned mode = icr >> 8 & 7, shorthand = icr >> 18 & 3;
	struct vcpu *to;

	/*
	 * INIT with level de-assert does nothing on today's CPUs (SDM vol. 3, "Interrupt Command
	 * Register (ICR)", 11.6.1).
	 */
	if (mode == MODE_INIT && icr & BIT(15) && !(icr & BIT(14)))
		return;
	if (mode <= MODE_LOWEST && (u8)icr < 16) {
		vlapic_error(v, ESR_SEND_VECTOR);
		return;
	}
	for_each_vcpu(to, d) {
		if ((shorthand == 1 && to != v) || (shorthand == 3 && to == v) || (shorthand == 0 && !is_destination(v, to, icr)))
			continue;
		if (to->apic.enabled)
			deliver_ipi(to, mode, (u8)icr);
		if (mode == MODE_LOWEST)
			break;
	}
}
