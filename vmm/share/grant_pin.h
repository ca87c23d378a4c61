/*
 * The functions that the parts of grants share. grant.c has the table and decides whether an entry
 * may be used. grant_map.c and grant_copy.c use entries. While an entry is pinned, its GTF_reading
 * or GTF_writing bit tells the granter so, and we have a reference on the page.
 *
 * Locks: each step takes one domain's LOCK_GRANT alone, and none is held over p2m calls. That is
 * enough, because everything that one step leaves for the next stays valid without a lock:
 *   - a pin is a count in the granter, and only the pin's holder drops it;
 *   - the page reference keeps the frame, and the domain reference keeps the granter;
 *   - a busy handle belongs to its holder alone.
 */
#ifndef VMM_SHARE_GRANT_PIN_H
#define VMM_SHARE_GRANT_PIN_H

#include "mm/page.h"
#include "vmm/domain.h"

#define GRANT_FRAME_ENTRIES 512

/*
 * Pins entry `ref` of `granter` for use by domain `user`, and takes a reference on the page behind
 * it. Returns GNTST_okay. Errors: GNTST_bad_domain if the granter is dying, GNTST_bad_gntref if it
 * has no such entry. GNTST_general_error if the entry doesn't permit the use, GNTST_bad_page if
 * the page isn't the granter's own RAM. Locks: none of LOCK_GRANT or above is held.
 */
int grant_pin(struct domain *granter, u32 ref, u16 user, bool write, struct page **page);
/*
 * Undoes grant_pin(): drops the pin and the page reference (page may be NULL). Context: nobody can
 * use the page through this pin any more, because its mappings are gone and flushed. Otherwise the
 * granter could give the page away while it is still being written. Locks: as grant_pin.
 */
void grant_unpin(struct domain *granter, u32 ref, bool write, struct page *page);

/* Frees the list of maptrack frames. Context: grant_release_maps() has left no handle. */
void grant_free_maptrack(struct grant_table *gt);

#endif
