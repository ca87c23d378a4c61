/*
 * The physical local APIC: EOI, IPIs and the one-shot timer. xAPIC and x2APIC share this file,
 * because they differ only in how a register is reached.
 */
#include <asm/cpu.h>
#include <asm/insn.h>
#include <asm/lapic.h>
#include <asm/paging.h>
#include <asm/traps.h>

enum {
	APIC_ID = 0x20, APIC_TPR = 0x80, APIC_EOI = 0xb0, APIC_SVR = 0xf0, APIC_ISR = 0x100, APIC_TMR = 0x180, APIC_ESR = 0x280,
	APIC_ICR_LO = 0x300, APIC_ICR_HI = 0x310, APIC_LVT_TIMER = 0x320, APIC_LVT_LINT0 = 0x350, APIC_LVT_LINT1 = 0x360,
	APIC_LVT_ERROR = 0x370, APIC_TIMER_INIT = 0x380, APIC_TIMER_COUNT = 0x390, APIC_TIMER_DIV = 0x3e0,
};
enum { ICR_FIXED = 0, ICR_NMI = 4 << 8, ICR_INIT = 5 << 8, ICR_SIPI = 6 << 8, ICR_ASSERT = 1 << 14, ICR_PENDING = 1 << 12, ICR_OTHERS = 3 << 18 };
/*
 * Vectors below 0x20 belong to exceptions. No device has them, but a domain that can make a device
 * write any message can name them. The APIC refuses those below 0x10 (SDM vol. 3, "Valid Interrupt
 * Vectors", 11.5.2). With this TPR it holds back the others ("Task and Processor Priorities",
 * 11.8.3.1).
 */
enum { TPR_ABOVE_EXCEPTIONS = 0x10 };
enum { LVT_MASKED = 1 << 16, TIMER_DIV_16 = 3, MSR_X2APIC = 0x800 };

#define APIC_BASE_X2APIC BIT(10)
#define APIC_BASE_ENABLE BIT(11)

static volatile u32 *mmio;      /* [I] NULL in x2APIC mode */
static bool mode_known;         /* [I] lapic_init has found the mode */

static u32 reg_read(u32 reg)
{
	return mmio ? mmio[reg / 4] : (u32)rdmsr(MSR_X2APIC + reg / 16);
}

static void reg_write(u32 reg, u32 v)
{
	if (mmio)
		mmio[reg / 4] = v;
	else
		wrmsr(MSR_X2APIC + reg / 16, v);
}

paddr_t lapic_init(void)
{
	u64 base = rdmsr(MSR_APIC_BASE), page = base & (BIT(52) - 1) & PAGE_MASK;

	if (!(base & APIC_BASE_X2APIC))
		mmio = map_device(page, PAGE_SIZE);
	mode_known = true;
	lapic_enable();
	return page;
}

void lapic_enable(void)
{
	wrmsr(MSR_APIC_BASE, rdmsr(MSR_APIC_BASE) | APIC_BASE_ENABLE | (mmio ? 0 : APIC_BASE_X2APIC));
	reg_write(APIC_TPR, TPR_ABOVE_EXCEPTIONS);
	reg_write(APIC_LVT_TIMER, LVT_MASKED | VECTOR_TIMER);
	reg_write(APIC_LVT_LINT0, LVT_MASKED);
	reg_write(APIC_LVT_LINT1, LVT_MASKED);
	reg_write(APIC_LVT_ERROR, LVT_MASKED | VECTOR_ERROR);
	reg_write(APIC_TIMER_DIV, TIMER_DIV_16);
	reg_write(APIC_SVR, 0x100 | VECTOR_SPURIOUS);
	reg_write(APIC_LVT_TIMER, VECTOR_TIMER);
}

u32 lapic_id(void)
{
	u32 id = reg_read(APIC_ID);

	return mmio ? id >> 24 : id;
}

bool lapic_can_reach(u32 apic_id) { return apic_id < (mmio ? 0xff : ~0u); }

void lapic_eoi(void) { reg_write(APIC_EOI, 0); }

static bool has_bit(u32 reg, u8 vector)
{
	return reg_read(reg + vector / 32 * 0x10) >> (vector % 32) & 1;
}

bool lapic_is_level(u8 vector) { return has_bit(APIC_TMR, vector); }
bool lapic_in_service(u8 vector) { return mode_known && has_bit(APIC_ISR, vector); }

static void send_icr(u32 apic_id, u32 icr)
{
	if (!mmio) {
		/*
		 * A WRMSR to the ICR is not serializing. The target must see our earlier stores
		 * first, and only these two fences together make sure of it: SDM vol. 3, "MSR
		 * Access in x2APIC Mode", 11.12.3.
		 */
		__asm__ volatile("mfence; lfence" ::: "memory");
		wrmsr(MSR_X2APIC + APIC_ICR_LO / 16, (u64)apic_id << 32 | icr);
		return;
	}
	while (mmio[APIC_ICR_LO / 4] & ICR_PENDING)
		cpu_relax();
	mmio[APIC_ICR_HI / 4] = apic_id << 24;
	mmio[APIC_ICR_LO / 4] = icr;
}

void lapic_send_ipi(u32 apic_id, u8 vector) { send_icr(apic_id, ICR_FIXED | ICR_ASSERT | vector); }
void lapic_send_init(u32 apic_id) { send_icr(apic_id, ICR_INIT | ICR_ASSERT); }
void lapic_send_sipi(u32 apic_id, u8 page) { send_icr(apic_id, ICR_SIPI | ICR_ASSERT | page); }

void lapic_stop_others(void)
{
	if (nr_cpus > 1)
		send_icr(0, ICR_NMI | ICR_ASSERT | ICR_OTHERS);
}

void lapic_timer(u32 count) { reg_write(APIC_TIMER_INIT, count); }
u32 lapic_timer_count(void) { return reg_read(APIC_TIMER_COUNT); }
