/*
 * The CPUs: their numbers, starting the others, and kicking one out of its guest. SDM vol. 3, "MP
 * Initialization Example", 9.4.4.
 */
#include <asm/cpu.h>
#include <asm/insn.h>
#include <asm/lapic.h>
#include <asm/page.h>
#include <asm/paging.h>
#include <asm/smp.h>
#include <asm/stacks.h>
#include <asm/time.h>
#include <asm/traps.h>
#include "lib/string.h"

struct percpu percpu[NR_CPUS];
unsigned nr_cpus = 1;

extern char ap_trampoline[], ap_trampoline_end[], ap_trampoline_cr3[], ap_trampoline_gdtr[], ap_trampoline_far[], boot_gdt[];
extern u64 boot_cr3, ap_cr3, ap_stack;
/*
 * How long one CPU is called, and how long to wait since the last CPU has come. An emulator's CPUs
 * may be slow.
 */
enum { TURN_NS = 1000000, PATIENCE_NS = 2000000000, ROUNDS_MIN = 100, INIT_NS = 10000000 };
#define AP_NOBODY ~0u

static void (*ap_continue)(void);
/* [a] the APIC id of the CPU that may take ap_stack (trampoline.S) */
u32 ap_turn = AP_NOBODY;
u32 ap_id_leaf;                 /* [I] the leaf of CPUID that tells a CPU its APIC id */
static u64 tsc_adjust;          /* [I] MSR_TSC_ADJUST of the boot CPU */
static bool has_tsc_adjust;     /* [I] the CPUs have MSR_TSC_ADJUST */

void ap_main(void);
void ap_main(void)
{
	unsigned cpu = nr_cpus;

	paging_activate();
	desc_init_cpu(cpu);
	lapic_enable();
	/*
	 * All TSCs have counted alike since the reset, but some firmware has since moved one of
	 * them.
	 */
	if (has_tsc_adjust && rdmsr(MSR_TSC_ADJUST) != tsc_adjust)
		wrmsr(MSR_TSC_ADJUST, tsc_adjust);
	/* Release: others see all that this CPU has set up before it counts. */
	__atomic_store_n(&nr_cpus, cpu + 1, __ATOMIC_RELEASE);
	ap_continue();
	BUG();
}

/*
 * GDT and code are in the image, below 4 GiB but out of real mode's reach. So the page carries what
 * a CPU needs until it is in long mode.
 */
static void fill_trampoline(paddr_t page)
{
	char *va = phys_to_virt(page);
	u64 size = (u64)(ap_trampoline_end - ap_trampoline);
	u64 gdt = (u64)boot_gdt - IMAGE_BASE + image_phys;
	u32 gdt32 = (u32)gdt, cr3 = (u32)boot_cr3, far;

	memcpy(va, ap_trampoline, size);
	memcpy(va + (ap_trampoline_gdtr - ap_trampoline) + 2, &gdt32, 4);
	memcpy(va + (ap_trampoline_cr3 - ap_trampoline), &cr3, 4);
	memcpy(&far, va + (ap_trampoline_far - ap_trampoline), 4);
	far += (u32)page;
	memcpy(va + (ap_trampoline_far - ap_trampoline), &far, 4);
}

/* Gives the CPU with this APIC id the next number, if it is there. Returns true if it came. */
static bool take_in(u32 apic_id)
{
	u32 turn = apic_id;
	unsigned cpu = nr_cpus;
	u64 start = time_now();

	percpu[cpu].apic_id = apic_id;
	ap_stack = stack_top(cpu, STACK_MAIN);
	/* Release: the CPU must see the stack before its turn. */
	__atomic_store_n(&ap_turn, apic_id, __ATOMIC_RELEASE);
	do
		cpu_relax();
	while (__atomic_load_n(&ap_turn, __ATOMIC_ACQUIRE) == apic_id && time_now() - start < TURN_NS);
	/*
	 * Take the turn back, unless the CPU has just taken it. It then is already running our
	 * code, and soon counts itself.
	 */
	if (__atomic_compare_exchange_n(&ap_turn, &turn, AP_NOBODY, false, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE))
		return false;
	while (__atomic_load_n(&nr_cpus, __ATOMIC_ACQUIRE) == cpu)
		cpu_relax();
	return true;
}

void smp_start(const u32 *apic_id, unsigned nr, paddr_t trampoline, void (*main)(void))
{
	u64 start, waiting = 0, left_out = nr ? ~0ull >> (64 - nr) : 0;

	/*
	 * Leaf Bh, if there is one, has a CPU's id in 32 bits; leaf 1 has only 8 of them. SDM vol.
	 * 3, "Hierarchical Mapping of CPUID Extended Topology Leaf", 9.9.2.
	 */
	ap_id_leaf = cpuid(0xb, 0).b ? 0xb : 1;
	has_tsc_adjust = rdmsr_safe(MSR_TSC_ADJUST, &tsc_adjust);
	ap_cr3 = read_cr3();
	ap_continue = main;
	fill_trampoline(trampoline);
	for (unsigned i = 0; i < nr && !paging_map_stacks(i + 1); i++)
		if (lapic_can_reach(apic_id[i])) {
			waiting |= BIT(i);
			lapic_send_init(apic_id[i]);
		}
	time_delay(INIT_NS);
	start = time_now();
	/*
	 * Each CPU is called again and again. CPUs come in any order, and get their numbers in the
	 * order of the list if they can. Rounds are counted too: if an emulator has stood still,
	 * time alone says nothing.
	 */
	for (unsigned round = 0; waiting && (round < ROUNDS_MIN || time_now() - start < PATIENCE_NS); round++)
		for (unsigned i = 0; i < nr; i++) {
			/*
			 * Round 0 sends to all before we wait for the first. Round 1 sends once
			 * more; CPUs that have started ignore it. SDM vol. 3, "Typical BSP
			 * Initialization Sequence", 9.4.4.1.
			 */
			if (waiting & BIT(i) && round < 2)
				lapic_send_sipi(apic_id[i], (u8)(trampoline >> PAGE_SHIFT));
			if (!(waiting & BIT(i)) || !round || !take_in(apic_id[i]))
				continue;
			waiting &= ~BIT(i);
			left_out &= ~BIT(i);
			round = MIN(round, 2u);
			start = time_now();
		}
	for (unsigned i = 0; i < nr; i++) {
		if (left_out & BIT(i))
			printk(LOG_WARN "the CPU with APIC id %u does not start: left out\n", apic_id[i]);
		/*
		 * The CPU may still come later, and the page will then belong to someone else. INIT
		 * stops it for good.
		 */
		if (waiting & BIT(i))
			lapic_send_init(apic_id[i]);
	}
	time_delay(INIT_NS);
}

void cpu_kick(unsigned cpu)
{
	struct percpu *p = &percpu[cpu];

	/*
	 * The caller has written the reason of the kick before the flag (a full barrier). If the
	 * flag was up already, one of two holds. The target is out of the guest and will see the
	 * flag before it enters; or the interrupt of the CPU that raised it is on its way.
	 */
	if (!__atomic_exchange_n(&p->look_around, 1, __ATOMIC_SEQ_CST) && p != this_cpu())
		lapic_send_ipi(p->apic_id, VECTOR_KICK);
}
