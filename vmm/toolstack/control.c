/* Shared by the handlers of domctl and sysctl: bitmaps, and descriptions of a domain. */
#include "vmm/toolstack/control.h"
#include <asm/time.h>
#include "lib/string.h"
#include "sched/sched.h"
#include "vmm/domain.h"
#include "vmm/memory/guest_access.h"
#include "vmm/vcpu.h"

#define BITMAP_BYTES_MAX 16u

static u32 bitmap_bytes(const struct xenctl_bitmap *map)
{
	return MIN(map->nr_bits / 8 + !!(map->nr_bits % 8), BITMAP_BYTES_MAX);
}

int bitmap_from_guest(struct vcpu *v, const struct xenctl_bitmap *map, u64 *out)
{
	u64 words[BITMAP_BYTES_MAX / 8] = { 0 };

	if (copy_from_guest(v, words, HANDLE(map->bitmap), bitmap_bytes(map)))
		return -EFAULT;
	*out = map->nr_bits < 64 ? words[0] & (BIT(map->nr_bits) - 1) : words[0];
	return 0;
}

int bitmap_to_guest(struct vcpu *v, const struct xenctl_bitmap *map, u64 bits)
{
	u64 words[BITMAP_BYTES_MAX / 8] = { bits };

	return copy_to_guest(v, HANDLE(map->bitmap), words, bitmap_bytes(map));
}

/* Sums up the vCPUs that aren't down: the domain is blocked if all are, and runs if one does. */
static u32 describe_vcpus(struct domain *d, struct xen_domctl_getdomaininfo *info)
{
	u32 flags = XEN_DOMINF_blocked;
	u64 now = time_now();
	struct vcpu *v;

	for_each_vcpu(v, d) {
		u32 pause = __atomic_load_n(&v->pause_flags, __ATOMIC_RELAXED);

		info->max_vcpu_id = v->id;
		info->cpu_time += sched_run_time(&v->sched, now);
		if (pause & VCPU_DOWN)
			continue;
		info->nr_online_vcpus++;
		if (!(pause & VCPU_BLOCKED))
			flags &= ~XEN_DOMINF_blocked;
		if (sched_on_cpu(&v->sched))
			flags |= XEN_DOMINF_running;
	}
	return flags;
}

void domain_describe(struct domain *d, struct xen_domctl_getdomaininfo *info)
{
	*info = (struct xen_domctl_getdomaininfo){
		.domain = d->domid,
		.flags = XEN_DOMINF_hvm_guest | XEN_DOMINF_hap,
		.tot_pages = __atomic_load_n(&d->tot_pages, __ATOMIC_RELAXED),
		.max_pages = __atomic_load_n(&d->max_pages, __ATOMIC_RELAXED),
		.ssidref = __atomic_load_n(&d->seal.state, __ATOMIC_RELAXED) ? SEAL_SID : SEAL_SID_OPEN,
		.shared_info_frame = ~0ull,
		.max_vcpu_id = XEN_INVALID_MAX_VCPU_ID,
		.gpaddr_bits = 48,
		.arch_config.emulation_flags = XEN_X86_EMU_LAPIC,
	};
	info->flags |= describe_vcpus(d, info);
	spin_lock(&d->lock);
	memcpy(info->handle, d->handle, sizeof(info->handle));
	if (d->create_flags & XEN_DOMCTL_CDF_xs_domain)
		info->flags |= XEN_DOMINF_xs_domain;
	if (__atomic_load_n(&d->dying, __ATOMIC_RELAXED))
		info->flags |= XEN_DOMINF_dying;
	if (d->controller_pauses)
		info->flags |= XEN_DOMINF_paused;
	if (d->shutting_down)
		info->flags |= XEN_DOMINF_shutdown | (u32)d->shutdown_code << XEN_DOMINF_shutdownshift;
	spin_unlock(&d->lock);
}
