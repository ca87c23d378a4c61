/* Lines of the log that a guest writes or causes: whole lines, with its id, at a limited rate. */
#include <asm/time.h>
#include "vmm/domain/guest_log.h"
#include "drivers/console.h"
#include "sched/sched.h"
#include "vmm/domain.h"
#include "vmm/vcpu.h"

/*
 * Each window has room for the panic of a kernel (about 40 lines). Without a limit, a guest could
 * push everything else out of the log.
 */
#define LOG_LINES_PER_WINDOW 64
#define LOG_WINDOW_NS        10000000000ull

bool guest_log_allows(struct domain *d)
{
	u64 now = time_now();

	if (now - d->log.window >= LOG_WINDOW_NS) {
		if (d->log.count > LOG_LINES_PER_WINDOW)
			printk(LOG_WARN "d%u: %lu lines of its log were dropped\n", d->domid,
			       d->log.count - LOG_LINES_PER_WINDOW);
		d->log.window = now;
		d->log.count = 0;
	}
	return d->log.count++ < LOG_LINES_PER_WINDOW;
}

void guest_log_char(struct domain *d, char c)
{
	spin_lock(&d->lock);
	if (c != '\n' && c != '\r' && d->log.len < sizeof(d->log.line))
		d->log.line[d->log.len++] = c >= ' ' && c <= '~' ? c : c == '\t' ? ' ' : '?';
	if ((c == '\n' && d->log.len) || d->log.len == sizeof(d->log.line)) {
		if (guest_log_allows(d))
			printk(LOG_INFO "d%u: %.*s\n", d->domid, (int)d->log.len, d->log.line);
		d->log.len = 0;
	}
	spin_unlock(&d->lock);
}

bool guest_log_ready(struct vcpu *v)
{
	if (likely(console_ready()))
		return true;
	sched_give_way(&v->sched, time_now());
	return false;
}
