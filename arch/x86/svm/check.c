/*
 * The rules of VMRUN over a VMCB: APM volume 2, 15.5.1 (canonicalization and consistency checks), and the reserved bits of what this hypervisor
 * uses. The CPU says of a refused entry only that it was; this says why. The unit tests run it over each control block that they build.
 */
#include <asm/hvm.h>
#include <asm/insn.h>
#include "arch/x86/svm/svm.h"
#include "arch/x86/svm/vmcb.h"

struct check { void (*broken)(const char *rule); unsigned count; };

static void rule(struct check *c, bool holds, const char *text)
{
	if (holds)
		return;
	c->broken(text);
	c->count++;
}

static bool is_frame(u64 a) { return !(a & ~PAGE_MASK) && !(a >> hvm_phys_bits); }

static void check_state(struct check *c, const struct vmcb *b)
{
	u64 known_efer = EFER_SCE | EFER_LME | EFER_LMA | EFER_NXE | EFER_SVME | EFER_FFXSR, cs_l = 1 << 9, cs_d = 1 << 10;
	bool long_mode = b->efer & EFER_LME && b->cr0 & CR0_PG;

	rule(c, b->efer & EFER_SVME, "EFER: SVME is clear");
	rule(c, !(b->efer & ~known_efer), "EFER: reserved bits");
	rule(c, !(b->cr0 & CR0_NW) || b->cr0 & CR0_CD, "CR0: NW without CD");
	rule(c, !(b->cr0 >> 32), "CR0: upper half");
	rule(c, !(b->cr3 >> hvm_phys_bits), "CR3: beyond the CPU's addresses");
	rule(c, !(b->cr4 >> 32), "CR4: upper half");
	rule(c, !(b->dr6 >> 32) && !(b->dr7 >> 32), "DR6 or DR7: upper half");
	rule(c, !long_mode || b->cr4 & CR4_PAE, "long mode without PAE");
	rule(c, !long_mode || b->cr0 & CR0_PE, "long mode without protection");
	rule(c, !long_mode || (b->cs.attr & (cs_l | cs_d)) != (cs_l | cs_d), "long mode with L and D in CS");
}

static void check_control(struct check *c, const struct vmcb *b)
{
	u64 type = b->eventinj & EVENT_TYPE, vector = b->eventinj & 0xff;

	rule(c, b->intercept_misc2 & INT2_VMRUN, "VMRUN is not intercepted");
	rule(c, b->asid, "ASID 0");
	rule(c, is_frame(b->iopm_pa) && is_frame(b->msrpm_pa), "permission maps: address");
	rule(c, !(b->np_enable & 1) || is_frame(b->n_cr3), "nested CR3");
	rule(c, b->tlb_control <= 1 || b->tlb_control == 3 || b->tlb_control == 7, "TLB control");
	if (!(b->eventinj & EVENT_VALID))
		return;
	rule(c, type == EVENT_INTR || type == EVENT_NMI || type == EVENT_EXCEPTION || type == 4 << 8, "event: reserved type");
	rule(c, type != EVENT_EXCEPTION || (vector < 32 && vector != 2), "event: not the vector of an exception");
	rule(c, !(b->eventinj & 0x7ffff000), "event: reserved bits");
}

unsigned svm_check_entry(const struct vmcb *b, void (*broken)(const char *rule))
{
	struct check c = { broken, 0 };

	check_state(&c, b);
	check_control(&c, b);
	return c.count;
}
