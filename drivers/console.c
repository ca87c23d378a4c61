/*
 * printk's back end. Everything goes through one lock and leaves in whole lines; the lock is the last in the order, so a line may
 * be printed from anywhere.
 */
#include "drivers/console.h"
#include <asm/spinlock.h>
#include <stdarg.h>
#include "drivers/uart.h"
#include "lib/printf.h"
#include "lib/string.h"

#define LOG_SIZE   32768u       /* powers of two: positions wrap at 2^32 */
#define INPUT_SIZE 256u
#define LINE_MAX   256
#define PREFIX     "(bothy) "

_Static_assert((LOG_SIZE & (LOG_SIZE - 1)) == 0 && (INPUT_SIZE & (INPUT_SIZE - 1)) == 0, "rings index by mask");

static spinlock_t lock = SPINLOCK(LOCK_CONSOLE);
static bool emergency;          /* [a] the lock is ignored */
static unsigned log_level = 2;  /* [I] after boot */

static char log_ring[LOG_SIZE]; /* the rest: [LOCK_CONSOLE] */
static u32 log_end;             /* bytes ever written */
static u32 log_held;            /* of these, how many the ring has for readers */
static bool log_midline;        /* the last byte logged was no newline */
static bool serial_midline;     /* the same for the port, dom0's bytes included */

static char input[INPUT_SIZE];
static u32 input_put, input_got;

static bool acquire(void)
{
	if (__atomic_load_n(&emergency, __ATOMIC_RELAXED))
		return false;
	spin_lock(&lock);
	return true;
}

static void release(bool locked)
{
	if (locked)
		spin_unlock(&lock);
}

void console_emergency(void)
{
	__atomic_store_n(&emergency, true, __ATOMIC_RELAXED);
}

void console_set_level(unsigned level)
{
	log_level = level;
}

/* Terminals want a carriage return; the log doesn't. */
static void serial_put(char c)
{
	if (c == '\n')
		uart_putc('\r');
	uart_putc(c);
	serial_midline = c != '\n';
}

static void log_put(char c)
{
	log_ring[log_end++ % LOG_SIZE] = c;
	log_held = MIN(log_held + 1, LOG_SIZE);
	log_midline = c != '\n';
}

static void put(char c)
{
	log_put(c);
	serial_put(c);
}

static void put_line(const char *s)
{
	for (; *s; s++) {
		if (!log_midline) {
			/* dom0 may be in the middle of a line of its own: don't write into it. */
			if (serial_midline)
				serial_put('\n');
			for (const char *p = PREFIX; *p; p++)
				put(*p);
		}
		put(*s);
	}
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
	locked = acquire();
	put_line(line);
	release(locked);
}

void console_write_guest(u16 domid, const char *buf, size_t len)
{
	bool locked = acquire();

	(void)domid;
	for (size_t i = 0; i < len; i++)
		serial_put(buf[i]);
	release(locked);
}

bool console_poll(void)
{
	bool locked = acquire();
	u32 before = input_put;
	int c;

	/* What doesn't fit stays in the UART, whose own overrun is the user's pasting too fast. */
	while (input_put - input_got < INPUT_SIZE && (c = uart_getc()) >= 0)
		input[input_put++ % INPUT_SIZE] = (char)c;
	before = input_put - before;
	release(locked);
	return before != 0;
}

size_t console_read(char *buf, size_t len)
{
	bool locked = acquire();
	size_t n = 0;

	while (n < len && input_got != input_put)
		buf[n++] = input[input_got++ % INPUT_SIZE];
	release(locked);
	return n;
}

size_t console_log_read(u32 *pos, char *buf, size_t len)
{
	bool locked = acquire();
	size_t n = 0;

	/* Neither overwritten nor from the future. */
	if (log_end - *pos > log_held)
		*pos = log_end - log_held;
	while (n < len && *pos != log_end)
		buf[n++] = log_ring[(*pos)++ % LOG_SIZE];
	release(locked);
	return n;
}

u32 console_log_start(void)
{
	bool locked = acquire();
	u32 start = log_end - log_held;

	release(locked);
	return start;
}

void console_log_clear(u32 pos)
{
	bool locked = acquire();

	/* For every reader: one that names an older place (`xl dmesg` says 0 at each start) goes on behind the mark. */
	if (log_end - pos <= log_held)
		log_held = log_end - pos;
	release(locked);
}

/* Decimal digits to the end of the string; 0 if there is anything else. */
static u32 parse_baud(const char *s)
{
	u32 n = 0;

	for (; *s; s++) {
		if (*s < '0' || *s > '9' || n > 115200)
			return 0;
		n = n * 10 + (u32)(*s - '0');
	}
	return n <= 115200 ? n : 0;
}

int console_init(const char *spec)
{
	u16 base = UART_COM1;
	u32 baud = 115200;

	if (!spec)
		spec = "com1";
	if (!strcmp(spec, "none"))
		return 0;
	if (!strncmp(spec, "com2", 4))
		base = UART_COM2;
	else if (strncmp(spec, "com1", 4))
		return -EINVAL;
	if (spec[4] == ',')
		baud = parse_baud(spec + 5);
	else if (spec[4])
		return -EINVAL;
	if (!baud)
		return -EINVAL;
	if (!uart_init(base, baud))
		return -ENODEV;
	/* What was said before the port was known. */
	for (u32 i = 0; i < log_held; i++)
		serial_put(log_ring[i]);
	return 0;
}
