/*
 * What a saved vCPU has beyond its registers: the event that waits for its next entry, and its XSAVE
 * states. The records come from the toolstack. So they are checked as VM entry, XSETBV and XRSTOR
 * would, because a fault of these would be ours.
 */
#include <xen/hvm/save.h>
#include <asm/hvm.h>
#include <asm/hvm_saved.h>
#include <asm/insn.h>
#include <asm/traps.h>
#include "lib/string.h"
#include "vmm/vcpu.h"

/* The exceptions that push an error code: SDM volume 3, 6.15. */
#define WITH_ERROR (1u << 8 | 1u << 10 | 1u << 11 | 1u << 12 | 1u << 13 | 1u << 14 | 1u << 17)

#define MXCSR_AT 24
#define MXCSR_KNOWN 0xffffu

/*
 * Only hardware exceptions and NMIs are saved, of a form that can be loaded. The guest executes INT,
 * INT3 or the faulting instruction again, since its RIP is still there. An NMI that waits to be injected counts as one that was.
 */
void hvm_record_event(const struct vcpu *v, const struct hvm_state *s, struct hvm_hw_cpu *c)
{
	c->pending_event = (u32)s->event;
	c->error_code = s->event & EVENT_HAS_ERROR ? (u32)(s->event >> 32) : 0;
	if (s->event && hvm_valid_event(c))
		return;
	c->pending_event = vcpu_wants(v, VCPU_NMI) ? (u32)(EVENT_VALID | EVENT_NMI | VECTOR_NMI) : 0;
	c->error_code = 0;
}

bool hvm_valid_event(const struct hvm_hw_cpu *c)
{
	u32 vector = c->pending_vector, type = c->pending_event & EVENT_TYPE;

	if (!c->pending_valid)
		return !c->pending_event;
	if (c->pending_reserved)
		return false;
	if (type == EVENT_NMI)
		return vector == VECTOR_NMI && !c->pending_error_valid;
	/* In real mode no exception pushes an error code. */
	return type == EVENT_EXCEPTION && vector < 32 && vector != VECTOR_NMI && (c->error_code & ~0xffffu) == 0 &&
	       c->pending_error_valid == (c->cr0 & CR0_PE && WITH_ERROR >> vector & 1);
}

/* The run loop injects an NMI itself, and blocks further ones. */
u64 hvm_event_of(struct vcpu *v, const struct hvm_hw_cpu *c)
{
	bool nmi = c->pending_valid && (c->pending_event & EVENT_TYPE) == EVENT_NMI;

	vcpu_take(v, VCPU_NMI);
	if (nmi)
		__atomic_or_fetch(&v->attention, VCPU_NMI, __ATOMIC_SEQ_CST);
	return c->pending_valid && !nmi ? c->pending_event | (u64)c->error_code << 32 : 0;
}

u64 hvm_get_xsave(const struct vcpu *v, u64 allowed, struct hvm_hw_cpu_xsave *x, u32 size)
{
	const struct hvm_hw_cpu_xsave_hdr *header = (void *)((char *)v->hvm.xsave + sizeof(x->save_area.fpu_sse));
	u64 states = (v->hvm.xcr0 | header->xstate_bv | XCR0_X87 | XCR0_SSE) & allowed;

	if (!x)
		return states;
	*x = (struct hvm_hw_cpu_xsave){ .xfeature_mask = allowed, .xcr0 = v->hvm.xcr0, .xcr0_accum = states };
	memcpy(&x->save_area, v->hvm.xsave, size);
	x->save_area.xsave_hdr = (struct hvm_hw_cpu_xsave_hdr){ .xstate_bv = header->xstate_bv & states };
	return states;
}

bool hvm_valid_xsave(const struct hvm_hw_cpu_xsave *x, u64 allowed)
{
	const struct hvm_hw_cpu_xsave_hdr *h = &x->save_area.xsave_hdr, plain = { .xstate_bv = h->xstate_bv };

	return x->xcr0 && x->xcr0 == xcr0_consistent(x->xcr0) && !(x->xcr0 & ~x->xcr0_accum) && !(x->xcr0_accum & ~allowed) &&
	       !(h->xstate_bv & ~x->xcr0_accum) && !memcmp(h, &plain, sizeof(*h)) && !(*(const u32 *)&x->save_area.fpu_sse.x[MXCSR_AT] & ~MXCSR_KNOWN);
}
