/* Grant tables, version 1: pages that a domain lends to another by writing an entry (abi.md D). */
#ifndef VMM_SHARE_GRANT_H
#define VMM_SHARE_GRANT_H

#include "vmm/share/tables.h"

struct domain;
struct page;
struct p2m_retired;

/* In frames; -1 (xl's default) means 64 and 1024, and 1024 and 16384 are the most. -ENOMEM. Frame 0 exists at once. */
int grant_init(struct domain *d, s32 max_frames, s32 max_maptrack);
/* Drops every mapping that d holds of others (d is dying, does not run). At most `budget` handles; true when none is left. */
bool grant_release_maps(struct domain *d, unsigned budget);
/*
 * Frees at most `budget` frames of the table; true when all is gone. d's own maps must be released. Others may still map d's pages: their unmaps
 * stay fine. Also undoes a failed init, which made at most one frame.
 */
bool grant_destroy(struct domain *d, unsigned budget);
/* The frame idx of d's table, grown if idx < max_frames, with a reference for the caller. -EINVAL, -ENOMEM. */
int grant_get_frame(struct domain *d, u32 idx, struct page **out);
/* add_to_physmap of grant frame idx at gfn in d's own p2m (an earlier place is unmapped). The caller retires *r. */
int grant_map_frame(struct domain *d, u32 idx, u64 gfn, struct p2m_retired *r);

#endif
