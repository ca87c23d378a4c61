/* Machine checks: the CPU reports hardware errors by exception 18. */
#ifndef ASM_MCHECK_H
#define ASM_MCHECK_H

enum mcheck {
	MCHECK_NONE,            /* there was none */
	MCHECK_ELSEWHERE,       /* another CPU's: this CPU can go on */
	MCHECK_CONTAINED,       /* the guest or code that ran here is lost, and nothing else */
	MCHECK_FATAL,           /* nothing on this CPU can be relied on */
};

/*
 * For the log: MCG_STATUS, the status of the worst error that wasn't corrected, and its bank or -1.
 */
struct mcheck_error { u64 status, error; int bank; };

/*
 * Reads the calling CPU's machine check registers into *e and clears them for the next machine
 * check. Returns how bad it is.
 */
enum mcheck mcheck_take(struct mcheck_error *e);
/*
 * Makes machine checks of the calling CPU exceptions. Logs an error that is left from before the
 * start.
 */
void mcheck_enable(void);
/* Handles exception 18 in ring 0. Returns if the error was another CPU's; otherwise panics. */
void mcheck_in_ring_0(void);

#endif
