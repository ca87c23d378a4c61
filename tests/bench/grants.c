/*
 * In the service domain: what mapping and unmapping a guest's page costs there, alone and in batches of 16. Only its pages are in the table of devices,
 * so the difference between a machine with an IOMMU and one without is the IOMMU's. The time is the fastest of many; the service domain's kernel is in it.
 *
 *   grants DOMID REF
 */
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <x86intrin.h>
#include <xen/xen.h>
#include <xen/grant_table.h>

/* Linux's include/uapi/xen/privcmd.h. */
struct privcmd_call { uint64_t op, arg[5]; };
#define PRIVCMD_CALL _IOC(_IOC_NONE, 'P', 0, sizeof(struct privcmd_call))

/* A place that has neither memory nor devices: at 64 GiB. It begins in the middle of a table of small pages. */
enum { GFN = 0x1000000 + 100, PAGES = 16, ROUNDS = 300 };

static gnttab_map_grant_ref_t map[PAGES];
static gnttab_unmap_grant_ref_t unmap[PAGES];

/* Returns the ticks that the call takes. */
static uint64_t grant_op(int privcmd, unsigned command, void *ops, unsigned pages)
{
	struct privcmd_call call = { .op = __HYPERVISOR_grant_table_op, .arg = { command, (uintptr_t)ops, pages } };
	uint64_t before = __rdtsc();

	if (ioctl(privcmd, PRIVCMD_CALL, &call)) {
		perror("hypercall");
		exit(1);
	}
	return __rdtsc() - before;
}

/* The least ticks of a map, of an unmap, and of both together. */
static void measure(int privcmd, unsigned domid, unsigned ref, unsigned pages)
{
	uint64_t least[3] = { ~0ull, ~0ull, ~0ull };

	for (unsigned round = 0; round < ROUNDS; round++) {
		uint64_t ticks[3];

		for (unsigned i = 0; i < pages; i++)
			map[i] = (gnttab_map_grant_ref_t){ .host_addr = (GFN + i) * 4096ull, .flags = GNTMAP_host_map, .ref = ref, .dom = (domid_t)domid };
		ticks[0] = grant_op(privcmd, GNTTABOP_map_grant_ref, map, pages);
		for (unsigned i = 0; i < pages; i++) {
			if (map[i].status != GNTST_okay) {
				printf("map: status %d\n", map[i].status);
				exit(1);
			}
			unmap[i] = (gnttab_unmap_grant_ref_t){ .host_addr = map[i].host_addr, .handle = map[i].handle };
		}
		ticks[1] = grant_op(privcmd, GNTTABOP_unmap_grant_ref, unmap, pages);
		ticks[2] = ticks[0] + ticks[1];
		for (unsigned i = 0; i < 3; i++)
			least[i] = ticks[i] < least[i] ? ticks[i] : least[i];
	}
	printf("GRANTS %u %lu %lu %lu\n", pages, (unsigned long)least[0], (unsigned long)least[1], (unsigned long)least[2]);
}

int main(int argc, char **argv)
{
	int privcmd = open("/dev/xen/privcmd", O_RDWR);

	if (argc != 3 || privcmd < 0 || mlockall(MCL_CURRENT | MCL_FUTURE)) {
		perror("grants DOMID REF");
		return 2;
	}
	for (unsigned pages = 1; pages <= PAGES; pages *= PAGES)
		measure(privcmd, (unsigned)atoi(argv[1]), (unsigned)atoi(argv[2]), pages);
	return 0;
}
