/*
 * The vendor contract: what SVM and VMX do behind one screen of operations, chosen at boot by CPUID. A vendor only translates:
 * it runs a vCPU and returns what happened; what to do about it is decided above (vmm/exits.c).
 */
#ifndef ASM_HVM_H
#define ASM_HVM_H

#include <asm/hvm_vcpu.h>

struct vcpu;
struct domain;
struct hvm_hw_cpu;

enum exit_reason {
#define EXIT(name, label, fields) EXIT_##name,
#include <asm/exits.def>
#undef EXIT
	EXIT_REASONS
};

/* Written by the vendor; what the vendor can't know is added by who handles it, for the record. */
struct vm_exit {
	u32 reason;             /* enum exit_reason */
	u32 len;                /* instruction length for those that the handler completes */
	union {
		struct { u64 gpa; bool write, fetch, present; } npf;
		struct { u16 port; u8 size; bool in, string, rep; } io;
		struct { u8 vector; u32 error; } exc;
		struct { u8 reg; bool read; } cr8;      /* reg: number of the general register, as in struct cpu_regs */
		u8 acknowledged;        /* EXIT_INTERRUPT: the vector whose handler is due, or 0: it still waits */
		struct {
			u8 cpl; bool long_mode;
			u16 row; u32 op;        /* added: the row in the table, from 1; without one, number and sub-operation << 8 */
			u64 result;
		} call;                 /* EXIT_HYPERCALL */
		struct { u32 leaf, subleaf; } cpuid;    /* added */
		struct { u32 index; u64 value; } msr;   /* added */
		/*
		 * EXIT_UNKNOWN, EXIT_FAILED: the vendor's code; an exception still waits for its
		 * delivery
		 */
		struct { u64 code; bool undelivered; } odd;
		u64 word[2];
	};
};

/* Events that are injected, or were cut off, alike on both vendors' CPUs: APM 15.20, SDM 25.8.3 and 25.9.2. */
#define EVENT_VALID     BIT(31)
#define EVENT_HAS_ERROR BIT(11)
#define EVENT_TYPE      0x700ull
enum { EVENT_INTR = 0 << 8, EVENT_NMI = 2 << 8, EVENT_EXCEPTION = 3 << 8 };

enum { HVM_CR0, HVM_CR3, HVM_CR4, HVM_EFER, HVM_CR2 };
enum { HVM_SEG_ES, HVM_SEG_CS, HVM_SEG_SS, HVM_SEG_DS, HVM_SEG_FS, HVM_SEG_GS, HVM_SEG_TR, HVM_SEG_LDTR, HVM_SEG_GDTR, HVM_SEG_IDTR, HVM_NR_SEGS };

/* `ar` is the descriptor's attribute word as in VMX and in Xen's records: bits 7:0 type..P, 15:12 AVL, L, D, G. */
struct hvm_segment { u64 base; u32 limit; u16 sel, ar; };

/* Full architectural state that is not in struct cpu_regs: for resets, SIPI and the toolstack. */
struct hvm_state {
	u64 cr0, cr2, cr3, cr4, efer, dr6, dr7;
	struct hvm_segment seg[HVM_NR_SEGS];
	u64 star, lstar, cstar, sfmask, kernel_gs_base, sysenter_cs, sysenter_esp, sysenter_eip;
};

#define HVM_OPS(X) \
	X(const char *, probe, (void))                  /* NULL if usable, else what is missing */ \
	X(int,  cpu_enable, (void))                     /* this pCPU; -ENOMEM */ \
	X(void, open_msr, (u8 *map, u32 msr))           /* in the map of MSRs, for reading and writing */ \
	X(void, vcpu_init, (struct vcpu *v))            /* what belongs to it is there, zeroed */ \
	X(void, vcpu_load, (struct vcpu *v))            /* state onto this pCPU, which then is its place */ \
	X(void, vcpu_save, (struct vcpu *v)) \
	X(void, run, (struct vcpu *v, struct vm_exit *x)) /* enters the guest, returns with what ended it */ \
	X(void, offer_interrupt, (struct vcpu *v, u8 vector))   /* for the next entry: the guest takes it as soon as it can */ \
	X(bool, took_interrupt, (struct vcpu *v))       /* after the exit: did it? The offer is over. */ \
	X(void, inject_exception, (struct vcpu *v, u8 vector, bool has_error, u32 error)) \
	X(bool, inject_nmi, (struct vcpu *v))           /* false: not now */ \
	X(void, inject_step, (struct vcpu *v))          /* the #DB of RFLAGS.TF, behind an instruction */ \
	X(u64,  get_cr, (const struct vcpu *v, int which)) \
	X(void, set_efer, (struct vcpu *v, u64 efer))   /* value checked already */ \
	X(void, set_pat, (struct vcpu *v, u64 pat)) \
	X(void, get_state, (const struct vcpu *v, struct hvm_state *s)) \
	X(void, set_state, (struct vcpu *v, const struct hvm_state *s)) \
	/* Calls `broken` with each rule of entry that v's state breaks; returns how many */ \
	X(unsigned, check, (const struct vcpu *v, void (*broken)(const char *rule))) \
	X(int,  cpl, (const struct vcpu *v)) \
	X(void, dump, (const struct vcpu *v))

/* An MSR that stock kernels read without a net; writes are dropped. */
struct hvm_constant_msr { u32 msr; u64 val; };

struct hvm_ops {
	const char *name;
	size_t vcpu_size;       /* bytes at v->hvm.vendor */
	u8 hypercall_insn[3];   /* VMMCALL or VMCALL */
	struct { u8 closed_ports, dom0_ports, msrs; } orders;   /* of the maps: 2^order pages each */
	const struct hvm_constant_msr *constant_msrs;   /* what only this vendor's CPUs have; ends with msr 0 */
#define X(ret, op, args) ret (*op) args;
	HVM_OPS(X)
#undef X
};

extern const struct hvm_ops *hvm;       /* [I] the vendor of this machine */
extern const struct hvm_ops svm_ops, vmx_ops;

/*
 * The maps of ports and MSRs, where a set bit is an exit. Made once, before the first domain; `dom0_port` tells which ports the service
 * domain reaches without one. Returns 0, or -ENOMEM.
 */
struct hvm_maps { u8 *closed_ports, *dom0_ports, *msrs; };
extern struct hvm_maps hvm_maps;        /* [I] */
int hvm_make_maps(bool (*dom0_port)(u16 port));

/* Do the first n bytes of v name memory types (SDM 12.3), `most` at the most? PAT has 7, MTRRs don't. */
static inline bool hvm_valid_types(u64 v, unsigned n, u8 most)
{
	for (; n; n--, v >>= 8)
		if ((u8)v > most || (u8)v == 2 || (u8)v == 3)
			return false;
	return true;
}
static inline bool hvm_valid_pat(u64 pat) { return hvm_valid_types(pat, 8, 7); }

/*
 * The one place where RIP moves on, over `len` bytes; r are the registers of v. The lower half is
 * added to, and only its overflow, which is rare, asks what code this is: EIP wraps, RIP doesn't.
 * (IP doesn't wrap either: CPUs let it go on to 10000h, where the next fetch is beyond the limit of
 * most segments.)
 */
void hvm_carry_rip(struct vcpu *v);
static inline void hvm_advance(struct vcpu *v, struct cpu_regs *r, u32 len)
{
	if (unlikely(__builtin_add_overflow(r->eip, len, &r->eip)))
		hvm_carry_rip(v);
}

/*
 * The instruction of `len` bytes is done on the guest's behalf, whole: what the CPU does behind
 * each is done too.
 */
void hvm_end_instruction(struct vcpu *v);
static inline void hvm_complete(struct vcpu *v, struct cpu_regs *r, u32 len)
{
	hvm_advance(v, r, len);
	if (unlikely(r->rflags & (RFLAGS_TF | RFLAGS_RF)))
		hvm_end_instruction(v);
}

/* Puts right what can be of a state that the CPU refuses; true if that was something. */
bool hvm_mend(struct vcpu *v);
static inline u64 hvm_get_cr(const struct vcpu *v, int which) { return hvm->get_cr(v, which); }

/*
 * Chooses the vendor by CPUID: NULL and hvm set, or the reason why this CPU can't run guests. `guards`: with
 * all that is to be done against speculation.
 */
const char *hvm_select(bool guards);
/* Is this CPU QEMU's emulation? It has faults of its own: docs/testing.md. */
bool hvm_runs_on_tcg(void);
extern unsigned hvm_phys_bits;          /* [I] width of machine addresses */
extern u64 hvm_xcr0_mask;               /* [I] XSAVE states that vCPUs can have */
/* Virtualization on, on this pCPU. Panics without memory. */
void hvm_cpu_enable(void);
/* FPU and other state common to both vendors, allocated with the vCPU. -ENOMEM: hvm_vcpu_destroy is due then, too. */
int hvm_vcpu_init(struct vcpu *v);
void hvm_vcpu_destroy(struct vcpu *v);
void hvm_vcpu_load(struct vcpu *v);
void hvm_vcpu_save(struct vcpu *v);
/* Registers and state as at power-on (SDM 9.1.1, APM 14.1.3). */
void hvm_reset(struct vcpu *v);
/* Real mode at CS = vector << 8, as SIPI leaves a CPU. */
void hvm_start_sipi(struct vcpu *v, u8 vector);
/* 32-bit flat protected mode, paging off, at `eip`: abi.md A.2. */
void hvm_start_flat32(struct vcpu *v, u32 eip, u32 ebx, u32 esi);
/* The toolstack's record (libxc's vcpu_hvm); -EINVAL if the state could not be entered. vCPU not running. */
int hvm_set_context(struct vcpu *v, const struct hvm_hw_cpu *c);
void hvm_get_context(struct vcpu *v, struct hvm_hw_cpu *c);
/* Of such a record only the general registers, RIP, RFLAGS and the x87 and SSE state, and these replace the vCPU's. */
int hvm_set_registers(struct vcpu *v, const struct hvm_hw_cpu *c);
/* Sets XCR0 of v, which is current. Returns 0, or -EINVAL if the CPU refuses the value or a bit is not in `allowed`. */
int hvm_set_xcr0(struct vcpu *v, u64 xcr0, u64 allowed);
/* Notes what XCR0 the vCPU has, which is this CPU's current one. */
void hvm_sync_xcr0(struct vcpu *v);
void hvm_set_tsc_aux(struct vcpu *v, u64 val);

#endif
