/*
 * The dirty log: which frames of its RAM a domain has, or may have, written since it was last asked.
 * It needs no memory of its own. While a domain is watched, a frame is dirty if its entry lets the
 * guest write. All other frames have an entry without that right, and the first write to such a
 * frame faults and gives it back.
 *
 * A frame that somebody else holds stays dirty: a vCPU's info, a grant that is mapped, a copy under
 * way. So such a holder can write without telling anybody.
 */
#ifndef MM_P2M_LOG_H
#define MM_P2M_LOG_H

#include "mm/p2m.h"

enum p2m_log_op {
	P2M_LOG_PEEK,       /* only look */
	P2M_LOG_CLEAN,      /* and begin anew */
	P2M_LOG_ALL,        /* all may be written again */
	P2M_LOG_OFF,        /* and large pages form again; none of the domain's vCPUs is on a CPU */
};

#define P2M_LOG_FRAMES 512u     /* in one step: a table of small leaves, so one walk finds all */

/*
 * Does `op` for the P2M_LOG_FRAMES frames from gfn on, which is a multiple of that. `dirty` gets a
 * bit for each, as they were before. Returns the number of dirty frames. After CLEAN the caller
 * calls p2m_flush() before anybody reads the frames. Locks: takes LOCK_P2M.
 */
u64 p2m_log_step(struct p2m *p2m, gfn_t gfn, enum p2m_log_op op, u64 dirty[P2M_LOG_FRAMES / 64]);
/* Returns true if all of a frame's bytes are 0. */
bool p2m_log_is_zero(const u64 *frame);
/* What of a frame has to be sent. Only the domain's own RAM is. */
enum p2m_log_kind { P2M_LOG_NOTHING, P2M_LOG_ZEROS, P2M_LOG_BYTES };
/*
 * Replaces each of the n frame numbers in gfns[] by the word for its enum p2m_log_kind. Looks for
 * zeros only if `may_skip`. Frames that stand in their order cost least. Locks: takes LOCK_P2M.
 */
void p2m_log_look(struct p2m *p2m, u64 *gfns, u64 n, const u64 *words, bool may_skip);
/*
 * Lets the guest write to its RAM at gfn. If a large page can't be split, all of it becomes dirty.
 * Returns false if gfn isn't RAM. Locks: takes LOCK_P2M.
 */
bool p2m_make_dirty(struct p2m *p2m, gfn_t gfn);
/*
 * p2m_get_page() for writing calls this if the page at gfn is clean: it becomes dirty first. A
 * function of its own, so that the look-ups of guests that aren't watched cost no more. Returns the
 * page with a reference, or NULL if gfn isn't RAM or no reference can be had. Locks: LOCK_P2M is
 * held if `locked`, else this takes it.
 */
struct page *p2m_get_clean_page(struct p2m *p2m, gfn_t gfn, bool locked);

#endif
