/* Maps the hypervisor's pages read-only, by Xen's foreign-memory call. Reads guests' names from xenstore. */
#include "dom0-lite/bothy/bothy.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <xencall.h>
#include <xenforeignmemory.h>
#include <xenstore.h>
#include <xen/sysctl.h>

#define ANY_DOMAIN  0x7ff2u         /* DOMID_XEN: pages of the hypervisor */
#define MAP_MAX     64u             /* pages in one call */

static xenforeignmemory_handle *memory;

static const void *map(u32 id, u32 frame, u32 frames)
{
	void *at = NULL;

	if (!xenforeignmemory_map_resource(memory, ANY_DOMAIN, RECORD_RESOURCE, id, frame, frames, &at, PROT_READ, 0))
		return NULL;
	return at;
}

int source_open(struct source *s)
{
	memset(s, 0, sizeof(*s));
	memory = xenforeignmemory_open(NULL, 0);
	if (!memory && errno == EACCES) {
		fprintf(stderr, "bothy: only root may read the record: run this as root\n");
		return END_FAILED;
	}
	if (memory)
		s->machine = map(RECORD_ID_MACHINE, 0, 2);
	if (!s->machine || s->machine->magic != RECORD_MAGIC) {
		fprintf(stderr, "bothy: this is not the service domain of a machine that runs Bothy: boot Bothy by its entry in GRUB\n");
		return END_FAILED;
	}
	if (s->machine->version != RECORD_VERSION || s->machine->rows != call_rows()) {
		fprintf(stderr, "bothy: the running hypervisor has another version than this program: install both from one build\n");
		return END_FAILED;
	}
	s->cpus = (const struct record_cpu *)((const u8 *)s->machine + PAGE_SIZE);
	return END_OK;
}

int source_open_rings(struct source *s)
{
	for (u32 i = 0; i < s->machine->cpus; i++) {
		s->ring[i] = map(RECORD_ID_RING + i, 0, RECORD_RING * sizeof(struct record) / PAGE_SIZE);
		if (!s->ring[i]) {
			fprintf(stderr, "bothy: can't map the record of CPU %u\n", i);
			return END_FAILED;
		}
		s->next[i] = __atomic_load_n(&s->cpus[i].head, __ATOMIC_ACQUIRE);
	}
	return END_OK;
}

void source_read(struct source *s, struct samples *to)
{
	for (u32 i = 0; i < s->machine->cpus; i++)
		ring_read(s->ring[i], &s->cpus[i].head, s->machine->ring, &s->next[i], i, to);
}

u32 source_slots(struct source *s)
{
	const u32 in_a_page = PAGE_SIZE / RECORD_VCPU_SLOT;
	u32 nr = __atomic_load_n(&s->machine->vcpu_slots, __ATOMIC_ACQUIRE);

	if (nr > s->nr_slots)
		s->slots = realloc(s->slots, nr / in_a_page * sizeof(*s->slots));
	while (s->nr_slots < nr) {
		u32 page = s->nr_slots / in_a_page, left = (nr - s->nr_slots) / in_a_page, n = MIN(left, MAP_MAX);
		const u8 *at = map(RECORD_ID_VCPUS, page, n);

		if (!at)
			break;
		for (u32 i = 0; i < n; i++)
			s->slots[page + i] = at + i * PAGE_SIZE;
		s->nr_slots += n * in_a_page;
	}
	return s->nr_slots;
}

bool source_counters(struct source *s, u32 n, struct record_vcpu *out)
{
	const struct record_vcpu *c = (const void *)(s->slots[n / 2] + n % 2 * RECORD_VCPU_SLOT);
	u64 who = __atomic_load_n(&c->who, __ATOMIC_ACQUIRE);

	if (who == ~0ull)
		return false;
	memcpy(out, c, sizeof(*out));
	return __atomic_load_n(&c->who, __ATOMIC_ACQUIRE) == who;
}

u64 ticks_to_ns(const struct record_machine *m, u64 ticks)
{
	return (u64)((unsigned __int128)ticks * 1000000 / m->tsc_khz);
}

u64 system_time(const struct source *s)
{
	return ticks_to_ns(s->machine, __builtin_ia32_rdtsc() - s->machine->tsc_base);
}

int source_reset(void)
{
	xencall_handle *call = xencall_open(NULL, 0);
	struct { struct xen_sysctl op; char key; } *b = call ? xencall_alloc_buffer(call, sizeof(*b)) : NULL;
	int failed = -1;

	if (b) {
		memset(b, 0, sizeof(*b));
		b->key = 'r';
		b->op.cmd = XEN_SYSCTL_debug_keys;
		b->op.interface_version = XEN_SYSCTL_INTERFACE_VERSION;
		b->op.u.debug_keys.nr_keys = 1;
		set_xen_guest_handle(b->op.u.debug_keys.keys, &b->key);
		failed = xencall1(call, __HYPERVISOR_sysctl, (unsigned long)&b->op);
		xencall_free_buffer(call, b);
	}
	xencall_close(call);
	if (failed)
		fprintf(stderr, "bothy: the hypervisor refused to reset the longest times\n");
	return failed ? END_FAILED : END_OK;
}

/* ---- names ---- */

static struct xs_handle *store(void)
{
	static struct xs_handle *xs;

	if (!xs)
		xs = xs_open(0);
	return xs;
}

static char *stored_name(u32 domid)
{
	char path[48];
	unsigned len;

	snprintf(path, sizeof(path), "/local/domain/%u/name", domid);
	return store() ? xs_read(store(), XBT_NULL, path, &len) : NULL;
}

const char *guest_name(u32 domid)
{
	static char *names[65536];
	char text[24];

	domid &= 0xffff;
	if (!names[domid])
		names[domid] = stored_name(domid);
	if (!names[domid]) {
		snprintf(text, sizeof(text), "domain %u", domid);
		names[domid] = strdup(text);
	}
	return names[domid] ?: "?";
}

int guest_find(const char *text)
{
	unsigned nr = 0;
	int found = -1;
	char *end, **ids = store() ? xs_directory(store(), XBT_NULL, "/local/domain", &nr) : NULL;
	unsigned long number = strtoul(text, &end, 10);

	for (unsigned i = 0; i < nr && found < 0; i++) {
		u32 domid = (u32)strtoul(ids[i], NULL, 10);
		char *name = stored_name(domid);

		if ((name && !strcmp(name, text)) || (*text && !*end && number == domid))
			found = (int)domid;
		free(name);
	}
	free(ids);
	return found;
}
