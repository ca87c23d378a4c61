/*
 * The other guest of the benchmark's pair: bench.c, the domain after it, maps what it grants, exchanges events with it, and shares the
 * CPU with it.
 *
 * seconds: 900
 */
#include <xen/grant_table.h>
#include "../bench/peer.h"

static struct peer_page first PAGE_ALIGNED;
static u8 pages[PEER_PAGES][PAGE_SIZE] PAGE_ALIGNED;
static volatile struct grant_entry_v1 *table = (void *)(PEER_TABLE_GFN * PAGE_SIZE);

static void lend(u32 ref, const void *what)
{
	table[ref].frame = (u32)((u64)what / PAGE_SIZE);
	table[ref].domid = (domid_t)(own_domid() + 1);
	barrier();
	table[ref].flags = GTF_permit_access;
}

/* Gives the CPU away as often as it gets it, until it shall do something else. */
static void give_turns(void)
{
	while (first.what == PEER_YIELD) {
		first.turns++;
		sched_op(SCHEDOP_yield, NULL);
	}
}

void test_main(void)
{
	u32 seen = 0;

	map_space(XENMAPSPACE_grant_table, 0, PEER_TABLE_GFN);
	enable_events();
	first.port = new_unbound((u16)(own_domid() + 1));
	lend(PEER_REF, (void *)&first);
	for (u32 i = 0; i < PEER_PAGES; i++)
		lend(PEER_REF + 1 + i, pages[i]);
	say("READY");
	while (first.what != PEER_END) {
		cli();
		if (port_events[first.port] == seen)
			sti_hlt();
		sti();
		if (port_events[first.port] == seen)
			continue;
		seen = port_events[first.port];
		if (first.what == PEER_ANSWER)
			notify(first.port);
		give_turns();
	}
}
