/*
 * The borrower of two guests: it maps and copies what lend.c, the domain before it, grants, and rings its event channel.
 *
 * seconds: 60
 * first: lend
 */
#include <xen/grant_table.h>

#define MAP_GFN (HOLE_GFN + 0x200)

static u16 lender;
static volatile u32 *both = (void *)(MAP_GFN * PAGE_SIZE), *readable = (void *)((MAP_GFN + 1) * PAGE_SIZE);

static int map(u32 ref, u64 gfn, u32 flags, u32 *handle)
{
	struct gnttab_map_grant_ref m = { .host_addr = gfn * PAGE_SIZE, .flags = GNTMAP_host_map | flags, .ref = ref, .dom = lender, .status = 1 };
	long r = grant_op(GNTTABOP_map_grant_ref, &m, 1);

	*handle = m.handle;
	return r ? 1000 : m.status;
}

static int unmap(u32 handle, u64 gfn)
{
	struct gnttab_unmap_grant_ref u = { .host_addr = gfn * PAGE_SIZE, .handle = handle, .status = 1 };

	return grant_op(GNTTABOP_unmap_grant_ref, &u, 1) ? 1000 : u.status;
}

static int copy_to(u32 ref, u32 offset, u32 value)
{
	static u32 from[PAGE_SIZE / 4] PAGE_ALIGNED;
	struct gnttab_copy c = { .source = { .u.gmfn = (u64)from / PAGE_SIZE, .domid = DOMID_SELF }, .len = 4, .flags = GNTCOPY_dest_gref };

	from[0] = value;
	c.dest.u.ref = ref;
	c.dest.domid = lender;
	c.dest.offset = (u16)offset;
	return grant_op(GNTTABOP_copy, &c, 1) ? 1000 : c.status;
}

void test_main(void)
{
	struct evtchn_bind_interdomain b = { 0 };
	u32 h, h2, port;

	lender = (u16)(own_domid() - 1);
	enable_events();
	if (!check(map(8, MAP_GFN, 0, &h) == 0, "mapping a page of the other guest's"))
		return;
	expect(both[100], 300, "it has the other's contents");
	expect(map(9, MAP_GFN + 1, 0, &h2), GNTST_general_error, "a page lent for reading, for writing");
	expect(map(9, MAP_GFN + 1, GNTMAP_readonly, &h2), 0, "and for reading");
	expect(readable[100], 300, "it has its contents");
	expect(map(11, MAP_GFN + 2, 0, &port), GNTST_general_error, "what is not lent");
	expect(map(0, MAP_GFN + 2, 0, &port), GNTST_general_error, "what is lent to the service domain");
	expect(copy_to(9, 0, 1), GNTST_general_error, "a copy to the page for reading");
	expect(copy_to(10, 20, 0x11223344), 0, "a copy to the third page");

	b = (struct evtchn_bind_interdomain){ .remote_dom = lender, .remote_port = both[0] + 1 };
	check(evtchn_op(EVTCHNOP_bind_interdomain, &b) < 0, "a port of the other's that isn't for us");
	b.remote_port = both[0];
	expect(evtchn_op(EVTCHNOP_bind_interdomain, &b), 0, "the port that is");
	port = b.local_port;
	wait_for(&port_events[port], 1, SECOND);
	both[1] = 4711;
	expect(notify(port), 0, "ringing the other");
	check(wait_for(&port_events[port], 2, 20 * SECOND), "it rings back");
	expect(unmap(h, MAP_GFN), 0, "unmapping");
	expect(unmap(h2, MAP_GFN + 1), 0, "both");
	notify(port);
	check(wait_for(&port_events[port], 3, 20 * SECOND), "it has taken its page back");
	expect(map(8, MAP_GFN, 0, &h), GNTST_general_error, "which can't be mapped any more");
	notify(port);
}
