/* The micro-guests' start and what they use of Xen: time, events, parameters, and their end. */
#include <xen/arch-x86/hvm/start_info.h>

struct shared_info *shared = (struct shared_info *)(SHARED_INFO_GFN * PAGE_SIZE);
volatile u32 port_events[4096];
volatile u8 port_vcpu[4096];

extern u8 hypercall_insn[], hypercall_insn2[];

void *memset(void *to, int c, size_t n)
{
	for (u8 *p = to; n--; )
		*p++ = (u8)c;
	return to;
}

void *memcpy(void *to, const void *from, size_t n)
{
	const u8 *q = from;

	for (u8 *p = to; n--; )
		*p++ = *q++;
	return to;
}

int memcmp(const void *a, const void *b, size_t n)
{
	const u8 *p = a, *q = b;

	for (; n--; p++, q++)
		if (*p != *q)
			return *p - *q;
	return 0;
}

int strcmp(const char *a, const char *b)
{
	for (; *a && *a == *b; a++, b++)
		;
	return (u8)*a - (u8)*b;
}

size_t strlen(const char *s)
{
	size_t n = 0;

	while (s[n])
		n++;
	return n;
}

u64 random64(u64 *state)
{
	u64 z = *state += 0x9e3779b97f4a7c15ull;

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9ull;
	z = (z ^ z >> 27) * 0x94d049bb133111ebull;
	return z ^ z >> 31;
}

/* ---- Xen ---- */

long get_param(u32 index, u64 *value)
{
	struct xen_hvm_param p = { .domid = DOMID_SELF, .index = index };
	long ret = hvm_op(HVMOP_get_param, &p);

	*value = p.value;
	return ret;
}

long set_param(u32 index, u64 value)
{
	struct xen_hvm_param p = { .domid = DOMID_SELF, .index = index, .value = value };

	return hvm_op(HVMOP_set_param, &p);
}

long map_space(u32 space, u64 idx, u64 gfn)
{
	struct xen_add_to_physmap a = { .domid = DOMID_SELF, .space = space, .idx = idx, .gpfn = gfn };

	return memory_op(XENMEM_add_to_physmap, &a);
}

u32 own_domid(void) { return cpuid(0x40000004, 0).c; }

void shut_down(u32 reason)
{
	struct sched_shutdown s = { .reason = reason };

	for (;;)
		sched_op(SCHEDOP_shutdown, &s);
}

/* ---- time ---- */

u64 now(void)
{
	const volatile struct vcpu_time_info *t = (void *)&shared->vcpu_info[0].time;
	u64 ns;
	u32 version;

	do {
		u64 ticks;

		version = t->version & ~1u;
		barrier();
		ticks = rdtsc() - t->tsc_timestamp;
		ticks = t->tsc_shift < 0 ? ticks >> -t->tsc_shift : ticks << t->tsc_shift;
		ns = t->system_time + (u64)((unsigned __int128)ticks * t->tsc_to_system_mul >> 32);
		barrier();
	} while (t->version != version);
	return ns;
}

void delay(u64 ns)
{
	for (u64 end = now() + ns; now() < end; )
		relax();
}

bool wait_for(volatile u32 *flag, u32 value, u64 ns)
{
	for (u64 end = now() + ns; now() < end; relax())
		if (*flag >= value)
			return true;
	return *flag >= value;
}

long arm_timer(u64 when)
{
	struct vcpu_set_singleshot_timer t = { .timeout_abs_ns = when };

	return vcpu_op(VCPUOP_set_singleshot_timer, this_cpu()->id, &t);
}

/* ---- events ---- */

static void take_word(u32 word)
{
	u64 ready = __atomic_load_n(&shared->evtchn_pending[word], __ATOMIC_SEQ_CST) & ~shared->evtchn_mask[word];

	while (ready) {
		u32 port = word * 64 + (u32)__builtin_ctzll(ready);

		ready &= ready - 1;
		clear_port(port);
		port_vcpu[port] = (u8)this_cpu()->id;
		__atomic_fetch_add(&port_events[port], 1, __ATOMIC_SEQ_CST);
	}
}

static void event_interrupt(struct frame *f)
{
	struct vcpu_info *v = &shared->vcpu_info[this_cpu()->id];
	u64 words;

	(void)f;
	__atomic_store_n(&v->evtchn_upcall_pending, 0, __ATOMIC_SEQ_CST);
	words = __atomic_exchange_n(&v->evtchn_pending_sel, 0, __ATOMIC_SEQ_CST);
	while (words) {
		take_word((u32)__builtin_ctzll(words));
		words &= words - 1;
	}
}

void enable_events(void)
{
	handlers[EVENT_VECTOR] = event_interrupt;
	set_param(HVM_PARAM_CALLBACK_IRQ, (u64)HVM_PARAM_CALLBACK_TYPE_VECTOR << 56 | EVENT_VECTOR);
	sti();
}

void mask_port(u32 port, bool masked)
{
	struct evtchn_unmask u = { .port = port };

	if (masked)
		__atomic_fetch_or(&shared->evtchn_mask[port / 64], BIT(port % 64), __ATOMIC_SEQ_CST);
	else
		evtchn_op(EVTCHNOP_unmask, &u);
}

bool port_pending(u32 port) { return __atomic_load_n(&shared->evtchn_pending[port / 64], __ATOMIC_SEQ_CST) >> port % 64 & 1; }
void clear_port(u32 port) { __atomic_fetch_and(&shared->evtchn_pending[port / 64], ~BIT(port % 64), __ATOMIC_SEQ_CST); }

u32 new_unbound(u16 remote)
{
	struct evtchn_alloc_unbound a = { .dom = DOMID_SELF, .remote_dom = remote };

	return evtchn_op(EVTCHNOP_alloc_unbound, &a) ? 0 : a.port;
}

u32 new_ipi(u32 vcpu)
{
	struct evtchn_bind_ipi b = { .vcpu = vcpu };

	return evtchn_op(EVTCHNOP_bind_ipi, &b) ? 0 : b.port;
}

u32 new_virq(u32 virq, u32 vcpu)
{
	struct evtchn_bind_virq b = { .virq = virq, .vcpu = vcpu };

	return evtchn_op(EVTCHNOP_bind_virq, &b) ? 0 : b.port;
}

long close_port(u32 port)
{
	struct evtchn_close c = { .port = port };

	return evtchn_op(EVTCHNOP_close, &c);
}

long notify(u32 port)
{
	struct evtchn_send s = { .port = port };

	return evtchn_op(EVTCHNOP_send, &s);
}

/* ---- start ---- */

u64 option(const char *name, u64 otherwise)
{
	const struct hvm_start_info *info = (void *)(u64)entry_state.ebx;
	const char *s = (void *)(u64)info->cmdline_paddr;
	size_t n = strlen(name);

	for (; s && *s; s++)
		if (!memcmp(s, name, n) && s[n] == '=') {
			u64 v = 0;

			for (s += n + 1; *s >= '0' && *s <= '9'; s++)
				v = v * 10 + (u64)(*s - '0');
			return v;
		}
	return otherwise;
}

static void choose_hypercall(void)
{
	static const u8 vmcall[] = { 0x0f, 0x01, 0xc1 };

	if (cpuid(0, 0).b == 0x756e6547) {      /* "Genu"ineIntel */
		memcpy(hypercall_insn, vmcall, sizeof(vmcall));
		memcpy(hypercall_insn2, vmcall, sizeof(vmcall));
	}
}

/* "XenV"... in CPUID: a hypervisor that speaks Xen's ABI. */
static bool on_bare_machine(void) { return cpuid(0x40000000, 0).b != 0x566e6558; }

void boot_main(void)
{
	choose_hypercall();
	cpu_init(0);
	if (bare_main && on_bare_machine())
		bare_main();
	if (map_space(XENMAPSPACE_shared_info, 0, SHARED_INFO_GFN)) {
		for (const char *s = "FAIL no shared_info\n"; *s; s++)
			outb(0xe9, (u8)*s);
		shut_down(SHUTDOWN_crash);
	}
	report_init();
	test_main();
	cli();
	say("DONE");
	flush_report();
	shut_down(SHUTDOWN_poweroff);
}
