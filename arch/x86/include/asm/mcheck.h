/* Machine checks. */
#ifndef ASM_MCHECK_H
#define ASM_MCHECK_H

enum mcheck {
	MCHECK_NONE,            /* there was none */
	MCHECK_ELSEWHERE,       /* another CPU's: whatever ran here can go on */
	MCHECK_CONTAINED,       /* what ran is lost, nothing else */
	MCHECK_FATAL,           /* nothing on this CPU can be relied on */
};

/* For the log: MCG_STATUS, and the worst error that wasn't corrected with its bank, or -1. */
struct mcheck_error { u64 status, error; int bank; };

/* Takes what the calling CPU's registers say of a machine check: they are free for the next one. */
enum mcheck mcheck_take(struct mcheck_error *e);
/* From now on machine checks of the calling CPU are exceptions. Names one from before the start. */
void mcheck_enable(void);
/* Exception 18: returns if it was another CPU's, else panics. */
void mcheck_in_ring_0(void);

#endif
