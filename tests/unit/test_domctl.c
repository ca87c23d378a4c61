/* units: vmm/toolstack/domctl.c vmm/toolstack/later_toolstacks.c vmm/domain/changes.c vmm/toolstack/domctl_vcpu.c vmm/life/domctl_resume.c vmm/life/save_time.c vmm/toolstack/control.c vmm/life/control_lock.c vmm/domain/refuse.c tests/unit/fake_domain.c tests/unit/fake_control.c arch/x86/guest_clock.c */
/* domctl: each operation as xl issues it (abi.md I.7), then with arguments that nobody sane would pass. */
#include "tests/unit/fake_control.h"
#include <xen/domctl.h>
#include <xen/hvm/save.h>
#include "sched/cap.h"
#include "vmm/domain/record.h"
#include "vmm/life/life.h"
#include "vmm/toolstack/control.h"
#include "vmm/vcpu.h"
#include "vmm/versions.h"

static unsigned resumed;      /* records of it */

void record_event(enum record_kind kind, const struct domain *of, const struct vcpu *w, u64 a, u64 b)
{
	assert_int_equal(kind, RECORD_RESUME);
	resumed++;
}

static struct domain *d;    /* the target; dom0 calls */
static struct vcpu *v;      /* dom0's */
static struct xen_domctl op;

static int set_up(void **state)
{
	nr_cpus = 4;
	dom0 = fake_domain_new(0, 2);
	d = fake_domain_new(1, 2);
	spin_init(&dom0->lock, LOCK_DOMAIN);
	spin_init(&d->lock, LOCK_DOMAIN);
	v = dom0->vcpu[0];
	d->pause_count = d->controller_pauses = 1;
	for (u32 i = 0; i < 2; i++) {
		dom0->vcpu[i]->sched.hard = dom0->vcpu[i]->sched.soft = BIT(i);
		d->vcpu[i]->sched.hard = d->vcpu[i]->sched.soft = 0xf;
		d->vcpu[i]->pause_flags = VCPU_DOWN;
	}
	memset(&op, 0, sizeof(op));
	memset(&fake_calls, 0, sizeof(fake_calls));
	memset(fake_memory, 0, sizeof(fake_memory));
	fake_stopped = true;
	fake_destroy_result = fake_context_result = 0;
	fake_run_time = 0;
	return 0;
}

static int tear_down(void **state)
{
	assert_int_equal(d->refs, 1);
	assert_int_equal(dom0->refs, 1);
	fake_domain_free(d);
	fake_domain_free(dom0);
	return 0;
}

/* As the dispatcher hands it on. */
#define CREATE (*(struct createdomain *)&op.u)

static struct createdomain as_xl(void)
{
	return (struct createdomain){
		.flags = 3, .max_vcpus = 2, .max_evtchn_port = 1023, .max_grant_frames = -1, .max_maptrack_frames = -1,
		.grant_opts = 1, .handle = { 1, 2, 3 }, .arch.emulation_flags = 1,
	};
}

/* The refusal is one line that says this. */
static void assert_refused(const char *text)
{
	assert_logged(text);
	assert_ptr_equal(__builtin_strstr(fake_log, "refused: "), fake_log);
	assert_null(__builtin_strstr(fake_log + 1, "refused: "));
	fake_log_clear();
}

static void free_created(u16 domid)
{
	struct domain *new = domain_get(domid);

	assert_non_null(new);
	domain_put(new);
	fake_domain_free(new);
}

static void create_as_xl_does(void **state)
{
	op.domain = 0xffff;
	op.cmd = XEN_DOMCTL_createdomain;
	CREATE = as_xl();
	fake_log_clear();
	assert_int_equal(fake_control(v, hc_domctl_createdomain, NULL, &op), 0);
	assert_not_logged("refused");
	assert_int_equal(fake_calls.create_domid, 0xffff);
	assert_int_equal(op.domain, 5);
	free_created(5);
	op.domain = 3;
	CREATE.grant_opts = 0;
	assert_int_equal(fake_control(v, hc_domctl_createdomain, NULL, &op), 0);
	assert_int_equal(op.domain, 3);
	free_created(3);
	op.domain = 1;
	assert_int_equal(fake_control(v, hc_domctl_createdomain, NULL, &op), -EEXIST);
}

static void create_refuses_what_we_lack(void **state)
{
	static const struct { size_t offset; u32 value; int error; const char *text; } bad[] = {
#define SET(field, value, error, text) { offsetof(struct createdomain, field), value, error, text }
		SET(flags, 0, -EOPNOTSUPP, "type=\"pv\""),
		SET(flags, 2, -EOPNOTSUPP, "guests are of type=\"pvh\""),
		SET(flags, 1, -EOPNOTSUPP, "hap=0"),
		SET(flags, 3 | 4, -EOPNOTSUPP, "a flag of createdomain"),
		SET(flags, 3 | 32, -EOPNOTSUPP, "passthrough="),
		SET(flags, 3 | 64, -EOPNOTSUPP, "nestedhvm=1"),
		SET(flags, 3 | 128, -EOPNOTSUPP, "vpmu=1"),
		SET(flags, 0x80000003, -EOPNOTSUPP, "a flag of createdomain"),
		SET(iommu_opts, 1, -EOPNOTSUPP, "IOMMU"),
		SET(max_vcpus, 0, -EINVAL, "1 to 128"),
		SET(max_vcpus, MAX_VCPUS + 1, -EINVAL, "1 to 128"),
		SET(max_vcpus, ~0u, -EINVAL, "1 to 128"),
		SET(grant_opts, 2, -EINVAL, "max_grant_version="),
		SET(grant_opts, 0x11, -EINVAL, "max_grant_version="),
		SET(altp2m_opts, 1, -EOPNOTSUPP, "altp2m="),
		SET(altp2m_opts, 0x10000, -EOPNOTSUPP, "altp2m="),
		SET(vmtrace_size, 4096, -EOPNOTSUPP, "vmtrace_buf_kb="),
		SET(cpupool_id, 1, -EINVAL, "pool="),
		SET(arch.emulation_flags, 0, -EOPNOTSUPP, "apic=0"),
		SET(arch.emulation_flags, 0x3ff, -EOPNOTSUPP, "type=\"hvm\""),
		SET(arch.misc_flags, 2, -EINVAL, "a flag of createdomain"),
#undef SET
	};

	fake_log_clear();
	op.cmd = XEN_DOMCTL_createdomain;
	for (unsigned i = 0; i < ARRAY_SIZE(bad); i++) {
		op.domain = 0xffff;
		CREATE = as_xl();
		memcpy((u8 *)&CREATE + bad[i].offset, &bad[i].value, 4);
		assert_int_equal(fake_control(v, hc_domctl_createdomain, NULL, &op), bad[i].error);
		assert_refused(bad[i].text);
	}
	assert_int_equal(fake_calls.creates, 0);
	/* As many as there may be. */
	op.domain = 0xffff;
	CREATE = as_xl();
	CREATE.max_vcpus = 128;
	assert_int_equal(fake_control(v, hc_domctl_createdomain, NULL, &op), 0);
	assert_int_equal(fake_calls.create_vcpus, 128);
	free_created((u16)op.domain);
}

/* xl of 4.20 asks for every guest, and goes on only at this error. The log is for who wants colours. */
static void colours_of_caches(void **state)
{
	struct llc_colors *op_colors = (void *)&op.u;

	op.cmd = XEN_DOMCTL_set_llc_colors;
	fake_log_clear();
	assert_int_equal(fake_control(v, hc_domctl_set_llc_colors, d, &op), -EOPNOTSUPP);
	assert_not_logged("refused");
	op_colors->number = 2;
	assert_int_equal(fake_control(v, hc_domctl_set_llc_colors, d, &op), -EOPNOTSUPP);
	assert_refused("llc_colors=");
}

static struct domain_state state_of(u16 domid, long result)
{
	struct domain_state *s = (void *)&op.u;

	memset(&op, 0, sizeof(op));
	memset(&op.u, 0x77, sizeof(op.u));
	op.cmd = XEN_DOMCTL_get_domain_state;
	op.domain = domid;
	s->pad = 0;
	assert_int_equal(fake_control(v, hc_domctl_get_domain_state, NULL, &op), result);
	return *s;
}

static void states_of_domains(void **state)
{
	struct domain_state s;

	d->unique_id = 0x123456789abcull;
	s = state_of(1, 0);
	assert_true(s.state == 1 && !s.capabilities && !s.pad && s.unique_id == 0x123456789abcull && op.domain == 1);
	d->shutting_down = true;
	assert_int_equal(state_of(1, 0).state, 3);
	d->dying = DOMAIN_ENDING;
	assert_int_equal(state_of(1, 0).state, 7);
	d->dying = DOMAIN_LENDING;
	assert_int_equal(state_of(1, 0).state, 11);
	d->create_flags = XEN_DOMCTL_CDF_xs_domain;
	assert_int_equal(state_of(1, 0).capabilities, 4);
	assert_int_equal(state_of(0, 0).capabilities, 3);
	state_of(5, -ESRCH);
	state_of(DOMID_SELF, -ESRCH);
	state_of(0xffff, -ESRCH);
	op.domain = 1;
	((struct domain_state *)(void *)&op.u)->pad = 1;
	assert_int_equal(fake_control(v, hc_domctl_get_domain_state, NULL, &op), -EINVAL);
}

/* xenstored of 4.21: whatever has changed, one by one, down to ENOENT. Only the listener may take the changes. */
static void changes_of_domains(void **state)
{
	struct domain gone = { .domid = 6 };
	struct domain_state s;

	while (domain_next_changed() != DOMID_INVALID)
		;
	domain_changed(d);
	domain_changed(&gone);
	state_of(DOMID_INVALID, -EACCES);
	dom0->evtchn.global_virq[VIRQ_DOM_EXC] = 3;
	s = state_of(DOMID_INVALID, 0);
	assert_true(op.domain == 1 && s.state == 1 && s.unique_id == d->unique_id && s.unique_id);
	s = state_of(DOMID_INVALID, 0);
	assert_true(op.domain == 6 && !s.state && !s.capabilities && !s.unique_id && !s.pad);
	state_of(DOMID_INVALID, -ENOENT);
	assert_int_equal(op.domain, DOMID_INVALID);
	/* A new listener learns of the service domain too. */
	domain_changed_all();
	state_of(DOMID_INVALID, 0);
	assert_int_equal(op.domain, 0);
	state_of(DOMID_INVALID, 0);
	assert_int_equal(op.domain, 1);
	state_of(DOMID_INVALID, -ENOENT);
}

static void destroy_comes_back_until_done(void **state)
{
	fake_destroy_result = -EAGAIN;
	assert_int_equal(fake_control(v, hc_domctl_destroydomain, d, &op), HC_AGAIN);
	fake_destroy_result = 0;
	assert_int_equal(fake_control(v, hc_domctl_destroydomain, d, &op), 0);
	assert_int_equal(fake_calls.destroys, 2);
	assert_int_equal(fake_control(v, hc_domctl_destroydomain, dom0, &op), -EINVAL);
	assert_int_equal(fake_calls.destroys, 2);
	/* Another CPU is at a step of another domain's end: ours comes again, and takes interrupts meanwhile. */
	control_lock.next++;
	assert_int_equal(fake_control(v, hc_domctl_destroydomain, d, &op), HC_AGAIN);
	control_lock.next--;
	assert_int_equal(fake_calls.destroys, 2);
}

static void pauses_are_counted(void **state)
{
	assert_int_equal(fake_control(v, hc_domctl_unpausedomain, d, &op), 0);
	assert_int_equal(d->pause_count, 0);
	assert_int_equal(fake_control(v, hc_domctl_unpausedomain, d, &op), -EINVAL);
	for (int i = 0; i < 255; i++)
		assert_int_equal(fake_control(v, hc_domctl_pausedomain, d, &op), 0);
	assert_int_equal(fake_control(v, hc_domctl_pausedomain, d, &op), -EINVAL);
	assert_int_equal(d->pause_count, 255);
	assert_int_equal(fake_control(v, hc_domctl_pausedomain, dom0, &op), -EINVAL);
	assert_int_equal(fake_control(v, hc_domctl_unpausedomain, dom0, &op), -EINVAL);
	assert_int_equal(dom0->pause_count, 0);
}

/* A label decides as a domain is made; its first unpause seals it, in steps, or leaves it as it is. */
static long choice, sealing;
static u32 chosen_sid;

long seal_choose(u32 sid)
{
	chosen_sid = sid;
	return choice;
}

long seal_step(struct domain *to) { return sealing; }

static void a_label_is_kept_or_refused(void **state)
{
	op.cmd = XEN_DOMCTL_createdomain;
	for (choice = 1; choice >= -1; choice--) {
		struct domain *new;

		op.domain = 6;
		CREATE = as_xl();
		CREATE.ssidref = 77;
		assert_int_equal(fake_control(v, hc_domctl_createdomain, NULL, &op), choice < 0 ? -1 : 0);
		assert_int_equal(chosen_sid, 77);
		new = domain_get(6);
		assert_int_equal(!new, choice < 0);
		if (new) {
			assert_int_equal(new->seal.state, choice ? SEAL_WANTED : SEAL_OPEN);
			domain_put(new);
			fake_domain_free(new);
		}
	}
	choice = 0;
	/* What is refused anyhow isn't asked for. */
	CREATE = as_xl();
	CREATE.flags = 0;
	CREATE.ssidref = 78;
	assert_int_equal(fake_control(v, hc_domctl_createdomain, NULL, &op), -EOPNOTSUPP);
	assert_int_equal(chosen_sid, 77);
}

static void what_can_t_be_sealed_stays_paused(void **state)
{
	u32 pauses = d->pause_count;

	sealing = HC_AGAIN;
	assert_int_equal(fake_control(v, hc_domctl_unpausedomain, d, &op), HC_AGAIN);
	sealing = -EBUSY;
	assert_int_equal(fake_control(v, hc_domctl_unpausedomain, d, &op), -EBUSY);
	assert_int_equal(d->pause_count, pauses);
	sealing = 0;
	assert_int_equal(fake_control(v, hc_domctl_unpausedomain, d, &op), 0);
	assert_int_equal(d->pause_count, pauses - 1);
}

static void info_finds_the_next_domain(void **state)
{
	struct xen_domctl_getdomaininfo *info = &op.u.getdomaininfo;

	d->tot_pages = 100;
	d->max_pages = 200;
	d->vcpu[1]->pause_flags = 0;
	d->vcpu[1]->sched.on_cpu = true;
	fake_run_time = 5;
	op.domain = 1;
	assert_int_equal(fake_control(v, hc_domctl_getdomaininfo, NULL, &op), 0);
	assert_int_equal(info->flags, XEN_DOMINF_hvm_guest | XEN_DOMINF_hap | XEN_DOMINF_paused | XEN_DOMINF_running);
	assert_int_equal(info->tot_pages, 100);
	assert_int_equal(info->max_pages, 200);
	assert_int_equal(info->nr_online_vcpus, 1);
	assert_int_equal(info->max_vcpu_id, 1);
	assert_int_equal(info->cpu_time, 10);
	d->shutting_down = true;
	d->shutdown_code = 3;
	d->dying = 1;
	op.domain = 1;
	assert_int_equal(fake_control(v, hc_domctl_getdomaininfo, NULL, &op), 0);
	assert_int_equal(info->flags >> 16, 3);
	assert_int_equal(info->flags & (XEN_DOMINF_shutdown | XEN_DOMINF_dying), XEN_DOMINF_shutdown | XEN_DOMINF_dying);
	op.domain = 2;
	assert_int_equal(fake_control(v, hc_domctl_getdomaininfo, NULL, &op), -ESRCH);
	op.domain = 0x7ff0;
	assert_int_equal(fake_control(v, hc_domctl_getdomaininfo, NULL, &op), -EINVAL);
	op.domain = 0;
	assert_int_equal(fake_control(v, hc_domctl_getdomaininfo, NULL, &op), 0);
	assert_int_equal(op.domain, 0);
}

static void affinity(u32 cmd, u32 vcpu, u32 flags, u32 bits)
{
	memset(&op, 0, sizeof(op));
	op.cmd = cmd;
	op.u.vcpuaffinity.vcpu = vcpu;
	op.u.vcpuaffinity.flags = flags;
	op.u.vcpuaffinity.cpumap_hard.bitmap.p = FAKE_HANDLE(0);
	op.u.vcpuaffinity.cpumap_hard.nr_bits = bits;
	op.u.vcpuaffinity.cpumap_soft.bitmap.p = FAKE_HANDLE(64);
	op.u.vcpuaffinity.cpumap_soft.nr_bits = bits;
}

static void affinity_as_xl_sets_it(void **state)
{
	affinity(XEN_DOMCTL_setvcpuaffinity, 1, 1, 8);
	fake_memory[0] = 0x02;
	assert_int_equal(fake_control(v, hc_domctl_vcpuaffinity, d, &op), 0);
	assert_int_equal(d->vcpu[1]->sched.hard, 2);
	assert_int_equal(d->vcpu[1]->sched.soft, 0xf);
	affinity(XEN_DOMCTL_setvcpuaffinity, 1, 3, 8);
	fake_memory[0] = 0xf3;      /* CPUs that aren't there go */
	fake_memory[64] = 0x06;
	assert_int_equal(fake_control(v, hc_domctl_vcpuaffinity, d, &op), 0);
	assert_int_equal(fake_memory[0], 0x03);
	assert_int_equal(fake_memory[64], 0x02);
	affinity(XEN_DOMCTL_setvcpuaffinity, 1, 1, 1);
	fake_memory[0] = 0x03;      /* what stands behind the map's end is none of it */
	assert_int_equal(fake_control(v, hc_domctl_vcpuaffinity, d, &op), 0);
	assert_int_equal(d->vcpu[1]->sched.hard, 1);
	affinity(XEN_DOMCTL_setvcpuaffinity, 1, 1, 8);
	fake_memory[0] = 0x03;
	assert_int_equal(fake_control(v, hc_domctl_vcpuaffinity, d, &op), 0);
	memset(fake_memory, 0xee, 128);
	affinity(XEN_DOMCTL_getvcpuaffinity, 1, 3, 200);
	assert_int_equal(fake_control(v, hc_domctl_vcpuaffinity, d, &op), 0);
	assert_int_equal(fake_memory[0], 0x03);
	assert_int_equal(fake_memory[15], 0);
	assert_int_equal(fake_memory[16], 0xee);    /* 128 bits at most */
	assert_int_equal(fake_memory[64], 0x06);
}

static void affinity_refuses(void **state)
{
	affinity(XEN_DOMCTL_setvcpuaffinity, 0, 1, 8);
	fake_memory[0] = 0xf0;
	assert_int_equal(fake_control(v, hc_domctl_vcpuaffinity, d, &op), -EINVAL);    /* no such CPU */
	affinity(XEN_DOMCTL_setvcpuaffinity, 0, 1, 0);
	op.u.vcpuaffinity.cpumap_hard.bitmap.p = NULL;
	assert_int_equal(fake_control(v, hc_domctl_vcpuaffinity, d, &op), -EINVAL);
	affinity(XEN_DOMCTL_setvcpuaffinity, 0, 0, 8);
	assert_int_equal(fake_control(v, hc_domctl_vcpuaffinity, d, &op), -EINVAL);
	affinity(XEN_DOMCTL_setvcpuaffinity, 0, 9, 8);
	assert_int_equal(fake_control(v, hc_domctl_vcpuaffinity, d, &op), -EINVAL);
	affinity(XEN_DOMCTL_setvcpuaffinity, 2, 1, 8);
	assert_int_equal(fake_control(v, hc_domctl_vcpuaffinity, d, &op), -ESRCH);
	affinity(XEN_DOMCTL_setvcpuaffinity, ~0u, 1, 8);
	assert_int_equal(fake_control(v, hc_domctl_vcpuaffinity, d, &op), -ESRCH);
	affinity(XEN_DOMCTL_setvcpuaffinity, 0, 1, ~0u);
	op.u.vcpuaffinity.cpumap_hard.bitmap.p = FAKE_BAD_HANDLE;
	assert_int_equal(fake_control(v, hc_domctl_vcpuaffinity, d, &op), -EFAULT);
	assert_int_equal(fake_calls.affinity_calls, 0);
	assert_int_equal(d->vcpu[0]->sched.hard, 0xf);
}

static void dom0_stays_where_it_is(void **state)
{
	affinity(XEN_DOMCTL_setvcpuaffinity, 1, 1, 8);
	fake_memory[0] = 0x0f;
	fake_log_clear();
	assert_int_equal(fake_control(v, hc_domctl_vcpuaffinity, dom0, &op), -EBUSY);
	assert_refused("vcpu-pin Domain-0");
	fake_memory[0] = 0x02;
	assert_int_equal(fake_control(v, hc_domctl_vcpuaffinity, dom0, &op), 0);
	assert_int_equal(dom0->vcpu[1]->sched.hard, 2);
}

static void vcpu_info(void **state)
{
	struct xen_domctl_getvcpuinfo *info = &op.u.getvcpuinfo;

	d->vcpu[1]->pause_flags = VCPU_BLOCKED;
	d->vcpu[1]->sched.cpu = 3;
	fake_run_time = 77;
	info->vcpu = 1;
	assert_int_equal(fake_control(v, hc_domctl_getvcpuinfo, d, &op), 0);
	assert_true(info->online && info->blocked && !info->running && info->cpu == 3 && info->cpu_time == 77 && info->vcpu == 1);
	info->vcpu = 0;
	assert_int_equal(fake_control(v, hc_domctl_getvcpuinfo, d, &op), 0);
	assert_true(!info->online);
	info->vcpu = 2;
	assert_int_equal(fake_control(v, hc_domctl_getvcpuinfo, d, &op), -ESRCH);
}

static void memory_and_vcpus(void **state)
{
	op.u.max_mem.max_memkb = 263168;
	assert_int_equal(fake_control(v, hc_domctl_max_mem, d, &op), 0);
	assert_int_equal(d->max_pages, 65792);
	/* It has 600 pages, of which 400 are for its balloon to give up. With a higher limit fewer are beyond. */
	d->tot_pages = 600;
	d->beyond = 400;
	op.u.max_mem.max_memkb = 200 * 4;
	assert_int_equal(fake_control(v, hc_domctl_max_mem, d, &op), 0);
	assert_int_equal(d->beyond, 400);
	op.u.max_mem.max_memkb = 500 * 4;
	assert_int_equal(fake_control(v, hc_domctl_max_mem, d, &op), 0);
	assert_int_equal(d->beyond, 100);
	op.u.max_mem.max_memkb = ~0ull;
	assert_int_equal(fake_control(v, hc_domctl_max_mem, d, &op), 0);
	assert_int_equal(d->beyond, 0);
	for (u32 n = 0; n < 5; n++) {
		op.u.max_vcpus.max = n;
		assert_int_equal(fake_control(v, hc_domctl_max_vcpus, d, &op), n == 2 ? 0 : -EINVAL);
	}
	assert_int_equal(fake_calls.vcpus, 0);      /* they exist already */
	op.u.max_vcpus.max = 2;
	/* A step whose time is over before it begins, since it had to wait for a lock, makes one all the same. */
	struct vcpu *second = d->vcpu[1];

	d->vcpu[1] = NULL;
	fake_steps = 1;
	assert_int_equal(fake_control(v, hc_domctl_max_vcpus, d, &op), HC_AGAIN);
	assert_int_equal(fake_calls.vcpus, 1);
	fake_steps = 0;
	d->vcpu[1] = second;
	/* Timers' queues of three CPUs grow for one that is made, each in a step of its own. */
	d->vcpu[1] = NULL;
	fake_timer_queues = 3;
	for (u32 n = 0; n < 3; n++)
		assert_int_equal(fake_control(v, hc_domctl_max_vcpus, d, &op), HC_AGAIN);
	assert_int_equal(fake_calls.vcpus, 1);
	assert_int_equal(fake_control(v, hc_domctl_max_vcpus, d, &op), 0);
	assert_int_equal(fake_calls.vcpus, 2);
	d->vcpu[1] = second;
	d->dying = 1;
	assert_int_equal(fake_control(v, hc_domctl_max_vcpus, d, &op), -EINVAL);
}

static void scheduling(void **state)
{
	struct xen_domctl_scheduler_op *s = &op.u.scheduler_op;

	s->sched_id = 6;
	s->cmd = 0;
	s->u.credit2.weight = 512;
	s->u.credit2.cap = 150;
	assert_int_equal(fake_control(v, hc_domctl_scheduler, d, &op), 0);
	assert_int_equal(d->group.weight, 512);
	memset(&s->u, 0, sizeof(s->u));
	s->cmd = 1;
	assert_int_equal(fake_control(v, hc_domctl_scheduler, d, &op), 0);
	assert_int_equal(s->u.credit2.weight, 512);
	assert_int_equal(s->u.credit2.cap, 150);
	for (u32 cmd = 2; cmd < 6; cmd++) {
		s->cmd = cmd;
		assert_int_equal(fake_control(v, hc_domctl_scheduler, d, &op), -EINVAL);
	}
	s->cmd = 0;
	s->u.credit2.weight = 0;
	assert_int_equal(fake_control(v, hc_domctl_scheduler, d, &op), -EINVAL);
	s->sched_id = 5;
	assert_int_equal(fake_control(v, hc_domctl_scheduler, d, &op), -EINVAL);
}

static void small_ones(void **state)
{
	op.u.settimeoffset.time_offset_seconds = -3600;
	assert_int_equal(fake_control(v, hc_domctl_settimeoffset, d, &op), 0);
	assert_int_equal(d->time_offset, -3600);
	assert_int_equal(fake_calls.wallclocks, 1);
	assert_int_equal(fake_control(v, hc_domctl_get_address_size, d, &op), 0);
	assert_int_equal(op.u.address_size.size, 64);
	fake_log_clear();
	memset(&op, 0, sizeof(op));
	op.cmd = XEN_DOMCTL_settscinfo;
	for (u32 mode = 0; mode < 6; mode++) {
		op.u.tsc_info.tsc_mode = mode;
		assert_int_equal(fake_control(v, hc_domctl_settscinfo, d, &op), mode == 1 ? -EOPNOTSUPP : mode > 3 ? -EINVAL : 0);
	}
	assert_refused("always_emulate");
	time_scale.tsc_khz = 1234;
	clock_init(&d->clock);
	assert_int_equal(fake_control(v, hc_domctl_gettscinfo, d, &op), 0);
	assert_int_equal(op.u.tsc_info.gtsc_khz, 1234);
	memset(&op, 0, sizeof(op));
	op.cmd = XEN_DOMCTL_set_paging_mempool_size;
	op.u.paging_mempool.size = 3145728;
	assert_int_equal(fake_control(v, hc_domctl_paging_mempool, d, &op), 0);
	op.u.paging_mempool.size = 1;
	assert_int_equal(fake_control(v, hc_domctl_paging_mempool, d, &op), -EINVAL);
	op.cmd = XEN_DOMCTL_get_paging_mempool_size;
	assert_int_equal(fake_control(v, hc_domctl_paging_mempool, d, &op), 0);
	assert_int_equal(op.u.paging_mempool.size, 3145728);
	op.u.nodeaffinity.nodemap.bitmap.p = FAKE_HANDLE(0);
	op.u.nodeaffinity.nodemap.nr_bits = 8;
	assert_int_equal(fake_control(v, hc_domctl_getnodeaffinity, d, &op), 0);
	assert_int_equal(fake_memory[0], 1);
}

static struct vcpu_guest_context *context = (struct vcpu_guest_context *)fake_memory;

static long get_context(u32 vcpu)
{
	memset(&op, 0, sizeof(op));
	op.cmd = XEN_DOMCTL_getvcpucontext;
	op.u.vcpucontext.vcpu = vcpu;
	op.u.vcpucontext.ctxt.p = FAKE_HANDLE(0);
	return fake_control(v, hc_domctl_vcpucontext, d, &op);
}

static long set_context(u32 vcpu, void *handle)
{
	op.cmd = XEN_DOMCTL_setvcpucontext;
	op.u.vcpucontext.vcpu = vcpu;
	op.u.vcpucontext.ctxt.p = handle;
	return fake_control(v, hc_domctl_vcpucontext, d, &op);
}

/* As libxl resumes a guest whose save failed: the result of its SCHEDOP_shutdown becomes 1. */
static void a_cancelled_suspension(void **state)
{
	d->vcpu[0]->pause_flags = 0;
	assert_int_equal(get_context(0), 0);
	assert_true(context->user_regs.rip == 0x1234 && context->user_regs.rsp == 0x5678 && context->user_regs.cs == 0x10);
	assert_true(context->flags == (VGCF_online | VGCF_I387_VALID) && context->fpu_ctxt.x[511] == 0x77);
	assert_true(context->ctrlreg[3] == 0x9000 && context->gs_base_kernel == 1 && context->gs_base_user == 2);
	assert_int_equal(d->vcpu[0]->pause_flags, 0);
	context->user_regs.rax = 1;
	assert_int_equal(set_context(0, FAKE_HANDLE(0)), 0);
	assert_true(fake_calls.registers.rax == 1 && fake_calls.registers.rip == 0x1234 && fake_calls.registers.rsp == 0x5678);
	assert_true(fake_calls.registers.fpu_regs[511] == 0x77 && fake_calls.registers.flags == XEN_X86_FPU_INITIALISED);
	assert_int_equal(fake_control(v, hc_domctl_resumedomain, d, &op), 0);
	assert_int_equal(fake_calls.resumes, 1);
	assert_int_equal(resumed, 1);
}

/* `xl dump-core` asks of a domain that runs: the vCPU is held until its registers are there, and no longer. */
static void registers_of_a_vcpu_that_runs(void **state)
{
	d->pause_count = 0;
	d->vcpu[1]->pause_flags = 0;
	d->vcpu[1]->sched.on_cpu = true;
	for (int i = 0; i < 3; i++) {
		assert_int_equal(get_context(1), HC_AGAIN);
		assert_int_equal(d->vcpu[1]->pause_flags, VCPU_VIEWED);
	}
	d->vcpu[1]->sched.on_cpu = false;
	assert_int_equal(get_context(1), 0);
	assert_int_equal(d->vcpu[1]->pause_flags, 0);
	assert_int_equal(fake_calls.syncs, 5);
	/* One that was never started has none; one that is down has. */
	d->vcpu[0]->wait_for_sipi = true;
	assert_int_equal(get_context(0), -ENODATA);
	assert_int_equal(d->vcpu[0]->pause_flags, VCPU_DOWN);
	d->vcpu[0]->wait_for_sipi = false;
	assert_int_equal(get_context(0), 0);
	assert_int_equal(context->flags, VGCF_I387_VALID);
}

static void contexts_are_refused(void **state)
{
	struct vcpu_guest_context good;

	d->vcpu[0]->pause_flags = 0;
	assert_int_equal(get_context(2), -EINVAL);
	assert_int_equal(get_context(~0u), -EINVAL);
	assert_int_equal(get_context(0), 0);
	good = *context;
	op.u.vcpucontext.ctxt.p = FAKE_BAD_HANDLE;
	assert_int_equal(fake_control(v, hc_domctl_vcpucontext, d, &op), -EFAULT);
	assert_int_equal(d->vcpu[0]->pause_flags, 0);
	op.u.vcpucontext.ctxt.p = FAKE_HANDLE(0);
	assert_int_equal(fake_control(v, hc_domctl_vcpucontext, dom0, &op), -EINVAL);
	assert_int_equal(set_context(2, FAKE_HANDLE(0)), -EINVAL);
	assert_int_equal(set_context(0, NULL), -EFAULT);
	assert_int_equal(set_context(0, FAKE_HANDLE(FAKE_MEMORY - 5167)), -EFAULT);
	context->flags ^= VGCF_online;
	assert_int_equal(set_context(0, FAKE_HANDLE(0)), -EOPNOTSUPP);
	*context = good;
	fake_stopped = false;
	assert_int_equal(set_context(0, FAKE_HANDLE(0)), HC_AGAIN);
	d->pause_count = 0;
	assert_int_equal(set_context(0, FAKE_HANDLE(0)), -EINVAL);
	assert_int_equal(fake_calls.registers.rip, 0);
	d->pause_count = 1;
	fake_stopped = true;
	fake_context_result = -EINVAL;
	assert_int_equal(set_context(0, FAKE_HANDLE(0)), -EINVAL);
	fake_alloc_fails = 1;
	assert_int_equal(set_context(0, FAKE_HANDLE(0)), -ENOMEM);
	fake_alloc_fails = 1;
	assert_int_equal(get_context(0), -ENOMEM);
	assert_int_equal(d->vcpu[0]->pause_flags, 0);
}

static void triggers(void **state)
{
	op.u.sendtrigger.vcpu = 1;
	assert_int_equal(fake_control(v, hc_domctl_sendtrigger, d, &op), 0);
	assert_true(d->vcpu[1]->attention & VCPU_NMI);
	assert_int_equal(fake_kicks(d->vcpu[1]), 1);
	op.u.sendtrigger.trigger = 3;
	fake_log_clear();
	op.cmd = XEN_DOMCTL_sendtrigger;
	assert_int_equal(fake_control(v, hc_domctl_sendtrigger, d, &op), -EOPNOTSUPP);
	op.u.sendtrigger.trigger = 9;
	assert_int_equal(fake_control(v, hc_domctl_sendtrigger, d, &op), -EINVAL);
	assert_refused("xl trigger");
	op.u.sendtrigger.vcpu = 2;
	assert_int_equal(fake_control(v, hc_domctl_sendtrigger, d, &op), -ESRCH);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
		TEST(create_as_xl_does),
		TEST(create_refuses_what_we_lack),
		TEST(colours_of_caches),
		TEST(states_of_domains),
		TEST(changes_of_domains),
		TEST(destroy_comes_back_until_done),
		TEST(pauses_are_counted),
		TEST(a_label_is_kept_or_refused),
		TEST(what_can_t_be_sealed_stays_paused),
		TEST(info_finds_the_next_domain),
		TEST(affinity_as_xl_sets_it),
		TEST(affinity_refuses),
		TEST(dom0_stays_where_it_is),
		TEST(vcpu_info),
		TEST(memory_and_vcpus),
		TEST(scheduling),
		TEST(small_ones),
		TEST(a_cancelled_suspension),
		TEST(registers_of_a_vcpu_that_runs),
		TEST(contexts_are_refused),
		TEST(triggers),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
