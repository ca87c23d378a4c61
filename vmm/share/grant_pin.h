/*
 * What the parts of grants share: grant.c has the table and says whether an entry may be used, grant_map.c and grant_copy.c use
 * it. While an entry is pinned its GTF_reading or GTF_writing bit tells the granter so, and the page has a reference of ours.
 *
 * Locks: each step takes one domain's LOCK_GRANT alone, and none is held over p2m calls. That is enough, because what joins
 * the steps stays put without a lock: a pin is a count in the granter that only its holder drops, the page reference
 * keeps the frame, the domain reference keeps the granter, and a handle that is not live is its holder's alone.
 */
#ifndef VMM_SHARE_GRANT_PIN_H
#define VMM_SHARE_GRANT_PIN_H

#include "mm/page.h"
#include "vmm/domain.h"

#define GRANT_FRAME_ENTRIES 512

/*
 * Pins entry `ref` of `granter` for use by domain `user`, and takes a reference on the page behind it. GNTST_okay, or why not.
 * No LOCK_GRANT held.
 */
int grant_pin(struct domain *granter, u32 ref, u16 user, bool write, struct page **page);
/* Undoes that, page reference included. By now nobody can use the page through this pin: mappings are gone and flushed. */
void grant_unpin(struct domain *granter, u32 ref, bool write, struct page *page);

/* Frees the list of maptrack frames: no handle may be left. */
void grant_free_maptrack(struct grant_table *gt);

#endif
