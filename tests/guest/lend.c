/*
 * The lender of two guests: it grants pages to the domain after it, by fixed references, and tells an event channel's port in one of
 * them; borrow.c is the other.
 *
 * seconds: 60
 */
#include <xen/grant_table.h>

#define TABLE_GFN (HOLE_GFN + 0x100)

/* Page 8 is for both to write; 9 for reading; 10 is only lent for copies. */
static u32 pages[11][PAGE_SIZE / 4] PAGE_ALIGNED;
static volatile struct grant_entry_v1 *table = (void *)(TABLE_GFN * PAGE_SIZE);

static void lend(u32 ref, u16 to, u16 flags)
{
	table[ref].frame = (u32)((u64)pages[ref] / PAGE_SIZE);
	table[ref].domid = to;
	barrier();
	table[ref].flags = GTF_permit_access | flags;
}

void test_main(void)
{
	u16 other = (u16)(own_domid() + 1);
	volatile u32 *both = pages[8];
	u32 port;

	map_space(XENMAPSPACE_grant_table, 0, TABLE_GFN);
	enable_events();
	port = new_unbound(other);
	for (u32 i = 0; i < PAGE_SIZE / 4; i++)
		pages[8][i] = pages[9][i] = i * 3;
	both[0] = port;
	both[1] = 0;
	for (u32 ref = 8; ref < 11; ref++)
		lend(ref, other, ref == 9 ? GTF_readonly : 0);
	say("READY");
	check(wait_for(&port_events[port], 1, 30 * SECOND), "the other guest rings");
	check(wait_for(&both[1], 4711, SECOND), "and has written the page that it may write");
	expect(table[8].flags & (GTF_reading | GTF_writing), GTF_reading | GTF_writing, "the grant shows that it is in use");
	expect(pages[9][100], 300, "the read-only page is as it was");
	expect(pages[10][5], 0x11223344, "a copy arrived in the third");
	expect(notify(port), 0, "ringing back");
	check(wait_for(&port_events[port], 2, 10 * SECOND), "the other guest rings again, having unmapped");
	expect(table[8].flags, GTF_permit_access, "and the grant is free of use");
	table[8].flags = 0;
	notify(port);
	check(wait_for(&port_events[port], 3, 10 * SECOND), "the other guest has seen that");
}
