/* units: drivers/console.c drivers/uart.c vmm/hypercall/console_io.c vmm/domain/guest_log.c vmm/toolstack/control.c tests/unit/fake_domain.c tests/unit/fake_control.c */
/* The console: a pretended UART under the real driver, printk, the log ring, input, and guests' words. */
#include "tests/unit/fake_control.h"
#include <stdio.h>
#include <stdlib.h>
#include <asm/insn.h>
#include <xen/sysctl.h>
#include "drivers/console.h"
#include "drivers/uart.h"
#include "vmm/cpu/cpu_policy.h"
#include "vmm/domain/guest_log.h"

/*
 * A 16550 at COM1: what was sent, what is to be received, and whether it is there and its transmitter works. A slow one says that it has room
 * when its FIFO is empty, and so it is only after flow().
 */
static char sent[400000];
static unsigned sent_len, reads, writes, in_fifo;
static bool slow, fifoless;
static const char *typed = "";
static void (*at_port)(void);   /* once, when a byte has been sent */
static u8 scratch, lcr, divisor[2], fcr;
static bool there = true, stuck;

u8 inb(u16 port)
{
	reads++;
	if (!there || port < 0x3f8 || port > 0x3ff)
		return 0xff;
	switch (port - 0x3f8) {
	case 0:
		return *typed ? (u8)*typed++ : 0;
	case 2:
		return fcr & 1 && !fifoless ? 0xc1 : 1;
	case 5:
		return (u8)((stuck || (slow && in_fifo) ? 0 : 0x60) | (*typed ? 1 : 0));
	case 7:
		return scratch;
	default:
		return 0;
	}
}

void outb(u16 port, u8 v)
{
	switch (port - 0x3f8) {
	case 0:
		if (lcr & 0x80)
			divisor[0] = v;
		else if (sent_len < sizeof(sent) - 1) {
			void (*fn)(void) = at_port;

			sent[sent_len++] = (char)v;
			writes++;
			at_port = NULL;
			if (fn)
				fn();
			/* One more than it holds would be gone. */
			assert_false(slow && ++in_fifo > (fifoless ? 1 : 16));
		}
		break;
	case 1:
		if (lcr & 0x80)
			divisor[1] = v;
		break;
	case 2:
		fcr = v;
		break;
	case 3:
		lcr = v;
		break;
	case 7:
		scratch = v;
		break;
	default:
		break;
	}
}

struct cpuid_regs cpuid(u32 leaf, u32 sub) { return (struct cpuid_regs){ 0 }; }
struct cpu_policy cpu_policy_host;

static void forget(void)
{
	memset(sent, 0, sizeof(sent));
	sent_len = 0;
}

/* The line has had the time to send what is in the FIFO. */
static void flow(void) { in_fifo = 0; }

static unsigned given_way;
void sched_give_way(struct sched_entity *e, u64 now) { given_way++; }

static int set_up(void **state)
{
	there = true;
	stuck = slow = fifoless = false;
	console_flush();
	flow();
	assert_true(console_init(UART_COM1, 115200));
	console_set_level(2);
	printk(LOG_ERR "\n");
	forget();
	return 0;
}

static void ports(void **state)
{
	/* What was said before the port was known comes first. */
	assert_true(console_init(UART_COM1, 115200));
	assert_memory_equal(sent, "(bothy) ", 8);
	assert_int_equal(divisor[0], 1);
	assert_true(console_init(UART_COM1, 38400));
	assert_int_equal(divisor[0], 3);
	assert_int_equal(lcr, 3);
	assert_int_equal(fcr & 1, 1);
	assert_false(console_init(UART_COM2, 115200));
	there = false;
	assert_false(console_init(UART_COM1, 115200));
}

static void lines_have_prefix_and_level(void **state)
{
	printk(LOG_INFO "one %d\ntwo\n", 1);
	assert_string_equal(sent, "(bothy) one 1\r\n(bothy) two\r\n");
	forget();
	printk(LOG_DEBUG "not shown\n");
	assert_string_equal(sent, "");
	printk("half ");
	printk("and half\n");
	assert_string_equal(sent, "(bothy) half and half\r\n");
}

static void a_line_too_long_still_ends(void **state)
{
	char longer[400];

	memset(longer, 'x', sizeof(longer));
	longer[sizeof(longer) - 1] = 0;
	printk("%s\n", longer);
	assert_int_equal(sent[sent_len - 1], '\n');
	assert_true(sent_len < 300);
}

static void our_lines_do_not_cut_those_of_dom0(void **state)
{
	console_write_guest("login: ", 7);
	printk(LOG_ERR "news\n");
	assert_string_equal(sent, "login: \r\n(bothy) news\r\n");
}

static void a_stuck_line_stops_nothing(void **state)
{
	stuck = true;
	reads = 0;
	for (int i = 0; i < 1000; i++)
		printk("nobody hears this\n");
	assert_true(reads < 100000);
	stuck = false;
	printk("back\n");
	assert_string_equal(sent + sent_len - 14, "(bothy) back\r\n");
}

/* ---- output that waits ---- */

/* The tick that main.c makes. How many bytes went to the port. */
static unsigned tick(void)
{
	unsigned before = writes;

	reads = 0;
	flow();
	console_send();
	/* Each is a microsecond on a machine, and interrupts are off. */
	assert_true(writes - before + reads <= 40);
	return writes - before;
}

static void drain(void)
{
	while (tick())
		;
}

/* printk took the port's time, with interrupts off: 11 ms for a line. Now it takes the ring's. */
static void printk_does_not_wait_for_the_port(void **state)
{
	char want[20000] = "";
	unsigned lines = 0;

	slow = true;
	console_queue();
	reads = writes = 0;
	for (size_t at = 0; lines < 200; lines++) {
		printk(LOG_INFO "line %u of the flood\n", lines);
		at += (size_t)snprintf(want + at, sizeof(want) - at, "(bothy) line %u of the flood\r\n", lines);
	}
	assert_int_equal(reads, 0);
	assert_int_equal(writes, 0);
	drain();
	assert_string_equal(sent, want);
	assert_int_equal(console_send(), 0);
}

static void a_tick_sends_what_the_fifo_holds(void **state)
{
	slow = true;
	console_queue();
	printk(LOG_INFO "0123456789012345678901234567890123456789\n");
	assert_int_equal(tick(), 16);
	reads = writes = 0;
	/* It is full: back in the time that 16 bytes take. */
	assert_in_range(console_send(), 1380000, 1400000);
	assert_int_equal(writes, 0);
	assert_int_equal(tick(), 16);
	assert_int_equal(tick(), 16);
	assert_int_equal(tick(), 2);
	assert_int_equal(console_send(), 0);
	fifoless = true;
	assert_true(console_init(UART_COM1, 9600));
	forget();
	printk(LOG_INFO "a\n");
	assert_int_equal(tick(), 1);
	assert_in_range(console_send(), 1000000, 1100000);
}

/* Both write to one line: what was written first leaves first. */
static void the_order_is_kept(void **state)
{
	slow = true;
	console_queue();
	console_write_guest("login: ", 7);
	printk(LOG_ERR "news\n");
	console_write_guest("root\n", 5);
	printk(LOG_ERR "more\n");
	drain();
	assert_string_equal(sent, "login: \r\n(bothy) news\r\nroot\r\n(bothy) more\r\n");
}

/* The ring goes round many times, with a writer that waits when it is told to: no byte is lost. */
static void nothing_is_lost_by_who_waits(void **state)
{
	struct domain *d = fake_domain_new(0, 1);
	struct hypercall hc;
	unsigned again = 0;
	u64 n = 0;

	slow = true;
	console_queue();
	given_way = 0;
	for (unsigned i = 0; i < 3000; i++) {
		for (unsigned k = 0; k < 100; k++)
			fake_memory[k] = (u8)('A' + n++ % 26);
		hc = (struct hypercall){ .a = { 0, 100, FAKE_GVA } };
		while (hc_console_write(d->vcpu[0], &hc, NULL) == HC_AGAIN) {
			again++;
			assert_int_equal(hc.a[1], 100);
			tick();
		}
	}
	drain();
	assert_true(again > 100);
	assert_int_equal(given_way, again);
	assert_int_equal(sent_len, 300000);
	for (unsigned i = 0; i < sent_len; i++)
		if (sent[i] != 'A' + (char)(i % 26))
			fail_msg("byte %u", i);
	fake_domain_free(d);
}

/* A guest's words wait too, those by its port as well, and the half that they leave free is for those who can't. */
static void guests_wait_and_the_hypervisor_does_not(void **state)
{
	struct domain *d = fake_domain_new(3, 1);
	struct hypercall hc = { .a = { 0, 12, FAKE_GVA } };
	unsigned lines = 0;

	spin_init(&d->lock, LOCK_DOMAIN);
	fake_time = 900000000000ull;
	memcpy(fake_memory, "hello world\n", 12);
	slow = true;
	console_queue();
	for (; console_ready(); lines++)
		printk(LOG_INFO "%0100u\n", lines);
	assert_int_equal(hc_console_write(d->vcpu[0], &hc, NULL), HC_AGAIN);
	assert_false(guest_log_ready(d->vcpu[0]));
	for (unsigned i = 0; i < 500; i++, lines++)
		printk(LOG_INFO "%0100u\n", lines);
	while (hc_console_write(d->vcpu[0], &hc, NULL) == HC_AGAIN)
		tick();
	drain();
	for (unsigned i = 0; i < lines; i++) {
		char want[128];

		snprintf(want, sizeof(want), "(bothy) %0100u\r\n", i);
		assert_memory_equal(sent + i * 110, want, 110);
	}
	assert_string_equal(sent + lines * 110, "(bothy) d3: hello world\r\n");
	fake_domain_free(d);
}

/* More than fits: the next line says how much is missing on the port. The log has it. */
static void a_full_ring_tells_what_is_missing(void **state)
{
	unsigned bytes, before;
	char *gap;

	slow = true;
	console_queue();
	for (unsigned i = 0; i < 2000; i++)
		printk(LOG_INFO "%0100u\n", i);
	drain();
	before = sent_len;
	printk(LOG_INFO "after\n");
	drain();
	gap = __builtin_strstr(sent, " bytes were left out here: the serial line is slower\r\n(bothy) after\r\n");
	assert_non_null(gap);
	while (gap[-1] >= '0' && gap[-1] <= '9')
		gap--;
	bytes = (unsigned)strtoul(gap, NULL, 10);
	assert_int_equal(before + bytes, 2000 * 110);
	assert_int_equal(before, 131072);
}

static void a_line_that_takes_nothing_is_given_up(void **state)
{
	stuck = true;
	console_queue();
	while (console_ready())
		printk(LOG_INFO "nobody hears this\n");
	for (int i = 0; i < 1010; i++)
		console_send();
	assert_true(console_ready());
	stuck = false;
	printk(LOG_INFO "back\n");
	drain();
	assert_non_null(__builtin_strstr(sent, "bytes were left out"));
	assert_string_equal(sent + sent_len - 14, "(bothy) back\r\n");
}

/* At the end of the machine all is sent, whatever it takes. */
static void the_end_waits_for_the_port(void **state)
{
	console_queue();
	printk(LOG_INFO "powering off\n");
	assert_string_equal(sent, "");
	console_flush();
	assert_string_equal(sent, "(bothy) powering off\r\n");
	printk(LOG_INFO "it is safe\n");
	assert_string_equal(sent, "(bothy) powering off\r\n(bothy) it is safe\r\n");
}

static void dies_at_the_port(void)
{
	assert_true(fake_locks_held() > 0);
	console_emergency();
	printk(LOG_ERR "dying\n");
	panic("no way back");
}

static void an_emergency_needs_no_lock(void **state)
{
	/* The last test, for there is no way back from it. */
	console_queue();
	printk(LOG_ERR "before\n");
	assert_string_equal(sent, "");
	/* A machine check hits the CPU that is at the port, which holds the lock. */
	at_port = dies_at_the_port;
	expect_panic(console_flush());
	assert_string_equal(sent, "((bothy) before\r\n(bothy) dying\r\n");
	printk(LOG_ERR "dead\n");
	assert_non_null(__builtin_strstr(sent, "(bothy) dying\r\n(bothy) dead\r\n"));
	assert_int_equal(fake_locks_held(), 0);
}

static void input_comes_through(void **state)
{
	char buf[300];

	assert_false(console_poll());
	typed = "ls\n";
	assert_true(console_poll());
	assert_int_equal(console_read(buf, 2), 2);
	assert_int_equal(console_read(buf + 2, 10), 1);
	assert_memory_equal(buf, "ls\n", 3);
	assert_int_equal(console_read(buf, 10), 0);
}

static void too_much_input_waits_in_the_uart(void **state)
{
	static char many[1001];
	char buf[600];

	memset(many, 'k', 1000);
	typed = many;
	/* A bounded number each time, and no more than there is room for. */
	for (int i = 0; i < 8; i++) {
		reads = 0;
		assert_true(console_poll());
		assert_true(reads <= 64);
	}
	assert_false(console_poll());
	assert_int_equal(console_read(buf, sizeof(buf)), 256);
	assert_true(console_poll());
	while (*typed || console_poll()) {
		console_read(buf, sizeof(buf));
		console_poll();
	}
	while (console_read(buf, sizeof(buf)))
		;
}

static size_t whole_log(char *buf, size_t size)
{
	u32 pos = console_log_start();

	return console_log_read(&pos, buf, size);
}

static void the_ring_keeps_the_last_lines(void **state)
{
	static char buf[40000];
	u32 pos = console_log_start(), before;
	size_t n;

	before = pos;
	printk("first\n");
	while (console_log_read(&pos, buf, sizeof(buf)))
		;
	console_log_clear(pos);
	assert_int_equal(whole_log(buf, sizeof(buf)), 0);
	printk("second\n");
	n = whole_log(buf, sizeof(buf));
	assert_int_equal(n, 15);
	assert_memory_equal(buf, "(bothy) second\n", 15);
	for (int i = 0; i < 5000; i++)
		printk("line %d\n", i);
	n = whole_log(buf, sizeof(buf));
	assert_int_equal(n, 32768);
	assert_memory_equal(buf + n - 18, "(bothy) line 4999\n", 18);
	/* Positions that were overwritten, or never were. */
	pos = before;
	assert_int_equal(console_log_read(&pos, buf, 10), 10);
	pos += 0x40000000;
	assert_int_equal(console_log_read(&pos, buf, 10), 10);
	console_log_clear(pos + 0x1000000);
	assert_int_equal(whole_log(buf, sizeof(buf)), 32768);
}

static void xl_dmesg(void **state)
{
	struct domain *d = fake_domain_new(0, 1);
	struct xen_sysctl op = { .cmd = XEN_SYSCTL_readconsole };
	struct xen_sysctl_readconsole *rc = &op.u.readconsole;

	printk("the end\n");
	rc->buffer.p = FAKE_HANDLE(0);
	rc->count = 40000;
	assert_int_equal(fake_control(d->vcpu[0], hc_sysctl_readconsole, NULL, &op), 0);
	assert_in_range(rc->count, 16, 32768);
	assert_memory_equal(fake_memory + rc->count - 16, "(bothy) the end\n", 16);
	/* Incremental: only what is new. */
	printk("more\n");
	rc->incremental = 1;
	rc->count = 40000;
	assert_int_equal(fake_control(d->vcpu[0], hc_sysctl_readconsole, NULL, &op), 0);
	assert_int_equal(rc->count, 13);
	rc->count = 0;
	assert_int_equal(fake_control(d->vcpu[0], hc_sysctl_readconsole, NULL, &op), 0);
	rc->incremental = 0;
	rc->count = ~0u;
	rc->clear = 1;
	rc->buffer.p = FAKE_HANDLE(FAKE_MEMORY - 100);
	assert_int_equal(fake_control(d->vcpu[0], hc_sysctl_readconsole, NULL, &op), -EFAULT);
	rc->buffer.p = FAKE_HANDLE(0);
	assert_int_equal(fake_control(d->vcpu[0], hc_sysctl_readconsole, NULL, &op), 0);
	assert_int_equal(fake_control(d->vcpu[0], hc_sysctl_readconsole, NULL, &op), 0);
	assert_int_equal(rc->count, 0);
	fake_domain_free(d);
}

/* `xl dmesg -c`, then `xl dmesg`: each starts at index 0 and reads incrementally until nothing comes. */
static void xl_dmesg_clear(void **state)
{
	struct domain *d = fake_domain_new(0, 1);
	struct xen_sysctl op = { .cmd = XEN_SYSCTL_readconsole };
	struct xen_sysctl_readconsole *rc = &op.u.readconsole;

	printk("seen\n");
	*rc = (struct xen_sysctl_readconsole){ .clear = 1, .incremental = 1 };
	do {
		rc->buffer.p = FAKE_HANDLE(0);
		rc->count = 16384;
		assert_int_equal(fake_control(d->vcpu[0], hc_sysctl_readconsole, NULL, &op), 0);
	} while (rc->count);
	printk("new\n");
	*rc = (struct xen_sysctl_readconsole){ .incremental = 1, .count = 16384 };
	rc->buffer.p = FAKE_HANDLE(0);
	assert_int_equal(fake_control(d->vcpu[0], hc_sysctl_readconsole, NULL, &op), 0);
	assert_int_equal(rc->count, 12);
	assert_memory_equal(fake_memory, "(bothy) new\n", 12);
	/* And from an index that never was. */
	rc->index = 0x70000000;
	rc->count = 16384;
	assert_int_equal(fake_control(d->vcpu[0], hc_sysctl_readconsole, NULL, &op), 0);
	assert_int_equal(rc->count, 12);
	fake_domain_free(d);
}

static long write_all(struct domain *d, u64 count, u64 gva)
{
	struct hypercall hc = { .a = { 0, count, gva } };
	long rc;

	while ((rc = hc_console_write(d->vcpu[0], &hc, NULL)) == HC_AGAIN)
		assert_int_equal(fake_locks_held(), 0);
	return rc;
}

static void dom0_writes_and_reads(void **state)
{
	struct domain *d = fake_domain_new(0, 1);
	struct hypercall hc = { .a = { 1, 100, FAKE_GVA } };

	memset(fake_memory, 'a', 1000);
	assert_int_equal(write_all(d, 1000, FAKE_GVA), 0);
	assert_int_equal(sent_len, 1000);
	assert_int_equal(write_all(d, 0, 0), 0);
	assert_int_equal(write_all(d, 10, 8), -EFAULT);
	assert_int_equal(write_all(d, ~0ull, FAKE_GVA + FAKE_MEMORY - 10), -EFAULT);
	typed = "y\n";
	console_poll();
	assert_int_equal(hc_console_read(d->vcpu[0], &hc, NULL), 2);
	assert_memory_equal(fake_memory, "y\n", 2);
	assert_int_equal(hc_console_read(d->vcpu[0], &hc, NULL), 0);
	fake_domain_free(d);
}

static void guests_write_lines_and_not_too_many(void **state)
{
	unsigned lines = 0;
	struct domain *d = fake_domain_new(3, 1);

	spin_init(&d->lock, LOCK_DOMAIN);
	fake_time = 100000000000ull;
	memcpy(fake_memory, "hi\033there\r\n\n", 12);
	assert_int_equal(write_all(d, 12, FAKE_GVA), 0);
	assert_string_equal(sent, "(bothy) d3: hi?there\r\n");
	forget();
	for (int i = 0; i < 500; i++)
		guest_log_char(d, 'x');
	assert_int_equal(sent_len, 4 * (12 + 120 + 2));
	forget();
	for (int i = 0; i < 10000; i++)
		write_all(d, 12, FAKE_GVA);
	/* 64 lines in a window, of which five were before. */
	for (const char *at = sent; (at = __builtin_strstr(at, "(bothy) d3: ")); at++)
		lines++;
	assert_int_equal(lines, 64 - 5);
	forget();
	fake_time += 20000000000ull;
	write_all(d, 12, FAKE_GVA);
	assert_non_null(__builtin_strstr(sent, "lines of its log were dropped"));
	fake_domain_free(d);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(ports, set_up),
		cmocka_unit_test_setup(lines_have_prefix_and_level, set_up),
		cmocka_unit_test_setup(a_line_too_long_still_ends, set_up),
		cmocka_unit_test_setup(our_lines_do_not_cut_those_of_dom0, set_up),
		cmocka_unit_test_setup(a_stuck_line_stops_nothing, set_up),
		cmocka_unit_test_setup(input_comes_through, set_up),
		cmocka_unit_test_setup(too_much_input_waits_in_the_uart, set_up),
		cmocka_unit_test_setup(the_ring_keeps_the_last_lines, set_up),
		cmocka_unit_test_setup(xl_dmesg, set_up),
		cmocka_unit_test_setup(xl_dmesg_clear, set_up),
		cmocka_unit_test_setup(dom0_writes_and_reads, set_up),
		cmocka_unit_test_setup(guests_write_lines_and_not_too_many, set_up),
		cmocka_unit_test_setup(printk_does_not_wait_for_the_port, set_up),
		cmocka_unit_test_setup(a_tick_sends_what_the_fifo_holds, set_up),
		cmocka_unit_test_setup(the_order_is_kept, set_up),
		cmocka_unit_test_setup(nothing_is_lost_by_who_waits, set_up),
		cmocka_unit_test_setup(guests_wait_and_the_hypervisor_does_not, set_up),
		cmocka_unit_test_setup(a_full_ring_tells_what_is_missing, set_up),
		cmocka_unit_test_setup(a_line_that_takes_nothing_is_given_up, set_up),
		cmocka_unit_test_setup(the_end_waits_for_the_port, set_up),
		cmocka_unit_test_setup(an_emergency_needs_no_lock, set_up),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
