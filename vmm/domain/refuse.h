/* Reasons in the log for what xl is refused and can't explain. */
#ifndef VMM_DOMAIN_REFUSE_H
#define VMM_DOMAIN_REFUSE_H

/*
 * Looks `op` up in the table of refusals: a domctl or sysctl (`nr`) as the caller gave it, or the u32 of another
 * hypercall's sub-operation. If a row applies, says in the log why, and returns the row's error; else 0. Locks: none
 * of LOCK_DOMAIN or above.
 */
long refuse(u8 nr, const void *op);
/* One such line; not too many of them in a while. Returns `error`. Locks as above. */
long refuse_say(long error, const char *fmt, ...) __printf(2, 3);

#endif
