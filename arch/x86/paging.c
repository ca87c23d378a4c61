/*
 * The hypervisor's own address space. The image is mapped as its sections ask, never both writable
 * and executable. The direct map shows all RAM, and the image's constant part read-only. Stacks
 * have an unmapped page below them, and device registers a window of their own.
 */
#include <asm/insn.h>
#include <asm/paging.h>
#include <asm/stacks.h>
#include "mm/memory_map.h"
#include "mm/page.h"
#include "mm/pt.h"

extern char image_start[], text_end[], rodata_end[], image_end[], boot_pml4[];

paddr_t image_phys;
static struct pt pt;
static u32 page_sizes;              /* [I] sizes of large pages that this CPU has */
static u64 device_next = DEVICES_BASE;

static void must_map(int err)
{
	if (err)
		panic("not enough memory for the hypervisor's page tables: this machine is too small");
}

void paging_map(u64 va, paddr_t pa, u64 size, u32 flags)
{
	must_map(pt_map(&pt, va, pa, size, flags, page_sizes));
}

static void map_image(const char *from, const char *to, u32 flags)
{
	paging_map((u64)from, image_phys + (u64)(from - image_start), (u64)(to - from), flags);
}

/*
 * Only RAM is mapped, because the CPU may prefetch from any cacheable mapping. Not all holes above
 * 4 GiB have an MTRR that forbids it.
 */
void paging_init(void *(*take_page)(void))
{
	page_sizes = PT_2M | (cpuid(0x80000001, 0).d & 1u << 26 ? PT_1G : 0);
	must_map(pt_init(&pt, &pt_x86_64, take_page, NULL));
	for (unsigned i = 0; i < memory_map_nr; i++)
		if (memory_map[i].type == MEMORY_RAM) {
			paddr_t start = ROUND_UP(memory_map[i].start, PAGE_SIZE), end = memory_map[i].end & PAGE_MASK;

			if (start < end)
				paging_map(DIRECTMAP_BASE + start, start, end - start, PT_WRITE);
		}
	paging_map(DIRECTMAP_BASE + image_phys, image_phys, (u64)(rodata_end - image_start), 0);
	map_image(image_start, text_end, PT_EXEC);
	map_image(text_end, rodata_end, 0);
	map_image(rodata_end, image_end, PT_WRITE);
}

void paging_use_allocator(void)
{
	pt.alloc = page_alloc_zeroed;
	must_map(paging_map_stacks(0));
}

void paging_activate(void)
{
	wrmsr(MSR_EFER, rdmsr(MSR_EFER) | EFER_NXE);
	write_cr3(pt.root.v << PAGE_SHIFT);
	/* Global pages stay off: with one address space they would gain nothing. */
	write_cr4((read_cr4() & ~CR4_PGE) | CR4_PAE);
	write_cr0(read_cr0() | CR0_WP);
}

int paging_map_stacks(unsigned cpu)
{
	for (unsigned i = 0; i < STACKS_PER_CPU; i++) {
		struct page *pg = page_alloc(2);

		if (!pg || pt_map(&pt, stack_bottom(cpu, i), page_to_mfn(pg).v << PAGE_SHIFT, STACK_PAGES * PAGE_SIZE, PT_WRITE, PT_4K))
			return -ENOMEM;
	}
	return 0;
}

volatile void *map_device(paddr_t pa, u64 size)
{
	u64 va = device_next, start = pa & PAGE_MASK, end = ROUND_UP(pa + size, PAGE_SIZE);

	must_map(pt_map(&pt, va, start, end - start, PT_WRITE | PT_DEVICE, PT_4K));
	device_next += end - start + PAGE_SIZE;
	return (volatile void *)(va + (pa & ~PAGE_MASK));
}

const void *map_firmware(paddr_t pa, size_t size)
{
	u64 start = pa & PAGE_MASK, end = ROUND_UP(pa + size, PAGE_SIZE);

	if (pa >= BIT(46) || size > MiB(64))
		return NULL;
	for (; start < end; start += PAGE_SIZE)
		if (pt_lookup(&pt, DIRECTMAP_BASE + start, NULL) == ~0ull &&
		    pt_map(&pt, DIRECTMAP_BASE + start, start, PAGE_SIZE, 0, PT_4K))
			return NULL;
	return phys_to_virt(pa);
}
