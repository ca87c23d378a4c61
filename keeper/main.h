/* The keeper's entry, and what it needs of start.S. */
#ifndef KEEPER_MAIN_H
#define KEEPER_MAIN_H

#include "keeper/call.h"

/*
 * Read and write 1, 2, 4 or 8 bytes in a window. Return false if the window has no RAM there, or
 * RAM that may not be written; nothing has changed then.
 */
bool keeper_load(u64 address, unsigned size, u64 *data);
bool keeper_store(u64 address, unsigned size, u64 data);
/* Replaces 4 or 8 bytes in one atomic step. Returns false if they aren't `old`, or as above. */
bool keeper_replace(u64 address, unsigned size, u64 old, u64 new);
/* Hands the page of the call to ring 0, and returns when ring 0 has answered. */
void keeper_hypercall(bool vmcall);

/* Serves one call, and doesn't return. */
void keeper_main(void);

#endif
