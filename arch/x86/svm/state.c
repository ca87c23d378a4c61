/* Moves architectural state between the VMCB and the vendor-neutral struct hvm_state. */
#include <asm/hvm.h>
#include <asm/insn.h>
#include "arch/x86/svm/svm.h"
#include "vmm/domain.h"

/*
 * The VMCB packs the attribute word: its bits 11:8 are the descriptor's 55:52 (APM 15.5.1), which
 * struct hvm_segment keeps in 15:12.
 */
static struct hvm_segment unpack_segment(const struct vmcb_seg *s)
{
	return (struct hvm_segment){ .base = s->base, .limit = s->limit, .sel = s->sel,
				     .ar = (u16)((s->attr & 0xff) | (s->attr & 0xf00) << 4) };
}

static struct vmcb_seg pack_segment(const struct hvm_segment *s)
{
	return (struct vmcb_seg){ .base = s->base, .limit = s->limit, .sel = s->sel,
				  .attr = (u16)((s->ar & 0xff) | (s->ar >> 4 & 0xf00)) };
}

#define SEGMENTS(X) \
	X(ES, es) X(CS, cs) X(SS, ss) X(DS, ds) X(FS, fs) X(GS, gs) X(TR, tr) X(LDTR, ldtr) X(GDTR, gdtr) X(IDTR, idtr)
#define SCALARS(X) \
	X(cr2) X(cr3) X(cr4) X(dr6) X(dr7) X(star) X(lstar) X(cstar) X(sfmask) X(kernel_gs_base) \
	X(sysenter_cs) X(sysenter_esp) X(sysenter_eip)

void svm_get_state(const struct vcpu *v, struct hvm_state *s)
{
	const struct vmcb *b = vmcb_of(v);

#define X(n, f) s->seg[HVM_SEG_##n] = unpack_segment(&b->f);
	SEGMENTS(X)
#undef X
#define X(f) s->f = b->f;
	SCALARS(X)
#undef X
	s->event = b->eventinj & EVENT_VALID ? b->eventinj : 0;
	s->cr0 = svm_get_cr0(svm_of(v));
	s->efer = b->efer & ~EFER_SVME;
}

void svm_set_state(struct vcpu *v, const struct hvm_state *s)
{
	struct vmcb *b = vmcb_of(v);

#define X(n, f) b->f = pack_segment(&s->seg[HVM_SEG_##n]);
	SEGMENTS(X)
#undef X
#define X(f) b->f = s->f;
	SCALARS(X)
#undef X
	svm_set_cr0(svm_of(v), s->cr0);
	b->efer = s->efer | EFER_SVME;
	b->cpl = s->seg[HVM_SEG_SS].ar >> 5 & 3;
	b->interrupt_shadow = 0;
	b->eventinj = s->event;
	b->g_pat = v->hvm.pat;
	b->tsc_offset = v->domain->clock.tsc_offset;
	svm_of(v)->nmi_blocked = false;
	v->hvm.asid_generation = 0;
}
