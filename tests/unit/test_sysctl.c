/* units: vmm/toolstack/sysctl.c vmm/toolstack/debug_keys.c vmm/toolstack/platform.c vmm/hypercall/later_kernels.c vmm/toolstack/policy_ops.c vmm/toolstack/policy_fit.c vmm/toolstack/control.c vmm/life/control_lock.c vmm/domain/refuse.c vmm/cpu/cpu_policy.c vmm/cpu/cpu_policy_serial.c tests/unit/fake_domain.c tests/unit/fake_control.c */
/* sysctl and platform_op: what xl asks the machine, in the order it asks, and the same with bad handles and sizes. */
#include "mm/page.h"
#include "tests/unit/fake_control.h"
#include <xen/domctl.h>
#include <xen/platform.h>
#include <xen/sysctl.h>
#include <xen/arch-x86/xen-mca.h>
#include <asm/insn.h>
#include "vmm/cpu/cpu_policy.h"
#include "vmm/domain/guest_log.h"

struct cpuid_regs cpuid(u32 leaf, u32 sub) { return machine_cpuid(leaf, sub); }
u8 inb(u16 port) { return 0xff; }
void outb(u16 port, u8 v) { }

static u64 wall_sec, wall_system;
void time_set_wallclock(u64 sec, u32 nsec, u64 system_time) { wall_sec = sec; wall_system = system_time; }

static bool console_behind;
bool guest_log_ready(struct vcpu *by) { return !console_behind; }
static unsigned resets;
void record_longest_reset(void) { resets++; }

static struct domain *a, *b;
static struct vcpu *v;
static struct xen_sysctl op;

static int set_up(void **state)
{
	nr_cpus = 4;
	for (u32 i = 0; i < 4; i++)
		percpu[i].apic_id = i;
	dom0 = a = fake_domain_new(0, 2);
	b = fake_domain_new(3, 1);
	spin_init(&a->lock, LOCK_DOMAIN);
	spin_init(&b->lock, LOCK_DOMAIN);
	v = a->vcpu[0];
	memset(&op, 0, sizeof(op));
	memset(&fake_calls, 0, sizeof(fake_calls));
	memset(fake_memory, 0xee, sizeof(fake_memory));
	cpu_policy_init();
	return 0;
}

static int tear_down(void **state)
{
	assert_int_equal(a->refs, 1);
	assert_int_equal(b->refs, 1);
	fake_domain_free(a);
	fake_domain_free(b);
	return 0;
}

static long call(hypercall_fn *fn)
{
	return fake_control(v, fn, NULL, &op);
}

static void physinfo(void **state)
{
	struct xen_sysctl_physinfo *info = &op.u.physinfo;

	assert_int_equal(call(hc_sysctl_physinfo), 0);
	assert_int_equal(info->nr_cpus, 4);
	assert_int_equal(info->max_cpu_id, 3);
	assert_int_equal(info->nr_nodes, 1);
	assert_int_equal(info->capabilities, 0x109);
	assert_int_equal(info->free_pages, 1000);
	assert_int_equal(info->total_pages, total_pages);
	assert_int_equal(info->max_mfn, max_mfn - 1);
	assert_int_equal(info->hw_cap[0], cpu_policy_host.basic[1].d);
	assert_true(info->threads_per_core >= 1 && info->cores_per_socket >= 1);
}

static void topology_of(u32 smt_shift, u32 core_shift, const u32 *apic_ids, u32 n)
{
	memset(&cpu_policy_raw, 0, sizeof(cpu_policy_raw));
	cpu_policy_raw.topo[0] = (struct cpuid_regs){ smt_shift, 1u << smt_shift, 0x100, 0 };
	cpu_policy_raw.topo[1] = (struct cpuid_regs){ core_shift, 1u << core_shift, 0x201, 0 };
	nr_cpus = n;
	for (u32 i = 0; i < n; i++)
		percpu[i].apic_id = apic_ids[i];
}

static void topologies(void **state)
{
	static const u32 ids[] = { 0, 1, 2, 3, 16, 17, 18, 19 };
	struct xen_sysctl_cputopo *t = (struct xen_sysctl_cputopo *)fake_memory;

	topology_of(1, 4, ids, 8);
	assert_int_equal(call(hc_sysctl_physinfo), 0);
	assert_int_equal(op.u.physinfo.threads_per_core, 2);
	assert_int_equal(op.u.physinfo.cores_per_socket, 2);
	memset(&op, 0, sizeof(op));
	assert_int_equal(call(hc_sysctl_cputopoinfo), 0);
	assert_int_equal(op.u.cputopoinfo.num_cpus, 8);
	op.u.cputopoinfo.cputopo.p = FAKE_HANDLE(0);
	assert_int_equal(call(hc_sysctl_cputopoinfo), 0);
	assert_true(t[3].core == 1 && t[3].socket == 0 && t[3].node == 0);
	assert_true(t[6].core == 1 && t[6].socket == 1);
	op.u.cputopoinfo.num_cpus = 2;
	memset(fake_memory, 0xee, 100);
	assert_int_equal(call(hc_sysctl_cputopoinfo), 0);
	assert_int_equal(op.u.cputopoinfo.num_cpus, 8);
	assert_int_equal(fake_memory[24], 0xee);
	op.u.cputopoinfo.num_cpus = ~0u;
	op.u.cputopoinfo.cputopo.p = FAKE_HANDLE(FAKE_MEMORY - 8);
	assert_int_equal(call(hc_sysctl_cputopoinfo), -EFAULT);
	/* Old AMD: four cores by number alone; and a CPU that says nothing. */
	memset(&cpu_policy_raw, 0, sizeof(cpu_policy_raw));
	cpu_policy_raw.extd[8].c = 3;
	assert_int_equal(call(hc_sysctl_physinfo), 0);
	assert_int_equal(op.u.physinfo.threads_per_core, 1);
	assert_int_equal(op.u.physinfo.cores_per_socket, 4);
	cpu_policy_raw.extd[8].c = 0;
	assert_int_equal(call(hc_sysctl_physinfo), 0);
	assert_int_equal(op.u.physinfo.cores_per_socket, 1);
}

static void domain_lists(void **state)
{
	struct xen_sysctl_getdomaininfolist *l = &op.u.getdomaininfolist;
	struct xen_domctl_getdomaininfo *info = (struct xen_domctl_getdomaininfo *)fake_memory;

	l->max_domains = 1024;
	l->buffer.p = FAKE_HANDLE(0);
	assert_int_equal(call(hc_sysctl_getdomaininfolist), 0);
	assert_int_equal(l->num_domains, 2);
	assert_int_equal(info[0].domain, 0);
	assert_int_equal(info[1].domain, 3);
	/* In steps the same, wherever the next one goes on. */
	memset(fake_memory, 0, sizeof(fake_memory));
	l->num_domains = 99;
	fake_steps = 1;
	assert_int_equal(call(hc_sysctl_getdomaininfolist), HC_AGAIN);
	assert_int_equal(call(hc_sysctl_getdomaininfolist), HC_AGAIN);
	assert_int_equal(call(hc_sysctl_getdomaininfolist), 0);
	fake_steps = 0;
	assert_int_equal(l->num_domains, 2);
	assert_true(info[0].domain == 0 && info[1].domain == 3 && !info[0].max_pages == !a->max_pages);
	l->first_domain = 1;
	l->max_domains = 1;
	assert_int_equal(call(hc_sysctl_getdomaininfolist), 0);
	assert_int_equal(l->num_domains, 1);
	assert_int_equal(info[0].domain, 3);
	l->first_domain = 4;
	assert_int_equal(call(hc_sysctl_getdomaininfolist), 0);
	assert_int_equal(l->num_domains, 0);
	l->first_domain = 0xffff;
	assert_int_equal(call(hc_sysctl_getdomaininfolist), 0);
	l->first_domain = 0;
	l->buffer.p = FAKE_BAD_HANDLE;
	assert_int_equal(call(hc_sysctl_getdomaininfolist), -EFAULT);
	l->max_domains = 0;
	l->buffer.p = NULL;
	assert_int_equal(call(hc_sysctl_getdomaininfolist), 0);
}

static void numa(void **state)
{
	struct xen_sysctl_numainfo *n = &op.u.numainfo;
	struct xen_sysctl_meminfo *mem = (struct xen_sysctl_meminfo *)fake_memory;

	assert_int_equal(call(hc_sysctl_numainfo), 0);
	assert_int_equal(n->num_nodes, 1);
	n->meminfo.p = FAKE_HANDLE(0);
	n->distance.p = FAKE_HANDLE(64);
	assert_int_equal(call(hc_sysctl_numainfo), 0);
	assert_int_equal(mem->memfree, 1000 << 12);
	assert_int_equal(fake_memory[64], 10);
	n->num_nodes = 0;
	memset(fake_memory, 0xee, 100);
	assert_int_equal(call(hc_sysctl_numainfo), 0);
	assert_int_equal(n->num_nodes, 1);
	assert_int_equal(fake_memory[0], 0xee);
	n->meminfo.p = FAKE_BAD_HANDLE;
	assert_int_equal(call(hc_sysctl_numainfo), -EFAULT);
}

static void pools(void **state)
{
	struct xen_sysctl_cpupool_op *p = &op.u.cpupool_op;

	p->op = XEN_SYSCTL_CPUPOOL_OP_INFO;
	p->cpumap.bitmap.p = FAKE_HANDLE(0);
	p->cpumap.nr_bits = 8;
	assert_int_equal(call(hc_sysctl_cpupool), 0);
	assert_true(p->cpupool_id == 0 && p->sched_id == 6 && p->n_dom == 2);
	assert_int_equal(fake_memory[0], 0x0f);
	assert_int_equal(fake_memory[1], 0xee);
	p->cpupool_id = 1;
	assert_int_equal(call(hc_sysctl_cpupool), -ENOENT);
	p->op = XEN_SYSCTL_CPUPOOL_OP_FREEINFO;
	p->cpupool_id = 0x87654321;
	assert_int_equal(call(hc_sysctl_cpupool), 0);
	assert_int_equal(fake_memory[0], 0);
	op.cmd = XEN_SYSCTL_cpupool_op;
	for (u32 o = 0; o < 20; o++) {
		p->op = o;
		if (o == XEN_SYSCTL_CPUPOOL_OP_INFO || o == XEN_SYSCTL_CPUPOOL_OP_FREEINFO)
			continue;
		fake_log_clear();
		assert_int_equal(call(hc_sysctl_cpupool), -EOPNOTSUPP);
		assert_logged("refused: xl cpupool-*");
	}
}

static void scheduler(void **state)
{
	struct xen_sysctl_scheduler_op *s = &op.u.scheduler_op;

	assert_int_equal(call(hc_sysctl_sched_id), 0);
	assert_int_equal(op.u.sched_id.sched_id, 6);
	memset(&op, 0, sizeof(op));
	s->sched_id = 6;
	s->cmd = XEN_SYSCTL_SCHEDOP_getinfo;
	assert_int_equal(call(hc_sysctl_scheduler), 0);
	assert_int_equal(s->u.sched_credit2.ratelimit_us, 1000);
	fake_log_clear();
	assert_int_equal(call(hc_sysctl_scheduler), 0);
	assert_not_logged("refused");
	op.cmd = XEN_SYSCTL_scheduler_op;
	s->cmd = XEN_SYSCTL_SCHEDOP_putinfo;
	assert_int_equal(call(hc_sysctl_scheduler), -EOPNOTSUPP);
	assert_logged("refused: xl sched-credit2 -s");
	s->cmd = 7;
	assert_int_equal(call(hc_sysctl_scheduler), -EINVAL);
	s->cpupool_id = 1;
	assert_int_equal(call(hc_sysctl_scheduler), -ESRCH);
	s->sched_id = 5;
	assert_int_equal(call(hc_sysctl_scheduler), -EINVAL);
}

static void small_ones(void **state)
{
	percpu[1].idle_ns = 99;
	op.u.getcpuinfo.max_cpus = 2;
	op.u.getcpuinfo.info.p = FAKE_HANDLE(0);
	assert_int_equal(call(hc_sysctl_getcpuinfo), 0);
	assert_int_equal(op.u.getcpuinfo.nr_cpus, 2);
	assert_int_equal(fake_memory[8], 99);
	assert_int_equal(fake_memory[16], 0xee);
	op.u.getcpuinfo.info.p = FAKE_BAD_HANDLE;
	assert_int_equal(call(hc_sysctl_getcpuinfo), -EFAULT);
	memset(&op, 0, sizeof(op));
	op.u.availheap.node = -1;
	assert_int_equal(call(hc_sysctl_availheap), 0);
	assert_int_equal(op.u.availheap.avail_bytes, 1000 << 12);
	op.u.availheap.node = 1;
	assert_int_equal(call(hc_sysctl_availheap), 0);
	assert_int_equal(op.u.availheap.avail_bytes, 0);
	op.u.availheap.node = -2;
	assert_int_equal(call(hc_sysctl_availheap), -EINVAL);
}

static unsigned log_lines(void)
{
	unsigned n = 0;

	for (const char *p = fake_log; *p; p++)
		n += *p == '\n';
	return n;
}

/* The call and its continuations, each of which prints a line at most: all the domains' in one step kept interrupts off for long. */
static long press(const char *what)
{
	unsigned lines;
	long ret;

	memcpy(fake_memory, what, strlen(what));
	op.u.debug_keys.keys.p = FAKE_HANDLE(0);
	op.u.debug_keys.nr_keys = (u32)strlen(what);
	fake_log_clear();
	do {
		lines = log_lines();
		ret = call(hc_sysctl_debug_keys);
		assert_in_range(log_lines(), lines, lines + 1);
	} while (ret == HC_AGAIN);
	return ret;
}

static void keys(void **state)
{
	assert_int_equal(press("?cdm"), 0);
	assert_logged("debug key 'd'");
	assert_logged("CPU 3: APIC id 3");
	assert_logged("domain 3:");
	assert_logged("1000 of 65536 pages free");
	/* The list, CPUs, two domains with three vCPUs together, memory. */
	assert_int_equal(log_lines(), 5 + 4 + 2 + 3 + 1);
	assert_int_equal(press("r"), 0);
	assert_int_equal(resets, 1);
	/* One line for a letter that means nothing, and no more letters than there is room for. */
	assert_int_equal(press("z"), 0);
	assert_logged("debug key 'z': there is none");
	assert_int_equal(log_lines(), 1);
	assert_int_equal(press("mmmmmmmmmmmmmmmmmmmmmmmmmm"), 0);
	assert_int_equal(log_lines(), 16);
	assert_int_equal(press(""), 0);
	/* Nothing is printed while the console is behind; then it goes on where it was. */
	memcpy(fake_memory, "mc", 2);
	op.u.debug_keys.nr_keys = 2;
	fake_log_clear();
	assert_int_equal(call(hc_sysctl_debug_keys), HC_AGAIN);
	console_behind = true;
	for (int i = 0; i < 10; i++)
		assert_int_equal(call(hc_sysctl_debug_keys), HC_AGAIN);
	assert_int_equal(log_lines(), 1);
	console_behind = false;
	while (call(hc_sysctl_debug_keys) == HC_AGAIN)
		;
	assert_int_equal(log_lines(), 5);
	op.u.debug_keys.keys.p = FAKE_BAD_HANDLE;
	assert_int_equal(call(hc_sysctl_debug_keys), -EFAULT);
}

static void featuresets(void **state)
{
	struct xen_sysctl_cpu_featureset *f = &op.u.cpu_featureset;
	u32 *words = (u32 *)fake_memory;

	assert_int_equal(call(hc_sysctl_get_cpu_featureset), 0);
	assert_int_equal(f->nr_features, 19);
	f->index = 1;
	f->features.p = FAKE_HANDLE(0);
	assert_int_equal(call(hc_sysctl_get_cpu_featureset), 0);
	assert_int_equal(words[0], cpu_policy_host.basic[1].d);
	assert_int_equal(words[5], cpu_policy_host.feat[0].b);
	assert_int_equal(words[19], 0xeeeeeeee);
	f->nr_features = 3;
	memset(fake_memory, 0xee, 100);
	assert_int_equal(call(hc_sysctl_get_cpu_featureset), -ENOBUFS);
	assert_int_equal(words[3], 0xeeeeeeee);
	f->nr_features = 100;
	assert_int_equal(call(hc_sysctl_get_cpu_featureset), 0);
	for (u32 i = 0; i < 8; i++) {
		f->index = i;
		f->nr_features = 19;
		assert_int_equal(call(hc_sysctl_get_cpu_featureset), i > 5 ? -EINVAL : i == 2 || i == 4 ? -EOPNOTSUPP : 0);
	}
	f->index = 1;
	f->features.p = FAKE_BAD_HANDLE;
	assert_int_equal(call(hc_sysctl_get_cpu_featureset), -EFAULT);
}

static void policies(void **state)
{
	struct xen_sysctl_cpu_policy *p = &op.u.cpu_policy;

	assert_int_equal(call(hc_sysctl_cpu_policy), 0);
	assert_int_equal(p->nr_leaves, 120);
	assert_int_equal(p->nr_msrs, 2);
	for (u32 i = 0; i < 8; i++) {
		memset(&op, 0, sizeof(op));
		p->index = i;
		p->nr_leaves = 120;
		p->leaves.p = FAKE_HANDLE(0);
		p->nr_msrs = 2;
		p->msrs.p = i & 1 ? FAKE_HANDLE(4096) : NULL;
		assert_int_equal(call(hc_sysctl_cpu_policy), i > 5 ? -EINVAL : i == 2 || i == 4 ? -EOPNOTSUPP : 0);
	}
	memset(&op, 0, sizeof(op));
	p->index = 5;
	p->_rsvd = 1;
	assert_int_equal(call(hc_sysctl_cpu_policy), -EINVAL);
	p->_rsvd = 0;
	p->leaves.p = FAKE_HANDLE(0);
	p->nr_leaves = 5;
	assert_int_equal(call(hc_sysctl_cpu_policy), -ENOBUFS);
	p->nr_leaves = ~0u;
	assert_int_equal(call(hc_sysctl_cpu_policy), 0);
	p->leaves.p = FAKE_BAD_HANDLE;
	assert_int_equal(call(hc_sysctl_cpu_policy), -EFAULT);
}

static void platform(void **state)
{
	struct xen_platform_op p = { .cmd = XENPF_settime64 };

	p.u.settime64.secs = 1000;
	p.u.settime64.system_time = 77;
	assert_int_equal(fake_control(v, hc_platform_settime64, NULL, &p), 0);
	assert_true(wall_sec == 1000 && wall_system == 77);
	assert_int_equal(fake_calls.wallclocks, 2);
	/* In steps every domain has it once; the machine's clock is set by the first. */
	fake_steps = 1;
	assert_int_equal(fake_control(v, hc_platform_settime64, NULL, &p), HC_AGAIN);
	assert_int_equal(fake_calls.wallclocks, 3);
	wall_sec = 0;
	assert_int_equal(fake_control(v, hc_platform_settime64, NULL, &p), HC_AGAIN);
	assert_int_equal(fake_control(v, hc_platform_settime64, NULL, &p), 0);
	fake_steps = 0;
	assert_int_equal(fake_calls.wallclocks, 4);
	assert_int_equal(wall_sec, 0);
	p.u.settime64.mbz = 1;
	assert_int_equal(fake_control(v, hc_platform_settime64, NULL, &p), -EINVAL);
	p.u.settime64.mbz = 0;
	p.u.settime64.nsecs = 1000000000;
	assert_int_equal(fake_control(v, hc_platform_settime64, NULL, &p), -EINVAL);
	memset(&p, 0, sizeof(p));
	p.cmd = XENPF_settime32;
	p.u.settime32.secs = 2000;
	p.u.settime32.system_time = 78;
	assert_int_equal(fake_control(v, hc_platform_settime32, NULL, &p), 0);
	assert_true(wall_sec == 2000 && wall_system == 78);
	memset(&p, 0, sizeof(p));
	p.u.pcpu_info.xen_cpuid = 3;
	assert_int_equal(fake_control(v, hc_platform_get_cpuinfo, NULL, &p), 0);
	assert_true(p.u.pcpu_info.max_present == 3 && p.u.pcpu_info.flags == 1 && p.u.pcpu_info.apic_id == 3);
	p.u.pcpu_info.xen_cpuid = ~0u;
	assert_int_equal(fake_control(v, hc_platform_get_cpuinfo, NULL, &p), 0);
	assert_int_equal(p.u.pcpu_info.flags, 2);
}

/* `xl info -n` asks for all devices, and takes what it gets at a time. */
static void devices_are_on_the_one_node(void **state)
{
	op.u.pcitopoinfo.num_devs = 200;
	op.u.pcitopoinfo.nodes.p = FAKE_HANDLE(0);
	assert_int_equal(call(hc_sysctl_pcitopoinfo), 0);
	assert_int_equal(op.u.pcitopoinfo.num_devs, 64);
	assert_true(fake_memory[0] == 0 && fake_memory[255] == 0 && fake_memory[256] == 0xee);
	op.u.pcitopoinfo.num_devs = 1;
	op.u.pcitopoinfo.nodes.p = FAKE_BAD_HANDLE;
	assert_int_equal(call(hc_sysctl_pcitopoinfo), -EFAULT);
}

/* Linux 6.5 and later: may it say so to ACPI? */
static void processor_capabilities(void **state)
{
	struct xen_platform_op p = { .cmd = XENPF_set_processor_pminfo };
	u32 *pdc = (u32 *)fake_memory;

	p.u.set_pminfo.id = ~0u;
	p.u.set_pminfo.type = XEN_PM_PDC;
	p.u.set_pminfo.u.pdc.p = FAKE_HANDLE(0);
	pdc[0] = pdc[1] = 1;
	pdc[2] = 0x3ff;
	assert_int_equal(fake_control(v, hc_platform_set_pminfo, NULL, &p), 0);
	assert_true(pdc[0] == 1 && pdc[1] == 1 && pdc[2] == 0xfa);
	pdc[1] = 2;
	assert_int_equal(fake_control(v, hc_platform_set_pminfo, NULL, &p), -EINVAL);
	pdc[0] = 2;
	pdc[1] = 1;
	assert_int_equal(fake_control(v, hc_platform_set_pminfo, NULL, &p), -EINVAL);
	p.u.set_pminfo.u.pdc.p = FAKE_BAD_HANDLE;
	assert_int_equal(fake_control(v, hc_platform_set_pminfo, NULL, &p), -EFAULT);
	/* Silence is Linux's answer to this, and to no other error. */
	p.u.set_pminfo.type = XEN_PM_CX;
	assert_int_equal(fake_control(v, hc_platform_set_pminfo, NULL, &p), -ENOSYS);
}

/* xen_mcelog asks how many there are, then for so many. */
static void cpus_for_machine_checks(void **state)
{
	static const u32 ids[] = { 0, 1, 18, 19 };
	struct mcinfo_logical_cpu *c = (struct mcinfo_logical_cpu *)fake_memory;
	struct xen_mc mc = { .cmd = XEN_MC_physcpuinfo };

	topology_of(1, 4, ids, 4);
	cpu_policy_raw.basic[1].a = 0x00800f12;         /* family 17h, model 1, stepping 2 */
	assert_int_equal(fake_control(v, hc_mca_physcpuinfo, NULL, &mc), 0);
	assert_int_equal(mc.u.mc_physcpuinfo.ncpus, 4);
	mc.u.mc_physcpuinfo.info.p = FAKE_HANDLE(0);
	assert_int_equal(fake_control(v, hc_mca_physcpuinfo, NULL, &mc), 0);
	assert_true(c[3].mc_cpunr == 3 && c[3].mc_apicid == 19 && c[0].mc_apicid == 0);
	assert_true(c[1].mc_family == 0x17 && c[1].mc_model == 1 && c[1].mc_step == 2);
	memset(fake_memory, 0xee, sizeof(fake_memory));
	mc.u.mc_physcpuinfo.ncpus = 1;
	assert_int_equal(fake_control(v, hc_mca_physcpuinfo, NULL, &mc), 0);
	assert_true(mc.u.mc_physcpuinfo.ncpus == 4 && fake_memory[sizeof(*c)] == 0xee);
	mc.u.mc_physcpuinfo.info.p = FAKE_BAD_HANDLE;
	assert_int_equal(fake_control(v, hc_mca_physcpuinfo, NULL, &mc), -EFAULT);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
		TEST(physinfo),
		TEST(topologies),
		TEST(domain_lists),
		TEST(numa),
		TEST(pools),
		TEST(scheduler),
		TEST(small_ones),
		TEST(keys),
		TEST(featuresets),
		TEST(policies),
		TEST(platform),
		TEST(processor_capabilities),
		TEST(devices_are_on_the_one_node),
		TEST(cpus_for_machine_checks),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
