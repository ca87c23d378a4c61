/*
 * The storm: the hypervisor's own sources, unmodified, on threads of the host as CPUs, and guests in software that do what a guest may.
 * README.md says what stands where.
 */
#ifndef TESTS_STORM_STORM_H
#define TESTS_STORM_STORM_H

#include "lib/base.h"
#include <asm/cpu.h>
#include <asm/hvm.h>
#include "mm/page.h"
#include "vmm/domain.h"
#include "vmm/life/life.h"
#include "vmm/vcpu.h"

#define STORM_CPUS  4u
#define DOM0_ORDER  3
#define DOM0_BLOCKS 64ull               /* of 2^DOM0_ORDER frames: the service domain's RAM */

/* ---- the machine (machine.c) ---- */

struct storm_options {
	u64 seed;
	unsigned seconds;
	bool verbose;                   /* which hypercalls */
	bool scarce;                    /* allocations fail at random, and memory is nearly full */
};
extern struct storm_options storm_options;
extern bool storm_stop;                 /* [a] the toolstack is to end all that it has made */
extern bool storm_leave;                /* [a] CPUs that are idle leave */

/* A mistake: what is known is printed, and the storm ends. */
void storm_mistake(const char *fmt, ...) __printf(1, 2) __noreturn;
/* A random number of the calling CPU's. */
u64 storm_random(void);
bool storm_interrupt_pending(void);
unsigned storm_locks_held(void);
void storm_machine_init(void);
void storm_run_cpus(void);              /* threads that call run_loop, until storm_leave */
void storm_join_cpus(void);

/* How often each frame was freed: a translation made before is wrong after. */
u32 storm_births(mfn_t mfn);
void storm_let_fail(bool on);           /* may allocations fail? */
bool storm_fails(void);                 /* does this one? */

/* ---- what devices see (mirror.c) ---- */

extern const struct p2m_mirror storm_mirror;    /* of the service domain's p2m */
void storm_mirror_check(mfn_t mfn);     /* for a frame that becomes free: no device may see it */
void storm_mirror_forget(void);         /* the service domain ends, and its devices with it */

/* ---- a keeper (keeper.c) ---- */

void storm_keeper_run(struct vcpu *c, struct vm_exit *x);

/* ---- vCPUs (vendor.c) ---- */

struct translation {
	u64 gfn;                        /* + 1; 0: unused */
	mfn_t mfn;
	u32 births;
	enum p2m_type type;
};

#define TLB_SIZE 64u

/* What stands for a VMCB. Its fields are [c]. */
struct storm_vcpu {
	struct hvm_state state;
	struct translation tlb[TLB_SIZE];
	u64 random;                     /* state of the guest's random numbers */
	bool calling;                   /* a hypercall is under way: it may have to be done again */
	u64 call_rip;
	long result;                    /* of the last one */
	bool table_is_new;              /* nothing is in it yet */
	bool offered;                   /* an interrupt */
	u32 on;                         /* [a] CPUs that have it: 0 or 1 */
	u64 steps;
	struct storm_guest *guest;      /* guest.c */
	struct storm_tools *tools;      /* toolstack.c: of the service domain's vCPUs */
};

static inline struct storm_vcpu *storm_vcpu(const struct vcpu *v) { return v->hvm.vendor; }
u64 vcpu_random(struct vcpu *v);
/* `n` possibilities, from 0. */
static inline u64 vcpu_dice(struct vcpu *v, u64 n) { return vcpu_random(v) % n; }

/*
 * The guest uses its memory through its TLB, in guest mode: each access checks that the frame is still what the translation says. NULL: there is
 * nothing, or not for writing. The pointer is good until the guest's next exit.
 */
u64 *guest_use(struct vcpu *v, u64 gpa, bool write);
bool guest_write(struct vcpu *v, u64 gpa, const void *data, size_t len);
bool guest_read(struct vcpu *v, u64 gpa, void *data, size_t len);

/* The next exit is this hypercall; its result is in storm_vcpu's `result` when the guest goes on. */
void guest_call(struct vcpu *v, struct vm_exit *x, u64 nr, u64 a0, u64 a1, u64 a2);

/* One step of what a guest does: true if that makes an exit, described in *x. */
bool guest_step(struct vcpu *v, struct vm_exit *x);
bool tools_step(struct vcpu *v, struct vm_exit *x);

/* ---- guests (guest.c) ---- */

/*
 * A guest's memory, in frames. Its page tables are filled with entries that carry its tag, and no address leads to them: so whatever a walk
 * by the hypervisor finds there has the tag, or the hypervisor has looked at somebody else's frame.
 */
enum {
	GFN_TABLES = 0,         /* PML4, page directory pointers, page directory, and the tables of two times 2 MiB */
	GFN_PT0 = 3,            /* of addresses from 0: given away and taken back all the time */
	GFN_PT1 = 4,            /* of addresses from 2 MiB: stays */
	GFN_OWN = 8,            /* from here on addresses lead to frames */
	GFN_SHARED = 8, GFN_GRANTS = 9,
	GFN_ARGS = 16,          /* a frame for each vCPU */
	GFN_DATA = 32, GFN_DATA_END = 160,
	GFN_FREE = 160, GFN_FREE_END = 512,
	GFN_LARGE = 1024,       /* for extents of 2 MiB */
};
#define ALIAS MiB(2)            /* the same frames again, by the other table */

u64 guest_tag(u16 domid);
u64 guest_pte(u16 domid, u64 gfn);
/* Domains to name in a hypercall. */
#define STORM_DOMAINS 8u
extern u16 storm_domids[STORM_DOMAINS]; /* [a] 0: none */
u16 some_domid(struct vcpu *v);

/* ---- the rest ---- */

void storm_build_dom0(void);
bool storm_tools_done(void);
/* What was done so far, by each CPU. */
struct storm_counts {
	u64 uses;                       /* of memory, checked */
	u64 walks;                      /* of guests' page tables by the hypervisor, checked */
	u64 domains;                    /* made */
	u64 calls[256], good[256];      /* hypercalls by row of the table (0: none), and those of them without an error */
};
extern __thread struct storm_counts storm_counts;
static inline void storm_count(u64 *n) { ++*n; }
const struct storm_counts *storm_sum(void);     /* of all CPUs; they have ended */

#endif
