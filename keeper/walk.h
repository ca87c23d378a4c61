/*
 * The guest's own page tables: from a linear address to a guest-physical one, with the page faults
 * and the accessed and dirty bits of a CPU. 32-bit, PAE and 4-level paging, and none.
 */
#ifndef KEEPER_WALK_H
#define KEEPER_WALK_H

struct guest_cpu;
struct guest_fault;

struct walk_memory {
	void *context;
	/*
	 * Reads an entry of 4 or 8 bytes at a guest-physical address. Returns false if no RAM is
	 * there.
	 */
	bool (*read)(void *context, u64 gpa, unsigned size, u64 *entry);
	/*
	 * Replaces an entry that was read, in one atomic step. Returns false if it isn't `old` any
	 * more.
	 */
	bool (*replace)(void *context, u64 gpa, unsigned size, u64 old, u64 entry);
};

enum walk_result {
	WALK_OK,
	WALK_FAULT,     /* *fault is a page fault */
	WALK_HOLE,      /* *gpa is that of an entry, and no RAM is there */
	WALK_RACE,      /* entries changed all the time: executing the instruction again is right */
};

/*
 * Translates a canonical linear address for an access by ACCESS_* bits, at the privilege of
 * cpu->cpl. Returns WALK_OK and *gpa, which is good up to the end of its 4 KiB; then accessed bits
 * are set, and for a write the dirty bit. Otherwise no entry has changed, except after WALK_RACE.
 * Context: any; reads at most 64 entries.
 */
enum walk_result walk_linear(const struct guest_cpu *cpu, const struct walk_memory *memory,
			     u64 linear, unsigned kind, u64 *gpa, struct guest_fault *fault);

#endif
