/* units: vmm/hypercall/xsm_op.c tests/unit/fake_domain.c tests/unit/fake_control.c */
/* xsm_op: the labels that libxl turns into numbers, and back. */
#include "tests/unit/fake_control.h"
#include <xen/xsm/flask_op.h>
#include "vmm/domain.h"
#include "vmm/hypercall.h"

static struct domain *host;

static int set_up(void **state)
{
	host = fake_domain_new(0, 1);
	return 0;
}

static int tear_down(void **state)
{
	fake_domain_free(host);
	return 0;
}

/* Returns the label's number, or the error. */
static long sid_of(const char *label, u32 size)
{
	struct xen_flask_sid_context c = { .size = size, .context.p = FAKE_HANDLE(0) };
	struct hypercall hc = { .row = 0 };
	long rc;

	memset(fake_memory, 'x', 64);
	memcpy(fake_memory, label, MIN(size, (u32)__builtin_strlen(label) + 1));
	rc = hc_xsm_context_to_sid(host->vcpu[0], &hc, &c);
	return rc ?: (long)c.sid;
}

static void labels_become_numbers(void **state)
{
	/* With and without the end of the text: xl gives the first. */
	assert_int_equal(sid_of("sealed", 6), SEAL_SID);
	assert_int_equal(sid_of("sealed", 7), SEAL_SID);
	assert_int_equal(sid_of("unsealed", 8), SEAL_SID_OPEN);
	assert_int_equal(sid_of("unsealed", 9), SEAL_SID_OPEN);
}

static void other_labels_are_invalid(void **state)
{
	static const char *const wrong[] = { "", "seal", "sealed2", "Sealed", "unsealed ", "system_u:s", "unsealedx" };

	for (unsigned i = 0; i < ARRAY_SIZE(wrong); i++)
		assert_int_equal(sid_of(wrong[i], (u32)__builtin_strlen(wrong[i])), -EINVAL);
	/* Something behind the end. */
	assert_int_equal(sid_of("sealed", 8), -EINVAL);
	/* Longer than any label: nothing is read. */
	assert_int_equal(sid_of("sealed", 12), -EINVAL);
	assert_int_equal(sid_of("sealed", ~0u), -EINVAL);
}

static void numbers_become_labels(void **state)
{
	struct xen_flask_sid_context c = { .sid = SEAL_SID, .size = 12, .context.p = FAKE_HANDLE(0) };
	struct hypercall hc = { .row = 0 };

	assert_int_equal(hc_xsm_sid_to_context(host->vcpu[0], &hc, &c), 0);
	assert_int_equal(c.size, 7);
	assert_string_equal((char *)fake_memory, "sealed");
	c = (struct xen_flask_sid_context){ .sid = SEAL_SID_OPEN, .size = 255, .context.p = FAKE_HANDLE(0) };
	assert_int_equal(hc_xsm_sid_to_context(host->vcpu[0], &hc, &c), 0);
	assert_int_equal(c.size, 9);
	assert_string_equal((char *)fake_memory, "unsealed");
	c.size = 11;
	assert_int_equal(hc_xsm_sid_to_context(host->vcpu[0], &hc, &c), -ENOSPC);
	c = (struct xen_flask_sid_context){ .size = 255, .context.p = FAKE_BAD_HANDLE };
	assert_int_equal(hc_xsm_sid_to_context(host->vcpu[0], &hc, &c), -EFAULT);
	c.size = 6;
	assert_int_equal(hc_xsm_context_to_sid(host->vcpu[0], &hc, &c), -EFAULT);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(labels_become_numbers, set_up, tear_down),
		cmocka_unit_test_setup_teardown(other_labels_are_invalid, set_up, tear_down),
		cmocka_unit_test_setup_teardown(numbers_become_labels, set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
