/* Logs the reasons for refusals, because xl shows its user only an error number. */
#ifndef VMM_DOMAIN_REFUSE_H
#define VMM_DOMAIN_REFUSE_H

/*
 * Looks `op` up in the table of refusals. `op` is a domctl or sysctl (`nr`) as the caller gave it,
 * or the u32 of another hypercall's sub-operation. Returns 0, or the error of the row that
 * applies, and then logs that row's text. Locks: the caller holds none of LOCK_DOMAIN or above.
 */
long refuse(u8 nr, const void *op);
/* Logs one such line, at a limited rate. Returns `error`. Locks: as refuse. */
long refuse_say(long error, const char *fmt, ...) __printf(2, 3);

#endif
