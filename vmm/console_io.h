/* Guests' words to the hypervisor's log. */
#ifndef VMM_CONSOLE_IO_H
#define VMM_CONSOLE_IO_H

#include "lib/base.h"

struct domain;

/*
 * One byte that d wrote for the log, by console_io or to port 0xE9. Lines appear whole, with the domain's id, and no more of
 * them than the rate allows; what isn't printable is replaced.
 */
void domain_log_char(struct domain *d, char c);

#endif
