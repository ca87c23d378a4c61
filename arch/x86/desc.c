/*
 * Segments, task state and interrupt gates: 64-bit mode needs them, once for each CPU. SDM vol. 3,
 * "Segment Descriptors", 3.4.5; "Task Management in 64-bit Mode", 8.7; "Exception and Interrupt
 * Handling in 64-bit Mode", 6.14.
 */
#include <asm/cpu.h>
#include <asm/insn.h>
#include <asm/stacks.h>
#include <asm/traps.h>

struct gate { u16 off_lo, sel; u8 ist, type; u16 off_mid; u32 off_hi, zero; };
struct tss { u32 zero0; u64 rsp[3], zero1, ist[7], zero2; u16 zero3, iomap; } __packed;
struct table_ptr { u16 limit; u64 base; } __packed;

enum { GATE_INTERRUPT = 0x8e };

static struct gate idt[256];
static struct tss tss[NR_CPUS];
static u64 gdt[NR_CPUS][5];

extern char trap_stubs[];

static void fill_idt(void)
{
	for (unsigned v = 0; v < 256; v++) {
		u64 stub = (u64)trap_stubs + v * 16;

		idt[v] = (struct gate){
			.off_lo = (u16)stub, .off_mid = (u16)(stub >> 16), .off_hi = (u32)(stub >> 32),
			.sel = SEL_CODE, .type = GATE_INTERRUPT,
		};
	}
	/* These three can come while the stack itself is bad, so each has a stack of its own. */
	idt[VECTOR_NMI].ist = STACK_NMI;
	idt[VECTOR_DF].ist = STACK_DF;
	idt[VECTOR_MC].ist = STACK_MC;
}

struct desc_bases desc_bases(unsigned cpu)
{
	return (struct desc_bases){ .gdt = (u64)gdt[cpu], .idt = (u64)idt, .tss = (u64)&tss[cpu] };
}

void desc_init_cpu(unsigned cpu)
{
	struct table_ptr gdtr = { sizeof(gdt[0]) - 1, (u64)gdt[cpu] }, idtr = { sizeof(idt) - 1, (u64)idt };
	struct tss *t = &tss[cpu];
	u64 base = (u64)t;

	if (cpu == 0)
		fill_idt();
	*t = (struct tss){ .rsp = { stack_top(cpu, STACK_MAIN) }, .iomap = sizeof(*t) };
	for (unsigned i = STACK_NMI; i < STACKS_PER_CPU; i++)
		t->ist[i - 1] = stack_top(cpu, i);

	gdt[cpu][1] = 0x00af9b000000ffff;
	gdt[cpu][2] = 0x00cf93000000ffff;
	gdt[cpu][3] = (sizeof(*t) - 1) | (base & 0xffffff) << 16 | 0x89ull << 40 | (base >> 24 & 0xff) << 56;
	gdt[cpu][4] = base >> 32;

	__asm__ volatile("lgdt %0; lidt %1" :: "m"(gdtr), "m"(idtr));
	__asm__ volatile("pushq %0; leaq 1f(%%rip), %%rax; pushq %%rax; lretq; 1:" :: "i"(SEL_CODE) : "rax", "memory");
	__asm__ volatile("mov %0, %%ss; mov %0, %%ds; mov %0, %%es" :: "r"(SEL_DATA));
	__asm__ volatile("ltr %w0" :: "r"(SEL_TSS));

	percpu[cpu].self = &percpu[cpu];
	percpu[cpu].cpu = cpu;
	percpu[cpu].timer_armed = ~0ull;
	wrmsr(MSR_GS_BASE, (u64)&percpu[cpu]);
}
