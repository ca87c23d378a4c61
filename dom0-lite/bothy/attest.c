/*
 * bothy attest: what the hypervisor tells this very guest by CPUID. Nothing in the service domain is on the way, so nothing there can forge it.
 * The leaves are described in docs/sealed.md. The file needs no library of Xen's, because it runs in guests.
 */
#include "dom0-lite/bothy/bothy.h"
#include <cpuid.h>
#include <string.h>
#include "vmm/life/seal.h"

/* Returns the leaf's four registers, each with its first byte lowest. */
static void leaf(u32 index, u32 out[4])
{
	__cpuid_count(SEAL_LEAF + index, 0, out[0], out[1], out[2], out[3]);
}

static const char *yes_no(u32 bit) { return bit ? "yes" : "no"; }

int attest(void)
{
	u32 first[4], tells[4], digest[8];

	leaf(0, first);
	if (memcmp(&first[1], SEAL_SIGNATURE, 12) || first[0] < SEAL_LEAF + SEAL_LEAVES - 1) {
		printf("sealed                  no: the hypervisor doesn't know of it\n");
		return END_FAILED;
	}
	leaf(1, tells);
	leaf(2, digest);
	leaf(3, digest + 4);
	printf("sealed                  %s\n", yes_no(tells[1] & SEAL_TELLS_SEALED));
	printf("DMA is remapped         %s\n", yes_no(tells[1] & SEAL_TELLS_DMA));
	printf("interrupts are filtered %s\n", yes_no(tells[1] & SEAL_TELLS_INTERRUPTS));
	if (!(tells[1] & SEAL_TELLS_SEALED))
		return END_FAILED;
	printf("SHA-256                 ");
	for (unsigned i = 0; i < sizeof(digest); i++)
		printf("%02x", ((const u8 *)digest)[i]);
	printf("\n");
	return tells[1] & SEAL_TELLS_DMA ? END_OK : END_FAILED;
}
