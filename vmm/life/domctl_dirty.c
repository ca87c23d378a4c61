/*
 * What of a guest's memory has to be sent when it is saved or moved: which frames there are, which
 * hold something, and which the guest has written since they were sent (mm/p2m_log.c).
 */
#include <xen/domctl.h>
#include <asm/time.h>
#include "mm/p2m_log.h"
#include "vmm/domain.h"
#include "vmm/domain/record.h"
#include "vmm/domain/refuse.h"
#include "vmm/hypercall.h"
#include "vmm/life/life.h"
#include "vmm/memory/guest_access.h"
#include "vmm/vcpu.h"

#define TYPES_MAX 1024u         /* libxc's batch, and Xen's limit */
#define TYPES_AT_ONCE 64u
#define RANGES_AT_ONCE 8u       /* whose bits are copied together */

/*
 * The toolstack's words for enum p2m_log_kind. The guest maps shared_info, grant frames and frames
 * of others anew when it goes on.
 */
static const u64 types[] = { XEN_DOMCTL_PFINFO_XTAB, XEN_DOMCTL_PFINFO_XALLOC, XEN_DOMCTL_PFINFO_NOTAB };

/*
 * New frames are zero on the other side, so a frame of zeros needs no data as long as none was sent
 * for it. This holds for a guest that is suspended, and in the first round of a migration: a later
 * write makes the frame dirty. Xen answers so only for frames that it has paged out.
 */
long hc_domctl_getpageframeinfo3(struct vcpu *v, struct hypercall *hc, void *arg)
{
	const struct xen_domctl_getpageframeinfo3 *op = arg;
	struct domain *d = hc->target;
	bool may_skip = d->dirty.round ? d->dirty.round == 1 : d->shutting_down;
	u64 type[TYPES_AT_ONCE];

	if (op->num > TYPES_MAX)
		return -E2BIG;
	while (hc->progress < op->num) {
		u64 at = HANDLE(op->array) + hc->progress * sizeof(type[0]), n = MIN(op->num - hc->progress, TYPES_AT_ONCE);

		if (copy_from_guest(v, type, at, n * sizeof(type[0])))
			return -EFAULT;
		p2m_log_look(&d->p2m, type, n, types, may_skip);
		if (copy_to_guest(v, at, type, n * sizeof(type[0])))
			return -EFAULT;
		hc->progress += (u32)n;
		if (hc->progress < op->num && step_over())
			return HC_AGAIN;
	}
	return 0;
}

/*
 * Does `op` for the next frames below `pages`. Returns 0 at the end, or HC_AGAIN. Errors: -EFAULT if
 * `bitmap` can't be written; all of the frames that were to stand there are dirty again.
 */
static long walk_log(struct vcpu *v, struct hypercall *hc, enum p2m_log_op op, u64 bitmap, u64 pages)
{
	struct domain *d = hc->target;
	u64 dirty[RANGES_AT_ONCE][P2M_LOG_FRAMES / 64], first, gfn = (u64)hc->progress * P2M_LOG_FRAMES;
	bool over = false;
	long rc = 0;

	if (!hc->progress)
		d->dirty.count = 0;
	while (!rc && !over && gfn < pages) {
		u64 n = 0;

		for (first = gfn; n < RANGES_AT_ONCE && gfn < pages && !over; n++, gfn += P2M_LOG_FRAMES) {
			d->dirty.count += (u32)p2m_log_step(&d->p2m, GFN(gfn), op, dirty[n]);
			over = step_over();
		}
		if (!bitmap || !copy_to_guest(v, bitmap + first / 8, dirty, MIN(n * sizeof(dirty[0]), (pages - first + 7) / 8)))
			continue;
		for (rc = -EFAULT; first < gfn; first += P2M_LOG_FRAMES)
			p2m_log_step(&d->p2m, GFN(first), P2M_LOG_ALL, dirty[0]);
	}
	hc->progress = (u32)(gfn / P2M_LOG_FRAMES);
	/* The toolstack reads the frames next: no CPU may write to them without a fault then. */
	if (op == P2M_LOG_CLEAN)
		p2m_flush(&d->p2m);
	return rc ? rc : gfn < pages ? HC_AGAIN : 0;
}

/*
 * Libxc takes a log that is on for one that was left on: it turns it off and begins anew. A
 * migration that still used it would miss what the guest wrote before. So a log has one reader, the
 * process that turned it on. Its page tables tell it from others; no process is 0.
 */
static u64 process_of(struct vcpu *v) { return (hvm_get_cr(v, HVM_CR3) >> PAGE_SHIFT) + 1; }

/* Tells the service domain what was done, for its record and for `bothy top`. */
static void note(struct domain *d, enum p2m_log_op step, u32 op)
{
	struct vcpu *first = domain_vcpu(d, 0);
	u64 now = time_now();

	record_event(RECORD_LOG, d, NULL, op | d->dirty.round << 8, d->dirty.count);
	if (first && step != P2M_LOG_PEEK)
		first->counters->log = (struct record_log){ d->dirty.round, now, d->dirty.count, now - first->counters->log.since };
}

/*
 * The dirty log. The guest runs on meanwhile; its first write to each frame exits. What has holders
 * is dirty in each round, so the last one is like the others. Only while the log is turned off the
 * guest stands still, since tables go away then.
 */
long hc_domctl_shadow_op(struct vcpu *v, struct hypercall *hc, void *arg)
{
	struct xen_domctl_shadow_op *op = arg;
	struct domain *d = hc->target;
	u64 bitmap = 0, pages = __atomic_load_n(&d->p2m.max_gfn, __ATOMIC_RELAXED) + 1;
	enum p2m_log_op step = P2M_LOG_CLEAN;
	long rc = 0;

	if (op->op == XEN_DOMCTL_SHADOW_OP_ENABLE_LOGDIRTY) {
		/* It may have been turned off since the last step. */
		if (d->privileged || (hc->progress ? d->dirty.user != process_of(v) : d->dirty.round))
			return -EINVAL;
		d->dirty.user = process_of(v);
		d->dirty.round = 1;
	} else if (op->op == XEN_DOMCTL_SHADOW_OP_OFF) {
		if (!d->dirty.round)
			return 0;
		/* Without a reader: a step of ours, or of another such call, has paused the domain. */
		if (d->dirty.user)
			domain_pause(d);
		d->dirty.user = 0;
		step = P2M_LOG_OFF;
		rc = domain_check_stopped(d);
	} else if (op->op == XEN_DOMCTL_SHADOW_OP_CLEAN || op->op == XEN_DOMCTL_SHADOW_OP_PEEK) {
		if (op->mode & ~XEN_DOMCTL_SHADOW_LOGDIRTY_FINAL || !d->dirty.round || d->dirty.user != process_of(v))
			return refuse_say(-EINVAL, "domain %u: the dirty log is off, or another migration began since", d->domid);
		if (op->op == XEN_DOMCTL_SHADOW_OP_PEEK)
			step = P2M_LOG_PEEK;
		else if (!hc->progress)
			d->dirty.round++;
		bitmap = HANDLE(op->dirty_bitmap);
		pages = op->pages = MIN(op->pages, pages);
	} else {
		return -EOPNOTSUPP;
	}
	rc = rc ?: walk_log(v, hc, step, bitmap, pages);
	op->stats = (struct xen_domctl_shadow_op_stats){ .dirty_count = d->dirty.count };
	if (!rc && step == P2M_LOG_OFF) {
		d->dirty.round = 0;
		domain_unpause(d);
	}
	if (!rc)
		note(d, step, op->op);
	return rc;
}
