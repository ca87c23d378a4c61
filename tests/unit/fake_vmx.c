/* VMCSs in software: a field is a word in an array of its VMCS. The rules of SDM 25.11 about which is current are kept. */
#include "tests/unit/fake_vendor.h"
#include <asm/vmx_insn.h>
#include "arch/x86/vmx/vmcs.h"
#include "arch/x86/vmx/vmx.h"
#include "tests/unit/fake_vmx.h"

enum { FIELDS = 0x7000, MOST = 32 };

static struct { u64 pa; u64 field[FIELDS]; bool launched; } vmcs[MOST], *current;
void (*fake_guest)(struct cpu_regs *regs);
unsigned fake_invepts, fake_invvpids;
bool fake_vmx_on;

bool vmxon(u64 pa) { return fake_vmx_on = *(u32 *)phys_to_virt(pa) == vmx_revision; }
void invept_single(u64 eptp) { fake_invepts++; }
void invvpid_all(void) { fake_invvpids++; }

/* A page that was never current before has rubbish in all fields, as far as anyone knows. */
bool vmptrld(u64 pa)
{
	u32 *page = phys_to_virt(pa);

	if (page[0] != vmx_revision)
		return false;
	for (current = vmcs; current->pa != pa && current->pa; current++)
		assert_true(current < vmcs + MOST - 1);
	current->pa = pa;
	if (!page[1])
		memset(current->field, 0x5a, sizeof(current->field));
	page[1] = 1;
	return true;
}

bool vmclear(u64 pa)
{
	if (!vmptrld(pa))
		return false;
	current->launched = false;
	current = NULL;
	return true;
}

u64 vmread(u64 field)
{
	if (!current)
		fail_msg("VMREAD of %#lx with no VMCS", (unsigned long)field);
	return current->field[field];
}

void vmwrite(u64 field, u64 v)
{
	if (!current)
		fail_msg("VMWRITE of %#lx with no VMCS", (unsigned long)field);
	current->field[field] = v;
}

char vmx_exit_plain[1], vmx_exit_guarded[1];

/* The host's part of entry that the assembly does, the checks, and what an exit leaves behind. */
bool vmx_enter_plain(struct cpu_regs *regs, bool launched);
bool vmx_enter_guarded(struct cpu_regs *regs, bool launched);
bool vmx_enter_guarded(struct cpu_regs *regs, bool launched) { fail_msg("nothing asks for guards"); return false; }
bool vmx_enter_plain(struct cpu_regs *regs, bool launched)
{
	assert_true(current && current->launched == launched);
	if (fake_check_entry(fake_rule_counts)) {
		vmwrite(EXIT_REASON, EXIT_ENTRY_FAILED | 33);
		return true;
	}
	current->launched = true;
	vmwrite(ENTRY_INTERRUPTION, vmread(ENTRY_INTERRUPTION) & ~EVENT_VALID);
	vmwrite(IDT_VECTORING, 0);
	if (fake_guest)
		fake_guest(regs);
	return true;
}

/* A CPU with all that is used; "may" bits everywhere, and the defaults that must be 1. */
void fake_vmx_machine(void)
{
	static const u32 must[] = { 0x16, 0x4006172, 0, 0x36dfb, 0x11fb };
	static const u32 msr[] = { 0x48d, 0x48e, 0x48b, 0x48f, 0x490 };

	for (unsigned i = 0; i < 5; i++)
		fake_msr(msr[i], (u64)~0u << 32 | must[i]);
	fake_msr(0x3a, 5);
	fake_msr(0x480, BIT(55) | 0x12);
	fake_msr(0x485, BIT(5) | 5);
	fake_msr(0x486, 0x80000021);
	fake_msr(0x488, 0x2000);
	fake_msr(0x489, 0x777fff);
	fake_msr(0x48c, 0xf0106334141);
	fake_msr(0x277, 0x0007040600070406);
	fake_msr(0xc0000080, EFER_LME | EFER_LMA | EFER_NXE);
	for (unsigned i = 0; i < NR_OWN_MSRS; i++)
		fake_msr(vmx_own_msrs[i], 0);
}
