/*
 * Memory as the executor wants it: linear addresses, which may cross a page's end, become accesses
 * to guest-physical ones.
 */
#ifndef KEEPER_MEMORY_H
#define KEEPER_MEMORY_H

#include "keeper/execute.h"
#include "keeper/walk.h"

struct guest_memory {
	const struct guest_cpu *cpu;
	struct walk_memory tables;
	void *context;
	/*
	 * Reads (ACCESS_READ) or writes (ACCESS_WRITE) 1 to 8 bytes of one page, in RAM or of a
	 * device; *data has no bits above them. Returns EXEC_DONE, EXEC_WAIT or EXEC_STOP.
	 */
	enum exec_result (*access)(void *context, unsigned kind, u64 gpa, unsigned size, u64 *data);
	/* Why an access returned EXEC_STOP: WALK_HOLE or WALK_RACE, or WALK_OK if `access` did. */
	enum walk_result stopped;
};

/*
 * The `access` of a struct exec_memory; `context` is a struct guest_memory. All pages are
 * translated before one is touched, so a fault leaves no half of an access behind. Returns as that
 * function does.
 */
enum exec_result memory_access(void *context, unsigned kind, u64 linear, unsigned size, u64 *data,
			       struct guest_fault *fault);

#endif
