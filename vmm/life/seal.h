/*
 * Sealed guests. From its first unpause on, nobody reads, writes, maps, copies or replaces such a
 * guest's memory, or sees or sets its registers, except for pages that the guest itself grants.
 */
#ifndef VMM_LIFE_SEAL_H
#define VMM_LIFE_SEAL_H

#include "lib/sha256.h"

struct cpuid_regs;
struct domain;
struct percpu;
struct vcpu;

/* What the option seal= says. Soft: also without an IOMMU, and the guest is told so. */
enum seal_option { SEAL_ASK, SEAL_ALL, SEAL_NO, SEAL_SOFT };

/*
 * How far the sealing of a domain has come: it stays open, will be sealed at its first unpause, is
 * being sealed, or is sealed. From SEAL_CLOSED on, others may not touch it.
 */
enum seal_state { SEAL_OPEN, SEAL_WANTED, SEAL_CLOSED, SEAL_DONE };

/* The tags are those of vmm/domain.h. */
struct seal {
	u8 state;                   /* [a] enum seal_state; changed under LOCK_CONTROL */
	u64 round;                  /* [LOCK_CONTROL] what each CPU's `seen_seal` has to reach */
	u64 next;                   /* [LOCK_CONTROL] what to measure next, a frame or a vCPU */
	struct sha256 sum;          /* [LOCK_CONTROL] */
	u8 digest[SHA256_BYTES];    /* [I] from SEAL_DONE on */
};

/*
 * The toolstack's numbers for the two labels, "unsealed" and "sealed". Numbers up to SEAL_SID_XEN
 * are those of Xen's own labels, or 0. The guest is unsealed then, as with the first label. libxl
 * gives 12 if there is no seclabel=.
 */
enum { SEAL_SID_XEN = 31, SEAL_SID_OPEN = 0xb0, SEAL_SID };

/*
 * The CPUID leaves that tell a guest, from SEAL_LEAF on: the highest leaf and the signature; the
 * version (EAX) and SEAL_TELLS_* (EBX); the digest in two leaves, its first byte lowest in EAX.
 */
#define SEAL_LEAF       0x40000100u
#define SEAL_LEAVES     4u
#define SEAL_SIGNATURE  "BothySealing"
enum { SEAL_TELLS_SEALED = 1, SEAL_TELLS_DMA = 2, SEAL_TELLS_INTERRUPTS = 4 /* devices send only ordinary ones */ };

/*
 * Notes the option, whether DMA is remapped and whether devices' interrupts are filtered. Logs the
 * digest of our own code and constants. Context: boot, once.
 */
void seal_init(enum seal_option option, bool dma_remapped, bool interrupts_filtered);
/*
 * Decides on a new domain with the label `sid`. Returns 0 if it stays open, or 1 if it shall be
 * sealed. Errors: -EINVAL if there is no such label, -EOPNOTSUPP if the guest may not be sealed; the
 * log says why. Locks: as refuse().
 */
long seal_choose(u32 sid);
/*
 * Seals d if it shall be sealed and isn't yet. Returns 0 if d may run. Errors: -EBUSY if somebody
 * still has a part of it, and the log says which; d is then open as before. Returns HC_AGAIN if
 * there is more to do. Context: d is paused. Locks: control_lock is held.
 */
long seal_step(struct domain *d);
/*
 * Notes that this CPU is in the middle of no hypercall, and will see all seals so far. Context: the
 * run loop.
 */
void seal_seen(struct percpu *p);

/* ---- vmm/domain/permitted.c ---- */

extern u32 seal_tells;      /* [I] SEAL_TELLS_* of the machine */
/* Returns true if only d itself may touch d. Context: any. */
bool seal_closed(const struct domain *d);
/* Answers leaf SEAL_LEAF + index in *out, which is zeroed. Context: any. */
void seal_cpuid(const struct domain *d, u32 index, struct cpuid_regs *out);

#endif
