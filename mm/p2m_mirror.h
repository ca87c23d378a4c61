/*
 * A second table that follows a p2m: that of the domain's devices. It has no references. An entry
 * leaves the mirror before it leaves the p2m, and devices have forgotten it before its reference is
 * dropped.
 */
#ifndef MM_P2M_MIRROR_H
#define MM_P2M_MIRROR_H

#include "mm/p2m.h"

/* Context: there is one mirror for one p2m, and its LOCK_P2M is held; for `flush` it isn't. */
struct p2m_mirror {
	/*
	 * Empties the 2^order frames at gfn, before an entry of `type` comes there or a hole. Makes
	 * the tables that `set` needs. Returns 0. Errors: -ENOMEM if there is no memory for them;
	 * -EINVAL if devices can't reach gfn and the type needs it.
	 */
	int (*open)(gfn_t gfn, unsigned order, enum p2m_type type);
	/* Enters what `open` has made room for. */
	void (*set)(gfn_t gfn, mfn_t mfn, unsigned order, enum p2m_type type);
	/* Returns when no device uses an entry that `open` has emptied. Locks: takes p2m's. */
	void (*flush)(struct p2m *p2m);
};

/* As the functions of the mirror, which do nothing if the p2m has none. */
static inline int mirror_open(struct p2m *p2m, gfn_t gfn, unsigned order, enum p2m_type type)
{
	return likely(!p2m->mirror) ? 0 : p2m->mirror->open(gfn, order, type);
}

static inline void mirror_set(struct p2m *p2m, gfn_t gfn, mfn_t mfn, unsigned order, enum p2m_type type)
{
	if (unlikely(p2m->mirror))
		p2m->mirror->set(gfn, mfn, order, type);
}

static inline void mirror_flush(struct p2m *p2m)
{
	if (unlikely(p2m->mirror))
		p2m->mirror->flush(p2m);
}

#endif
