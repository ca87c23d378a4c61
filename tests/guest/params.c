/*
 * HVM parameters: which a guest may read and which it may set, of itself and of others.
 */
static void rights(void)
{
	/* By number: 0 callback, 1 store page, 2 store port, 15 VM86_TSS, 17 console page, 18 console port, 19 ACPI ports, 34 to 37. */
	static const u64 may_get = BIT(0) | BIT(1) | BIT(2) | BIT(15) | BIT(17) | BIT(18) | BIT(19) | BIT(34) | BIT(35) | BIT(36) | BIT(37);
	static const u64 may_set = BIT(0) | BIT(2) | BIT(15) | BIT(18) | BIT(19) | BIT(34) | BIT(36) | BIT(37);
	u64 got = 0, set = 0, v;

	for (u32 i = 0; i < HVM_NR_PARAMS; i++) {
		long r = get_param(i, &v);

		if (r == 0)
			got |= BIT(i);
		if (r == 0 && set_param(i, v) == 0)
			set |= BIT(i);
		else if (r && set_param(i, 0) != -EPERM)
			set |= BIT(i);
	}
	expect((long)got, (long)may_get, "a guest reads these and no others");
	expect((long)set, (long)may_set, "a guest sets these and no others");
}

static void bad(void)
{
	static const u32 far[] = { HVM_NR_PARAMS, HVM_NR_PARAMS + 1, 64, 1000, 0x7fffffff, 0x80000000, ~0u };
	struct xen_hvm_param p = { .domid = 0, .index = HVM_PARAM_CALLBACK_IRQ, .value = 1 };
	u64 v, wrong = 0;

	for (size_t i = 0; i < ARRAY_SIZE(far); i++)
		wrong |= get_param(far[i], &v) != -EINVAL || set_param(far[i], 0) != -EINVAL ? BIT(i) : 0;
	expect((long)wrong, 0, "numbers that are not there");
	expect(hvm_op(HVMOP_set_param, &p), -EPERM, "setting the service domain's");
	expect(hvm_op(HVMOP_get_param, &p), -EPERM, "reading the service domain's");
	p.domid = 0x7123;
	expect(hvm_op(HVMOP_get_param, &p), -ESRCH, "a domain that is not there");
	p.domid = DOMID_INVALID;
	expect(hvm_op(HVMOP_get_param, &p), -ESRCH, "an invalid domain");
	expect(hvm_op(HVMOP_get_param, (void *)0x8000000000ull), -EFAULT, "a parameter from nowhere");
	expect(hvm_op(9, &p), -ENOSYS, "pagetable_dying");
	check(hvm_op(5, NULL) <= 0, "flush_tlbs");
	expect(hvm_op(99, &p), -ENOSYS, "an operation that is not there");
}

static void values(void)
{
	u64 v = 0;

	expect(get_param(HVM_PARAM_STORE_PFN, &v), 0, "the store's page");
	check(v, "is somewhere");
	expect(get_param(HVM_PARAM_STORE_EVTCHN, &v), 0, "the store's port");
	check(v > 0 && v < 1024, "is a port");
	expect(set_param(HVM_PARAM_CALLBACK_IRQ, 1), 0, "a callback by GSI is taken, and does nothing");
	expect(set_param(HVM_PARAM_CALLBACK_IRQ, 2ull << 56 | 0xf3), 0, "a callback by vector");
	expect(get_param(HVM_PARAM_CALLBACK_IRQ, &v), 0, "can be read");
	expect((long)v, (long)(2ull << 56 | 0xf3), "as it was set");
	expect(set_param(HVM_PARAM_CALLBACK_IRQ, 2ull << 56 | 3), 0, "a callback by the vector of an exception does no harm");
	expect(set_param(HVM_PARAM_CALLBACK_IRQ, 0), 0, "no callback");
}

void test_main(void)
{
	values();
	bad();
	rights();
}
