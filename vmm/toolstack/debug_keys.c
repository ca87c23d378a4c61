/*
 * `xl debug-keys`: each letter prints something about the hypervisor to its log, for `xl dmesg` to
 * show. A call prints one line at a time, and only while the console isn't behind.
 */
#include <xen/sysctl.h>
#include <asm/hvm.h>
#include <asm/time.h>
#include "mm/page.h"
#include "sched/sched.h"
#include "vmm/domain.h"
#include "vmm/domain/guest_log.h"
#include "vmm/domain/record.h"
#include "vmm/hypercall.h"
#include "vmm/memory/guest_access.h"
#include "vmm/vcpu.h"

#define KEYS_MAX 16
#define DONE     (~0u)

/*
 * Each prints the line that `at` names, 0 for the first. It returns the next line's name, or DONE.
 */
static u32 print_help(u32 at);

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
	       count_exits(v), sched_run_time(&v->sched, time_now()) / 1000000);
}

static void print_domain(const struct domain *d)
{
	printk(LOG_ERR "domain %u: %lu of %lu pages, %u references, paused %u times, dying %u, callback vector %#x\n",
	       d->domid, d->tot_pages, d->max_pages, d->refs, d->pause_count, d->dying, d->callback_vector);
}

/* `at` holds the domain's id and the line: 0 is the domain's own, then one for each vCPU. */
static u32 print_domains(u32 at)
{
	u32 id = at >> 8, line = at & 0xff;
	struct domain *d = id < DOMID_FIRST_RESERVED ? domain_get_next((u16)id) : NULL;
	struct vcpu *v;

	if (!d)
		return DONE;
	/* The domain of that id may be gone: this is then the next one, from its first line. */
	if (d->domid != id)
		line = 0;
	if (!line)
		print_domain(d);
	else if ((v = domain_vcpu(d, line - 1)) != NULL)
		print_vcpu(v);
	at = line < d->max_vcpus ? (u32)d->domid << 8 | (line + 1) : (d->domid + 1u) << 8;
	domain_put(d);
	return at;
}

static u32 print_cpus(u32 at)
{
	const struct percpu *p;

	if (at >= nr_cpus)
		return DONE;
	p = &percpu[array_index_nospec(at, nr_cpus)];
	printk(LOG_ERR "CPU %u: APIC id %u, %lu interrupts, %lu TLB flushes, idle for %lu ms, "
	       "without interrupts for %lu ns at most\n", at, p->apic_id, p->irq_count, p->tlb_flushes,
	       p->idle_ns / 1000000, p->irqs_off * 1000000 / time_scale.tsc_khz);
	return at + 1;
}

static u32 print_memory(u32 at)
{
	printk(LOG_ERR "memory: %lu of %lu pages free\n", page_free_count(), total_pages);
	return DONE;
}

static u32 forget_longest(u32 at)
{
	record_longest_reset();
	return DONE;
}

static const struct { char key; const char *what; u32 (*print)(u32 at); } keys[] = {
	{ '?', "this list", print_help },
	{ 'c', "CPUs", print_cpus },
	{ 'd', "domains and their vCPUs", print_domains },
	{ 'm', "memory", print_memory },
	{ 'r', "measures the longest times without interrupts anew", forget_longest },
};

static u32 print_help(u32 at)
{
	if (at >= ARRAY_SIZE(keys))
		return DONE;
	at = (u32)array_index_nospec(at, ARRAY_SIZE(keys));
	printk(LOG_ERR "debug key '%c': %s\n", keys[at].key, keys[at].what);
	return at + 1;
}

static u32 press_key(char key, u32 at)
{
	for (unsigned i = 0; i < ARRAY_SIZE(keys); i++)
		if (keys[i].key == key)
			return keys[i].print(at);
	printk(LOG_ERR "debug key '%c': there is none; '?' lists them\n", key >= ' ' && key <= '~' ? key : '?');
	return DONE;
}

/* The index of the key, and the name of the line to go on with. */
_Static_assert(KEYS_MAX <= 256 && (DOMID_FIRST_RESERVED << 8) >> 24 == 0, "hc->progress holds both");

long hc_sysctl_debug_keys(struct vcpu *v, struct hypercall *hc, void *arg)
{
	const struct xen_sysctl_debug_keys *op = arg;
	u32 n = hc->progress >> 24, at = hc->progress & 0xffffff, nr = MIN(op->nr_keys, (u32)KEYS_MAX);
	char pressed[KEYS_MAX];

	if (!guest_log_ready(v))
		return HC_AGAIN;
	if (copy_from_guest(v, pressed, HANDLE(op->keys), nr))
		return -EFAULT;
	if (n >= nr)
		return 0;
	at = press_key(pressed[n], at);
	hc->progress = at == DONE ? (n + 1) << 24 : n << 24 | at;
	return hc->progress >> 24 < nr ? HC_AGAIN : 0;
}
