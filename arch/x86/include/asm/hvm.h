/*
 * The vendor contract: the operations of SVM and VMX on one screen. The boot CPU chooses a vendor
 * by CPUID. A vendor only translates: it runs a vCPU and returns the reason why the run ended. The
 * code above (vmm/exits.c) decides how to handle it.
 */
#ifndef ASM_HVM_H
#define ASM_HVM_H

#include <asm/hvm_keeper.h>
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

/* The vendor fills this in. The handler adds the fields marked "added", for the record. */
struct vm_exit {
	u32 reason;             /* enum exit_reason */
	u32 len;                /* length of the instruction, if the handler has to complete it */
	union {
		/* indirect: not the instruction's own access, but of page tables or an event's delivery */
		struct { u64 gpa; bool write, fetch, present, indirect; } npf;
		struct { u16 port; u8 size; bool in, string, rep; } io;
		struct { u8 vector; u32 error; } exc;
		struct { u8 reg; bool read; } cr8;      /* reg: number of the general register, as in struct cpu_regs */
		/*
		 * EXIT_INTERRUPT: the vector whose handler must run now; 0: the interrupt still
		 * waits
		 */
		u8 acknowledged;
		struct {
			u8 cpl; bool long_mode;
			/*
			 * added: row of the table, from 1; without one: number | sub-operation << 8
			 */
			u16 row; u32 op;
			u64 result;
		} call;                 /* EXIT_HYPERCALL */
		struct { u32 leaf, subleaf; } cpuid;    /* added */
		struct { u32 index; u64 value; } msr;   /* added */
		/*
		 * EXIT_UNKNOWN, EXIT_FAILED: the vendor's code. `undelivered`: an exception still
		 * waits for its delivery.
		 */
		struct { u64 code; bool undelivered; } odd;
		u64 word[2];
	};
};

/*
 * Events that we inject, or whose delivery an exit cut off. Both vendors' CPUs encode them alike:
 * APM, "Event Injection", 15.20; SDM vol. 3, "VM-Entry Controls for Event Injection", 25.8.3, and
 * "Information for VM Exits Due to Vectored Events", 25.9.2.
 */
#define EVENT_VALID     BIT(31)
#define EVENT_HAS_ERROR BIT(11)
#define EVENT_TYPE      0x700ull
enum { EVENT_INTR = 0 << 8, EVENT_NMI = 2 << 8, EVENT_EXCEPTION = 3 << 8 };

enum { HVM_CR0, HVM_CR3, HVM_CR4, HVM_EFER, HVM_CR2 };
enum { HVM_SEG_ES, HVM_SEG_CS, HVM_SEG_SS, HVM_SEG_DS, HVM_SEG_FS, HVM_SEG_GS, HVM_SEG_TR, HVM_SEG_LDTR, HVM_SEG_GDTR, HVM_SEG_IDTR, HVM_NR_SEGS };

/*
 * `ar` is the descriptor's attribute word, as in VMX and in Xen's records: type..P in bits 7:0, and
 * AVL, L, D, G in 15:12.
 */
struct hvm_segment { u64 base; u32 limit; u16 sel, ar; };

/*
 * The architectural state that struct cpu_regs does not have: for resets, SIPI and the toolstack.
 * `event` is delivered by the next entry; 0: none. Its error code is in bits 63:32.
 */
struct hvm_state {
	u64 event;
	u64 cr0, cr2, cr3, cr4, efer, dr6, dr7;
	struct hvm_segment seg[HVM_NR_SEGS];
	u64 star, lstar, cstar, sfmask, kernel_gs_base, sysenter_cs, sysenter_esp, sysenter_eip;
};

#define HVM_OPS(X) \
	X(const char *, probe, (void))                  /* NULL, or the feature it lacks */ \
	X(int,  cpu_enable, (void))                     /* on this CPU; 0, or -ENOMEM */ \
	X(void, open_msr, (u8 *map, u32 msr))           /* guests use the MSR without an exit */ \
	X(void, vcpu_init, (struct vcpu *v))            /* its memory is allocated and zeroed */ \
	X(void, vcpu_load, (struct vcpu *v))            /* loads its state onto this CPU */ \
	X(void, vcpu_save, (struct vcpu *v)) \
	X(void, run, (struct vcpu *v, struct vm_exit *x)) /* enters the guest; *x: why it left */ \
	X(void, offer_interrupt, (struct vcpu *v, u8 vector))   /* taken as soon as possible */ \
	X(bool, took_interrupt, (struct vcpu *v))       /* true if taken; ends the offer */ \
	X(void, inject_exception, (struct vcpu *v, u8 vector, bool has_error, u32 error)) \
	X(bool, inject_nmi, (struct vcpu *v))           /* false: it can't take one now */ \
	X(void, inject_step, (struct vcpu *v))          /* the single-step #DB of RFLAGS.TF */ \
	X(u64,  get_cr, (const struct vcpu *v, int which)) \
	X(void, set_efer, (struct vcpu *v, u64 efer))   /* the caller has checked it */ \
	X(void, set_pat, (struct vcpu *v, u64 pat)) \
	X(void, get_state, (const struct vcpu *v, struct hvm_state *s)) \
	X(void, set_state, (struct vcpu *v, const struct hvm_state *s)) \
	/* Calls `broken` for each rule of entry that v's state breaks; returns their number */ \
	X(unsigned, check, (const struct vcpu *v, void (*broken)(const char *rule))) \
	X(int,  cpl, (const struct vcpu *v)) \
	X(void, dump_exit, (const struct vcpu *v))      /* logs what the CPU says of the last exit */ \
	HVM_KEEPER_OPS(X)

/* An MSR that stock kernels read without handling a fault. Writes are ignored. */
struct hvm_constant_msr { u32 msr; u64 val; };

struct hvm_ops {
	const char *name;
	size_t vcpu_size;       /* bytes at v->hvm.vendor */
	u8 hypercall_insn[3];   /* VMMCALL or VMCALL */
	/* sizes of the maps: 2^order pages each */
	struct { u8 closed_ports, dom0_ports, msrs; } orders;
	/* those that only this vendor's CPUs have; ends with msr 0 */
	const struct hvm_constant_msr *constant_msrs;
#define X(ret, op, args) ret (*op) args;
	HVM_OPS(X)
#undef X
};

extern const struct hvm_ops *hvm;       /* [I] the vendor of this machine */
extern const struct hvm_ops svm_ops, vmx_ops;

/*
 * The maps of ports and MSRs: a set bit makes an access exit. hvm_make_maps makes them. `dom0_port`
 * says which ports the service domain reaches without an exit. Returns 0. Errors: -ENOMEM if there
 * is no memory. Context: boot CPU, once, before the first domain.
 */
struct hvm_maps { u8 *closed_ports, *dom0_ports, *msrs; };
extern struct hvm_maps hvm_maps;        /* [I] */
int hvm_make_maps(bool (*dom0_port)(u16 port));

/*
 * Returns true if the first n bytes of v are memory types and none is above `most`. PAT has type 7
 * (UC-), MTRRs do not. SDM vol. 3, "Methods of Caching Available", 12.3.
 */
static inline bool hvm_valid_types(u64 v, unsigned n, u8 most)
{
	for (; n; n--, v >>= 8)
		if ((u8)v > most || (u8)v == 2 || (u8)v == 3)
			return false;
	return true;
}
/* Returns true if all eight bytes of `pat` are memory types. */
static inline bool hvm_valid_pat(u64 pat) { return hvm_valid_types(pat, 8, 7); }

/*
 * Moves RIP on over `len` bytes; r are the registers of v. Only this function does so. It adds to
 * the lower half. Only if that overflows, which is rare, does it look at the code segment: EIP
 * wraps, RIP doesn't. IP doesn't wrap either: CPUs let it go on to 10000h, where the next fetch is
 * beyond the limit of most segments.
 */
void hvm_carry_rip(struct vcpu *v);
static inline void hvm_advance(struct vcpu *v, struct cpu_regs *r, u32 len)
{
	if (unlikely(__builtin_add_overflow(r->eip, len, &r->eip)))
		hvm_carry_rip(v);
}

/*
 * Completes an instruction of `len` bytes that we executed for the guest. Moves RIP on, and does
 * what the CPU does after each instruction: it clears RFLAGS.RF and raises the trap of RFLAGS.TF.
 */
void hvm_end_instruction(struct vcpu *v);
static inline void hvm_complete(struct vcpu *v, struct cpu_regs *r, u32 len)
{
	hvm_advance(v, r, len);
	if (unlikely(r->rflags & (RFLAGS_TF | RFLAGS_RF)))
		hvm_end_instruction(v);
}

/*
 * Repairs a state that the CPU refuses to enter, as far as possible. Returns true if entry is
 * allowed now.
 */
bool hvm_mend(struct vcpu *v);
/* Returns a control register (HVM_CR*) of v as the guest sees it. */
static inline u64 hvm_get_cr(const struct vcpu *v, int which) { return hvm->get_cr(v, which); }

/*
 * Chooses the vendor by CPUID and sets `hvm`. `guards`: also choose guards against speculation.
 * Returns NULL, or the reason why this CPU can't run guests. Context: boot CPU.
 */
const char *hvm_select(bool guards);
/*
 * Returns true if this CPU is QEMU's emulation (TCG), which has faults of its own: docs/testing.md.
 */
bool hvm_runs_on_tcg(void);
extern unsigned hvm_phys_bits;          /* [I] width of machine addresses */
extern u64 hvm_xcr0_mask;               /* [I] XSAVE states that vCPUs can have */
/* Switches virtualization on, on the calling CPU. Panics if there is no memory. */
void hvm_cpu_enable(void);
/*
 * Allocates the vCPU's machine state and resets it; the caller has set hvm.root and
 * hvm.generation. Returns 0. Errors: -ENOMEM if there is no memory; the caller must call
 * hvm_vcpu_destroy in this case too.
 */
int hvm_vcpu_init(struct vcpu *v);
/* Frees the vCPU's machine state, also if hvm_vcpu_init failed. */
void hvm_vcpu_destroy(struct vcpu *v);
/* Load v's machine state onto the calling CPU, and save it from there. */
void hvm_vcpu_load(struct vcpu *v);
void hvm_vcpu_save(struct vcpu *v);
/* Logs the registers of v and its last exit. Context: v is the current vCPU. */
void hvm_dump(const struct vcpu *v);
/*
 * Sets registers and state as they are at power-on: SDM vol. 3, "Processor State After Reset",
 * 10.1.1; APM, "Processor Initialization State", 14.1.3.
 */
void hvm_reset(struct vcpu *v);
/* Sets real mode at CS = vector << 8, as SIPI leaves a CPU. */
void hvm_start_sipi(struct vcpu *v, u8 vector);
/* Sets 32-bit flat protected mode at `eip`, with paging off: abi.md A.2. */
void hvm_start_flat32(struct vcpu *v, u32 eip, u32 ebx, u32 esi);
/*
 * Loads, or fills, the toolstack's record (libxc's vcpu_hvm). Loading returns 0. Errors: -EINVAL if
 * a CPU would refuse the state; the vCPU is then unchanged or reset. Context: the vCPU doesn't run.
 */
int hvm_set_context(struct vcpu *v, const struct hvm_hw_cpu *c);
void hvm_get_context(struct vcpu *v, struct hvm_hw_cpu *c);
/*
 * Loads only the general registers, RIP, RFLAGS, and the x87 and SSE state of such a record.
 * Returns 0. Errors: -EINVAL as above; the vCPU is then unchanged. Context: the vCPU doesn't run.
 */
int hvm_set_registers(struct vcpu *v, const struct hvm_hw_cpu *c);
/*
 * Sets XCR0 of v, the current vCPU. Returns 0. Errors: -EINVAL if the CPU refuses the value, or a
 * bit is not in `allowed`.
 */
int hvm_set_xcr0(struct vcpu *v, u64 xcr0, u64 allowed);
/* Copies this CPU's XCR0 to v, the current vCPU. */
void hvm_sync_xcr0(struct vcpu *v);
/* Sets TSC_AUX of v, the current vCPU. */
void hvm_set_tsc_aux(struct vcpu *v, u64 val);

#endif
