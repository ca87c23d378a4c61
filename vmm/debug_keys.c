/* `xl debug-keys`: each letter prints something about the hypervisor to its log, for `xl dmesg` to show. */
#include <xen/sysctl.h>
#include <asm/time.h>
#include "mm/page.h"
#include "vmm/console_io.h"
#include "vmm/domain.h"
#include "vmm/control.h"
#include "vmm/guest_access.h"
#include "vmm/hypercall.h"

#define KEYS_MAX 16

static void print_help(void);

static u64 count_exits(const struct vcpu *v)
{
	u64 n = 0;

	for (unsigned i = 0; i < EXIT_REASONS; i++)
		n += v->counters->exits[i].count;
	return n;
}

static void print_vcpu(struct vcpu *v)
{
	u32 pause = __atomic_load_n(&v->pause_flags, __ATOMIC_RELAXED);

	printk(LOG_ERR "  vCPU %u on CPU %u:%s%s%s, %lu exits, ran for %lu ms\n", v->id, v->sched.cpu,
	       pause & VCPU_DOWN ? " down" : "", pause & VCPU_BLOCKED ? " blocked" : "", sched_on_cpu(&v->sched) ? " running" : "",
	       (unsigned long)count_exits(v), (unsigned long)(sched_run_time(&v->sched, time_now()) / 1000000));
}

static void print_domains(void)
{
	struct domain *d;

	for (u32 id = 0; id < DOMID_FIRST_RESERVED && (d = domain_get_next((u16)id)); ) {
		printk(LOG_ERR "domain %u: %lu of %lu pages, %u references, paused %u times, dying %u, callback vector %#x\n",
		       d->domid, (unsigned long)d->tot_pages, (unsigned long)d->max_pages, d->refs, d->pause_count, d->dying,
		       d->callback_vector);
		for (u32 i = 0; i < d->max_vcpus; i++)
			if (d->vcpu[i])
				print_vcpu(d->vcpu[i]);
		id = d->domid + 1u;
		domain_put(d);
	}
}

static void print_cpus(void)
{
	for (u32 i = 0; i < nr_cpus; i++)
		printk(LOG_ERR "CPU %u: APIC id %u, %lu interrupts, %lu TLB flushes, idle for %lu ms, without interrupts for %lu ns at most\n", i,
		       percpu[i].apic_id, (unsigned long)percpu[i].irq_count, (unsigned long)percpu[i].tlb_flushes,
		       (unsigned long)(percpu[i].idle_ns / 1000000), (unsigned long)(percpu[i].irqs_off * 1000000 / time_scale.tsc_khz));
}

static void print_memory(void)
{
	printk(LOG_ERR "memory: %lu of %lu pages free\n", (unsigned long)page_free_count(), (unsigned long)total_pages);
}

static const struct { char key; const char *what; void (*print)(void); } keys[] = {
	{ '?', "this list", print_help },
	{ 'c', "CPUs", print_cpus },
	{ 'd', "domains and their vCPUs", print_domains },
	{ 'm', "memory", print_memory },
	{ 'r', "measures the longest times without interrupts anew", record_longest_reset },
};

static void print_help(void)
{
	for (unsigned i = 0; i < ARRAY_SIZE(keys); i++)
		printk(LOG_ERR "debug key '%c': %s\n", keys[i].key, keys[i].what);
}

static void press(char key)
{
	for (unsigned i = 0; i < ARRAY_SIZE(keys); i++) {
		if (keys[i].key == key) {
			keys[i].print();
			return;
		}
	}
	printk(LOG_ERR "debug key '%c': there is none; '?' lists them\n", key >= ' ' && key <= '~' ? key : '?');
}

long hc_debug_keys(struct vcpu *v, struct hypercall *hc __unused, void *arg)
{
	const struct xen_sysctl_debug_keys *op = &((struct xen_sysctl *)arg)->u.debug_keys;
	char pressed[KEYS_MAX];
	u32 n = MIN(op->nr_keys, (u32)sizeof(pressed));

	if (!console_io_ready(v))
		return HC_AGAIN;
	if (copy_from_guest(v, pressed, HANDLE(op->keys), n))
		return -EFAULT;
	for (u32 i = 0; i < n; i++)
		press(pressed[i]);
	return 0;
}
