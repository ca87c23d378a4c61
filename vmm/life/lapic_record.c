/*
 * The record of a vCPU's local APIC in the toolstack's stream, which is longer since Xen 4.18. Its
 * last field there is a pending error, and a guest's APIC has none here. The registers themselves
 * are in another record.
 */
#include <xen/hvm/save.h>
#include <asm/insn.h>
#include "vmm/cpu/msr.h"
#include "vmm/domain/refuse.h"
#include "vmm/life/life.h"

u32 lapic_record_length(u32 given) { return given == 24 ? 24 : 32; }

int lapic_record_check(struct vcpu *v, const struct hvm_hw_lapic *r)
{
	/* The base says which mode it is in, and a guest can't choose another one. */
	if (!msr_write(v, MSR_APIC_BASE, r->apic_base_msr) && !r->disabled && !r->tdt_msr)
		return 0;
	return (int)refuse_say(-EOPNOTSUPP, "a guest whose APIC isn't in x2APIC mode or has a timer's deadline");
}
