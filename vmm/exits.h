/* What ends a guest's run, and what is done about it. */
#ifndef VMM_EXITS_H
#define VMM_EXITS_H

#include "vmm/domain.h"

/* Carries out one exit of the current vCPU. */
void exit_handle(struct vcpu *v, struct vm_exit *x);
/* The instruction of `len` bytes is done on the guest's behalf. */
static inline void exit_complete(struct vcpu *v, u32 len) { v->hvm.regs.rip += len; }
/* The pCPU's loop: enter a guest, handle its exit, schedule, repeat. */
void run_loop(void) __noreturn;
/* For a panic: the last exits of each pCPU. */
void exits_dump(void);
/* dom0's kernel runs its own decompressor until it jumps to `gfn`; then `fn` takes over. Once. */
void exits_watch_fetch(void (*fn)(struct vcpu *v));

#endif
