/* Shared by the files of the VMX vendor only. */
#ifndef VMX_VMX_H
#define VMX_VMX_H

#include <asm/hvm.h>

struct vcpu;
struct domain;
struct hvm_state;

/* MSRs that a guest changes without an exit and that neither entry nor exit switches: loaded and saved with the vCPU. */
enum { OWN_STAR, OWN_LSTAR, OWN_CSTAR, OWN_SFMASK, OWN_KERNEL_GS_BASE, NR_OWN_MSRS };
extern const u32 vmx_own_msrs[NR_OWN_MSRS];

struct vmx_vcpu {
	u64 pa;                         /* of the VMCS */
	bool launched;                  /* since it was cleared: VMRESUME */
	bool injecting;                 /* the next entry delivers an event */
	bool took_interrupt;            /* of the offer for this entry: it was injected */
	u32 primary;                    /* copies of fields: the primary controls, */
	u32 blocked;                    /* interruptibility, */
	u64 eptp;
	u64 slice_end;                  /* TSC */
	u64 own_msr[NR_OWN_MSRS], dr6, cr2;      /* while the vCPU is not loaded */
};

/* What the CPU can do, in the five words of controls as the VMCS wants them (SDM A.3 to A.5). */
struct vmx_controls { u32 pin, primary, secondary, exit, entry; };
extern struct vmx_controls vmx_controls;        /* [I] */
extern u32 vmx_revision;                        /* [I] */
extern u32 vmx_timer_shift;                     /* [I] the preemption timer counts the TSC shifted right by this */
extern bool vmx_1g_pages;                       /* [I] EPT has them */
extern u64 vmx_cr0_fixed, vmx_cr4_fixed;        /* [I] bits that have to be 1 in VMX operation */

/* NULL if this CPU has all that is needed, else the line that says what is missing. */
const char *vmx_find_capabilities(void);
/* Allows VMXON on this CPU; false if the firmware forbids it for good. */
bool vmx_unlock(void);

void vmx_vcpu_init(struct vcpu *v);
void vmx_vcpu_load(struct vcpu *v);
void vmx_vcpu_save(struct vcpu *v);
/* The loaded vCPU has a whole slice of time before it. */
void vmx_start_slice(struct vmx_vcpu *x);

/* Makes v's VMCS the current one, for a while if it isn't loaded; give back what it returns. */
bool vmx_borrow(const struct vcpu *v);
void vmx_give_back(const struct vcpu *v, bool borrowed);
void vmx_load_registers(const struct vmx_vcpu *x);
void vmx_save_registers(struct vmx_vcpu *x);

/*
 * Bits that the CPU has as VMX wants them, whatever the guest sees. Of CR0 it sees what it has set: caching is not its to switch off, and in
 * CR4 neither are machine checks. The others of CR4 it sees as 0, and may not set: VMX, SMX, five levels of paging, key locker, and whatever CPUs may get above protection keys.
 */
#define CR0_OWNED (CR0_NE | CR0_CD | CR0_NW)
#define CR4_VMXE  BIT(13)
#define CR4_OWNED (CR4_MCE | BIT(12) | CR4_VMXE | BIT(14) | BIT(19) | ~(CR4_PKE | (CR4_PKE - 1)))
u64 vmx_get_cr(const struct vcpu *v, int which);
void vmx_get_state(const struct vcpu *v, struct hvm_state *s);
void vmx_set_state(struct vcpu *v, const struct hvm_state *s);

/* Calls `broken` with each rule of SDM 27.3 that the current VMCS breaks; returns how many. */
unsigned vmx_check_entry(void (*broken)(const char *rule));
/* The same for a vCPU, whose VMCS may be anybody's. */
unsigned vmx_check(const struct vcpu *v, void (*broken)(const char *rule));

#endif
