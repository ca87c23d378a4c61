/* Adds up the counters of each domain's vCPUs. */
#include "dom0-lite/bothy/bothy.h"
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

enum { RUNNING, RUNNABLE, BLOCKED };    /* Xen's RUNSTATE_* */

static struct guest *find(struct guest *g, u32 *nr, u32 max, u32 domid)
{
	for (u32 i = 0; i < *nr; i++)
		if (g[i].domid == domid)
			return &g[i];
	if (*nr == max)
		return NULL;
	memset(&g[*nr], 0, sizeof(*g));
	g[*nr].domid = domid;
	return &g[(*nr)++];
}

static int by_domid(const void *a, const void *b)
{
	return (int)((const struct guest *)a)->domid - (int)((const struct guest *)b)->domid;
}

u32 guests_read(struct source *s, struct guest *g, u32 max)
{
	u32 nr = 0, slots = source_slots(s);
	u64 now = system_time(s);

	for (u32 n = 0; n < slots; n++) {
		struct record_vcpu c;
		struct guest *to = source_counters(s, n, &c) ? find(g, &nr, max, c.who & 0xffff) : NULL;

		if (!to)
			continue;
		/* The sums don't have the vCPU's present state yet: add the time since it began. */
		if (c.state < ARRAY_SIZE(c.time) && now > c.since)
			c.time[c.state] += now - c.since;
		to->vcpus++;
		if (c.log.round)
			to->log = c.log;
		to->run += c.time[RUNNING];
		to->steal += c.time[RUNNABLE];
		to->blocked += c.time[BLOCKED];
		for (u32 i = 0; i < EXIT_REASONS; i++) {
			to->exits[i].count += c.exits[i].count;
			to->exits[i].sum += c.exits[i].sum;
			to->exits[i].max = MAX(to->exits[i].max, c.exits[i].max);
		}
		for (u32 i = 0; i < RECORD_CALLS; i++)
			to->calls[i] += c.calls[i];
	}
	qsort(g, nr, sizeof(*g), by_domid);
	return nr;
}

u64 guest_exits(const struct guest *g)
{
	u64 n = 0;

	for (u32 i = 0; i < EXIT_REASONS; i++)
		n += g->exits[i].count;
	return n;
}

void guest_migration(const struct guest *g, char *out, size_t size)
{
	u32 round = (u32)g->log.round;

	out[0] = '\0';
	if (round == 1)
		snprintf(out, size, "migrates: round 1; ");
	else if (round)
		snprintf(out, size, "migrates: round %u, %" PRIu64 " frames dirty, %.0f/s; ", round, g->log.frames,
			 (double)g->log.frames * 1e9 / (double)MAX(g->log.ns, 1ull));
}
