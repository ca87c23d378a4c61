/*
 * The rules of VM entry about what is the hypervisor's alone: SDM volume 3, 27.2 (controls, the
 * event that is injected, host state). No guest comes near these fields, so ring 0 does without; its own rules are in
 * arch/x86/vmx/check.c.
 */
#include <asm/entry_check.h>
#include <asm/hvm.h>
#include <asm/insn.h>
#include <asm/vmx_insn.h>
#include "arch/x86/vmx/vmcs.h"
#include "arch/x86/vmx/vmx.h"
#include "tests/unit/fake_vmx.h"

static bool is_frame(u64 a) { return !(a & ~PAGE_MASK) && !(a >> hvm_phys_bits); }
static bool clear(u64 v, u64 bits) { return !(v & bits); }

/* 27.2.1.1 and 27.2.1.2 */
static void check_controls(struct check *c)
{
	u64 pin = vmread(PIN_CONTROLS), primary = vmread(PRIMARY_CONTROLS), secondary = vmread(SECONDARY_CONTROLS);

	rule(c, !(vmx_controls.pin & ~pin), "a pin-based control is missing");
	rule(c, !(vmx_controls.primary & ~primary), "a primary control is missing");
	rule(c, !(vmx_controls.secondary & ~secondary & ~(u64)(CPU2_WBINVD | CPU2_TSC_SCALING)), "a secondary control is missing");
	rule(c, !(secondary & CPU2_TSC_SCALING) || (primary & CPU_TSC_OFFSET && vmread(TSC_MULTIPLIER)), "TSC scaling without an offset or a ratio");
	rule(c, vmread(EXIT_CONTROLS) == vmx_controls.exit, "exit controls");
	rule(c, (vmread(ENTRY_CONTROLS) & ~(u64)ENTRY_GUEST_64) == vmx_controls.entry, "entry controls");
	rule(c, vmread(CR3_TARGET_COUNT) <= 4, "CR3-target count");
	rule(c, is_frame(vmread(IO_BITMAP_A)) && is_frame(vmread(IO_BITMAP_B)), "I/O bitmaps: address");
	rule(c, is_frame(vmread(MSR_BITMAP)), "MSR bitmap: address");
	rule(c, pin & PIN_NMI || clear(pin, PIN_VIRTUAL_NMI), "virtual NMIs without NMI exiting");
	rule(c, pin & PIN_VIRTUAL_NMI || clear(primary, CPU_NMI_WINDOW), "NMI-window exiting without virtual NMIs");
	rule(c, !(secondary & CPU2_VPID) || vmread(VPID), "VPID is 0");
	rule(c, !(secondary & CPU2_UNRESTRICTED) || secondary & CPU2_EPT, "unrestricted guest without EPT");
	rule(c, (vmread(EPT_POINTER) & 0xfff) == 0x1e && is_frame(vmread(EPT_POINTER) & PAGE_MASK), "EPT pointer");
	rule(c, !vmread(EXIT_MSR_STORE_COUNT) && !vmread(EXIT_MSR_LOAD_COUNT) && !vmread(ENTRY_MSR_LOAD_COUNT), "MSR lists, which are not used");
}

/* 27.2.1.3 */
static void check_event(struct check *c)
{
	u64 event = vmread(ENTRY_INTERRUPTION), type = event & EVENT_TYPE, error = event & EVENT_HAS_ERROR, vector = event & 0xff;
	u64 insn_length = vmread(ENTRY_INSN_LENGTH);
	u32 with_error = 1u << 8 | 1u << 10 | 1u << 11 | 1u << 12 | 1u << 13 | 1u << 14 | 1u << 17;
	bool has_code = type == EVENT_EXCEPTION && vmread(GUEST_CR0) & CR0_PE && vector < 32 && with_error >> vector & 1;

	if (!(event & EVENT_VALID))
		return;
	rule(c, type != 1 << 8 && type != 7 << 8, "event: reserved type");
	rule(c, type != EVENT_NMI || vector == 2, "event: an NMI with a vector other than 2");
	rule(c, type != EVENT_EXCEPTION || vector < 32, "event: an exception above 31");
	rule(c, has_code ? error : !error, "event: error code");
	rule(c, clear(event, 0x7ffff000), "event: reserved bits");
	rule(c, !error || !(vmread(ENTRY_ERROR_CODE) >> 16), "event: error code of more than 16 bits");
	rule(c, type < EVENT_SOFT_INTR || (insn_length && insn_length <= 15), "event: instruction length");
}

/* 27.2.2 to 27.2.4 */
static void check_host(struct check *c)
{
	u64 cr4 = vmread(HOST_CR4);
	static const u16 bases[] = { HOST_FS_BASE, HOST_GS_BASE, HOST_TR_BASE, HOST_GDTR_BASE, HOST_IDTR_BASE, HOST_SYSENTER_ESP, HOST_SYSENTER_EIP, HOST_RIP };
	static const u16 selectors[] = { HOST_ES, HOST_CS, HOST_SS, HOST_DS, HOST_FS, HOST_GS, HOST_TR };

	rule(c, !(vmx_cr0_fixed & ~vmread(HOST_CR0)), "host CR0: fixed bits");
	rule(c, !(vmx_cr4_fixed & ~cr4) && cr4 & CR4_PAE, "host CR4: fixed bits, PAE");
	rule(c, is_frame(vmread(HOST_CR3) & PAGE_MASK), "host CR3");
	for (unsigned i = 0; i < ARRAY_SIZE(bases); i++)
		rule(c, canonical(vmread(bases[i])), "host: an address is not canonical");
	for (unsigned i = 0; i < ARRAY_SIZE(selectors); i++)
		rule(c, clear(vmread(selectors[i]), 7), "host: a selector has a table or privilege bit");
	rule(c, vmread(HOST_CS) && vmread(HOST_TR), "host: CS or TR is null");
	rule(c, hvm_valid_pat(vmread(HOST_PAT)), "host PAT");
	rule(c, (vmread(HOST_EFER) & (EFER_LME | EFER_LMA)) == (EFER_LME | EFER_LMA), "host EFER is not in long mode");
}

unsigned fake_check_entry(void (*broken)(const char *rule))
{
	struct check c = { broken, 0 };

	check_controls(&c);
	check_event(&c);
	check_host(&c);
	return c.count + vmx_check_entry(broken);
}
