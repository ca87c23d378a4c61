/*
 * A vCPU's keeper (docs/keeper.md): a second context in guest mode, which executes the instructions
 * that stop at an address without memory. It is made at the first one.
 */
#ifndef VMM_KEEPER_KEEPER_H
#define VMM_KEEPER_KEEPER_H

struct vcpu;
struct vm_exit;

/* Copies the keeper's program to where guests' tables can show it. Context: boot CPU, once. */
void keeper_init(void);
/*
 * Does the access that *x tells of, if v's keeper has said of the same instruction before that it is
 * a plain load or store. Returns false if not; nothing has changed then. Context: v is current and
 * has a keeper.
 */
bool keeper_remembers(struct vcpu *v, const struct vm_exit *x);
/*
 * Hands the access that *x tells of to v's keeper, which runs before v is entered again. Returns 0.
 * Errors: -ENOMEM if there is no memory to make the keeper. Context: v is current; the access was
 * one of v's own instruction, and no event's delivery.
 */
int keeper_begin(struct vcpu *v, const struct vm_exit *x);
/*
 * Runs v's keeper. Returns 1 if the call has ended, and v may be entered; 0 if this CPU has
 * something else to do first. Errors: -EINVAL if the instruction can't be executed, or the reply
 * breaks the rules; `why` says so. Context: the run loop, with v current and a call begun
 * (VCPU_KEEPER).
 */
#define KEEPER_WHY 120
int keeper_run(struct vcpu *v, char why[KEEPER_WHY]);
/* Frees v's keeper, if there is one. Context: v will not run again. */
void keeper_free(struct vcpu *v);

#endif
