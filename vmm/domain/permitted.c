/*
 * The rule that says which domain may name which, and what others learn of a sealed one: nothing of
 * its registers, not even in the record.
 */
#include <asm/insn.h>
#include "lib/string.h"
#include "vmm/domain.h"
#include "vmm/domain/record.h"
#include "vmm/domain/refuse.h"
#include "vmm/hypercall.h"
#include "vmm/vcpu.h"

u32 seal_tells;

/* The column `target` of the table of hypercalls, by hc->row. */
static const struct { const char *name; u8 target; } calls[] = {
	{ "?", HC_OPEN },
#define HC(num, sub, label, type, dir, who, to, fn) { #label, to },
#include "vmm/hypercall/hypercalls.def"
#undef HC
};

bool seal_closed(const struct domain *d) { return __atomic_load_n(&d->seal.state, __ATOMIC_SEQ_CST) >= SEAL_CLOSED; }

int domain_get_permitted(struct vcpu *v, const struct hypercall *hc, u16 domid, struct domain **out)
{
	struct domain *d = domain_resolve(v, domid);
	int rc = 0;

	if (!d)
		return -ESRCH;
	if (d != v->domain && !v->domain->privileged)
		rc = -EPERM;
	else if (unlikely(seal_closed(d)) && d != v->domain && calls[hc->row].target != HC_SEALED)
		rc = (int)refuse_say(-EPERM, "%s for d%u: it is sealed", calls[hc->row].name, d->domid);
	if (rc)
		domain_put(d);
	else
		*out = d;
	return rc;
}

void seal_cpuid(const struct domain *d, u32 index, struct cpuid_regs *out)
{
	if (index == 0) {
		out->a = SEAL_LEAF + SEAL_LEAVES - 1;
		memcpy(&out->b, SEAL_SIGNATURE, 12);
	} else if (index == 1) {
		out->a = 1;
		out->b = seal_tells | (seal_closed(d) ? SEAL_TELLS_SEALED : 0);
	} else if (index < SEAL_LEAVES) {
		memcpy(out, d->seal.digest + (index - 2) * sizeof(*out), sizeof(*out));
	}
}

/* ---- the record ---- */

/*
 * The exit of the sealed vCPU that a CPU runs: where the handler finds it, and whether there is one
 * that isn't in the record yet. [c]
 */
static struct { struct record exit; struct record_cpu head; } hidden[NR_CPUS] __aligned(64);

void record_choose(struct percpu *p, const struct vcpu *v)
{
	bool hide = v && vcpu_wants(v, VCPU_SEALED);

	p->exit_ring = hide ? &hidden[p->cpu].exit : p->records;
	p->exit_head = hide ? &hidden[p->cpu].head : p->counters;
}

void record_sealed_exit(struct percpu *p)
{
	const struct record *r = &hidden[p->cpu].exit;

	if (!hidden[p->cpu].head.head)
		return;
	hidden[p->cpu].head.head = 0;
	p->records[p->counters->head % RECORD_RING] = (struct record){
		.tsc = r->tsc, .cost = rdtsc_low() - r->tsc_low, .who = r->who, .x.reason = r->x.reason,
	};
	barrier();
	p->counters->head++;
}
