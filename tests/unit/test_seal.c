/* units: vmm/life/seal.c vmm/domain/permitted.c lib/sha256.c mm/p2m.c mm/p2m_log.c mm/pt.c mm/buddy.c mm/heap.c tests/unit/fake_domain.c */
/* Sealing: what it waits for, what it refuses, what the digest covers, and what others are allowed and shown afterwards. */
#include "mm/page.h"
#include "tests/unit/fake.h"
#include "tests/unit/fake_domain.h"
#include "vmm/domain.h"
#include "vmm/domain/record.h"
#include "vmm/hypercall.h"
#include "vmm/vcpu.h"
#include <asm/hvm_flush.h>
#include <asm/insn.h>
#include <stdio.h>
#include <xen/grant_table.h>

/* The linker's: an image of three bytes. */
__asm__(".pushsection .rodata\n.globl image_start, rodata_end\nimage_start: .ascii \"abc\"\nrodata_end:\n.popsection");

#define CONSOLE 100u
#define STORE   101u
#define RAM     8u

struct domain *dom0;
static struct domain *d;
static struct page *ram[RAM];
static struct grant_frame frame;
static char refused[300];
static u64 rip;

/* The domain's open ports, bit by bit. */
static u64 ports;

u32 evtchn_next_open(struct domain *of, u32 port)
{
	u64 later = ports & ~(BIT(port) - 1);

	assert_ptr_equal(of, d);
	return later ? (u32)__builtin_ctzll(later) : 0;
}

void hvm_flush_others(struct p2m *p2m, u64 gen) { }

long refuse_say(long error, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(refused, sizeof(refused), fmt, ap);
	va_end(ap);
	return error;
}

void hvm_get_context(struct vcpu *v, struct hvm_hw_cpu *c)
{
	memset(c, 0, sizeof(*c));
	c->rip = rip;
}

static void map(u64 gfn, struct page *pg, enum p2m_type type)
{
	assert_int_equal(p2m_map(&d->p2m, GFN(gfn), page_to_mfn(pg), 0, type), 0);
}

static struct page *new_page(u64 gfn)
{
	struct page *pg = page_alloc_domain(0, d->domid);

	clear_page(page_to_virt(pg));
	map(gfn, pg, P2M_RAM);
	return pg;
}

static grant_entry_v1_t *entry(unsigned ref) { return (grant_entry_v1_t *)page_to_virt(frame.page) + ref; }

static int set_up(void **state)
{
	dom0 = fake_domain_new(0, 1);
	d = fake_domain_new(1, 2);
	assert_int_equal(p2m_init(&d->p2m), 0);
	for (unsigned i = 0; i < RAM; i++)
		ram[i] = new_page(i);
	new_page(CONSOLE);
	new_page(STORE);
	new_page(BIT(20));
	d->params[HVM_PARAM_CONSOLE_PFN] = CONSOLE;
	d->params[HVM_PARAM_STORE_PFN] = STORE;
	d->params[HVM_PARAM_STORE_EVTCHN] = 1;
	d->params[HVM_PARAM_CONSOLE_EVTCHN] = 2;
	ports = BIT(1) | BIT(2);
	frame = (struct grant_frame){ .page = page_alloc(0), .gfn = ~0ull };
	clear_page(page_to_virt(frame.page));
	*entry(0) = (grant_entry_v1_t){ .flags = GTF_permit_access, .frame = CONSOLE };
	*entry(1) = (grant_entry_v1_t){ .flags = GTF_permit_access | GTF_reading | GTF_writing, .frame = STORE };
	d->grant.nr_frames = 1;
	d->grant.frames = &frame;
	d->shared_page = page_alloc(0);
	d->shared_gfn = ~0ull;
	d->vcpu[1]->wait_for_sipi = true;
	d->seal.state = SEAL_WANTED;
	rip = 0x1000;
	nr_cpus = 3;
	refused[0] = 0;
	return 0;
}

static int tear_down(void **state)
{
	u64 next = 0;

	while (!p2m_relinquish(&d->p2m, &next, 1000))
		;
	p2m_destroy(&d->p2m);
	page_put(d->shared_page);
	page_put(frame.page);
	fake_domain_free(d);
	fake_domain_free(dom0);
	fake_steps = 0;
	return 0;
}

static void all_see(void)
{
	for (unsigned cpu = 0; cpu < nr_cpus; cpu++)
		seal_seen(&percpu[cpu]);
}

static long seal(void)
{
	long rc = seal_step(d);

	assert_int_equal(rc, HC_AGAIN);
	all_see();
	while ((rc = seal_step(d)) == HC_AGAIN)
		;
	return rc;
}

/* A domain like the test's, but changed by `change`, has another digest than `old`. Keeps the new digest there. */
static void assert_new_digest(u8 old[SHA256_BYTES])
{
	d->seal.state = SEAL_WANTED;
	assert_int_equal(seal(), 0);
	assert_memory_not_equal(old, d->seal.digest, SHA256_BYTES);
	memcpy(old, d->seal.digest, SHA256_BYTES);
}

static void assert_old_digest(const u8 old[SHA256_BYTES])
{
	d->seal.state = SEAL_WANTED;
	assert_int_equal(seal(), 0);
	assert_memory_equal(old, d->seal.digest, SHA256_BYTES);
}

static void assert_refused(const char *why)
{
	refused[0] = 0;
	d->seal.state = SEAL_WANTED;
	assert_int_equal(seal(), -EBUSY);
	if (!__builtin_strstr(refused, why))
		fail_msg("'%s' lacks '%s'", refused, why);
	assert_int_equal(d->seal.state, SEAL_WANTED);
	assert_false(seal_closed(d));
}

static void an_open_domain_needs_no_step(void **state)
{
	d->seal.state = SEAL_OPEN;
	assert_int_equal(seal_step(d), 0);
	assert_int_equal(d->seal.state, SEAL_OPEN);
	assert_false(seal_closed(d));
}

static void it_waits_until_every_cpu_has_left_its_call(void **state)
{
	for (unsigned cpu = 0; cpu < nr_cpus; cpu++)
		percpu[cpu].look_around = 0;
	assert_int_equal(seal_step(d), HC_AGAIN);
	assert_true(seal_closed(d));
	for (unsigned cpu = 0; cpu < nr_cpus; cpu++)
		assert_true(percpu[cpu].look_around);
	for (unsigned cpu = 0; cpu < nr_cpus; cpu++) {
		assert_int_equal(seal_step(d), HC_AGAIN);
		assert_int_equal(d->seal.next, 0);
		seal_seen(&percpu[cpu]);
	}
	while (seal_step(d) == HC_AGAIN)
		;
	assert_int_equal(d->seal.state, SEAL_DONE);
	assert_int_equal(seal_step(d), 0);
	assert_true(vcpu_wants(d->vcpu[0], VCPU_SEALED) && vcpu_wants(d->vcpu[1], VCPU_SEALED));
}

static void a_long_measurement_goes_on_where_it_stopped(void **state)
{
	u8 digest[SHA256_BYTES];

	__builtin_strcpy(page_to_virt(ram[3]), "text");
	assert_int_equal(seal(), 0);
	memcpy(digest, d->seal.digest, sizeof(digest));
	/* Even if every step is over as it begins, because it waited for a lock. */
	for (fake_steps = 3; fake_steps; fake_steps--)
		assert_old_digest(digest);
}

static void the_digest_covers_pages_places_and_registers(void **state)
{
	u8 digest[SHA256_BYTES] = { 0 };
	struct page *console;

	assert_new_digest(digest);
	assert_old_digest(digest);
	((u8 *)page_to_virt(ram[5]))[4095] = 1;
	assert_new_digest(digest);
	((u8 *)page_to_virt(ram[5]))[4095] = 0;
	((u8 *)page_to_virt(ram[6]))[4095] = 1;
	assert_new_digest(digest);
	rip++;
	assert_new_digest(digest);
	d->vcpu[1]->wait_for_sipi = false;
	assert_new_digest(digest);
	new_page(BIT(19));
	assert_old_digest(digest);
	__builtin_strcpy(page_to_virt(new_page(BIT(21) + 5)), "far");
	assert_new_digest(digest);
	/* The service domain may write the two pages that it shares with the guest at any time. */
	console = p2m_get_page(&d->p2m, GFN(CONSOLE), NULL, true);
	__builtin_strcpy(page_to_virt(console), "ring");
	assert_old_digest(digest);
	page_put(console);
	/* But not choose which pages these are. */
	d->params[HVM_PARAM_CONSOLE_PFN] = 5;
	entry(0)->frame = 5;
	assert_new_digest(digest);
}

static void the_digest_is_that_of_the_documented_bytes(void **state)
{
	static struct hvm_hw_cpu cpu;
	u8 digest[SHA256_BYTES];
	struct sha256 s;
	u64 gfn[] = { 3, CONSOLE | BIT(63), STORE | BIT(63) };
	u32 id = 0;

	__builtin_strcpy(page_to_virt(ram[3]), "text");
	assert_int_equal(seal(), 0);
	cpu.rip = rip;
	sha256_start(&s);
	sha256_add(&s, &gfn[0], 8);
	sha256_add(&s, page_to_virt(ram[3]), PAGE_SIZE);
	sha256_add(&s, &gfn[1], 16);
	sha256_add(&s, &id, 4);
	sha256_add(&s, &cpu, sizeof(cpu));
	sha256_end(&s, digest);
	assert_memory_equal(digest, d->seal.digest, SHA256_BYTES);
}

static void whatever_others_have_of_it_keeps_it_from_being_sealed(void **state)
{
	struct page *other;

	assert_true(page_get(ram[2]));
	assert_refused("a page of it is mapped elsewhere");
	page_put(ram[2]);

	assert_true(page_get(frame.page));
	assert_refused("its grant table is mapped");
	page_put(frame.page);
	frame.gfn = 77;
	assert_refused("its grant table is mapped");
	frame.gfn = ~0ull;
	d->grant.nr_frames = 2;
	assert_refused("its grant table is mapped");
	d->grant.nr_frames = 1;

	assert_true(page_get(d->shared_page));
	assert_refused("its shared_info page is mapped");
	page_put(d->shared_page);
	d->shared_gfn = 9;
	assert_refused("its shared_info page is mapped");
	d->shared_gfn = ~0ull;

	d->callback_vector = 0x20;
	assert_refused("its event callback is set");
	d->callback_vector = 0;

	/* Ports that were opened for it: whoever opened them could ring them later. */
	for (unsigned port = 3; port < 64; port += 30) {
		ports |= BIT(port);
		assert_refused("it has more event ports");
		ports &= ~BIT(port);
	}
	for (unsigned port = 1; port <= 2; port++) {
		d->params[port == 1 ? HVM_PARAM_STORE_EVTCHN : HVM_PARAM_CONSOLE_EVTCHN] = 0;
		assert_refused("it has more event ports");
		d->params[port == 1 ? HVM_PARAM_STORE_EVTCHN : HVM_PARAM_CONSOLE_EVTCHN] = port;
	}

	/* A frame of somebody else in its place, which that one could go on writing. */
	other = page_alloc_domain(0, 0);
	map(3, other, P2M_FOREIGN);
	assert_refused("a page of it isn't its own");
	assert_int_equal(p2m_remove(&d->p2m, GFN(3), INVALID_MFN), 0);
	assert_int_equal(seal(), 0);
}

static void the_grant_table_may_lend_only_two_pages_to_the_service_domain(void **state)
{
	static const struct { unsigned ref; grant_entry_v1_t e; } seeded[] = {
		{ 0, { GTF_permit_access, 0, 3 } },             /* another page than the console's */
		{ 1, { GTF_permit_access, 7, STORE } },         /* to somebody else */
		{ 1, { GTF_transitive, 0, STORE } },
		{ 2, { GTF_permit_access, 0, STORE } },
		{ 300, { GTF_permit_access, 0, 3 } },
		{ 511, { GTF_permit_access | GTF_readonly, 0, 3 } },
	};

	for (unsigned i = 0; i < ARRAY_SIZE(seeded); i++) {
		grant_entry_v1_t was = *entry(seeded[i].ref);

		*entry(seeded[i].ref) = seeded[i].e;
		assert_refused("its grant table lends more");
		*entry(seeded[i].ref) = was;
	}
	assert_int_equal(seal(), 0);
}

static void console_and_store_may_stay_mapped(void **state)
{
	struct page *console = p2m_get_page(&d->p2m, GFN(CONSOLE), NULL, true);

	assert_int_equal(seal(), 0);
	page_put(console);
	/* Neither has to have a port. */
	ports = 0;
	d->seal.state = SEAL_WANTED;
	assert_int_equal(seal(), 0);
}

enum { ROWS = 0
#define HC(num, sub, label, type, d, w, target, f) + 1
#include "vmm/hypercall/hypercalls.def"
#undef HC
};

static void a_closed_domain_is_named_by_itself_and_by_marked_calls_only(void **state)
{
	struct hypercall hc = { .row = 0 };
	struct domain *found;
	unsigned allowed = 0;

	for (unsigned pass = 0; pass < 2; pass++) {
		for (hc.row = 0; hc.row <= ROWS; hc.row++) {
			long rc = domain_get_permitted(dom0->vcpu[0], &hc, 1, &found);

			if (!pass || !rc) {
				assert_int_equal(rc, 0);
				assert_ptr_equal(found, d);
				domain_put(d);
				allowed += pass;
			} else {
				assert_int_equal(rc, -EPERM);
				assert_non_null(__builtin_strstr(refused, "for d1: it is sealed"));
			}
			assert_int_equal(domain_get_permitted(d->vcpu[0], &hc, DOMID_SELF, &found), 0);
			domain_put(d);
			assert_int_equal(domain_get_permitted(d->vcpu[0], &hc, 0, &found), -EPERM);
		}
		if (!pass)
			assert_int_equal(seal_step(d), HC_AGAIN);
	}
	assert_in_range(allowed, 20, 30);
	assert_int_equal(d->refs, 1);
}

static void cpuid_tells_the_guest(void **state)
{
	struct cpuid_regs r = { 0 };

	seal_cpuid(d, 0, &r);
	assert_int_equal(r.a, 0x40000103);
	assert_memory_equal(&r.b, "BothySealing", 12);
	seal_tells = SEAL_TELLS_DMA;
	seal_cpuid(d, 1, &r);
	assert_true(r.a == 1 && r.b == SEAL_TELLS_DMA);
	__builtin_strcpy(page_to_virt(ram[0]), "text");
	assert_int_equal(seal(), 0);
	seal_cpuid(d, 1, &r);
	assert_int_equal(r.b, SEAL_TELLS_SEALED | SEAL_TELLS_DMA);
	seal_cpuid(d, 2, &r);
	assert_memory_equal(&r, d->seal.digest, 16);
	seal_cpuid(d, 3, &r);
	assert_memory_equal(&r, d->seal.digest + 16, 16);
	r = (struct cpuid_regs){ 0 };
	seal_cpuid(d, 4, &r);
	assert_int_equal(r.a | r.b | r.c | r.d, 0);
}

static void the_label_and_the_option_decide(void **state)
{
	seal_tells = 0;
	fake_log_clear();
	seal_init(SEAL_ASK, true, false);
	assert_logged("of bytes 3: SHA-256 ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad\n");
	assert_int_equal(seal_choose(SEAL_SID), 1);
	assert_int_equal(seal_choose(SEAL_SID_OPEN), 0);
	assert_int_equal(seal_choose(0), 0);
	/* Without seclabel= libxl gives the number that Xen's own label for guests has. */
	assert_int_equal(seal_choose(12), 0);
	assert_int_equal(seal_choose(31), 0);
	assert_int_equal(seal_choose(32), -EINVAL);
	assert_non_null(__builtin_strstr(refused, "label number 32: there is no such label"));
	assert_int_equal(seal_choose(SEAL_SID_OPEN - 1), -EINVAL);
	assert_int_equal(seal_choose(SEAL_SID + 1), -EINVAL);
	assert_int_equal(seal_choose(~0u), -EINVAL);
	seal_init(SEAL_ALL, true, false);
	assert_int_equal(seal_choose(SEAL_SID + 1), -EINVAL);
	assert_int_equal(seal_choose(0), 1);
	seal_init(SEAL_NO, true, false);
	assert_int_equal(seal_choose(SEAL_SID), -EOPNOTSUPP);
	assert_int_equal(seal_choose(0), 0);
	seal_init(SEAL_ASK, false, false);
	assert_int_equal(seal_choose(SEAL_SID), -EOPNOTSUPP);
	assert_non_null(__builtin_strstr(refused, "without an IOMMU"));
	assert_int_equal(seal_choose(0), 0);
	seal_init(SEAL_ALL, false, false);
	assert_int_equal(seal_choose(0), -EOPNOTSUPP);
	seal_init(SEAL_SOFT, false, false);
	assert_int_equal(seal_choose(SEAL_SID), 1);
	assert_int_equal(seal_choose(0), 0);
	assert_int_equal(seal_tells, 0);
	seal_init(SEAL_ASK, true, true);
	assert_int_equal(seal_tells, SEAL_TELLS_DMA | SEAL_TELLS_INTERRUPTS);
}

static void exits_of_a_sealed_vcpu_are_recorded_without_their_values(void **state)
{
	static struct record ring[RECORD_RING];
	static struct record_cpu counters;
	struct percpu *p = this_cpu();
	struct record *r;

	p->records = ring;
	p->counters = &counters;
	record_choose(p, d->vcpu[0]);
	assert_ptr_equal(record_next(p), &ring[0]);
	record_choose(p, NULL);
	assert_int_equal(seal(), 0);
	record_choose(p, d->vcpu[0]);
	for (unsigned i = 1; i < 4; i++) {
		r = record_next(p);
		assert_true(r < ring || r >= ring + RECORD_RING);
		*r = (struct record){ .tsc = i, .who = 1, .rip = 0x5ec4e7, .x = { .reason = EXIT_WRMSR, .msr = { 1, 0x5ec4e7 } } };
		record_done(p);
		assert_int_equal(counters.head, i - 1);
		record_sealed_exit(p);
		record_sealed_exit(p);
		assert_int_equal(counters.head, i);
		assert_true(ring[i - 1].x.reason == EXIT_WRMSR && ring[i - 1].tsc == i && ring[i - 1].who == 1);
		assert_true(!ring[i - 1].rip && !ring[i - 1].x.word[0] && !ring[i - 1].x.word[1]);
	}
	record_choose(p, NULL);
	assert_int_equal(counters.head, 3);
	assert_ptr_equal(record_next(p), &ring[3]);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(an_open_domain_needs_no_step),
		TEST(it_waits_until_every_cpu_has_left_its_call),
		TEST(a_long_measurement_goes_on_where_it_stopped),
		TEST(the_digest_covers_pages_places_and_registers),
		TEST(the_digest_is_that_of_the_documented_bytes),
		TEST(whatever_others_have_of_it_keeps_it_from_being_sealed),
		TEST(the_grant_table_may_lend_only_two_pages_to_the_service_domain),
		TEST(console_and_store_may_stay_mapped),
		TEST(a_closed_domain_is_named_by_itself_and_by_marked_calls_only),
		TEST(cpuid_tells_the_guest),
		TEST(the_label_and_the_option_decide),
		TEST(exits_of_a_sealed_vcpu_are_recorded_without_their_values),
	};

	fake_memory_init(16384);
	page_add_range(MiB(1), MiB(64));
	p2m_init_holes();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
