/*
 * A guest's clock stands still from its suspension until it goes on elsewhere: its TSC and its
 * system time continue from there. If the new machine's TSC has another rate, the CPU scales it for
 * the guest. All that this needs is found in one place, at one moment, so that it is consistent.
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

void save_start_clock(struct domain *d, u64 tsc)
{
	struct vcpu *v;

	if (!d->clock.restored_khz)
		return;
	clock_start(&d->clock, tsc, time_tsc());
	for_each_vcpu(v, d)
		vcpu_update_time(v);
	domain_update_wallclock(d);
}

/*
 * Guests read the machine's TSC, which the CPU may scale; Bothy doesn't emulate one. A rate of 0 is
 * for a new guest. The clock changes only as the guest's registers are loaded.
 */
long hc_domctl_settscinfo(struct vcpu *v, struct hypercall *hc, void *arg)
{
	const struct xen_domctl_tsc_info *op = arg;

	if (op->tsc_mode == TSC_ALWAYS_EMULATE)
		return refuse(__HYPERVISOR_domctl, hc->head);
	if (op->tsc_mode > TSC_NATIVE_PARAVIRT)
		return -EINVAL;
	if (!op->gtsc_khz)
		return 0;
	if (!clock_ratio(op->gtsc_khz))
		return refuse_say(-EINVAL, "restore: the guest's TSC runs at %u kHz and this machine's at %u kHz, which is too different",
				  op->gtsc_khz, time_scale.tsc_khz);
	hc->target->clock.restored_khz = op->gtsc_khz;
	hc->target->clock.restored_ns = op->elapsed_nsec;
	return 0;
}

long hc_domctl_gettscinfo(struct vcpu *v, struct hypercall *hc, void *arg)
{
	const struct domain *d = hc->target;
	u64 ns = time_at(clock_stopped_tsc(&d->clock)) + d->clock.delta;

	*(struct xen_domctl_tsc_info *)arg = (struct xen_domctl_tsc_info){
		.tsc_mode = TSC_DEFAULT,
		.gtsc_khz = d->clock.scale.tsc_khz,
		.elapsed_nsec = ns - clock_product(ns - d->clock.base_ns, d->clock.drift, 64),
	};
	return 0;
}
