/* units: vmm/hypercall/hypercall.c vmm/hypercall/compat.c vmm/toolstack/versions.c vmm/domain/permitted.c vmm/domain/refuse.c tests/unit/fake_domain.c tests/unit/fake_control.c arch/x86/complete.c */
/* The dispatcher over the whole table: who may call what, which bytes go in and out, and how long calls are continued. */
#include "tests/unit/fake_control.h"
#include <xen/vcpu.h>
#include "vmm/memory/memory.h"
#include "vmm/life/life.h"
#include <sys/mman.h>
#include <asm/hvm.h>
#include <asm/hvm_vcpu.h>
#include <xen/domctl.h>
#include <xen/grant_table.h>
#include <xen/memory.h>
#include <xen/physdev.h>
#include <xen/platform.h>
#include <xen/sched.h>
#include <xen/sysctl.h>
#include <xen/arch-x86/xen-mca.h>
#include "vmm/domain.h"
#include "vmm/domain/record_layout.h"
#include "vmm/exits.h"
#include "vmm/versions.h"

/* Every handler is this one, but for those that the units have. */
long any_handler(struct vcpu *v, struct hypercall *hc, void *arg);
#define HC(num, sub, name, type, dir, who, target, fn) __asm__(".weak " #fn "\n.set " #fn ", any_handler\n");
#include "vmm/hypercall/hypercalls.def"
#include "vmm/vcpu.h"
#undef HC

unsigned hvm_phys_bits = 40;
static struct {
	unsigned calls, fail_at, events;
	u32 elements, most;     /* of arrays: all, and in one call */
	u32 progress, next;     /* of a control operation: as it was told, and as it says that it goes on */
	long result;
	const struct hypercall_row *row;
	u8 arg[HC_ARG_MAX];
	struct domain *target;
	bool no_arg;
} seen;

static const struct hypercall_row *row_now;

static bool is_control(unsigned nr)
{
	return nr == __HYPERVISOR_domctl || nr == __HYPERVISOR_sysctl || nr == __HYPERVISOR_platform_op || nr == __HYPERVISOR_mca ||
	       nr == __HYPERVISOR_xsm_op;
}

__attribute__((used)) long any_handler(struct vcpu *v, struct hypercall *hc, void *arg)
{
	seen.row = hc->row ? &hypercall_rows[hc->row - 1] : NULL;
	seen.no_arg = !arg;
	seen.target = hc->target;
	assert_int_equal(fake_locks_held(), seen.row && seen.row->who == HC_ALONE);
	if (row_now && is_control(row_now->nr)) {
		seen.progress = hc->progress;
		hc->progress = seen.next;
	}
	if (arg && row_now) {
		u32 count = row_now->nr == __HYPERVISOR_grant_table_op ? hc->count : 1;

		memcpy(seen.arg, arg, row_now->size * count);
		memset(arg, 0x77, row_now->size * count);
		seen.elements += count;
		seen.most = MAX(seen.most, count);
	}
	return ++seen.calls == seen.fail_at ? -ENOSPC : seen.result;
}

void record_event(enum record_kind kind, const struct domain *d, const struct vcpu *v, u64 a, u64 b) { seen.events++; }

static struct domain *host, *guest;

static int set_up(void **state)
{
	hypercall_init();
	dom0 = host = fake_domain_new(0, 1);
	guest = fake_domain_new(1, 1);
	spin_init(&host->lock, LOCK_DOMAIN);
	memset(&seen, 0, sizeof(seen));
	row_now = NULL;
	return 0;
}

static int tear_down(void **state)
{
	fake_domain_free(host);
	fake_domain_free(guest);
	return 0;
}

enum { CONTROL_ARG = 1024 };

/* The registers for a call of the row, its argument at FAKE_GVA. */
static struct hypercall registers(const struct hypercall_row *row)
{
	struct hypercall hc = { .a = { row->cmd, FAKE_GVA, FAKE_GVA } };
	u32 *head = (u32 *)fake_memory;

	if (row->nr == __HYPERVISOR_vcpu_op)
		hc.a[1] = 0;
	if (row->nr == __HYPERVISOR_grant_table_op)
		hc.a[2] = 1;
	if (is_control(row->nr)) {
		hc.a[0] = FAKE_GVA;
		head[0] = row->cmd;
		head[1] = row->nr == __HYPERVISOR_domctl ? (row->cmd == XEN_DOMCTL_get_domain_state ? 0 : 0x18) : row->nr == __HYPERVISOR_sysctl ? 0x16 :
			  row->nr == __HYPERVISOR_mca ? 0x1ecc003 : row->nr == __HYPERVISOR_xsm_op ? 1 : 0x3000001;
		if (row->nr == __HYPERVISOR_domctl)
			*(u16 *)&head[2] = 1;
	}
	return hc;
}

static void pattern(void)
{
	for (unsigned i = 0; i < 2 * HC_ARG_MAX; i++)
		fake_memory[i] = (u8)(i * 7 + 1);
}

static long call(struct domain *by, const struct hypercall_row *row)
{
	struct hypercall hc = registers(row);
	long ret;

	row_now = row;
	ret = hypercall_do(by->vcpu[0], row->nr, &hc);
	assert_int_equal(fake_locks_held(), 0);
	return ret;
}

/* hc_multicall is the real one: tested by itself. */
#define EACH_ROW(row) (const struct hypercall_row *row = hypercall_rows; row < hypercall_rows + hypercall_nr_rows; row++) \
	if (row->nr != __HYPERVISOR_multicall)

static const struct hypercall_row *find(unsigned nr, unsigned cmd)
{
	for EACH_ROW(row)
		if (row->nr == nr && row->cmd == cmd)
			return row;
	fail_msg("no row %u %u", nr, cmd);
	return NULL;
}

static void only_the_service_domain_has_all(void **state)
{
	for EACH_ROW(row) {
		pattern();
		seen.calls = 0;
		assert_int_equal(call(guest, row), row->who == HC_ANY ? 0 : -EPERM);
		assert_int_equal(seen.calls, row->who == HC_ANY);
		assert_int_equal(call(host, row), 0);
		assert_ptr_equal(seen.row, row);
	}
}

/* Where its argument is in the caller's structure. */
static unsigned argument_at(const struct hypercall_row *row)
{
	return !is_control(row->nr) ? 0 : row->nr == __HYPERVISOR_domctl ? offsetof(struct xen_domctl, u) : offsetof(struct xen_sysctl, u);
}

/* The table is constant; a test may write to it. */
static struct hypercall_row *writable(const struct hypercall_row *row)
{
	uintptr_t first = (uintptr_t)row & ~4095ul, end = (uintptr_t)(row + 1);

	assert_int_equal(mprotect((void *)first, end - first, PROT_READ | PROT_WRITE), 0);
	return (struct hypercall_row *)(uintptr_t)row;
}

/* Of control operations too: who may call, and which way the argument goes, is what the row says. */
static void the_table_decides(void **state)
{
	for EACH_ROW(row) {
		struct hypercall_row *changed, was = *row;
		unsigned at = argument_at(row);

		if (!is_control(row->nr))
			continue;
		assert_int_not_equal(row->who, HC_ANY);
		changed = writable(row);
		changed->who = HC_ANY;
		changed->size = 8;
		for (u8 dir = HC_NONE; dir <= HC_INOUT; dir++) {
			changed->dir = dir;
			pattern();
			registers(row);
			seen.calls = 0;
			seen.target = NULL;
			assert_int_equal(call(guest, row), 0);
			assert_int_equal(seen.calls, 1);
			assert_int_equal(seen.no_arg, dir == HC_NONE);
			if (row->nr == __HYPERVISOR_domctl && row->cmd != XEN_DOMCTL_createdomain && row->cmd != XEN_DOMCTL_getdomaininfo &&
			    row->cmd != XEN_DOMCTL_get_domain_state)
				assert_ptr_equal(seen.target, guest);
			if (dir != HC_NONE)
				assert_int_equal(seen.arg[0], dir == HC_OUT ? 0 : (u8)(at * 7 + 1));
			assert_int_equal(fake_memory[at], dir >= HC_OUT ? 0x77 : (u8)(at * 7 + 1));
			assert_int_equal(fake_memory[at + 7], dir >= HC_OUT ? 0x77 : (u8)((at + 7) * 7 + 1));
			assert_int_equal(fake_memory[at + 8], (u8)((at + 8) * 7 + 1));
		}
		*changed = was;
	}
}

/* A domctl that were open to guests would still be for themselves only. */
static void a_guest_names_only_itself(void **state)
{
	const struct hypercall_row *row = find(__HYPERVISOR_domctl, XEN_DOMCTL_max_mem);
	struct hypercall hc = registers(row);

	writable(row)->who = HC_ANY;
	((u16 *)fake_memory)[4] = 0;
	assert_int_equal(hypercall_do(guest->vcpu[0], row->nr, &hc), -EPERM);
	assert_int_equal(seen.calls, 0);
	((u16 *)fake_memory)[4] = DOMID_SELF;
	assert_int_equal(hypercall_do(guest->vcpu[0], row->nr, &hc), 0);
	writable(row)->who = HC_PRIV;
}

/* Each name here is a decision: it neither shows nor changes a sealed domain's memory, registers or interrupts. */
static const char *const sealed_too[] = {
	"current_reservation", "maximum_reservation", "set_pod_target", "get_pod_target", "status", "query_size", "get_version",
	"remote_shutdown", "get_param", "destroydomain", "pausedomain", "unpausedomain", "getdomaininfo", "setvcpuaffinity", "getvcpuaffinity",
	"max_mem", "getvcpuinfo", "domctl_scheduler", "get_address_size", "gettscinfo", "setnodeaffinity", "getnodeaffinity",
	"get_paging_mempool", "set_paging_mempool", "get_domain_state",
};

static void a_sealed_domain_may_be_named_by_listed_calls_only(void **state)
{
	guest->seal.state = SEAL_DONE;
	for (unsigned i = 0; i < hypercall_nr_rows; i++) {
		struct hypercall hc = { .row = i + 1 };
		struct domain *found;
		bool listed = false;

		for (unsigned n = 0; n < ARRAY_SIZE(sealed_too); n++)
			listed = listed || !__builtin_strcmp(sealed_too[n], hypercall_rows[i].name);
		assert_int_equal(domain_get_permitted(host->vcpu[0], &hc, 1, &found), listed ? 0 : -EPERM);
		if (listed)
			domain_put(guest);
		assert_int_equal(domain_get_permitted(guest->vcpu[0], &hc, DOMID_SELF, &found), 0);
		domain_put(guest);
	}
	/* By the dispatcher too, before the handler. */
	assert_int_equal(call(host, find(__HYPERVISOR_domctl, XEN_DOMCTL_gethvmcontext)), -EPERM);
	assert_int_equal(seen.calls, 0);
	assert_logged("gethvmcontext for d1: it is sealed");
	assert_int_equal(call(host, find(__HYPERVISOR_domctl, XEN_DOMCTL_pausedomain)), 0);
	assert_int_equal(seen.calls, 1);
}

static void arguments_go_in_and_out_once(void **state)
{
	for (int fails = 0; fails < 2; fails++)
		for EACH_ROW(row) {
			u8 before[2 * HC_ARG_MAX];
			unsigned at = argument_at(row);

			pattern();
			registers(row);
			memcpy(before, fake_memory, sizeof(before));
			seen.result = fails ? -ENOSPC : 5;
			if (row->nr == __HYPERVISOR_grant_table_op && !fails)
				seen.result = 0;
			assert_int_equal(call(host, row), seen.result);
			assert_int_equal(seen.no_arg, row->dir == HC_NONE);
			if (row->dir == HC_OUT)
				memset(before + at, 0, row->size);
			if (row->dir != HC_NONE)
				assert_memory_equal(seen.arg, before + at, row->size);
			/* What a handler did to its copy is seen only if the row says so, and not if it failed. */
			for (unsigned i = 0; i < sizeof(before); i++)
				if (i >= at && i < at + row->size && row->dir >= HC_OUT && !fails)
					assert_int_equal(fake_memory[i], 0x77);
				else if (row->dir != HC_OUT || i < at)
					assert_int_equal(fake_memory[i], before[i]);
				else
					assert_int_equal(fake_memory[i], (u8)(i * 7 + 1));
		}
}

static void pointers_into_nothing_are_faults(void **state)
{
	for EACH_ROW(row) {
		struct hypercall hc = registers(row);

		if (row->dir == HC_NONE)
			continue;
		for (unsigned i = 0; i < 3; i++)
			if (hc.a[i] == FAKE_GVA)
				hc.a[i] = FAKE_GVA + FAKE_MEMORY - 1;
		seen.calls = 0;
		row_now = row;
		assert_int_equal(hypercall_do(host->vcpu[0], row->nr, &hc), -EFAULT);
		assert_int_equal(seen.calls, row->dir == HC_OUT && !is_control(row->nr));
	}
}

static void unknown_numbers_are_enosys(void **state)
{
	bool known[64][128] = { { false } };

	for (unsigned i = 0; i < hypercall_nr_rows; i++)
		known[hypercall_rows[i].nr][hypercall_rows[i].cmd] = true;
	for (u64 nr = 0; nr < 70; nr++)
		for (u64 cmd = 0; cmd < 130; cmd++) {
			struct hypercall hc = { .a = { cmd, FAKE_GVA, 0 } };

			if (nr < 64 && (is_control((unsigned)nr) || known[nr][cmd & (nr == __HYPERVISOR_memory_op ? 63 : 127)] || known[nr][0]))
				continue;
			assert_int_equal(hypercall_do(host->vcpu[0], nr, &hc), -ENOSYS);
			assert_int_equal(hc.row, 0);
			assert_int_equal(hc.op & 0xff, nr);
		}
	assert_int_equal(seen.calls, 0);
}

static void control_calls_name_their_domain(void **state)
{
	struct hypercall hc = registers(find(__HYPERVISOR_domctl, XEN_DOMCTL_pausedomain));

	row_now = NULL;
	((u32 *)fake_memory)[0] = 127;
	assert_int_equal(hypercall_do(host->vcpu[0], __HYPERVISOR_domctl, &hc), -ENOSYS);
	/* What is absent and xl may ask for is said. */
	fake_log_clear();
	((u32 *)fake_memory)[0] = XEN_DOMCTL_iomem_permission;
	assert_int_equal(hypercall_do(host->vcpu[0], __HYPERVISOR_domctl, &hc), -ENOSYS);
	assert_logged("refused: iomem=");
	hc = registers(find(__HYPERVISOR_physdev_op, PHYSDEVOP_pci_device_add));
	hc.a[0] = PHYSDEVOP_map_pirq;
	assert_int_equal(hypercall_do(host->vcpu[0], __HYPERVISOR_physdev_op, &hc), -ENOSYS);
	assert_logged("refused: irqs=");
	/* Not for a guest: the log is the service domain's. */
	fake_log_clear();
	assert_int_equal(hypercall_do(guest->vcpu[0], __HYPERVISOR_physdev_op, &hc), -ENOSYS);
	assert_not_logged("refused");
	hc = registers(find(__HYPERVISOR_domctl, XEN_DOMCTL_pausedomain));
	((u32 *)fake_memory)[0] = XEN_DOMCTL_pausedomain;
	*(u16 *)(fake_memory + 8) = 5;
	assert_int_equal(hypercall_do(host->vcpu[0], __HYPERVISOR_domctl, &hc), -ESRCH);
	*(u16 *)(fake_memory + 8) = 1;
	assert_int_equal(seen.calls, 0);
	assert_int_equal(hypercall_do(host->vcpu[0], __HYPERVISOR_domctl, &hc), 0);
	assert_ptr_equal(seen.target, guest);
	/* Of one that is being destroyed only that can be asked. */
	guest->dying = 1;
	assert_int_equal(hypercall_do(host->vcpu[0], __HYPERVISOR_domctl, &hc), -ESRCH);
	((u32 *)fake_memory)[0] = XEN_DOMCTL_destroydomain;
	seen.result = HC_AGAIN;
	assert_int_equal(hypercall_do(host->vcpu[0], __HYPERVISOR_domctl, &hc), HC_AGAIN);
	assert_int_equal(seen.calls, 2);
	/* These have no target: the domain isn't there yet, or any will do. */
	seen.result = 0;
	*(u16 *)(fake_memory + 8) = 5;
	((u32 *)fake_memory)[0] = XEN_DOMCTL_getdomaininfo;
	assert_int_equal(hypercall_do(host->vcpu[0], __HYPERVISOR_domctl, &hc), 0);
	assert_null(seen.target);
	((u32 *)fake_memory)[0] = XEN_DOMCTL_get_domain_state;
	((u32 *)fake_memory)[1] = 0;
	assert_int_equal(hypercall_do(host->vcpu[0], __HYPERVISOR_domctl, &hc), 0);
	assert_null(seen.target);
	/* fake_domain_free looks whether a reference was kept. */
}

/* Toolstacks of all releases are served, each call for itself; which it is doesn't depend on the headers here. */
static void releases_are_served_at_once(void **state)
{
	static const struct { u32 nr, cmd, first, last; const char *said; } calls[] = {
		{ __HYPERVISOR_domctl, XEN_DOMCTL_pausedomain, 0x15, 0x18, "domctl of interface version 0x19: 0x15 to 0x18 are served, those of Xen 4.17 to 4.22" },
		{ __HYPERVISOR_domctl, XEN_DOMCTL_get_domain_state, 0, 0, "get_domain_state of interface version 0x1: 0x0 to 0x0 are served" },
		{ __HYPERVISOR_sysctl, XEN_SYSCTL_physinfo, 0x15, 0x16, "sysctl of interface version 0x17: 0x15 to 0x16 are served" },
		{ __HYPERVISOR_platform_op, XENPF_settime64, 0x3000001, 0x3000001, "platform_op of interface version 0x3000002" },
		{ __HYPERVISOR_mca, XEN_MC_physcpuinfo, 0x1ecc003, 0x1ecc003, "mca of interface version 0x1ecc004" },
	};
	u32 *version = &((u32 *)fake_memory)[1];

	for (unsigned i = 0; i < ARRAY_SIZE(calls); i++) {
		struct hypercall hc = registers(find(calls[i].nr, calls[i].cmd));

		row_now = NULL;
		for (*version = calls[i].first; *version <= calls[i].last; ++*version)
			assert_int_equal(hypercall_do(host->vcpu[0], calls[i].nr, &hc), 0);
		fake_log_clear();
		assert_int_equal(hypercall_do(guest->vcpu[0], calls[i].nr, &hc), -EPERM);
		assert_not_logged("version");
		seen.calls = 0;
		assert_int_equal(hypercall_do(host->vcpu[0], calls[i].nr, &hc), -EACCES);
		assert_logged(calls[i].said);
		*version = calls[i].first - 1;
		assert_int_equal(hypercall_do(host->vcpu[0], calls[i].nr, &hc), -EACCES);
		*version = calls[i].first ? 0 : 0x18;
		assert_int_equal(hypercall_do(host->vcpu[0], calls[i].nr, &hc), -EACCES);
		assert_int_equal(seen.calls, 0);
	}
}

/*
 * createdomain before 0x17 has no altp2m_opts, at 48: the handler sees 0 there and the rest behind it, and what it changes goes
 * back to where the caller has it. Nothing else of the caller's structure changes.
 */
static void createdomain_has_two_layouts(void **state)
{
	const struct hypercall_row *row = find(__HYPERVISOR_domctl, XEN_DOMCTL_createdomain);
	const unsigned at = offsetof(struct xen_domctl, u);

	for (u32 version = 0x15; version <= 0x18; version++)
		for (int fails = 0; fails < 2; fails++) {
			unsigned gap = version < 0x17 ? 4 : 0;
			struct hypercall hc;
			u8 before[256];

			pattern();
			hc = registers(row);
			((u32 *)fake_memory)[1] = version;
			memcpy(before, fake_memory, sizeof(before));
			row_now = row;
			seen.result = fails ? -ENOSPC : 0;
			assert_int_equal(hypercall_do(host->vcpu[0], row->nr, &hc), seen.result);
			assert_int_equal(row->size, 68);
			assert_memory_equal(seen.arg, before + at, 48);
			for (unsigned i = 48; i < 52; i++)
				assert_int_equal(seen.arg[i], gap ? 0 : before[at + i]);
			assert_memory_equal(seen.arg + 52, before + at + 52 - gap, 16);
			for (unsigned i = 0; i < sizeof(before); i++)
				assert_int_equal(fake_memory[i], !fails && i >= at && i < at + 68 - gap ? 0x77 : before[i]);
		}
}

/* Up to 64 elements before the guest gets its interrupts, or a few more; of them as many at a time as the handler has room for. */
static void arrays_are_done_in_steps(void **state)
{
	for EACH_ROW(row) {
		u32 room = row->dir == HC_ARRAY ? HC_ARG_MAX / row->size : 1, left = 150, turns = 0;
		struct hypercall hc = { .a = { row->cmd, FAKE_GVA, 150 } };

		if (row->nr != __HYPERVISOR_grant_table_op)
			continue;
		row_now = row;
		seen.elements = seen.most = 0;
		memset(fake_memory, 0x11, FAKE_MEMORY);
		for (; hc.a[2]; turns++) {
			long ret = hypercall_do(guest->vcpu[0], row->nr, &hc);

			assert_int_equal(ret, hc.a[2] ? HC_AGAIN : 0);
			assert_in_range(left - hc.a[2], hc.a[2] ? 64 : 1, 63 + room);
			assert_int_equal(hc.a[1], FAKE_GVA + (150 - hc.a[2]) * row->size);
			assert_int_equal(seen.elements, 150 - hc.a[2]);
			left = (u32)hc.a[2];
		}
		assert_int_equal(seen.most, room);
		assert_in_range(turns, 2, 3);
		for (unsigned i = 0; i <= 150u * row->size; i++)
			assert_int_equal(fake_memory[i], i < 150u * row->size ? 0x77 : 0x11);

		/* None at all; one that fails ends it, as does memory that does; more than 32 bits. */
		seen.calls = 0;
		assert_int_equal(hypercall_do(guest->vcpu[0], row->nr, &hc), 0);
		hc.a[2] = BIT(32);
		assert_int_equal(hypercall_do(guest->vcpu[0], row->nr, &hc), -EINVAL);
		assert_int_equal(seen.calls, 0);
		hc = (struct hypercall){ .a = { row->cmd, FAKE_GVA, 3 * room } };
		seen.fail_at = 2;
		assert_int_equal(hypercall_do(guest->vcpu[0], row->nr, &hc), -ENOSPC);
		assert_int_equal(seen.calls, 2);
		hc = (struct hypercall){ .a = { row->cmd, FAKE_GVA + FAKE_MEMORY - room * row->size, 3 * room } };
		assert_int_equal(hypercall_do(guest->vcpu[0], row->nr, &hc), -EFAULT);
		assert_int_equal(seen.calls, 3);
		seen.fail_at = 0;
	}
}

/* ---- registers ---- */

static struct vm_exit x;

static struct cpu_regs *instruction(struct domain *by, u64 nr, u64 a0, u64 a1, u64 a2)
{
	struct cpu_regs *r = &by->vcpu[0]->hvm.regs;

	*r = (struct cpu_regs){ .rax = nr, .rdi = a0, .rsi = a1, .rdx = a2, .rip = 0x1000 };
	x = (struct vm_exit){ .len = 3, .call = { .long_mode = true } };
	return r;
}

/* How far a control operation has come is in the number's upper half, and means nothing to other calls. */
static void control_operations_go_on(void **state)
{
	struct xen_sysctl op = { .cmd = XEN_SYSCTL_debug_keys, .interface_version = 0x15 };
	struct cpu_regs *r = instruction(host, __HYPERVISOR_sysctl, FAKE_GVA, 1, 2);
	struct multicall_entry *e = (struct multicall_entry *)(fake_memory + 4096);
	struct hypercall hc = { .a = { FAKE_GVA + 4096, 1 } };

	row_now = find(__HYPERVISOR_sysctl, XEN_SYSCTL_debug_keys);
	memcpy(fake_memory, &op, sizeof(op));
	seen.result = HC_AGAIN;
	seen.next = 0x80000001;
	hypercall_dispatch(host->vcpu[0], &x);
	assert_int_equal(seen.progress, 0);
	assert_true(r->rax == (0x80000001ull << 32 | __HYPERVISOR_sysctl) && r->rip == 0x1000 && r->rdi == FAKE_GVA && r->rsi == 1 && r->rdx == 2);
	/* The argument is the caller's until there is a result. */
	assert_memory_equal(fake_memory, &op, sizeof(op));
	seen.next = 0;
	seen.result = 5;
	hypercall_dispatch(host->vcpu[0], &x);
	assert_int_equal(seen.progress, 0x80000001);
	assert_true(r->rax == 5 && r->rip == 0x1003);
	/* The same in a multicall. */
	memcpy(fake_memory, &op, sizeof(op));
	*e = (struct multicall_entry){ .op = __HYPERVISOR_sysctl, .args = { FAKE_GVA } };
	seen.result = HC_AGAIN;
	seen.next = 7;
	assert_int_equal(hypercall_do(host->vcpu[0], __HYPERVISOR_multicall, &hc), HC_AGAIN);
	seen.result = 0;
	assert_int_equal(hypercall_do(host->vcpu[0], __HYPERVISOR_multicall, &hc), 0);
	assert_int_equal(seen.progress, 7);
	/* Neither for a guest nor for other numbers. */
	seen.calls = 0;
	r = instruction(guest, 1ull << 32 | __HYPERVISOR_sysctl, FAKE_GVA, 0, 0);
	hypercall_dispatch(guest->vcpu[0], &x);
	assert_int_equal(r->rax, (u64)-EPERM);
	r = instruction(host, 1ull << 32 | __HYPERVISOR_xen_version, 0, FAKE_GVA, 0);
	hypercall_dispatch(host->vcpu[0], &x);
	assert_int_equal(r->rax, (u64)-ENOSYS);
	r = instruction(host, 1ull << 32 | 64, 0, FAKE_GVA, 0);
	hypercall_dispatch(host->vcpu[0], &x);
	assert_int_equal(r->rax, (u64)-ENOSYS);
	assert_int_equal(seen.calls, 0);
}

/* What takes long goes on after one part of it, which there always is. */
static void long_arrays_take_more_steps(void **state)
{
	struct hypercall hc = { .a = { GNTTABOP_query_size, FAKE_GVA, 10 } };

	row_now = find(__HYPERVISOR_grant_table_op, GNTTABOP_query_size);
	fake_steps = 1;
	for (u64 left = 9; left; left--) {
		assert_int_equal(hypercall_do(guest->vcpu[0], __HYPERVISOR_grant_table_op, &hc), HC_AGAIN);
		assert_int_equal(hc.a[2], left);
	}
	assert_int_equal(hypercall_do(guest->vcpu[0], __HYPERVISOR_grant_table_op, &hc), 0);
	fake_steps = 0;
}

static void results_are_in_registers(void **state)
{
	struct cpu_regs *r = instruction(guest, __HYPERVISOR_xen_version, 0, FAKE_GVA, 0);

	seen.result = 0x40011;
	hypercall_dispatch(guest->vcpu[0], &x);
	assert_true(r->rax == 0x40011 && r->rip == 0x1003);
	assert_true(x.call.result == 0x40011 && x.call.row && guest->vcpu[0]->counters->calls[x.call.row] == 1);
	/* To be continued: the instruction is executed again, with what is left. */
	row_now = find(__HYPERVISOR_grant_table_op, GNTTABOP_query_size);
	seen.result = 0;
	r = instruction(guest, __HYPERVISOR_grant_table_op, GNTTABOP_query_size, FAKE_GVA, 70);
	hypercall_dispatch(guest->vcpu[0], &x);
	assert_true(r->rax == __HYPERVISOR_grant_table_op && r->rip == 0x1000 && r->rdi == GNTTABOP_query_size);
	assert_true(r->rsi == FAKE_GVA + 64u * row_now->size && r->rdx == 6);
	hypercall_dispatch(guest->vcpu[0], &x);
	assert_true(r->rax == 0 && r->rip == 0x1003);
	/* Not for programs in user mode. */
	seen.calls = 0;
	r = instruction(guest, __HYPERVISOR_xen_version, 0, FAKE_GVA, 0);
	x.call.cpl = 3;
	hypercall_dispatch(guest->vcpu[0], &x);
	assert_true(r->rax == (u64)-EPERM && r->rip == 0x1003);
	x.call.long_mode = false;
	r->rax = __HYPERVISOR_xen_version;
	hypercall_dispatch(guest->vcpu[0], &x);
	assert_true(r->rax == (u64)-EPERM && !seen.calls);
}

static void multicalls(void **state)
{
	struct multicall_entry *e = (struct multicall_entry *)fake_memory;
	struct hypercall hc = { .a = { FAKE_GVA, 100 } };
	unsigned turns = 0;

	for (unsigned i = 0; i < 100; i++)
		e[i] = (struct multicall_entry){ .op = __HYPERVISOR_set_timer_op, .result = 99 };
	e[1].op = __HYPERVISOR_multicall;
	e[2].op = 1000;
	seen.result = 6;
	assert_int_equal(hypercall_do(guest->vcpu[0], __HYPERVISOR_multicall, &hc), 0);
	assert_true(e[0].result == 6 && e[1].result == (u64)-EINVAL && e[2].result == (u64)-ENOSYS && e[99].result == 6);
	assert_true(seen.calls == 98 && seen.events == 100);
	/* Calls that take long: the guest has a turn after each. */
	fake_steps = 1;
	hc = (struct hypercall){ .a = { FAKE_GVA + 10 * sizeof(*e), 10 } };
	while (hypercall_do(guest->vcpu[0], __HYPERVISOR_multicall, &hc) == HC_AGAIN)
		turns++;
	assert_in_range(turns, 9, 10);
	assert_int_equal(seen.calls, 108);
	fake_steps = 0;
	/* An entry that has to be continued keeps where it is in its arguments. */
	row_now = find(__HYPERVISOR_grant_table_op, GNTTABOP_query_size);
	seen.result = 0;
	e[0] = (struct multicall_entry){ .op = __HYPERVISOR_grant_table_op, .args = { GNTTABOP_query_size, FAKE_GVA + 4096, 65 }, .result = 99 };
	hc = (struct hypercall){ .a = { FAKE_GVA, 1 } };
	assert_int_equal(hypercall_do(guest->vcpu[0], __HYPERVISOR_multicall, &hc), HC_AGAIN);
	assert_true(hc.a[0] == FAKE_GVA && hc.a[1] == 1 && e[0].args[2] == 1 && e[0].result == 99);
	assert_int_equal(hypercall_do(guest->vcpu[0], __HYPERVISOR_multicall, &hc), 0);
	assert_int_equal(e[0].result, 0);
	/* Forbidden is forbidden here too. */
	e[0] = (struct multicall_entry){ .op = __HYPERVISOR_domctl, .args = { FAKE_GVA } };
	hc = (struct hypercall){ .a = { FAKE_GVA, 1 } };
	assert_int_equal(hypercall_do(guest->vcpu[0], __HYPERVISOR_multicall, &hc), 0);
	assert_int_equal(e[0].result, -EPERM);
	hc = (struct hypercall){ .a = { 8, 1 } };
	assert_int_equal(hypercall_do(guest->vcpu[0], __HYPERVISOR_multicall, &hc), -EFAULT);
}

/* ---- 32-bit callers ---- */

static u32 compat(u32 nr, u32 ebx, u32 ecx, u32 edx)
{
	struct cpu_regs *r = &guest->vcpu[0]->hvm.regs;

	/* Upper halves are nothing. */
	*r = (struct cpu_regs){ .rax = nr | 5ull << 32, .rbx = ebx | 6ull << 32, .rcx = ecx | 7ull << 32, .rdx = edx, .rip = 0x1000 };
	x = (struct vm_exit){ .len = 3 };
	hypercall_dispatch(guest->vcpu[0], &x);
	assert_true(r->rip == 0x1003 && !(r->rax >> 32));
	return (u32)r->rax;
}

static void layouts_of_32_bits_are_widened(void **state)
{
	static const struct { u16 domid, size; u32 space, idx, gpfn; } add = { DOMID_SELF, 0, 2, 0x80000001, 77 };
	struct xen_add_to_physmap *a = (void *)seen.arg;
	static const struct { u32 nr, buffer; } map = { 9, 0xfffffff0 };
	struct xen_memory_map *m = (void *)seen.arg;

	memcpy(fake_memory, &add, sizeof(add));
	row_now = find(__HYPERVISOR_memory_op, XENMEM_add_to_physmap);
	assert_int_equal(compat(__HYPERVISOR_memory_op, XENMEM_add_to_physmap, FAKE_GVA, 0), 0);
	assert_true(a->domid == DOMID_SELF && a->space == 2 && a->idx == 0x80000001 && a->gpfn == 77);
	memcpy(fake_memory, &map, sizeof(map));
	row_now = find(__HYPERVISOR_memory_op, XENMEM_memory_map);
	assert_int_equal(compat(__HYPERVISOR_memory_op, XENMEM_memory_map, FAKE_GVA, 0), 0);
	assert_true(m->nr_entries == 9 && m->buffer.p == (void *)0xfffffff0ul);
	/* The handler here fills what goes out. */
	assert_true(((u32 *)fake_memory)[0] == 0x77777777 && ((u32 *)fake_memory)[1] == 0x77777777);
	assert_int_not_equal(((u32 *)fake_memory)[2], 0x77777777);
	/* Those whose layouts differ and that nobody needs aren't taken for something else. */
	row_now = NULL;
	seen.calls = 0;
	assert_int_equal(compat(__HYPERVISOR_memory_op, XENMEM_add_to_physmap_batch, FAKE_GVA, 0), (u32)-ENOSYS);
	assert_int_equal(compat(__HYPERVISOR_grant_table_op, GNTTABOP_copy, FAKE_GVA, 1), (u32)-ENOSYS);
	assert_int_equal(compat(__HYPERVISOR_multicall, FAKE_GVA, 1, 0), (u32)-ENOSYS);
	assert_int_equal(compat(__HYPERVISOR_domctl, FAKE_GVA, 0, 0), (u32)-ENOSYS);
	assert_int_equal(compat(__HYPERVISOR_vcpu_op, 99, 0, 0), (u32)-ENOSYS);
	assert_int_equal(seen.calls, 0);
	assert_int_equal(compat(__HYPERVISOR_grant_table_op, 6, FAKE_GVA, 1), 0);
	assert_int_equal(compat(__HYPERVISOR_xen_version, 0, 0, 0), 0);
	assert_int_equal(seen.calls, 2);
	assert_int_equal(compat(__HYPERVISOR_memory_op, XENMEM_add_to_physmap, 8, 0), (u32)-EFAULT);
}

/* Each kind of field, with i386's alignment; and what tells a handler that more of the guest's memory is in 32-bit layout. */
static void every_layout_of_32_bits(void **state)
{
	static const u32 extents[] = { 0x80001000, 5, 3, 7, DOMID_SELF };
	static const u32 poll[] = { 0xfffffff0, 2, 0x89abcdef, 0x01234567 };
	static const u32 timer[] = { 0x89abcdef, 0x01234567, 1 };
	struct xen_memory_reservation *r = (void *)seen.arg;
	struct sched_poll *p = (void *)seen.arg;
	struct vcpu_set_singleshot_timer *t = (void *)seen.arg;

	memcpy(fake_memory, extents, sizeof(extents));
	row_now = find(__HYPERVISOR_memory_op, XENMEM_populate_physmap);
	assert_int_equal(compat(__HYPERVISOR_memory_op, XENMEM_populate_physmap | 9 << 6, FAKE_GVA, 0), 0);
	assert_true(r->extent_start.p == (void *)0x80001000ul && r->nr_extents == 5 && r->extent_order == 3 && r->domid == DOMID_SELF);
	assert_true(r->mem_flags == (7 | MEMORY_NARROW_LIST));
	memcpy(fake_memory, poll, sizeof(poll));
	row_now = find(__HYPERVISOR_sched_op, SCHEDOP_poll);
	assert_int_equal(compat(__HYPERVISOR_sched_op, SCHEDOP_poll, FAKE_GVA, 0), 0);
	assert_true(p->ports.p == (void *)0xfffffff0ul && p->nr_ports == 2 && p->timeout == 0x0123456789abcdef);
	memcpy(fake_memory, timer, sizeof(timer));
	row_now = find(__HYPERVISOR_vcpu_op, VCPUOP_set_singleshot_timer);
	assert_int_equal(compat(__HYPERVISOR_vcpu_op, VCPUOP_set_singleshot_timer, 0, FAKE_GVA), 0);
	assert_true(t->timeout_abs_ns == 0x0123456789abcdef && t->flags == 1);
	row_now = find(__HYPERVISOR_vcpu_op, VCPUOP_register_runstate_memory_area);
	((u32 *)fake_memory)[0] = 0xc0001004;
	assert_int_equal(compat(__HYPERVISOR_vcpu_op, VCPUOP_register_runstate_memory_area, 0, FAKE_GVA), 0);
	assert_int_equal(*(u64 *)seen.arg, 0xc0001004 | RUNSTATE_NARROW);
	/* What comes out has no padding: 44 bytes. */
	memset(fake_memory, 0x11, 64);
	row_now = find(__HYPERVISOR_vcpu_op, VCPUOP_get_runstate_info);
	assert_int_equal(compat(__HYPERVISOR_vcpu_op, VCPUOP_get_runstate_info, 0, FAKE_GVA), 0);
	assert_true(((u32 *)fake_memory)[10] == 0x77777777 && ((u32 *)fake_memory)[11] == 0x11111111);
	/* A time in two registers. */
	row_now = find(__HYPERVISOR_set_timer_op, 0);
	seen.calls = 0;
	assert_int_equal(compat(__HYPERVISOR_set_timer_op, 0x89abcdef, 0x01234567, 0), 0);
	assert_int_equal(seen.calls, 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
		TEST(only_the_service_domain_has_all),
		TEST(the_table_decides),
		TEST(a_guest_names_only_itself),
		TEST(a_sealed_domain_may_be_named_by_listed_calls_only),
		TEST(arguments_go_in_and_out_once),
		TEST(pointers_into_nothing_are_faults),
		TEST(unknown_numbers_are_enosys),
		TEST(control_calls_name_their_domain),
		TEST(releases_are_served_at_once),
		TEST(createdomain_has_two_layouts),
		TEST(arrays_are_done_in_steps),
		TEST(results_are_in_registers),
		TEST(multicalls),
		TEST(control_operations_go_on),
		TEST(long_arrays_take_more_steps),
		TEST(layouts_of_32_bits_are_widened),
		TEST(every_layout_of_32_bits),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
