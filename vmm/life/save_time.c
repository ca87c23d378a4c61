/*
 * A guest's clock stands still from its suspension until it goes on elsewhere: its TSC and its
 * system time continue from there. Both are the machine's with something added. These two sums are
 * found in one place, at one moment, so that they stay consistent.
 */
#include "vmm/life/save.h"
#include <xen/domctl.h>
#include <asm/time.h>
#include "vmm/domain.h"
#include "vmm/domain/refuse.h"
#include "vmm/hypercall.h"
#include "vmm/life/life.h"
#include "vmm/vcpu.h"

/* Ways in which a guest's TSC may behave; the names are libxl's. */
enum { TSC_DEFAULT, TSC_ALWAYS_EMULATE, TSC_NATIVE, TSC_NATIVE_PARAVIRT };

/*
 * The same machine measures its TSC differently by some 20 in a million from boot to boot. Guests
 * that rely on the rate correct up to 500 in a million by NTP.
 */
#define PER_MILLION 250ull

static u64 stop_tsc(const struct domain *d) { return d->clock.suspended_tsc ?: time_tsc(); }

u64 save_guest_tsc(const struct vcpu *v) { return stop_tsc(v->domain) + v->domain->clock.tsc_offset; }

u32 save_tsc_khz(const struct domain *d) { return d->clock.tsc_khz ?: time_scale.tsc_khz; }

void save_start_clock(struct domain *d, u64 tsc)
{
	struct vcpu *v;
	u64 now = time_tsc();

	if (!d->clock.restored_ns)
		return;
	d->clock.tsc_offset = tsc - now;
	d->clock.delta = d->clock.restored_ns - time_at(now);
	d->clock.restored_ns = 0;
	for_each_vcpu(v, d)
		vcpu_update_time(v);
	domain_update_wallclock(d);
}

/* Guests read the machine's TSC; Bothy doesn't emulate one. A rate of 0 is for a new guest. */
long hc_domctl_settscinfo(struct vcpu *v, struct hypercall *hc, void *arg)
{
	const struct xen_domctl_tsc_info *op = arg;
	u32 khz = time_scale.tsc_khz, more = MAX(op->gtsc_khz, khz), less = MIN(op->gtsc_khz, khz);

	if (op->tsc_mode == TSC_ALWAYS_EMULATE)
		return refuse(__HYPERVISOR_domctl, hc->head);
	if (op->tsc_mode > TSC_NATIVE_PARAVIRT)
		return -EINVAL;
	if (!op->gtsc_khz)
		return 0;
	if ((more - less) * 1000000ull > PER_MILLION * khz)
		return refuse_say(-EINVAL, "restore: the guest's TSC runs at %u kHz and this machine's at %u kHz, which is too different", op->gtsc_khz, khz);
	hc->target->clock.tsc_khz = op->gtsc_khz;
	hc->target->clock.restored_ns = op->elapsed_nsec;
	return 0;
}

long hc_domctl_gettscinfo(struct vcpu *v, struct hypercall *hc, void *arg)
{
	const struct domain *d = hc->target;

	*(struct xen_domctl_tsc_info *)arg = (struct xen_domctl_tsc_info){
		.tsc_mode = TSC_DEFAULT,
		.gtsc_khz = save_tsc_khz(d),
		.elapsed_nsec = time_at(stop_tsc(d)) + d->clock.delta,
	};
	return 0;
}
