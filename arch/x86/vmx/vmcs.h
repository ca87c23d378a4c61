/*
 * The virtual machine control structure: SDM volume 3, chapter 25 and appendix B, by the manual's
 * names.
 */
#ifndef VMX_VMCS_H
#define VMX_VMCS_H

/* Fields, appendix B. */
enum {
	VPID = 0x0000, GUEST_SELECTOR = 0x0800, HOST_ES = 0x0c00, HOST_CS = 0x0c02, HOST_SS = 0x0c04, HOST_DS = 0x0c06, HOST_FS = 0x0c08,
	HOST_GS = 0x0c0a, HOST_TR = 0x0c0c,
	IO_BITMAP_A = 0x2000, IO_BITMAP_B = 0x2002, MSR_BITMAP = 0x2004, TSC_OFFSET = 0x2010, EPT_POINTER = 0x201a, TSC_MULTIPLIER = 0x2032,
	GUEST_PHYSICAL_ADDRESS = 0x2400,
	VMCS_LINK_POINTER = 0x2800, GUEST_DEBUGCTL = 0x2802, GUEST_PAT = 0x2804, GUEST_EFER = 0x2806, GUEST_PDPTE = 0x280a, HOST_PAT = 0x2c00, HOST_EFER = 0x2c02,
	PIN_CONTROLS = 0x4000, PRIMARY_CONTROLS = 0x4002, EXCEPTION_BITMAP = 0x4004, CR3_TARGET_COUNT = 0x400a, EXIT_CONTROLS = 0x400c,
	EXIT_MSR_STORE_COUNT = 0x400e, EXIT_MSR_LOAD_COUNT = 0x4010, ENTRY_CONTROLS = 0x4012, ENTRY_MSR_LOAD_COUNT = 0x4014,
	ENTRY_INTERRUPTION = 0x4016, ENTRY_ERROR_CODE = 0x4018, ENTRY_INSN_LENGTH = 0x401a, SECONDARY_CONTROLS = 0x401e,
	INSTRUCTION_ERROR = 0x4400, EXIT_REASON = 0x4402, EXIT_INTERRUPTION = 0x4404, EXIT_ERROR_CODE = 0x4406, IDT_VECTORING = 0x4408,
	IDT_VECTORING_ERROR = 0x440a, EXIT_INSN_LENGTH = 0x440c,
	GUEST_LIMIT = 0x4800, GUEST_ACCESS = 0x4814, GUEST_INTERRUPTIBILITY = 0x4824, GUEST_ACTIVITY = 0x4826, GUEST_SYSENTER_CS = 0x482a,
	PREEMPTION_TIMER = 0x482e, HOST_SYSENTER_CS = 0x4c00,
	CR0_MASK = 0x6000, CR4_MASK = 0x6002, CR0_SHADOW = 0x6004, CR4_SHADOW = 0x6006, EXIT_QUALIFICATION = 0x6400,
	GUEST_CR0 = 0x6800, GUEST_CR3 = 0x6802, GUEST_CR4 = 0x6804, GUEST_BASE = 0x6806, GUEST_DR7 = 0x681a, GUEST_RSP = 0x681c,
	GUEST_RIP = 0x681e, GUEST_RFLAGS = 0x6820, GUEST_PENDING_DEBUG = 0x6822, GUEST_SYSENTER_ESP = 0x6824, GUEST_SYSENTER_EIP = 0x6826,
	HOST_CR0 = 0x6c00, HOST_CR3 = 0x6c02, HOST_CR4 = 0x6c04, HOST_FS_BASE = 0x6c06, HOST_GS_BASE = 0x6c08, HOST_TR_BASE = 0x6c0a,
	HOST_GDTR_BASE = 0x6c0c, HOST_IDTR_BASE = 0x6c0e, HOST_SYSENTER_ESP = 0x6c10, HOST_SYSENTER_EIP = 0x6c12, HOST_RSP = 0x6c14,
	HOST_RIP = 0x6c16,
};

/*
 * The fields of a segment, in the order of the encodings. GDTR and IDTR have no selector and no
 * access rights.
 */
enum { SEG_ES, SEG_CS, SEG_SS, SEG_DS, SEG_FS, SEG_GS, SEG_LDTR, SEG_TR, SEG_GDTR, SEG_IDTR };
#define SEG_FIELD(first, seg) ((first) + 2u * (seg))

/* Access rights: as in the descriptor, and a bit for segments that can't be used. */
enum { ACCESS_S = 1 << 4, ACCESS_P = 1 << 7, ACCESS_L = 1 << 13, ACCESS_DB = 1 << 14, ACCESS_G = 1 << 15, ACCESS_UNUSABLE = 1 << 16 };
#define ACCESS_DPL(access) ((access) >> 5 & 3)

/* SDM vol. 3, "Pin-Based VM-Execution Controls", 25.6.1. */
enum { PIN_EXTERNAL_INTERRUPT = 1u << 0, PIN_NMI = 1u << 3, PIN_VIRTUAL_NMI = 1u << 5, PIN_PREEMPTION_TIMER = 1u << 6 };
/* "Processor-Based VM-Execution Controls", 25.6.2: primary and secondary. */
enum {
	CPU_INTERRUPT_WINDOW = 1u << 2, CPU_TSC_OFFSET = 1u << 3, CPU_HLT = 1u << 7, CPU_INVLPG = 1u << 9, CPU_MWAIT = 1u << 10, CPU_RDPMC = 1u << 11, CPU_CR3_LOAD = 1u << 15, CPU_CR3_STORE = 1u << 16,
	CPU_CR8_LOAD = 1u << 19, CPU_CR8_STORE = 1u << 20, CPU_NMI_WINDOW = 1u << 22, CPU_IO_BITMAPS = 1u << 25, CPU_MSR_BITMAPS = 1u << 28,
	CPU_MONITOR = 1u << 29, CPU_SECONDARY = 1u << 31,
};
enum {
	CPU2_EPT = 1u << 1, CPU2_RDTSCP = 1u << 3, CPU2_VPID = 1u << 5, CPU2_WBINVD = 1u << 6, CPU2_UNRESTRICTED = 1u << 7, CPU2_INVPCID = 1u << 12,
	CPU2_TSC_SCALING = 1u << 25, CPU2_BUS_LOCK = 1u << 30,
};
/* "VM-Exit Controls", 25.7.1, and "VM-Entry Controls", 25.8.1. */
enum {
	EXIT_SAVE_DEBUG = 1u << 2, EXIT_HOST_64 = 1u << 9, EXIT_ACK_INTERRUPT = 1u << 15, EXIT_LOAD_PAT = 1u << 19, EXIT_SAVE_EFER = 1u << 20,
	EXIT_LOAD_EFER = 1u << 21,
};
enum { ENTRY_LOAD_DEBUG = 1u << 2, ENTRY_GUEST_64 = 1u << 9, ENTRY_LOAD_PAT = 1u << 14, ENTRY_LOAD_EFER = 1u << 15 };

/* Basic exit reasons, appendix C. */
enum {
	VMX_EXCEPTION = 0, VMX_INTERRUPT = 1, VMX_TRIPLE_FAULT = 2, VMX_INIT = 3, VMX_SIPI = 4, VMX_INTERRUPT_WINDOW = 7, VMX_NMI_WINDOW = 8,
	VMX_CPUID = 10, VMX_GETSEC = 11, VMX_HLT = 12, VMX_INVD = 13, VMX_RDPMC = 15, VMX_VMCALL = 18, VMX_VMCLEAR = 19, VMX_VMXON = 27,
	VMX_CR_ACCESS = 28, VMX_IO = 30, VMX_RDMSR = 31, VMX_WRMSR = 32, VMX_MWAIT = 36, VMX_MONITOR = 39, VMX_ENTRY_MC = 41,
	VMX_EPT_VIOLATION = 48, VMX_INVEPT = 50, VMX_PREEMPTION_TIMER = 52, VMX_INVVPID = 53, VMX_WBINVD = 54, VMX_XSETBV = 55, VMX_VMFUNC = 59, VMX_BUS_LOCK = 74,
};
/*
 * Bits above the 16 of the basic reason. EXIT_BUS_LOCKED needs its control, and may come together
 * with any exit (25.9.1).
 */
#define EXIT_ENTRY_FAILED BIT(31)
#define EXIT_BUS_LOCKED BIT(26)

/*
 * Interruption information: the parts that SVM does not have. asm/hvm.h has the others, and the
 * sections of the manual.
 */
/* the exiting IRET had unblocked NMIs already: "NMI Unblocking Due to IRET", 28.2.3 */
#define NMI_UNBLOCKED   BIT(12)
enum { EVENT_SOFT_INTR = 4 << 8, EVENT_ICEBP = 5 << 8, EVENT_SOFT_EXCEPTION = 6 << 8 };

/*
 * Interruptibility and pending debug exceptions: SDM vol. 3, "Guest Non-Register State", 25.4.2.
 * Bit 12 says that a debug exception is due; the bits below say which, as in DR6.
 */
enum { BLOCKED_BY_STI = 1, BLOCKED_BY_MOV_SS = 2, BLOCKED_BY_NMI = 8 };
enum { PENDING_BREAKPOINT = 1 << 12, PENDING_STEP = 1 << 14, PENDING_RTM = 1 << 16 };

#endif
