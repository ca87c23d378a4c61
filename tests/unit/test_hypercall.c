/* units: vmm/hypercall.c vmm/compat.c tests/unit/fake_domain.c */
/*
 * The dispatcher against its table: every row's permission, argument and bounds, arrays, multicalls. All handlers are one here,
 * which keeps what it was called with.
 */
#include <string.h>
#include "tests/unit/fake_domain.h"
#include <xen/xen.h>
#include <xen/domctl.h>
#include <xen/grant_table.h>
#include <xen/sysctl.h>
#include <xen/platform.h>
#include <asm/hvm.h>
#include "vmm/exits.h"
#include "vmm/guest_access.h"

#define GVA    0x10000ull       /* [GVA, GVA + sizeof(memory)) is the guest's memory, all else faults */
#define HC(num, sub, name, type, dir, who, fn) __asm__(".weak " #fn "\n.set " #fn ", any_handler");
#include "vmm/hypercalls.def"
#undef HC

static u8 memory[16384];
static struct {
	unsigned calls;
	u32 elements, largest;
	long result;
	u64 ns;                         /* that a call takes */
	u8 fill;                        /* what the handler writes over its argument */
	u8 arg[HC_ARG_MAX];
	struct domain *target;
} seen;
static size_t arg_size;                 /* of the row that is called */

long any_handler(struct vcpu *v, struct hypercall *hc, void *arg);
long any_handler(struct vcpu *v, struct hypercall *hc, void *arg)
{
	seen.calls++;
	fake_time += seen.ns;
	seen.target = hc->target;
	if (!arg)
		return seen.result;
	seen.elements += hc->count;
	seen.largest = hc->count > seen.largest ? hc->count : seen.largest;
	memcpy(seen.arg, arg, arg_size * hc->count);
	memset(arg, seen.fill, arg_size * hc->count);
	return seen.result;
}

void record_event(enum record_kind kind, const struct domain *d, const struct vcpu *v, u64 a, u64 b) { }

static bool in_memory(u64 gva, size_t len) { return gva >= GVA && gva - GVA <= sizeof(memory) && len <= sizeof(memory) - (gva - GVA); }

int copy_from_guest(struct vcpu *v, void *dst, u64 gva, size_t len)
{
	if (!in_memory(gva, len))
		return -EFAULT;
	memcpy(dst, memory + (gva - GVA), len);
	return 0;
}

int copy_to_guest(struct vcpu *v, u64 gva, const void *src, size_t len)
{
	if (!in_memory(gva, len))
		return -EFAULT;
	memcpy(memory + (gva - GVA), src, len);
	return 0;
}

struct domain *dom0;
static struct domain *guest;

static int setup(void **state)
{
	hypercall_init();
	dom0 = fake_domain_new(0, 1);
	guest = fake_domain_new(1, 1);
	memset(memory, 0x11, sizeof(memory));
	memset(&seen, 0, sizeof(seen));
	seen.fill = 0x22;
	return 0;
}

static int teardown(void **state)
{
	fake_domain_free(guest);
	fake_domain_free(dom0);
	return 0;
}

static bool is_control(const struct hypercall_row *row)
{
	return row->nr == __HYPERVISOR_domctl || row->nr == __HYPERVISOR_sysctl || row->nr == __HYPERVISOR_platform_op;
}

/* As a guest would call the row, with its argument at gva. */
static struct hypercall call_of(const struct hypercall_row *row, u64 gva)
{
	static const u32 version[64] = {
		[__HYPERVISOR_domctl] = XEN_DOMCTL_INTERFACE_VERSION, [__HYPERVISOR_sysctl] = XEN_SYSCTL_INTERFACE_VERSION,
		[__HYPERVISOR_platform_op] = XENPF_INTERFACE_VERSION,
	};
	u32 head[2] = { row->cmd, version[row->nr] };

	arg_size = row->size;
	if (is_control(row)) {
		if (in_memory(gva, sizeof(head)))
			memcpy(memory + (gva - GVA), head, sizeof(head));
		if (row->nr == __HYPERVISOR_domctl && in_memory(gva, 16))
			((struct xen_domctl *)(memory + (gva - GVA)))->domain = 1;
		return (struct hypercall){ .a = { gva } };
	}
	if (row->nr == __HYPERVISOR_vcpu_op)
		return (struct hypercall){ .a = { row->cmd, 0, gva } };
	return (struct hypercall){ .a = { row->cmd, gva, 1 } };
}

static bool has_row(u64 nr, u64 cmd)
{
	for (unsigned i = 0; i < hypercall_nr_rows; i++)
		if (hypercall_rows[i].nr == nr && hypercall_rows[i].cmd == cmd)
			return true;
	return false;
}

static void what_has_no_row_is_absent(void **state)
{
	static const u64 far[] = { 64, 127, 128, 255, 256, 1000, 0x7fffffff, 0x80000000, 0xffffffff, 1ull << 32, ~0ull };
	u64 nr, cmd;

	for (nr = 0; nr < 64 + sizeof(far) / 8; nr++)
		for (cmd = 0; cmd < 256 + sizeof(far) / 8; cmd++) {
			u64 n = nr < 64 ? nr : far[nr - 64], c = cmd < 256 ? cmd : far[cmd - 256];
			struct hypercall hc = { .a = { c, 0, 0 } };

			/* The structure's head has the sub-operation, or there is none, or some bits aren't the sub-operation's. */
			if (n == __HYPERVISOR_domctl || n == __HYPERVISOR_sysctl || n == __HYPERVISOR_platform_op ||
			    n == __HYPERVISOR_multicall || n == __HYPERVISOR_set_timer_op ||
			    has_row(n, n == __HYPERVISOR_memory_op ? c & 63 : c))
				continue;
			assert_int_equal(hypercall_do(dom0->vcpu[0], n, &hc), -ENOSYS);
			assert_int_equal(hc.row, 0);
		}
	assert_int_equal(seen.calls, 0);
}

static void control_is_checked_before_it_starts(void **state)
{
	const u32 numbers[] = { __HYPERVISOR_domctl, __HYPERVISOR_sysctl, __HYPERVISOR_platform_op };

	for (unsigned i = 0; i < 3; i++) {
		struct hypercall hc = { .a = { GVA } };

		memset(memory, 0, sizeof(memory));
		assert_int_equal(hypercall_do(dom0->vcpu[0], numbers[i], &hc), -EACCES);
		hc.a[0] = GVA + sizeof(memory) - 8;
		assert_int_equal(hypercall_do(dom0->vcpu[0], numbers[i], &hc), -EFAULT);
		assert_int_equal(hypercall_do(guest->vcpu[0], numbers[i], &hc), -EPERM);
	}
	for (u32 cmd = 0; cmd < 300; cmd++) {
		struct hypercall_row row = { .nr = __HYPERVISOR_domctl, .cmd = (u8)cmd };
		struct hypercall hc = call_of(&row, GVA);

		((struct xen_domctl *)memory)->cmd = cmd;
		if (!has_row(row.nr, cmd))
			assert_int_equal(hypercall_do(dom0->vcpu[0], row.nr, &hc), -ENOSYS);
	}
	assert_int_equal(seen.calls, 0);
}

static void domctl_has_a_target_that_lives(void **state)
{
	struct xen_domctl *op = (struct xen_domctl *)memory;
	struct hypercall_row pause = { .nr = __HYPERVISOR_domctl, .cmd = XEN_DOMCTL_pausedomain };
	struct hypercall_row destroy = { .nr = __HYPERVISOR_domctl, .cmd = XEN_DOMCTL_destroydomain };
	struct hypercall hc = call_of(&pause, GVA);

	assert_int_equal(hypercall_do(dom0->vcpu[0], pause.nr, &hc), 0);
	assert_ptr_equal(seen.target, guest);
	assert_int_equal(guest->refs, 1);
	op->domain = 5;
	op->cmd = pause.cmd;
	op->interface_version = XEN_DOMCTL_INTERFACE_VERSION;
	assert_int_equal(hypercall_do(dom0->vcpu[0], pause.nr, &hc), -ESRCH);
	guest->dying = true;
	hc = call_of(&pause, GVA);
	assert_int_equal(hypercall_do(dom0->vcpu[0], pause.nr, &hc), -ESRCH);
	assert_int_equal(guest->refs, 1);
	assert_int_equal(seen.calls, 1);
	hc = call_of(&destroy, GVA);
	assert_int_equal(hypercall_do(dom0->vcpu[0], pause.nr, &hc), 0);
	assert_int_equal(seen.calls, 2);
	assert_int_equal(guest->refs, 1);
}

/* Each row: by whom, with which argument, and what comes back when it succeeds and when it fails. */
static void rows_are_as_the_table_says(void **state)
{
	for (unsigned i = 0; i < hypercall_nr_rows; i++) {
		const struct hypercall_row *row = &hypercall_rows[i];
		bool in = row->dir != HC_NONE && row->dir != HC_OUT, out = row->dir != HC_NONE && row->dir != HC_IN;
		struct hypercall hc;

		if (row->nr == __HYPERVISOR_multicall || is_control(row))
			continue;
		teardown(NULL);
		setup(NULL);
		hc = call_of(row, GVA);
		assert_int_equal(hypercall_do(guest->vcpu[0], row->nr, &hc), row->who == HC_PRIV ? -EPERM : 0);
		assert_int_equal(seen.calls, row->who != HC_PRIV);
		assert_int_equal(hc.row, i + 1);

		seen.result = -EINVAL;
		memset(memory, 0x11, sizeof(memory));
		hc = call_of(row, GVA);
		assert_int_equal(hypercall_do(dom0->vcpu[0], row->nr, &hc), -EINVAL);
		for (unsigned j = 0; j < row->size; j++) {
			assert_int_equal(seen.arg[j], in ? 0x11 : 0);
			assert_int_equal(memory[j], 0x11);
		}
		seen.result = 0;
		hc = call_of(row, GVA);
		assert_int_equal(hypercall_do(dom0->vcpu[0], row->nr, &hc), 0);
		for (unsigned j = 0; j <= row->size; j++)
			assert_int_equal(memory[j], out && j < row->size ? 0x22 : 0x11);
		if (!row->size)
			continue;

		/* Out of its memory by one byte: refused, before it starts if it reads. */
		seen.calls = 0;
		hc = call_of(row, GVA + sizeof(memory) - row->size + 1);
		assert_int_equal(hypercall_do(dom0->vcpu[0], row->nr, &hc), -EFAULT);
		assert_int_equal(seen.calls, !in);
	}
}

static void arrays_go_in_parts(void **state)
{
	for (unsigned i = 0; i < hypercall_nr_rows; i++) {
		const struct hypercall_row *row = &hypercall_rows[i];
		u32 left = 150, turns = 0;
		struct hypercall hc;

		if (row->nr != __HYPERVISOR_grant_table_op)
			continue;
		teardown(NULL);
		setup(NULL);
		hc = call_of(row, GVA);
		for (hc.a[2] = left; hc.a[2]; turns++) {
			long ret = hypercall_do(guest->vcpu[0], row->nr, &hc);

			assert_int_equal(ret, hc.a[2] ? HC_AGAIN : 0);
			assert_in_range(left - hc.a[2], 1, 64 + HC_ARG_MAX / row->size);
			assert_int_equal(hc.a[1], GVA + (150 - hc.a[2]) * row->size);
			assert_int_equal(seen.elements, 150 - hc.a[2]);
			left = (u32)hc.a[2];
		}
		assert_int_equal(seen.largest, row->dir == HC_ARRAY ? HC_ARG_MAX / row->size : 1);
		assert_in_range(turns, 2, 3);
		for (unsigned j = 0; j <= 150u * row->size; j++)
			assert_int_equal(memory[j], j < 150u * row->size ? 0x22 : 0x11);

		seen.calls = 0;
		hc = call_of(row, GVA);
		hc.a[2] = 0;
		assert_int_equal(hypercall_do(guest->vcpu[0], row->nr, &hc), 0);
		hc.a[2] = 1ull << 32;
		assert_int_equal(hypercall_do(guest->vcpu[0], row->nr, &hc), -EINVAL);
		assert_int_equal(seen.calls, 0);
		/* The second part begins beyond the memory. */
		hc = call_of(row, GVA + sizeof(memory) - (row->dir == HC_ARRAY ? HC_ARG_MAX / row->size : 1) * row->size);
		hc.a[2] = 64;
		assert_int_equal(hypercall_do(guest->vcpu[0], row->nr, &hc), -EFAULT);
		assert_int_equal(seen.calls, 1);
	}
}

static void multicall(void **state)
{
	struct multicall_entry *e = (struct multicall_entry *)memory;
	struct hypercall hc = { .a = { GVA, 100 } };
	unsigned turns = 0;

	seen.result = 7;
	seen.ns = 100;
	for (unsigned i = 0; i < 100; i++)
		e[i] = (struct multicall_entry){ .op = __HYPERVISOR_xen_version, .args = { 0 } };
	e[1].op = __HYPERVISOR_multicall;
	e[2].op = 9999;
	assert_int_equal(hypercall_do(guest->vcpu[0], __HYPERVISOR_multicall, &hc), 0);
	assert_int_equal((long)e[0].result, 7);
	assert_int_equal((long)e[1].result, -EINVAL);
	assert_int_equal((long)e[2].result, -ENOSYS);
	assert_int_equal((long)e[99].result, 7);
	assert_int_equal(seen.calls, 98);

	/* Entries that take long: the guest has a turn after each. */
	seen.ns = 1000000;
	hc = (struct hypercall){ .a = { GVA, 10 } };
	while (hypercall_do(guest->vcpu[0], __HYPERVISOR_multicall, &hc) == HC_AGAIN)
		turns++;
	assert_in_range(turns, 8, 9);
	assert_int_equal(seen.calls, 98 + 8);
	seen.ns = 0;

	/* An entry that isn't done is done again, with what its arguments are then. */
	e[0] = (struct multicall_entry){ .op = __HYPERVISOR_grant_table_op, .args = { GNTTABOP_query_size, GVA + 4096, 100 } };
	arg_size = sizeof(gnttab_query_size_t);
	seen.result = 0;
	hc = (struct hypercall){ .a = { GVA, 1 } };
	assert_int_equal(hypercall_do(guest->vcpu[0], __HYPERVISOR_multicall, &hc), HC_AGAIN);
	assert_int_equal(hc.a[1], 1);
	assert_int_equal(e[0].args[2], 36);
	assert_int_equal(hypercall_do(guest->vcpu[0], __HYPERVISOR_multicall, &hc), 0);
	hc = (struct hypercall){ .a = { GVA + sizeof(memory) - 63, 1 } };
	assert_int_equal(hypercall_do(guest->vcpu[0], __HYPERVISOR_multicall, &hc), -EFAULT);
}

static void registers_in_and_out(void **state)
{
	struct vcpu *v = guest->vcpu[0];
	struct cpu_regs *r = &v->hvm.regs;
	struct vm_exit x = { .reason = EXIT_HYPERCALL, .len = 3, .call = { .cpl = 3, .long_mode = true } };

	seen.result = 42;
	*r = (struct cpu_regs){ .rip = 100, .rax = __HYPERVISOR_xen_version };
	hypercall_dispatch(v, &x);
	assert_int_equal((long)r->rax, -EPERM);
	assert_int_equal(r->rip, 103);
	assert_int_equal(seen.calls, 0);

	x.call.cpl = 0;
	r->rax = __HYPERVISOR_xen_version;
	hypercall_dispatch(v, &x);
	assert_int_equal(r->rax, 42);
	assert_int_equal(r->rip, 106);
	assert_int_equal(x.call.result, 42);

	/* To be gone on with: RIP stays on the instruction, and the number in RAX. */
	seen.result = 0;
	arg_size = sizeof(gnttab_query_size_t);
	*r = (struct cpu_regs){ .rip = 100, .rax = __HYPERVISOR_grant_table_op, .rdi = GNTTABOP_query_size, .rsi = GVA, .rdx = 70 };
	hypercall_dispatch(v, &x);
	assert_int_equal(r->rip, 100);
	assert_int_equal(r->rax, __HYPERVISOR_grant_table_op);
	assert_int_equal(r->rdx, 6);
	assert_int_equal(r->rsi, GVA + 64 * sizeof(gnttab_query_size_t));
	hypercall_dispatch(v, &x);
	assert_int_equal(r->rip, 103);
	assert_int_equal(r->rax, 0);
}

/* In 32-bit mode only what has the same layout, or one that is known, is let through. */
static void other_layouts(void **state)
{
	struct vcpu *v = dom0->vcpu[0];
	struct cpu_regs *r = &v->hvm.regs;
	struct vm_exit x = { .reason = EXIT_HYPERCALL, .len = 3 };

	for (u32 cmd = 0; cmd < 12; cmd++) {
		bool known = cmd == GNTTABOP_query_size || cmd == GNTTABOP_set_version || cmd == GNTTABOP_get_version;

		arg_size = 16;
		seen.calls = 0;
		*r = (struct cpu_regs){ .rax = __HYPERVISOR_grant_table_op, .rbx = cmd, .rcx = GVA, .rdx = 1 };
		hypercall_dispatch(v, &x);
		assert_int_equal((int)r->rax, known ? 0 : -ENOSYS);
		assert_int_equal(seen.calls, known);
	}
	for (u32 nr = __HYPERVISOR_sysctl; nr <= __HYPERVISOR_domctl; nr++) {
		*r = (struct cpu_regs){ .rax = nr, .rbx = GVA };
		hypercall_dispatch(v, &x);
		assert_int_equal((int)r->rax, -ENOSYS);
	}
}

int main(void)
{
#define TEST(t) cmocka_unit_test_setup_teardown(t, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(what_has_no_row_is_absent),
		TEST(control_is_checked_before_it_starts),
		TEST(domctl_has_a_target_that_lives),
		TEST(rows_are_as_the_table_says),
		TEST(arrays_go_in_parts),
		TEST(multicall),
		TEST(registers_in_and_out),
		TEST(other_layouts),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
