/* console_io and readconsole: dom0 has the console, others may write a few lines to the log. */
#include "vmm/hypercall/console_io.h"
#include <xen/sysctl.h>
#include <asm/time.h>
#include "drivers/console.h"
#include "lib/string.h"
#include "vmm/toolstack/control.h"
#include "vmm/domain.h"
#include "vmm/memory/guest_access.h"
#include "vmm/hypercall.h"

_Static_assert(sizeof(struct xen_sysctl_readconsole) == 24, "abi.md N");

/* Copied at a time; a write of more goes on later, so that other CPUs' lines and interrupts get in between. */
#define CHUNK 128
#define READ_CHUNK 1024         /* the same for reading, which changes nothing */

/* Room for the panic of a kernel (about 40 lines), and no more than this in each window: a guest can't push out the log. */
#define LOG_LINES_PER_WINDOW 64
#define LOG_WINDOW_NS        10000000000ull

/* The window's line count so far has room for one more. */
bool domain_may_log(struct domain *d)
{
	u64 now = time_now();

	if (now - d->io_window >= LOG_WINDOW_NS) {
		if (d->io_count > LOG_LINES_PER_WINDOW)
			printk(LOG_WARN "d%u: %lu lines of its log were dropped\n", d->domid,
			       (unsigned long)(d->io_count - LOG_LINES_PER_WINDOW));
		d->io_window = now;
		d->io_count = 0;
	}
	return d->io_count++ < LOG_LINES_PER_WINDOW;
}

void domain_log_char(struct domain *d, char c)
{
	spin_lock(&d->lock);
	if (c != '\n' && c != '\r' && d->io_len < sizeof(d->io_line))
		d->io_line[d->io_len++] = c >= ' ' && c <= '~' ? c : c == '\t' ? ' ' : '?';
	if ((c == '\n' && d->io_len) || d->io_len == sizeof(d->io_line)) {
		if (domain_may_log(d))
			printk(LOG_INFO "d%u: %.*s\n", d->domid, (int)d->io_len, d->io_line);
		d->io_len = 0;
	}
	spin_unlock(&d->lock);
}

bool console_io_ready(struct vcpu *v)
{
	if (likely(console_ready()))
		return true;
	sched_give_way(&v->sched, time_now());
	return false;
}

/* a[1] bytes from a[2]. Both are updated as we go, so the call can be continued. */
long hc_console_write(struct vcpu *v, struct hypercall *hc, void *arg __unused)
{
	char buf[CHUNK];
	size_t n = MIN(hc->a[1], sizeof(buf));

	if (n && !console_io_ready(v))
		return HC_AGAIN;
	if (copy_from_guest(v, buf, hc->a[2], n))
		return -EFAULT;
	if (v->domain->privileged) {
		console_write_guest(buf, n);
	} else {
		for (size_t i = 0; i < n; i++)
			domain_log_char(v->domain, buf[i]);
	}
	hc->a[1] -= n;
	hc->a[2] += n;
	return hc->a[1] ? HC_AGAIN : 0;
}

/* Returns how much was typed: up to a[1] bytes, to a[2]. */
long hc_console_read(struct vcpu *v, struct hypercall *hc, void *arg __unused)
{
	char buf[CHUNK];
	size_t n = console_read(buf, MIN(hc->a[1], sizeof(buf)));

	return copy_to_guest(v, hc->a[2], buf, n) ? -EFAULT : (long)n;
}

/* `xl dmesg`: the log from `index` on if the reader keeps one (xenconsoled), else from where it was last cleared. */
long hc_readconsole(struct vcpu *v, struct hypercall *hc __unused, void *arg)
{
	struct xen_sysctl_readconsole *op = &((struct xen_sysctl *)arg)->u.readconsole;
	u32 pos = op->incremental ? op->index : console_log_start();
	u32 done = 0;
	char buf[READ_CHUNK];

	while (done < op->count) {
		size_t n = console_log_read(&pos, buf, MIN(op->count - done, (u32)sizeof(buf)));

		if (!n)
			break;
		if (copy_to_guest(v, HANDLE(op->buffer) + done, buf, n))
			return -EFAULT;
		done += (u32)n;
	}
	if (op->clear)
		console_log_clear(pos);
	op->index = pos;
	op->count = done;
	return 0;
}
