/*
 * Shared by the two ways into the table: 64-bit code, and 32-bit code for the few calls that boot
 * loaders and firmware make.
 */
#ifndef VMM_HYPERCALL_DISPATCH_H
#define VMM_HYPERCALL_DISPATCH_H

#include <asm/hvm.h>
#include "vmm/domain/record.h"
#include "vmm/hypercall.h"
#include "vmm/vcpu.h"

/* Does what hypercall_dispatch does, for a vCPU outside long mode. Context: v is current. */
void hypercall_dispatch_compat(struct vcpu *v, struct vm_exit *x);
/* Returns the row, which exists, and notes it in *hc. */
const struct hypercall_row *hypercall_find(u64 nr, u64 cmd, struct hypercall *hc);
/*
 * Notes in exit x, for the record, which hypercall hc was and its result, and counts the call.
 * Context: v is current.
 */
static inline void hypercall_note(struct vcpu *v, struct vm_exit *x, const struct hypercall *hc, long result)
{
	x->call.row = (u16)hc->row;
	if (unlikely(!hc->row))
		x->call.op = hc->op;
	x->call.result = (u64)result;
	v->counters->calls[hc->row]++;
}

#endif
