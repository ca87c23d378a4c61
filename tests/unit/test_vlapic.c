/* units: vmm/vlapic.c */
/* The virtual APIC and the level-triggered interrupts of real devices: what the physical APIC gets to hear, and when (abi.md H.3). */
#include "tests/unit/fake.h"
#include <asm/lapic.h>
#include "vmm/domain.h"
#include "vmm/vlapic.h"

enum { MSR_EOI = 0x80b, MSR_SVR = 0x80f };

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

void vcpu_kick(struct vcpu *w) { }
void vcpu_start(struct vcpu *w) { }
void vcpu_up(struct vcpu *w) { }
void vcpu_down(struct vcpu *w) { }
void hvm_reset(struct vcpu *w) { }
void hvm_start_sipi(struct vcpu *w, u8 vector) { }

/* As vmm/irq.c does it. */
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
		cmocka_unit_test_setup(in_any_order, set_up),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
