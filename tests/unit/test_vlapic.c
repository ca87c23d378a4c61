/* units: vmm/apic/vlapic.c vmm/apic/vlapic_record.c vmm/apic/vlapic_ipi.c vmm/apic/vlapic_timer.c vmm/apic/xapic.c */
/* The virtual APIC and the level-triggered interrupts of real devices: what the physical APIC gets to hear, and when (abi.md H.3). */
#include "tests/unit/fake.h"
#include <asm/lapic.h>
#include "vmm/domain.h"
#include "vmm/apic/vlapic.h"
#include "vmm/apic/xapic.h"
#include "vmm/vcpu.h"

enum { MSR_TPR = 0x808, MSR_PPR = 0x80a, MSR_EOI = 0x80b, MSR_SVR = 0x80f, MSR_TMR = 0x818, MSR_ICR = 0x830, MSR_DCR = 0x83e, MSR_SELF_IPI = 0x83f };

static struct domain d;
static struct vcpu v = { .domain = &d };

/* The physical APIC: vectors in service; an EOI is for the highest. */
static bool in_service[256];
static int last_eoi;

static int highest_in_service(void)
{
	for (int n = 255; n >= 0; n--)
		if (in_service[n])
			return n;
	return -1;
}

void lapic_eoi(void)
{
	last_eoi = highest_in_service();
	assert_true(last_eoi >= 0);
	in_service[last_eoi] = false;
}

/* Timers. */
static u64 armed;
void timer_set(struct timer *t, unsigned cpu, u64 expires) { armed = expires; }
void timer_cancel(struct timer *t) { armed = 0; }

static unsigned kicked, started, ups, downs, resets, sipi_vector;
void vcpu_kick(struct vcpu *w) { kicked |= 1u << w->id; }
void vcpu_start(struct vcpu *w) { started |= 1u << w->id; }
void vcpu_up(struct vcpu *w) { ups++; }
void vcpu_down(struct vcpu *w) { downs++; }
void hvm_reset(struct vcpu *w) { resets++; }
void hvm_start_sipi(struct vcpu *w, u8 vector) { sipi_vector = vector; }

/* As vmm/dom0/irq.c does it. */
static void level_arrives(u8 vector)
{
	assert_true(vector >> 4 > highest_in_service() >> 4);
	in_service[vector] = true;
	v.apic.phys_level[vector / 64] |= BIT(vector % 64);
	vlapic_post(&v, vector, true);
}

static u8 take(void)
{
	int vector = vlapic_next(&v);

	assert_true(vector >= 0);
	vlapic_offer(&v, (u8)vector);
	vlapic_end_offer(&v, (u8)vector, true);
	return (u8)vector;
}

static void eoi(void) { assert_int_equal(vlapic_write(&v, MSR_EOI, 0), 0); }

static int set_up(void **state)
{
	memset(in_service, 0, sizeof(in_service));
	vlapic_load_base(&v, APIC_X2_ON);
	vlapic_reset(&v);
	last_eoi = -1;
	return vlapic_write(&v, MSR_SVR, 0x1ff);
}

static void acknowledged_when_the_guest_is_done(void **state)
{
	level_arrives(0x31);
	assert_int_equal(take(), 0x31);
	assert_int_equal(last_eoi, -1);
	eoi();
	assert_int_equal(last_eoi, 0x31);
}

static void nested(void **state)
{
	level_arrives(0x31);
	take();
	level_arrives(0x51);
	assert_int_equal(take(), 0x51);
	eoi();
	assert_int_equal(last_eoi, 0x51);
	eoi();
	assert_int_equal(last_eoi, 0x31);
}

/* The guest handles 0x31 with interrupts off while 0x51 comes: an EOI now would be for 0x51, whose device is not silenced yet. */
static void not_before_a_higher_one(void **state)
{
	level_arrives(0x31);
	take();
	level_arrives(0x51);
	eoi();
	assert_int_equal(last_eoi, -1);
	assert_int_equal(take(), 0x51);
	eoi();
	assert_int_equal(last_eoi, 0x31);
	assert_int_equal(highest_in_service(), -1);
	/* And once more, from the start. */
	level_arrives(0x31);
	take();
	eoi();
	assert_int_equal(last_eoi, 0x31);
}

/* One more of a vector that comes while the guest has it on offer is kept; and one that it didn't take is offered again. */
static void none_is_lost_on_offer(void **state)
{
	vlapic_post(&v, 0x41, false);
	assert_int_equal(vlapic_next(&v), 0x41);
	vlapic_offer(&v, 0x41);
	vlapic_post(&v, 0x41, false);
	vlapic_end_offer(&v, 0x41, true);
	assert_int_equal(vlapic_next(&v), -1);
	eoi();
	assert_int_equal(vlapic_next(&v), 0x41);
	vlapic_offer(&v, 0x41);
	assert_int_equal(vlapic_next(&v), -1);
	vlapic_end_offer(&v, 0x41, false);
	assert_int_equal(take(), 0x41);
	eoi();
	assert_int_equal(vlapic_next(&v), -1);
}

/* An edge-triggered one is acknowledged by whoever took it; its EOI in the guest stays there. */
static void edge_stays_virtual(void **state)
{
	level_arrives(0x31);
	take();
	vlapic_post(&v, 0x61, false);
	assert_int_equal(take(), 0x61);
	eoi();
	assert_int_equal(last_eoi, -1);
	eoi();
	assert_int_equal(last_eoi, 0x31);
}

static void reset_leaves_nothing_in_service(void **state)
{
	level_arrives(0x31);
	take();
	level_arrives(0x51);
	eoi();
	vlapic_reset(&v);
	assert_int_equal(highest_in_service(), -1);
}

/* SDM 10.8.3.1: the task's priority as it is, unless an interrupt of a higher class is in service. */
static void the_higher_class_is_the_priority(void **state)
{
	u64 ppr;

	vlapic_post(&v, 0x61, false);
	assert_int_equal(take(), 0x61);
	for (u32 tpr = 0; tpr < 256; tpr++) {
		assert_int_equal(vlapic_write(&v, MSR_TPR, tpr), 0);
		assert_int_equal(vlapic_read(&v, MSR_PPR, &ppr), 0);
		assert_int_equal(ppr, tpr < 0x60 ? 0x60 : tpr);
	}
	eoi();
	vlapic_post(&v, 0x71, false);
	assert_int_equal(vlapic_write(&v, MSR_TPR, 0x70), 0);
	assert_int_equal(vlapic_next(&v), -1);
	assert_int_equal(vlapic_write(&v, MSR_TPR, 0x6f), 0);
	assert_int_equal(take(), 0x71);
}

/* One vector is edge-triggered, then level-triggered: the first one's EOI is no part of the second's. */
static void what_was_edge_leaves_no_trace(void **state)
{
	vlapic_post(&v, 0x31, false);
	assert_int_equal(take(), 0x31);
	eoi();
	level_arrives(0x31);
	assert_int_equal(take(), 0x31);
	vlapic_post(&v, 0x61, false);
	assert_int_equal(take(), 0x61);
	eoi();
	level_arrives(0x71);
	assert_int_equal(take(), 0x71);
	eoi();
	assert_int_equal(last_eoi, 0x71);
	assert_int_equal(highest_in_service(), 0x31);
	eoi();
	assert_int_equal(last_eoi, 0x31);
}

static void registers_are_read_as_they_were_written(void **state)
{
	static const u32 unknown[] = { 0x800, 0x804, 0x80c, 0x831, 0x83a, 0x840, 0x8ff };
	u64 val;

	/* Level-triggered vectors, 32 in each of eight registers (SDM 10.8.4). */
	vlapic_post(&v, 0x31, true);
	vlapic_post(&v, 0xf4, true);
	vlapic_post(&v, 0x52, false);
	for (u32 i = 0; i < 8; i++) {
		val = ~0ull;
		assert_int_equal(vlapic_read(&v, MSR_TMR + i, &val), 0);
		assert_int_equal(val, i == 1 ? BIT(0x31 % 32) : i == 7 ? BIT(0xf4 % 32) : 0);
	}
	assert_int_equal(vlapic_write(&v, MSR_DCR, 0xb), 0);
	val = 0;
	assert_int_equal(vlapic_read(&v, MSR_DCR, &val), 0);
	assert_int_equal(val, 0xb);
	/* The whole of the priority's byte, and no more. */
	assert_int_equal(vlapic_write(&v, MSR_TPR, 0xff), 0);
	assert_int_equal(vlapic_write(&v, MSR_TPR, 0x100), -EINVAL);
	assert_int_equal(vlapic_read(&v, MSR_TPR, &val), 0);
	assert_int_equal(val, 0xff);
	for (unsigned i = 0; i < ARRAY_SIZE(unknown); i++) {
		assert_int_equal(vlapic_read(&v, unknown[i], &val), -EINVAL);
		assert_int_equal(vlapic_write(&v, unknown[i], 0), -EINVAL);
	}
}

/* ---- IPIs among four vCPUs ---- */

static struct vcpu others[3], *all[4] = { &v, &others[0], &others[1], &others[2] };

static int four(void **state)
{
	d.vcpu = all;
	d.max_vcpus = 4;
	for (u32 i = 1; i < 4; i++)
		*all[i] = (struct vcpu){ .domain = &d, .id = i, .apic_id = i * 2, .apic = { .enabled = true, .msr_first = MSR_X2APIC_FIRST } };
	kicked = started = ups = downs = resets = sipi_vector = 0;
	return set_up(state);
}

/* Who has the vector now, as a mask; it is taken away again. */
static unsigned have(u8 vector)
{
	unsigned mask = 0;

	for (u32 i = 0; i < 4; i++) {
		u64 *word = &all[i]->apic.irr[vector / 64];

		mask |= (*word >> (vector % 64) & 1) << i;
		*word &= ~BIT(vector % 64);
	}
	return mask;
}

static unsigned ipi(u64 icr, u8 vector)
{
	assert_int_equal(vlapic_write(&v, MSR_ICR, icr | vector), 0);
	return have(vector);
}

static void ipis_reach_whom_they_name(void **state)
{
	enum { SELF = 1 << 18, ALL = 2 << 18, OTHERS = 3 << 18, LOGICAL = 1 << 11, LOWEST = 1 << 8 };
	u64 val;

	assert_int_equal(ipi(4ull << 32, 0x40), 4);
	assert_int_equal(ipi(5ull << 32, 0x40), 0);
	assert_int_equal(ipi(0xffffffffull << 32, 0x40), 15);
	assert_int_equal(ipi(SELF, 0x40), 1);
	assert_int_equal(ipi(ALL, 0x40), 15);
	assert_int_equal(ipi(OTHERS, 0x40), 14);
	/* Logical: a cluster of 16 ids, and a bit for each (SDM 10.12.10.2). */
	assert_int_equal(ipi((1ull << 2 | 1 << 6) << 32 | LOGICAL, 0x40), 2 | 8);
	assert_int_equal(ipi((1ull << 16 | 1 << 2) << 32 | LOGICAL, 0x40), 0);
	/* Lowest priority: one of them is enough. */
	assert_int_equal(ipi((1ull << 2 | 1 << 4) << 32 | LOGICAL | LOWEST, 0x40), 2);
	/* Vectors of exceptions are not sent; reserved bits and upper halves are refused. */
	assert_int_equal(ipi(ALL, 15), 0);
	assert_int_equal(ipi(ALL, 16), 15);
	assert_int_equal(vlapic_write(&v, MSR_ICR, BIT(13)), -EINVAL);
	assert_int_equal(vlapic_write(&v, MSR_SELF_IPI, 0xff), 0);
	assert_int_equal(have(0xff), 1);
	assert_int_equal(vlapic_write(&v, MSR_SELF_IPI, 0x100), -EINVAL);
	assert_int_equal(vlapic_write(&v, MSR_EOI, 1), -EINVAL);
	assert_int_equal(vlapic_write(&v, MSR_TPR, BIT(32)), -EINVAL);
	assert_int_equal(vlapic_write(&v, MSR_SVR, BIT(12)), -EINVAL);
	assert_int_equal(vlapic_read(&v, 0x804, &val), -EINVAL);
	kicked = 0;
	assert_int_equal(vlapic_write(&v, MSR_ICR, 6ull << 32 | 4 << 8), 0);
	assert_true(others[2].attention & VCPU_NMI && kicked == 8);
}

/* The page of xAPIC mode: 8 bits of destination, and logical ones as the guest has written them. */
static unsigned page_ipi(u32 dest, u32 low)
{
	u64 high = dest << 24, icr = low;

	xapic_access(&v, 0x310, 4, true, &high);
	xapic_access(&v, 0x300, 4, true, &icr);
	return have((u8)low);
}

static void xapic_destinations(void **state)
{
	enum { LOGICAL = 1 << 11 };
	u64 value;

	for (u32 i = 0; i < 4; i++) {
		vlapic_load_base(all[i], APIC_ON);
		all[i]->apic.dfr = ~0u;
		all[i]->apic.ldr = 1u << (24 + i);
	}
	assert_int_equal(page_ipi(4, 0x40), 4);
	assert_int_equal(page_ipi(0xff, 0x40), 15);
	assert_int_equal(page_ipi(5, LOGICAL | 0x40), 5);
	for (u32 i = 0; i < 4; i++) {
		all[i]->apic.dfr = 0x0fffffff;
		all[i]->apic.ldr = (i < 2 ? 0x10u : 0x20u) << 24 | 1u << (24 + i % 2);
	}
	assert_int_equal(page_ipi(0x13, LOGICAL | 0x40), 3);
	assert_int_equal(page_ipi(0x22, LOGICAL | 0x40), 8);
	assert_int_equal(page_ipi(0x31, LOGICAL | 0x40), 0);
	/* One whose APIC is off gets none. */
	vlapic_load_base(&others[1], 0);
	assert_int_equal(page_ipi(0xff, 0x40), 11);
	/* An illegal vector shows in ESR, after a write to it. */
	assert_int_equal(page_ipi(0xff, 0x5), 0);
	value = 7;
	xapic_access(&v, 0x280, 4, true, &value);
	xapic_access(&v, 0x280, 4, false, &value);
	assert_int_equal(value, 0x20);
	/* Bits that x2APIC refuses are ignored, and so is a write that isn't 4 bytes. */
	value = 0x1234;
	xapic_access(&v, 0x80, 4, true, &value);
	xapic_access(&v, 0x80, 2, true, &(u64){ 0 });
	xapic_access(&v, 0x80, 1, false, &value);
	assert_int_equal(value, 0x34);
	d.max_vcpus = 0;
}

static void modes_change_as_the_manual_says(void **state)
{
	u64 base = APIC_PAGE | BIT(8);

	assert_int_equal(vlapic_base(&v), base | APIC_X2_ON);
	assert_int_equal(vlapic_set_base(&v, base | APIC_ON), -EINVAL);
	assert_int_equal(vlapic_set_base(&v, base | APIC_X2_ON | 1), -EINVAL);
	assert_int_equal(vlapic_set_base(&v, base), 0);
	assert_int_equal(v.apic.svr, 0xff);
	assert_int_equal(vlapic_set_base(&v, base | APIC_X2_ON), -EINVAL);
	assert_int_equal(vlapic_set_base(&v, base | BIT(10)), -EINVAL);
	vlapic_post(&v, 0x41, false);
	assert_int_equal(vlapic_write(&v, MSR_SVR, 0x1ff), 0);
	assert_int_equal(vlapic_next(&v), -1);
	assert_int_equal(vlapic_set_base(&v, base | APIC_ON), 0);
	assert_int_equal(vlapic_next(&v), 0x41);
	assert_int_equal(vlapic_set_base(&v, base | APIC_X2_ON), 0);
	assert_int_equal(vlapic_set_base(&v, (base | APIC_X2_ON) + 0x1000), -EINVAL);
}

/* A hundred million counts a second, divided. */
static void the_timer_counts_down(void **state)
{
	enum { INITIAL = 0x838, CURRENT = 0x839, LVT = 0x832, PERIODIC = 1 << 17 };
	u64 left;

	fake_time = 1000;
	assert_int_equal(vlapic_write(&v, MSR_DCR, 0xb), 0);
	assert_int_equal(vlapic_write(&v, LVT, 0x61), 0);
	assert_int_equal(vlapic_write(&v, INITIAL, 100000), 0);
	assert_int_equal(armed, 1001000);
	fake_time = 301000;
	assert_int_equal(vlapic_read(&v, CURRENT, &left), 0);
	assert_int_equal(left, 70000);
	fake_time = 1001000;
	vlapic_timer_fired(&v);
	assert_int_equal(take(), 0x61);
	assert_int_equal(vlapic_read(&v, CURRENT, &left), 0);
	assert_int_equal(left, 0);
	eoi();
	/* Periodic, by 2; what was missed is not made up for. */
	assert_int_equal(vlapic_write(&v, LVT, 0x61 | PERIODIC), 0);
	assert_int_equal(vlapic_write(&v, MSR_DCR, 0), 0);
	assert_int_equal(vlapic_write(&v, INITIAL, 100000), 0);
	assert_int_equal(armed, 1001000 + 2000000);
	fake_time = 1001000 + 5 * 2000000 + 10;
	vlapic_timer_fired(&v);
	assert_int_equal(armed, 1001000 + 6 * 2000000);
	assert_int_equal(take(), 0x61);
	eoi();
	/* A short one is stretched, a masked one is silent, and 0 stops it. */
	assert_int_equal(vlapic_write(&v, INITIAL, 1), 0);
	vlapic_timer_fired(&v);
	assert_int_equal(armed, fake_time + 50000);
	/* Longer still while the guest takes none. */
	vlapic_timer_fired(&v);
	assert_int_equal(armed, fake_time + 10000000);
	assert_int_equal(take(), 0x61);
	eoi();
	assert_int_equal(vlapic_write(&v, LVT, 0x61 | 1 << 16), 0);
	vlapic_timer_fired(&v);
	assert_int_equal(vlapic_next(&v), -1);
	assert_int_equal(vlapic_write(&v, INITIAL, 0), 0);
	assert_int_equal(armed, 0);
}

/* As the run loop does it. */
static void take_events(struct vcpu *w)
{
	if (vlapic_take_init(w))
		downs++;
	vlapic_take_sipi(w);
}

static void init_and_start_up(void **state)
{
	enum { INIT = 5 << 8 | 1 << 14, INIT_DEASSERT = 5 << 8 | 1 << 15, SIPI = 6 << 8, ALL = 2 << 18 };

	/* Not the first vCPU, whose INIT would be the machine's. */
	assert_int_equal(vlapic_write(&v, MSR_ICR, ALL | INIT), 0);
	assert_true(!v.attention && others[0].attention & others[1].attention & others[2].attention & VCPU_INIT);
	others[0].attention = 0;
	assert_int_equal(vlapic_write(&v, MSR_ICR, 2ull << 32 | INIT_DEASSERT), 0);
	assert_false(others[0].attention & VCPU_INIT);
	/* One that runs takes no start-up IPI. */
	assert_int_equal(vlapic_write(&v, MSR_ICR, 2ull << 32 | SIPI | 0x9f), 0);
	take_events(&others[0]);
	assert_true(!ups && !sipi_vector && !(others[0].attention & VCPU_SIPI));
	/* INIT, then a start-up IPI. */
	assert_int_equal(vlapic_write(&v, MSR_ICR, 2ull << 32 | INIT), 0);
	take_events(&others[0]);
	assert_true(others[0].wait_for_sipi && resets == 1 && downs == 1 && !ups);
	assert_int_equal(vlapic_write(&v, MSR_ICR, 2ull << 32 | SIPI | 0x9f), 0);
	assert_true(started & 2);
	take_events(&others[0]);
	assert_true(!others[0].wait_for_sipi && ups == 1 && sipi_vector == 0x9f);
	/* A start-up IPI from before an INIT is gone with it. */
	assert_int_equal(vlapic_write(&v, MSR_ICR, 4ull << 32 | SIPI | 0x11), 0);
	assert_int_equal(vlapic_write(&v, MSR_ICR, 4ull << 32 | INIT), 0);
	take_events(&others[1]);
	assert_true(others[1].wait_for_sipi && ups == 1);
	d.max_vcpus = 0;
}

static void in_any_order(void **state)
{
	for (int n = 0; n < 20000; n++) {
		int top = highest_in_service();
		u8 vector = (u8)(0x20 + fake_random() % 0xc0);

		switch (fake_random() % 3) {
		case 0:
			if (vector >> 4 > (top < 0 ? 0 : top >> 4) && !(v.apic.phys_level[vector / 64] & BIT(vector % 64)))
				level_arrives(vector);
			break;
		case 1:
			if (vlapic_next(&v) >= 0)
				take();
			break;
		case 2:
			eoi();
			break;
		}
		for (int i = 0; i < 256; i++)
			assert_int_equal(in_service[i], v.apic.phys_level[i / 64] >> (i % 64) & 1);
	}
	while (vlapic_next(&v) >= 0 || v.apic.isr[0] | v.apic.isr[1] | v.apic.isr[2] | v.apic.isr[3]) {
		if (vlapic_next(&v) >= 0)
			take();
		else
			eoi();
	}
	assert_int_equal(highest_in_service(), -1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(acknowledged_when_the_guest_is_done, set_up),
		cmocka_unit_test_setup(nested, set_up),
		cmocka_unit_test_setup(not_before_a_higher_one, set_up),
		cmocka_unit_test_setup(none_is_lost_on_offer, set_up),
		cmocka_unit_test_setup(edge_stays_virtual, set_up),
		cmocka_unit_test_setup(reset_leaves_nothing_in_service, set_up),
		cmocka_unit_test_setup(the_higher_class_is_the_priority, set_up),
		cmocka_unit_test_setup(what_was_edge_leaves_no_trace, set_up),
		cmocka_unit_test_setup(registers_are_read_as_they_were_written, set_up),
		cmocka_unit_test_setup(ipis_reach_whom_they_name, four),
		cmocka_unit_test_setup(xapic_destinations, four),
		cmocka_unit_test_setup(modes_change_as_the_manual_says, set_up),
		cmocka_unit_test_setup(the_timer_counts_down, set_up),
		cmocka_unit_test_setup(init_and_start_up, four),
		cmocka_unit_test_setup(in_any_order, set_up),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
