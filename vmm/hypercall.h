/*
 * The contract, once: each hypercall and sub-operation is a row of vmm/hypercall/hypercalls.def. Dispatch, permission, copying of the
 * argument, the trace decoder, the documentation and the fuzzers come from those rows.
 */
#ifndef VMM_HYPERCALL_H
#define VMM_HYPERCALL_H

struct vcpu;
struct domain;

/* The ABI that is spoken. Debian's tools are chosen by this number (abi.md L.28). */
#define XEN_MAJOR   4
#define XEN_MINOR   17
#define XEN_VERSION ((u32)(XEN_MAJOR << 16 | XEN_MINOR))

/* One call under way. */
struct hypercall {
	u64 a[6];               /* raw arguments: RDI RSI RDX R10 R8 R9; a handler that asks to go on later updates them */
	u32 row, op;            /* which it was: in hypercall_rows, from 1; if there is none, number and sub-operation << 8 */
	u32 progress;           /* of a control operation: 0 at first; where a handler that asks to go on wants to be told to */
	u32 count;              /* of a row with an array: elements at `arg` */
	struct control_head *head;  /* of a control operation: what stands before its argument */
	struct domain *target;  /* domctl: the domain named in the header, with a reference that the dispatcher drops */
};

/* The structures of domctl, sysctl, platform_op and mca begin so, and go on with a union of the operations' arguments. */
struct control_head { u32 cmd, version; u16 domain; /* of domctl alone, the others have their union here */ };

/* A handler returns its result, or HC_AGAIN: "leave RIP on the hypercall, come back with the updated a[]". */
#define HC_AGAIN (-0x7fffffffl)

/* `arg` is the row's structure, already copied in (zeroed for OUT) and copied out when the result is >= 0. */
typedef long hypercall_fn(struct vcpu *v, struct hypercall *hc, void *arg);

/* HC_ARRAY: in and out, and the handler is given as many elements of the guest's array at a time as there is room for. */
enum hypercall_dir { HC_NONE, HC_IN, HC_OUT, HC_INOUT, HC_ARRAY };
enum hypercall_who { HC_ANY, HC_PRIV };

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
/* Once, before the first guest. */
void hypercall_init(void);
/* Carries out the hypercall in v's registers and writes its result; RIP is advanced unless it has to be continued. */
struct vm_exit;
void hypercall_dispatch(struct vcpu *v, struct vm_exit *x);
/* One call with given arguments, as for a multicall entry or a test: returns the result or HC_AGAIN. */
long hypercall_do(struct vcpu *v, u64 nr, struct hypercall *hc);

/*
 * Fills the page of stubs at guest-physical `val`, what the guest writes to MSR_HYPERCALL_PAGE: 0, or -EINVAL if that is no page of its RAM.
 */
enum { MSR_HYPERCALL_PAGE = 0x40000000 };
int hypercall_page_write(struct vcpu *v, u64 val);

/* Every handler named in the table. */
#define HC(num, sub, name, type, dir, who, fn) hypercall_fn fn;
#include "vmm/hypercall/hypercalls.def"
#undef HC

#endif
