/* units: vmm/life/domctl_context.c vmm/cpu/msr.c vmm/cpu/mtrr.c vmm/toolstack/policy_ops.c vmm/toolstack/policy_fit.c vmm/toolstack/control.c vmm/life/control_lock.c vmm/cpu/cpu_policy.c vmm/cpu/cpu_policy_serial.c tests/unit/fake_domain.c tests/unit/fake_control.c vmm/life/save_records.c vmm/life/save_time.c vmm/apic/vlapic.c vmm/apic/vlapic_record.c vmm/apic/xapic.c vmm/cpu/cpuid.c arch/x86/saved.c vmm/domain/refuse.c arch/x86/guest_clock.c */
/* domctl: machine state and CPU policy of a domain being built, as xl sets them (abi.md I.5, I.9), and as nobody should. */
#include "tests/unit/fake_control.h"
#include "vmm/apic/xapic.h"
#include "vmm/cpu/cpu_policy.h"
#include "vmm/cpu/msr.h"
#include "vmm/domain/guest_log.h"
#include "vmm/vcpu.h"
#include <stdlib.h>
#include <xen/domctl.h>
#include <xen/hvm/save.h>
#include <asm/insn.h>

struct cpuid_regs cpuid(u32 leaf, u32 sub) { return machine_cpuid(leaf, sub); }
u8 inb(u16 port) { return 0xff; }
void outb(u16 port, u8 v) { }

u64 hvm_xcr0_mask = XCR0_X87 | XCR0_SSE | XCR0_AVX;

static struct domain *d;    /* the target; dom0 calls */
static struct vcpu *v;      /* dom0's */
static struct xen_domctl op;

static int set_up(void **state)
{
	dom0 = fake_domain_new(0, 2);
	d = fake_domain_new(1, 2);
	spin_init(&dom0->lock, LOCK_DOMAIN);
	spin_init(&d->lock, LOCK_DOMAIN);
	v = dom0->vcpu[0];
	d->pause_count = d->controller_pauses = 1;
	d->policy = calloc(1, sizeof(*d->policy));
	*d->policy = cpu_policy_def;
	for (u32 i = 0; i < 2; i++) {
		d->vcpu[i]->pause_flags = VCPU_DOWN;
		d->vcpu[i]->hvm.pat = 0x0007040600070406;
		vlapic_load_base(d->vcpu[i], APIC_X2_ON);
		d->vcpu[i]->hvm.xsave = calloc(1, 4096);
		d->vcpu[i]->hvm.xcr0 = XCR0_X87;
		d->vcpu[i]->apic_id = i * 2;
	}
	memset(&op, 0, sizeof(op));
	memset(&fake_calls, 0, sizeof(fake_calls));
	memset(fake_memory, 0, sizeof(fake_memory));
	fake_stopped = true;
	fake_context_result = 0;
	fake_run_time = 0;
	return 0;
}

static int tear_down(void **state)
{
	assert_int_equal(d->refs, 1);
	assert_int_equal(dom0->refs, 1);
	free(d->policy);
	for (u32 i = 0; i < 2; i++)
		free(d->vcpu[i]->hvm.xsave);
	fake_domain_free(d);
	fake_domain_free(dom0);
	return 0;
}

static u32 at;  /* end of the stream being made in fake_memory */

static void record(u16 type, u16 instance, u32 length, const void *data)
{
	struct hvm_save_descriptor desc = { type, instance, length };

	memcpy(fake_memory + at, &desc, sizeof(desc));
	if (data)
		memcpy(fake_memory + at + sizeof(desc), data, length);
	at += (u32)sizeof(desc) + length;
}

static const struct hvm_save_header header = { .magic = HVM_FILE_MAGIC, .version = 1 };
static struct hvm_hw_cpu cpu = { .rip = 0x1000850, .cr0 = 0x11 };
static struct hvm_hw_mtrr mtrr = { .msr_pat_cr = 0x0007040600070406, .msr_mtrr_def_type = 0x806, .msr_mtrr_fixed[10] = 5 };

static long set_context(void)
{
	memset(&op, 0, sizeof(op));
	op.u.hvmcontext.size = at;
	op.u.hvmcontext.buffer.p = FAKE_HANDLE(0);
	return fake_control(v, hc_domctl_sethvmcontext, d, &op);
}

static long get_context(u32 size, void *handle)
{
	memset(&op, 0, sizeof(op));
	op.u.hvmcontext.size = size;
	op.u.hvmcontext.buffer.p = handle;
	return fake_control(v, hc_domctl_gethvmcontext, d, &op);
}

/* Bytes of a vCPU's records that is down, and what one more that is up has: registers, and XSAVE's first 576 bytes. */
#define DOWN_BYTES (8 + 24 + 8 + 1024 + 8 + 240)
#define UP_BYTES (8 + 1032 + 8 + 24 + 576)

/* Returns the place of the contents of a record in fake_memory, or fails. */
static void *find_record(u16 type, u16 instance)
{
	struct hvm_save_descriptor desc;

	for (u32 i = 0;; i += (u32)sizeof(desc) + desc.length) {
		memcpy(&desc, fake_memory + i, sizeof(desc));
		if (desc.typecode == type && desc.instance == instance)
			return fake_memory + i + sizeof(desc);
		assert_true(desc.typecode);
	}
}

/* The exact calls that `xl create` makes for two vCPUs. */
static void context_as_xl_uses_it(void **state)
{
	struct hvm_save_descriptor desc;

	assert_int_equal(get_context(0, NULL), 0);
	assert_int_equal(op.u.hvmcontext.size, 32 + 2 * DOWN_BYTES + 8);
	assert_int_equal(get_context(op.u.hvmcontext.size, FAKE_HANDLE(0)), 0);
	memcpy(&desc, fake_memory + 32, sizeof(desc));
	assert_int_equal(desc.typecode, 5);
	assert_int_equal(desc.instance, 0);
	for (u16 i = 0; i < 2; i++) {
		at = 0;
		record(1, 0, 24, &header);
		record(14, i, 240, &mtrr);
		record(0, 0, 0, NULL);
		assert_int_equal(set_context(), 0);
	}
	assert_int_equal(d->mtrr.msr_mtrr_def_type, 0x806);
	assert_int_equal(d->mtrr.msr_mtrr_fixed[10], 5);
	at = 0;
	record(1, 0, 24, &header);
	record(2, 0, 1032, &cpu);
	record(0, 0, 0, NULL);
	assert_int_equal(set_context(), 0);
	assert_int_equal(fake_calls.contexts_set, 1);
	assert_int_equal(fake_calls.context_rip, 0x1000850);
	assert_int_equal(d->shared->evtchn_mask[0], 0);
	assert_int_equal(d->vcpu[0]->pause_flags, 0);
	assert_int_equal(d->vcpu[1]->pause_flags, VCPU_DOWN);
	assert_true(d->vcpu[1]->wait_for_sipi && !d->vcpu[0]->wait_for_sipi);
	/* Now there is a CPU record to get. */
	assert_int_equal(get_context(0, NULL), 0);
	assert_int_equal(op.u.hvmcontext.size, 32 + UP_BYTES + 2 * DOWN_BYTES + 8);
	at = op.u.hvmcontext.size;
	memset(fake_memory, 0x55, at);
	for (u32 room = 1; room < at; room += 7) {
		assert_int_equal(get_context(room, FAKE_HANDLE(0)), -ENOSPC);
		assert_int_equal(((u8 *)fake_memory)[room], 0x55);
	}
	assert_int_equal(get_context(at, FAKE_HANDLE(FAKE_MEMORY - 100)), -EFAULT);
	assert_int_equal(get_context(at, FAKE_HANDLE(0)), 0);
	assert_int_equal(set_context(), 0);     /* what came out goes in */
	assert_int_equal(fake_calls.context_rip, 0x1234);
}

/* Toolstacks up to 4.17 write 24 bytes for a LAPIC, later ones 32; no other length is either. */
static void lapics_of_both_lengths(void **state)
{
	struct { u64 base; u32 disabled, divisor; u64 deadline; u32 errors, pad; } good = { 0xfee00d00, 0, 2, 0, 0x40, 0 }, r;

	for (u32 length = 0; length < 48; length += 4) {
		at = 0;
		record(1, 0, 24, &header);
		record(5, 0, length, NULL);
		memcpy(fake_memory + 40, &good, sizeof(good));
		record(0, 0, 0, NULL);
		assert_int_equal(set_context(), length == 24 || length == 32 ? 0 : -EINVAL);
	}
	/* A guest that goes on takes all its ports for masked. */
	for (u32 i = 0; i < ARRAY_SIZE(d->shared->evtchn_mask); i++)
		assert_int_equal(d->shared->evtchn_mask[i], ~0ull);
	for (unsigned bad = 0; bad < 6; bad++) {
		r = good;
		/* x2APIC without "on", no boot CPU, another place. */
		r.base = bad == 1 ? 0xfee00500 : bad == 2 ? 0xfee00c00 : bad == 3 ? 0xfed00d00 : r.base;
		r.disabled = bad == 4 ? 2 : 0;
		r.deadline = bad == 5;
		at = 0;
		record(1, 0, 24, &header);
		record(5, 0, 32, &r);
		record(0, 0, 0, NULL);
		fake_log_clear();
		assert_int_equal(set_context(), bad ? -EINVAL : 0);
		if (bad)
			assert_logged("restore: record 5 of d1v0");
	}
	/* The second vCPU's isn't the boot CPU's; a vCPU that isn't there has none; one that the stream cuts off. */
	r = good;
	r.base = 0xfee00c00;
	at = 0;
	record(1, 0, 24, &header);
	record(5, 1, 24, &r);
	record(0, 0, 0, NULL);
	assert_int_equal(set_context(), 0);
	at = 0;
	record(1, 0, 24, &header);
	record(5, 2, 24, &good);
	record(0, 0, 0, NULL);
	assert_int_equal(set_context(), -EINVAL);
	at = 0;
	record(1, 0, 24, &header);
	record(5, 0, 32, &good);
	at -= 8;
	assert_int_equal(set_context(), -EINVAL);
}

/* Memory types are the guest's own, and come back as they went in: the domain's MTRRs, and a PAT for each vCPU. */
static void memory_types_go_both_ways(void **state)
{
	struct hvm_hw_mtrr m[2] = { mtrr, mtrr }, got;

	m[1].msr_pat_cr = 0x0001040500070406;
	for (u32 i = 0; i < ARRAY_SIZE(m[1].msr_mtrr_var); i++)
		m[1].msr_mtrr_var[i] = (u64)(i + 1) << 12;
	m[1].msr_mtrr_def_type = 0xc00;
	for (u32 i = 0; i < ARRAY_SIZE(m[1].msr_mtrr_fixed); i++)
		m[1].msr_mtrr_fixed[i] = 0x0606060606060600 | i % 2;
	at = 0;
	record(1, 0, 24, &header);
	record(14, 0, 240, &m[0]);
	record(14, 1, 240, &m[1]);
	record(0, 0, 0, NULL);
	assert_int_equal(set_context(), 0);
	assert_int_equal(d->vcpu[0]->hvm.pat, m[0].msr_pat_cr);
	assert_int_equal(d->vcpu[1]->hvm.pat, m[1].msr_pat_cr);
	assert_int_equal(fake_calls.pat, m[1].msr_pat_cr);
	assert_int_equal(d->mtrr.msr_mtrr_def_type, 0xc00);
	assert_memory_equal(d->mtrr.msr_mtrr_var, m[1].msr_mtrr_var, sizeof(m[1].msr_mtrr_var));
	assert_memory_equal(d->mtrr.msr_mtrr_fixed, m[1].msr_mtrr_fixed, sizeof(m[1].msr_mtrr_fixed));
	memset(fake_memory, 0x77, sizeof(fake_memory));
	assert_int_equal(get_context(FAKE_MEMORY, FAKE_HANDLE(0)), 0);
	for (u32 i = 0; i < 2; i++) {
		memcpy(&got, find_record(14, (u16)i), sizeof(got));
		assert_int_equal(got.msr_pat_cr, m[i].msr_pat_cr);
		assert_int_equal(got.msr_mtrr_def_type, 0xc00);
		assert_memory_equal(got.msr_mtrr_var, m[1].msr_mtrr_var, sizeof(got.msr_mtrr_var));
		assert_memory_equal(got.msr_mtrr_fixed, m[1].msr_mtrr_fixed, sizeof(got.msr_mtrr_fixed));
	}
}

/*
 * For 128 vCPUs a get took 104,000 instructions in one step though none was up, and a set would have taken as long to copy the stream alone. Both go
 * on between any two records; what comes out is the same.
 */
static void contexts_go_in_steps(void **state)
{
	static u8 whole[8192];
	unsigned steps = 1;
	u32 size;

	vcpu_up(d->vcpu[0]);
	vcpu_up(d->vcpu[1]);
	assert_int_equal(get_context(FAKE_MEMORY, FAKE_HANDLE(0)), 0);
	size = op.u.hvmcontext.size;
	assert_int_equal(size, 32 + 2 * (UP_BYTES + DOWN_BYTES) + 8);
	memcpy(whole, fake_memory, size);
	memset(fake_memory, 0x77, sizeof(fake_memory));
	fake_steps = 1;
	while (get_context(size, FAKE_HANDLE(0)) == HC_AGAIN)
		steps++;
	assert_int_equal(steps, 1 + 2 * 5 + 1 + 1);
	assert_int_equal(op.u.hvmcontext.size, size);
	assert_memory_equal(fake_memory, whole, size);
	assert_int_equal(fake_memory[size], 0x77);
	at = size;
	for (steps = 1; set_context() == HC_AGAIN; steps++) {
		/* Till all is checked, nothing counts. */
		assert_int_equal(fake_calls.contexts_set, steps <= 13 ? 0 : MIN(steps - 13, 2));
		assert_int_equal(d->vcpu[1]->pause_flags, steps <= 12 || steps >= 15 ? 0 : VCPU_DOWN);
	}
	assert_int_equal(steps, 2 * 12);
	assert_int_equal(fake_calls.contexts_set, 2);
	fake_steps = 0;
}

/* What was good when all was checked, and is something else when it is loaded, is refused then. */
static void a_stream_that_changes_is_checked_again(void **state)
{
	at = 0;
	record(1, 0, 24, &header);
	record(14, 0, 240, &mtrr);
	record(0, 0, 0, NULL);
	fake_steps = 1;
	for (unsigned step = 0; step < 4; step++)
		assert_int_equal(set_context(), HC_AGAIN);
	/* The default type, within the record behind two descriptors and the header. */
	memset(fake_memory + 8 + 24 + 8 + offsetof(struct hvm_hw_mtrr, msr_mtrr_def_type), 0xff, 8);
	d->mtrr.msr_mtrr_def_type = 0xc06;
	assert_int_equal(set_context(), -EINVAL);
	assert_int_equal(d->mtrr.msr_mtrr_def_type, 0xc06);
	fake_steps = 0;
}

/* Sets one record of vCPU 1 alone, `length` bytes. */
static long set_one(u16 type, u32 length, const void *data)
{
	at = 0;
	record(1, 0, 24, &header);
	record(type, 1, length, data);
	record(0, 0, 0, NULL);
	return set_context();
}

/* The APIC's registers come back as they went out. What WRMSR would refuse is refused, and so is another vCPU's record. */
static void apics_are_checked(void **state)
{
	static u8 page[1024] __aligned(8);
	static const struct { u32 at, value; } bad[] = {
		{ 0x20, 3 }, { 0x80, 0x100 }, { 0xf0, 0x1100 }, { 0x100, 0x8000 }, { 0x180, 1 }, { 0x200, 2 }, { 0x280, 0x100 }, { 0x300, 0x2000 },
	};
	struct vlapic *a = &d->vcpu[1]->apic, was;

	*a = (struct vlapic){ .enabled = true, .msr_first = MSR_X2APIC_FIRST, .dfr = ~0u, .svr = 0x1ff, .tpr = 0x20, .irr = { BIT(32), 0, 0, BIT(63) }, .isr = { 0, BIT(3) }, .icr = 3ull << 32 | 0x40f3, .lvt[5] = 0x700 };
	was = *a;
	assert_int_equal(get_context(FAKE_MEMORY, FAKE_HANDLE(0)), 0);
	memcpy(page, find_record(6, 1), sizeof(page));
	assert_int_equal(((u32 *)page)[0x20 / 4], 2);
	*a = (struct vlapic){ .enabled = true, .msr_first = MSR_X2APIC_FIRST };
	assert_int_equal(set_one(6, 1024, page), 0);
	was.irr_pending = 1;
	assert_memory_equal(a, &was, sizeof(was));
	for (u32 i = 0; i < ARRAY_SIZE(bad); i++) {
		u32 *word = (u32 *)(page + bad[i].at), before = *word;

		*word = bad[i].value;
		assert_int_equal(set_one(6, 1024, page), -EINVAL);
		*word = before;
		assert_memory_equal(a, &was, sizeof(was));
	}
	assert_int_equal(set_one(6, 1020, page), -EINVAL);
}

/* XSETBV and XRSTOR of a bad record would fault in the hypervisor. */
static void xsave_states_are_checked(void **state)
{
	static struct { struct hvm_hw_cpu_xsave x; u8 rest[3000]; } s, was;
	struct hvm_hw_cpu_xsave_hdr *h = &s.x.save_area.xsave_hdr;
	u64 all = cpu_policy_xcr0(d->policy) & hvm_xcr0_mask;
	u32 size = 24 + cpu_policy_xsave_size(d->policy, all, false);

	assert_true(all & XCR0_SSE);
	vcpu_up(d->vcpu[1]);
	d->vcpu[1]->hvm.xcr0 = all;
	memset(d->vcpu[1]->hvm.xsave, 0x5a, size - 24);
	memset((u8 *)d->vcpu[1]->hvm.xsave + 512, 0, 64);
	memset((u8 *)d->vcpu[1]->hvm.xsave + 24, 0, 4);
	*(u64 *)((u8 *)d->vcpu[1]->hvm.xsave + 512) = ~0ull;    /* more states in use than the guest has */
	assert_int_equal(get_context(FAKE_MEMORY, FAKE_HANDLE(0)), 0);
	memcpy(&s, find_record(16, 1), size);
	was = s;
	assert_int_equal(h->xstate_bv, all);
	memset(d->vcpu[1]->hvm.xsave, 0, 4096);
	assert_int_equal(set_one(16, size, &s), 0);
	assert_int_equal(d->vcpu[1]->hvm.xcr0, all);
	assert_memory_equal(d->vcpu[1]->hvm.xsave, &s.x.save_area, size - 24);
	assert_int_equal(set_one(16, size + 100, &s), 0);
	s.rest[size + 99 - sizeof(s.x)] = 1;
	assert_int_equal(set_one(16, size + 100, &s), -EINVAL);
	assert_int_equal(set_one(16, size - 1, &s), -EINVAL);
	assert_int_equal(set_one(16, 100, &s), -EINVAL);
	for (u32 i = 0; i < 9; i++) {
		s = was;
		if (i == 0)
			s.x.xcr0 = XCR0_X87 | XCR0_AVX;         /* AVX without SSE */
		if (i == 1)
			s.x.xcr0 = XCR0_SSE;
		if (i == 2)
			s.x.xcr0 = 0;
		if (i == 3)
			s.x.xcr0_accum = XCR0_X87;
		if (i == 4)
			s.x.xcr0_accum |= BIT(9);
		if (i == 5)
			h->xstate_bv |= BIT(63);
		if (i == 6)
			h->xcomp_bv = BIT(63);
		if (i == 7)
			h->reserved[5] = 1;
		if (i == 8)
			s.x.save_area.fpu_sse.x[26] = 1;        /* MXCSR */
		assert_int_equal(set_one(16, size, &s), -EINVAL);
	}
	assert_int_equal(d->vcpu[1]->hvm.xcr0, all);
}

/* What Xen always writes and we don't have. */
static void records_of_xen(void **state)
{
	struct hvm_tsc_adjust adjust = { 0 };
	struct hvm_vmce_vcpu vmce = { .caps = 5 };
	struct { u32 count; struct hvm_one_msr msr[2]; } msrs = { 1, { { .index = 0x277, .val = 0x0007040600070406 } } };

	assert_int_equal(set_one(19, sizeof(adjust), &adjust), 0);
	adjust.tsc_adjust = 1;
	assert_int_equal(set_one(19, sizeof(adjust), &adjust), -EINVAL);
	assert_int_equal(set_one(18, sizeof(vmce), &vmce), 0);
	assert_int_equal(set_one(18, sizeof(vmce) - 8, &vmce), -EINVAL);
	assert_int_equal(set_one(20, 8, &(u64){ 0 }), 0);
	assert_int_equal(set_one(20, 24, &msrs), 0);
	msrs.msr[0].val++;
	assert_int_equal(set_one(20, 24, &msrs), -EINVAL);
	msrs.msr[0].val--;
	msrs.msr[0].index = 0x48;
	assert_int_equal(set_one(20, 24, &msrs), -EINVAL);
	msrs.count = 2;
	assert_int_equal(set_one(20, 24, &msrs), -EINVAL);
	msrs.count = ~0u;
	assert_int_equal(set_one(20, 24, &msrs), -EINVAL);
}

static long tsc_info(u32 khz, u64 ns)
{
	memset(&op, 0, sizeof(op));
	op.cmd = XEN_DOMCTL_settscinfo;
	op.u.tsc_info.gtsc_khz = khz;
	op.u.tsc_info.elapsed_nsec = ns;
	return fake_control(v, hc_domctl_settscinfo, d, &op);
}

/* A guest's clock stands still from its suspension on, and goes on from there. */
static void clocks_go_on(void **state)
{
	struct hvm_hw_cpu c = cpu;

	time_scale.tsc_khz = 2000000;
	fake_time = 9000;
	/* A new guest has the machine's. */
	assert_int_equal(tsc_info(0, 0), 0);
	assert_int_equal(set_one(2, sizeof(c), &c), 0);
	assert_true(!d->clock.delta && !d->clock.tsc_offset && !fake_calls.times_updated);
	/* Saved at 5000, restored at 9000. */
	assert_int_equal(tsc_info(2000400, 5000), 0);
	c.tsc = 7000;
	assert_int_equal(set_one(2, sizeof(c), &c), 0);
	assert_int_equal(d->clock.delta, (u64)(5000 - 9000));
	assert_int_equal(d->clock.tsc_offset, (u64)(7000 - 9000));
	assert_int_equal(fake_calls.times_updated, 2);
	fake_time = 10000;
	op.cmd = XEN_DOMCTL_gettscinfo;
	assert_int_equal(fake_control(v, hc_domctl_gettscinfo, d, &op), 0);
	assert_int_equal(op.u.tsc_info.elapsed_nsec, 6000);
	assert_int_equal(op.u.tsc_info.gtsc_khz, 2000400);
	d->clock.suspended_tsc = 9500;
	assert_int_equal(fake_control(v, hc_domctl_gettscinfo, d, &op), 0);
	assert_int_equal(op.u.tsc_info.elapsed_nsec, 5500);
	assert_int_equal(get_context(FAKE_MEMORY, FAKE_HANDLE(0)), 0);
	assert_int_equal(((struct hvm_hw_cpu *)find_record(2, 1))->tsc, 7500);
	/* Only a rate that is nearly the machine's. */
	assert_int_equal(tsc_info(2000500, 1), 0);
	assert_int_equal(tsc_info(2000501, 1), -EINVAL);
	assert_int_equal(tsc_info(1999499, 1), -EINVAL);
	assert_int_equal(tsc_info(~0u, 1), -EINVAL);
}

/* Where the CPU can, a guest with another rate sees its own; and the next machine hears of that rate. */
static void scaled_clocks_go_on(void **state)
{
	struct hvm_hw_cpu c = cpu;
	struct domain_clock before;
	struct cpuid_regs leaf;
	u64 tsc;

	time_scale = (struct time_scale){ .tsc_base = 3, .mul = 0x80000000, .shift = 1, .tsc_khz = 2000000 };
	clock_init(&d->clock);
	before = d->clock;
	clock_ratio_bits = ~0ull;
	fake_time = 1000000;
	/* What it can't have is refused, and nothing has changed. */
	assert_int_equal(tsc_info(~0u, 1), 0);
	d->clock = before;
	time_scale.tsc_khz = 10000;
	assert_int_equal(tsc_info(~0u, 1), -EINVAL);
	time_scale.tsc_khz = 2000000;
	clock_ratio_bits = (BIT(40) - 1) << 16;
	assert_int_equal(tsc_info(512000000, 1), -EINVAL);
	clock_ratio_bits = 0;
	assert_int_equal(tsc_info(3000000, 1), -EINVAL);
	assert_memory_equal(&d->clock, &before, sizeof(before));
	clock_ratio_bits = ~0ull;
	/* As long as the registers aren't loaded, the clock is the machine's; the guest may even run. */
	assert_int_equal(tsc_info(3000000, 0), 0);
	op.cmd = XEN_DOMCTL_gettscinfo;
	assert_int_equal(fake_control(v, hc_domctl_gettscinfo, d, &op), 0);
	assert_true(op.u.tsc_info.gtsc_khz == 2000000 && op.u.tsc_info.elapsed_nsec == 1000000);
	assert_memory_equal(&d->clock.scale, &before.scale, sizeof(before.scale));
	assert_true(d->clock.tsc_ratio == CLOCK_UNSCALED && !fake_calls.times_updated);
	/* From its first moment: a system time of 0 is one as good as others. */
	c.tsc = 5000;
	assert_int_equal(set_one(2, sizeof(c), &c), 0);
	assert_true(fake_calls.times_updated == 2 && fake_calls.wallclocks == 1);
	assert_int_equal(d->clock.tsc_ratio, 3ull << 47);
	assert_true(d->clock.scale.tsc_base == 5000 && d->clock.base_ns == 0 && d->clock.delta == (u64)-1000000);
	assert_int_equal(msr_read(d->vcpu[0], 0x10, &tsc), 0);
	assert_int_equal(tsc, 5000);
	fake_time += 1000;
	assert_int_equal(msr_read(d->vcpu[0], 0x10, &tsc), 0);
	assert_int_equal(tsc, 6500);
	cpu_policy_cpuid(d->vcpu[0], 0x40000003, 0, &leaf);
	assert_int_equal(leaf.c, 3000000);
	cpu_policy_cpuid(d->vcpu[0], 0x40000003, 1, &leaf);
	assert_true(leaf.c == d->clock.scale.mul && leaf.c == 0xaaaaaaaa && leaf.d == 0);
	/* The second save, after a quarter of an hour: the time is the page's, which is behind the machine's by one in 2^32. */
	fake_time = 1000000 + BIT(40);
	assert_int_equal(fake_control(v, hc_domctl_gettscinfo, d, &op), 0);
	assert_int_equal(op.u.tsc_info.gtsc_khz, 3000000);
	assert_int_equal(op.u.tsc_info.elapsed_nsec, BIT(40) - BIT(8));
	assert_int_equal(op.u.tsc_info.elapsed_nsec, (u64)((unsigned __int128)(BIT(40) / 2 * 3) * d->clock.scale.mul >> 32));
	assert_int_equal(get_context(FAKE_MEMORY, FAKE_HANDLE(0)), 0);
	assert_int_equal(((struct hvm_hw_cpu *)find_record(2, 1))->tsc, 5000 + BIT(40) / 2 * 3);
	assert_int_equal(((struct hvm_save_header *)find_record(1, 0))->gtsc_khz, 3000000);
	/* Its next machine has its rate: nothing is scaled there. */
	assert_int_equal(tsc_info(2000100, 77), 0);
	assert_int_equal(set_one(2, sizeof(c), &c), 0);
	assert_true(d->clock.tsc_ratio == CLOCK_UNSCALED && d->clock.scale.mul == 0x80000000 && d->clock.scale.shift == 1 && !d->clock.drift);
	clock_ratio_bits = 0;
}

static void contexts_need_a_standing_domain(void **state)
{
	at = 0;
	record(1, 0, 24, &header);
	record(0, 0, 0, NULL);
	fake_stopped = false;
	assert_int_equal(set_context(), HC_AGAIN);
	assert_int_equal(get_context(0, NULL), HC_AGAIN);
	d->pause_count = 0;
	assert_int_equal(set_context(), -EINVAL);
	assert_int_equal(get_context(0, NULL), -EINVAL);
}

static void bad_streams_change_nothing(void **state)
{
	struct hvm_save_header bad_header = header;
	struct hvm_hw_mtrr bad_mtrr = mtrr;
	const u64 before = d->mtrr.msr_mtrr_def_type = 0xc06;

	d->vcpu[0]->pause_flags = 0;
	/* each: a stream that is good up to its last record */
	for (unsigned i = 0; i < 12; i++) {
		bad_header = header;
		bad_mtrr = mtrr;
		at = 0;
		if (i == 0)
			bad_header.magic++;
		if (i == 1)
			bad_header.version++;
		if (i != 2)
			record(1, 0, i == 3 ? 23 : 24, &bad_header);
		record(14, 0, 240, &mtrr);
		if (i == 4)
			record(2, 2, 1032, &cpu);           /* no such vCPU */
		if (i == 5)
			record(2, 0, 1031, &cpu);
		if (i == 6)
			record(77, 0, 8, &cpu);
		if (i == 7)
			bad_mtrr.msr_pat_cr = 2;
		if (i == 8)
			bad_mtrr.msr_mtrr_def_type = 0x1806;
		if (i == 9)
			bad_mtrr.msr_mtrr_def_type = 0x807;
		record(14, 1, 240, &bad_mtrr);
		if (i == 10) {
			struct hvm_save_descriptor desc = { 2, 0, 0xffffffff };

			memcpy(fake_memory + at, &desc, sizeof(desc));
			at += sizeof(desc);
		}
		if (i != 11)
			record(0, 0, 0, NULL);
		assert_true(set_context() < 0);
		assert_int_equal(d->mtrr.msr_mtrr_def_type, before);
		assert_int_equal(d->vcpu[0]->pause_flags, 0);
		assert_int_equal(fake_calls.contexts_set, 0);
	}
	at = 0;
	assert_int_equal(set_context(), -EINVAL);
	at = ~0u;
	assert_int_equal(set_context(), -EINVAL);
	at = 7;
	assert_int_equal(set_context(), -EINVAL);
	at = 32;
	fake_alloc_fails = 1;
	assert_int_equal(set_context(), -ENOMEM);
}

static void a_state_that_cannot_be_entered_stays_down(void **state)
{
	fake_context_result = -EINVAL;
	at = 0;
	record(1, 0, 24, &header);
	record(2, 0, 1032, &cpu);
	record(0, 0, 0, NULL);
	assert_int_equal(set_context(), -EINVAL);
	assert_int_equal(d->vcpu[0]->pause_flags, VCPU_DOWN);
}

void hvm_reset(struct vcpu *w) { }
void hvm_start_sipi(struct vcpu *w, u8 vector) { }
void lapic_eoi(void) { }
void vlapic_send_ipi(struct vcpu *v, u64 icr) { fail(); }
u32 vlapic_timer_count(const struct vcpu *v) { return 0; }
void vlapic_timer_write(struct vcpu *v, bool count, u32 value) { *(count ? &v->apic.timer_icr : &v->apic.timer_dcr) = value; }
void vcpu_start(struct vcpu *w) { }
void hvm_set_tsc_aux(struct vcpu *w, u64 val) { }
bool rdmsr_safe(u32 msr, u64 *val) { return false; }

/* Eight types, some of which don't exist, or one and a few bits, any of which may be reserved. */
static u64 random_types(void)
{
	u64 val = fake_random() % 8, width = fake_random() % 2 ? 12 : 64;

	if (fake_random() % 2)
		return val | BIT(fake_random() % width) | BIT(fake_random() % width);
	for (unsigned i = 0; i < 7; i++)
		val = val << 8 | (fake_random() % 16 ? 6 : fake_random() % 9);
	return val;
}

/* What a guest may write to each register, and only that, may the toolstack load: the same for the default, variable and fixed ones, and PAT. */
static void types_are_judged_alike(void **state)
{
	struct hvm_hw_mtrr m;
	const struct { u32 msr, nr; u64 *value; } regs[] = {
		{ 0x200, 16, (u64 *)m.msr_mtrr_var }, { 0x250, 1, &m.msr_mtrr_fixed[0] }, { 0x258, 2, &m.msr_mtrr_fixed[1] },
		{ 0x268, 8, &m.msr_mtrr_fixed[3] }, { 0x2ff, 1, &m.msr_mtrr_def_type }, { 0x277, 1, &m.msr_pat_cr },
	};

	for (unsigned i = 0; i < ARRAY_SIZE(regs); i++)
		for (u32 n = 0; n < regs[i].nr; n++) {
			u32 took = 0, refused = 0;
			u64 read;

			for (unsigned round = 0; round < 2000; round++) {
				u64 val = random_types();
				int rc = msr_write(d->vcpu[1], regs[i].msr + n, val);

				m = mtrr;
				regs[i].value[n] = val;
				at = 0;
				record(1, 0, 24, &header);
				record(14, 0, 240, &m);
				record(0, 0, 0, NULL);
				assert_int_equal(set_context(), rc);
				assert_true(rc == 0 || rc == -EINVAL);
				took += rc == 0;
				refused += rc != 0;
				assert_int_equal(msr_read(d->vcpu[0], regs[i].msr + n, &read), 0);
				assert_true(rc || read == val);
			}
			assert_true(took && refused);
		}
}

/* Streams cut and flipped at random: the sanitisers watch. */
static void random_streams(void **state)
{
	for (unsigned round = 0; round < 20000; round++) {
		u32 flips = (u32)(fake_random() % 4);

		at = 0;
		record(1, 0, 24, &header);
		record(14, (u16)(fake_random() % 3), 240, &mtrr);
		record(2, (u16)(fake_random() % 3), 1032, &cpu);
		record(0, 0, 0, NULL);
		for (u32 i = 0; i < flips; i++)
			fake_memory[fake_random() % at] ^= (u8)BIT(fake_random() % 8);
		if (fake_random() % 3 == 0)
			at = (u32)(fake_random() % (at + 1));
		fake_steps = (unsigned)(fake_random() % 3);
		while (set_context() == HC_AGAIN)
			;
	}
	fake_steps = 0;
}

static long policy(u32 cmd, u32 leaves, void *leaves_p, u32 msrs, void *msrs_p)
{
	memset(&op, 0, sizeof(op));
	op.cmd = cmd;
	op.u.cpu_policy.nr_leaves = leaves;
	op.u.cpu_policy.leaves.p = leaves_p;
	op.u.cpu_policy.nr_msrs = msrs;
	op.u.cpu_policy.msrs.p = msrs_p;
	return fake_control(v, hc_domctl_cpu_policy, d, &op);
}

static void policies_go_around(void **state)
{
	xen_cpuid_leaf_t *l = (xen_cpuid_leaf_t *)fake_memory;
	u32 n;

	assert_int_equal(policy(XEN_DOMCTL_get_cpu_policy, 120, FAKE_HANDLE(0), 2, FAKE_HANDLE(8192)), 0);
	n = op.u.cpu_policy.nr_leaves;
	assert_int_equal(op.u.cpu_policy.nr_msrs, 2);
	assert_int_equal(policy(XEN_DOMCTL_get_cpu_policy, n - 1, FAKE_HANDLE(0), 2, FAKE_HANDLE(8192)), -ENOBUFS);
	assert_int_equal(policy(XEN_DOMCTL_get_cpu_policy, n, FAKE_HANDLE(0), 1, FAKE_HANDLE(8192)), -ENOBUFS);
	assert_int_equal(policy(XEN_DOMCTL_get_cpu_policy, n, FAKE_BAD_HANDLE, 0, NULL), -EFAULT);
	assert_int_equal(policy(XEN_DOMCTL_set_cpu_policy, n, FAKE_HANDLE(0), 2, FAKE_HANDLE(8192)), 0);
	assert_memory_equal(d->policy, &cpu_policy_def, sizeof(*d->policy));
	assert_int_equal(op.u.cpu_policy.err_leaf, ~0u);
	assert_int_equal(op.u.cpu_policy.err_msr, ~0u);
	l[1].c &= ~(u32)BIT(31);    /* not a hypervisor */
	assert_int_equal(policy(XEN_DOMCTL_set_cpu_policy, n, FAKE_HANDLE(0), 0, NULL), 0);
	assert_int_equal(d->policy->basic[1].c & BIT(31), 0);
}

/* A guest from elsewhere that relies on something that isn't here; one bit of each word, a state of XSAVE, another vendor. */
static void guests_that_do_not_fit_are_refused(void **state)
{
	xen_cpuid_leaf_t *l = (xen_cpuid_leaf_t *)fake_memory, was;
	struct cpu_policy before = *d->policy;
	u32 n, refused = 0;

	assert_int_equal(policy(XEN_DOMCTL_get_cpu_policy, 120, FAKE_HANDLE(0), 2, FAKE_HANDLE(8192)), 0);
	n = op.u.cpu_policy.nr_leaves;
	for (u32 i = 0; i < n; i++) {
		was = l[i];
		if (l[i].leaf == 1)
			l[i].c |= BIT(5);       /* VMX */
		else if (l[i].leaf == 7 && l[i].subleaf == 0)
			l[i].d |= BIT(22);      /* AMX */
		else if (l[i].leaf == 0xd && l[i].subleaf == 2)
			l[i].b += 64;
		else if (l[i].leaf == 0)
			l[i].b ^= 1;
		else
			continue;
		fake_log_clear();
		assert_int_equal(policy(XEN_DOMCTL_set_cpu_policy, n, FAKE_HANDLE(0), 2, FAKE_HANDLE(8192)), -EINVAL);
		assert_int_equal(op.u.cpu_policy.err_leaf, l[i].leaf);
		assert_non_null(__builtin_strstr(fake_log, "restore: "));
		assert_memory_equal(d->policy, &before, sizeof(before));
		l[i] = was;
		refused++;
	}
	assert_int_equal(refused, 4);
	assert_int_equal(policy(XEN_DOMCTL_set_cpu_policy, n, FAKE_HANDLE(0), 2, FAKE_HANDLE(8192)), 0);
}

static void policies_are_refused(void **state)
{
	xen_cpuid_leaf_t *l = (xen_cpuid_leaf_t *)fake_memory;
	xen_msr_entry_t *m = (xen_msr_entry_t *)(fake_memory + 8192);
	struct cpu_policy before = *d->policy;

	l[0] = (xen_cpuid_leaf_t){ 1, ~0u, 0, 0, 0, 0 };
	assert_int_equal(policy(XEN_DOMCTL_set_cpu_policy, 121, FAKE_HANDLE(0), 0, NULL), -E2BIG);
	assert_int_equal(policy(XEN_DOMCTL_set_cpu_policy, ~0u, FAKE_HANDLE(0), 0, NULL), -E2BIG);
	assert_int_equal(policy(XEN_DOMCTL_set_cpu_policy, 1, FAKE_HANDLE(0), 3, FAKE_HANDLE(8192)), -E2BIG);
	assert_int_equal(policy(XEN_DOMCTL_set_cpu_policy, 1, FAKE_BAD_HANDLE, 0, NULL), -EFAULT);
	assert_int_equal(policy(XEN_DOMCTL_set_cpu_policy, 1, FAKE_HANDLE(0), 1, FAKE_BAD_HANDLE), -EFAULT);
	m[0] = (xen_msr_entry_t){ .idx = 0x10 };
	assert_int_equal(policy(XEN_DOMCTL_set_cpu_policy, 1, FAKE_HANDLE(0), 1, FAKE_HANDLE(8192)), -ERANGE);
	assert_int_equal(op.u.cpu_policy.err_msr, 0x10);
	m[0] = (xen_msr_entry_t){ .idx = 0xce, .flags = 1 };
	assert_int_equal(policy(XEN_DOMCTL_set_cpu_policy, 1, FAKE_HANDLE(0), 1, FAKE_HANDLE(8192)), -EINVAL);
	l[1] = (xen_cpuid_leaf_t){ 0x22, ~0u, 0, 0, 0, 0 };
	assert_int_equal(policy(XEN_DOMCTL_set_cpu_policy, 2, FAKE_HANDLE(0), 0, NULL), -ERANGE);
	assert_int_equal(op.u.cpu_policy.err_leaf, 0x22);
	fake_run_time = 1;
	assert_int_equal(policy(XEN_DOMCTL_set_cpu_policy, 1, FAKE_HANDLE(0), 0, NULL), -EEXIST);
	fake_run_time = 0;
	d->pause_count = 0;
	assert_int_equal(policy(XEN_DOMCTL_set_cpu_policy, 1, FAKE_HANDLE(0), 0, NULL), -EINVAL);
	d->pause_count = 1;
	for (unsigned i = 1; i <= 2; i++) {
		fake_alloc_fails = i;
		assert_int_equal(policy(XEN_DOMCTL_set_cpu_policy, 1, FAKE_HANDLE(0), 0, NULL), -ENOMEM);
	}
	assert_memory_equal(d->policy, &before, sizeof(before));
	memset(&op, 0, sizeof(op));
	op.cmd = XEN_DOMCTL_set_cpu_policy;
	assert_int_equal(fake_control(v, hc_domctl_cpu_policy, dom0, &op), -EINVAL);
}

static int read_cpu(void **state)
{
	cpu_policy_init();
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
		TEST(context_as_xl_uses_it),
		TEST(lapics_of_both_lengths),
		TEST(memory_types_go_both_ways),
		TEST(contexts_go_in_steps),
		TEST(a_stream_that_changes_is_checked_again),
		TEST(contexts_need_a_standing_domain),
		TEST(apics_are_checked),
		TEST(xsave_states_are_checked),
		TEST(records_of_xen),
		TEST(clocks_go_on),
		TEST(scaled_clocks_go_on),
		TEST(guests_that_do_not_fit_are_refused),
		TEST(bad_streams_change_nothing),
		TEST(a_state_that_cannot_be_entered_stays_down),
		TEST(types_are_judged_alike),
		TEST(random_streams),
		TEST(policies_go_around),
		TEST(policies_are_refused),
	};

	return cmocka_run_group_tests(tests, read_cpu, NULL);
}
