/*
 * Toolstacks of several releases at once: which interface versions are served, and the structure
 * whose layout changed. It is widened into the latest layout before its handler runs, and narrowed
 * before it goes back. So each handler knows one layout.
 */
#include "vmm/versions.h"
#include <xen/domctl.h>
#include <xen/arch-x86/xen-mca.h>
#include "lib/string.h"
#include "vmm/domain/refuse.h"
#include "vmm/hypercall.h"

/*
 * The versions that a call may name. Each call names its own, so toolstacks of several releases can
 * run at the same time.
 *
 *   Xen       4.17  4.18  4.19  4.20  4.21  4.22
 *   domctl    0x15  0x16  0x17  0x17  0x17  0x18
 *   sysctl    0x15  0x15  0x15  0x15  0x16  0x16
 */
#define EVERY 0
static const struct { const char *name; u32 nr, cmd, lowest, highest; } served[] = {
	{ "platform_op",      __HYPERVISOR_platform_op, EVERY,                       0x03000001, 0x03000001 },
	{ "sysctl",           __HYPERVISOR_sysctl,      EVERY,                       0x15,       0x16 },
	{ "mca",              __HYPERVISOR_mca,         EVERY,                       0x01ecc003, 0x01ecc003 },
	{ "xsm_op",           __HYPERVISOR_xsm_op,      EVERY,                       1,          1 },
	/* Its layout never changes. */
	{ "get_domain_state", __HYPERVISOR_domctl,      XEN_DOMCTL_get_domain_state, 0,          0 },
	{ "domctl",           __HYPERVISOR_domctl,      EVERY,                       0x15,       0x18 },
};

/* Fields of a domctl's structure that callers of versions below `since` don't have. */
#define FIELD(type, f) offsetof(type, f), sizeof((type){ 0 }.f), sizeof(type)
static const struct { u32 cmd, since, at, size, end; } inserted[] = {
	{ XEN_DOMCTL_createdomain, 0x17, FIELD(struct createdomain, altp2m_opts) },
};

long versions_check(u64 nr, const struct control_head *head, bool say)
{
	u32 i = 0;

	while (served[i].nr != nr || (served[i].cmd != EVERY && served[i].cmd != head->cmd))
		i++;
	if (head->version >= served[i].lowest && head->version <= served[i].highest)
		return 0;
	return !say ? -EACCES :
	       refuse_say(-EACCES, "%s of interface version 0x%x: 0x%x to 0x%x are served, those of Xen " XEN_RELEASES,
			  served[i].name, head->version, served[i].lowest, served[i].highest);
}

/*
 * Moves the fields behind an inserted one, up or down. Returns its size. `nr` may be any control
 * hypercall, and most operations are alike in all versions.
 */
static u32 move(u64 nr, const struct control_head *head, u8 *arg, bool up)
{
	for (u32 i = 0; i < ARRAY_SIZE(inserted); i++) {
		u8 *low = arg + inserted[i].at, *high = low + inserted[i].size;

		if (nr != __HYPERVISOR_domctl || head->cmd != inserted[i].cmd || head->version >= inserted[i].since)
			continue;
		memmove(up ? high : low, up ? low : high, inserted[i].end - inserted[i].at - inserted[i].size);
		if (up)
			memset(low, 0, inserted[i].size);
		return inserted[i].size;
	}
	return 0;
}

u32 versions_widen(u64 nr, const struct control_head *head, void *arg) { return move(nr, head, arg, true); }

void versions_narrow(u64 nr, const struct control_head *head, void *arg) { move(nr, head, arg, false); }
