/*
 * The virtual APIC: registers, priorities, and INIT/SIPI. SDM vol. 3, "Extended XAPIC (x2APIC)",
 * 11.12, and "Interrupt, Task, and Processor Priority", 11.8.3; APM, "Advanced Programmable
 * Interrupt Controller", 16. The registers are MSRs here. xapic.c shows them as a page, vlapic_ipi.c
 * sends IPIs, and vlapic_timer.c has the timer.
 */
#include "vmm/apic/vlapic.h"
#include <asm/hvm.h>
#include <asm/lapic.h>
#include "vmm/apic/vlapic_regs.h"
#include "vmm/domain.h"
#include "vmm/vcpu.h"

u32 vlapic_logical_id(const struct vcpu *v) { return (v->apic_id >> 4) << 16 | 1u << (v->apic_id & 15); }

void vlapic_reset(struct vcpu *v)
{
	/* The guest will send no EOI for the interrupts that were in service. */
	for (unsigned i = 0; i < 4; i++)
		for (u64 owed = v->apic.phys_level[i]; owed; owed &= owed - 1)
			lapic_eoi();
	v->apic = (struct vlapic){ .enabled = v->apic.enabled, .msr_first = v->apic.msr_first, .svr = 0xff, .dfr = ~0u };
	for (unsigned i = 0; i < ARRAY_SIZE(v->apic.lvt); i++)
		v->apic.lvt[i] = LVT_MASKED;
}

static void bitmap_set_atomic(u64 *map, u8 vector) { __atomic_or_fetch(&map[vector / 64], BIT(vector % 64), __ATOMIC_SEQ_CST); }
static void bitmap_clear_atomic(u64 *map, u8 vector) { __atomic_and_fetch(&map[vector / 64], ~BIT(vector % 64), __ATOMIC_SEQ_CST); }

static int highest_vector(const u64 *map)
{
	for (int i = 3; i >= 0; i--) {
		u64 word = __atomic_load_n(&map[i], __ATOMIC_RELAXED);

		if (word)
			return i * 64 + 63 - __builtin_clzll(word);
	}
	return -1;
}

static u8 processor_priority(const struct vlapic *a)
{
	int isr = highest_vector(a->isr);
	u8 in_service = isr < 0 ? 0 : (u8)(isr & 0xf0), tpr = (u8)a->tpr;

	return (tpr & 0xf0) >= in_service ? tpr : in_service;
}

void vlapic_post(struct vcpu *v, u8 vector, bool level)
{
	if (level)
		bitmap_set_atomic(v->apic.tmr, vector);
	else if (v->apic.tmr[vector / 64] & BIT(vector % 64))
		bitmap_clear_atomic(v->apic.tmr, vector);
	bitmap_set_atomic(v->apic.irr, vector);
	__atomic_store_n(&v->apic.irr_pending, 1, __ATOMIC_SEQ_CST);
	vcpu_kick(v);
}

int vlapic_next(struct vcpu *v)
{
	struct vlapic *a = &v->apic;
	int vector;

	if (!__atomic_load_n(&a->irr_pending, __ATOMIC_RELAXED))
		return -1;
	/* Cleared before the look, so that a vector posted meanwhile raises it again. */
	__atomic_store_n(&a->irr_pending, 0, __ATOMIC_SEQ_CST);
	vector = highest_vector(a->irr);
	if (vector < 0)
		return -1;
	__atomic_store_n(&a->irr_pending, 1, __ATOMIC_RELAXED);
	if (!(a->svr & SVR_ENABLE) || !a->enabled || (vector & 0xf0) <= (processor_priority(a) & 0xf0))
		return -1;
	return vector;
}

void vlapic_offer(struct vcpu *v, u8 vector) { bitmap_clear_atomic(v->apic.irr, vector); }

void vlapic_end_offer(struct vcpu *v, u8 vector, bool taken)
{
	if (taken) {
		v->apic.isr[vector / 64] |= BIT(vector % 64);
		return;
	}
	bitmap_set_atomic(v->apic.irr, vector);
	__atomic_store_n(&v->apic.irr_pending, 1, __ATOMIC_SEQ_CST);
}

static bool test(const u64 *map, int vector) { return map[vector / 64] >> (vector % 64) & 1; }
static void clear(u64 *map, int vector) { map[vector / 64] &= ~BIT(vector % 64); }

/*
 * A level-triggered device interrupt stays unacknowledged in the physical APIC until the service
 * domain is done with it (abi.md H.3). The vCPU is pinned to the CPU that took the interrupt, so
 * the EOI reaches the right APIC. There an EOI ends the highest vector in service. The following
 * can happen: the vCPU has not taken that vector yet, because its interrupts were off. Then the EOI
 * for a lower vector has to wait.
 */
static void acknowledge_level(struct vlapic *a)
{
	for (int top; (top = highest_vector(a->phys_level)) >= 0 && test(a->phys_done, top); lapic_eoi()) {
		clear(a->phys_level, top);
		clear(a->phys_done, top);
	}
}

static void end_interrupt(struct vcpu *v)
{
	struct vlapic *a = &v->apic;
	int vector = highest_vector(a->isr);

	if (vector < 0)
		return;
	clear(a->isr, vector);
	if (!test(a->phys_level, vector))
		return;
	a->phys_done[vector / 64] |= BIT(vector % 64);
	acknowledge_level(a);
}

static u64 read_word(const u64 *map, u32 index) { return (u32)(map[index / 2] >> (index % 2 * 32)); }

int vlapic_read(struct vcpu *v, u32 msr, u64 *val)
{
	struct vlapic *a = &v->apic;
	u32 reg = msr & 0xff;

	switch (reg) {
	case REG_ID: *val = v->apic_id; return 0;
	case REG_VERSION: *val = VERSION; return 0;
	case REG_TPR: *val = a->tpr; return 0;
	case REG_PPR: *val = processor_priority(a); return 0;
	case REG_LDR: *val = vlapic_logical_id(v); return 0;
	case REG_SVR: *val = a->svr; return 0;
	case REG_ISR ... REG_ISR + 7: *val = read_word(a->isr, reg - REG_ISR); return 0;
	case REG_TMR ... REG_TMR + 7: *val = read_word(a->tmr, reg - REG_TMR); return 0;
	case REG_IRR ... REG_IRR + 7: *val = read_word(a->irr, reg - REG_IRR); return 0;
	case REG_ESR: *val = a->esr; return 0;
	case REG_CMCI: *val = a->lvt[0]; return 0;
	case REG_ICR: *val = a->icr; return 0;
	case REG_LVT_TIMER ... REG_LVT_ERROR: *val = a->lvt[reg - REG_LVT_TIMER + 1]; return 0;
	case REG_TIMER_ICR: *val = a->timer_icr; return 0;
	case REG_TIMER_CCR: *val = vlapic_timer_count(v); return 0;
	case REG_TIMER_DCR: *val = a->timer_dcr; return 0;
	default: return -EINVAL;
	}
}

int vlapic_write(struct vcpu *v, u32 msr, u64 val)
{
	struct vlapic *a = &v->apic;
	u32 reg = msr & 0xff;

	if (reg != REG_ICR && val >> 32)
		return -EINVAL;
	switch (reg) {
	case REG_EOI:
		if (val)
			return -EINVAL;
		end_interrupt(v);
		return 0;
	case REG_ICR:
		if (val & ICR_RESERVED)
			return -EINVAL;
		a->icr = val & ~BIT(12);
		vlapic_send_ipi(v, val);
		return 0;
	case REG_SELF_IPI:
		if (val > 0xff)
			return -EINVAL;
		if (val >= 16)
			vlapic_post(v, (u8)val, false);
		else
			vlapic_error(v, ESR_SEND_VECTOR);
		return 0;
	case REG_TPR:
		if (val > 0xff)
			return -EINVAL;
		a->tpr = (u32)val;
		return 0;
	case REG_SVR:
		/*
		 * Bit 9, focus checking, is obsolete and ignored. Bit 12 would be directed EOI,
		 * which the version register doesn't offer.
		 */
		if (val & ~(u64)0x3ff)
			return -EINVAL;
		a->svr = (u32)val & 0x1ff;
		vlapic_mask_lvts(v);
		return 0;
	case REG_ESR:
		if (val)
			return -EINVAL;
		a->esr = a->esr_next;
		a->esr_next = 0;
		return 0;
	case REG_CMCI: a->lvt[0] = (u32)val; vlapic_mask_lvts(v); return 0;
	case REG_LVT_TIMER ... REG_LVT_ERROR: a->lvt[reg - REG_LVT_TIMER + 1] = (u32)val; vlapic_mask_lvts(v); return 0;
	case REG_TIMER_ICR:
	case REG_TIMER_DCR: vlapic_timer_write(v, reg == REG_TIMER_ICR, (u32)val); return 0;
	default: return -EINVAL;
	}
}

bool vlapic_take_init(struct vcpu *v)
{
	if (!vcpu_take(v, VCPU_INIT))
		return false;
	vlapic_reset(v);
	hvm_reset(v);
	v->wait_for_sipi = true;
	return true;
}

void vlapic_take_sipi(struct vcpu *v)
{
	if (vcpu_take(v, VCPU_SIPI) && v->wait_for_sipi) {
		v->wait_for_sipi = false;
		hvm_start_sipi(v, __atomic_load_n(&v->sipi_vector, __ATOMIC_RELAXED));
		vcpu_up(v);
	}
}
