/*
 * Hypercalls: the dispatcher finds the row of the table, copies the argument in, calls the handler,
 * and copies the argument out. Handlers never touch guest memory for their own argument, so a guest
 * can't change it after the check. abi.md A.6, B.
 */
#include <xen/version.h>
#include <xen/memory.h>
#include <xen/event_channel.h>
#include <xen/grant_table.h>
#include <xen/sched.h>
#include <xen/hvm/hvm_op.h>
#include <xen/hvm/hvm_vcpu.h>
#include <xen/physdev.h>
#include <xen/platform.h>
#include <xen/sysctl.h>
#include <xen/domctl.h>
#include <xen/arch-x86/xen-mca.h>
#include <xen/xsm/flask_op.h>
#include "lib/string.h"
#include "vmm/domain.h"
#include "vmm/domain/refuse.h"
#include "vmm/hypercall/dispatch.h"
#include "vmm/life/life.h"
#include "vmm/memory/guest_access.h"
#include "vmm/versions.h"

#define NR_HYPERCALLS 64u
#define NR_CMDS       128u
#define ANY_CMD       (~0ull)
#define ARRAY_BATCH   64u       /* elements done before the guest gets its interrupts, or fewer if they take long */

_Static_assert(sizeof(struct xen_mc) <= HC_ARG_MAX && offsetof(struct xen_domctl, domain) == offsetof(struct control_head, domain), "call_control");

/* A row without an argument says `void`; sizeof(void) is 1 to the compiler and 0 to us. */
#define ARG_SIZE(type) (__builtin_types_compatible_p(type, void) ? 0 : sizeof(type))
/* A control operation's argument is a member of its structure. */
#define domctl(member)      __typeof__((struct xen_domctl){ 0 }.u.member)
#define sysctl(member)      __typeof__((struct xen_sysctl){ 0 }.u.member)
#define platform_op(member) __typeof__((struct xen_platform_op){ 0 }.u.member)
#define mca(member)         __typeof__((struct xen_mc){ 0 }.u.member)
#define xsm(member)         __typeof__((struct xen_flask_op){ 0 }.u.member)

const struct hypercall_row hypercall_rows[] = {
#define HC(num, sub, label, type, d, w, target, f) \
	{ .nr = (num), .cmd = (sub), .size = ARG_SIZE(type), .dir = (d), .who = (w), .name = #label, .fn = (f) },
#include "vmm/hypercall/hypercalls.def"
#undef HC
};
const unsigned hypercall_nr_rows = ARRAY_SIZE(hypercall_rows);

/*
 * The places of a hypercall's sub-operation and of the pointer to its argument. A sub-operation
 * that isn't in the structure is in the bits `cmd` of RDI.
 */
enum form {
	FORM_ABSENT,
	FORM_PLAIN,     /* neither */
	FORM_ARG1,      /* sub-operation in RDI, argument at RSI */
	FORM_ARG2,      /* argument at RDX */
	FORM_ARRAY,     /* an array at RSI of RDX elements */
	FORM_CONTROL,   /* a structure at RDI that starts with sub-operation and interface version */
};

#define CONTROL(type) { FORM_CONTROL, offsetof(type, u), sizeof(type), 0 }

static const struct { u8 form, arg; u16 size; u64 cmd; } forms[NR_HYPERCALLS] = {
	[__HYPERVISOR_platform_op]      = CONTROL(struct xen_platform_op),
	[__HYPERVISOR_memory_op]        = { .form = FORM_ARG1, .cmd = 63 },     /* above it: how far a long operation has come */
	[__HYPERVISOR_multicall]        = { .form = FORM_PLAIN },
	[__HYPERVISOR_set_timer_op]     = { .form = FORM_PLAIN },
	[__HYPERVISOR_xen_version]      = { .form = FORM_ARG1, .cmd = ANY_CMD },
	[__HYPERVISOR_console_io]       = { .form = FORM_ARG1, .cmd = ANY_CMD },
	[__HYPERVISOR_grant_table_op]   = { .form = FORM_ARRAY, .cmd = ANY_CMD },
	[__HYPERVISOR_vm_assist]        = { .form = FORM_ARG1, .cmd = ANY_CMD },
	[__HYPERVISOR_vcpu_op]          = { .form = FORM_ARG2, .cmd = ANY_CMD },
	[__HYPERVISOR_sched_op]         = { .form = FORM_ARG1, .cmd = ANY_CMD },
	[__HYPERVISOR_event_channel_op] = { .form = FORM_ARG1, .cmd = ANY_CMD },
	[__HYPERVISOR_physdev_op]       = { .form = FORM_ARG1, .cmd = ANY_CMD },
	[__HYPERVISOR_hvm_op]           = { .form = FORM_ARG1, .cmd = ANY_CMD },
	[__HYPERVISOR_sysctl]           = CONTROL(struct xen_sysctl),
	[__HYPERVISOR_mca]              = CONTROL(struct xen_mc),
	[__HYPERVISOR_domctl]           = CONTROL(struct xen_domctl),
	[__HYPERVISOR_xsm_op]           = CONTROL(struct xen_flask_op),
};

/* Row + 1 of each sub-operation, 0 for none. */
static u8 row_of[NR_HYPERCALLS][NR_CMDS];
_Static_assert(ARRAY_SIZE(hypercall_rows) < RECORD_CALLS, "a counter for each, and row_of[] holds bytes");

void hypercall_init(void)
{
	for (unsigned i = 0; i < hypercall_nr_rows; i++)
		row_of[hypercall_rows[i].nr][hypercall_rows[i].cmd] = (u8)(i + 1);
}

/* Returns the row and notes it in *hc, or returns NULL. */
static const struct hypercall_row *find_row(u64 nr, u64 cmd, struct hypercall *hc)
{
	hc->row = cmd < NR_CMDS ? row_of[nr][array_index_nospec(cmd, NR_CMDS)] : 0;
	if (unlikely(!hc->row)) {
		hc->op = (u32)(nr | cmd << 8);
		return NULL;
	}
	return &hypercall_rows[hc->row - 1];
}

const struct hypercall_row *hypercall_find(u64 nr, u64 cmd, struct hypercall *hc) { return find_row(nr, cmd, hc); }

/* Copies hc->count argument structures in, calls the handler, and copies them out. */
static __noinline long call_row(struct vcpu *v, const struct hypercall_row *row, struct hypercall *hc, u64 arg)
{
	u64 buf[HC_ARG_MAX / 8];
	u64 size = row->size * hc->count;
	long ret;

	if (row->dir == HC_OUT)
		memset(buf, 0, size);
	else if (copy_from_guest(v, buf, arg, size))
		return -EFAULT;
	ret = row->fn(v, hc, buf);
	if (ret >= 0 && row->dir != HC_IN && copy_to_guest(v, arg, buf, size))
		return -EFAULT;
	return ret;
}

static bool may_call(const struct vcpu *v, const struct hypercall_row *row)
{
	return row->who == HC_ANY || v->domain->privileged;
}

static __noinline long call_array(struct vcpu *v, const struct hypercall_row *row, struct hypercall *hc)
{
	if (hc->a[2] > ~0u)
		return -EINVAL;
	for (u32 done = 0; hc->a[2] && done < ARRAY_BATCH && !(done && step_over()); done += hc->count) {
		long ret;

		if (row->dir == HC_ARRAY)
			hc->count = MIN((u32)hc->a[2], HC_ARG_MAX / row->size);
		ret = call_row(v, row, hc, hc->a[1]);
		if (ret < 0)
			return ret;
		hc->a[1] += row->size * hc->count;
		hc->a[2] -= hc->count;
	}
	return hc->a[2] ? HC_AGAIN : 0;
}

/* Answers a call without a row. For the service domain's programs, the log says why. */
static __noinline long answer_absent(struct vcpu *v, u64 nr, u32 cmd)
{
	return (v->domain->privileged ? refuse((u8)nr, &cmd) : 0) ?: -ENOSYS;
}

/* Reads a control operation's structure. On success its row is in hc->row. */
static long read_control(struct vcpu *v, u64 nr, struct hypercall *hc)
{
	long rc;

	if (copy_from_guest(v, hc->head, hc->a[0], forms[nr].size))
		return -EFAULT;
	rc = versions_check(nr, hc->head, v->domain->privileged);
	if (rc)
		return rc;
	return find_row(nr, hc->head->cmd, hc) ? 0 : answer_absent(v, nr, hc->head->cmd);
}

/*
 * Finds the domain that a domctl is for. createdomain and getdomaininfo name one that need not
 * exist. A domain that is being destroyed takes only destroydomain.
 */
static long find_target(struct vcpu *v, struct hypercall *hc, u32 cmd)
{
	long rc;

	if (cmd == XEN_DOMCTL_createdomain || cmd == XEN_DOMCTL_getdomaininfo || cmd == XEN_DOMCTL_get_domain_state)
		return 0;
	rc = domain_get_permitted(v, hc, hc->head->domain, &hc->target);
	if (rc || !__atomic_load_n(&hc->target->dying, __ATOMIC_RELAXED) || cmd == XEN_DOMCTL_destroydomain)
		return rc;
	domain_put(hc->target);
	return -ESRCH;
}

/*
 * domctl, sysctl, platform_op, mca and xsm_op: the sub-operation is known only when the structure
 * has been copied in. A call that goes on keeps its progress in the upper half of the hypercall's
 * number, which is 0 in a first call. No other register is certain to be 0 then, and the structure
 * belongs to the caller.
 */
static __noinline long call_control(struct vcpu *v, u64 nr, struct hypercall *hc, u32 progress)
{
	u64 buf[HC_ARG_MAX / 8];
	u8 *arg = (u8 *)buf + forms[nr].arg;
	const struct hypercall_row *row;
	u32 lacks;
	long ret;

	hc->row = 0;
	hc->op = (u32)nr;
	hc->progress = progress;
	hc->head = (struct control_head *)buf;
	hc->target = NULL;
	ret = read_control(v, nr, hc);
	row = ret ? NULL : &hypercall_rows[hc->row - 1];
	/* A guest must not learn which operations exist. */
	if (!row || !may_call(v, row))
		return v->domain->privileged ? ret : -EPERM;
	ret = nr == __HYPERVISOR_domctl ? find_target(v, hc, row->cmd) : 0;
	if (ret)
		return ret;
	if (row->dir == HC_OUT)
		memset(arg, 0, row->size);
	lacks = versions_widen(nr, hc->head, arg);
	if (row->who == HC_ALONE)
		spin_lock(&control_lock);
	ret = row->fn(v, hc, row->dir == HC_NONE ? NULL : arg);
	if (row->who == HC_ALONE)
		spin_unlock(&control_lock);
	versions_narrow(nr, hc->head, arg);
	if (hc->target)
		domain_put(hc->target);
	if (ret >= 0 && row->dir >= HC_OUT && copy_to_guest(v, hc->a[0], buf, forms[nr].arg + row->size - lacks))
		return -EFAULT;
	return ret;
}

static bool is_control(u64 nr)
{
	return (u32)nr < NR_HYPERCALLS && forms[array_index_nospec((u32)nr, NR_HYPERCALLS)].form == FORM_CONTROL;
}

/* Handles a number beyond the table: a control operation that goes on, or no hypercall. */
static __noinline long call_other(struct vcpu *v, u64 nr, struct hypercall *hc)
{
	if (is_control(nr))
		return call_control(v, array_index_nospec((u32)nr, NR_HYPERCALLS), hc, (u32)(nr >> 32));
	hc->row = 0;
	hc->op = (u32)nr;
	return -ENOSYS;
}

/* Returns the number with which a call that returned HC_AGAIN goes on. */
static u64 number_again(u64 nr, const struct hypercall *hc)
{
	return is_control(nr) ? (u32)nr | (u64)hc->progress << 32 : nr;
}

/* Inline, because most exits come this way. */
static inline __attribute__((always_inline)) long do_call(struct vcpu *v, u64 nr, struct hypercall *hc)
{
	const struct hypercall_row *row;

	if (unlikely(nr >= NR_HYPERCALLS))
		return call_other(v, nr, hc);
	nr = array_index_nospec(nr, NR_HYPERCALLS);
	if (forms[nr].form == FORM_CONTROL)
		return call_control(v, nr, hc, 0);
	row = find_row(nr, hc->a[0] & forms[nr].cmd, hc);
	if (unlikely(!row))
		return answer_absent(v, nr, (u32)hc->a[0]);
	if (!may_call(v, row))
		return -EPERM;
	if (row->dir == HC_NONE)
		return row->fn(v, hc, NULL);
	hc->count = 1;
	switch (forms[nr].form) {
	case FORM_ARG1: return call_row(v, row, hc, hc->a[1]);
	case FORM_ARG2: return call_row(v, row, hc, hc->a[2]);
	case FORM_ARRAY: return call_array(v, row, hc);
	default: BUG();
	}
}

long hypercall_do(struct vcpu *v, u64 nr, struct hypercall *hc) { return do_call(v, nr, hc); }

void hypercall_dispatch(struct vcpu *v, struct vm_exit *x)
{
	struct cpu_regs *r = &v->hvm.regs;
	struct hypercall hc;
	long ret;

	if (unlikely(x->call.cpl)) {
		hc.row = 0;
		hc.op = (u32)r->rax;
		hypercall_note(v, x, &hc, -EPERM);
		r->rax = (u64)-EPERM;
		hvm_complete(v, &v->hvm.regs, x->len);
		return;
	}
	if (unlikely(!x->call.long_mode)) {
		hypercall_dispatch_compat(v, x);
		return;
	}
	/* No hypercall of the table has more than three arguments. */
	hc.a[0] = r->rdi;
	hc.a[1] = r->rsi;
	hc.a[2] = r->rdx;
	ret = do_call(v, r->rax, &hc);
	hypercall_note(v, x, &hc, ret);
	if (unlikely(ret == HC_AGAIN)) {
		/* RIP stays: the guest takes its interrupts and comes back with these. */
		r->rax = number_again(r->rax, &hc);
		r->rdi = hc.a[0];
		r->rsi = hc.a[1];
		r->rdx = hc.a[2];
		return;
	}
	r->rax = (u64)ret;
	hvm_complete(v, &v->hvm.regs, x->len);
}

/*
 * Carries out one entry of a multicall. If it returns HC_AGAIN, the entry's arguments are updated
 * in the guest's memory.
 */
static long call_entry(struct vcpu *v, u64 at)
{
	struct multicall_entry e;
	struct vm_exit x = { 0 };
	struct hypercall hc;
	long ret;

	if (copy_from_guest(v, &e, at, sizeof(e)))
		return -EFAULT;
	memcpy(hc.a, e.args, sizeof(hc.a));
	hc.row = 0;
	hc.op = __HYPERVISOR_multicall;
	ret = e.op == __HYPERVISOR_multicall ? -EINVAL : hypercall_do(v, e.op, &hc);
	hypercall_note(v, &x, &hc, ret);
	if (!vcpu_wants(v, VCPU_SEALED))
		record_event(RECORD_CALL, v->domain, v, x.word[0], x.word[1]);
	if (ret == HC_AGAIN) {
		memcpy(e.args, hc.a, sizeof(hc.a));
		e.op = number_again(e.op, &hc);
		return copy_to_guest(v, at, &e, sizeof(e)) ? -EFAULT : HC_AGAIN;
	}
	e.result = (u64)ret;
	return copy_to_guest(v, at + offsetof(struct multicall_entry, result), &e.result, sizeof(e.result));
}

long hc_multicall(struct vcpu *v, struct hypercall *hc, void *arg)
{
	while (hc->a[1]) {
		long ret = call_entry(v, hc->a[0]);

		if (ret)
			return ret;
		hc->a[0] += sizeof(struct multicall_entry);
		hc->a[1]--;
		if (step_over())
			return HC_AGAIN;
	}
	return 0;
}
