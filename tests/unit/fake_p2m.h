/*
 * The p2m for unit tests of what stands on it: an array of entries for each domain, with the references that the real one
 * takes and drops, and the means to make it fail or to let something happen in the middle of it.
 */
#ifndef TESTS_UNIT_FAKE_P2M_H
#define TESTS_UNIT_FAKE_P2M_H

#include "tests/unit/fake.h"
#include "mm/p2m.h"

#define FAKE_GFNS 64        /* gfns at or above are too large */

/* Puts a new frame of domain `owner` at gfn, as RAM; returns it. */
struct page *fake_p2m_populate(struct p2m *p2m, u64 gfn, u16 owner);
/* Makes every gfn a hole, dropping what the entries hold, and forgets the table. */
void fake_p2m_clear(struct p2m *p2m);

extern int fake_p2m_error;              /* what the next p2m_map returns, once, instead of mapping */
extern void (*fake_p2m_meanwhile)(void);/* called once, in the next p2m_map, p2m_remove or p2m_retire, before the flush */
extern unsigned fake_p2m_flushes;       /* calls of p2m_flush, of p2m_retire with something taken too */

#endif
