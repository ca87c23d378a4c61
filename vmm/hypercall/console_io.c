/*
 * console_io and readconsole: the service domain has the console, the others may write a few lines
 * to the log.
 */
#include <xen/sysctl.h>
#include "drivers/console.h"
#include "vmm/domain.h"
#include "vmm/domain/guest_log.h"
#include "vmm/hypercall.h"
#include "vmm/memory/guest_access.h"
#include "vmm/vcpu.h"

/*
 * Bytes copied at a time. A longer write goes on later, so that other CPUs' lines and interrupts
 * get in between.
 */
#define CHUNK 128
#define READ_CHUNK 1024         /* the same for reading, which changes nothing */

/*
 * Writes a[1] bytes from a[2] to console or log. Both are updated, so that the call can go on
 * later.
 */
long hc_console_write(struct vcpu *v, struct hypercall *hc, void *arg)
{
	char buf[CHUNK];
	size_t n = MIN(hc->a[1], sizeof(buf));

	if (n && !guest_log_ready(v))
		return HC_AGAIN;
	if (copy_from_guest(v, buf, hc->a[2], n))
		return -EFAULT;
	if (v->domain->privileged) {
		console_write_guest(buf, n);
	} else {
		for (size_t i = 0; i < n; i++)
			guest_log_char(v->domain, buf[i]);
	}
	hc->a[1] -= n;
	hc->a[2] += n;
	return hc->a[1] ? HC_AGAIN : 0;
}

/* Copies typed bytes, at most a[1], to a[2]. Returns their number. */
long hc_console_read(struct vcpu *v, struct hypercall *hc, void *arg)
{
	char buf[CHUNK];
	size_t n = console_read(buf, MIN(hc->a[1], sizeof(buf)));

	return copy_to_guest(v, hc->a[2], buf, n) ? -EFAULT : (long)n;
}

/*
 * Copies the log, for `xl dmesg` from the place where it was last cleared. A reader that keeps an
 * index, as xenconsoled does, gets it from there on.
 */
long hc_sysctl_readconsole(struct vcpu *v, struct hypercall *hc, void *arg)
{
	struct xen_sysctl_readconsole *op = arg;
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
