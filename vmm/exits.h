/* What ends a guest's run, and what is done about it. */
#ifndef VMM_EXITS_H
#define VMM_EXITS_H

#include "vmm/domain.h"
#include "vmm/hypercall.h"

/* Carries out one exit of the current vCPU. */
void exit_handle(struct vcpu *v, struct vm_exit *x);
/* The instruction of `len` bytes is done on the guest's behalf. */
static inline void exit_complete(struct vcpu *v, u32 len) { hvm_complete(v, &v->hvm.regs, len); }
/* For the record and the counters: which hypercall the exit was, and its result. */
static inline void hypercall_note(struct vcpu *v, struct vm_exit *x, const struct hypercall *hc, long result)
{
	x->call.row = (u16)hc->row;
	if (unlikely(!hc->row))
		x->call.op = hc->op;
	x->call.result = (u64)result;
	v->counters->calls[hc->row]++;
}
/* The pCPU's loop: enter a guest, handle its exit, schedule, repeat. */
void run_loop(void) __noreturn;
/* The first fetch from what p2m_set_nx has made not executable calls `fn`, and no further one. For the kernel that unpacks itself. */
void exits_watch_fetch(void (*fn)(struct vcpu *v));

#endif
