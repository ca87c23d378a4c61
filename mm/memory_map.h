/* The machine's memory as the firmware described it: which ranges are RAM, whoever owns them. */
#ifndef MM_MEMORY_MAP_H
#define MM_MEMORY_MAP_H

#define MEMORY_MAP_MAX 128

enum { MEMORY_RAM = 1, MEMORY_RESERVED = 2, MEMORY_ACPI = 3, MEMORY_NVS = 4, MEMORY_UNUSABLE = 5 };

struct memory_range {
	paddr_t start, end;     /* [start, end), bytes */
	u32 type;               /* MEMORY_* or the firmware's own number */
};

extern struct memory_range memory_map[MEMORY_MAP_MAX];     /* [I] ascending, no overlaps */
extern unsigned memory_map_nr;                              /* [I] */

/*
 * Adds one of the firmware's ranges. They may come in any order and overlap: a type other than RAM
 * then wins over RAM, and otherwise the earlier range stays. Logs a range that has no room in the
 * map.
 */
void memory_map_add(paddr_t start, u64 size, u32 type);
/*
 * Returns true if [start, start+size) touches a whole frame of RAM. Frames that are RAM only in
 * part don't count: no one may allocate them.
 */
bool memory_map_has_ram(paddr_t start, u64 size);
/* Returns the end of the last RAM range. */
paddr_t memory_map_end_of_ram(void);

/*
 * A set of ranges, for planning. range_set_add adds [start, end), range_set_remove takes it out.
 * Both return false if there is no room for one more piece.
 */
struct range_set {
	unsigned nr;
	struct memory_range r[MEMORY_MAP_MAX];
};
bool range_set_add(struct range_set *s, paddr_t start, paddr_t end);
bool range_set_remove(struct range_set *s, paddr_t start, paddr_t end);
/*
 * Returns the highest multiple of `align` from which `size` bytes lie in one range of s, not below
 * `from` and not beyond `to`. Returns 0 if there is none.
 */
paddr_t range_set_find(const struct range_set *s, u64 size, u64 align, paddr_t from, paddr_t to);

#endif
