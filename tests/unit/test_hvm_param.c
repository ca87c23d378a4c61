/* units: vmm/hypercall/hvm_param.c vmm/domain/refuse.c tests/unit/fake_domain.c tests/unit/fake_control.c vmm/domain/permitted.c */
/* HVM parameters: who may set and get each of the 39, by a table written from abi.md I.6 and not from the code. */
#include "tests/unit/fake_control.h"
#include <xen/hvm/hvm_op.h>

void narrow_latch(struct vcpu *v) { }

static struct domain *host, *guest, *other;

static int set_up(void **state)
{
	dom0 = host = fake_domain_new(0, 1);
	spin_init(&host->lock, LOCK_DOMAIN);
	guest = fake_domain_new(1, 3);
	other = fake_domain_new(2, 1);
	return 0;
}

static int tear_down(void **state)
{
	fake_domain_free(host);
	fake_domain_free(guest);
	fake_domain_free(other);
	return 0;
}

static long set(struct domain *by, u16 domid, u32 index, u64 value)
{
	struct xen_hvm_param p = { .domid = domid, .index = index, .value = value };

	return fake_hypercall(by->vcpu[0], hc_hvm_set_param, &p);
}

static long get(struct domain *by, u16 domid, u32 index, u64 *value)
{
	struct xen_hvm_param p = { .domid = domid, .index = index, .value = 0x55 };
	long rc = fake_hypercall(by->vcpu[0], hc_hvm_get_param, &p);

	*value = p.value;
	return rc;
}

static bool in(const u32 *list, unsigned n, u32 index)
{
	while (n--)
		if (list[n] == index)
			return true;
	return false;
}

static void a_guest_gets_and_sets_its_own_few(void **state)
{
	static const u32 may_set[] = { 0, 2, 15, 18, 19, 34, 36, 37 };
	static const u32 may_get[] = { 0, 1, 2, 15, 17, 18, 19, 34, 35, 36, 37 };
	u64 value;

	for (u32 i = 0; i < 39; i++) {
		assert_int_equal(set(guest, DOMID_SELF, i, 1), in(may_set, ARRAY_SIZE(may_set), i) ? 0 : -EPERM);
		assert_int_equal(get(guest, DOMID_SELF, i, &value), in(may_get, ARRAY_SIZE(may_get), i) ? 0 : -EPERM);
	}
}

static void xl_sets_what_it_does_in_the_trace(void **state)
{
	static const u64 trace[][2] = {
		{ 10, 1 }, { 35, 0 }, { 1, 0xfeffc }, { 6, 0xfeffb }, { 5, 0xfeffd }, { 17, 0xfefff }, { 27, 0xfeff8 }, { 28, 0xfeff9 },
		{ 29, 0xfeffa }, { 12, 0xfeffe000 }, { 18, 2 }, { 2, 1 },
	};
	u64 value;

	for (unsigned i = 0; i < ARRAY_SIZE(trace); i++) {
		assert_int_equal(set(host, 1, (u32)trace[i][0], trace[i][1]), 0);
		assert_int_equal(get(host, 1, (u32)trace[i][0], &value), 0);
		assert_int_equal(value, trace[i][1]);
	}
	assert_int_equal(get(guest, DOMID_SELF, 1, &value), 0);
	assert_int_equal(value, 0xfeffc);
}

static void values_are_checked(void **state)
{
	u64 value;

	assert_int_equal(set(host, 1, 10, 4), -EINVAL);
	fake_log_clear();
	assert_int_equal(set(host, 1, 35, 1), -EOPNOTSUPP);
	assert_logged("refused: HVM parameter 35");
	assert_int_equal(set(host, 1, 9, 1), -EOPNOTSUPP);
	assert_int_equal(set(host, 1, 31, 6), -EINVAL);
	assert_int_equal(set(host, 1, 5, 7), 0);
	assert_int_equal(set(host, 1, 5, 7), 0);
	assert_int_equal(set(host, 1, 5, 8), -EEXIST);
	assert_int_equal(set(host, 1, 3, 1), -EINVAL);
	assert_int_equal(get(host, 1, 10, &value), 0);
	assert_int_equal(value, 0);
}

static void numbers_and_domains_are_checked(void **state)
{
	u64 value;

	assert_int_equal(set(guest, DOMID_SELF, 39, 1), -EINVAL);
	assert_int_equal(get(guest, DOMID_SELF, ~0u, &value), -EINVAL);
	assert_int_equal(set(guest, 2, 0, 1), -EPERM);
	assert_int_equal(get(guest, 0, 2, &value), -EPERM);
	assert_int_equal(set(host, 7, 2, 1), -ESRCH);
	assert_int_equal(guest->refs, 1);
	assert_int_equal(other->params[0], 0);
}

static void dom0_has_no_store_port(void **state)
{
	u64 value;

	assert_int_equal(get(host, DOMID_SELF, 2, &value), 0);
	assert_int_equal(value, 0);
}

static void the_callback_vector_is_heard(void **state)
{
	assert_int_equal(set(guest, DOMID_SELF, 0, 2ull << 56 | 0xf3), 0);
	assert_int_equal(guest->callback_vector, 0xf3);
	for (u32 i = 0; i < 3; i++)
		assert_int_equal(fake_kicks(guest->vcpu[i]), 1);
	assert_int_equal(set(guest, DOMID_SELF, 0, 1ull << 56 | 0xf3), 0);  /* PCI INTx: accepted, never delivered */
	assert_int_equal(guest->callback_vector, 0);
	assert_int_equal(set(guest, DOMID_SELF, 0, 2ull << 56 | 0x0f), 0);
	assert_int_equal(guest->callback_vector, 0);
	assert_int_equal(set(guest, DOMID_SELF, 0, 2ull << 56 | 0x10), 0);  /* the first that no exception has */
	assert_int_equal(guest->callback_vector, 0x10);
	assert_int_equal(set(guest, DOMID_SELF, 0, 2ull << 56 | 0xf3), 0);  /* again, as after a resume */
	assert_int_equal(guest->callback_vector, 0xf3);
}

static void the_service_domain_is_told_of_its_silence(void **state)
{
	fake_log_clear();
	assert_int_equal(set(guest, DOMID_SELF, 0, 0), 0);
	assert_int_equal(set(host, DOMID_SELF, 0, 2ull << 56 | 0xf3), 0);
	assert_not_logged("callback");
	assert_int_equal(set(host, DOMID_SELF, 0, 0), 0);
	assert_logged("The service domain has switched off its event callback");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(a_guest_gets_and_sets_its_own_few, set_up, tear_down),
		cmocka_unit_test_setup_teardown(xl_sets_what_it_does_in_the_trace, set_up, tear_down),
		cmocka_unit_test_setup_teardown(values_are_checked, set_up, tear_down),
		cmocka_unit_test_setup_teardown(numbers_and_domains_are_checked, set_up, tear_down),
		cmocka_unit_test_setup_teardown(dom0_has_no_store_port, set_up, tear_down),
		cmocka_unit_test_setup_teardown(the_callback_vector_is_heard, set_up, tear_down),
		cmocka_unit_test_setup_teardown(the_service_domain_is_told_of_its_silence, set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
