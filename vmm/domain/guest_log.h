/* Lines of the log that a guest writes or is the cause of. */
#ifndef VMM_DOMAIN_GUEST_LOG_H
#define VMM_DOMAIN_GUEST_LOG_H

struct domain;
struct vcpu;

/* False if the console is behind: v gives way, and has to come back with what it writes. */
bool guest_log_ready(struct vcpu *v);

/*
 * One byte that d wrote for the log, by console_io or to port 0xE9. Lines appear whole, with the domain's id, and no more of
 * them than the rate allows; what isn't printable is replaced.
 */
void guest_log_char(struct domain *d, char c);
/* Counts a line of the log that d can cause at will: false if it is one too many in this while. Locks: d->lock is held. */
bool guest_log_allows(struct domain *d);

#endif
