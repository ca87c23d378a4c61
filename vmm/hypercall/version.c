/*
 * xen_version and vm_assist: the hypervisor's version and features. The two handlers that only have
 * an answer are here, too.
 */
#include "vmm/hypercall/version.h"
#include <xen/version.h>
#include <xen/features.h>
#include "lib/string.h"
#include "vmm/domain.h"
#include "vmm/hypercall.h"
#include "vmm/vcpu.h"
#include "vmm/versions.h"

#define FEATURE(name) ((u32)BIT(XENFEAT_##name))

/* abi.md A.7: frames are always translated; no interrupts as event channels. */
#define FEATURES      (FEATURE(writable_page_tables) | FEATURE(auto_translated_physmap) | FEATURE(hvm_callback_vector) | \
		       FEATURE(hvm_safe_pvclock))
#define FEATURES_DOMU (FEATURES | FEATURE(not_direct_mapped))
#define FEATURES_DOM0 (FEATURES | FEATURE(dom0) | FEATURE(direct_mapped))

/* xl wants hvm-3.0-x86_32 even for a 64-bit PVH kernel (abi.md L.1). */
#define CAPABILITIES "hvm-3.0-x86_32 hvm-3.0-x86_32p hvm-3.0-x86_64 "

/* The start of Xen's own range; the toolstack only prints it. */
#define VIRT_START 0xffff800000000000ull

static const char *cmdline = "";

void version_set_cmdline(const char *s) { cmdline = s; }

long hc_zero(struct vcpu *v, struct hypercall *hc, void *arg) { return 0; }

/* No guest has virtual NUMA. The toolstack asks before it saves one, and with this answer goes on. */
long hc_memory_get_vnumainfo(struct vcpu *v, struct hypercall *hc, void *arg) { return -EOPNOTSUPP; }

long hc_version_version(struct vcpu *v, struct hypercall *hc, void *arg) { return xen_version; }

long hc_version_extraversion(struct vcpu *v, struct hypercall *hc, void *arg)
{
	strlcpy(arg, ".0-bothy", sizeof(xen_extraversion_t));
	return 0;
}

long hc_version_compile_info(struct vcpu *v, struct hypercall *hc, void *arg)
{
	struct xen_compile_info *info = arg;

	/* No user, host or date: the image is the same wherever it is built. */
	strlcpy(info->compiler, __VERSION__, sizeof(info->compiler));
	strlcpy(info->compile_by, "bothy", sizeof(info->compile_by));
	return 0;
}

long hc_version_capabilities(struct vcpu *v, struct hypercall *hc, void *arg)
{
	strlcpy(arg, CAPABILITIES, sizeof(xen_capabilities_info_t));
	return 0;
}

long hc_version_changeset(struct vcpu *v, struct hypercall *hc, void *arg)
{
	strlcpy(arg, "bothy", sizeof(xen_changeset_info_t));
	return 0;
}

long hc_version_platform_parameters(struct vcpu *v, struct hypercall *hc, void *arg)
{
	struct xen_platform_parameters *params = arg;

	params->virt_start = VIRT_START;
	return 0;
}

long hc_version_get_features(struct vcpu *v, struct hypercall *hc, void *arg)
{
	struct xen_feature_info *info = arg;

	if (info->submap_idx >= XENFEAT_NR_SUBMAPS)
		return -EINVAL;
	info->submap = v->domain->privileged ? FEATURES_DOM0 : FEATURES_DOMU;
	return 0;
}

long hc_version_pagesize(struct vcpu *v, struct hypercall *hc, void *arg)
{
	return hc->a[1] ? -EINVAL : (long)PAGE_SIZE;
}

long hc_version_guest_handle(struct vcpu *v, struct hypercall *hc, void *arg)
{
	memcpy(arg, v->domain->handle, sizeof(xen_domain_handle_t));
	return 0;
}

long hc_version_commandline(struct vcpu *v, struct hypercall *hc, void *arg)
{
	strlcpy(arg, cmdline, sizeof(xen_commandline_t));
	return 0;
}

long hc_version_build_id(struct vcpu *v, struct hypercall *hc, void *arg) { return -ENODATA; }

/*
 * a[0] says enable or disable, a[1] which assist. Only the update flag of the runstate area means
 * anything to a PVH guest.
 */
long hc_vm_assist(struct vcpu *v, struct hypercall *hc, void *arg)
{
	if (hc->a[1] != VMASST_TYPE_runstate_update_flag)
		return -EINVAL;
	__atomic_store_n(&v->domain->runstate_update_flag, hc->a[0] == VMASST_CMD_enable, __ATOMIC_RELAXED);
	return 0;
}
