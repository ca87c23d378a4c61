/*
 * xl shows most refusals only as an error number. So each refusal that an operator can meet is a
 * row of vmm/domain/refusals.def, which has its condition, its error and the line for the log.
 */
#include "vmm/domain/refuse.h"
#include <xen/domctl.h>
#include <xen/sysctl.h>
#include <xen/physdev.h>
#include "lib/printf.h"
#include "vmm/domain.h"
#include "vmm/domain/guest_log.h"
#include "vmm/versions.h"

/* The flags that createdomain may have. */
#define CREATE_FLAGS \
	(XEN_DOMCTL_CDF_hvm | XEN_DOMCTL_CDF_hap | XEN_DOMCTL_CDF_oos_off | XEN_DOMCTL_CDF_xs_domain)

/* A row applies if the 32 bits at `at`, masked, are not in [low, low + span]. Mask 0: always. */
static const struct refusal {
	const char *text;
	u32 mask, low, span;
	s16 error;
	u8 nr, cmd, at;
} refusals[] = {
#define NEEDS(bits)       .mask = (bits), .low = (bits)
#define NOTHING_BUT(bits) .mask = ~(u32)(bits)
#define BETWEEN(from, to) .mask = ~0u, .low = (from), .span = (to) - (from)
#define CREATE(field, accepted, ...) \
	{ .at = offsetof(struct xen_domctl, u) + offsetof(struct createdomain, field), accepted, DOMCTL_ROW(createdomain, __VA_ARGS__) },
#define DOMCTL(op, ...) { DOMCTL_ROW(op, __VA_ARGS__) },
#define DOMCTL_ROW(op, err, why) \
	.nr = __HYPERVISOR_domctl, .cmd = XEN_DOMCTL_##op, .error = (err), .text = (why)
#define SYSCTL(op, err, why) \
	{ .nr = __HYPERVISOR_sysctl, .cmd = XEN_SYSCTL_##op, .error = (err), .text = (why) },
#define PHYSDEV(op, err, why) \
	{ .nr = __HYPERVISOR_physdev_op, .cmd = PHYSDEVOP_##op, .error = (err), .text = (why) },
#include "vmm/domain/refusals.def"
};

static bool row_applies(const struct refusal *r, const void *op)
{
	u32 value = *(const u32 *)((const u8 *)op + r->at) & r->mask;

	return !r->mask || value - r->low > r->span;
}

long refuse_say(long error, const char *fmt, ...)
{
	char text[200];
	va_list ap;
	bool ok;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	/* The line counts as the service domain's, because a program there asked. */
	spin_lock(&dom0->lock);
	ok = guest_log_allows(dom0);
	spin_unlock(&dom0->lock);
	if (ok)
		printk(LOG_WARN "refused: %s\n", text);
	return error;
}

long refuse(u8 nr, const void *op)
{
	/* The structures of both kinds begin with the sub-operation. */
	u32 cmd = *(const u32 *)op;

	for (unsigned i = 0; i < ARRAY_SIZE(refusals); i++) {
		const struct refusal *r = &refusals[i];

		if (r->nr == nr && r->cmd == cmd && row_applies(r, op))
			return refuse_say(r->error, "%s", r->text);
	}
	return 0;
}
