/* The pCPUs: who is who, waking the others (SDM 8.4.4), and making one look up from what it does. */
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
unsigned nr_cpus;

extern char ap_trampoline[], ap_trampoline_end[], ap_trampoline_cr3[], ap_trampoline_gdtr[], ap_trampoline_far[], boot_gdt[];
extern u64 boot_cr3, ap_cr3, ap_stack;
static void (*ap_continue)(void);
static u32 ap_alive;            /* [a] */
static u64 tsc_adjust;          /* [I] the boot CPU's, */
static bool has_tsc_adjust;     /* [I] if there is such a register */

void smp_init_boot_cpu(u32 apic_id)
{
	percpu[0].apic_id = apic_id;
	percpu[0].timer_armed = ~0ull;
	nr_cpus = 1;
}

void ap_main(void);
void ap_main(void)
{
	unsigned cpu = nr_cpus;

	paging_activate();
	desc_init_cpu(cpu);
	lapic_enable();
	/* The TSCs have counted alike since the reset; some firmware has moved one since then. */
	if (has_tsc_adjust && rdmsr(MSR_TSC_ADJUST) != tsc_adjust)
		wrmsr(MSR_TSC_ADJUST, tsc_adjust);
	/* Release: all this CPU has set up is seen before it counts as alive. */
	__atomic_store_n(&ap_alive, 1, __ATOMIC_RELEASE);
	while (__atomic_load_n(&ap_alive, __ATOMIC_ACQUIRE))
		cpu_relax();
	ap_continue();
	BUG();
}

/* GDT and code live in the image, below 4 GiB but far from real mode's reach: the page carries what is needed until long mode. */
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

bool smp_start(u32 apic_id, paddr_t trampoline, void (*main)(void))
{
	unsigned cpu = nr_cpus;

	if (cpu >= NR_CPUS || !lapic_can_reach(apic_id) || paging_map_stacks(cpu))
		return false;
	has_tsc_adjust = rdmsr_safe(MSR_TSC_ADJUST, &tsc_adjust);
	percpu[cpu].apic_id = apic_id;
	percpu[cpu].timer_armed = ~0ull;
	ap_stack = stack_top(cpu, STACK_MAIN);
	ap_cr3 = read_cr3();
	ap_continue = main;
	fill_trampoline(trampoline);

	lapic_send_init(apic_id);
	time_delay(10000000);
	for (int i = 0; i < 2; i++) {
		lapic_send_sipi(apic_id, (u8)(trampoline >> PAGE_SHIFT));
		for (u64 start = time_now(); time_now() - start < 100000000; cpu_relax())
			if (__atomic_load_n(&ap_alive, __ATOMIC_ACQUIRE))
				goto up;
	}
	/* It may still come: then not any more, for the next one has its stack. */
	lapic_send_init(apic_id);
	time_delay(10000000);
	__atomic_store_n(&ap_alive, 0, __ATOMIC_RELAXED);
	return false;
up:
	nr_cpus++;
	/* Release: nr_cpus first, then the new CPU goes on. */
	__atomic_store_n(&ap_alive, 0, __ATOMIC_RELEASE);
	return true;
}

void cpu_kick(unsigned cpu)
{
	struct percpu *p = &percpu[cpu];

	/*
	 * What the kick is about is written before the flag (a full barrier). If the flag was up already, the target is out of the guest
	 * and will see it before it enters, or the interrupt of whoever raised it is on its way.
	 */
	if (!__atomic_exchange_n(&p->need_resched, 1, __ATOMIC_SEQ_CST) && p != this_cpu())
		lapic_send_ipi(p->apic_id, VECTOR_KICK);
}
