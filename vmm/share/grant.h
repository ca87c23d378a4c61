/*
 * Grant tables, version 1: a domain lends a page to another domain by writing an entry (abi.md D).
 */
#ifndef VMM_SHARE_GRANT_H
#define VMM_SHARE_GRANT_H

#include "vmm/share/tables.h"

struct domain;
struct page;
struct p2m_retired;

/*
 * Makes d's grant table, with frame 0. Both limits are in frames; -1 (xl's default) stands for 64
 * and 1024, and larger values than 1024 and 16384 are cut to these. Returns 0. Errors: -ENOMEM
 * without memory. Context: d's creation.
 */
int grant_init(struct domain *d, s32 max_frames, s32 max_maptrack);
/*
 * Drops the mappings of other domains' pages that d has, at most `budget` of them. Returns true
 * when none is left. Context: d is dying and doesn't run. Locks: none of LOCK_DOMAINS or above is
 * held.
 */
bool grant_release_maps(struct domain *d, unsigned budget);
/*
 * Frees at most `budget` frames of d's table. Returns true when the whole table is gone. Other
 * domains may still map d's pages, and their unmaps still work. Also undoes a failed grant_init(),
 * which made at most one frame. Context: grant_release_maps() has returned true. Locks: takes
 * LOCK_GRANT.
 */
bool grant_destroy(struct domain *d, unsigned budget);
/*
 * Returns 0, and frame idx of d's table in *out with a reference for the caller. Grows the table
 * if it isn't that long yet. Errors: -EINVAL if idx isn't below max_frames, -ENOMEM without
 * memory. Locks: takes LOCK_GRANT.
 */
int grant_get_frame(struct domain *d, u32 idx, struct page **out);
/*
 * Maps frame idx of d's table at gfn in d's own p2m, and unmaps it from its earlier place. The
 * caller retires *r. Returns 0. Errors: those of grant_get_frame() and p2m_enter(). Locks: takes
 * LOCK_GRANT, then LOCK_P2M.
 */
int grant_map_frame(struct domain *d, u32 idx, u64 gfn, struct p2m_retired *r);

#endif
