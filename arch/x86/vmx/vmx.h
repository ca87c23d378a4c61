/* Declarations that only the files of the VMX vendor use. */
#ifndef VMX_VMX_H
#define VMX_VMX_H

#include <asm/hvm.h>
#include "vmm/vcpu.h"

/*
 * MSRs that a guest changes without an exit and that neither entry nor exit switches. So they are
 * loaded and saved with the vCPU.
 */
enum { OWN_STAR, OWN_LSTAR, OWN_CSTAR, OWN_SFMASK, OWN_KERNEL_GS_BASE, NR_OWN_MSRS };
extern const u32 vmx_own_msrs[NR_OWN_MSRS];

struct vmx_vcpu {
	u64 pa;                         /* machine address of the VMCS */
	/* entered since it was cleared: the next entry is VMRESUME */
	bool launched;
	bool injecting;                 /* the next entry delivers an event */
	bool took_interrupt;            /* the offer for this entry was injected */
	u32 primary;                    /* copy of the field PRIMARY_CONTROLS */
	u32 blocked;                    /* copy of the field GUEST_INTERRUPTIBILITY */
	u64 eptp;
	u64 slice_end;                  /* TSC at the end of the slice of time */
	u64 own_msr[NR_OWN_MSRS], dr6, cr2;      /* while the vCPU is not loaded */
};

static inline struct vmx_vcpu *vmx_of(const struct vcpu *v) { return v->hvm.vendor; }

/* The CPU's capabilities in the five words of controls, as the VMCS wants them (SDM A.3 to A.5). */
struct vmx_controls { u32 pin, primary, secondary, exit, entry; };
extern struct vmx_controls vmx_controls;        /* [I] */
extern u32 vmx_revision;                        /* [I] */
/* [I] the preemption timer counts the TSC shifted right by this */
extern u32 vmx_timer_shift;
extern bool vmx_1g_pages;                       /* [I] EPT can map 1 GiB pages */
extern u64 vmx_cr0_fixed, vmx_cr4_fixed;        /* [I] bits that have to be 1 in VMX operation */

/*
 * Finds the capabilities of this CPU. Returns NULL if it has all that we need, else the line that
 * names the missing one.
 */
const char *vmx_find_capabilities(void);
/* Allows VMXON on this CPU. Returns false if the firmware forbids it until the next reset. */
bool vmx_unlock(void);

/* These three are the contract's (asm/hvm.h). */
void vmx_vcpu_init(struct vcpu *v);
void vmx_vcpu_load(struct vcpu *v);
void vmx_vcpu_save(struct vcpu *v);
/* Sets the host fields of the current VMCS that are this CPU's. */
void vmx_set_host_state(void);
/* Gives the loaded vCPU a whole slice of time. */
void vmx_start_slice(struct vmx_vcpu *x);

/*
 * vmx_borrow makes v's VMCS the current one if it isn't. Hand its result to vmx_give_back, which
 * undoes it.
 */
bool vmx_borrow(const struct vcpu *v);
void vmx_give_back(const struct vcpu *v, bool borrowed);
/* Load and save the registers of the loaded vCPU that neither entry nor exit switches. */
void vmx_load_registers(const struct vmx_vcpu *x);
void vmx_save_registers(struct vmx_vcpu *x);

/*
 * Bits that we own: VMX needs a value in them, whatever the guest sees. In CR0 the guest sees what
 * it has set, but it can't switch caching off. In CR4 the same holds for machine checks. It sees
 * the other bits of CR4 as 0 and may not set them: VMX, SMX, five levels of paging, key locker, and
 * all bits above protection keys that CPUs may get.
 */
#define CR0_OWNED (CR0_NE | CR0_CD | CR0_NW)
#define CR4_VMXE  BIT(13)
#define CR4_OWNED (CR4_MCE | BIT(12) | CR4_VMXE | BIT(14) | BIT(19) | ~(CR4_PKE | (CR4_PKE - 1)))
/* These three are the contract's too; they borrow the VMCS if v isn't loaded. */
u64 vmx_get_cr(const struct vcpu *v, int which);
void vmx_get_state(const struct vcpu *v, struct hvm_state *s);
void vmx_set_state(struct vcpu *v, const struct hvm_state *s);

/* Calls `broken` for each rule of SDM 27.3 that the current VMCS breaks. Returns their number. */
unsigned vmx_check_entry(void (*broken)(const char *rule));
/* As vmx_check_entry, for a vCPU whose VMCS need not be the current one. */
unsigned vmx_check(const struct vcpu *v, void (*broken)(const char *rule));

#endif
