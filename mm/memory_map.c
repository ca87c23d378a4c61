/*
 * The firmware's memory map, sorted and without overlaps, and arithmetic on sets of address ranges.
 */
#include "mm/memory_map.h"
#include "lib/string.h"

struct memory_range memory_map[MEMORY_MAP_MAX];
unsigned memory_map_nr;

/* Puts a range in its place among the *nr of an array. Returns false if the array is full. */
static bool insert_range(struct memory_range *r, unsigned *nr, paddr_t start, paddr_t end, u32 type)
{
	unsigned i = *nr;

	if (start >= end)
		return true;
	if (i == MEMORY_MAP_MAX)
		return false;
	for (; i > 0 && r[i - 1].start > start; i--)
		r[i] = r[i - 1];
	r[i] = (struct memory_range){ start, end, type };
	++*nr;
	return true;
}

static void insert_in_map(paddr_t start, paddr_t end, u32 type)
{
	if (!insert_range(memory_map, &memory_map_nr, start, end, type))
		printk(LOG_WARN "the firmware's memory map is too long: %lx-%lx left out\n", start, end);
}

/*
 * Cuts an overlap out of existing RAM if the new range isn't RAM, and otherwise out of the new
 * range.
 */
void memory_map_add(paddr_t start, u64 size, u32 type)
{
	paddr_t end = start + size;

	for (unsigned i = 0; i < memory_map_nr; i++) {
		struct memory_range *m = &memory_map[i], old = *m;

		if (old.end <= start || old.start >= end)
			continue;
		if (type != MEMORY_RAM && old.type == MEMORY_RAM) {
			memory_map_nr--;
			memmove(m, m + 1, (memory_map_nr - i) * sizeof(*m));
			insert_in_map(old.start, start, MEMORY_RAM);
			insert_in_map(end, old.end, MEMORY_RAM);
			i--;
			continue;
		}
		if (start < old.start)
			memory_map_add(start, old.start - start, type);
		if (end > old.end)
			memory_map_add(old.end, end - old.end, type);
		return;
	}
	insert_in_map(start, end, type);
}

bool memory_map_has_ram(paddr_t start, u64 size)
{
	for (unsigned i = 0; i < memory_map_nr; i++)
		if (memory_map[i].type == MEMORY_RAM &&
		    MAX(ROUND_UP(memory_map[i].start, PAGE_SIZE), start) < MIN(memory_map[i].end & PAGE_MASK, start + size))
			return true;
	return false;
}

paddr_t memory_map_end_of_ram(void)
{
	paddr_t end = 0;

	for (unsigned i = 0; i < memory_map_nr; i++)
		if (memory_map[i].type == MEMORY_RAM)
			end = MAX(end, memory_map[i].end);
	return end;
}

bool range_set_add(struct range_set *s, paddr_t start, paddr_t end)
{
	return insert_range(s->r, &s->nr, start, end, MEMORY_RAM);
}

bool range_set_remove(struct range_set *s, paddr_t start, paddr_t end)
{
	for (unsigned i = 0; i < s->nr; i++) {
		paddr_t old_start = s->r[i].start, old_end = s->r[i].end;

		if (old_end <= start || old_start >= end)
			continue;
		s->r[i].end = MAX(old_start, MIN(start, old_end));
		if (old_end > end && old_start >= start)
			s->r[i].start = end, s->r[i].end = old_end;
		else if (old_end > end && !range_set_add(s, end, old_end))
			return false;
	}
	return true;
}

paddr_t range_set_find(const struct range_set *s, u64 size, u64 align, paddr_t from, paddr_t to)
{
	for (unsigned i = s->nr; i-- > 0; ) {
		paddr_t end = MIN(s->r[i].end, to);

		if (end >= size && ROUND_DOWN(end - size, align) >= MAX(s->r[i].start, from))
			return ROUND_DOWN(end - size, align);
	}
	return 0;
}
