/*
 * A vCPU's VMCS: making it, loading it on a CPU and taking it off. SDM vol. 3, "Software Use of the
 * VMCS and Related Structures", 25.11.
 */
#include <asm/cpu.h>
#include <asm/hvm.h>
#include <asm/insn.h>
#include <asm/page.h>
#include <asm/speculation.h>
#include <asm/time.h>
#include <asm/traps.h>
#include <asm/vmx_insn.h>
#include "arch/x86/vmx/vmcs.h"
#include "arch/x86/vmx/vmx.h"
#include "vmm/domain.h"

/*
 * A guest's run ends after this slice of time, and interrupts are taken then. Interrupts end a run
 * by themselves, but Bochs 2.7 delays them while the guest has interrupts off; so a guest that only
 * made hypercalls kept the CPU. The timer counts only while the guest runs. A hypercall that is
 * continued again and again lets the guest run only for an instant each time. So the TSC says when
 * the slice is over, and the timer ends a run without other exits.
 */
#define SLICE_US 2000u

extern char vmx_exit_plain[], vmx_exit_guarded[];       /* where enter.S comes back after an exit */

void vmx_start_slice(struct vmx_vcpu *x)
{
	u64 cycles = (u64)time_scale.tsc_khz * SLICE_US / 1000;

	x->slice_end = ~0ull;
	if (!(vmx_controls.pin & PIN_PREEMPTION_TIMER))
		return;
	x->slice_end = rdtsc() + cycles;
	vmwrite(PREEMPTION_TIMER, cycles >> vmx_timer_shift);
}

/*
 * Fields that we don't use: lists of MSRs and guests' DebugCtl. The hypervisor needs neither
 * SYSENTER nor the segments of user mode.
 */
static const u16 zero_fields[] = {
	CR3_TARGET_COUNT, EXIT_MSR_STORE_COUNT, EXIT_MSR_LOAD_COUNT, ENTRY_MSR_LOAD_COUNT, GUEST_DEBUGCTL,
	HOST_FS, HOST_GS, HOST_FS_BASE, HOST_SYSENTER_CS, HOST_SYSENTER_ESP, HOST_SYSENTER_EIP,
};

static void set_controls(const struct vcpu *v)
{
	struct vmx_vcpu *x = vmx_of(v);
	bool privileged = v->domain->privileged;

	vmwrite(PIN_CONTROLS, vmx_controls.pin);
	vmwrite(PRIMARY_CONTROLS, x->primary);
	vmwrite(EXIT_CONTROLS, vmx_controls.exit);
	/* As with SVM: a guest's own tables can raise #DB and #AC without end, and #MC is ours. */
	vmwrite(EXCEPTION_BITMAP, 1u << VECTOR_DB | 1u << VECTOR_AC | 1u << VECTOR_MC);
	vmwrite(EPT_POINTER, x->eptp);
	vmwrite(CR0_MASK, CR0_OWNED);
	vmwrite(CR4_MASK, CR4_OWNED);
	vmwrite(VMCS_LINK_POINTER, ~0ull);
	/* A guest's two I/O bitmaps are the same page; the service domain's two are neighbours. */
	vmwrite(IO_BITMAP_A, virt_to_phys(privileged ? hvm_maps.dom0_ports : hvm_maps.closed_ports));
	vmwrite(IO_BITMAP_B, virt_to_phys(privileged ? hvm_maps.dom0_ports + PAGE_SIZE : hvm_maps.closed_ports));
	vmwrite(MSR_BITMAP, virt_to_phys(hvm_maps.msrs));
}

/* Sets the host fields that are the same on every CPU. */
static void set_host_state(void)
{
	vmwrite(HOST_CS, SEL_CODE);
	vmwrite(HOST_SS, SEL_DATA);
	vmwrite(HOST_DS, SEL_DATA);
	vmwrite(HOST_ES, SEL_DATA);
	vmwrite(HOST_TR, SEL_TSS);
	vmwrite(HOST_PAT, rdmsr(MSR_PAT));
	vmwrite(HOST_EFER, rdmsr(MSR_EFER));
	vmwrite(HOST_RIP, (u64)(speculation & SPEC_GUARDS ? vmx_exit_guarded : vmx_exit_plain));
}

void vmx_set_host_state(void)
{
	struct desc_bases bases = desc_bases(cpu_id());

	vmwrite(HOST_CR0, read_cr0());
	vmwrite(HOST_CR3, read_cr3());
	vmwrite(HOST_CR4, read_cr4());
	vmwrite(HOST_GS_BASE, (u64)this_cpu());
	vmwrite(HOST_TR_BASE, bases.tss);
	vmwrite(HOST_GDTR_BASE, bases.gdt);
	vmwrite(HOST_IDTR_BASE, bases.idt);
}

void vmx_vcpu_init(struct vcpu *v)
{
	struct vmx_vcpu *x = vmx_of(v);
	bool borrowed;

	*(u32 *)v->hvm.control = vmx_revision;
	x->pa = virt_to_phys(v->hvm.control);
	x->primary = vmx_controls.primary;
	/*
	 * Four levels, tables in write-back memory: SDM vol. 3, "Extended-Page-Table Pointer
	 * (EPTP)", 25.6.11.
	 */
	x->eptp = v->hvm.root.v << PAGE_SHIFT | 3 << 3 | 6;
	BUG_ON(!vmclear(x->pa));
	borrowed = vmx_borrow(v);
	set_controls(v);
	set_host_state();
	for (unsigned i = 0; i < ARRAY_SIZE(zero_fields); i++)
		vmwrite(zero_fields[i], 0);
	vmx_give_back(v, borrowed);
}

void vmx_vcpu_load(struct vcpu *v)
{
	struct vmx_vcpu *x = vmx_of(v);

	BUG_ON(!vmptrld(x->pa));
	vmx_set_host_state();
	vmx_start_slice(x);
	vmx_load_registers(x);
}

/* VMCLEAR writes the VMCS back to memory: the vCPU's next CPU may be another one (25.11.1). */
void vmx_vcpu_save(struct vcpu *v)
{
	struct vmx_vcpu *x = vmx_of(v);

	vmx_save_registers(x);
	BUG_ON(!vmclear(x->pa));
	x->launched = false;
}
