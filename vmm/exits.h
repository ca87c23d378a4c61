/* The run loop of each CPU, and the handling of guests' exits. */
#ifndef VMM_EXITS_H
#define VMM_EXITS_H

struct vcpu;
struct vm_exit;

/* Handles one exit of v, which is this CPU's current vCPU, as the vendor described it in *x. */
void exit_handle(struct vcpu *v, struct vm_exit *x);
/*
 * Is the loop of a CPU: enters a guest, handles its exit, schedules, and repeats. Doesn't return.
 * Context: each CPU calls it once, with interrupts off and no lock held.
 */
void run_loop(void) __noreturn;

#endif
