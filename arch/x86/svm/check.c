/*
 * The rules of VMRUN for a VMCB's state: APM volume 2, 15.5.1 (canonicalization and consistency
 * checks), and the reserved bits of the fields that we use. The CPU says only that it refused an
 * entry; this says why. The unit tests check each control block that they build with these rules
 * and with those for the hypervisor's own fields.
 */
#include <asm/entry_check.h>
#include <asm/hvm.h>
#include <asm/insn.h>
#include "arch/x86/svm/svm.h"

/*
 * The bits of CR4 that this CPU knows: APM, "CR4 Register", 3.1.3. CPUID is asked for those that a
 * CPU with SVM, nested paging and XSAVE may lack.
 */
static u64 known_cr4(void)
{
	struct cpuid_regs f = cpuid(7, 0);

	return 0x7ff | CR4_OSXSAVE | (cpuid(1, 0).c & 1u << 17 ? CR4_PCIDE : 0) | (f.c & 1u << 3 ? CR4_PKE : 0) |
	       (f.b & 1u << 0 ? BIT(16) : 0) /* FSGSBASE */ | (f.b & 1u << 7 ? BIT(20) : 0) /* SMEP */ |
	       (f.b & 1u << 20 ? BIT(21) : 0) /* SMAP */ | (f.c & 1u << 2 ? BIT(11) : 0) /* UMIP */ |
	       (f.c & 1u << 7 ? BIT(23) : 0) /* CET */ | (f.c & 1u << 16 ? BIT(12) : 0) /* LA57 */;
}

/*
 * The reasons why a guest can't reach a state that breaks one of these:
 * - EFER: the guest writes it by vmm/cpu/msr.c, which knows its bits, and LME doesn't change with
 *   paging on. LMA is the CPU's.
 * - CR0: NW without CD is #GP, and the VMCB has neither (cr0.c). PG without PE is #GP too, as is PG
 *   without PAE when LME is set.
 * - CR3, CR4, DR6, DR7: reserved bits are #GP. QEMU's TCG refuses the entry instead for CR3 and
 *   CR4; vmm/exits.c then raises the #GP.
 * - CS with L and D: far transfers check it in long mode, and MOV to CR0 checks CS.L when it begins
 *   long mode. TCG doesn't check: hvm_mend().
 * - PAT: vmm/cpu/msr.c knows its types. VMRUN makes base addresses canonical by itself, and accepts
 *   any RIP, RFLAGS and other attributes of segments.
 * - States from the toolstack are checked by these rules (arch/x86/hvm.c).
 */
unsigned svm_check(const struct vcpu *v, void (*broken)(const char *rule))
{
	const struct vmcb *b = vmcb_of(v);
	struct check c = { broken, 0 };
	u64 known_efer = EFER_SCE | EFER_LME | EFER_LMA | EFER_NXE | EFER_SVME, cs_l = 1 << 9, cs_d = 1 << 10;
	bool long_mode = b->efer & EFER_LME && b->cr0 & CR0_PG;
	u64 ffxsr = cpuid(0x80000001, 0).d & 1u << 25 ? EFER_FFXSR : 0;

	rule(&c, b->efer & EFER_SVME, "EFER: SVME is clear");
	rule(&c, !(b->efer & ~(known_efer | ffxsr)), "EFER: reserved bits");
	rule(&c, !(b->cr0 & CR0_NW) || b->cr0 & CR0_CD, "CR0: NW without CD");
	rule(&c, !(b->cr0 >> 32), "CR0: upper half");
	rule(&c, !(b->cr3 >> hvm_phys_bits), "CR3: beyond the CPU's addresses");
	rule(&c, !(b->cr4 >> 32), "CR4: upper half");
	rule(&c, !(b->cr4 & ~known_cr4()), "CR4: reserved bits");
	rule(&c, !(b->dr6 >> 32) && !(b->dr7 >> 32), "DR6 or DR7: upper half");
	rule(&c, hvm_valid_pat(b->g_pat), "PAT");
	rule(&c, !long_mode || b->cr4 & CR4_PAE, "long mode without PAE");
	rule(&c, !long_mode || b->cr0 & CR0_PE, "long mode without protection");
	rule(&c, !long_mode || (b->cs.attr & (cs_l | cs_d)) != (cs_l | cs_d), "long mode with L and D in CS");
	return c.count;
}
