/*
 * Memory operations: RAM given back and taken again, what can be mapped where, and bad frames, counts and spaces.
 */
#include <xen/hvm/hvm_info_table.h>

#define NOWHERE ((void *)0x8000000000ull)
#define FAR_GFN (1ull << 36)            /* beyond 48 bits of address */

static u8 page[PAGE_SIZE] PAGE_ALIGNED, other[PAGE_SIZE] PAGE_ALIGNED;
static u64 many[2000];

static u64 gfn_of(const void *p) { return (u64)p / PAGE_SIZE; }
static volatile u64 *at(u64 gfn) { return (void *)(gfn * PAGE_SIZE); }

static long reserve(u64 cmd, u64 *gfns, u64 n, u32 order)
{
	struct xen_memory_reservation r = { .nr_extents = n, .extent_order = order, .domid = DOMID_SELF };

	set_xen_guest_handle(r.extent_start, (xen_pfn_t *)gfns);
	return memory_op(cmd, &r);
}
static long give(u64 *gfns, u64 n, u32 order) { return reserve(XENMEM_decrease_reservation, gfns, n, order); }
static long take(u64 *gfns, u64 n, u32 order) { return reserve(XENMEM_populate_physmap, gfns, n, order); }

static long current(void)
{
	struct xen_memory_domain d = { .domid = DOMID_SELF };

	return memory_op(XENMEM_current_reservation, &d);
}

static void balloon(void)
{
	u64 gfn = gfn_of(page), hole = HOLE_GFN, before = (u64)current();

	page[0] = 0x5a;
	expect(give(&gfn, 1, 0), 1, "giving a page back");
	expect(current(), (long)before - 1, "is counted");
	expect(give(&gfn, 1, 0), 0, "giving it again");
	expect(take(&gfn, 1, 0), 1, "taking one");
	expect(current(), (long)before, "is counted");
	check(!page[0] && !memcmp(page, page + 1, PAGE_SIZE - 1), "it is all zeros");
	give(&gfn, 1, 0);
	expect(take(&hole, 1, 0), 1, "taking one somewhere else");
	*at(hole) = 4711;
	expect((long)*at(hole), 4711, "it is memory");
	expect(give(&hole, 1, 0), 1, "giving that");
	expect(take(&gfn, 1, 0), 1, "and taking the first again");
	expect(current(), (long)before, "nothing is lost");
}

static void batches(void)
{
	u64 before = (u64)current();
	long n;

	for (u64 i = 0; i < 2000; i++)
		many[i] = HOLE_GFN + i;
	n = take(many, 2000, 0);
	check(n > 0 && n <= 2000, "taking 2000 pages ends at the limit of the domain (%ld)", n);
	expect(current(), (long)before + n, "and all are counted");
	*at(HOLE_GFN + (u64)n - 1) = 1;
	expect(give(many, 2000, 0), n, "giving 2000 ends at the first that is not there");
	expect(current(), (long)before, "nothing is lost");
	many[0] = HOLE_GFN;
	many[1] = FAR_GFN;
	many[2] = HOLE_GFN + 1;
	expect(take(many, 3, 0), 1, "a batch ends at a bad frame");
	give(many, 1, 0);
}

static void sizes(void)
{
	u64 g = HOLE_GFN;
	long before = current();

	expect(take(&g, 1, 2), 1, "four pages as one extent");
	expect(take(&g, 1, 2), 1, "and four in their place");
	expect(current(), before + 4, "the first four are free");
	expect(give(&g, 1, 2), 1, "giving four");
	expect(current(), before, "nothing is lost");
}

static void bad_extents(void)
{
	static const u64 bad[] = { FAR_GFN, 1ull << 52, ~0ull, ~0ull >> 12, 1ull << 63 };
	long before = current();
	u64 wrong = 0, g;

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		g = bad[i];
		wrong |= take(&g, 1, 0) != 0 ? BIT(i) : 0;
		wrong |= give(&g, 1, 0) != 0 ? BIT(i + 8) : 0;
	}
	expect((long)wrong, 0, "frames beyond all addresses");
	g = HOLE_GFN + 1;
	expect(take(&g, 1, 9), 0, "a large page that is not aligned");
	check(take(&g, 1, 10) <= 0, "an order of 10");
	check(take(&g, 1, 63) <= 0, "an order of 63");
	check(take(&g, 1, ~0u) <= 0, "an order of 4294967295");
	g = HOLE_GFN;
	check(take(&g, 1, 9) <= 0, "a large page beyond the domain's limit");
	check(take(&g, ~0ull, 0) < 0, "2^64 - 1 extents");
	check(take(&g, BIT(58), 0) < 0, "2^58 extents");
	expect(take(NOWHERE, 1, 0), -EFAULT, "extents from nowhere");
	expect(memory_op(XENMEM_populate_physmap, NOWHERE), -EFAULT, "a reservation from nowhere");
	expect(take(&g, 0, 0), 0, "no extents");
	expect(hypercall(__HYPERVISOR_memory_op, XENMEM_populate_physmap | 5 << 6, (u64)&(struct xen_memory_reservation){ .domid = DOMID_SELF }, 0, 0, 0),
	       -EINVAL, "a continuation that never began");
	expect(current(), before, "nothing changed");
}

static void foreign(void)
{
	u64 g = HOLE_GFN;
	struct xen_memory_reservation r = { .nr_extents = 1, .domid = 0 };
	struct xen_add_to_physmap a = { .domid = 0, .space = XENMAPSPACE_gmfn, .idx = 1, .gpfn = 2 };
	struct xen_remove_from_physmap rem = { .domid = 0, .gpfn = 2 };
	struct xen_memory_domain d = { .domid = 0 };
	struct xen_add_to_physmap_batch b = { .domid = DOMID_SELF, .space = XENMAPSPACE_gmfn_foreign, .size = 1, .u.foreign_domid = 0 };
	int err = 0;
	u64 idx = 256;

	set_xen_guest_handle(r.extent_start, (xen_pfn_t *)&g);
	set_xen_guest_handle(b.idxs, (xen_ulong_t *)&idx);
	set_xen_guest_handle(b.gpfns, (xen_pfn_t *)&g);
	set_xen_guest_handle(b.errs, &err);
	expect(memory_op(XENMEM_populate_physmap, &r), -EPERM, "populating another domain");
	expect(memory_op(XENMEM_decrease_reservation, &r), -EPERM, "taking another domain's memory");
	expect(memory_op(XENMEM_add_to_physmap, &a), -EPERM, "moving another domain's pages");
	expect(memory_op(XENMEM_remove_from_physmap, &rem), -EPERM, "removing another domain's page");
	expect(memory_op(XENMEM_current_reservation, &d), -EPERM, "another domain's size");
	expect(memory_op(XENMEM_add_to_physmap_batch, &b), -EPERM, "mapping the service domain's memory");
	d.domid = r.domid = 0x7123;
	expect(memory_op(XENMEM_current_reservation, &d), -ESRCH, "a domain that is not there");
	expect(memory_op(XENMEM_populate_physmap, &r), -ESRCH, "populating one that is not there");
}

static void spaces(void)
{
	u64 before = (u64)current();

	expect(map_space(XENMAPSPACE_shared_info, 1, HOLE_GFN), -EINVAL, "a second shared_info");
	expect(map_space(XENMAPSPACE_shared_info, 0, FAR_GFN), -EINVAL, "shared_info beyond all addresses");
	expect(map_space(XENMAPSPACE_shared_info, 0, ~0ull), -EINVAL, "shared_info at frame 2^64 - 1");
	check(shared->wc_version, "shared_info is still where it was");
	expect(map_space(XENMAPSPACE_shared_info, 0, HOLE_GFN), 0, "shared_info somewhere else");
	check(((struct shared_info *)at(HOLE_GFN))->wc_version, "is there");
	expect(map_space(XENMAPSPACE_shared_info, 0, SHARED_INFO_GFN), 0, "and back");
	check(shared->wc_version, "is here");
	check(map_space(2 + 98, 0, HOLE_GFN) < 0, "a space that is not there");
	check(map_space(XENMAPSPACE_gmfn_foreign, 1, HOLE_GFN) < 0, "foreign memory without a domain");
	check(map_space(XENMAPSPACE_dev_mmio, 0xfee00, HOLE_GFN) < 0, "device memory");
	check(map_space(XENMAPSPACE_grant_table, 64, HOLE_GFN) < 0, "a grant frame beyond the limit");
	check(map_space(XENMAPSPACE_grant_table, ~0ull, HOLE_GFN) < 0, "grant frame 2^64 - 1");
	check(map_space(XENMAPSPACE_grant_table, 1u << 31, HOLE_GFN) < 0, "a status frame of grant tables");
	expect(map_space(XENMAPSPACE_grant_table, 0, HOLE_GFN), 0, "a grant frame");
	expect(map_space(XENMAPSPACE_grant_table, 0, HOLE_GFN + 1), 0, "moved");
	*(volatile u32 *)at(HOLE_GFN + 1);
	expect(current(), (long)before, "nothing of it is RAM");
}

static void moving(void)
{
	struct xen_remove_from_physmap r = { .domid = DOMID_SELF, .gpfn = HOLE_GFN + 8 };
	u64 from = gfn_of(other), before = (u64)current();

	other[0] = 77;
	expect(map_space(XENMAPSPACE_gmfn, from, HOLE_GFN + 8), 0, "moving a page");
	expect(*(volatile u8 *)at(HOLE_GFN + 8), 77, "with its contents");
	check(map_space(XENMAPSPACE_gmfn, from, HOLE_GFN + 9) < 0, "the old place is empty");
	expect(map_space(XENMAPSPACE_gmfn, HOLE_GFN + 8, from), 0, "and back");
	expect(other[0], 77, "with its contents");
	check(map_space(XENMAPSPACE_gmfn, from, FAR_GFN) < 0, "to a place beyond all addresses");
	expect(other[0], 77, "leaves it where it was");
	check(map_space(XENMAPSPACE_gmfn, SHARED_INFO_GFN, HOLE_GFN + 8) < 0, "shared_info can't be moved as RAM");
	check(shared->wc_version, "and stays");
	check(memory_op(XENMEM_remove_from_physmap, &r) < 0, "removing what is not there");
	r.gpfn = ~0ull;
	check(memory_op(XENMEM_remove_from_physmap, &r) < 0, "removing frame 2^64 - 1");
	r.gpfn = from;
	expect(memory_op(XENMEM_remove_from_physmap, &r), 0, "removing a page of RAM");
	expect(current(), (long)before - 1, "gives it back");
	expect(take(&from, 1, 0), 1, "and another takes its place");
	expect(other[0], 0, "which is empty");
}

/* One page in ever new places, each of which needs a page table that stays. The last thing done: no table is left for others. */
static void spreading(void)
{
	u64 home = gfn_of(other), from = home, to = HOLE_GFN;
	long steps = 0;

	while (to < FAR_GFN && map_space(XENMAPSPACE_gmfn, from, to) == 0) {
		from = to;
		to += 512;
		steps++;
	}
	check(steps > 0 && steps < 4096, "a page's places come to an end (%ld)", steps);
	expect(map_space(XENMAPSPACE_gmfn, from, home), 0, "and it comes home");
}

static void maps(void)
{
	struct { u64 addr, size; u32 type; } __attribute__((packed)) e[128];
	struct xen_memory_map m = { .nr_entries = 128 };

	set_xen_guest_handle(m.buffer, (void *)e);
	expect(memory_op(XENMEM_memory_map, &m), 0, "memory_map");
	check(m.nr_entries && m.nr_entries < 128 && e[0].addr == 0 && e[0].type == 1, "begins with RAM at 0");
	m.nr_entries = 1;
	expect(memory_op(XENMEM_memory_map, &m), 0, "memory_map with room for one");
	expect(m.nr_entries, 1, "gives one");
	m.nr_entries = 128;
	set_xen_guest_handle(m.buffer, NOWHERE);
	expect(memory_op(XENMEM_memory_map, &m), -EFAULT, "memory_map to nowhere");
	expect(memory_op(XENMEM_machine_memory_map, &m), -ENOSYS, "the machine's memory map is not for guests");
	check(memory_op(XENMEM_exchange, &m) < 0, "exchange is not there");
	expect(memory_op(XENMEM_get_vnumainfo, &m), -EOPNOTSUPP, "no virtual NUMA");
}

void test_main(void)
{
	balloon();
	batches();
	sizes();
	bad_extents();
	foreign();
	spaces();
	moving();
	maps();
	spreading();
}
