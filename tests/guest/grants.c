/*
 * Grant tables by one guest alone: its own grants mapped, copied and taken back, and every kind of bad reference.
 */
#include <xen/grant_table.h>

#define TABLE_GFN (HOLE_GFN + 0x100)
#define MAP_GFN   (HOLE_GFN + 0x200)

static u8 page[PAGE_SIZE] PAGE_ALIGNED, second[PAGE_SIZE] PAGE_ALIGNED;
static volatile struct grant_entry_v1 *table = (void *)(TABLE_GFN * PAGE_SIZE);
static volatile u8 *mapped = (void *)(MAP_GFN * PAGE_SIZE);
static u16 self;

static void grant(u32 ref, const void *what, u16 flags)
{
	table[ref].frame = (u32)((u64)what / PAGE_SIZE);
	table[ref].domid = self;
	barrier();
	table[ref].flags = flags;
}

static int map(u32 ref, u64 gfn, u32 flags, u32 *handle)
{
	struct gnttab_map_grant_ref m = { .host_addr = gfn * PAGE_SIZE, .flags = flags, .ref = ref, .dom = self, .status = 1 };
	long r = grant_op(GNTTABOP_map_grant_ref, &m, 1);

	*handle = m.handle;
	return r ? 1000 : m.status;
}

static int unmap(u32 handle, u64 gfn)
{
	struct gnttab_unmap_grant_ref u = { .host_addr = gfn * PAGE_SIZE, .handle = handle, .status = 1 };

	return grant_op(GNTTABOP_unmap_grant_ref, &u, 1) ? 1000 : u.status;
}

static void sizes(void)
{
	struct gnttab_query_size q = { .dom = DOMID_SELF };
	struct gnttab_set_version v = { .version = 1 };
	struct gnttab_get_version g = { .dom = DOMID_SELF };

	expect(grant_op(GNTTABOP_query_size, &q, 1), 0, "query_size");
	check(q.status == 0 && q.nr_frames >= 1 && q.max_nr_frames >= q.nr_frames, "frames: %u of %u", q.nr_frames, q.max_nr_frames);
	q.dom = 0;
	grant_op(GNTTABOP_query_size, &q, 1);
	expect(q.status, GNTST_permission_denied, "query_size of another domain");
	q.dom = 0x7123;
	grant_op(GNTTABOP_query_size, &q, 1);
	expect(q.status, GNTST_bad_domain, "query_size of a domain that is not there");
	expect(grant_op(GNTTABOP_set_version, &v, 1), 0, "version 1");
	v.version = 3;
	check(grant_op(GNTTABOP_set_version, &v, 1) < 0, "version 3");
	check(grant_op(GNTTABOP_get_version, &g, 1) == 0 && g.version == 1, "get_version");
	check(map_space(XENMAPSPACE_grant_table, q.max_nr_frames ? 63 : 0, TABLE_GFN + 63) == 0, "the table grows to the last frame");
	expect(map_space(XENMAPSPACE_grant_table, 0, TABLE_GFN), 0, "its first frame");
}

static void own_map(void)
{
	u32 h, h2;

	page[5] = 42;
	grant(8, page, GTF_permit_access);
	expect(map(8, MAP_GFN, GNTMAP_host_map, &h), 0, "mapping a grant");
	expect(mapped[5], 42, "shows the page");
	mapped[6] = 43;
	expect(page[6], 43, "and writes it");
	expect(table[8].flags & (GTF_reading | GTF_writing), GTF_reading | GTF_writing, "the entry is marked in use");
	expect(map(8, MAP_GFN + 1, GNTMAP_host_map | GNTMAP_readonly, &h2), 0, "a second map, read-only");
	check(unmap(h2, MAP_GFN) != 0, "unmapping at the wrong address");
	expect(unmap(h2, MAP_GFN + 1), 0, "unmapping the second");
	expect(table[8].flags & GTF_writing, GTF_writing, "the first is still there");
	expect(unmap(h, MAP_GFN), 0, "unmapping the first");
	expect(table[8].flags, GTF_permit_access, "the entry is free of use");
	expect(unmap(h, MAP_GFN), GNTST_bad_handle, "unmapping it again");
}

static void bad_maps(void)
{
	u32 h;

	grant(9, page, GTF_permit_access | GTF_readonly);
	expect(map(9, MAP_GFN, GNTMAP_host_map, &h), GNTST_general_error, "a read-only grant for writing");
	expect(map(9, MAP_GFN, GNTMAP_host_map | GNTMAP_readonly, &h), 0, "and for reading");
	expect(table[9].flags & GTF_writing, 0, "is marked as read");
	unmap(h, MAP_GFN);
	expect(map(10, MAP_GFN, GNTMAP_host_map, &h), GNTST_general_error, "an entry that grants nothing");
	grant(11, page, GTF_permit_access);
	table[11].domid = 0;
	expect(map(11, MAP_GFN, GNTMAP_host_map, &h), GNTST_general_error, "a grant for somebody else");
	grant(12, (void *)(HOLE_GFN * PAGE_SIZE), GTF_permit_access);
	expect(map(12, MAP_GFN, GNTMAP_host_map, &h), GNTST_bad_page, "a grant of a hole");
	expect(table[12].flags, GTF_permit_access, "leaves no mark");
	table[12].frame = ~0u;
	expect(map(12, MAP_GFN, GNTMAP_host_map, &h), GNTST_bad_page, "a grant of frame 4294967295");
	grant(13, (void *)shared, GTF_permit_access);
	expect(map(13, MAP_GFN, GNTMAP_host_map, &h), GNTST_bad_page, "a grant of shared_info");
	grant(14, (void *)table, GTF_permit_access);
	expect(map(14, MAP_GFN, GNTMAP_host_map, &h), GNTST_bad_page, "a grant of the grant table");
	expect(map(64 * 512, MAP_GFN, GNTMAP_host_map, &h), GNTST_bad_gntref, "a reference beyond the table");
	expect(map(~0u, MAP_GFN, GNTMAP_host_map, &h), GNTST_bad_gntref, "reference 4294967295");
	check(map(8, MAP_GFN, GNTMAP_device_map, &h) < 0, "a map for devices");
	check(map(8, MAP_GFN, 0, &h) < 0, "a map of no kind");
	check(map(8, MAP_GFN, ~0u, &h) < 0, "a map of all kinds");
	check(map(8, 1ull << 40, GNTMAP_host_map, &h) < 0, "a map beyond all addresses");
	expect(table[8].flags, GTF_permit_access, "what failed leaves no mark");
	for (u32 i = 0; i < 32; i++)
		if (unmap(i * 0x8000001u, MAP_GFN) != GNTST_bad_handle)
			check(false, "handle %u", i * 0x8000001u);
	check(unmap(~0u, MAP_GFN) == GNTST_bad_handle, "handles that are not there");
}

static void bad_calls(void)
{
	struct gnttab_map_grant_ref m = { .dom = 0x7123, .flags = GNTMAP_host_map, .host_addr = MAP_GFN * PAGE_SIZE };

	grant_op(GNTTABOP_map_grant_ref, &m, 1);
	expect(m.status, GNTST_bad_domain, "mapping from a domain that is not there");
	m = (struct gnttab_map_grant_ref){ .dom = 0, .flags = GNTMAP_host_map, .host_addr = MAP_GFN * PAGE_SIZE, .ref = 8 };
	grant_op(GNTTABOP_map_grant_ref, &m, 1);
	check(m.status < 0, "mapping what the service domain has not granted");
	expect(grant_op(GNTTABOP_map_grant_ref, (void *)0x8000000000ull, 1), -EFAULT, "a map from nowhere");
	expect(grant_op(GNTTABOP_map_grant_ref, NULL, 0), 0, "no maps");
	check(grant_op(GNTTABOP_map_grant_ref, &m, ~0ull) < 0, "2^64 - 1 maps");
	check(grant_op(GNTTABOP_transfer, &m, 1) < 0, "transfer is not there");
	check(grant_op(99, &m, 1) < 0, "operation 99");
}

static int copy(u32 flags, u64 from, u32 at, u64 to, u32 to_at, u32 len)
{
	struct gnttab_copy c = { .flags = (u16)flags, .len = (u16)len };

	c.source.domid = c.dest.domid = DOMID_SELF;
	c.source.offset = (u16)at;
	c.dest.offset = (u16)to_at;
	if (flags & GNTCOPY_source_gref)
		c.source.u.ref = (u32)from;
	else
		c.source.u.gmfn = from;
	if (flags & GNTCOPY_dest_gref)
		c.dest.u.ref = (u32)to;
	else
		c.dest.u.gmfn = to;
	return grant_op(GNTTABOP_copy, &c, 1) ? 1000 : c.status;
}

static void copies(void)
{
	u64 to = (u64)second / PAGE_SIZE;

	memset(second, 0, PAGE_SIZE);
	for (u32 i = 0; i < PAGE_SIZE; i++)
		page[i] = (u8)i;
	expect(copy(GNTCOPY_source_gref, 8, 10, to, 100, 50), 0, "copy from a grant");
	check(!memcmp(second + 100, page + 10, 50) && !second[99] && !second[150], "moves just these bytes");
	expect(copy(GNTCOPY_dest_gref, to, 100, 8, 4095, 1), 0, "copy to a grant");
	expect(page[4095], 10, "its last byte");
	expect(copy(GNTCOPY_dest_gref, to, 0, 9, 0, 1), GNTST_general_error, "copy to a read-only grant");
	expect(copy(GNTCOPY_source_gref, 8, 4000, to, 0, 97), GNTST_bad_copy_arg, "copy across the source's end");
	expect(copy(GNTCOPY_source_gref, 8, 0, to, 4000, 97), GNTST_bad_copy_arg, "copy across the destination's end");
	expect(copy(GNTCOPY_source_gref, 8, 65535, to, 0, 65535), GNTST_bad_copy_arg, "copy of 65535 bytes");
	expect(copy(GNTCOPY_source_gref, 8, 4096, to, 4096, 0), 0, "copy of nothing");
	expect(copy(GNTCOPY_source_gref, 9999999, 0, to, 0, 1), GNTST_bad_gntref, "copy from a reference that is not there");
	expect(copy(GNTCOPY_source_gref, 8, 0, HOLE_GFN, 0, 1), GNTST_bad_page, "copy to a hole");
	expect(copy(GNTCOPY_source_gref, 8, 0, ~0ull, 0, 1), GNTST_bad_page, "copy to frame 2^64 - 1");
	expect(copy(0xff00, to, 0, to, 0, 1) < 0, 1, "copy with unknown flags");
	expect(table[8].flags, GTF_permit_access, "copies leave no mark");
}

static void many(void)
{
	static struct gnttab_map_grant_ref m[200];
	static struct gnttab_unmap_grant_ref u[200];
	int bad = 0;

	for (u32 i = 0; i < 200; i++)
		m[i] = (struct gnttab_map_grant_ref){ .host_addr = (MAP_GFN + i) * PAGE_SIZE, .flags = GNTMAP_host_map, .ref = 8, .dom = self, .status = 1 };
	expect(grant_op(GNTTABOP_map_grant_ref, m, 200), 0, "200 maps in one call");
	for (u32 i = 0; i < 200; i++) {
		bad += m[i].status || mapped[i * PAGE_SIZE + 1] != 1;
		u[i] = (struct gnttab_unmap_grant_ref){ .host_addr = m[i].host_addr, .handle = m[i].handle, .status = 1 };
	}
	expect(bad, 0, "all are there");
	expect(grant_op(GNTTABOP_unmap_grant_ref, u, 200), 0, "200 unmaps in one call");
	for (u32 i = 0; i < 200; i++)
		bad += u[i].status;
	expect(bad, 0, "all went well");
	expect(table[8].flags, GTF_permit_access, "and the grant is free again");
}

/* What the hypervisor writes for a vCPU must not go to a page that was only borrowed. */
static void borrowed(void)
{
	struct vcpu_register_vcpu_info info = { .mfn = MAP_GFN };
	struct vcpu_register_runstate_memory_area r = { .addr.p = MAP_GFN * PAGE_SIZE };
	u32 h, h2;

	expect(map(8, MAP_GFN, GNTMAP_host_map, &h), 0, "a borrowed page");
	check(vcpu_op(VCPUOP_register_vcpu_info, 0, &info) < 0, "is no place for vcpu_info");
	check(vcpu_op(VCPUOP_register_runstate_memory_area, 0, &r) < 0, "nor for runstate");
	grant(20, (void *)mapped, GTF_permit_access);
	expect(map(20, MAP_GFN + 1, GNTMAP_host_map, &h2), GNTST_bad_page, "and can't be lent on");
	unmap(h, MAP_GFN);
}

void test_main(void)
{
	self = (u16)own_domid();
	sizes();
	own_map();
	bad_maps();
	bad_calls();
	copies();
	many();
	borrowed();
}
