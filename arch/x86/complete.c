/*
 * What comes behind an instruction that was done for a guest, in the rare cases, and what is done
 * about a state that the CPU refuses: both make sure that the next entry finds what a CPU could
 * have come to.
 */
#include <asm/hvm.h>
#include <asm/insn.h>
#include "vmm/vcpu.h"

enum { AR_L = 1 << 13, AR_D = 1 << 14 };

static bool long_mode(const struct hvm_state *s) { return s->efer & EFER_LME && s->cr0 & CR0_PG; }
static bool code_64(const struct hvm_state *s) { return long_mode(s) && s->seg[HVM_SEG_CS].ar & AR_L; }

void hvm_carry_rip(struct vcpu *v)
{
	struct hvm_state s;

	hvm->get_state(v, &s);
	if (code_64(&s))
		v->hvm.regs.rip += BIT(32);
}

void hvm_end_instruction(struct vcpu *v)
{
	v->hvm.regs.rflags &= ~RFLAGS_RF;
	if (v->hvm.regs.rflags & RFLAGS_TF)
		hvm->inject_step(v);
}

static void ignore(const char *rule) { }

/*
 * Setting the state takes away what only entry looks at: blocking, events to be injected, activity.
 * If it was RIP or RFLAGS alone, they stay.
 */
bool hvm_mend(struct vcpu *v)
{
	struct cpu_regs *r = &v->hvm.regs;
	struct hvm_state s;

	if (!hvm->check(v, ignore))
		return false;
	hvm->get_state(v, &s);
	if (code_64(&s))
		s.seg[HVM_SEG_CS].ar &= ~(u32)AR_D;
	else
		r->rip = r->eip;
	r->rflags = (r->rflags & RFLAGS_KNOWN) | RFLAGS_ONE;
	if (long_mode(&s) || !(s.cr0 & CR0_PE))
		r->rflags &= ~RFLAGS_VM;
	if (!hvm->check(v, ignore))
		return true;
	s.cr3 &= BIT(hvm_phys_bits) - 1;
	s.dr7 = (u32)s.dr7;
	hvm->set_state(v, &s);
	return !hvm->check(v, ignore);
}
