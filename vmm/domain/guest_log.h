/* Lines of the log that a guest writes or causes. */
#ifndef VMM_DOMAIN_GUEST_LOG_H
#define VMM_DOMAIN_GUEST_LOG_H

struct domain;
struct vcpu;

/*
 * Asks whether the console has room. Returns true; or false if the console is behind, and then v
 * gives way to others and has to repeat its write. Context: v is the current vCPU. Locks: takes
 * LOCK_RQ.
 */
bool guest_log_ready(struct vcpu *v);

/*
 * Adds a byte to d's line of the log; d wrote it by console_io or to port 0xE9. Lines appear
 * whole, with d's id, and at a limited rate. Unprintable characters are replaced. Locks: takes
 * LOCK_DOMAIN.
 */
void guest_log_char(struct domain *d, char c);
/*
 * Counts a line of the log that d can cause at will. Returns true if the line may be printed,
 * false if d has had as many as it may have for now. Locks: d->lock is held.
 */
bool guest_log_allows(struct domain *d);

#endif
