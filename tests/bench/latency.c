/*
 * The guest that tries to keep interrupts off: each run does one thing that makes the hypervisor's steps long. latency.sh starts it, and has the
 * names of what it does in the same order.
 */
#include <xen/grant_table.h>

#define RAM_GFN    0x1000ull            /* of its 64 MiB those from 16 MiB on are free for games */
#define PLACE_GFN  0x2000ull
#define TABLE_GFN  (HOLE_GFN + 0x100)
#define MAP_GFN    (HOLE_GFN + 0x200)
#define BIG_GFN    (HOLE_GFN + 0x400)   /* at a multiple of 2 MiB */
#define NEW_GFN    (HOLE_GFN + 0x600)   /* so is this, and nothing has been there */
#define MANY       512u
#define GRANTS     64u
#define LENT_REF   8u

static xen_pfn_t from[MANY], to[MANY];
static int errors[MANY];
static struct multicall_entry calls[MANY];
static struct gnttab_map_grant_ref maps[GRANTS];
static struct gnttab_unmap_grant_ref unmaps[GRANTS];
static struct gnttab_copy copies[GRANTS];

static long reserve(u64 cmd, xen_pfn_t *gfns, u64 n, u32 order)
{
	struct xen_memory_reservation r = { .nr_extents = n, .extent_order = order, .domid = DOMID_SELF };

	set_xen_guest_handle(r.extent_start, gfns);
	return memory_op(cmd, &r);
}

/* One entry in each GiB, until the tables take all that they may. */
static void tables(void)
{
	u64 n = 0;

	while (!map_space(XENMAPSPACE_shared_info, 0, (n + 8) << 18))
		n++;
	/* The library reads it. */
	map_space(XENMAPSPACE_shared_info, 0, SHARED_INFO_GFN);
	say("tables for %lu GiB", n);
}

static void fill_lists(void)
{
	for (u32 i = 0; i < MANY; i++) {
		from[i] = RAM_GFN + i;
		to[i] = PLACE_GFN + i;
	}
}

/* Moves onto what is there, so that both ends of each need a flush; then populates over what is there, and the holes. */
static void batches(void)
{
	struct xen_add_to_physmap_batch b = { .domid = DOMID_SELF, .space = XENMAPSPACE_gmfn, .size = MANY };

	set_xen_guest_handle(b.idxs, from);
	set_xen_guest_handle(b.gpfns, to);
	set_xen_guest_handle(b.errs, errors);
	for (u32 round = 0; round < 4; round++) {
		fill_lists();
		memory_op(XENMEM_add_to_physmap_batch, &b);
		reserve(XENMEM_populate_physmap, from, MANY, 0);
		reserve(XENMEM_populate_physmap, to, MANY, 0);
	}
}

static void balloon(void)
{
	xen_pfn_t big = BIG_GFN;

	fill_lists();
	for (u32 round = 0; round < 4; round++) {
		reserve(XENMEM_decrease_reservation, from, MANY, 0);
		reserve(XENMEM_decrease_reservation, to, MANY, 0);
		check(reserve(XENMEM_populate_physmap, &big, 1, 9) == 1, "a block of 2 MiB");
		check(reserve(XENMEM_decrease_reservation, &big, 1, 9) == 1, "and back");
		reserve(XENMEM_populate_physmap, from, MANY, 0);
		reserve(XENMEM_populate_physmap, to, MANY, 0);
	}
}

/* Blocks of 2 MiB where frames are, as many as fit in one, and where another block is. */
static void blocks(void)
{
	xen_pfn_t big = BIG_GFN, new = NEW_GFN;

	fill_lists();
	reserve(XENMEM_decrease_reservation, from, MANY, 0);
	reserve(XENMEM_decrease_reservation, to, MANY, 0);
	for (u32 i = 0; i < MANY; i++)
		from[i] = BIG_GFN + i;
	for (u32 round = 0; round < 4; round++) {
		check(reserve(XENMEM_populate_physmap, from, MANY, 0) == MANY, "frames");
		check(reserve(XENMEM_populate_physmap, &big, 1, 9) == 1, "a block over frames");
		check(reserve(XENMEM_decrease_reservation, from, MANY, 0) == MANY, "and back");
	}
	check(reserve(XENMEM_populate_physmap, &new, 1, 9) == 1, "a block");
	check(reserve(XENMEM_populate_physmap, &new, 1, 9) == 1, "a block over a block");
	check(reserve(XENMEM_decrease_reservation, &new, 1, 9) == 1, "and back");
}

/* Short lines, long ones and nothing but newlines, by port and by hypercall. */
static void flood(void)
{
	static char text[2048];

	for (u32 round = 0; round < 3; round++) {
		for (u32 i = 0; i < sizeof(text); i++)
			text[i] = round == 0 || (round == 1 ? i % 2 : i % 100) == 0 ? '\n' : 'x';
		for (u32 i = 0; i < 20; i++)
			hypercall(__HYPERVISOR_console_io, CONSOLEIO_write, sizeof(text), (u64)text, 0, 0);
		for (u32 i = 0; i < sizeof(text); i++)
			outb(0xe9, (u8)text[i]);
	}
}

static void prepare_grants(void)
{
	volatile struct grant_entry_v1 *table = (void *)(TABLE_GFN * PAGE_SIZE);
	u16 self = (u16)own_domid();

	map_space(XENMAPSPACE_grant_table, 0, TABLE_GFN);
	for (u32 i = 0; i < GRANTS; i++) {
		table[LENT_REF + i] = (struct grant_entry_v1){ .flags = GTF_permit_access, .domid = self, .frame = (u32)(RAM_GFN + i) };
		maps[i] = (struct gnttab_map_grant_ref){ .host_addr = (MAP_GFN + i) * PAGE_SIZE, .flags = GNTMAP_host_map, .ref = LENT_REF + i, .dom = self };
		/* Across two pages of its own, from a grant. */
		copies[i] = (struct gnttab_copy){ .source = { .u.ref = LENT_REF + i, .domid = self }, .flags = GNTCOPY_source_gref | GNTCOPY_dest_gref,
						  .dest = { .u.ref = LENT_REF + (i + 1) % GRANTS, .domid = self }, .len = PAGE_SIZE };
	}
}

static void grants(void)
{
	prepare_grants();
	for (u32 round = 0; round < 4; round++) {
		grant_op(GNTTABOP_map_grant_ref, maps, GRANTS);
		for (u32 i = 0; i < GRANTS; i++)
			unmaps[i] = (struct gnttab_unmap_grant_ref){ .host_addr = maps[i].host_addr, .handle = maps[i].handle };
		grant_op(GNTTABOP_unmap_grant_ref, unmaps, GRANTS);
		grant_op(GNTTABOP_copy, copies, GRANTS);
		check(!maps[63].status && !unmaps[63].status && !copies[63].status, "all 64 of each");
	}
}

static void multicall(void)
{
	prepare_grants();
	for (u32 i = 0; i < MANY; i++)
		calls[i] = (struct multicall_entry){ .op = __HYPERVISOR_grant_table_op, .args = { GNTTABOP_copy, (u64)copies, GRANTS } };
	hypercall(__HYPERVISOR_multicall, (u64)calls, MANY, 0, 0, 0);
}

/* As many ports as there are, all closed by one hypercall. */
static void ports(void)
{
	struct evtchn_reset reset = { .dom = DOMID_SELF };
	u32 n = 0;

	while (new_unbound(0))
		n++;
	say("%u ports", n);
	flush_report();
	evtchn_op(EVTCHNOP_reset, &reset);
	shut_down(SHUTDOWN_poweroff);
}

static void triple_fault(void)
{
	struct { u16 limit; u64 base; } __attribute__((packed)) none = { 0, 0 };

	flush_report();
	__asm__ volatile("lidt %0; int3" :: "m"(none));
}

static void (*const games[])(void) = { tables, batches, balloon, blocks, flood, grants, multicall, ports, triple_fault };

void test_main(void)
{
	u64 which = option("game", 0);

	if (which < ARRAY_SIZE(games))
		games[which]();
}
