/* units: vmm/cpu/cpu_policy.c vmm/cpu/cpu_policy_level.c vmm/cpu/cpu_policy_serial.c vmm/cpu/cpuid.c tests/unit/fake_domain.c tests/unit/fake_control.c */
/*
 * CPU policies: what is derived from this machine's own CPUID and from made-up ones, the shape of the serialised list, and what
 * a hostile or confused toolstack can make of a guest's policy.
 */
#include "tests/unit/fake_control.h"
#include <asm/insn.h>
#include "vmm/cpu/cpu_policy_words.h"
#include "vmm/vcpu.h"
#include "vmm/versions.h"
#include <stdio.h>
#include <string.h>

#define NO_SUB 0xffffffffu

/* The CPU under test: this machine's, or a table of leaves. */
struct entry { u32 leaf, sub; struct cpuid_regs r; };
static const struct entry *table;
static unsigned table_size;

struct cpuid_regs cpuid(u32 leaf, u32 sub)
{
	if (!table)
		return machine_cpuid(leaf, sub);
	for (unsigned i = 0; i < table_size; i++) {
		const struct entry *e = &table[i];

		if (e->leaf == leaf && (e->sub == sub || e->sub == NO_SUB))
			return e->r;
	}
	return (struct cpuid_regs){ 0 };
}

u8 inb(u16 port) { return 0xff; }
void outb(u16 port, u8 v) { }

/* A CPU with every feature bit set and more states and leaves than anybody knows. */
static const struct entry everything[] = {
	{ 0, NO_SUB, { 0x24, 0x68747541, 0x444d4163, 0x69746e65 } },
	{ 1, NO_SUB, { 0x00a20f10, 0x07100800, ~0u, ~0u } },
	{ 5, NO_SUB, { 64, 64, 3, 0x11 } },
	{ 6, NO_SUB, { ~0u, ~0u, ~0u, ~0u } },
	{ 7, NO_SUB, { 5, ~0u, ~0u, ~0u } },
	{ 0xa, NO_SUB, { ~0u, ~0u, ~0u, ~0u } },
	{ 0xb, 0, { 1, 2, 0x100, 7 } }, { 0xb, 1, { 4, 16, 0x201, 7 } }, { 0xb, 2, { 0, 0, 2, 7 } },
	{ 0xd, 0, { 0x206e7, 2440, 8192, 0x40000000 } }, { 0xd, 1, { 0x1f, 2440, 0x1800, 0 } },
	{ 0xd, 2, { 256, 576, 0, 0 } }, { 0xd, 5, { 64, 832, 0, 0 } }, { 0xd, 6, { 512, 896, 0, 0 } },
	{ 0xd, 7, { 1024, 1408, 0, 0 } }, { 0xd, 9, { 8, 2432, 0, 0 } }, { 0xd, 17, { 64, 2752, 2, 0 } }, { 0xd, 62, { 128, 3000, 0, 0 } },
	{ 0x80000000, NO_SUB, { 0x80000028, 0x68747541, 0x444d4163, 0x69746e65 } },
	{ 0x80000001, NO_SUB, { 0x00a20f10, 0x20000000, ~0u, ~0u } },
	{ 0x80000007, NO_SUB, { ~0u, ~0u, ~0u, ~0u } },
	{ 0x80000008, NO_SUB, { 0x00003934, ~0u, 0x0003500f, ~0u } },
	{ 0x8000000a, NO_SUB, { ~0u, ~0u, ~0u, ~0u } },
	{ 0x8000001b, NO_SUB, { ~0u, ~0u, ~0u, ~0u } },
	{ 0x8000001f, NO_SUB, { ~0u, ~0u, ~0u, ~0u } },
	{ 0x80000021, NO_SUB, { ~0u, ~0u, ~0u, ~0u } },
};

/* A CPU of 2003: AMD, no XSAVE, few leaves. */
static const struct entry old_cpu[] = {
	{ 0, NO_SUB, { 1, 0x68747541, 0x444d4163, 0x69746e65 } },
	{ 1, NO_SUB, { 0xf48, 0x800, 0x00000001, 0x078bfbff } },
	{ 0x80000000, NO_SUB, { 0x80000008, 0x68747541, 0x444d4163, 0x69746e65 } },
	{ 0x80000001, NO_SUB, { 0xf48, 0, 1, 0xe3d3fbff } },
	{ 0x80000008, NO_SUB, { 0x00003028, 0, 0, 0 } },
};

static void use(const struct entry *t, unsigned n)
{
	table = t;
	table_size = n;
	cpu_policy_init();
}

static void use_host(void) { use(NULL, 0); }
static void use_everything(void) { use(everything, ARRAY_SIZE(everything)); }

/* The rules of abi.md I.9, said again and independently of how the list is made. */
static void check_shape(const struct cpu_policy *p)
{
	xen_cpuid_leaf_t l[POLICY_MAX_LEAVES];
	int n = cpu_policy_serialise(p, l, POLICY_MAX_LEAVES);
	u64 states = 0;
	u32 subleaves[0xe] = { 0 };
	bool hv[2] = { false };

	assert_true(n > 0);
	assert_int_equal(cpu_policy_serialise(p, NULL, 0), n);
	assert_int_equal(cpu_policy_serialise(p, l, (u32)n - 1), -ENOBUFS);
	/* Only the raw policy says how far the CPU really goes. */
	assert_true(l[0].leaf == 0 && (l[0].a <= 0xd || p == &cpu_policy_raw));
	for (int i = 0; i < n; i++) {
		bool sub = l[i].leaf == 4 || l[i].leaf == 7 || l[i].leaf == 0xb || l[i].leaf == 0xd;

		if (i)
			assert_true(l[i].leaf > l[i - 1].leaf || (sub && l[i].leaf == l[i - 1].leaf && l[i].subleaf == l[i - 1].subleaf + 1));
		assert_true(l[i].leaf <= 0xd || l[i].leaf == 0x40000000 || l[i].leaf == 0x40000100 ||
			    (l[i].leaf >= 0x80000000 && l[i].leaf <= 0x80000021));
		assert_true(sub || l[i].subleaf == NO_SUB);
		if (sub)
			subleaves[l[i].leaf]++;
		if (l[i].leaf == 0xd && l[i].subleaf == 0)
			states |= l[i].a | (u64)l[i].d << 32;
		if (l[i].leaf == 0xd && l[i].subleaf == 1)
			states |= l[i].c | (u64)l[i].d << 32;
		hv[0] |= l[i].leaf == 0x40000000;
		hv[1] |= l[i].leaf == 0x40000100;
		if (l[i].leaf == 4 && l[i].subleaf < 5 && (l[i].a & 0x1f))
			assert_true(l[i + 1].leaf == 4);
		if (l[i].leaf == 4 && !(l[i].a & 0x1f))
			assert_true(l[i + 1].leaf != 4);
	}
	assert_true(hv[0] && hv[1]);
	states &= ~BIT(63);
	if (l[0].a >= 0xd)
		assert_int_equal(subleaves[0xd], states >> 2 ? 64 - __builtin_clzll(states) : 2);
	if (l[0].a >= 7)
		assert_int_equal(subleaves[7], MIN(p->feat[0].a, 2u) + 1);
	assert_true(l[n - 1].leaf == MIN(p->extd[0].a, 0x80000021u));
}

static void all_policies_have_the_shape(void **state)
{
	void (*cpus[])(void) = { use_host, use_everything };

	for (unsigned i = 0; i < ARRAY_SIZE(cpus); i++) {
		cpus[i]();
		check_shape(&cpu_policy_raw);
		check_shape(&cpu_policy_host);
		check_shape(&cpu_policy_max);
		check_shape(&cpu_policy_def);
		check_shape(&cpu_policy_dom0);
	}
	use(old_cpu, ARRAY_SIZE(old_cpu));
	check_shape(&cpu_policy_def);
}

/* ---- the option cpuid= ---- */

static void level(const char *list)
{
	use_everything();
	fake_log_clear();
	cpu_policy_level(&cpu_policy_def, list);
	check_shape(&cpu_policy_def);
}

static void a_named_feature_is_hidden_and_nothing_else(void **state)
{
	struct cpu_policy expected;

	level("-RdSeed,-3dnowext noreboot");
	expected = cpu_policy_max;
	*cpu_policy_word(&expected, WORD_7B0) &= ~(u32)BIT(FEAT_RDSEED % 32);
	*cpu_policy_word(&expected, WORD_E1D) &= ~(u32)BIT(FEAT_3DNOWEXT % 32);
	assert_memory_equal(&cpu_policy_def, &expected, sizeof(expected));
	assert_string_equal(fake_log, "");
	assert_true(cpu_policy_has(&cpu_policy_max, FEAT_RDSEED));
	level("");
	assert_memory_equal(&cpu_policy_def, &cpu_policy_max, sizeof(expected));
}

/* Without AVX512F a program can't use the others of its group, and may not look for it first. */
static void what_a_feature_opens_goes_with_it(void **state)
{
	level("-avx512f");
	assert_false(cpu_policy_has(&cpu_policy_def, FEAT_AVX512F) || cpu_policy_has(&cpu_policy_def, FEAT_AVX512VL));
	assert_true(cpu_policy_has(&cpu_policy_def, FEAT_AVX2) && cpu_policy_has(&cpu_policy_def, FEAT_PKU));
	assert_int_equal(cpu_policy_xcr0(&cpu_policy_def), 0x207);
	level("-avx");
	assert_false(cpu_policy_has(&cpu_policy_def, FEAT_AVX) || cpu_policy_has(&cpu_policy_def, FEAT_FMA) || cpu_policy_has(&cpu_policy_def, FEAT_AVX512F));
	assert_int_equal(cpu_policy_xcr0(&cpu_policy_def), 0x203);
	level("-avx2");
	assert_true(cpu_policy_has(&cpu_policy_def, FEAT_AVX) && cpu_policy_has(&cpu_policy_def, FEAT_AVX512F));
	level("-xsave");
	assert_int_equal(cpu_policy_xcr0(&cpu_policy_def), 0);
	assert_false(cpu_policy_has(&cpu_policy_def, FEAT_AVX));
}

static void what_is_no_feature_is_named(void **state)
{
	static const char *const wrong[] = { "-avx3", "avx2", "-", "-avx51", "-avx512ff", "-av" };

	for (unsigned i = 0; i < ARRAY_SIZE(wrong); i++) {
		char list[64];

		snprintf(list, sizeof(list), "%s,-rdseed next", wrong[i]);
		level(list);
		assert_non_null(strstr(fake_log, wrong[i]));
		assert_null(strstr(fake_log, "next"));
		assert_true(cpu_policy_has(&cpu_policy_def, FEAT_AVX2) && !cpu_policy_has(&cpu_policy_def, FEAT_RDSEED));
	}
	level("-rdseed,,-rdrand");
	assert_non_null(strstr(fake_log, "\"\" is ignored"));
	assert_false(cpu_policy_has(&cpu_policy_def, FEAT_RDRAND));
}

/* The most that libxc could ever get from us is what the size query promises. */
static void the_largest_policy_fits(void **state)
{
	static struct cpu_policy p;

	memset(&p, 0xff, sizeof(p));
	assert_int_equal(cpu_policy_serialise(&p, NULL, 0), POLICY_MAX_LEAVES);
}

/* As the toolstack's call does: what the machine lacks is taken away then. */
static int load_list(struct cpu_policy *p, const xen_cpuid_leaf_t *l, u32 n, u32 *el, u32 *es)
{
	int rc = cpu_policy_deserialise(p, l, n, el, es);

	if (!rc)
		cpu_policy_clamp(p, &cpu_policy_max);
	return rc;
}

static void what_goes_out_comes_back(void **state)
{
	xen_cpuid_leaf_t l[POLICY_MAX_LEAVES];
	u32 el = NO_SUB, es = NO_SUB;

	use_host();
	for (unsigned i = 0; i < 2; i++) {
		const struct cpu_policy *from = i ? &cpu_policy_max : &cpu_policy_def;
		struct cpu_policy p = *from;
		int n = cpu_policy_serialise(from, l, POLICY_MAX_LEAVES);

		assert_int_equal(load_list(&p, l, (u32)n, &el, &es), 0);
		assert_memory_equal(&p, from, sizeof(p));
	}
	assert_int_equal(el, NO_SUB);
}

static void guests_see_only_what_is_listed(void **state)
{
	const struct cpu_policy *p = &cpu_policy_def;

	use_everything();
	assert_int_equal(p->basic[0].a, 0xd);
	assert_int_equal(p->extd[0].a, 0x80000021);
	/* x2APIC, hypervisor: yes. VMX, MONITOR, TSC deadline, OSXSAVE, SDBG, PDCM: no. */
	assert_int_equal(p->basic[1].c & (BIT(21) | BIT(31)), BIT(21) | BIT(31));
	assert_int_equal(p->basic[1].c & (BIT(5) | BIT(3) | BIT(24) | BIT(27) | BIT(11) | BIT(15)), 0);
	assert_int_equal(p->basic[1].d & (BIT(7) | BIT(14)), BIT(7) | BIT(14)); /* MCE, MCA: with no banks */
	assert_int_equal(p->basic[1].d & BIT(9), BIT(9));
	assert_int_equal(p->basic[1].b >> 24, 0);
	assert_int_equal(p->basic[5].a | p->basic[5].c | p->basic[0xa].a | p->basic[0xa].d, 0);
	assert_int_equal(p->basic[6].a, 4);
	assert_int_equal(p->basic[6].b | p->basic[6].c | p->basic[6].d, 0);
	assert_int_equal(p->feat[0].b & (BIT(7) | BIT(20)), BIT(7) | BIT(20));  /* SMEP, SMAP */
	assert_int_equal(p->feat[0].b & (BIT(1) | BIT(2) | BIT(4) | BIT(11) | BIT(14) | BIT(25)), 0);
	assert_int_equal(p->feat[0].c & (BIT(16) | BIT(5) | BIT(4) | BIT(7) | BIT(31)), 0);     /* LA57, WAITPKG, OSPKE, CET, PKS */
	assert_int_equal(p->feat[0].c & BIT(3), BIT(3));                /* PKU */
	assert_int_equal(p->feat[0].d & (BIT(26) | BIT(27) | BIT(28) | BIT(29) | BIT(31)), 0);
	assert_int_equal(p->xstate[1].a, 7);                            /* no XSAVES */
	assert_int_equal(p->xstate[1].c, 0);
	assert_int_equal(p->extd[1].c & (BIT(2) | BIT(10) | BIT(12) | BIT(15) | BIT(19) | BIT(22) | BIT(23) | BIT(24) | BIT(29)), 0);
	assert_int_equal(p->extd[1].d & (BIT(11) | BIT(20) | BIT(25) | BIT(26) | BIT(27) | BIT(29)),
			 BIT(11) | BIT(20) | BIT(25) | BIT(26) | BIT(27) | BIT(29));
	assert_int_equal(p->extd[1].d & 0x0183f3ff, p->basic[1].d & 0x0183f3ff);
	assert_int_equal(p->extd[8].a, 0x3030);                         /* not 52, not 57 bits */
	assert_int_equal(p->extd[8].b & (BIT(12) | BIT(14) | BIT(15) | BIT(24) | BIT(25) | BIT(4)), 0);
	assert_int_equal(p->extd[0xa].a | p->extd[0x1b].a | p->extd[0x1f].a, 0);
	assert_int_equal(p->extd[0x21].a & BIT(17), 0);
	assert_int_equal(cpu_policy_xcr0(p), 0x2e7);
	assert_int_equal(p->xstate[0].c, 2440);
	assert_int_equal(p->topo[0].a | p->topo[1].b, 0);
	assert_int_equal(p->extd[7].d, BIT(8));                         /* the invariant TSC */
	/* dom0 gets one more, and nothing else differs but this. */
	assert_int_equal(cpu_policy_dom0.extd[7].d, BIT(8));
	assert_int_equal(cpu_policy_dom0.extd[1].c ^ p->extd[1].c, BIT(22));
	assert_memory_equal(cpu_policy_dom0.basic, p->basic, sizeof(p->basic));
}

static void an_old_cpu_works_too(void **state)
{
	use(old_cpu, ARRAY_SIZE(old_cpu));
	assert_int_equal(cpu_policy_xcr0(&cpu_policy_def), 0);
	assert_int_equal(cpu_policy_def.basic[0].a, 1);
	assert_int_equal(cpu_policy_def.extd[0].a, 0x80000008);
	assert_true(cpu_policy_has(&cpu_policy_def, FEAT_X2APIC));
	assert_false(cpu_policy_has(&cpu_policy_def, FEAT_AVX));
	assert_int_equal(cpu_policy_def.extd[8].a, 0x3028);
}

static int load(struct cpu_policy *p, u32 leaf, u32 sub, struct cpuid_regs r, u32 *el, u32 *es)
{
	xen_cpuid_leaf_t l = { leaf, sub, r.a, r.b, r.c, r.d };

	return load_list(p, &l, 1, el, es);
}

static void leaves_without_a_place_are_refused(void **state)
{
	static const u32 bad[][2] = {
		{ 0xe, NO_SUB }, { 0x14, NO_SUB }, { 0x3fffffff, NO_SUB }, { 0x40000001, NO_SUB }, { 0x40000100, 0 }, { 0x7fffffff, NO_SUB },
		{ 0x80000022, NO_SUB }, { 0xffffffff, NO_SUB }, { 0, 0 }, { 1, 1 }, { 0x80000000, 0 }, { 4, 6 }, { 4, NO_SUB }, { 7, 3 },
		{ 7, NO_SUB }, { 0xb, 2 }, { 0xd, 63 }, { 0xd, NO_SUB }, { 0x40000000, 0 },
	};
	u32 el, es;

	use_everything();
	for (unsigned i = 0; i < ARRAY_SIZE(bad); i++) {
		struct cpu_policy p = cpu_policy_def;

		el = es = 0x55555555;
		assert_int_equal(load(&p, bad[i][0], bad[i][1], (struct cpuid_regs){ 1, 2, 3, 4 }, &el, &es), -ERANGE);
		assert_int_equal(el, bad[i][0]);
		assert_int_equal(es, bad[i][1]);
		assert_memory_equal(&p, &cpu_policy_def, sizeof(p));
	}
}

static void a_bad_leaf_is_named_whatever_stands_before_it(void **state)
{
	struct cpu_policy p;
	xen_cpuid_leaf_t l[2] = { { 1, NO_SUB, 0, 0, 0, 0 }, { 0xe, NO_SUB, 0, 0, 0, 0 } };
	u32 el = 0, es = 0;

	use_everything();
	p = cpu_policy_def;
	assert_int_equal(cpu_policy_deserialise(&p, l, 2, &el, &es), -ERANGE);
	assert_true(el == 0xe && es == NO_SUB);
}

static void everything_asked_for_is_clamped(void **state)
{
	static const struct cpuid_regs ones = { ~0u, ~0u, ~0u, ~0u };
	struct cpu_policy p;
	u32 words[POLICY_FEATURE_WORDS], max[POLICY_FEATURE_WORDS], el, es;

	use_everything();
	p = cpu_policy_def;
	for (u32 i = 0; i <= 0xd; i++)
		load(&p, i, NO_SUB, ones, &el, &es);
	for (u32 i = 0; i < 63; i++) {
		load(&p, 4, i, ones, &el, &es);
		load(&p, 7, i, ones, &el, &es);
		load(&p, 0xb, i, ones, &el, &es);
		load(&p, 0xd, i, ones, &el, &es);
	}
	for (u32 i = 0; i <= 0x21; i++)
		load(&p, 0x80000000 + i, NO_SUB, ones, &el, &es);
	cpu_policy_featureset(&p, words);
	cpu_policy_featureset(&cpu_policy_max, max);
	for (unsigned i = 0; i < POLICY_FEATURE_WORDS; i++)
		assert_int_equal(words[i] & ~max[i], 0);
	assert_int_equal(p.basic[0].a, 0xd);
	assert_int_equal(p.basic[0].b, 0x68747541);
	assert_int_equal(p.extd[0].a, 0x80000021);
	assert_int_equal(p.feat[0].a, 2);
	assert_int_equal(cpu_policy_xcr0(&p), 0x2e7);
	assert_int_equal(p.xstate[0].c, 2440);
	assert_int_equal(p.xstate[3].a | p.xstate[17].a | p.xstate[62].b, 0);
	assert_int_equal(p.basic[5].a | p.basic[0xa].a | p.extd[0xa].a | p.topo[0].a, 0);
	assert_int_equal(p.extd[8].a, 0x3030);
	check_shape(&p);
}

/* Libxl takes the invariant TSC away from each guest that may be migrated; a CPU without it can't be given it. */
static void the_tsc_is_as_the_cpu_has_it(void **state)
{
	static const struct cpuid_regs none, ones = { ~0u, ~0u, ~0u, ~0u };
	struct cpu_policy p;
	u32 el, es;

	use_everything();
	p = cpu_policy_def;
	load(&p, 0x80000007, NO_SUB, none, &el, &es);
	assert_int_equal(p.extd[7].d, BIT(8));
	use(old_cpu, ARRAY_SIZE(old_cpu));
	p = cpu_policy_def;
	load(&p, 0x80000007, NO_SUB, ones, &el, &es);
	assert_int_equal(p.extd[7].d, 0);
}

static void what_is_taken_away_takes_its_followers(void **state)
{
	struct cpu_policy p;
	struct cpuid_regs r;
	u32 el, es;

	use_everything();
	p = cpu_policy_def;
	r = p.basic[1];
	r.c &= ~(u32)BIT(26);       /* no XSAVE */
	assert_int_equal(load(&p, 1, NO_SUB, r, &el, &es), 0);
	assert_int_equal(cpu_policy_xcr0(&p), 0);
	assert_false(cpu_policy_has(&p, FEAT_AVX) || cpu_policy_has(&p, FEAT_AVX2) || cpu_policy_has(&p, FEAT_PKU));
	p = cpu_policy_def;
	assert_int_equal(load(&p, 0xd, 0, (struct cpuid_regs){ .a = 0xe3 }, &el, &es), 0);  /* AVX-512 without AVX */
	assert_int_equal(cpu_policy_xcr0(&p), 3);
	assert_false(cpu_policy_has(&p, FEAT_AVX) || cpu_policy_has(&p, FEAT_AVX512F));
	assert_int_equal(load(&p, 0xd, 0, (struct cpuid_regs){ .a = 0x47 }, &el, &es), 0);  /* half of AVX-512 */
	assert_int_equal(cpu_policy_xcr0(&p), 7);
	/* The x2APIC can't go. */
	assert_int_equal(load(&p, 1, NO_SUB, (struct cpuid_regs){ 0 }, &el, &es), 0);
	assert_true(cpu_policy_has(&p, FEAT_X2APIC) && cpu_policy_has(&p, FEAT_APIC));
	assert_int_equal(load(&p, 0x80000000, NO_SUB, (struct cpuid_regs){ 0 }, &el, &es), 0);
	assert_int_equal(p.extd[0].a, 0x80000008);
}

/* Random lists: no crash, and whatever they make is within bounds. */
static void random_lists_are_survived(void **state)
{
	static const u32 bases[] = { 0, 0, 0, 0x40000000, 0x80000000, 0x80000000 };
	u32 words[POLICY_FEATURE_WORDS], max[POLICY_FEATURE_WORDS], el, es;

	use_everything();
	cpu_policy_featureset(&cpu_policy_max, max);
	for (unsigned round = 0; round < 20000; round++) {
		xen_cpuid_leaf_t l[8];
		struct cpu_policy p = cpu_policy_def;
		u32 n = (u32)(fake_random() % 9);

		for (u32 i = 0; i < n; i++) {
			u32 leaf = bases[fake_random() % ARRAY_SIZE(bases)] + (u32)(fake_random() % 0x24);
			bool sub = leaf == 4 || leaf == 7 || leaf == 0xb || leaf == 0xd;

			l[i] = (xen_cpuid_leaf_t){ leaf, sub ? (u32)(fake_random() % 3) : NO_SUB, (u32)fake_random(), (u32)fake_random(),
						   (u32)fake_random(), (u32)fake_random() };
		}
		if (load_list(&p, l, n, &el, &es))
			continue;
		check_shape(&p);
		cpu_policy_featureset(&p, words);
		for (unsigned i = 0; i < POLICY_FEATURE_WORDS; i++)
			assert_int_equal(words[i] & ~max[i], 0);
		assert_int_equal(cpu_policy_xcr0(&p) & ~cpu_policy_xcr0(&cpu_policy_max), 0);
	}
	assert_int_equal(fake_allocs, 0);
}

static struct domain *d;
static struct vcpu *v;

static struct cpuid_regs ask(u32 leaf, u32 sub)
{
	struct cpuid_regs r = { 0xdead, 0xdead, 0xdead, 0xdead };

	cpu_policy_cpuid(v, leaf, sub, &r);
	return r;
}

static int set_up(void **state)
{
	use_everything();
	d = fake_domain_new(3, 3);
	d->policy = &cpu_policy_def;
	v = d->vcpu[2];
	v->apic_id = 4;
	v->hvm.xcr0 = 1;
	fake_cr4 = 0;
	return 0;
}

static int tear_down(void **state)
{
	fake_domain_free(d);
	return 0;
}

static void per_vcpu_bits(void **state)
{
	assert_int_equal(ask(1, 0).b >> 24, 4);
	assert_int_equal(ask(1, 0).c & BIT(27), 0);
	assert_int_equal(ask(1, 0).d & BIT(9), BIT(9));
	fake_cr4 = BIT(18) | BIT(22);
	assert_int_equal(ask(1, 0).c & BIT(27), BIT(27));
	assert_int_equal(ask(7, 0).c & BIT(4), BIT(4));
	assert_int_equal(ask(7, 1).c & BIT(4), 0);
	assert_int_equal(ask(0xb, 0).d, 4);
	assert_int_equal(ask(0xb, 5).d, 4);
	assert_int_equal(ask(0xb, 5).c, 5);
	assert_int_equal(ask(0xb, 0).a | ask(0xb, 1).b, 0);
	assert_int_equal(ask(0xd, 0).b, 576);
	v->hvm.xcr0 = 7;
	assert_int_equal(ask(0xd, 0).b, 832);
	assert_int_equal(ask(0xd, 1).b, 832);
	v->hvm.xcr0 = 0x2e7;
	assert_int_equal(ask(0xd, 0).b, 2440);
	assert_int_equal(ask(0xd, 1).b, 576 + 256 + 64 + 512 + 1024 + 8);
	assert_int_equal(ask(0xd, 2).a, 256);
	assert_int_equal(ask(0xd, 17).a | ask(0xd, 62).a | ask(0xd, 63).a | ask(0xd, ~0u).a, 0);
	assert_int_equal(ask(0x8000001e, 0).a, 0);
}

static void dom0_sees_its_place(void **state)
{
	d->policy = &cpu_policy_dom0;
	d->privileged = true;
	v->apic_id = 7;
	assert_int_equal(ask(0xb, 1).b, 16);
	assert_int_equal(ask(0xb, 1).c, 0x201);
	assert_int_equal(ask(0xb, 1).d, 7);
}

static void leaves_out_of_range_are_zero(void **state)
{
	static const u32 leaves[] = { 0xe, 0x14, 0x3fffffff, 0x40000006, 0x400000ff, 0x40000100, 0x7fffffff, 0x80000022, 0x8fffffff, ~0u };

	for (unsigned i = 0; i < ARRAY_SIZE(leaves); i++) {
		struct cpuid_regs r = ask(leaves[i], 0);

		assert_int_equal(r.a | r.b | r.c | r.d, 0);
	}
	assert_int_equal(ask(4, 6).a | ask(4, ~0u).a | ask(7, 3).b | ask(7, ~0u).b, 0);
}

static void xens_own_leaves(void **state)
{
	struct cpuid_regs r = ask(0x40000000, 0);

	assert_int_equal(r.a, 0x40000005);
	assert_memory_equal(&r.b, "XenVMMXenVMM", 12);
	assert_int_equal(ask(0x40000001, 0).a, 0x00040011);
	xen_version = 0x40016;
	assert_int_equal(ask(0x40000001, 0).a, 0x00040016);
	xen_version = 0x40011;
	assert_int_equal(ask(0x40000002, 0).a, 1);
	assert_int_equal(ask(0x40000002, 0).b, 0x40000000);
	time_scale.tsc_khz = 2400000;
	clock_init(&d->clock);
	assert_int_equal(ask(0x40000003, 0).c, 2400000);
	assert_int_equal(ask(0x40000003, 1).c, time_scale.mul);
	assert_int_equal(ask(0x40000003, 2).a, 2400000);
	/* A restored guest's own rate, and what makes nanoseconds of its ticks. */
	d->clock.scale = (struct time_scale){ .mul = 0xabcdef12, .shift = -2, .tsc_khz = 3000000 };
	assert_int_equal(ask(0x40000003, 0).c, 3000000);
	assert_int_equal(ask(0x40000003, 1).c, 0xabcdef12);
	assert_int_equal(ask(0x40000003, 1).d, (u32)-2);
	assert_int_equal(ask(0x40000003, 2).a, 2400000);
	assert_int_equal(ask(0x40000004, 0).a, 0x18);
	d->p2m.mirror = (const void *)d;
	assert_int_equal(ask(0x40000004, 0).a, 0x1c);   /* devices see what is granted */
	d->p2m.mirror = NULL;
	assert_int_equal(ask(0x40000004, 0).b, 2);
	assert_int_equal(ask(0x40000004, 0).c, 3);
	assert_int_equal(ask(0x40000004, 1).a, 0);
	assert_int_equal(ask(0x40000005, 0).a, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(all_policies_have_the_shape),
		cmocka_unit_test(a_named_feature_is_hidden_and_nothing_else),
		cmocka_unit_test(what_a_feature_opens_goes_with_it),
		cmocka_unit_test(what_is_no_feature_is_named),
		cmocka_unit_test(the_largest_policy_fits),
		cmocka_unit_test(what_goes_out_comes_back),
		cmocka_unit_test(guests_see_only_what_is_listed),
		cmocka_unit_test(an_old_cpu_works_too),
		cmocka_unit_test(leaves_without_a_place_are_refused),
		cmocka_unit_test(a_bad_leaf_is_named_whatever_stands_before_it),
		cmocka_unit_test(everything_asked_for_is_clamped),
		cmocka_unit_test(the_tsc_is_as_the_cpu_has_it),
		cmocka_unit_test(what_is_taken_away_takes_its_followers),
		cmocka_unit_test(random_lists_are_survived),
		cmocka_unit_test_setup_teardown(per_vcpu_bits, set_up, tear_down),
		cmocka_unit_test_setup_teardown(dom0_sees_its_place, set_up, tear_down),
		cmocka_unit_test_setup_teardown(leaves_out_of_range_are_zero, set_up, tear_down),
		cmocka_unit_test_setup_teardown(xens_own_leaves, set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
