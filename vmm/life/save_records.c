/*
 * The kinds of records of a guest's vCPUs (abi.md I.5). The toolstack keeps them and brings them
 * back, or others, so each is checked as if the guest had set its contents by itself.
 */
#include "vmm/apic/xapic.h"
#include "vmm/life/save.h"
#include <xen/hvm/save.h>
#include <asm/hvm.h>
#include <asm/hvm_saved.h>
#include <asm/insn.h>
#include "lib/string.h"
#include "vmm/cpu/cpu_policy.h"
#include "vmm/cpu/msr.h"
#include "vmm/domain.h"
#include "vmm/vcpu.h"

/* From Xen 4.18 on the APIC's record ends with errors that wait for a write to ESR. Here none do. */
struct lapic_record { u64 apic_base_msr; u32 disabled, timer_divisor; u64 tdt_msr; };
enum { LAPIC_417 = sizeof(struct lapic_record), LAPIC_418 = LAPIC_417 + 8 };
enum { APIC_ENABLED = 1 << 8 /* in SVR */, APIC_SW_DISABLED = 1 };

static bool is_down(const struct vcpu *v) { return __atomic_load_n(&v->pause_flags, __ATOMIC_RELAXED) & VCPU_DOWN; }

static u32 fill_cpu(struct vcpu *v, void *data)
{
	struct hvm_hw_cpu *c = data;

	if (is_down(v))
		return 0;
	if (c) {
		hvm_get_context(v, c);
		c->tsc = clock_guest_tsc(&v->domain->clock, clock_stopped_tsc(&v->domain->clock));
	}
	return sizeof(*c);
}

static bool valid_cpu(struct vcpu *v, const void *data, u32 length)
{
	return length == sizeof(struct hvm_hw_cpu) && hvm_valid_event(data);
}

/* A state that can't be entered leaves its vCPU down. */
static int load_cpu(struct vcpu *v, const void *data)
{
	const struct hvm_hw_cpu *c = data;

	save_start_clock(v->domain, c->tsc);
	if (hvm_set_context(v, c))
		return -EINVAL;
	v->wait_for_sipi = false;
	vcpu_up(v);
	return 0;
}

static u32 fill_lapic(struct vcpu *v, void *data)
{
	struct lapic_record *l = data;

	if (l) {
		*l = (struct lapic_record){ .disabled = v->apic.svr & APIC_ENABLED ? 0 : APIC_SW_DISABLED, .timer_divisor = 1 };
		msr_read(v, MSR_APIC_BASE, &l->apic_base_msr);
	}
	return LAPIC_417;
}

static bool valid_lapic(struct vcpu *v, const void *data, u32 length)
{
	const struct lapic_record *l = data;

	return (length == LAPIC_417 || length == LAPIC_418) && vlapic_base_valid(v, l->apic_base_msr) && l->disabled <= APIC_SW_DISABLED && !l->tdt_msr;
}

/*
 * Only a guest that ran before has this record. Its kernel takes all ports of its new shared_info
 * for masked, and unmasks those that it wants. Linux never wants the one of its spin locks.
 */
static int load_lapic(struct vcpu *v, const void *data)
{
	vlapic_load_base(v, ((const struct lapic_record *)data)->apic_base_msr);
	memset(v->domain->shared->evtchn_mask, 0xff, sizeof(v->domain->shared->evtchn_mask));
	return 0;
}

static u32 fill_mtrr(struct vcpu *v, void *data)
{
	struct hvm_hw_mtrr *m = data;

	if (m) {
		*m = v->domain->mtrr;
		m->msr_pat_cr = v->hvm.pat;
		m->msr_mtrr_cap = MTRRCAP_VALUE;
	}
	return sizeof(*m);
}

static bool valid_mtrr(struct vcpu *v, const void *data, u32 length)
{
	const struct hvm_hw_mtrr *m = data;

	return length == sizeof(*m) && hvm_valid_pat(m->msr_pat_cr) && mtrrs_valid(m);
}

static int load_mtrr(struct vcpu *v, const void *data)
{
	const struct hvm_hw_mtrr *m = data;

	v->hvm.pat = m->msr_pat_cr;
	hvm->set_pat(v, m->msr_pat_cr);
	v->domain->mtrr = *m;
	return 0;
}

static u64 xsave_states(const struct vcpu *v) { return cpu_policy_xcr0(v->domain->policy) & hvm_xcr0_mask; }

static u32 area_size(const struct vcpu *v, u64 states) { return cpu_policy_xsave_size(v->domain->policy, states, false); }

#define BEFORE_AREA offsetof(struct hvm_hw_cpu_xsave, save_area)

static u32 fill_xsave(struct vcpu *v, void *data)
{
	u64 allowed = xsave_states(v);
	u32 size = area_size(v, hvm_get_xsave(v, allowed, NULL, 0));

	if (!allowed || is_down(v) || size > SAVED_MAX - BEFORE_AREA)
		return 0;
	hvm_get_xsave(v, allowed, data, size);
	return (u32)BEFORE_AREA + size;
}

/* Xen's records may be longer than their states need. What is behind those has to be zero. */
static bool valid_xsave(struct vcpu *v, const void *data, u32 length)
{
	const struct hvm_hw_cpu_xsave *x = data;
	u64 end;

	if (length < sizeof(*x) || !hvm_valid_xsave(x, xsave_states(v)))
		return false;
	for (end = BEFORE_AREA + area_size(v, x->xcr0_accum); end < length; end++)
		if (((const u8 *)data)[end])
			return false;
	return end == length;
}

static int load_xsave(struct vcpu *v, const void *data)
{
	const struct hvm_hw_cpu_xsave *x = data;

	v->hvm.xcr0 = x->xcr0;
	memcpy(v->hvm.xsave, &x->save_area, area_size(v, x->xcr0_accum));
	return 0;
}

/* Xen writes these two always. Here guests have no such banks, and no offset of their own. */
static bool valid_vmce(struct vcpu *v, const void *data, u32 length) { return length == sizeof(struct hvm_vmce_vcpu); }
static bool valid_tsc_adjust(struct vcpu *v, const void *data, u32 length) { return length == sizeof(u64) && !*(const u64 *)data; }

/* Guests have none of the MSRs that stand there, so only what they would read can be loaded. */
static bool valid_msrs(struct vcpu *v, const void *data, u32 length)
{
	const struct hvm_msr *m = data;

	if (length < sizeof(*m) || (length - sizeof(*m)) % sizeof(m->msr[0]) || (length - sizeof(*m)) / sizeof(m->msr[0]) != m->count)
		return false;
	for (u32 i = 0; i < m->count; i++) {
		u64 val;

		if (m->msr[i]._rsvd || msr_read(v, m->msr[i].index, &val) || val != m->msr[i].val)
			return false;
	}
	return true;
}

const struct saved_kind saved_kinds[SAVED_KINDS] = {
	[HVM_SAVE_CODE(CPU)] = { fill_cpu, valid_cpu, load_cpu },
	[HVM_SAVE_CODE(LAPIC)] = { fill_lapic, valid_lapic, load_lapic },
	[HVM_SAVE_CODE(LAPIC_REGS)] = { vlapic_record_regs, vlapic_regs_valid, vlapic_load_regs },
	[HVM_SAVE_CODE(MTRR)] = { fill_mtrr, valid_mtrr, load_mtrr },
	[CPU_XSAVE_CODE] = { fill_xsave, valid_xsave, load_xsave },
	[HVM_SAVE_CODE(VMCE_VCPU)] = { NULL, valid_vmce, NULL },
	[HVM_SAVE_CODE(TSC_ADJUST)] = { NULL, valid_tsc_adjust, NULL },
	[CPU_MSR_CODE] = { NULL, valid_msrs, NULL },
};
