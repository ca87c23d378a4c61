/* Reads rings of records while their CPUs go on writing them. */
#include "dom0-lite/bothy/bothy.h"
#include <stdlib.h>
#include <string.h>

/* Tries of one copy. A second is needed only if the CPU sets new longest times while we copy. */
#define TRIES     16

#define MARGIN    256u          /* records that may be written while we read */
#define UNDER_WAY 64u           /* below the head: an exit without its cost may still get it */

static void append(struct samples *to, const struct record *r, u32 cpu)
{
	if (to->nr == to->room) {
		to->room = to->room ? to->room * 2 : 65536;
		to->s = realloc(to->s, to->room * sizeof(*to->s));
		if (!to->s) {
			fprintf(stderr, "bothy: out of memory: trace for a shorter time (--seconds)\n");
			exit(END_FAILED);
		}
	}
	to->s[to->nr++] = (struct sample){ *r, cpu };
}

/* The writer never waits. So drop and count the records that it may have overwritten while we copied. */
void ring_read(const struct record *ring, const u64 *head, u32 size, u64 *next, u32 cpu, struct samples *to)
{
	u64 end = __atomic_load_n(head, __ATOMIC_ACQUIRE), start = *next, now, at;
	size_t first;

	if (end - start > size - MARGIN) {
		to->lost += end - (size - MARGIN) - start;
		start = end - (size - MARGIN);
	}
	first = to->nr;
	for (at = start; at < end; at++) {
		const struct record *r = &ring[at % size];

		if (record_is_exit(r) && !__atomic_load_n(&r->cost, __ATOMIC_ACQUIRE) && end - at <= UNDER_WAY)
			break;
		append(to, r, cpu);
	}
	*next = at;
	now = __atomic_load_n(head, __ATOMIC_ACQUIRE);
	/* One more than there is: the writer may be in the middle of it. */
	if (now + 1 > start + size) {
		u64 gone = now + 1 - size - start;

		if (gone > to->nr - first)
			gone = to->nr - first;
		if (gone)
			memmove(&to->s[first], &to->s[first + gone], (to->nr - first - gone) * sizeof(*to->s));
		to->nr -= gone;
		to->lost += gone;
	}
}

bool longest_read(const struct record_longest *from, struct record_longest *to)
{
	for (int i = 0; i < TRIES; i++) {
		u64 tsc = __atomic_load_n(&from->tsc, __ATOMIC_ACQUIRE);

		*to = *from;
		__atomic_thread_fence(__ATOMIC_ACQUIRE);
		if (tsc && tsc == __atomic_load_n(&from->tsc, __ATOMIC_RELAXED))
			return true;
	}
	return false;
}

bool longest_of_all(const struct record_cpu *cpus, u32 nr, struct record_longest *to, u32 *cpu)
{
	struct record_longest l;
	bool found = false;

	for (u32 i = 0; i < nr; i++) {
		if (!longest_read(&cpus[i].irqs_off, &l) || (found && l.ticks <= to->ticks))
			continue;
		*to = l;
		*cpu = i;
		found = true;
	}
	return found;
}
