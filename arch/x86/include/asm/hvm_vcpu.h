/* The machine state of a vCPU that code above the vendor may read and write between exits. */
#ifndef ASM_HVM_VCPU_H
#define ASM_HVM_VCPU_H

/* In the order of the x86 register numbers, so that exit information can index them. */
struct cpu_regs {
	u64 rax, rcx, rdx, rbx, rsp, rbp, rsi, rdi, r8, r9, r10, r11, r12, r13, r14, r15;
	union { u64 rip; u32 eip; };
	u64 rflags;
};

/* Bits of rflags. */
#define RFLAGS_TF    BIT(8)
#define RFLAGS_IF    BIT(9)
#define RFLAGS_RF    BIT(16)
#define RFLAGS_VM    BIT(17)
#define RFLAGS_ONE   BIT(1)             /* always 1 */
#define RFLAGS_KNOWN ((u64)0x3f7fd7)    /* the others are always 0 */

/*
 * Only the CPU that runs the vCPU touches the fields, or the toolstack's calls while it runs
 * nowhere. The letters (s), (d) and (t) say what a move to another machine does with a field:
 * vmm/domain.h explains them.
 */
struct hvm_vcpu {
	struct cpu_regs regs;       /* (s) */
	void *control;              /* [I] (s) VMCB or VMCS, one page: struct hvm_state */
	void *vendor;               /* [I] (d) the vendor's own data: struct svm_vcpu or vmx_vcpu */
	void *xsave;                /* [I] (s) XSAVE area, 64-byte aligned: its contents */
	u64 xcr0;                   /* (s) XCR0 of the guest */
	u64 pat;                    /* (s) */
	u64 tsc_aux;                /* (s) */
	u64 dr[4];                  /* (s) while the vCPU is not loaded */
	mfn_t root;                 /* [I] (d) of the nested page table */
	const u64 *generation;      /* [I] (d) of that table: the p2m's tlb_gen, which a change raises */
	u64 tlb_gen;                /* (t) p2m generation from which this vCPU's TLB entries are */
	u64 asid_generation;        /* (t) */
	u32 asid_cpu;               /* (t) */
	/* (t) the vector offered to the guest for this entry, or 0; from its APIC or a callback */
	u8 offered;
	bool offered_by_apic;       /* (t) */
};

#endif
