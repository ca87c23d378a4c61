/*
 * printk's back end. All output goes through one lock and leaves in whole lines. The lock is the
 * last in the order, so any code may print a line. A line takes the port milliseconds, so it goes
 * to a ring, from which the boot CPU's tick feeds the port.
 */
#include "drivers/console.h"
#include <asm/cpu.h>
#include <asm/spinlock.h>
#include <stdarg.h>
#include "drivers/uart.h"
#include "lib/printf.h"
#include "lib/string.h"

#define LOG_SIZE   32768u       /* powers of two: positions wrap at 2^32 */
#define OUTPUT_SIZE 131072u     /* eleven seconds of output at 115200 baud */
#define INPUT_SIZE 256u
#define SENT_MAX   32u          /* bytes for the port in one step, at a microsecond each */
#define READ_MAX   32u
/* steps without room at the port, a second or more: the port is dead */
#define STALLS_MAX 1000u
#define LINE_MAX   256
#define PREFIX     "(bothy) "

_Static_assert((LOG_SIZE & (LOG_SIZE - 1)) == 0 && (OUTPUT_SIZE & (OUTPUT_SIZE - 1)) == 0 && (INPUT_SIZE & (INPUT_SIZE - 1)) == 0, "rings index by mask");

static spinlock_t console_lock = SPINLOCK(LOCK_CONSOLE);
static bool emergency;          /* [a] the lock is ignored */
static unsigned log_level = 2;  /* [I] after boot */

static char log_ring[LOG_SIZE]; /* the rest: [LOCK_CONSOLE] */
static u32 log_end;             /* bytes ever written */
static u32 log_held;            /* how many of them the ring still has for readers */
static bool log_midline;        /* the last byte logged was no newline */
static bool serial_midline;     /* the same for the port, with the service domain's bytes */

static char output[OUTPUT_SIZE];
static u32 output_put, output_sent;     /* [a] changed under the lock */
static bool queued;             /* output waits for console_send */
static u32 stalls;              /* steps without room at the port, in a row */
static u32 lost;                /* bytes left out and not yet reported */

static char input[INPUT_SIZE];
static u32 input_put, input_got;

static bool lock_console(void)
{
	if (__atomic_load_n(&emergency, __ATOMIC_RELAXED))
		return false;
	spin_lock(&console_lock);
	return true;
}

static void unlock_console(bool locked)
{
	if (locked)
		spin_unlock(&console_lock);
}

static u32 bytes_waiting(void)
{
	return __atomic_load_n(&output_put, __ATOMIC_RELAXED) - __atomic_load_n(&output_sent, __ATOMIC_RELAXED);
}

bool console_ready(void) { return bytes_waiting() <= OUTPUT_SIZE / 2; }
void console_queue(void) { queued = true; }
void console_set_level(unsigned level) { log_level = level; }

/* Sends all output that waits, and waits for the port. */
static void flush_output(void)
{
	for (; bytes_waiting(); output_sent++)
		uart_putc(output[output_sent % OUTPUT_SIZE]);
}

void console_flush(void)
{
	bool locked = lock_console();

	queued = false;
	flush_output();
	unlock_console(locked);
}

void console_emergency(void)
{
	/* Give the lock's holder a moment, but not more: this CPU may be the holder. */
	for (int i = 0; i < 100000 && spin_is_locked(&console_lock); i++)
		cpu_relax();
	__atomic_store_n(&emergency, true, __ATOMIC_RELAXED);
	console_flush();
}

u64 console_send(void)
{
	bool locked = lock_console();
	u32 before = output_sent, room;
	u64 again;

	while (output_sent - before < SENT_MAX && (room = MIN(bytes_waiting(), uart_room())))
		for (; room; room--, output_sent++)
			uart_put(output[output_sent % OUTPUT_SIZE]);
	stalls = bytes_waiting() && output_sent == before ? stalls + 1 : 0;
	if (stalls > STALLS_MAX) {
		lost += bytes_waiting();
		output_sent = output_put;
	}
	again = bytes_waiting() ? uart_drain_ns() : 0;
	unlock_console(locked);
	return again;
}

static void queue_char(char c)
{
	if (bytes_waiting() < OUTPUT_SIZE)
		output[output_put++ % OUTPUT_SIZE] = c;
	else
		lost++;
}

/* Terminals need a carriage return; the log doesn't. */
static void serial_put(char c)
{
	if (c == '\n')
		queue_char('\r');
	queue_char(c);
	serial_midline = c != '\n';
}

static void log_put(char c)
{
	log_ring[log_end++ % LOG_SIZE] = c;
	log_held = MIN(log_held + 1, LOG_SIZE);
	log_midline = c != '\n';
}

static void log_and_send(char c)
{
	log_put(c);
	serial_put(c);
}

static void put_line(const char *s)
{
	for (; *s; s++) {
		if (!log_midline) {
			/*
			 * The service domain may be in the middle of a line: don't write into it.
			 */
			if (serial_midline)
				serial_put('\n');
			for (const char *p = PREFIX; *p; p++)
				log_and_send(*p);
		}
		log_and_send(*s);
	}
}

/*
 * Starts each output. Reports bytes that were left out at the place where they are missing, as soon
 * as there is room.
 */
static bool begin_output(void)
{
	bool locked = lock_console();
	char text[80];

	if (unlikely(lost && console_ready())) {
		snprintf(text, sizeof(text), "%u bytes were left out here: the serial line is slower\n", lost);
		lost = 0;
		put_line(text);
	}
	return locked;
}

static void end_output(bool locked)
{
	if (!queued)
		flush_output();
	unlock_console(locked);
}

void printk(const char *fmt, ...)
{
	char line[LINE_MAX];
	unsigned level = 2;
	bool locked;
	va_list args;

	if (fmt[0] == '\001' && fmt[1] >= '0' && fmt[1] <= '3') {
		level = (unsigned)(fmt[1] - '0');
		fmt += 2;
	}
	if (level > log_level)
		return;
	va_start(args, fmt);
	if (vsnprintf(line, sizeof(line), fmt, args) >= LINE_MAX)
		line[LINE_MAX - 2] = '\n';
	va_end(args);
	locked = begin_output();
	put_line(line);
	end_output(locked);
}

void console_write_guest(const char *buf, size_t len)
{
	bool locked = begin_output();

	for (size_t i = 0; i < len; i++)
		serial_put(buf[i]);
	end_output(locked);
}

bool console_poll(void)
{
	bool locked = lock_console();
	u32 before = input_put;
	int c;

	/*
	 * If the ring is full, bytes stay in the UART. Its overrun means that the user pastes too
	 * fast.
	 */
	while (input_put - input_got < INPUT_SIZE && input_put - before < READ_MAX && (c = uart_getc()) >= 0)
		input[input_put++ % INPUT_SIZE] = (char)c;
	before = input_put - before;
	unlock_console(locked);
	return before != 0;
}

size_t console_read(char *buf, size_t len)
{
	bool locked = lock_console();
	size_t n = 0;

	while (n < len && input_got != input_put)
		buf[n++] = input[input_got++ % INPUT_SIZE];
	unlock_console(locked);
	return n;
}

size_t console_log_read(u32 *pos, char *buf, size_t len)
{
	bool locked = lock_console();
	size_t n = 0;

	/* Keep *pos within the ring: not overwritten, and not in the future. */
	if (log_end - *pos > log_held)
		*pos = log_end - log_held;
	while (n < len && *pos != log_end) {
		u32 at = *pos % LOG_SIZE, run = MIN(MIN(log_end - *pos, LOG_SIZE - at), (u32)(len - n));

		memcpy(buf + n, log_ring + at, run);
		n += run;
		*pos += run;
	}
	unlock_console(locked);
	return n;
}

u32 console_log_start(void)
{
	bool locked = lock_console();
	u32 start = log_end - log_held;

	unlock_console(locked);
	return start;
}

void console_log_clear(u32 pos)
{
	bool locked = lock_console();

	/*
	 * For every reader: one that names an older place goes on behind the mark. `xl dmesg` names
	 * 0 at each start.
	 */
	if (log_end - pos <= log_held)
		log_held = log_end - pos;
	unlock_console(locked);
}

bool console_init(u16 port, u32 baud)
{
	if (!uart_init(port, baud))
		return false;
	/* Send the log from before the port was known. */
	for (u32 i = 0; i < log_held; i++)
		serial_put(log_ring[i]);
	flush_output();
	return true;
}
