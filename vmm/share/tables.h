/* The two tables that a domain keeps of what it shares: its event channels and its grants. The rules are in evtchn.c and grant.c. */
#ifndef VMM_SHARE_TABLES_H
#define VMM_SHARE_TABLES_H

#include <asm/spinlock.h>

struct domain;
struct page;

#define EVTCHN_MAX_PORTS 4096   /* 64 words of 64 bits */

enum evtchn_state { EVTCHN_FREE, EVTCHN_UNBOUND, EVTCHN_INTERDOMAIN, EVTCHN_VIRQ, EVTCHN_IPI };

struct evtchn {
	u8 state;               /* all fields [LOCK_EVTCHN of the owning domain]; a link between two domains changes under both */
	u8 virq;
	u16 remote_domid;       /* UNBOUND: who may bind */
	u32 notify_vcpu;        /* [a] for reading: the other end's sender reads it under its own lock alone */
	u32 remote_port;
	struct domain *remote;  /* INTERDOMAIN: with a reference */
};

struct evtchn_table {
	spinlock_t lock;            /* LOCK_EVTCHN; two at once in domid order */
	u32 max_port;               /* [I] highest port number that may be allocated */
	bool dying;                 /* [LOCK_EVTCHN] */
	u32 closing;                /* [LOCK_EVTCHN] the port before which all were closed, by the one who closes all; 0: nobody does */
	struct evtchn *chunk[EVTCHN_MAX_PORTS / 128];   /* 128 ports each, allocated as needed */
	u16 global_virq[32];        /* [LOCK_EVTCHN] port of a global VIRQ or 0 */
};

struct grant_active;    /* granter's side: how often each entry is pinned */
struct maptrack;        /* mapper's side: what each handle maps */

/* A shared frame of a table. */
struct grant_frame {
	struct page *page;              /* PAGE_HEAP, one reference by the table */
	u64 gfn;                        /* where it is mapped in the owner's p2m, ~0 if nowhere */
	struct grant_active *active;    /* one for each of its 512 entries */
};

struct grant_table {
	spinlock_t lock;            /* LOCK_GRANT */
	u32 max_frames;             /* [I] at most 64 by default */
	u32 max_maptrack_frames;    /* [I] */
	u32 nr_frames;              /* [LOCK_GRANT] shared frames that exist; at least 1 */
	struct grant_frame *frames; /* [LOCK_GRANT] max_frames entries */
	struct maptrack **maptrack; /* [LOCK_GRANT] one page of entries each */
	u32 nr_maptrack;            /* [LOCK_GRANT] handles that exist */
	u32 maptrack_free;          /* [LOCK_GRANT] head of the free list of handles, ~0 if empty */
	u32 maps;                   /* [LOCK_GRANT] handles in use */
};

#endif
