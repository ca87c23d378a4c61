/* units: vmm/hypercall/version.c vmm/hypercall/varbuf.c tests/unit/fake_domain.c tests/unit/fake_control.c */
/* xen_version and vm_assist: the fixed answers, each within its structure. */
#include "tests/unit/fake_control.h"
#include <xen/version.h>
#include "vmm/hypercall/version.h"
#include "vmm/versions.h"

static struct domain *host, *guest;

static int set_up(void **state)
{
	host = fake_domain_new(0, 1);
	guest = fake_domain_new(1, 1);
	return 0;
}

static int tear_down(void **state)
{
	fake_domain_free(host);
	fake_domain_free(guest);
	return 0;
}

static long call(struct domain *d, hypercall_fn *fn, u64 cmd, u64 ptr, void *arg)
{
	struct hypercall hc = { .a = { cmd, ptr } };

	return fn(d->vcpu[0], &hc, arg);
}

static void numbers(void **state)
{
	assert_int_equal(call(guest, hc_version_version, 0, 0, NULL), 0x00040011);
	xen_version = 0x40014;
	assert_int_equal(call(guest, hc_version_version, 0, 0, NULL), 0x00040014);
	xen_version = 0x40011;
	assert_int_equal(call(guest, hc_version_pagesize, 7, 0, NULL), 4096);
	assert_int_equal(call(guest, hc_version_pagesize, 7, 8, NULL), -EINVAL);
	assert_int_equal(call(guest, hc_zero, 0, 0, NULL), 0);
	assert_int_equal(call(guest, hc_memory_get_vnumainfo, 0, 0, NULL), -EOPNOTSUPP);
	assert_int_equal(call(host, hc_memory_get_vnumainfo, 0, 0, NULL), -EOPNOTSUPP);
	assert_int_equal(call(guest, hc_version_build_id, 10, 0, NULL), -ENODATA);
}

static void strings(void **state)
{
	static char line[2000];
	xen_extraversion_t extra = { 0 };
	xen_compile_info_t info = { 0 };
	xen_capabilities_info_t caps = { 0 };
	xen_changeset_info_t changeset = { 0 };
	xen_commandline_t cmdline = { 0 };
	xen_platform_parameters_t params = { 0 };
	xen_domain_handle_t handle = { 0 };

	assert_int_equal(call(guest, hc_version_extraversion, 1, 0, extra), 0);
	assert_true(extra[0] == '.' && strnlen(extra, sizeof(extra)) < sizeof(extra));
	assert_int_equal(call(guest, hc_version_compile_info, 2, 0, &info), 0);
	assert_int_equal(call(guest, hc_version_capabilities, 3, 0, caps), 0);
	assert_memory_equal(caps, "hvm-3.0-x86_32 ", 15);
	assert_int_equal(call(guest, hc_version_changeset, 4, 0, changeset), 0);
	assert_int_equal(call(guest, hc_version_platform_parameters, 5, 0, &params), 0);
	guest->handle[15] = 9;
	assert_int_equal(call(guest, hc_version_guest_handle, 8, 0, handle), 0);
	assert_int_equal(handle[15], 9);
	assert_int_equal(call(guest, hc_version_commandline, 9, 0, cmdline), 0);
	assert_string_equal(cmdline, "");
	memset(line, 'x', sizeof(line) - 1);
	version_set_cmdline(line);
	assert_int_equal(call(guest, hc_version_commandline, 9, 0, cmdline), 0);
	assert_int_equal(strnlen(cmdline, sizeof(cmdline)), sizeof(cmdline) - 1);
	version_set_cmdline("dom0_mem=1G");
	assert_int_equal(call(guest, hc_version_commandline, 9, 0, cmdline), 0);
	assert_string_equal(cmdline, "dom0_mem=1G");
}

/* The same strings as toolstacks from 4.18 on ask for them: {u32 bytes; bytes}, without the 0 at the end. */
static void strings_with_their_length(void **state)
{
	static const struct { u32 cmd; const char *text; } all[] = {
		{ 11, ".0-bothy" }, { 12, "hvm-3.0-x86_32 hvm-3.0-x86_32p hvm-3.0-x86_64 " }, { 13, "bothy" }, { 14, "dom0_mem=1G" },
	};

	version_set_cmdline("dom0_mem=1G");
	for (unsigned i = 0; i < ARRAY_SIZE(all); i++) {
		u32 length = (u32)strlen(all[i].text), *size = (u32 *)fake_memory;

		assert_int_equal(call(host, hc_version_varbuf, all[i].cmd, 0, NULL), length);
		memset(fake_memory, 0x55, FAKE_MEMORY);
		*size = length + 7;
		assert_int_equal(call(host, hc_version_varbuf, all[i].cmd, FAKE_GVA, NULL), length);
		assert_int_equal(*size, length + 7);
		assert_memory_equal(fake_memory + 4, all[i].text, length);
		assert_int_equal(fake_memory[4 + length], 0x55);
		/* Just enough, too little, none. */
		memset(fake_memory, 0x55, FAKE_MEMORY);
		*size = length;
		assert_int_equal(call(host, hc_version_varbuf, all[i].cmd, FAKE_GVA, NULL), length);
		memset(fake_memory, 0x55, FAKE_MEMORY);
		*size = length - 1;
		assert_int_equal(call(host, hc_version_varbuf, all[i].cmd, FAKE_GVA, NULL), -ENOBUFS);
		*size = 0;
		assert_int_equal(call(host, hc_version_varbuf, all[i].cmd, FAKE_GVA, NULL), -EINVAL);
		assert_int_equal(fake_memory[4], 0x55);
		*size = ~0u;
		assert_int_equal(call(host, hc_version_varbuf, all[i].cmd, FAKE_GVA, NULL), length);
		/* Memory that isn't there, for the length and for the string. */
		assert_int_equal(call(host, hc_version_varbuf, all[i].cmd, 8, NULL), -EFAULT);
		memset(fake_memory + FAKE_MEMORY - 4, 0xff, 4);
		assert_int_equal(call(host, hc_version_varbuf, all[i].cmd, FAKE_GVA + FAKE_MEMORY - 4, NULL), -EFAULT);
	}
	version_set_cmdline("");
	assert_int_equal(call(host, hc_version_varbuf, XENVER_commandline2, 0, NULL), 0);
	*(u32 *)fake_memory = 0;
	assert_int_equal(call(host, hc_version_varbuf, XENVER_commandline2, FAKE_GVA, NULL), -EINVAL);
	*(u32 *)fake_memory = 1;
	assert_int_equal(call(host, hc_version_varbuf, XENVER_commandline2, FAKE_GVA, NULL), 0);
}

static void features(void **state)
{
	xen_feature_info_t info = { .submap_idx = 0 };

	assert_int_equal(call(guest, hc_version_get_features, 6, 0, &info), 0);
	assert_int_equal(info.submap, 0x10305);
	assert_int_equal(call(host, hc_version_get_features, 6, 0, &info), 0);
	assert_int_equal(info.submap, 0x20b05);
	info.submap_idx = 1;
	assert_int_equal(call(guest, hc_version_get_features, 6, 0, &info), -EINVAL);
}

static void assists(void **state)
{
	assert_int_equal(call(guest, hc_vm_assist, 0, 5, NULL), 0);
	assert_true(guest->runstate_update_flag);
	assert_int_equal(call(guest, hc_vm_assist, 1, 5, NULL), 0);
	assert_false(guest->runstate_update_flag);
	for (u64 type = 0; type < 64; type++)
		if (type != 5)
			assert_int_equal(call(guest, hc_vm_assist, 0, type, NULL), -EINVAL);
	assert_int_equal(call(guest, hc_vm_assist, 0, ~0ull, NULL), -EINVAL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(numbers, set_up, tear_down),
		cmocka_unit_test_setup_teardown(strings, set_up, tear_down),
		cmocka_unit_test_setup_teardown(strings_with_their_length, set_up, tear_down),
		cmocka_unit_test_setup_teardown(features, set_up, tear_down),
		cmocka_unit_test_setup_teardown(assists, set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
