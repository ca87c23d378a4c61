/* The machine's memory as the firmware described it: what is RAM, whoever owns it. */
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

/* Adds a range; called for each of the firmware's, in any order. Later ones of a type other than RAM win over RAM. */
void memory_map_add(paddr_t start, u64 size, u32 type);
/* True if [start, start+size) touches a whole frame of RAM; frames that are RAM in part are nobody's to allocate. */
bool memory_map_has_ram(paddr_t start, u64 size);
/* End of the last RAM range. */
paddr_t memory_map_end_of_ram(void);

/* Sets of ranges, for planning: `from` minus [start, end), in place; false if there is no room for one more piece. */
struct range_set {
	unsigned nr;
	struct { paddr_t start, end; } r[MEMORY_MAP_MAX];
};
bool range_set_add(struct range_set *s, paddr_t start, paddr_t end);
bool range_set_remove(struct range_set *s, paddr_t start, paddr_t end);
/* The highest multiple of `align`, not below `from`, where `size` bytes lie in one range of s and below `to`; 0 if there is none. */
paddr_t range_set_find(const struct range_set *s, u64 size, u64 align, paddr_t from, paddr_t to);

#endif
