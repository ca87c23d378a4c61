/* See fake_vendor.h. */
#include "tests/unit/fake_vendor.h"
#include <stdlib.h>
#include <xen/hvm/save.h>
#include <asm/lapic.h>
#include <asm/mcheck.h>
#include <asm/speculation.h>
#include <asm/time.h>
#include <asm/traps.h>
#include "mm/heap.h"
#include "mm/page.h"
#include "vmm/dom0/ports.h"
#include "vmm/vcpu.h"

static struct { u32 msr; u64 value; } msrs[64];
static unsigned nr_msrs;
u64 fake_cr[5] = { CR0_PE | CR0_ET | CR0_NE | CR0_WP | CR0_PG, 0, 0, 0x1000, CR4_PAE | CR4_OSXSAVE };
_Thread_local u64 fake_dr[8];

static u64 *find(u32 msr)
{
	for (unsigned i = 0; i < nr_msrs; i++)
		if (msrs[i].msr == msr)
			return &msrs[i].value;
	return NULL;
}

void fake_msr(u32 msr, u64 value)
{
	if (!find(msr)) {
		assert_true(nr_msrs < ARRAY_SIZE(msrs));
		msrs[nr_msrs++].msr = msr;
	}
	*find(msr) = value;
}

void fake_msr_forget(u32 msr)
{
	for (unsigned i = 0; i < nr_msrs; i++)
		if (msrs[i].msr == msr)
			msrs[i] = msrs[--nr_msrs];
}

bool rdmsr_safe(u32 msr, u64 *v)
{
	if (!find(msr))
		return false;
	*v = *find(msr);
	return true;
}

bool wrmsr_safe(u32 msr, u64 v)
{
	if (!find(msr))
		return false;
	*find(msr) = v;
	return true;
}

u64 rdmsr(u32 msr)
{
	if (!find(msr))
		fail_msg("MSR %x is read, which is not there", msr);
	return *find(msr);
}

void wrmsr(u32 msr, u64 v)
{
	if (!find(msr))
		fail_msg("MSR %x is written, which is not there", msr);
	*find(msr) = v;
}

/* The layers above and beside. */
void mcheck_enable(void) { fake_cr[4] |= CR4_MCE; }
u32 speculation;
void speculation_choose(bool wanted, bool amd) { }
void speculation_enable_cpu(void) { }
u32 fake_last_ipi;
struct percpu *fake_on_ipi;

void lapic_send_ipi(u32 apic_id, u8 vector)
{
	static u64 told;

	fake_last_ipi = apic_id;
	told |= BIT(apic_id);
	if (!fake_on_ipi || fake_on_ipi->apic_id != apic_id)
		return;
	for (; told; told &= told - 1)
		percpu[__builtin_ctzll(told)].in_guest = 0;
}

static bool dom0_port(u16 port) { return port != 0x20; }
struct desc_bases desc_bases(unsigned cpu) { return (struct desc_bases){ 0x1000, 0x2000, 0x3000 + cpu * 0x100 }; }

struct vcpu *fake_vendor_vcpu(bool privileged)
{
	struct vcpu *v = calloc(1, sizeof(*v));
	struct domain *d = calloc(1, sizeof(*d));
	static bool ready;

	d->privileged = privileged;
	d->domid = privileged ? 0 : 1;
	d->p2m.root = virt_to_mfn(page_alloc_zeroed());
	d->p2m.tlb_gen = 1;
	clock_init(&d->clock);
	v->domain = d;
	if (!ready)
		assert_int_equal(hvm_make_maps(dom0_port), 0);
	ready = true;
	v->hvm.root = v->domain->p2m.root;
	v->hvm.generation = &v->domain->p2m.tlb_gen;
	assert_int_equal(hvm_vcpu_init(v), 0);
	return v;
}

void fake_vendor_vcpu_free(struct vcpu *v)
{
	if (current_vcpu() == v)
		fake_vendor_load(NULL);
	hvm_vcpu_destroy(v);
	page_free_virt(mfn_to_virt(v->domain->p2m.root));
	free(v->domain);
	free(v);
}

void fake_vendor_load(struct vcpu *v)
{
	if (current_vcpu())
		hvm->vcpu_save(current_vcpu());
	this_cpu()->current = v;
	if (v)
		hvm->vcpu_load(v);
}

void fake_vendor_states(struct vcpu *v, void (*check)(struct vcpu *v, const char *what))
{
	struct hvm_hw_cpu c;

	hvm_reset(v);
	check(v, "power-on");
	hvm_start_sipi(v, 0x9f);
	check(v, "SIPI");
	hvm_start_flat32(v, 0x1000850, 0x4000, 0);
	check(v, "flat protected mode");
	hvm_get_context(v, &c);
	v->hvm.xcr0 = XCR0_X87 | XCR0_SSE | XCR0_AVX;
	assert_int_equal(hvm_set_context(v, &c), 0);
	check(v, "the toolstack's record of it");
	/* A guest whose kernel had set it would take #UD or #GP at its next XSAVE if it were lost. */
	assert_int_equal(v->hvm.xcr0, XCR0_X87 | XCR0_SSE | XCR0_AVX);
	/* Long mode, as a 64-bit kernel has it. */
	c.cr0 = CR0_PG | CR0_WP | CR0_PE | CR0_ET;
	c.cr4 = CR4_PAE;
	c.msr_efer = EFER_LME | EFER_LMA | EFER_SCE | EFER_NXE;
	c.cs_arbytes = 0xa9b;
	c.rip = 0xffffffff81000000ull;
	assert_int_equal(hvm_set_context(v, &c), 0);
	check(v, "a record of long mode");
	/* Registers alone: the rest of the vCPU stays as it is. */
	v->hvm.xcr0 = 3;
	v->hvm.pat = 6;
	c = (struct hvm_hw_cpu){ 0 };
	hvm_get_context(v, &c);
	c.rax = 1;
	c.fpu_regs[160] = 0x5a;         /* XMM0 */
	*(u32 *)&c.fpu_regs[24] = ~0u;  /* MXCSR */
	assert_int_equal(hvm_set_registers(v, &c), 0);
	check(v, "other registers");
	assert_true(v->hvm.regs.rax == 1 && v->hvm.regs.rip == 0xffffffff81000000ull && v->hvm.xcr0 == 3 && v->hvm.pat == 6);
	assert_true(((u8 *)v->hvm.xsave)[160] == 0x5a && *(u32 *)((u8 *)v->hvm.xsave + 24) == 0xffff);
	c.rflags |= BIT(40);
	assert_int_equal(hvm_set_registers(v, &c), -EINVAL);
}

/* A number such as attackers like. */
static u64 odd_number(void)
{
	static const u64 some[] = { 0, 1, 2, 0xffff, 0x10000, 0xffffffff, 0x100000000,
		0x7fffffffffff, 0x800000000000, 0xffff800000000000, ~0ull };
	u64 r = fake_random();

	switch (r % 3) {
	case 0: return some[r / 3 % ARRAY_SIZE(some)];
	case 1: return BIT(r / 3 % 64);
	default: return fake_random() >> r / 3 % 64;
	}
}

/*
 * One to three fields of a good state, of which there are four, are changed: to something odd, or
 * by one bit.
 */
static void spoil(struct hvm_hw_cpu *c)
{
#define SEG(s) { &c->s##_base, 8 }, { &c->s##_limit, 4 }, { &c->s##_sel, 4 }, { &c->s##_arbytes, 4 }
	const struct { void *at; unsigned size; } fields[] = {
		SEG(es), SEG(cs), SEG(ss), SEG(ds), SEG(fs), SEG(gs), SEG(tr), SEG(ldtr),
		{ &c->gdtr_base, 8 }, { &c->gdtr_limit, 4 }, { &c->idtr_base, 8 },
		{ &c->idtr_limit, 4 }, { &c->cr0, 8 }, { &c->cr2, 8 }, { &c->cr3, 8 },
		{ &c->cr4, 8 }, { &c->dr6, 8 }, { &c->dr7, 8 }, { &c->rip, 8 }, { &c->rip, 8 },
		{ &c->rsp, 8 }, { &c->rflags, 8 }, { &c->rflags, 8 }, { &c->msr_efer, 8 },
		{ &c->msr_efer, 8 }, { &c->sysenter_cs, 8 }, { &c->sysenter_esp, 8 },
		{ &c->sysenter_eip, 8 }, { &c->shadow_gs, 8 }, { &c->msr_star, 8 },
		{ &c->msr_lstar, 8 }, { &c->msr_cstar, 8 }, { &c->msr_syscall_mask, 8 },
		{ &c->msr_tsc_aux, 8 },
	};
#undef SEG

	for (u64 n = 1 + fake_random() % 3; n; n--) {
		u64 r = fake_random(), i = r % ARRAY_SIZE(fields), value = 0;

		memcpy(&value, fields[i].at, fields[i].size);
		value = r >> 32 & 1 ? odd_number() : value ^ BIT((r >> 40) % 32);
		memcpy(fields[i].at, &value, fields[i].size);
	}
}

void fake_vendor_hostile_states(struct vcpu *v, void (*check)(struct vcpu *v, const char *what))
{
	struct hvm_hw_cpu good[4], c;
	unsigned taken = 0, refused = 0;

	hvm_start_sipi(v, 0x9f);
	hvm_get_context(v, &good[0]);
	hvm_start_flat32(v, 0x1000850, 0x4000, 0);
	hvm_get_context(v, &good[1]);
	good[2] = good[1];              /* long mode */
	good[2].cr0 = CR0_PG | CR0_WP | CR0_PE | CR0_ET;
	good[2].cr4 = CR4_PAE;
	good[2].msr_efer = EFER_LME | EFER_LMA | EFER_SCE | EFER_NXE;
	good[2].cs_arbytes = 0xa9b;
	good[2].rip = 0xffffffff81000000ull;
	good[3] = good[1];              /* virtual-8086 mode */
	good[3].rflags |= RFLAGS_VM;
#define V86(s) good[3].s##_sel = 0x1000, good[3].s##_base = 0x10000, good[3].s##_limit = 0xffff, good[3].s##_arbytes = 0xf3
	V86(es), V86(cs), V86(ss), V86(ds), V86(fs), V86(gs);
#undef V86
	for (unsigned i = 0; i < ARRAY_SIZE(good); i++)
		if (hvm_set_context(v, &good[i]))
			fail_msg("good state %u is refused", i);
	for (unsigned i = 0; i < 40000; i++) {
		c = good[i % ARRAY_SIZE(good)];
		spoil(&c);
		if (hvm_set_context(v, &c))
			refused++;
		else
			taken++;
		check(v, "a state from outside");
	}
	print_message("seed %llu: %u states taken, %u refused\n",
		(unsigned long long)fake_random_seed(), taken, refused);
	assert_true(taken > 4000 && refused > 4000);
}

void fake_rule_fails(const char *rule) { fail_msg("the control block breaks a rule: %s", rule); }
void fake_rule_counts(const char *rule) { }
