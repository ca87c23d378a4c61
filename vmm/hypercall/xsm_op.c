/*
 * xsm_op: the toolstack turns seclabel= into a number, which it gives with createdomain, and such a
 * number into a label for `xl list -Z`. There are two labels and no policy.
 */
#include <xen/xsm/flask_op.h>
#include "lib/string.h"
#include "vmm/domain.h"
#include "vmm/domain/refuse.h"
#include "vmm/hypercall.h"
#include "vmm/memory/guest_access.h"

static const char labels[2][12] = { "unsealed", "sealed" };

long hc_xsm_context_to_sid(struct vcpu *v, struct hypercall *hc, void *arg)
{
	struct xen_flask_sid_context *c = arg;
	char text[sizeof(labels[0])] = "";

	if (c->size < sizeof(text) && copy_from_guest(v, text, HANDLE(c->context), c->size))
		return -EFAULT;
	c->sid = SEAL_SID - !!memcmp(text, labels[1], sizeof(text));
	return !memcmp(text, labels[c->sid == SEAL_SID], sizeof(text)) ? 0 :
	       refuse_say(-EINVAL, "seclabel=: the labels are \"sealed\" and \"unsealed\"");
}

long hc_xsm_sid_to_context(struct vcpu *v, struct hypercall *hc, void *arg)
{
	struct xen_flask_sid_context *c = arg;
	const char *label = labels[c->sid == SEAL_SID];

	if (c->size < sizeof(labels[0]))
		return -ENOSPC;
	c->size = (u32)strnlen(label, sizeof(labels[0])) + 1;
	return copy_to_guest(v, HANDLE(c->context), label, c->size);
}
