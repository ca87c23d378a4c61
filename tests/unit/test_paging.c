/* units: arch/x86/paging.c mm/memory_map.c mm/pt.c mm/buddy.c */
/* The hypervisor's own address space: what of the machine it maps. */
#include "tests/unit/fake.h"
#include <asm/insn.h>
#include <asm/paging.h>
#include "mm/memory_map.h"
#include "mm/page.h"
#include "mm/pt.h"

/* The image's sections, in their order, and the first tables of the boot code. */
__asm__(".pushsection .bss\n.balign 4096\n.globl image_start, text_end, rodata_end, image_end, boot_pml4\n"
	"image_start: .skip 4096\ntext_end: .skip 4096\nrodata_end: .skip 4096\nimage_end:\nboot_pml4: .skip 4096\n.popsection");

u64 fake_cr[5];
_Thread_local u64 fake_dr[8];

static u64 efer;
u64 rdmsr(u32 msr) { return efer; }
void wrmsr(u32 msr, u64 v) { efer = v; }

struct cpuid_regs cpuid(u32 leaf, u32 sub)
{
	return (struct cpuid_regs){ .d = 1u << 26 };    /* pages of 1 GiB */
}

/* Where the final tables lead; `writable` may be NULL. ~0: nowhere. */
static paddr_t target(paddr_t pa, bool *writable)
{
	struct pt pt = { .root = MFN(fake_cr[3] >> PAGE_SHIFT), .fmt = &pt_x86_64 };
	u64 entry;
	paddr_t to = pt_lookup(&pt, DIRECTMAP_BASE + pa, &entry);

	if (writable)
		*writable = entry & BIT(1);
	return to;
}

static void direct_map_is_ram(void **state)
{
	bool writable;

	assert_int_equal(target(MiB(2), &writable), MiB(2));
	assert_true(writable);
	assert_int_equal(target(MiB(40) - PAGE_SIZE, NULL), MiB(40) - PAGE_SIZE);
	assert_int_equal(target(GiB(1024), NULL), GiB(1024));
	/* Holes, devices, and pages that are RAM only in part. */
	assert_int_equal(target(0x9f000, NULL), ~0ull);
	assert_int_equal(target(0xa0000, NULL), ~0ull);
	assert_int_equal(target(MiB(20), NULL), ~0ull);
	assert_int_equal(target(MiB(40), NULL), ~0ull);
	assert_int_equal(target(GiB(512), NULL), ~0ull);
	assert_int_equal(target(GiB(1025), NULL), ~0ull);
}

static void firmware_tables_are_read_only(void **state)
{
	bool writable;

	assert_ptr_equal(map_firmware(MiB(20) + 5, PAGE_SIZE), phys_to_virt(MiB(20) + 5));
	assert_int_equal(target(MiB(20) + PAGE_SIZE, &writable), MiB(20) + PAGE_SIZE);
	assert_false(writable);
	assert_int_equal(target(MiB(20) + 2 * PAGE_SIZE, NULL), ~0ull);
	assert_non_null(map_firmware(MiB(2), 100));
	assert_int_equal(target(MiB(2), &writable), MiB(2));
	assert_true(writable);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(direct_map_is_ram),
		cmocka_unit_test(firmware_tables_are_read_only),
	};

	fake_memory_init(MiB(40) >> PAGE_SHIFT);
	page_add_range(MiB(1), MiB(16));
	memory_map_add(0, 0x9fc00, MEMORY_RAM);
	memory_map_add(MiB(1), MiB(15), MEMORY_RAM);
	memory_map_add(MiB(16), MiB(16), 2);
	memory_map_add(MiB(32), MiB(8), MEMORY_RAM);
	memory_map_add(GiB(1024), GiB(1), MEMORY_RAM);
	image_phys = MiB(8);
	paging_init(page_alloc_zeroed);
	paging_activate();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
