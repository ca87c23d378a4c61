/* What the two halves of the storm's toolstacks share: toolstack.c makes and ends domains, operator.c does the rest. */
#ifndef TESTS_STORM_TOOLSTACK_H
#define TESTS_STORM_TOOLSTACK_H

#include "tests/storm/storm.h"
#include <xen/domctl.h>

#define MINE_MAX 3u                     /* domains of one toolstack; half of the toolstacks make none */
#define LIST_MAX 128u
#define WINDOW   0x100000ull            /* frames where the toolstacks map what is others': so many for each */
#define WINDOW_FRAMES 64u

struct storm_tools {
	u32 line;                       /* where the step goes on; 0: at its start */
	enum phase { CHOOSING, BUILDING, ENDING, DONE } phase;  /* [a] */
	u16 mine[MINE_MAX];
	u32 nr_mine;
	u16 domid;                      /* the one at work */
	u32 vcpus, pages;
	u64 i;
	u64 left;                       /* operations until the next choice */
	struct { u32 handle; u64 gfn; bool live; } grant[16];
	u32 slot;                       /* of grant[], for which a call is under way if `asked` */
	bool asked;
};

/* Each has a block of frames of its own for arguments. */
enum { AT_ARG = 0, AT_LIST = 0x1000, AT_LIST2 = 0x2000, AT_OUT = 0x3000, AT_CONTEXT = 0x4000 };

extern u64 tools_ram[DOM0_BLOCKS];
struct storm_tools *tools_of(struct vcpu *v);
u64 tools_args(struct vcpu *v);                 /* address of its block */
u64 tools_window(struct vcpu *v, u64 n);        /* frame of its window */

/* To its block, at an offset. */
void tools_put(struct vcpu *v, u64 at, const void *data, size_t size);
/* The next exit is this hypercall. */
void tools_control(struct vcpu *v, struct vm_exit *x, u64 nr, const void *op, size_t size);
struct xen_domctl tools_domctl_of(u32 cmd, u16 domid);
void tools_domctl(struct vcpu *v, struct vm_exit *x, const struct xen_domctl *op);
void tools_plain_domctl(struct vcpu *v, struct vm_exit *x, u32 cmd, u16 domid);
void tools_memory_op(struct vcpu *v, struct vm_exit *x, u64 cmd, const void *arg, size_t size);
/* n frames of the domain's, from its first on, or any, in the window from `at` on. */
void tools_map_foreign(struct vcpu *v, struct vm_exit *x, u16 domid, u64 at, u64 n, bool any);
void tools_remove_window(struct vcpu *v, struct vm_exit *x, u64 n);

/* Something that an operator or a backend does; what a grant operation has answered; and a use of what is mapped. */
void tools_operation(struct vcpu *v, struct vm_exit *x);
void tools_note_grant(struct vcpu *v);
void tools_use_window(struct vcpu *v);
void tools_sleep(struct vcpu *v, struct vm_exit *x);     /* for a while */

#endif
