/*
 * Seals a guest at its first unpause. Until then the toolstack builds it as any other guest. The
 * order matters: first the domain is closed to new calls, then every CPU has left the calls that
 * began before, and only then we look whether anybody still has a part of it. Its digest says what
 * it was at that moment, so its owner needn't trust who built it.
 */
#include <xen/grant_table.h>
#include <asm/hvm.h>
#include "lib/string.h"
#include "mm/p2m_log.h"
#include "mm/page.h"
#include "mm/pt.h"
#include "vmm/domain.h"
#include "vmm/domain/record.h"
#include "vmm/domain/refuse.h"
#include "vmm/hypercall.h"
#include "vmm/life/life.h"
#include "vmm/share/evtchn.h"
#include "vmm/vcpu.h"

extern char image_start[], rodata_end[];

static enum seal_option option; /* [I] */
static u64 rounds;              /* [a] seals begun */

/* Ends a digest, and logs it in the order of its bytes. */
static void end_digest(struct sha256 *sum, u8 digest[SHA256_BYTES], const char *what, u64 n)
{
	u64 w[4];

	sha256_end(sum, digest);
	memcpy(w, digest, sizeof(w));
	printk(LOG_INFO "%s%lu: SHA-256 %016lx%016lx%016lx%016lx\n", what, n, __builtin_bswap64(w[0]), __builtin_bswap64(w[1]),
	       __builtin_bswap64(w[2]), __builtin_bswap64(w[3]));
}

void seal_init(enum seal_option opt, bool dma_remapped, bool interrupts_filtered)
{
	u64 size = (u64)(rodata_end - image_start);
	u8 digest[SHA256_BYTES];
	struct sha256 sum;

	option = opt;
	seal_tells = (dma_remapped ? SEAL_TELLS_DMA : 0) | (interrupts_filtered ? SEAL_TELLS_INTERRUPTS : 0);
	sha256_start(&sum);
	sha256_add(&sum, image_start, size);
	end_digest(&sum, digest, "this Bothy's code and constants, of bytes ", size);
}

long seal_choose(u32 sid)
{
	if (sid > SEAL_SID_XEN && sid != SEAL_SID_OPEN && sid != SEAL_SID)
		return refuse_say(-EINVAL, "a guest with label number %u: there is no such label", sid);
	if (option != SEAL_ALL && sid != SEAL_SID)
		return 0;
	if (option == SEAL_NO)
		return refuse_say(-EOPNOTSUPP, "seclabel=\"sealed\": Bothy's command line says seal=no");
	if (!seal_tells && option != SEAL_SOFT)
		return refuse_say(-EOPNOTSUPP, "a sealed guest: without an IOMMU devices reach its memory; "
				  "seal=soft on Bothy's command line seals it against programs only");
	return 1;
}

void seal_seen(struct percpu *p)
{
	__atomic_store_n(&p->seen_seal, __atomic_load_n(&rounds, __ATOMIC_SEQ_CST), __ATOMIC_RELEASE);
}

/* ---- what others may still have of it ---- */

static bool is_ours(const struct page *pg) { return __atomic_load_n(&pg->count, __ATOMIC_ACQUIRE) == 1; }

/*
 * The two pages that every guest shares with the service domain: the console's and the store's, by
 * the grant table's first two entries. Others may write them, so only their places are a part of
 * what it is.
 */
static bool is_shared(const struct domain *d, u64 gfn)
{
	return gfn == d->params[HVM_PARAM_CONSOLE_PFN] || gfn == d->params[HVM_PARAM_STORE_PFN];
}

/* Whoever builds a guest could write entries of its grant table for any page, to use them later. */
static bool table_is_clean(const struct domain *d)
{
	const grant_entry_v1_t *e = page_to_virt(d->grant.frames[0].page);

	for (unsigned i = 0; i < PAGE_SIZE / sizeof(*e); i++)
		if (e[i].flags && (i > GNTTAB_RESERVED_XENSTORE || (e[i].flags & GTF_type_mask) != GTF_permit_access ||
				   e[i].domid != dom0->domid || !is_shared(d, e[i].frame)))
			return false;
	return true;
}

/* Returns what keeps d from being sealed, or NULL. Its own frames come later. */
static const char *find_holder(struct domain *d)
{
	if (d->grant.nr_frames != 1 || d->grant.frames[0].gfn != INVALID_GFN.v || !is_ours(d->grant.frames[0].page))
		return "its grant table is mapped";
	if (!table_is_clean(d))
		return "its grant table lends more than the console's and the store's page";
	if (d->shared_gfn != INVALID_GFN.v || !is_ours(d->shared_page))
		return "its shared_info page is mapped";
	for (u32 port = 0; (port = evtchn_next_open(d, port + 1)) != 0;)
		if (port != d->params[HVM_PARAM_CONSOLE_EVTCHN] && port != d->params[HVM_PARAM_STORE_EVTCHN])
			return "it has more event ports than the console's and the store's";
	return d->callback_vector ? "its event callback is set" : NULL;
}

/* ---- what it is ---- */

/*
 * Takes the frame at s->next into the digest, with its place. Goes on behind it, or behind the hole
 * there. Returns what keeps d from being sealed, or NULL.
 */
static const char *measure_frame(struct domain *d)
{
	u64 entry, gfn = d->seal.next, shared = is_shared(d, gfn) ? BIT(63) : 0;
	unsigned level;
	struct page *pg;
	mfn_t mfn;
	enum p2m_type type = p2m_lookup(&d->p2m, GFN(gfn), &mfn);

	pt_find(&pt_shape_x86, d->p2m.root, gfn << PAGE_SHIFT, &entry, &level);
	d->seal.next = 1 + (pt_present(&pt_shape_x86, entry) ? gfn : MIN(gfn | (BIT(9 * level) - 1), d->p2m.max_gfn));
	if (type != P2M_RAM)
		return type == P2M_HOLE ? NULL : "a page of it isn't its own";
	pg = mfn_to_page(mfn);
	if (!shared && !is_ours(pg))
		return "a page of it is mapped elsewhere";
	if (!shared && p2m_log_is_zero(page_to_virt(pg)))
		return NULL;
	gfn |= shared;
	sha256_add(&d->seal.sum, &gfn, sizeof(gfn));
	sha256_add(&d->seal.sum, page_to_virt(pg), shared ? 0 : PAGE_SIZE);
	return NULL;
}

/* Takes the registers of a vCPU into the digest, with its number. The others wait for a SIPI. */
static void measure_vcpu(struct domain *d, struct vcpu *v)
{
	static struct hvm_hw_cpu c;     /* [LOCK_CONTROL] too large for the stack */

	if (!v || v->wait_for_sipi)
		return;
	hvm_get_context(v, &c);
	sha256_add(&d->seal.sum, &v->id, sizeof(v->id));
	sha256_add(&d->seal.sum, &c, sizeof(c));
}

static void finish(struct domain *d)
{
	struct vcpu *v;

	end_digest(&d->seal.sum, d->seal.digest, "sealed d", d->domid);
	for_each_vcpu(v, d)
		__atomic_or_fetch(&v->attention, VCPU_SEALED, __ATOMIC_SEQ_CST);
	__atomic_store_n(&d->seal.state, SEAL_DONE, __ATOMIC_SEQ_CST);
}

/*
 * Measures until the step is over: first the frames, then the vCPUs. It looks at the clock only after
 * one of them, because waiting for the lock may use up the time of every step.
 */
static const char *measure(struct domain *d)
{
	u64 frames = d->p2m.max_gfn + 1;
	const char *why = NULL;

	do {
		if (d->seal.next < frames)
			why = measure_frame(d);
		else if (d->seal.next < frames + d->max_vcpus)
			measure_vcpu(d, domain_vcpu(d, d->seal.next++ - frames));
		else
			finish(d);
	} while (!why && d->seal.state != SEAL_DONE && !step_over());
	return why;
}

long seal_step(struct domain *d)
{
	struct seal *s = &d->seal;
	const char *why;

	if (s->state == SEAL_OPEN || s->state == SEAL_DONE)
		return 0;
	if (s->state == SEAL_WANTED) {
		__atomic_store_n(&s->state, SEAL_CLOSED, __ATOMIC_SEQ_CST);
		s->round = __atomic_add_fetch(&rounds, 1, __ATOMIC_SEQ_CST);
		s->next = 0;
		sha256_start(&s->sum);
		for (unsigned cpu = 0; cpu < nr_cpus; cpu++)
			cpu_kick(cpu);
	}
	for (unsigned cpu = 0; cpu < nr_cpus; cpu++)
		if (__atomic_load_n(&percpu[cpu].seen_seal, __ATOMIC_ACQUIRE) < s->round)
			return HC_AGAIN;
	why = (s->next ? NULL : find_holder(d)) ?: measure(d);
	if (!why)
		return s->state == SEAL_DONE ? 0 : HC_AGAIN;
	__atomic_store_n(&s->state, SEAL_WANTED, __ATOMIC_SEQ_CST);
	return refuse_say(-EBUSY, "d%u can't be sealed, and stays paused: %s", d->domid, why);
}
