/*
 * Releases of Xen differ in a few numbers and structures of the toolstack's interface. Bothy serves
 * several releases at once. The headers that it is built with are those of one release, so what
 * differs is said here and in the tables of vmm/toolstack/versions.c.
 */
#ifndef VMM_VERSIONS_H
#define VMM_VERSIONS_H

#include <xen/xen.h>

struct control_head;

#define XEN_RELEASES "4.17 to 4.22"     /* whose toolstacks are served; lib/cmdline.c has them too */
/*
 * The release that guests and toolstacks are told, 4 << 16 | its minor number. Debian selects its
 * toolstack by this number (abi.md L.28); what is served doesn't depend on it. Set once, at boot.
 */
extern u32 xen_version;

/* Sub-operations that the oldest headers lack. In later headers the same numbers stand. */
#define XENVER_extraversion2 11
#define XENVER_capabilities2 12
#define XENVER_changeset2    13
#define XENVER_commandline2  14
#define XEN_DOMCTL_set_llc_colors   89
#define XEN_DOMCTL_get_domain_state 90

/*
 * createdomain's argument in the latest layout, whatever the caller's is. The names are those of
 * Xen's structure.
 */
struct createdomain {
	u32 ssidref;
	xen_domain_handle_t handle;
	u32 flags;              /* XEN_DOMCTL_CDF_* */
	u32 iommu_opts;
	u32 max_vcpus;
	u32 max_evtchn_port;
	s32 max_grant_frames;
	s32 max_maptrack_frames;
	u32 grant_opts;
	u32 altp2m_opts;        /* from domctl 0x17 on */
	u32 vmtrace_size;
	u32 cpupool_id;
	struct { u32 emulation_flags, misc_flags; } arch;
};

/* set_llc_colors' argument. */
struct llc_colors {
	u32 number, pad;
	u64 colors;             /* the caller's array of `number` u32 */
};

/* get_domain_state's answer. */
struct domain_state {
	u16 state;              /* DOMAIN_STATE_*; 0: it has gone */
	u16 capabilities;       /* DOMAIN_CAN_* */
	u32 pad;                /* 0, in and out */
	u64 unique_id;
};

enum { DOMAIN_STATE_EXISTS = 1, DOMAIN_STATE_SHUTDOWN = 2, DOMAIN_STATE_DYING = 4, DOMAIN_STATE_DEAD = 8 };
enum { DOMAIN_CAN_CONTROL = 1, DOMAIN_CAN_HARDWARE = 2, DOMAIN_CAN_STORE = 4 };

/*
 * Checks the interface version that a call of control hypercall `nr` names. Returns 0. Errors:
 * -EACCES if we don't serve it; then the log says which versions we serve if `say` is set. Locks:
 * as refuse().
 */
long versions_check(u64 nr, const struct control_head *head, bool say);
/*
 * Brings the argument of hypercall `nr`, at `arg`, from the layout of the version that `head` names
 * into the latest one. There has to be room behind it. Returns how many bytes the caller's layout
 * is shorter: 0 if the two are the same.
 */
u32 versions_widen(u64 nr, const struct control_head *head, void *arg);
/* Undoes what versions_widen() did. */
void versions_narrow(u64 nr, const struct control_head *head, void *arg);

#endif
