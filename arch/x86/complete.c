/*
 * The rare cases after an instruction that we executed for a guest, and the repair of a state that
 * the CPU refuses. Both make sure that the next entry finds a state that a CPU could have reached
 * by itself.
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

static void ignore_rule(const char *rule) { }

/*
 * If RIP or RFLAGS alone were wrong, blocking, pending events and activity stay. Otherwise
 * set_state clears these three: only entry looks at them.
 */
bool hvm_mend(struct vcpu *v)
{
	struct cpu_regs *r = &v->hvm.regs;
	struct hvm_state s;

	if (!hvm->check(v, ignore_rule))
		return false;
	hvm->get_state(v, &s);
	if (code_64(&s))
		s.seg[HVM_SEG_CS].ar &= ~(u32)AR_D;
	else
		r->rip = r->eip;
	r->rflags = (r->rflags & RFLAGS_KNOWN) | RFLAGS_ONE;
	if (long_mode(&s) || !(s.cr0 & CR0_PE))
		r->rflags &= ~RFLAGS_VM;
	if (!hvm->check(v, ignore_rule))
		return true;
	s.event = 0;
	s.cr3 &= BIT(hvm_phys_bits) - 1;
	s.dr7 = (u32)s.dr7;
	hvm->set_state(v, &s);
	return !hvm->check(v, ignore_rule);
}
