/* What ends a guest's run, and what is done about it. */
#ifndef VMM_EXITS_H
#define VMM_EXITS_H

struct vcpu;
struct vm_exit;

/* Carries out one exit of the current vCPU. */
void exit_handle(struct vcpu *v, struct vm_exit *x);
/* The pCPU's loop: enter a guest, handle its exit, schedule, repeat. */
void run_loop(void) __noreturn;

#endif
