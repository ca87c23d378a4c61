/*
 * The APIC as a page of memory, its modes, and its errors: SDM vol. 3, "Local APIC", 11.4, and
 * "x2APIC State Transitions", 11.12.5.
 */
#include "vmm/apic/vlapic.h"
#include "vmm/apic/xapic.h"
#include "vmm/apic/vlapic_regs.h"
#include "vmm/vcpu.h"

enum { BASE_BSP = 1 << 8, BASE_X2 = 1 << 10, BASE_ENABLE = 1 << 11 };

u64 vlapic_base(const struct vcpu *v)
{
	return APIC_PAGE | (v->apic.enabled ? BASE_ENABLE : 0) | (vlapic_is_x2(v) ? BASE_X2 : 0) | (v->id ? 0 : BASE_BSP);
}

bool vlapic_base_valid(const struct vcpu *v, u64 base)
{
	u64 mode = base & (BASE_X2 | BASE_ENABLE);

	return base == (APIC_PAGE | mode | (v->id ? 0 : BASE_BSP)) && mode != BASE_X2;
}

void vlapic_load_base(struct vcpu *v, u64 base)
{
	v->apic.enabled = base & BASE_ENABLE;
	v->apic.msr_first = base & BASE_X2 ? MSR_X2APIC_FIRST : APIC_NO_MSRS;
}

/* From x2APIC the only way back is through "off", and that resets the registers. */
int vlapic_set_base(struct vcpu *v, u64 base)
{
	bool was_x2 = vlapic_is_x2(v), is_x2 = base & BASE_X2, enabled = base & BASE_ENABLE;

	if (!vlapic_base_valid(v, base) || (was_x2 && enabled && !is_x2) || (!v->apic.enabled && is_x2))
		return -EINVAL;
	if (!enabled && v->apic.enabled)
		vlapic_reset(v);
	vlapic_load_base(v, base);
	return 0;
}

void vlapic_error(struct vcpu *v, u32 bit)
{
	u32 lvt = v->apic.lvt[LVT_ERROR];

	v->apic.esr_next |= bit;
	if (!(lvt & LVT_MASKED) && (u8)lvt >= 16)
		vlapic_post(v, (u8)lvt, false);
}

void vlapic_mask_lvts(struct vcpu *v)
{
	for (unsigned i = 0; i < ARRAY_SIZE(v->apic.lvt) && !(v->apic.svr & SVR_ENABLE); i++)
		v->apic.lvt[i] |= LVT_MASKED;
}

static u32 xapic_read(struct vcpu *v, u32 reg)
{
	u64 value;

	switch (reg) {
	case REG_ID: return v->apic_id << 24;
	case REG_LDR: return v->apic.ldr;
	case REG_DFR: return v->apic.dfr;
	case REG_ICR2: return (u32)(v->apic.icr >> 32);
	}
	if (!vlapic_read(v, MSR_X2APIC_FIRST + reg, &value))
		return (u32)value;
	vlapic_error(v, ESR_REGISTER);
	return 0;
}

/* Bits that x2APIC refuses are ignored here. */
static void xapic_write(struct vcpu *v, u32 reg, u32 value)
{
	struct vlapic *a = &v->apic;
	u64 wide = value;

	switch (reg) {
	case REG_ID: return;
	case REG_LDR: a->ldr = value & 0xff000000; return;
	case REG_DFR: a->dfr = value | 0x0fffffff; return;
	case REG_ICR2: a->icr = (u32)a->icr | (u64)(value & 0xff000000) << 32; return;
	case REG_ICR: wide = (a->icr & ~0xffffffffull) | (value & ~(u32)ICR_RESERVED); break;
	case REG_EOI:
	case REG_ESR: wide = 0; break;
	case REG_TPR: wide = (u8)value; break;
	case REG_SVR: wide = value & 0x1ff; break;
	case REG_LVT_TIMER: wide = value & 0x300ff; break;
	case REG_CMCI:
	case REG_LVT_TIMER + 1 ... REG_LVT_ERROR: wide = value & 0x1a7ff; break;
	case REG_SELF_IPI: wide = BIT(32); break;
	}
	if (vlapic_write(v, MSR_X2APIC_FIRST + reg, wide))
		vlapic_error(v, ESR_REGISTER);
}

/* What the page shows otherwise than the MSRs. */
static const u8 only_xapic[] = { REG_ID, REG_LDR, REG_DFR };

void xapic_fill_record(struct vcpu *v, u32 *record)
{
	for (u32 i = 0; record && !vlapic_is_x2(v) && i < ARRAY_SIZE(only_xapic); i++)
		record[only_xapic[i] * 4] = xapic_read(v, only_xapic[i]);
}

void xapic_load_record(struct vcpu *v, const u32 *record)
{
	for (u32 i = 0; !vlapic_is_x2(v) && i < ARRAY_SIZE(only_xapic); i++)
		xapic_write(v, only_xapic[i], record[only_xapic[i] * 4]);
}

/* Registers are 4 bytes at multiples of 16. What else a guest does here, manuals leave open. */
void xapic_access(struct vcpu *v, u32 offset, unsigned size, bool write, u64 *data)
{
	u32 reg = offset >> 4, from = offset & 15;

	if (write && size == 4 && !from)
		xapic_write(v, reg, (u32)*data);
	if (!write)
		*data = from + size <= 4 ? xapic_read(v, reg) >> 8 * from : 0;
}
