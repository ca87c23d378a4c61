/*
 * The two tables of what a domain shares: its event channels and its grants. The rules for their
 * locks are in evtchn_port.h and grant_pin.h. vmm/domain.h explains the tags.
 */
#ifndef VMM_SHARE_TABLES_H
#define VMM_SHARE_TABLES_H

#include <asm/spinlock.h>

struct domain;
struct page;

#define EVTCHN_MAX_PORTS 4096   /* 64 words of 64 bits */

/* Numbered as EVTCHNSTAT_*, which guests are told. */
enum evtchn_state { EVTCHN_FREE, EVTCHN_UNBOUND, EVTCHN_INTERDOMAIN, EVTCHN_VIRQ = 4, EVTCHN_IPI };

struct evtchn {
	/*
	 * All fields: [LOCK_EVTCHN of the owning domain] (s). A link changes under both domains'
	 * locks.
	 */
	u8 state;
	u8 virq;
	u16 remote_domid;       /* UNBOUND: the domain that may bind to it */
	u32 notify_vcpu;        /* [a] for reading: the peer's sender holds only the peer's lock */
	u32 remote_port;
	struct domain *remote;  /* (d) INTERDOMAIN: the peer, with a reference */
};

struct evtchn_table {
	spinlock_t lock;            /* (t) LOCK_EVTCHN; two at once in domid order */
	u32 max_port;               /* [I] (d) highest port number that may be allocated */
	bool dying;                 /* [LOCK_EVTCHN] (t) */
	u32 closing;                /* [LOCK_EVTCHN] (t) where closing all ports goes on, or 0 */
	struct evtchn *chunk[EVTCHN_MAX_PORTS / 128];   /* [LOCK_EVTCHN] 128 ports each, or NULL */
	u16 global_virq[32];        /* [LOCK_EVTCHN] (s) port of a global VIRQ or 0 */
};

struct grant_active;    /* granter's side: how often each entry is pinned */
struct maptrack;        /* mapper's side: what each handle maps */

/* A shared frame of a grant table. All fields: [LOCK_GRANT] */
struct grant_frame {
	struct page *page;              /* (s) its contents; PAGE_HEAP, the table has a reference */
	u64 gfn;                        /* (s) where it is mapped in the owner's p2m, ~0 if nowhere */
	struct grant_active *active;    /* (t) one for each of its 512 entries */
};

struct grant_table {
	spinlock_t lock;            /* (t) LOCK_GRANT */
	u32 max_frames;             /* [LOCK_GRANT] (d) most frames; 0 after the domain's end */
	u32 max_maptrack_frames;    /* [I] (d) */
	u32 nr_frames;              /* [LOCK_GRANT] (s) shared frames that exist; at least 1 */
	struct grant_frame *frames; /* [LOCK_GRANT] (s) max_frames entries */
	struct maptrack **maptrack; /* [LOCK_GRANT] (t) pages; a domain that moves maps nothing */
	u32 nr_maptrack;            /* [LOCK_GRANT] (t) handles that exist */
	u32 maptrack_free;          /* [LOCK_GRANT] (t) head of the free list of handles, ~0 if empty */
	u32 maps;                   /* [LOCK_GRANT] (t) handles in use */
};

#endif
