/*
 * Machine checks: the CPU has found an error in its own state, a cache or memory (SDM 16.3, APM
 * 9.3). With CR4.MCE off the CPU then shuts down without a word. With CR4.MCE on we get exception
 * 18, or the exit of the guest that ran. The firmware chooses which errors count.
 */
#include <asm/cpu.h>
#include <asm/insn.h>
#include <asm/mcheck.h>

enum { MSR_MCG_CAP = 0x179, MSR_MCG_STATUS = 0x17a, MSR_MC0_STATUS = 0x401, MSRS_PER_BANK = 4 };
#define MCG_RIPV  BIT(0)        /* the interrupted code can go on */
#define MCG_MCIP  BIT(2)        /* while it is set, the next machine check shuts the CPU down */
#define MC_VALID  BIT(63)
#define MC_UC     BIT(61)       /* not corrected */
#define MC_PCC    BIT(57)       /* the CPU's own state may be wrong */

/*
 * Returns the error of one bank and clears it, which makes room for the next; 0 if there is none.
 */
static u64 take_error(unsigned bank)
{
	u32 msr = MSR_MC0_STATUS + bank * MSRS_PER_BANK;
	u64 error;

	if (!rdmsr_safe(msr, &error) || !(error & MC_VALID))
		return 0;
	wrmsr_safe(msr, 0);
	return error;
}

enum mcheck mcheck_take(struct mcheck_error *e)
{
	u64 cap = 0;

	*e = (struct mcheck_error){ .bank = -1 };
	if (!rdmsr_safe(MSR_MCG_CAP, &cap) || !rdmsr_safe(MSR_MCG_STATUS, &e->status))
		return MCHECK_NONE;
	for (unsigned bank = 0; bank < (cap & 0xff); bank++) {
		u64 error = take_error(bank);

		/* Report the worst one. */
		if (error & MC_UC && (e->bank < 0 || error & MC_PCC)) {
			e->bank = (int)bank;
			e->error = error;
		}
	}
	if (e->status)
		wrmsr_safe(MSR_MCG_STATUS, 0);
	/*
	 * No exception is pending: the error can wait, or it shut down a guest that had CR4.MCE
	 * off.
	 */
	if (!(e->status & MCG_MCIP))
		return e->bank < 0 ? MCHECK_NONE : MCHECK_CONTAINED;
	if (!(e->status & MCG_RIPV) || e->error & MC_PCC)
		return MCHECK_FATAL;
	/* Intel's CPUs tell every CPU of one CPU's error. */
	return e->bank < 0 ? MCHECK_ELSEWHERE : MCHECK_CONTAINED;
}

void mcheck_enable(void)
{
	struct mcheck_error e;

	/* Banks survive a restart, and the error may be the reason for the restart. */
	if (mcheck_take(&e) != MCHECK_NONE)
		printk(LOG_WARN "CPU %u: a machine check before the start: bank %d, %lx\n", cpu_id(), e.bank,
		       e.error);
	write_cr4(read_cr4() | CR4_MCE);
}

void mcheck_in_ring_0(void)
{
	struct mcheck_error e;

	if (mcheck_take(&e) != MCHECK_ELSEWHERE)
		panic("machine check on CPU %u outside of guests, the last of which was of domain %u: "
		      "status %lx, bank %d, %lx", cpu_id(), this_cpu()->last_domid, e.status, e.bank, e.error);
}
