/* What bench.c and peer.c, two guests that run together, know of each other: pages by reference, and the first one's contents. */
#ifndef BENCH_PEER_H
#define BENCH_PEER_H

#define PEER_TABLE_GFN  (HOLE_GFN + 0x100)
#define PEER_PAGES      64u
#define PEER_REF        8u      /* the first page's; those of the others follow */

enum { PEER_ANSWER, PEER_YIELD, PEER_END };     /* what an event asks for: one back, or to give the CPU away again and again */

struct peer_page { volatile u32 port, what, turns; };

#endif
