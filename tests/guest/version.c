/*
 * xen_version and the dispatcher around it: what each question is answered, numbers that don't exist, callers that may not call.
 */
#include <xen/features.h>
#include <xen/version.h>

static u8 buf[2 * PAGE_SIZE] PAGE_ALIGNED;
#define UNMAPPED ((void *)0x8000000000ull)      /* no page table entry */
#define NOT_CANONICAL ((void *)0x800000000000ull)
#define HOLE ((void *)(HOLE_GFN * PAGE_SIZE))   /* mapped by the guest, but no memory there */

static long version(u64 cmd, const void *arg) { return hc2(__HYPERVISOR_xen_version, cmd, arg); }

/* Is the answer of `size` bytes, no less and no more, and a text if it should be one? */
static void text_answer(u64 cmd, size_t size, const char *name)
{
	bool ended = false;

	memset(buf, 0xa5, sizeof(buf));
	expect(version(cmd, buf), 0, "%s", name);
	for (size_t i = 0; i < size; i++)
		ended |= !buf[i];
	check(ended && buf[size] == 0xa5, "%s is a text of at most %lu bytes", name, size);
}

static void answers(void)
{
	struct xen_feature_info f = { .submap_idx = 0 };

	expect(version(XENVER_version, NULL), 0x40011, "version 4.17");
	expect(version(XENVER_pagesize, NULL), 4096, "page size");
	expect(version(XENVER_pagesize, buf), -EINVAL, "page size with an argument");
	text_answer(XENVER_extraversion, 16, "extraversion");
	text_answer(XENVER_capabilities, 1024, "capabilities");
	text_answer(XENVER_changeset, 64, "changeset");
	text_answer(XENVER_compile_info, 144, "compile_info");
	expect(version(XENVER_platform_parameters, buf), 0, "platform parameters");
	expect(version(XENVER_guest_handle, buf), 0, "guest handle");
	expect(version(XENVER_build_id, NULL), -ENODATA, "no build id");
	expect(version(XENVER_get_features, &f), 0, "features");
	check(f.submap >> XENFEAT_auto_translated_physmap & 1, "feature: translated frames");
	check(f.submap >> XENFEAT_hvm_callback_vector & 1, "feature: callback vector");
	check(f.submap >> XENFEAT_hvm_safe_pvclock & 1, "feature: pvclock");
	check(!(f.submap >> XENFEAT_hvm_pirqs & 1) && !(f.submap >> XENFEAT_dom0 & 1), "features: no pirqs, not dom0");
	f.submap_idx = 1;
	expect(version(XENVER_get_features, &f), -EINVAL, "features: a submap that is not there");
}

/* The argument may be anywhere; where nothing is, that is an error and no more. */
static void pointers(void)
{
	memset(buf, 0, sizeof(buf));
	expect(version(XENVER_extraversion, buf + PAGE_SIZE - 7), 0, "an answer across a page border");
	check(buf[PAGE_SIZE - 7] == '.', "and it is there");
	expect(version(XENVER_extraversion, HOLE), -EFAULT, "a hole in the guest's memory");
	expect(version(XENVER_extraversion, UNMAPPED), -EFAULT, "an address without a page");
	expect(version(XENVER_extraversion, NOT_CANONICAL), -EFAULT, "an address that is not canonical");
	expect(version(XENVER_extraversion, (void *)~0ull), -EFAULT, "the last byte of the address space");
	expect(version(XENVER_extraversion, (void *)-8ll), -EFAULT, "the address space's end, wrapping");
	expect(version(XENVER_get_features, HOLE), -EFAULT, "reading a hole");
	expect(version(XENVER_capabilities, HOLE - 512), -EFAULT, "half in a hole");
}

/* All numbers, all low sub-operations that are not in the public interface for guests. */
static void absent(void)
{
	static const u8 present[] = { 7, 12, 13, 15, 17, 18, 20, 21, 24, 27, 29, 32, 33, 34, 35, 36, 48 };
	static const u64 huge[] = { 64, 65, 127, 128, 255, 256, 1000, 0x7fffffff, 0x80000000, 0xffffffff, 1ull << 32, (1ull << 32) + 17, ~0ull };
	u64 wrong = 0, bad = 0;

	for (u64 nr = 0; nr < 64; nr++) {
		bool is_present = false;

		for (size_t i = 0; i < ARRAY_SIZE(present); i++)
			is_present |= present[i] == nr;
		if (!is_present && hypercall(nr, 0, 0, 0, 0, 0) != -ENOSYS)
			wrong |= BIT(nr);
	}
	expect((long)wrong, 0, "numbers that are not there are ENOSYS");
	wrong = 0;
	for (size_t i = 0; i < ARRAY_SIZE(huge); i++)
		wrong |= hypercall(huge[i], 0, 0, 0, 0, 0) != -ENOSYS ? BIT(i) : 0;
	expect((long)wrong, 0, "and so are numbers beyond the table");
	for (size_t i = 0; i < ARRAY_SIZE(present); i++) {
		u64 nr = present[i];

		if (nr == 7 || nr == 13 || nr == 15 || nr == 27 || nr >= 35)
			continue;
		for (unsigned bit = 7; bit < 64; bit++)
			if (nr != 12 && hypercall(nr, BIT(bit) | 63, (u64)buf, 1, 0, 0) != -ENOSYS)
				bad |= BIT(i);
		if (hypercall(nr, 63, (u64)buf, 1, 0, 0) != -ENOSYS)
			bad |= BIT(i);
	}
	expect((long)bad, 0, "sub-operations that are not there are ENOSYS");
}

/* What only the service domain may do. */
static void forbidden(void)
{
	static const u8 control[] = { 7, 27, 35, 36 };
	u64 bad = 0;

	for (size_t i = 0; i < ARRAY_SIZE(control); i++)
		for (u32 cmd = 0; cmd < 90; cmd++) {
			memset(buf, 0, 256);
			*(u32 *)buf = cmd;
			*(u32 *)(buf + 4) = control[i] == 7 ? 0x03000001 : control[i] == 27 ? 1 : 0x15;
			if (hypercall(control[i], (u64)buf, 0, 0, 0, 0) != -EPERM)
				bad |= BIT(i);
		}
	expect((long)bad, 0, "domctl, sysctl, platform_op and xsm_op are EPERM");
	expect(hypercall(36, (u64)UNMAPPED, 0, 0, 0, 0), -EPERM, "domctl from nowhere");
	expect(hc2(__HYPERVISOR_memory_op, XENMEM_set_memory_map, buf), -EPERM, "set_memory_map");
	expect(hc2(__HYPERVISOR_memory_op, XENMEM_acquire_resource, buf), -EPERM, "acquire_resource");
	expect(version(XENVER_commandline, buf), -EPERM, "the hypervisor's command line");
	expect(hypercall(__HYPERVISOR_console_io, 1, 16, (u64)buf, 0, 0), -EPERM, "reading the console");
	expect(hypercall(33, 25, (u64)buf, 0, 0, 0), -EPERM, "physdev_op pci_device_add");
	expect(hc2(__HYPERVISOR_sched_op, SCHEDOP_remote_shutdown, buf), -EPERM, "remote_shutdown");
}

void user_code(void), user_code_vmcall(void);
__asm__("user_code: .byte 0x0f, 0x01, 0xd9; int $0x80; user_code_vmcall: .byte 0x0f, 0x01, 0xc1; int $0x80");

static void from_user_mode(void)
{
	bool intel = cpuid(0, 0).b == 0x756e6547;

	expect((long)run_user(intel ? user_code_vmcall : user_code, __HYPERVISOR_xen_version), -EPERM, "a hypercall from user mode");
	expect((long)run_user(intel ? user_code_vmcall : user_code, 1000), -EPERM, "an absent one from user mode");
}

static void registers(void)
{
	u64 r[15], before[15], seed = 1;
	bool same = true;

	for (int i = 0; i < 15; i++)
		r[i] = random64(&seed);
	r[0] = __HYPERVISOR_xen_version;
	r[5] = XENVER_version;
	memcpy(before, r, sizeof(r));
	hypercall_regs(r);
	for (int i = 1; i < 15; i++)
		same &= r[i] == before[i];
	expect((long)r[0], 0x40011, "the result is in RAX");
	check(same, "no other register changes");
}

static void multicall(void)
{
	struct multicall_entry e[4] = {
		{ .op = __HYPERVISOR_xen_version, .args = { XENVER_version } },
		{ .op = __HYPERVISOR_xen_version, .args = { 99 } },
		{ .op = __HYPERVISOR_multicall, .args = { 0, 0 } },
		{ .op = __HYPERVISOR_domctl, .args = { (u64)buf } },
	};
	static struct multicall_entry many[300];

	expect(hypercall(__HYPERVISOR_multicall, (u64)e, 4, 0, 0, 0), 0, "multicall");
	expect((long)e[0].result, 0x40011, "its first result");
	expect((long)e[1].result, -ENOSYS, "its second");
	expect((long)e[2].result, -EINVAL, "a multicall in a multicall");
	expect((long)e[3].result, -EPERM, "a forbidden one in a multicall");
	expect(hypercall(__HYPERVISOR_multicall, (u64)UNMAPPED, 1, 0, 0, 0), -EFAULT, "multicall from nowhere");
	expect(hypercall(__HYPERVISOR_multicall, 0, 0, 0, 0, 0), 0, "multicall of nothing");
	for (size_t i = 0; i < ARRAY_SIZE(many); i++)
		many[i] = e[0];
	expect(hypercall(__HYPERVISOR_multicall, (u64)many, ARRAY_SIZE(many), 0, 0, 0), 0, "a multicall of 300");
	expect((long)many[299].result, 0x40011, "and its last result");
}

static void hypercall_page(void)
{
	u64 page = (u64)(buf + PAGE_SIZE), val;
	long (*stub)(u64, u64) = (void *)(page + __HYPERVISOR_xen_version * 32);

	expect(wrmsr_try(0x40000000, page), NO_FAULT, "writing the hypercall page's MSR");
	expect(stub(XENVER_version, 0), 0x40011, "calling through the page");
	expect(wrmsr_try(0x40000000, HOLE_GFN * PAGE_SIZE), VECTOR_GP, "a hypercall page in a hole");
	expect(wrmsr_try(0x40000000, page | 1), VECTOR_GP, "a second hypercall page");
	expect(wrmsr_try(0x40000000, ~0ull & ~4095ull), VECTOR_GP, "a hypercall page beyond memory");
	expect(rdmsr_try(0x40000001, &val), VECTOR_GP, "the MSR after it");
}

void test_main(void)
{
	answers();
	pointers();
	absent();
	forbidden();
	from_user_mode();
	registers();
	multicall();
	hypercall_page();
}
