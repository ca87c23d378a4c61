/* The virtual machine control block: APM volume 2, appendix B. */
#ifndef SVM_VMCB_H
#define SVM_VMCB_H

struct vmcb_seg { u16 sel, attr; u32 limit; u64 base; };

struct vmcb {
	/* Control area */
	u32 intercept_cr, intercept_dr, intercept_exceptions, intercept_misc1, intercept_misc2, intercept_misc3;
	u8 reserved018[0x3c - 0x18];
	u16 pause_threshold, pause_count;
	u64 iopm_pa, msrpm_pa, tsc_offset;
	u32 asid;
	u8 tlb_control, reserved05d[3];
	u8 v_tpr, v_irq, v_prio, v_masking, v_vector, reserved065[3];
	u64 interrupt_shadow;
	u64 exitcode, exitinfo1, exitinfo2, exitintinfo;
	u64 np_enable;
	u8 reserved098[0xa8 - 0x98];
	u64 eventinj, n_cr3, lbr_control;
	u32 clean, reserved0c4;
	u64 nrip;
	u8 bytes_fetched, bytes[15];
	u8 reserved0e0[0x120 - 0xe0];
	u16 bus_lock_counter;
	u8 reserved122[0x400 - 0x122];
	/* State save area */
	struct vmcb_seg es, cs, ss, ds, fs, gs, gdtr, ldtr, idtr, tr;
	u8 reserved4a0[0x4cb - 0x4a0];
	u8 cpl;
	u32 reserved4cc;
	u64 efer;
	u8 reserved4d8[0x548 - 0x4d8];
	u64 cr4, cr3, cr0, dr7, dr6, rflags, rip;
	u8 reserved580[0x5d8 - 0x580];
	u64 rsp, s_cet, ssp, isst, rax, star, lstar, cstar, sfmask, kernel_gs_base, sysenter_cs, sysenter_esp, sysenter_eip, cr2;
	u8 reserved648[0x668 - 0x648];
	u64 g_pat, dbgctl;
	u8 reserved678[0x1000 - 0x678];
};

_Static_assert(offsetof(struct vmcb, pause_threshold) == 0x3c, "APM B.1");
_Static_assert(offsetof(struct vmcb, iopm_pa) == 0x40, "APM B.1");
_Static_assert(offsetof(struct vmcb, v_tpr) == 0x60, "APM B.1");
_Static_assert(offsetof(struct vmcb, exitcode) == 0x70, "APM B.1");
_Static_assert(offsetof(struct vmcb, eventinj) == 0xa8, "APM B.1");
_Static_assert(offsetof(struct vmcb, nrip) == 0xc8, "APM B.1");
_Static_assert(offsetof(struct vmcb, bus_lock_counter) == 0x120, "APM B.1");
_Static_assert(offsetof(struct vmcb, es) == 0x400, "APM B.2");
_Static_assert(offsetof(struct vmcb, cpl) == 0x4cb, "APM B.2");
_Static_assert(offsetof(struct vmcb, efer) == 0x4d0, "APM B.2");
_Static_assert(offsetof(struct vmcb, cr4) == 0x548, "APM B.2");
_Static_assert(offsetof(struct vmcb, rax) == 0x5f8, "APM B.2");
_Static_assert(offsetof(struct vmcb, cr2) == 0x640, "APM B.2");
_Static_assert(offsetof(struct vmcb, g_pat) == 0x668, "APM B.2");
_Static_assert(sizeof(struct vmcb) == 4096, "APM B");

/* intercept_cr, APM B.1 offset 000h */
enum { INTERCEPT_CR0_READ = 1u << 0, INTERCEPT_CR0_WRITE = 1u << 16 };
/* intercept_misc1, APM B.1 offset 00Ch */
enum {
	INT1_INTR = 1u << 0, INT1_NMI = 1u << 1, INT1_SMI = 1u << 2, INT1_INIT = 1u << 3, INT1_VINTR = 1u << 4,
	INT1_CR0_SEL_WRITE = 1u << 5, INT1_RDPMC = 1u << 15,
	INT1_CPUID = 1u << 18, INT1_IRET = 1u << 20, INT1_INVD = 1u << 22, INT1_HLT = 1u << 24, INT1_INVLPGA = 1u << 26,
	INT1_IOIO = 1u << 27, INT1_MSR = 1u << 28, INT1_FERR = 1u << 30, INT1_SHUTDOWN = 1u << 31,
};
/* intercept_misc2, offset 010h */
enum {
	INT2_VMRUN = 1u << 0, INT2_VMMCALL = 1u << 1, INT2_VMLOAD = 1u << 2, INT2_VMSAVE = 1u << 3, INT2_STGI = 1u << 4, INT2_CLGI = 1u << 5,
	INT2_SKINIT = 1u << 6, INT2_WBINVD = 1u << 9, INT2_MONITOR = 1u << 10, INT2_MWAIT = 1u << 11, INT2_MWAIT_ARMED = 1u << 12,
	INT2_XSETBV = 1u << 13, INT2_RDPRU = 1u << 14,
};

/* intercept_misc3, offset 014h */
enum { INT3_BUS_LOCK = 1u << 5 };

/* Exit codes, APM appendix C */
enum {
	VMEXIT_CR0_READ = 0x00, VMEXIT_CR0_WRITE = 0x10, VMEXIT_EXCP = 0x40, VMEXIT_INTR = 0x60, VMEXIT_NMI = 0x61, VMEXIT_SMI = 0x62,
	VMEXIT_INIT = 0x63, VMEXIT_VINTR = 0x64, VMEXIT_CR0_SEL_WRITE = 0x65,
	VMEXIT_RDPMC = 0x6f, VMEXIT_CPUID = 0x72, VMEXIT_IRET = 0x74, VMEXIT_INVD = 0x76, VMEXIT_HLT = 0x78, VMEXIT_INVLPGA = 0x7a,
	VMEXIT_IOIO = 0x7b, VMEXIT_MSR = 0x7c, VMEXIT_FERR = 0x7e, VMEXIT_SHUTDOWN = 0x7f, VMEXIT_VMRUN = 0x80, VMEXIT_VMMCALL = 0x81,
	VMEXIT_VMLOAD = 0x82, VMEXIT_VMSAVE = 0x83, VMEXIT_STGI = 0x84, VMEXIT_CLGI = 0x85, VMEXIT_SKINIT = 0x86, VMEXIT_WBINVD = 0x89,
	VMEXIT_MONITOR = 0x8a, VMEXIT_MWAIT = 0x8b, VMEXIT_MWAIT_ARMED = 0x8c, VMEXIT_XSETBV = 0x8d, VMEXIT_RDPRU = 0x8e, VMEXIT_BUS_LOCK = 0xa5, VMEXIT_NPF = 0x400,
};

#endif
