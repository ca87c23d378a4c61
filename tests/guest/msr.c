/*
 * MSR policy: what a guest may read and write, what faults, and that a refused write changes nothing.
 */
#define EFER        0xc0000080
#define PAT         0x277
#define MTRR_DEF    0x2ff

static void unknown(void)
{
	static const u32 msrs[] = { 0x2, 0x3a, 0x480, 0x48f, 0x60f, 0x1000, 0x1fff, 0x2000, 0xdeadbeef, 0xffffffff, 0x40000001, 0x4b564d00, 0xc0000000,
				    0xc0000105, 0xc0010114, 0xc0010117, 0xc0011fff, 0xc0012000, 0x600, 0x6a0, 0xda0 };
	u64 v, reads = 0, writes = 0;

	for (size_t i = 0; i < ARRAY_SIZE(msrs); i++) {
		reads |= rdmsr_try(msrs[i], &v) != VECTOR_GP ? BIT(i) : 0;
		writes |= wrmsr_try(msrs[i], 0) != VECTOR_GP ? BIT(i) : 0;
	}
	expect((long)reads, 0, "reading MSRs that are not there faults");
	expect((long)writes, 0, "writing them faults");
}

static void refuse(u32 msr, u64 val, const char *what)
{
	u64 before = rdmsr(msr);

	expect(wrmsr_try(msr, val), VECTOR_GP, "%s", what);
	expect((long)rdmsr(msr), (long)before, "%s: nothing changed", what);
}

static void keep(u32 msr, u64 val, const char *what)
{
	u64 before = rdmsr(msr), after = 0;

	expect(wrmsr_try(msr, val), NO_FAULT, "%s is written", what);
	expect(rdmsr_try(msr, &after), NO_FAULT, "%s is read", what);
	expect((long)after, (long)val, "%s keeps its value", what);
	wrmsr(msr, before);
}

static void efer(void)
{
	u64 v = rdmsr(EFER);

	expect((long)(v & 0x500), 0x500, "EFER: long mode is active");
	check(!(v & BIT(12)), "EFER: SVME doesn't show");
	refuse(EFER, v | BIT(12), "EFER.SVME");
	refuse(EFER, v | BIT(1), "a reserved bit of EFER");
	refuse(EFER, v | BIT(63), "EFER's highest bit");
	refuse(EFER, v & ~BIT(8), "leaving long mode with paging on");
	keep(EFER, v ^ 1, "EFER.SCE");
}

static void own_state(void)
{
	keep(0xc0000100, 0x123456789000, "FS base");
	keep(0xc0000102, 0xffff800000001000, "kernel GS base");
	keep(0xc0000081, 0x0023001000000000, "STAR");
	keep(0xc0000082, 0xffffffff81000000, "LSTAR");
	keep(0xc0000084, 0x47700, "SFMASK");
	keep(0x174, 0x10, "SYSENTER_CS");
	keep(0x175, 0xffffffff82000000, "SYSENTER_ESP");
	keep(PAT, 0x0407050600070106, "PAT");
	refuse(PAT, 0x0407050600070206, "PAT with a reserved type");
	refuse(PAT, 0x0807050600070106, "PAT with a type above 7");
	if (cpuid(0x80000001, 0).d >> 27 & 1) {
		keep(0xc0000103, 0x1234, "TSC_AUX");
		refuse(0xc0000103, BIT(32), "TSC_AUX beyond 32 bits");
	} else {
		skip("TSC_AUX: no RDTSCP");
	}
}

static void mtrr(void)
{
	u64 cap = 0;

	expect(rdmsr_try(0xfe, &cap), NO_FAULT, "MTRRcap");
	expect(wrmsr_try(0xfe, cap), VECTOR_GP, "MTRRcap is read-only");
	check((rdmsr(MTRR_DEF) & 0x8ff) == 0x806, "MTRRs are on, and the default is write-back");
	refuse(MTRR_DEF, 0x802, "an MTRR default type that is not there");
	refuse(MTRR_DEF, 0x1806, "a reserved bit of the MTRR default");
	refuse(0x200, 0x1000002, "an MTRR with a reserved type");
	refuse(0x200, 0x1000106, "an MTRR with reserved bits");
	refuse(0x250, 0x0606060606060306, "a fixed MTRR with a reserved type");
	keep(0x200, 0xf0000000, "an MTRR base");
	keep(0x201, 0xffff0000800, "an MTRR mask");
	keep(0x250, 0x0606060606060600, "a fixed MTRR");
}

static void apic(void)
{
	u64 base = rdmsr(APIC_BASE), v;

	expect((long)base, 0xfee00d00, "APIC_BASE: x2APIC, boot CPU");
	refuse(APIC_BASE, base & ~0x400ull, "going back to xAPIC");
	refuse(APIC_BASE, base | 1, "a reserved bit of APIC_BASE");
	refuse(APIC_BASE, base + 0x1000, "moving the APIC");
	expect(wrmsr_try(APIC_BASE, base), NO_FAULT, "APIC_BASE as it is");
	expect((long)rdmsr(X2APIC_ID), 0, "x2APIC id");
	expect((long)rdmsr(X2APIC_LDR), 1, "x2APIC logical id");
	check((rdmsr(X2APIC_VERSION) & 0xff) >= 0x10 && (rdmsr(X2APIC_VERSION) >> 16 & 0xff) >= 3, "x2APIC version");
	expect(wrmsr_try(X2APIC_ID, 0), VECTOR_GP, "x2APIC id is read-only");
	expect(wrmsr_try(X2APIC_EOI, 1), VECTOR_GP, "EOI of something else than 0");
	expect(rdmsr_try(X2APIC_EOI, &v), VECTOR_GP, "EOI is write-only");
	expect(rdmsr_try(X2APIC_SELF, &v), VECTOR_GP, "SELF IPI is write-only");
	expect(wrmsr_try(X2APIC_SELF, 0x100), VECTOR_GP, "SELF IPI beyond vectors");
	expect(wrmsr_try(X2APIC_ISR, 0), VECTOR_GP, "ISR is read-only");
	expect(wrmsr_try(X2APIC_ESR, 1), VECTOR_GP, "ESR takes only 0");
	expect(wrmsr_try(0x80e, 0), VECTOR_GP, "no DFR in x2APIC mode");
	expect(rdmsr_try(0x831, &v), VECTOR_GP, "no second ICR word in x2APIC mode");
	expect(rdmsr_try(0x8ff, &v), VECTOR_GP, "the last MSR of the APIC's range");
	refuse(X2APIC_TPR, 0x100, "TPR beyond 8 bits");
	refuse(X2APIC_SVR, BIT(32) | 0x1ff, "SVR beyond 32 bits");
	refuse(X2APIC_SVR, 0x11ff, "directed EOI that is not offered");
	keep(X2APIC_TPR, 0x20, "TPR");
	expect(wrmsr_try(X2APIC_ICR, 0x10 << 20), VECTOR_GP, "reserved bits of ICR");
}

void test_main(void)
{
	unknown();
	efer();
	own_state();
	mtrr();
	apic();
}
