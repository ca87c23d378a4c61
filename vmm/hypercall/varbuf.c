/*
 * xen_version: the strings again, as toolstacks from 4.18 on ask for them. Their buffer says how
 * long it is, so nothing is cut off unseen.
 */
#include <xen/version.h>
#include "lib/string.h"
#include "vmm/hypercall.h"
#include "vmm/memory/guest_access.h"
#include "vmm/versions.h"

/*
 * a[1] is the caller's buffer: a u32 with the number of bytes that follow it. They get the string
 * without its end. Returns the length; a buffer of 0 asks for that alone.
 */
long hc_version_varbuf(struct vcpu *v, struct hypercall *hc, void *arg)
{
	static hypercall_fn *const read[] = {
		hc_version_extraversion, hc_version_capabilities, hc_version_changeset, hc_version_commandline,
	};
	char text[sizeof(xen_commandline_t)] = "";
	u32 size, length;

	read[array_index_nospec(hc->a[0] - XENVER_extraversion2, ARRAY_SIZE(read))](v, hc, text);
	length = (u32)strnlen(text, sizeof(text));
	if (!hc->a[1])
		return length;
	if (copy_from_guest(v, &size, hc->a[1], sizeof(size)))
		return -EFAULT;
	if (!size || size < length)
		return size ? -ENOBUFS : -EINVAL;
	return copy_to_guest(v, hc->a[1] + sizeof(size), text, length) ?: (long)length;
}
