/*
 * The service domain's builder. The domain's RAM is mapped at machine addresses. Its kernel is a
 * stock vmlinuz that unpacks itself. The 32-bit entry runs in guest mode until it jumps into the
 * unpacked kernel, which isn't executable. At this fault the builder reads the PVH note out of the
 * unpacked image. The vCPU then starts again at the PVH entry (docs/boot.md; abi.md A).
 */
#include <xen/arch-x86/hvm/start_info.h>
#include <asm/cpu.h>
#include <asm/hvm.h>
#include <asm/insn.h>
#include <asm/page.h>
#include "vmm/dom0/dom0.h"
#include "drivers/acpi.h"
#include "lib/elf.h"
#include "lib/printf.h"
#include "lib/string.h"
#include "mm/page.h"
#include "vmm/dom0/bzimage.h"
#include "vmm/dom0/ports.h"
#include "vmm/dom0/watch.h"
#include "vmm/domain.h"
#include "vmm/life/life.h"
#include "vmm/vcpu.h"

/*
 * The block of tables for the kernel, marked as ACPI memory in its map. Each table has pages of its
 * own; the ACPI tables come last.
 */
enum { BLOCK_START_INFO = 0, BLOCK_CMDLINE = 0x1000, BLOCK_MEMMAP = 0x2000, BLOCK_BOOT_PARAMS = 0x4000, BLOCK_ACPI = 0x5000, BLOCK_SIZE = 0x10000 };
enum { ACPI_RSDP = 0, ACPI_XSDT = 0x40, ACPI_MADT = 0x1000, ACPI_SIZE = BLOCK_SIZE - BLOCK_ACPI };
enum { CMDLINE_MAX = 2048, MEMMAP_MAX = 128 };

static struct {
	paddr_t low_end;        /* of the range of RAM that holds the kernel, at most 4 GiB */
	paddr_t kernel;         /* start of the unpacked kernel */
	paddr_t unpacked_end;   /* end of the unpacked kernel */
	paddr_t kernel_end;     /* end of the memory that unpacking needs */
	paddr_t block;
	paddr_t initrd;
} layout;

void dom0_choose_memory(struct range_set *ram, u64 bytes, struct range_set *chosen)
{
	struct range_set all = *ram;

	chosen->nr = 0;
	for (unsigned i = 0; i < all.nr && bytes; i++) {
		u64 n = MIN(bytes, all.r[i].end - all.r[i].start) & PAGE_MASK;

		range_set_add(chosen, all.r[i].start, all.r[i].start + n);
		range_set_remove(ram, all.r[i].start, all.r[i].start + n);
		bytes -= n;
	}
}

static paddr_t end_of_range_with(const struct range_set *ram, paddr_t at)
{
	for (unsigned i = 0; i < ram->nr; i++)
		if (ram->r[i].start <= at && at < ram->r[i].end)
			return ram->r[i].end;
	return 0;
}

static void plan_layout(const struct dom0_config *c, paddr_t kernel_end)
{
	layout.low_end = MIN(end_of_range_with(&c->ram, layout.kernel), GiB(4));
	layout.kernel_end = ROUND_UP(kernel_end, MiB(2));
	layout.block = layout.kernel_end;
	/*
	 * Firmware may have left little memory behind the kernel. The memory before the initrd
	 * stays free for Linux's DMA buffers.
	 */
	layout.initrd = range_set_find(&c->ram, c->initrd_size + MiB(64), PAGE_SIZE, layout.block + BLOCK_SIZE, GiB(4));
	if (layout.low_end < layout.block + BLOCK_SIZE || !layout.initrd)
		panic("the service domain has too little memory: the kernel needs what is up to %lu MiB, its initrd %lu MiB in one piece "
		      "above it; raise dom0_mem=, or use a machine with more RAM",
		      (layout.block + BLOCK_SIZE) >> 20, (c->initrd_size + MiB(64)) >> 20);
	layout.initrd += MiB(64);
	/* The initial page tables of a PVH kernel see 1 GiB (abi.md A.3). */
	if (layout.block + BLOCK_SIZE > GiB(1))
		panic("the service domain's kernel is too large: it ends at %lu MiB", layout.kernel_end >> 20);
}

/* Opens an uncompressed kernel. Returns its PVH entry, and in *end the end of its memory. */
static u64 open_elf(const struct dom0_config *c, struct elf *elf, u64 *end)
{
	struct elf_segment s;
	const char *why;
	u64 entry;

	if (elf_open(elf, c->kernel, c->kernel_size, &why))
		panic("the service domain's kernel can't be used: %s; the first module2 line must name a Linux vmlinuz", why);
	if (!elf_xen_note(elf, ELF_NOTE_XEN_PHYS32_ENTRY, &entry))
		panic("the service domain's kernel has no PVH entry: it needs CONFIG_XEN_PVH");
	layout.kernel = ~0ull;
	*end = 0;
	for (unsigned i = 0; elf_next_segment(elf, &i, &s); ) {
		if (s.paddr < BZIMAGE_LOAD || s.paddr > GiB(1) || s.mem_size > GiB(1))
			panic("the service domain's kernel wants to be at %lx, which is not supported", s.paddr);
		layout.kernel = MIN(layout.kernel, s.paddr);
		*end = MAX(*end, s.paddr + s.mem_size);
	}
	return entry;
}

/*
 * Copies the segments to the addresses that they ask for. The boot loader may have put the initrd
 * there, so the caller has moved it before.
 */
static void load_elf(const struct elf *elf)
{
	struct elf_segment s;

	for (unsigned i = 0; elf_next_segment(elf, &i, &s); ) {
		memcpy(phys_to_virt(s.paddr), s.data, s.file_size);
		memset((char *)phys_to_virt(s.paddr) + s.file_size, 0, s.mem_size - s.file_size);
	}
}

/*
 * Returns the ISA interrupts that the firmware has made level-triggered, because it routes PCI's to
 * them. A machine without the register reads it as ones; then the result is 0.
 */
static u16 level_interrupts(void)
{
	enum { ELCR = 0x4d0, ALWAYS_EDGE = 1 << 0 | 1 << 1 | 1 << 2 | 1 << 8 | 1 << 13 };
	u16 level = (u16)(inb(ELCR) | inb(ELCR + 1) << 8);

	return level & ALWAYS_EDGE ? 0 : level;
}

static void build_acpi(const struct dom0_config *c)
{
	char *base = phys_to_virt(layout.block + BLOCK_ACPI);
	const struct acpi_header *madt = acpi_find(c->acpi, "APIC");
	paddr_t madt_at = layout.block + BLOCK_ACPI + ACPI_MADT;
	u32 apic_id[NR_CPUS];

	for (unsigned i = 0; i < c->vcpus; i++)
		apic_id[i] = percpu[i].apic_id;
	if (!madt || acpi_build_madt(base + ACPI_MADT, ACPI_SIZE - ACPI_MADT, madt, apic_id, c->vcpus, level_interrupts()) < 0 ||
	    acpi_build_xsdt(base + ACPI_XSDT, ACPI_MADT - ACPI_XSDT, c->acpi, &madt_at, 1) < 0)
		panic("the firmware's ACPI tables can't be used for the service domain");
	acpi_build_rsdp((struct acpi_rsdp *)(base + ACPI_RSDP), c->acpi, layout.block + BLOCK_ACPI + ACPI_XSDT);
}

static void add_entry(struct hvm_memmap_table_entry *map, u32 *nr, paddr_t start, paddr_t end, u32 type)
{
	if (start >= end)
		return;
	if (*nr && map[*nr - 1].type == type && map[*nr - 1].addr + map[*nr - 1].size == start) {
		map[*nr - 1].size += end - start;
		return;
	}
	if (*nr == MEMMAP_MAX)
		panic("the memory map has too many pieces for the service domain");
	map[(*nr)++] = (struct hvm_memmap_table_entry){ .addr = start, .size = end - start, .type = type };
}

/*
 * Writes the kernel's memory map: its own RAM and the block of tables in it. Every other frame of
 * RAM is unusable, so that Linux puts nothing there (abi.md D.6). Returns the number of entries.
 */
static u32 build_memmap(const struct dom0_config *c, struct hvm_memmap_table_entry *map)
{
	u32 nr = 0;

	for (unsigned i = 0; i < memory_map_nr; i++) {
		struct memory_range m = memory_map[i];
		paddr_t at = m.start;

		if (m.type != MEMORY_RAM) {
			add_entry(map, &nr, m.start, m.end, m.type);
			continue;
		}
		for (unsigned r = 0; r < c->ram.nr; r++) {
			paddr_t start = MAX(c->ram.r[r].start, m.start), end = MIN(c->ram.r[r].end, m.end);

			if (start >= end)
				continue;
			add_entry(map, &nr, at, start, MEMORY_UNUSABLE);
			if (start <= layout.block && layout.block < end) {
				add_entry(map, &nr, start, layout.block, MEMORY_RAM);
				add_entry(map, &nr, layout.block, layout.block + BLOCK_SIZE, MEMORY_ACPI);
				start = layout.block + BLOCK_SIZE;
			}
			add_entry(map, &nr, start, end, MEMORY_RAM);
			at = end;
		}
		add_entry(map, &nr, at, m.end, MEMORY_UNUSABLE);
	}
	return nr;
}

static void build_start_info(const struct dom0_config *c)
{
	char *base = phys_to_virt(layout.block);
	struct hvm_start_info *si = (struct hvm_start_info *)(base + BLOCK_START_INFO);
	struct hvm_modlist_entry *mod = (struct hvm_modlist_entry *)(si + 1);
	int len;

	memset(base, 0, BLOCK_SIZE);
	*si = (struct hvm_start_info){
		.magic = XEN_HVM_START_MAGIC_VALUE, .version = 1, .flags = SIF_PRIVILEGED | SIF_INITDOMAIN,
		.nr_modules = c->initrd_size ? 1 : 0,
		.modlist_paddr = layout.block + sizeof(*si),
		.cmdline_paddr = layout.block + BLOCK_CMDLINE,
		.rsdp_paddr = layout.block + BLOCK_ACPI + ACPI_RSDP,
		.memmap_paddr = layout.block + BLOCK_MEMMAP,
	};
	mod->paddr = layout.initrd;
	mod->size = c->initrd_size;
	si->memmap_entries = build_memmap(c, (struct hvm_memmap_table_entry *)(base + BLOCK_MEMMAP));

	len = snprintf(base + BLOCK_CMDLINE, CMDLINE_MAX, "%s%s", c->cmdline, c->iommu ? "" : " swiotlb=force");
	if (len >= CMDLINE_MAX)
		panic("the service domain's command line is longer than %d characters", CMDLINE_MAX - 1);
	build_acpi(c);
}

/*
 * Maps RAM with the largest pages that alignment allows. Each frame comes with one reference, which
 * the p2m then holds.
 */
static void map_ram(struct domain *d, paddr_t start, paddr_t end)
{
	for (u64 gfn = start >> PAGE_SHIFT; gfn < end >> PAGE_SHIFT; ) {
		u64 left = (end >> PAGE_SHIFT) - gfn;
		unsigned order = !(gfn & (BIT(18) - 1)) && left >= BIT(18) ? 18 : !(gfn & 511) && left >= 512 ? 9 : 0;

		if (p2m_map(&d->p2m, GFN(gfn), MFN(gfn), order, P2M_RAM))
			panic("not enough memory for the service domain's page tables: lower dom0_mem=");
		gfn += BIT(order);
	}
}

static void give_ram(struct domain *d, const struct range_set *ram)
{
	for (unsigned i = 0; i < ram->nr; i++) {
		u64 n = (ram->r[i].end - ram->r[i].start) >> PAGE_SHIFT;

		page_add_range(ram->r[i].start, ram->r[i].end);
		if (page_claim(MFN(ram->r[i].start >> PAGE_SHIFT), n, d->domid))
			BUG();
		d->tot_pages += n;
		map_ram(d, ram->r[i].start, ram->r[i].end);
	}
	d->max_pages = d->tot_pages;
}

static void start_pvh(struct vcpu *v, u64 entry)
{
	printk(LOG_INFO "the service domain's kernel enters at %lx\n", entry);
	hvm_start_flat32(v, (u32)entry, (u32)(layout.block + BLOCK_START_INFO), 0);
}

/*
 * Firmware, such as UEFI, may have kept pages for itself where the compressed kernel goes. There
 * the kernel gets other frames until it has unpacked itself.
 */
static void load_compressed(struct domain *d, const struct bzimage *bz)
{
	const u8 *code = bz->image + bz->setup_size;

	for (u64 at = 0; at < MAX(bz->code_size, bz->start - BZIMAGE_LOAD); at += PAGE_SIZE) {
		gfn_t gfn = GFN((BZIMAGE_LOAD + at) >> PAGE_SHIFT);
		mfn_t mfn = MFN(gfn.v);

		if (p2m_lookup(&d->p2m, gfn, NULL) != P2M_RAM) {
			struct page *pg = page_alloc(0);

			if (!pg || p2m_map(&d->p2m, gfn, page_to_mfn(pg), 0, P2M_RAM))
				panic("no memory to start the service domain: lower dom0_mem=");
			mfn = page_to_mfn(pg);
		}
		if (at < bz->code_size)
			memcpy(mfn_to_virt(mfn), code + at, MIN(PAGE_SIZE, bz->code_size - at));
	}
}

static void take_frames_back(struct domain *d)
{
	for (u64 gfn = BZIMAGE_LOAD >> PAGE_SHIFT; gfn < layout.kernel >> PAGE_SHIFT; gfn++) {
		mfn_t mfn;

		if (p2m_lookup(&d->p2m, GFN(gfn), &mfn) == P2M_RAM && mfn.v != gfn && p2m_remove(&d->p2m, GFN(gfn), mfn))
			BUG();
	}
}

/* The kernel has unpacked itself and jumps to its first instruction, wherever that is. */
static void kernel_unpacked(struct vcpu *v)
{
	u64 entry;

	if (!elf_find_xen_note(phys_to_virt(layout.kernel), layout.kernel_end - layout.kernel, ELF_NOTE_XEN_PHYS32_ENTRY, &entry) ||
	    entry < layout.kernel || entry >= layout.kernel_end)
		panic("the service domain's kernel has no PVH entry: it needs CONFIG_XEN_PVH");
	dom0_watch(&v->domain->p2m, 0, 0, NULL);
	take_frames_back(v->domain);
	start_pvh(v, entry);
}

/*
 * The decompressor has moved itself behind the memory that it will write. No code runs there any
 * more, so the next fetch from it is the unpacked kernel's first.
 */
static void kernel_moved(struct vcpu *v)
{
	dom0_watch(&v->domain->p2m, layout.kernel, layout.unpacked_end, kernel_unpacked);
}

void dom0_build(const struct dom0_config *c)
{
	struct bzimage bz;
	struct elf elf;
	const char *why;
	u64 entry = 0, end;
	bool compressed = bzimage_is(c->kernel, c->kernel_size);

	if (compressed && bzimage_open(&bz, c->kernel, c->kernel_size, &why))
		panic("the service domain's kernel can't be used: %s", why);
	if (hvm_make_maps(dom0_port_open) || domain_create(0, c->vcpus, EVTCHN_MAX_PORTS - 1, -1, -1, &dom0))
		panic("no memory for the service domain");
	dom0->p2m.mirror = c->iommu;
	if (compressed) {
		layout.kernel = bz.start;
		layout.unpacked_end = ROUND_UP(bz.start + bz.unpacked_size, PAGE_SIZE);
		end = bz.start + bz.init_size;
	} else {
		entry = open_elf(c, &elf, &end);
	}
	plan_layout(c, end);
	memmove(phys_to_virt(layout.initrd), phys_to_virt(c->initrd), c->initrd_size);
	if (!compressed)
		load_elf(&elf);
	build_start_info(c);
	give_ram(dom0, &c->ram);
	for (u32 i = 0; i < c->vcpus; i++)
		if (vcpu_create(dom0, i))
			panic("no memory for the service domain's vCPUs");

	if (compressed) {
		load_compressed(dom0, &bz);
		bzimage_zero_page(&bz, layout.block + BLOCK_BOOT_PARAMS, layout.low_end);
		dom0_watch(&dom0->p2m, layout.unpacked_end, layout.kernel_end, kernel_moved);
		hvm_start_flat32(dom0->vcpu[0], BZIMAGE_LOAD, 0, (u32)(layout.block + BLOCK_BOOT_PARAMS));
	} else {
		start_pvh(dom0->vcpu[0], entry);
	}
	printk(LOG_INFO "service domain: %lu MiB, %u vCPUs, initrd %lu KiB\n",
	       dom0->tot_pages >> 8, c->vcpus, c->initrd_size >> 10);
	dom0->vcpu[0]->wait_for_sipi = false;
	vcpu_up(dom0->vcpu[0]);
	domain_unpause(dom0);
	dom0->controller_pauses = 0;
}
