/*
 * MTRRs and the values that they may hold. Only the guest reads its own, because nested paging
 * decides the memory types. The values are checked nevertheless, by the same rules for the guest
 * and the toolstack. So the toolstack can't give a domain a state that the domain could not have
 * made itself.
 */
#include <asm/hvm.h>
#include <asm/insn.h>
#include "lib/string.h"
#include "vmm/cpu/msr.h"
#include "vmm/domain.h"

enum { MSR_MTRR_PHYS = 0x200, MSR_MTRR_FIX64K = 0x250, MSR_MTRR_FIX16K = 0x258, MSR_MTRR_FIX4K = 0x268, MSR_MTRR_DEF = 0x2ff };

#define PLACE(field)   (offsetof(struct hvm_hw_mtrr, msr_mtrr_##field) / sizeof(u64))
#define BEYOND_ADDRESS (~(BIT(48) - 1))

/*
 * A row for each group of MTRRs: its first number, its place, how many of the low bytes are types,
 * and the reserved bits (SDM vol. 3, "Memory Type Range Registers", 12.11.2). Variable MTRRs come
 * in pairs: a base with a type, and a mask with the bit that makes the pair valid. So every second
 * MTRR of a group has its own values.
 */
static const struct row { u32 msr, nr, place, types[2]; u64 reserved[2]; } rows[] = {
	{ MSR_MTRR_PHYS, 16, PLACE(var), { 1, 0 }, { BEYOND_ADDRESS | 0xf00, BEYOND_ADDRESS | 0x7ff } },
	{ MSR_MTRR_FIX64K, 1, PLACE(fixed[0]), { 8, 8 }, { 0, 0 } },
	{ MSR_MTRR_FIX16K, 2, PLACE(fixed[1]), { 8, 8 }, { 0, 0 } },
	{ MSR_MTRR_FIX4K, 8, PLACE(fixed[3]), { 8, 8 }, { 0, 0 } },
	{ MSR_MTRR_DEF, 1, PLACE(def_type), { 1, 1 }, { ~0xcffull, ~0xcffull } },      /* the two bits enable the MTRRs and the fixed ones */
};

static const struct row *find_row(u32 msr)
{
	for (u32 i = 0; i < ARRAY_SIZE(rows); i++)
		if (msr - rows[i].msr < rows[i].nr)
			return &rows[i];
	return NULL;
}

u64 *mtrr_slot(struct hvm_hw_mtrr *m, u32 msr)
{
	const struct row *r = find_row(msr);

	return r ? (u64 *)m + r->place + (msr - r->msr) : NULL;
}

bool mtrr_allows(u32 msr, u64 val)
{
	const struct row *r = find_row(msr);
	u32 i = r ? (msr - r->msr) % 2 : 0;

	return r && !(val & r->reserved[i]) && hvm_valid_types(val, r->types[i], 6);
}

bool mtrrs_valid(const struct hvm_hw_mtrr *m)
{
	for (u32 i = 0; i < ARRAY_SIZE(rows); i++)
		for (u32 msr = rows[i].msr; msr < rows[i].msr + rows[i].nr; msr++)
			if (!mtrr_allows(msr, ((const u64 *)m)[rows[i].place + msr - rows[i].msr]))
				return false;
	return true;
}

void mtrr_init_domain(struct domain *d)
{
	d->mtrr.msr_mtrr_def_type = 0xc06;     /* enabled, fixed ranges too, default write-back */
	memset(d->mtrr.msr_mtrr_fixed, 6, sizeof(d->mtrr.msr_mtrr_fixed));
	for (u32 i = 0; d->privileged && i < ARRAY_SIZE(rows); i++)
		for (u32 msr = rows[i].msr; msr < rows[i].msr + rows[i].nr; msr++)
			rdmsr_safe(msr, mtrr_slot(&d->mtrr, msr));  /* nothing changes where the machine has none */
}
