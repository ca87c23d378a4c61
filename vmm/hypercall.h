/*
 * The contract of hypercalls. Each hypercall and each sub-operation is a row of
 * vmm/hypercall/hypercalls.def. Dispatch, permission, the copying of arguments, the trace decoder,
 * the documentation and the fuzzers all come from those rows.
 */
#ifndef VMM_HYPERCALL_H
#define VMM_HYPERCALL_H

struct vcpu;
struct domain;

/* One call under way. */
struct hypercall {
	u64 a[6];               /* raw arguments: RDI RSI RDX R10 R8 R9; updated before HC_AGAIN */
	u32 row, op;            /* row + 1 in hypercall_rows; 0: op is number | sub-op << 8 */
	u32 progress;           /* control operations: 0 at first, then as set with HC_AGAIN */
	u32 count;              /* rows with an array: elements at `arg` */
	struct control_head *head;  /* control operations: the header before the argument */
	struct domain *target;  /* domctl: the header's domain; the dispatcher holds it */
};

/*
 * The structures of domctl, sysctl, platform_op and mca begin with this header. A union of their
 * operations' arguments follows. Only domctl has `domain`; in the others the union takes its
 * place.
 */
struct control_head { u32 cmd, version; u16 domain; };

/*
 * A handler that isn't finished returns HC_AGAIN instead of a result. RIP then stays on the
 * hypercall, so the guest takes its interrupts and repeats the call with the updated a[] (or
 * `progress`).
 */
#define HC_AGAIN (-0x7fffffffl)

/*
 * Carries out one row's operation for v. `arg` is the row's structure, or NULL for HC_NONE. The
 * dispatcher has copied it in (HC_OUT: zeroed it), and copies it out if the result is >= 0.
 * Returns the result, a negative error, or HC_AGAIN. Context: v is the current vCPU. Locks: of an
 * HC_ALONE row control_lock is held, else none.
 */
typedef long hypercall_fn(struct vcpu *v, struct hypercall *hc, void *arg);

/*
 * The directions in which the argument is copied. HC_ARRAY copies in both: the handler gets as
 * many elements of the guest's array at a time as fit in HC_ARG_MAX.
 */
enum hypercall_dir { HC_NONE, HC_IN, HC_OUT, HC_INOUT, HC_ARRAY };
enum hypercall_who { HC_ANY, HC_PRIV, HC_ALONE };
/* Whether a call may be for another domain that is sealed: vmm/domain/permitted.c. */
enum hypercall_target { HC_OPEN, HC_SEALED };

struct hypercall_row {
	u8 nr, dir, who;
	u8 cmd;                 /* sub-operation */
	u16 size;               /* bytes of the argument structure, 0 if none */
	const char *name;
	hypercall_fn *fn;
};

#define HC_ARG_MAX 1024     /* largest argument structure, or part of an array, in bytes */

extern const struct hypercall_row hypercall_rows[];
extern const unsigned hypercall_nr_rows;
/* Makes the index of the rows. Context: boot, before the first guest runs. */
void hypercall_init(void);
struct vm_exit;
/*
 * Carries out the hypercall in v's registers, and writes its result there. Advances RIP, except
 * when the call isn't finished (HC_AGAIN). Context: v is the current vCPU, and *x its exit.
 */
void hypercall_dispatch(struct vcpu *v, struct vm_exit *x);
/*
 * Carries out hypercall `nr` with the arguments in hc->a[], as for an entry of a multicall or for
 * a test. Returns its result, a negative error, or HC_AGAIN. Context: v is the current vCPU.
 */
long hypercall_do(struct vcpu *v, u64 nr, struct hypercall *hc);

enum { MSR_HYPERCALL_PAGE = 0x40000000 };
/*
 * Fills the guest's page at guest-physical `val` with the stubs through which it makes hypercalls.
 * The guest asks for this by a write to MSR_HYPERCALL_PAGE. Returns 0. Errors: -EINVAL if `val`
 * isn't the address of a page of its RAM. Context: v is the current vCPU.
 */
int hypercall_page_write(struct vcpu *v, u64 val);

/* Declares every handler that the table names. */
#define HC(num, sub, name, type, dir, who, target, fn) hypercall_fn fn;
#include "vmm/hypercall/hypercalls.def"
#undef HC

#endif
