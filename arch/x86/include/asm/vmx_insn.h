/*
 * VMX instructions, one function each: SDM vol. 3, "VMX Instruction Reference", 31. The unit tests
 * put a software VMCS in their place.
 */
#ifndef ASM_VMX_INSN_H
#define ASM_VMX_INSN_H

/*
 * Returns true if the instruction succeeded. VMfailInvalid sets CF and VMfailValid sets ZF: both
 * are "not above".
 */
#define VMX_INSN(insn) \
	static inline bool insn(u64 pa) \
	{ \
		bool failed; \
	\
		__asm__ volatile(#insn " %1; setna %0" : "=q"(failed) : "m"(pa) : "cc", "memory"); \
		return !failed; \
	}
VMX_INSN(vmxon)
VMX_INSN(vmptrld)
VMX_INSN(vmclear)
#undef VMX_INSN

static inline u64 vmread(u64 field)
{
	u64 v;

	__asm__ volatile("vmread %1, %0" : "=rm"(v) : "r"(field) : "cc");
	return v;
}

/* As vmread, straight to memory. */
static inline void vmread_to(u64 field, u64 *to)
{
	__asm__ volatile("vmread %1, %0" : "=m"(*to) : "r"(field) : "cc");
}

static inline void vmwrite(u64 field, u64 v)
{
	__asm__ goto("vmwrite %1, %0; jna %l[failed]" :: "r"(field), "rm"(v) : "cc", "memory" : failed);
	return;
failed:
	BUG();
}

/* Flushes the translations of one EPTP (type 1). */
static inline void invept_single(u64 eptp)
{
	u64 descriptor[2] = { eptp, 0 };

	__asm__ volatile("invept %0, %1" :: "m"(descriptor), "r"(1ull) : "cc", "memory");
}

/* Flushes the translations of every VPID except 0 (type 2). */
static inline void invvpid_all(void)
{
	u64 descriptor[2] = { 0, 0 };

	__asm__ volatile("invvpid %0, %1" :: "m"(descriptor), "r"(2ull) : "cc", "memory");
}

#endif
