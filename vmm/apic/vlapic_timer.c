/*
 * The APIC's timer, one-shot and periodic (SDM vol. 3, "APIC Timer", 11.5.4). It counts at 100 MHz
 * before its divider, as Xen's.
 */
#include <asm/cpu.h>
#include <asm/time.h>
#include "sched/timer.h"
#include "vmm/apic/vlapic.h"
#include "vmm/apic/xapic.h"
#include "vmm/apic/vlapic_regs.h"
#include "vmm/vcpu.h"

#define COUNT_NS   10
/* A guest that asks for more interrupts gets fewer, at least this long one after the other. */
#define PERIOD_MIN 50000        /* ns */
/* And while it takes none, so that the timers of vCPUs that don't run cost others little. */
#define PERIOD_IDLE 10000000    /* ns */

/* Bits 0, 1 and 3: dividers 2, 4, ... 128, and 1. */
static u64 tick(const struct vlapic *a) { return (u64)COUNT_NS << (((a->timer_dcr & 3) + (a->timer_dcr >> 1 & 4) + 1) & 7); }

static void arm(struct vcpu *v)
{
	const struct vlapic *a = &v->apic;

	timer_set(&v->apic_timer, cpu_id(), a->timer_start + a->timer_icr * tick(a));
}

void vlapic_timer_fired(void *vcpu)
{
	struct vcpu *v = vcpu;
	struct vlapic *a = &v->apic;
	u32 lvt = __atomic_load_n(&a->lvt[LVT_TIMER], __ATOMIC_RELAXED);
	u64 period = a->timer_icr * tick(a), now = time_now();
	bool waits = lvt & LVT_MASKED || __atomic_load_n(&a->irr[(u8)lvt / 64], __ATOMIC_RELAXED) & BIT((u8)lvt % 64);

	if (!period)
		return;
	if (!(lvt & LVT_MASKED) && (u8)lvt >= 16)
		vlapic_post(v, (u8)lvt, false);
	if (!(lvt & LVT_PERIODIC))
		return;
	/* Ticks that were missed while the vCPU waited for a CPU are not made up for. */
	a->timer_start += (now - a->timer_start) / period * period;
	timer_set(&v->apic_timer, cpu_id(), MAX(a->timer_start + period, now + (waits ? PERIOD_IDLE : PERIOD_MIN)));
}

u32 vlapic_timer_count(const struct vcpu *v)
{
	const struct vlapic *a = &v->apic;
	u64 gone = a->timer_icr ? (time_now() - a->timer_start) / tick(a) : 0;

	if (a->lvt[LVT_TIMER] & LVT_PERIODIC && a->timer_icr)
		gone %= a->timer_icr;
	return gone < a->timer_icr ? a->timer_icr - (u32)gone : 0;
}

void vlapic_timer_write(struct vcpu *v, bool count, u32 value)
{
	struct vlapic *a = &v->apic;

	timer_cancel(&v->apic_timer);
	if (count) {
		a->timer_icr = value;
		a->timer_start = time_now();
	} else {
		a->timer_dcr = value & 11;
	}
	if (a->timer_icr)
		arm(v);
}
