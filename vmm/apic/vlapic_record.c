/*
 * The APIC's registers in the toolstack's record: as the xAPIC's page shows them, in x2APIC mode
 * with that mode's ID. A record is checked as WRMSR would.
 */
#include "vmm/apic/vlapic.h"
#include "vmm/apic/xapic.h"
#include <xen/hvm/save.h>
#include "lib/string.h"
#include "vmm/apic/vlapic_regs.h"
#include "vmm/vcpu.h"

/* Registers by their MSR's number, 16 bytes apart in the record. */
enum { LAST = 0x3e };

/* The registers that are words, may be written, and have no limits but WRMSR's. */
static const u8 plain[] = { REG_TPR, 0x0f, 0x2f, 0x32, 0x33, 0x34, 0x35, 0x36, 0x37, 0x38, 0x3e };

static u32 *record_word(const void *record, u32 reg) { return (u32 *)((uintptr_t)record + reg * 16); }

/* A register that can't be read is 0. */
u32 vlapic_record_regs(struct vcpu *v, void *record)
{
	if (record)
		memset(record, 0, sizeof(struct hvm_hw_lapic_regs));
	for (u32 reg = REG_ID; record && reg <= LAST; reg++) {
		u64 val = 0;

		if (!vlapic_read(v, MSR_X2APIC_FIRST + reg, &val))
			*record_word(record, reg) = (u32)val;
		if (reg == REG_ICR)
			*record_word(record, REG_ICR2) = (u32)(val >> 32);
	}
	xapic_fill_record(v, record);
	return sizeof(struct hvm_hw_lapic_regs);
}

/* The first 16 vectors are exceptions; no interrupt has one. */
bool vlapic_regs_valid(struct vcpu *v, const void *record, u32 length)
{
	return length == sizeof(struct hvm_hw_lapic_regs) && (*record_word(record, REG_ID) == v->apic_id || *record_word(record, REG_ID) == v->apic_id << 24) && *record_word(record, REG_TPR) <= 0xff &&
	       !(*record_word(record, REG_SVR) & ~0x3ffu) &&
	       !((*record_word(record, REG_ISR) | *record_word(record, REG_TMR) | *record_word(record, REG_IRR)) & 0xffff) &&
	       !(*record_word(record, REG_ICR) & (u32)ICR_RESERVED) && !(*record_word(record, REG_ESR) & ~0xffu);
}

static void load_vectors(u64 *map, const void *record, u32 reg)
{
	for (u32 i = 0; i < 4; i++)
		map[i] = *record_word(record, reg + 2 * i) | (u64)*record_word(record, reg + 2 * i + 1) << 32;
}

/* Sends no IPI: the one in ICR was sent before. */
int vlapic_load_regs(struct vcpu *v, const void *record)
{
	struct vlapic *a = &v->apic;

	vlapic_reset(v);
	for (u32 i = 0; i < ARRAY_SIZE(plain); i++)
		vlapic_write(v, MSR_X2APIC_FIRST + plain[i], *record_word(record, plain[i]));
	xapic_load_record(v, record);
	load_vectors(a->isr, record, REG_ISR);
	load_vectors(a->tmr, record, REG_TMR);
	load_vectors(a->irr, record, REG_IRR);
	a->irr_pending = 1;
	a->esr = *record_word(record, REG_ESR);
	a->icr = (*record_word(record, REG_ICR) & ~BIT(12)) | (u64)*record_word(record, REG_ICR2) << 32;
	return 0;
}
