/* How a micro-guest tells what it found: lines through the PV console, or to port 0xE9 when nobody reads that. */
#include <xen/io/console.h>

static struct xencons_interface *ring;
static u32 ring_port;
static volatile int lock;

static void raw_lock(void) { while (__atomic_exchange_n(&lock, 1, __ATOMIC_ACQUIRE)) relax(); }
static void raw_unlock(void) { __atomic_store_n(&lock, 0, __ATOMIC_RELEASE); }

void report_init(void)
{
	u64 pfn = 0, port = 0;

	if (get_param(HVM_PARAM_CONSOLE_PFN, &pfn) || get_param(HVM_PARAM_CONSOLE_EVTCHN, &port) || !pfn || !port)
		return;
	ring = (struct xencons_interface *)(pfn * PAGE_SIZE);
	ring_port = (u32)port;
}

/* ---- a small printf: d, u, x with l and ll, s, c ---- */

struct text { char *at, *end; };

static void add(struct text *t, char c)
{
	if (t->at < t->end)
		*t->at++ = c;
}

static void add_number(struct text *t, u64 v, unsigned base)
{
	char digits[24];
	int n = 0;

	do
		digits[n++] = "0123456789abcdef"[v % base];
	while (v /= base);
	while (n)
		add(t, digits[--n]);
}

static u32 queued(void) { return ring->out_prod - __atomic_load_n(&ring->out_cons, __ATOMIC_ACQUIRE); }

/* Waits for the daemon to take bytes until at most `most` are left; after ten seconds there is no daemon. */
static void drain(u32 most)
{
	u64 end = now() + 10 * SECOND;

	while (ring && queued() > most) {
		struct sched_poll poll = { .timeout = now() + 10 * MS };

		sched_op(SCHEDOP_poll, &poll);
		if (now() > end)
			ring = NULL;
	}
}

static void put(const char *s, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		if (ring && queued() >= sizeof(ring->out)) {
			notify(ring_port);
			drain(sizeof(ring->out) / 2);
		}
		if (!ring) {
			outb(0xe9, (u8)s[i]);
			continue;
		}
		ring->out[MASK_XENCONS_IDX(ring->out_prod, ring->out)] = s[i];
		__atomic_store_n(&ring->out_prod, ring->out_prod + 1, __ATOMIC_RELEASE);
	}
	if (ring)
		notify(ring_port);
}

void flush_report(void)
{
	raw_lock();
	drain(0);
	raw_unlock();
}

static void format(struct text *t, const char *f, va_list ap)
{
	for (; *f; f++) {
		int longs = 0;

		if (*f != '%') {
			add(t, *f);
			continue;
		}
		while (*++f == 'l')
			longs++;
		if (*f == 's') {
			for (const char *s = va_arg(ap, const char *); *s; s++)
				add(t, *s);
		} else if (*f == 'c') {
			add(t, (char)va_arg(ap, int));
		} else if (*f == 'd') {
			s64 v = longs ? va_arg(ap, long) : va_arg(ap, int);

			if (v < 0)
				add(t, '-');
			add_number(t, v < 0 ? -(u64)v : (u64)v, 10);
		} else if (*f == 'u' || *f == 'x') {
			add_number(t, longs ? va_arg(ap, unsigned long) : va_arg(ap, unsigned), *f == 'x' ? 16 : 10);
		} else {
			add(t, *f);
		}
	}
}

static void line(const char *first, const char *fmt, va_list ap, bool values, long got, long want)
{
	char buf[256];
	struct text t = { buf, buf + sizeof(buf) - 2 };

	while (*first)
		add(&t, *first++);
	format(&t, fmt, ap);
	if (values) {
		const char *s = ": got ";

		while (*s)
			add(&t, *s++);
		if (got < 0)
			add(&t, '-');
		add_number(&t, got < 0 ? -(u64)got : (u64)got, got < 0 || got < 4096 ? 10 : 16);
		for (s = ", not "; *s; s++)
			add(&t, *s);
		if (want < 0)
			add(&t, '-');
		add_number(&t, want < 0 ? -(u64)want : (u64)want, want < 0 || want < 4096 ? 10 : 16);
	}
	*t.at++ = '\n';
	raw_lock();
	put(buf, (size_t)(t.at - buf));
	raw_unlock();
}

void say(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	line("", fmt, ap, false, 0, 0);
	va_end(ap);
}

bool check(bool ok, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	line(ok ? "PASS " : "FAIL ", fmt, ap, false, 0, 0);
	va_end(ap);
	return ok;
}

bool expect(long got, long want, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	line(got == want ? "PASS " : "FAIL ", fmt, ap, got != want, got, want);
	va_end(ap);
	return got == want;
}

void skip(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	line("SKIP ", fmt, ap, false, 0, 0);
	va_end(ap);
}
