/* From the boot loader to the first guest: read boot_main and boot_rest from top to bottom. */
#include <asm/cpu.h>
#include <asm/hvm.h>
#include <asm/insn.h>
#include <asm/lapic.h>
#include <asm/paging.h>
#include <asm/smp.h>
#include <asm/stacks.h>
#include <asm/time.h>
#include <asm/traps.h>
#include "boot/multiboot2.h"
#include "drivers/acpi.h"
#include "drivers/console.h"
#include "drivers/iommu/iommu.h"
#include "drivers/power.h"
#include "drivers/uart.h"
#include "lib/bits.h"
#include "lib/cmdline.h"
#include "lib/string.h"
#include "mm/memory_map.h"
#include "mm/page.h"
#include "mm/pt.h"
#include "sched/sched.h"
#include "sched/timer.h"
#include "vmm/cpu/cpu_policy.h"
#include "vmm/domain.h"
#include "vmm/dom0/dom0.h"
#include "vmm/exits.h"
#include "vmm/hypercall.h"
#include "vmm/keeper/keeper.h"
#include "vmm/dom0/ports.h"
#include "vmm/dom0/irq.h"
#include "vmm/domain/record.h"
#include "vmm/hypercall/version.h"
#include "vmm/share/evtchn.h"
#include "vmm/versions.h"

#define AP_TRAMPOLINE    0x8000u        /* becomes the service domain's RAM later */
#define DOM0_MEM_MIN     MiB(512)
#define DOM0_MEM_MAX     GiB(4)
#define RESERVE_MIN      MiB(32)        /* never the service domain's: page tables, domains */
/* RAM that 2 MiB of struct page describe */
#define FRAMES_STEP      (MiB(2) / sizeof(struct page) * PAGE_SIZE)
/* devices write interrupts there (SDM vol. 3, "Message Address Register Format", 11.11.1) */
#define MESSAGES         0xfee00000u
#define MESSAGES_SIZE    MiB(1)
#define CONSOLE_TICK_NS  10000000ull    /* period of the tick, for input */
#define CONSOLE_SEND_NS  1000000ull     /* shortest period while output waits for the port */

extern char image_start[], image_end[];
void boot_main(u32 magic, u32 info, u32 image);

static struct boot_info boot;
static struct cmdline options;
static struct acpi acpi_tables;
static struct acpi_info acpi_info;
static struct dom0_config dom0_config;
static struct range_set free_ram;       /* the hypervisor's own share */
static paddr_t ram_limit = GiB(4);      /* end of what the page tables in use reach */
static u32 aps_ready;                   /* [a] */
static struct timer console_timer;

static void init_console(void)
{
	u16 port = options.console == CONSOLE_COM1 ? UART_COM1 : UART_COM2;

	if (options.console != CONSOLE_NONE && console_init(port, options.baud))
		dom0_hide_uart(port);
	console_set_level(options.log_level);
	panic_reboots = !options.noreboot;
	traps_set_panic_hooks(console_emergency, record_dump);
}

static void read_boot_info(u32 magic, u32 info)
{
	const char *why = NULL;
	const u32 *total = phys_to_virt(info);

	if (magic != MULTIBOOT2_BOOTLOADER_MAGIC)
		panic("not started by a Multiboot2 boot loader: use \"multiboot2\" in GRUB's configuration");
	if (multiboot2_parse(total, *total, &boot, &why))
		panic("the boot loader's information can't be used: %s", why);
	cmdline_parse(boot.cmdline, &options);
	init_console();
	version_set_cmdline(boot.cmdline);
	xen_version = 4 << 16 | options.xen_minor;
	printk(LOG_INFO "Bothy, a small hypervisor: %s\n", boot.cmdline);
	if (options.help)
		cmdline_print_help();
	if (!boot.nr_modules)
		panic("no service domain: GRUB's configuration needs \"module2 /boot/vmlinuz-VERSION ...\" and \"module2 /boot/initrd.img-VERSION\"");
}

/* ---- memory ---- */

static u64 dom0_memory(void)
{
	u64 all = 0, want = options.dom0_mem, reserve;

	for (unsigned i = 0; i < free_ram.nr; i++)
		all += free_ram.r[i].end - free_ram.r[i].start;
	reserve = RESERVE_MIN + all / 64;
	if (!want)
		want = MIN(MAX(all / 4, DOM0_MEM_MIN), DOM0_MEM_MAX);
	if (all <= reserve)
		panic("this machine has too little memory: %lu MiB", all >> 20);
	if (want > all - reserve) {
		want = all - reserve;
		if (options.dom0_mem)
			printk(LOG_WARN "dom0_mem= asks for more than there is: %lu MiB given\n", want >> 20);
	}
	return want & PAGE_MASK;
}

static void must_fit(bool fits)
{
	if (!fits)
		panic("the firmware's memory map has too many pieces");
}

/*
 * Returns our RAM without the modules, which are still in use. Valid until the next call; static,
 * because the stack is small.
 */
static const struct range_set *usable_ram(void)
{
	static struct range_set s;

	s = free_ram;
	for (unsigned m = 0; m < boot.nr_modules; m++)
		must_fit(range_set_remove(&s, ROUND_DOWN(boot.module[m].start, PAGE_SIZE), ROUND_UP(boot.module[m].end, PAGE_SIZE)));
	return &s;
}

/*
 * Takes a zeroed block, aligned to its size, before there is an allocator, and for good. It comes
 * from the top of the memory that the page tables in use reach. Panics if there is none.
 */
static void *take_ram(u64 size)
{
	paddr_t at = range_set_find(usable_ram(), size, size, MiB(80), ram_limit);

	if (!at)
		panic("this machine has too little memory");
	must_fit(range_set_remove(&free_ram, at, at + size));
	return memset(phys_to_virt(at), 0, size);
}

static void *take_page(void) { return take_ram(PAGE_SIZE); }

/*
 * 2 MiB of the frame table describe 512 MiB. All parts without RAM share one read-only page of
 * zeroes, whose frames no one can allocate.
 */
static void init_frame_table(paddr_t end_of_ram)
{
	paddr_t nothing = virt_to_phys(take_page());

	max_mfn = end_of_ram >> PAGE_SHIFT;
	frame_table = (void *)FRAME_TABLE_BASE;
	for (paddr_t pa = 0; pa < end_of_ram; pa += FRAMES_STEP) {
		u64 va = (u64)mfn_to_page(MFN(pa >> PAGE_SHIFT));

		if (memory_map_has_ram(pa, FRAMES_STEP))
			paging_map(va, virt_to_phys(take_ram(MiB(2))), MiB(2), PT_WRITE);
		else
			for (u64 i = 0; i < MiB(2); i += PAGE_SIZE)
				paging_map(va + i, nothing, PAGE_SIZE, 0);
	}
}

static void init_memory(void)
{
	const struct range_set *ours;
	u64 dom0_bytes;

	for (unsigned i = 0; i < boot.nr_memory; i++)
		memory_map_add(boot.memory[i].start, boot.memory[i].size, boot.memory[i].type);
	for (unsigned i = 0; i < memory_map_nr; i++)
		if (memory_map[i].type == MEMORY_RAM) {
			must_fit(range_set_add(&free_ram, ROUND_UP(memory_map[i].start, PAGE_SIZE), memory_map[i].end & PAGE_MASK));
			total_pages += (memory_map[i].end - memory_map[i].start) >> PAGE_SHIFT;
		}
	must_fit(range_set_remove(&free_ram, image_phys, image_phys + ROUND_UP((u64)(image_end - image_start), PAGE_SIZE)));
	paging_init(take_page);
	paging_activate();
	ram_limit = ~0ull;
	init_frame_table(memory_map_end_of_ram());
	dom0_bytes = dom0_memory();
	dom0_choose_memory(&free_ram, dom0_bytes, &dom0_config.ram);
	page_set_home(dom0_config.ram.r[dom0_config.ram.nr - 1].end >> PAGE_SHIFT);
	ours = usable_ram();
	for (unsigned i = 0; i < ours->nr; i++)
		page_add_range(ours->r[i].start, ours->r[i].end);
	paging_use_allocator();
	printk(LOG_INFO "memory: %lu MiB, of these %lu MiB for the service domain and %lu MiB free\n",
	       total_pages >> 8, dom0_bytes >> 20, page_free_count() >> 8);
}

/* ---- the machine ---- */

/*
 * Switches both off for good. No one programs them, and Linux is told that there are none. A
 * device's message can still make one deliver a vector (ExtINT). Firmware left their vectors among
 * the exceptions'; from now on they deliver the spurious one.
 */
static void silence_8259s(void)
{
	static const struct { u8 port, value; } commands[] = {
		{ 0x20, 0x11 }, { 0x21, VECTOR_SPURIOUS & ~7 }, { 0x21, 4 }, { 0x21, 1 }, { 0x21, 0xff },
		{ 0xa0, 0x11 }, { 0xa1, VECTOR_SPURIOUS & ~7 }, { 0xa1, 2 }, { 0xa1, 1 }, { 0xa1, 0xff },
	};

	for (unsigned i = 0; i < ARRAY_SIZE(commands); i++)
		outb(commands[i].port, commands[i].value);
}

static void init_platform(void)
{
	const char *why;

	silence_8259s();
	if (!boot.rsdp_size || acpi_init(&acpi_tables, boot.rsdp, boot.rsdp_size, map_firmware))
		panic("no usable ACPI tables: this firmware is too old or broken");
	acpi_parse(&acpi_tables, &acpi_info);
	if (!acpi_info.has_madt)
		panic("the firmware has no list of CPUs (ACPI MADT)");
	power_init(&acpi_info);
	dom0_reserve(lapic_init(), PAGE_SIZE);
	dom0_reserve(MESSAGES, MESSAGES_SIZE);
	percpu[0].apic_id = lapic_id();
	time_init(acpi_info.pm_timer);
	why = hvm_select(!options.no_speculation_guards);
	if (why)
		panic("this machine can't run guests: %s", why);
	cpu_policy_init();
	cpu_policy_level(&cpu_policy_def, options.cpuid);
}

static void ap_main_loop(void)
{
	record_init_cpu();
	hvm_cpu_enable();
	timer_cpu_init(cpu_id());
	sched_cpu_init(cpu_id());
	__atomic_add_fetch(&aps_ready, 1, __ATOMIC_SEQ_CST);
	run_loop();
}

static void start_cpus(void)
{
	u32 apic_id[NR_CPUS - 1];
	unsigned nr = 0;

	record_init(hypercall_nr_rows);
	record_init_cpu();
	timer_cpu_init(0);
	sched_cpu_init(0);
	hvm_cpu_enable();
	for (unsigned i = 0; i < acpi_info.nr_cpus; i++) {
		u32 id = acpi_info.apic_id[i];

		if (id != percpu[0].apic_id && nr++ < ARRAY_SIZE(apic_id))
			apic_id[nr - 1] = id;
	}
	if (nr > ARRAY_SIZE(apic_id))
		printk(LOG_WARN "%u CPUs are more than the %u that Bothy can use: the others stay off\n", nr + 1, NR_CPUS);
	smp_start(apic_id, MIN(nr, (unsigned)ARRAY_SIZE(apic_id)), AP_TRAMPOLINE, ap_main_loop);
	while (__atomic_load_n(&aps_ready, __ATOMIC_SEQ_CST) != nr_cpus - 1)
		cpu_relax();
	printk(LOG_INFO "%u CPUs, %s with nested paging\n", nr_cpus, hvm->name);
}

/* ---- the service domain ---- */

static void console_tick(void *arg)
{
	u64 again = console_send();

	iommu_report();
	if (console_poll())
		evtchn_raise_global_virq(dom0, VIRQ_CONSOLE);
	timer_set(&console_timer, 0, time_now() + (again ? MIN(MAX(again, CONSOLE_SEND_NS), CONSOLE_TICK_NS) : CONSOLE_TICK_NS));
}

/*
 * The kernel's image is copied first, because the service domain's own memory may be where the
 * loader put the image.
 */
static void build_dom0(void)
{
	struct boot_module *kernel = &boot.module[0];
	u64 size = kernel->end - kernel->start;
	unsigned order = ilog2_up(ROUND_UP(size, PAGE_SIZE) / PAGE_SIZE);
	struct page *copy = page_alloc(order);

	if (!copy)
		panic("no memory for a copy of the service domain's kernel (%lu KiB): lower dom0_mem=", size >> 10);
	memcpy(page_to_virt(copy), phys_to_virt(kernel->start), size);

	dom0_config.vcpus = options.dom0_max_vcpus ? MIN(options.dom0_max_vcpus, nr_cpus) : nr_cpus;
	dom0_config.kernel = page_to_virt(copy);
	dom0_config.kernel_size = size;
	dom0_config.cmdline = kernel->cmdline;
	dom0_config.acpi = &acpi_tables;
	if (boot.nr_modules > 1) {
		dom0_config.initrd = boot.module[1].start;
		dom0_config.initrd_size = boot.module[1].end - boot.module[1].start;
	}
	dom0_build(&dom0_config);
	page_free(copy, order);
	/* Give the modules' frames outside of the service domain's RAM to the allocator. */
	for (unsigned i = 0; i < free_ram.nr; i++)
		for (unsigned m = 0; m < boot.nr_modules; m++) {
			paddr_t start = MAX(free_ram.r[i].start, ROUND_DOWN(boot.module[m].start, PAGE_SIZE));
			paddr_t end = MIN(free_ram.r[i].end, ROUND_UP(boot.module[m].end, PAGE_SIZE));

			if (start < end)
				page_add_range(start, end);
		}
}

/* The rest of the boot, on the boot CPU's own stack with a guard page below it. */
static void __noreturn boot_rest(void)
{
	init_platform();            /* ACPI, APIC, clocks, CPU features */
	start_cpus();               /* schedulers, virtualization, the other CPUs */
	hypercall_init();           /* the table's index */
	p2m_init_holes();
	keeper_init();           /* the ones that guests read in holes */
	irq_init();                 /* device interrupts go to the service domain */
	if (timer_reserve(1))
		panic("no memory for a timer");
	timer_init(&console_timer, console_tick, NULL);
	dom0_config.iommu = iommu_init(&acpi_tables, options.iommu, options.filter_interrupts, dom0_reserve);
	seal_init(options.seal, dom0_config.iommu, iommu_filters_interrupts());
	build_dom0();
	console_queue();            /* the log no longer waits for the serial line */
	console_tick(NULL);
	run_loop();
}

void boot_main(u32 magic, u32 info, u32 image)
{
	image_phys = image;
	traps_set_restart(machine_restart);
	desc_init_cpu(0);           /* from here on a fault is reported */
	read_boot_info(magic, info);/* command line, console */
	init_memory();              /* allocator, final page tables */
	__asm__ volatile("mov %0, %%rsp; xor %%ebp, %%ebp; call *%1" :: "r"(stack_top(0, STACK_MAIN)), "r"(boot_rest) : "memory");
	__builtin_unreachable();
}
