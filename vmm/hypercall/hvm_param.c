/*
 * HVM parameters: 39 numbers by which toolstack and guest tell each other the places of things
 * (abi.md I.6).
 */
#include <xen/hvm/hvm_op.h>
#include <xen/sched.h>
#include "vmm/domain.h"
#include "vmm/guests/narrow.h"
#include "vmm/domain/refuse.h"
#include "vmm/hypercall.h"
#include "vmm/vcpu.h"

_Static_assert(HVM_NR_PARAMS == 39, "abi.md I.6");

/* Rights to a parameter. The toolstack may also get every parameter of another domain. */
enum {
	GUEST_GET = 1,
	GUEST_SET = 2,
	TOOLS_SET = 4,
	ONCE      = 8,      /* a value that was set stays: something has been built on it */
};
#define GUEST (GUEST_GET | GUEST_SET | TOOLS_SET)

static const struct {
	u8 who;
	u64 max;            /* largest value, 0: any */
} rule[HVM_NR_PARAMS] = {
	[HVM_PARAM_CALLBACK_IRQ]            = { .who = GUEST },
	[HVM_PARAM_STORE_PFN]               = { .who = GUEST_GET | TOOLS_SET },
	[HVM_PARAM_STORE_EVTCHN]            = { .who = GUEST },
	[HVM_PARAM_IOREQ_PFN]               = { .who = TOOLS_SET | ONCE },
	[HVM_PARAM_BUFIOREQ_PFN]            = { .who = TOOLS_SET | ONCE },
	[HVM_PARAM_TIMER_MODE]              = { .who = TOOLS_SET, .max = 3 },
	[HVM_PARAM_HPET_ENABLED]            = { .who = TOOLS_SET, .max = 1 },
	[HVM_PARAM_IDENT_PT]                = { .who = TOOLS_SET },
	[HVM_PARAM_VM86_TSS]                = { .who = GUEST },
	[HVM_PARAM_VPT_ALIGN]               = { .who = TOOLS_SET, .max = 1 },
	[HVM_PARAM_CONSOLE_PFN]             = { .who = GUEST_GET | TOOLS_SET },
	[HVM_PARAM_CONSOLE_EVTCHN]          = { .who = GUEST },
	[HVM_PARAM_ACPI_IOPORTS_LOCATION]   = { .who = GUEST, .max = 1 },
	[HVM_PARAM_PAGING_RING_PFN]         = { .who = TOOLS_SET },
	[HVM_PARAM_MONITOR_RING_PFN]        = { .who = TOOLS_SET },
	[HVM_PARAM_SHARING_RING_PFN]        = { .who = TOOLS_SET },
	[HVM_PARAM_TRIPLE_FAULT_REASON]     = { .who = TOOLS_SET, .max = SHUTDOWN_MAX },
	[HVM_PARAM_IOREQ_SERVER_PFN]        = { .who = TOOLS_SET | ONCE },
	[HVM_PARAM_NR_IOREQ_SERVER_PAGES]   = { .who = TOOLS_SET | ONCE },
	[HVM_PARAM_VM_GENERATION_ID_ADDR]   = { .who = GUEST },
	[HVM_PARAM_ALTP2M]                  = { .who = GUEST_GET },    /* see zero_only */
	[HVM_PARAM_X87_FIP_WIDTH]           = { .who = GUEST, .max = 8 },
	[HVM_PARAM_VM86_TSS_SIZED]          = { .who = GUEST },
};

/* Features that we don't have: the toolstack may say "off", and the value stays 0. */
static bool zero_only(u32 index)
{
	return index == HVM_PARAM_VIRIDIAN || index == HVM_PARAM_ALTP2M || index == HVM_PARAM_MCA_CAP ||
	       index == HVM_PARAM_ACPI_S_STATE || index == HVM_PARAM_NESTEDHVM;
}

/*
 * Sets the vector that tells the guest of events (abi.md C.5). Vectors below 16 are reserved for
 * exceptions, so no APIC could deliver them. The other two ways need interrupt controllers that PVH
 * guests don't have.
 */
static void set_callback(struct domain *d, u64 value)
{
	u8 vector = (u8)value;
	struct vcpu *v;

	if (value >> 56 != HVM_PARAM_CALLBACK_TYPE_VECTOR || vector < 16)
		vector = 0;
	if (!vector && d->privileged)
		printk(LOG_WARN "The service domain has switched off its event callback (%lx): it hears of no event any more.\n", value);
	__atomic_store_n(&d->callback_vector, vector, __ATOMIC_RELEASE);
	for_each_vcpu(v, d)
		if (vector)
			vcpu_kick(v);
}

static long set_param(struct domain *d, u32 index, u64 value, u8 need)
{
	if (need == TOOLS_SET && zero_only(index))
		return value ? refuse_say(-EOPNOTSUPP, "HVM parameter %u (altp2m= sets 35): leave it out", index) : 0;
	if (!(rule[index].who & need))
		return need == GUEST_SET ? -EPERM : -EINVAL;
	if (rule[index].max && value > rule[index].max)
		return -EINVAL;
	if ((rule[index].who & ONCE) && d->params[index] && d->params[index] != value)
		return -EEXIST;
	__atomic_store_n(&d->params[index], value, __ATOMIC_RELAXED);
	if (index == HVM_PARAM_CALLBACK_IRQ)
		set_callback(d, value);
	return 0;
}

/* Sets or gets a parameter of the domain that p names. */
static long use_param(struct vcpu *v, struct hypercall *hc, struct xen_hvm_param *p, bool set)
{
	u32 index = (u32)array_index_nospec(p->index, HVM_NR_PARAMS);
	struct domain *d;
	long rc = p->index < HVM_NR_PARAMS ? domain_get_permitted(v, hc, p->domid, &d) : -EINVAL;

	if (rc)
		return rc;
	if (set && d == v->domain && index == HVM_PARAM_CALLBACK_IRQ)
		narrow_latch(v);
	if (set)
		rc = set_param(d, index, p->value, d == v->domain ? GUEST_SET : TOOLS_SET);
	else if (d == v->domain && !(rule[index].who & GUEST_GET))
		rc = -EPERM;
	else
		p->value = __atomic_load_n(&d->params[index], __ATOMIC_RELAXED);
	domain_put(d);
	return rc;
}

long hc_hvm_set_param(struct vcpu *v, struct hypercall *hc, void *arg) { return use_param(v, hc, arg, true); }
long hc_hvm_get_param(struct vcpu *v, struct hypercall *hc, void *arg) { return use_param(v, hc, arg, false); }
