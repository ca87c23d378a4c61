/*
 * Reading where there is no memory gives ones, as on a real machine, and what is read there stays a hole for all else. Kernels look for
 * devices so: Linux from 6.16 on for an AMD chipset at fed80000, GRUB for a coreboot ROM at the end of the first 4 GiB.
 */
#define END_OF_4GIB 0xffffffffull

static u32 at(u64 address) { return *(volatile u32 *)address; }

static long move(u64 cmd, u64 gfn)
{
	struct xen_memory_reservation r = { .nr_extents = 1, .domid = DOMID_SELF };

	set_xen_guest_handle(r.extent_start, (xen_pfn_t *)&gfn);
	return memory_op(cmd, &r);
}

static void reads(void)
{
	expect(at(0xfed803c0), 0xffffffff, "an AMD chipset's reset status");
	expect(at(0xfee00030), 0xffffffff, "a local APIC's version");
	expect(at(HOLE_GFN * PAGE_SIZE + 8), 0xffffffff, "beside the guest's memory");
	expect(*(volatile u8 *)END_OF_4GIB, 0xff, "the last byte of 4 GiB");
	expect(at(HOLE_GFN * PAGE_SIZE - 2), 0xffffffff, "across two pages");
	/* As far as where the toolstack puts its tables. */
	for (u64 address = 0x40000000; address < 0xfc000000; address += 0x200000)
		if (at(address + 0x1234) != 0xffffffff)
			check(false, "%lx reads as %x", (unsigned long)address + 0x1234, at(address + 0x1234));
}

/* For hypercalls nothing has changed, and the page is no way to memory. */
static void stays_a_hole(void)
{
	struct xen_remove_from_physmap remove = { .domid = DOMID_SELF, .gpfn = HOLE_GFN };
	struct xen_memory_domain *argument = (void *)(HOLE_GFN * PAGE_SIZE);

	expect(memory_op(XENMEM_current_reservation, argument), -EFAULT, "an argument in a hole");
	expect(memory_op(XENMEM_remove_from_physmap, &remove), -ENOENT, "removing a hole");
	expect(move(XENMEM_decrease_reservation, HOLE_GFN), 0, "giving a hole back");
	expect(map_space(XENMAPSPACE_gmfn, HOLE_GFN, HOLE_GFN + 7), -EINVAL, "moving a hole");
}

/* What comes later takes its place, also for a CPU that has just read ones there. */
static void is_filled(void)
{
	u64 gfn = HOLE_GFN + 3, neighbour = HOLE_GFN + 4;
	/* A page of the guest's own makes room in its allowance. */
	static u8 page[PAGE_SIZE] PAGE_ALIGNED;

	expect(at(gfn * PAGE_SIZE), 0xffffffff, "before");
	expect(move(XENMEM_decrease_reservation, (u64)page / PAGE_SIZE), 1, "giving a page back");
	expect(at((u64)page), 0xffffffff, "where the page was");
	expect(move(XENMEM_populate_physmap, gfn), 1, "taking one over what was read");
	expect(at(gfn * PAGE_SIZE), 0, "it is new");
	*(volatile u32 *)(gfn * PAGE_SIZE) = 4711;
	expect(at(gfn * PAGE_SIZE), 4711, "it is memory");
	expect(at(neighbour * PAGE_SIZE), 0xffffffff, "its neighbour is none");
	expect(map_space(XENMAPSPACE_gmfn, gfn, neighbour), 0, "moving it over what was read");
	expect(at(neighbour * PAGE_SIZE), 4711, "it is there");
	expect(at(gfn * PAGE_SIZE), 0xffffffff, "and nothing where it was");
	expect(map_space(XENMAPSPACE_shared_info, 0, HOLE_GFN + 5), 0, "shared_info beside it");
	check(at((HOLE_GFN + 5) * PAGE_SIZE) != 0xffffffff, "it is there");
	expect(map_space(XENMAPSPACE_shared_info, 0, SHARED_INFO_GFN), 0, "shared_info back");
}

void test_main(void)
{
	reads();
	stays_a_hole();
	is_filled();
}
