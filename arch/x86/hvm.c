/*
 * Code that both vendors share: the choice of one, FPU state, the states a vCPU can be set to, and
 * flushes of other CPUs' TLBs.
 */
#include <xen/hvm/save.h>
#include <asm/cpu.h>
#include <asm/entry_check.h>
#include <asm/hvm.h>
#include <asm/hvm_flush.h>
#include <asm/hvm_saved.h>
#include <asm/insn.h>
#include <asm/lapic.h>
#include <asm/mcheck.h>
#include <asm/speculation.h>
#include <asm/traps.h>
#include "lib/string.h"
#include "mm/heap.h"
#include "vmm/domain.h"
#include "vmm/vcpu.h"

#define XSAVE_AREA_MAX 4096

/* enter.S and regs.inc find a register at eight times its number. */
#define AT(reg, number) _Static_assert(offsetof(struct cpu_regs, reg) == 8 * number, #reg)
AT(rax, 0); AT(rcx, 1); AT(rdx, 2); AT(rbx, 3); AT(rbp, 5); AT(rsi, 6); AT(rdi, 7); AT(r8, 8); AT(r15, 15);
#undef AT

const struct hvm_ops *hvm;
u64 hvm_xcr0_mask;              /* [I] the states that the CPU has and that we keep for each vCPU */
unsigned hvm_phys_bits;         /* [I] */
static bool has_tsc_aux;        /* [I] */

bool hvm_runs_on_tcg(void)
{
	struct cpuid_regs r = cpuid(0x40000000, 0);

	if (!(cpuid(1, 0).c & 1u << 31))
		return false;
	return r.b == 0x54474354 && r.c == 0x43544743 && r.d == 0x47435447;     /* "TCGTCGTCGTCG" */
}

static void enable_xsave(void)
{
	cpu_tries("XSAVE and SSE (CR4)");
	write_cr4(read_cr4() | CR4_OSXSAVE | CR4_OSFXSR | CR4_OSXMMEXCPT);
	cpu_tries("the states of XSAVE that CPUID lists (XCR0)");
	xsetbv(hvm_xcr0_mask);
	cpu_tries(NULL);
}

static const char *find_features(void)
{
	struct cpuid_regs states = cpuid(0xd, 0);

	if (!(cpuid(1, 0).c & 1u << 26))
		return "the CPU has no XSAVE (CPUID 1 ECX bit 26)";
	hvm_xcr0_mask = ((u64)states.d << 32 | states.a) & XCR0_SWITCHED;
	/*
	 * Without XSAVEOPT, TCG takes CR4.OSXSAVE for a reserved bit. Setting it then stops TCG for
	 * good, without an exception.
	 */
	if (!cpuid(0xd, 1).a && hvm_runs_on_tcg())
		return "QEMU's emulation doesn't let XSAVE be switched on without XSAVEOPT: add \"+xsaveopt\" to its -cpu";
	enable_xsave();
	if (cpuid(0xd, 0).b > XSAVE_AREA_MAX)
		return "the CPU's XSAVE area is larger than a page";
	hvm_phys_bits = cpuid(0x80000008, 0).a & 0xff;
	has_tsc_aux = cpuid(0x80000001, 0).d & 1u << 27;
	return NULL;
}

/*
 * The CPU's vendor decides, as it does for guests when they choose their hypercall instruction
 * (abi.md A.6). AMD and Hygon have SVM, all others VMX.
 */
static bool has_svm(void)
{
	struct cpuid_regs r = cpuid(0, 0);

	return (r.b == 0x68747541 && r.d == 0x69746e65 && r.c == 0x444d4163) ||        /* "AuthenticAMD" */
	       (r.b == 0x6f677948 && r.d == 0x6e65476e && r.c == 0x656e6975);          /* "HygonGenuine" */
}

const char *hvm_select(bool guards)
{
	const char *why = find_features();

	speculation_choose(guards, has_svm());
	hvm = has_svm() ? &svm_ops : &vmx_ops;
	if (why)
		return why;
	cpu_tries(hvm->name);
	why = hvm->probe();
	cpu_tries(NULL);
	return why;
}

void hvm_cpu_enable(void)
{
	enable_xsave();
	this_cpu()->xcr0 = hvm_xcr0_mask;
	cpu_tries("controls of speculation");
	speculation_enable_cpu();
	cpu_tries("exceptions for machine checks (CR4)");
	mcheck_enable();
	cpu_tries(hvm->name);
	if (hvm->cpu_enable())
		panic("no memory for CPU %u's virtualization state", cpu_id());
	/* Generation 1, so that a vCPU with generation 0 never matches. */
	this_cpu()->asid_generation = this_cpu()->asid_next = 1;
	cpu_tries(NULL);
}

static void set_xcr0(u64 v)
{
	struct percpu *p = this_cpu();

	if (p->xcr0 == v)
		return;
	xsetbv(v);
	p->xcr0 = v;
}

/*
 * SDM vol. 1, "Legacy Region of an XSAVE Area", 13.4.1: the x87 control word is at 0, MXCSR at 24.
 * All else starts in its initial state.
 */
static void fpu_reset(struct vcpu *v)
{
	memset(v->hvm.xsave, 0, XSAVE_AREA_MAX);
	*(u16 *)v->hvm.xsave = 0x37f;
	*(u32 *)((char *)v->hvm.xsave + 24) = 0x1f80;
	v->hvm.xcr0 = XCR0_X87;
}

int hvm_vcpu_init(struct vcpu *v)
{
	v->hvm.xsave = kzalloc(XSAVE_AREA_MAX);
	v->hvm.control = kzalloc(PAGE_SIZE);
	v->hvm.vendor = kzalloc(hvm->vcpu_size);
	if (!v->hvm.xsave || !v->hvm.control || !v->hvm.vendor)
		return -ENOMEM;
	hvm->vcpu_init(v);
	hvm_reset(v);
	return 0;
}

void hvm_vcpu_destroy(struct vcpu *v)
{
	kfree(v->hvm.vendor);
	kfree(v->hvm.control);
	kfree(v->hvm.xsave);
}

/*
 * A domain must not steer another's code by what it has taught the branch predictor (IA32_PRED_CMD;
 * APM 3.2.9).
 */
static void forget_branches(const struct domain *d)
{
	struct percpu *p = this_cpu();

	if (p->last_domid == d->domid)
		return;
	p->last_domid = d->domid;
	if (speculation & SPEC_DOMAINS)
		wrmsr(MSR_PRED_CMD, 1);
}

void hvm_vcpu_load(struct vcpu *v)
{
	u32 lo = (u32)hvm_xcr0_mask, hi = (u32)(hvm_xcr0_mask >> 32);

	forget_branches(v->domain);
	set_xcr0(hvm_xcr0_mask);
	/*
	 * AMD's CPUs before Zen 2 restore the x87 pointers only if an exception is pending. Without
	 * FNINIT, which zeroes them, a vCPU could read the pointers of the last one.
	 */
	__asm__ volatile("fninit; xrstor64 (%0)" :: "r"(v->hvm.xsave), "a"(lo), "d"(hi) : "memory");
	set_xcr0(v->hvm.xcr0);
	if (has_tsc_aux)
		wrmsr(MSR_TSC_AUX, v->hvm.tsc_aux);
	write_dr0(v->hvm.dr[0]);
	write_dr1(v->hvm.dr[1]);
	write_dr2(v->hvm.dr[2]);
	write_dr3(v->hvm.dr[3]);
	hvm->vcpu_load(v);
}

/*
 * QEMU's SVM executes the guest's XSETBV although it is intercepted. So the CPU's own value is the
 * true one.
 */
void hvm_sync_xcr0(struct vcpu *v) { v->hvm.xcr0 = this_cpu()->xcr0 = xgetbv(); }

void hvm_vcpu_save(struct vcpu *v)
{
	u32 lo = (u32)hvm_xcr0_mask, hi = (u32)(hvm_xcr0_mask >> 32);

	hvm->vcpu_save(v);
	v->hvm.dr[0] = read_dr0();
	v->hvm.dr[1] = read_dr1();
	v->hvm.dr[2] = read_dr2();
	v->hvm.dr[3] = read_dr3();
	hvm_sync_xcr0(v);
	set_xcr0(hvm_xcr0_mask);
	__asm__ volatile("xsave64 (%0)" :: "r"(v->hvm.xsave), "a"(lo), "d"(hi) : "memory");
}

int hvm_set_xcr0(struct vcpu *v, u64 xcr0, u64 allowed)
{
	if (!xcr0 || xcr0 & ~allowed || xcr0 != xcr0_consistent(xcr0))
		return -EINVAL;
	v->hvm.xcr0 = xcr0;
	set_xcr0(xcr0);
	return 0;
}

void hvm_set_tsc_aux(struct vcpu *v, u64 val)
{
	v->hvm.tsc_aux = val;
	if (has_tsc_aux)
		wrmsr(MSR_TSC_AUX, val);
}

static const struct hvm_segment real_data = { .limit = 0xffff, .ar = 0x93 };
static const struct hvm_segment flat_code = { .limit = ~0u, .ar = 0xc09b };
static const struct hvm_segment flat_data = { .limit = ~0u, .ar = 0xc093 };

static void power_on_state(struct hvm_state *s)
{
	*s = (struct hvm_state){ .cr0 = CR0_ET | CR0_CD | CR0_NW, .dr6 = 0xffff0ff0, .dr7 = 0x400 };
	for (unsigned i = 0; i < HVM_NR_SEGS; i++)
		s->seg[i] = real_data;
	s->seg[HVM_SEG_CS].ar = 0x9b;
	s->seg[HVM_SEG_TR].ar = 0x8b;
	s->seg[HVM_SEG_LDTR].ar = 0x82;
}

void hvm_reset(struct vcpu *v)
{
	struct hvm_state s;

	power_on_state(&s);
	s.seg[HVM_SEG_CS].sel = 0xf000;
	s.seg[HVM_SEG_CS].base = 0xffff0000;
	v->hvm.regs = (struct cpu_regs){ .rip = 0xfff0, .rflags = 2 };
	v->hvm.pat = 0x0007040600070406ull;
	vcpu_take(v, VCPU_KEEPER);
	fpu_reset(v);
	hvm->set_state(v, &s);
}

void hvm_start_sipi(struct vcpu *v, u8 vector)
{
	struct hvm_state s;

	hvm_reset(v);
	hvm->get_state(v, &s);
	s.cr0 = CR0_ET;         /* caches on, as firmware would leave them */
	s.seg[HVM_SEG_CS].sel = (u16)(vector << 8);
	s.seg[HVM_SEG_CS].base = (u64)vector << 12;
	v->hvm.regs.rip = 0;
	hvm->set_state(v, &s);
}

void hvm_start_flat32(struct vcpu *v, u32 eip, u32 ebx, u32 esi)
{
	struct hvm_state s;

	hvm_reset(v);
	hvm->get_state(v, &s);
	s.cr0 = CR0_PE | CR0_ET;
	for (unsigned i = HVM_SEG_ES; i <= HVM_SEG_GS; i++)
		s.seg[i] = flat_data;
	s.seg[HVM_SEG_CS] = flat_code;
	/* __BOOT_CS and __BOOT_DS of Linux's 32-bit boot protocol; PVH allows any selector */
	s.seg[HVM_SEG_CS].sel = 0x10;
	s.seg[HVM_SEG_DS].sel = s.seg[HVM_SEG_ES].sel = s.seg[HVM_SEG_SS].sel = 0x18;
	s.seg[HVM_SEG_TR].limit = 0x67;
	v->hvm.regs = (struct cpu_regs){ .rip = eip, .rbx = ebx, .rsi = esi, .rflags = 2 };
	hvm->set_state(v, &s);
}

/* Xen's record packs segment attributes as the VMCB does: bits 11:8 are AVL, L, D and G. */
#define RECORD_SEGMENTS(X) X(ES, es) X(CS, cs) X(SS, ss) X(DS, ds) X(FS, fs) X(GS, gs) X(TR, tr) X(LDTR, ldtr)
#define RECORD_REGS(X) X(rax) X(rbx) X(rcx) X(rdx) X(rbp) X(rsi) X(rdi) X(rsp) X(r8) X(r9) X(r10) X(r11) X(r12) X(r13) X(r14) X(r15) X(rip)
#define RECORD_STATE(X) \
	X(cr0, cr0) X(cr2, cr2) X(cr3, cr3) X(cr4, cr4) X(dr6, dr6) X(dr7, dr7) \
	X(sysenter_cs, sysenter_cs) X(sysenter_esp, sysenter_esp) X(sysenter_eip, sysenter_eip) \
	X(star, msr_star) X(lstar, msr_lstar) X(cstar, msr_cstar) X(sfmask, msr_syscall_mask) \
	X(kernel_gs_base, shadow_gs)

/*
 * Returns false for states that the rules of entry accept but no guest could have reached. Such a
 * state would change bits that are ours, or make our own WRMSR or MOV to DR6 fault.
 */
static bool is_possible(const struct hvm_hw_cpu *c)
{
	u64 efer_ok = EFER_SCE | EFER_LME | EFER_LMA | EFER_NXE | EFER_FFXSR, cr4_ok = 0x7fffff & ~(BIT(12) | BIT(13));
	bool long_mode = c->msr_efer & EFER_LME && c->cr0 & CR0_PG;

	return hvm_valid_event(c) && !(c->cr4 & ~cr4_ok) && !(c->msr_efer & ~efer_ok) && !(c->dr6 >> 32) &&
	       !(c->rflags & ~RFLAGS_KNOWN) && !(c->rflags & RFLAGS_VM && (long_mode || !(c->cr0 & CR0_PE))) &&
	       (!(c->rip >> 32) || (long_mode && c->cs_arbytes & 0x200)) &&
	       canonical(c->msr_lstar) && canonical(c->msr_cstar) && canonical(c->shadow_gs) &&
	       !((c->msr_syscall_mask | c->msr_tsc_aux) >> 32) && (c->cr0 & (CR0_CD | CR0_NW)) != CR0_NW;
}

static void quiet_rule(const char *rule) { }
static void print_rule(const char *rule) { printk(LOG_WARN "  rule of entry: %s\n", rule); }

int hvm_set_registers(struct vcpu *v, const struct hvm_hw_cpu *c)
{
	struct cpu_regs before = v->hvm.regs;
	bool sibling;

	if (!is_possible(c))
		return -EINVAL;
#define X(f) v->hvm.regs.f = c->f;
	RECORD_REGS(X)
#undef X
	v->hvm.regs.rflags = c->rflags | 2;
	/* A vCPU that is held gets its state from a sibling, which could fill the log. */
	sibling = __atomic_load_n(&v->pause_flags, __ATOMIC_RELAXED) & VCPU_HELD;
	if (hvm->check(v, sibling ? quiet_rule : print_rule)) {
		if (!sibling)
			printk(LOG_WARN "d%uv%u can't have the state that the toolstack gives\n", v->domain->domid, v->id);
		v->hvm.regs = before;
		return -EINVAL;
	}
	if (c->flags & XEN_X86_FPU_INITIALISED) {
		memcpy(v->hvm.xsave, c->fpu_regs, sizeof(c->fpu_regs));
		/* MXCSR's reserved bits would make our XRSTOR fault */
		*(u32 *)((char *)v->hvm.xsave + 24) &= 0xffff;
		*(u64 *)((char *)v->hvm.xsave + 512) |= XCR0_X87 | XCR0_SSE;
	}
	return 0;
}

int hvm_set_context(struct vcpu *v, const struct hvm_hw_cpu *c)
{
	u64 xcr0 = v->hvm.xcr0;
	struct hvm_state s;

	if (!is_possible(c))
		return -EINVAL;
	hvm_reset(v);
	/*
	 * XCR0 is no field of the record: in Xen's ABI it belongs to CPU_XSAVE, so without one it
	 * stays. The states beyond SSE begin anew.
	 */
	v->hvm.xcr0 = xcr0;
	hvm->get_state(v, &s);
#define X(n, f) s.seg[HVM_SEG_##n] = (struct hvm_segment){ .base = c->f##_base, .limit = c->f##_limit, .sel = (u16)c->f##_sel, \
		.ar = (u16)((c->f##_arbytes & 0xff) | (c->f##_arbytes & 0xf00) << 4) };
	RECORD_SEGMENTS(X)
#undef X
	s.seg[HVM_SEG_GDTR] = (struct hvm_segment){ .base = c->gdtr_base, .limit = c->gdtr_limit };
	s.seg[HVM_SEG_IDTR] = (struct hvm_segment){ .base = c->idtr_base, .limit = c->idtr_limit };
#define X(ours, theirs) s.ours = c->theirs;
	RECORD_STATE(X)
#undef X
	memcpy(v->hvm.dr, &c->dr0, sizeof(v->hvm.dr));      /* dr0 to dr3 */
	s.event = hvm_event_of(v, c);
	s.cr0 |= CR0_ET;
	s.efer = (c->msr_efer & ~EFER_LMA) | (c->msr_efer & EFER_LME && c->cr0 & CR0_PG ? EFER_LMA : 0);
	v->hvm.tsc_aux = c->msr_tsc_aux;
	hvm->set_state(v, &s);
	if (!hvm_set_registers(v, c))
		return 0;
	hvm_reset(v);
	return -EINVAL;
}

void hvm_get_context(struct vcpu *v, struct hvm_hw_cpu *c)
{
	struct hvm_state s;

	hvm->get_state(v, &s);
	memset(c, 0, sizeof(*c));
#define X(n, f) c->f##_base = s.seg[HVM_SEG_##n].base; c->f##_limit = s.seg[HVM_SEG_##n].limit; c->f##_sel = s.seg[HVM_SEG_##n].sel; \
		c->f##_arbytes = (s.seg[HVM_SEG_##n].ar & 0xff) | (s.seg[HVM_SEG_##n].ar >> 4 & 0xf00u);
	RECORD_SEGMENTS(X)
#undef X
	c->gdtr_base = s.seg[HVM_SEG_GDTR].base;
	c->gdtr_limit = s.seg[HVM_SEG_GDTR].limit;
	c->idtr_base = s.seg[HVM_SEG_IDTR].base;
	c->idtr_limit = s.seg[HVM_SEG_IDTR].limit;
#define X(ours, theirs) c->theirs = s.ours;
	RECORD_STATE(X)
#undef X
	memcpy(&c->dr0, v->hvm.dr, sizeof(v->hvm.dr));
	hvm_record_event(v, &s, c);
	c->msr_efer = s.efer;
#define X(f) c->f = v->hvm.regs.f;
	RECORD_REGS(X)
#undef X
	c->rflags = v->hvm.regs.rflags;
	c->msr_tsc_aux = v->hvm.tsc_aux;
	memcpy(c->fpu_regs, v->hvm.xsave, sizeof(c->fpu_regs));
	c->flags = XEN_X86_FPU_INITIALISED;
}

void hvm_dump(const struct vcpu *v)
{
	const struct cpu_regs *r = &v->hvm.regs;
	const struct hvm_segment *cs;
	struct hvm_state s;

	if (vcpu_wants(v, VCPU_SEALED))
		return;
	hvm->get_state(v, &s);
	cs = &s.seg[HVM_SEG_CS];
	printk(LOG_ERR "  rip %lx rsp %lx rflags %lx rax %lx rbx %lx rcx %lx rdx %lx\n", r->rip, r->rsp, r->rflags,
	       r->rax, r->rbx, r->rcx, r->rdx);
	printk(LOG_ERR "  rsi %lx rdi %lx rbp %lx cr0 %lx cr2 %lx cr3 %lx cr4 %lx efer %lx cs %x:%lx/%x\n", r->rsi, r->rdi,
	       r->rbp, s.cr0, s.cr2, s.cr3, s.cr4, s.efer, cs->sel, cs->base, cs->ar);
	hvm->dump_exit(v);
}

/*
 * Returns true if p, another CPU, is in guest mode with this p2m and does not know generation
 * `gen`.
 */
static bool runs_older(const struct percpu *p, const struct p2m *p2m, u64 gen)
{
	return p != this_cpu() && __atomic_load_n(&p->in_guest, __ATOMIC_SEQ_CST) && __atomic_load_n(&p->guest_p2m, __ATOMIC_RELAXED) == p2m &&
	       __atomic_load_n(&p->guest_gen, __ATOMIC_ACQUIRE) < gen;
}

void hvm_flush_others(struct p2m *p2m, u64 gen)
{
	smp_mb();
	for (unsigned cpu = 0; cpu < nr_cpus; cpu++)
		if (runs_older(&percpu[cpu], p2m, gen))
			lapic_send_ipi(percpu[cpu].apic_id, VECTOR_KICK);
	/*
	 * All kicks are sent before the first wait, so the CPUs leave together. A CPU that has
	 * entered since then knows the new generation, or will read it before it enters.
	 */
	for (unsigned cpu = 0; cpu < nr_cpus; cpu++)
		while (runs_older(&percpu[cpu], p2m, gen))
			cpu_relax();
}
