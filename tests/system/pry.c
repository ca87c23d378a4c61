/*
 * pry COMMAND DOMID: what root of the service domain can do to a guest by raw hypercalls, as its stock tools or anybody else's. Each attack prints
 * "NAME: done" or "NAME: refused (errno)". An attack counts as done if the hypervisor carries it out.
 *
 *   pry all DOMID          every attack on a running guest, the ones that harm it last
 *   pry read DOMID GFN     maps the frame, and prints its first word
 *   pry hold DOMID GFN     maps the frame, prints "held", and keeps it until it is killed
 *   pry holdgrants DOMID   the same with the first frame of its grant table
 *   pry seed DOMID GFN     writes entry 8 of its grant table: the frame is lent to the service domain
 *   pry use DOMID          maps what entry 8 lends, and prints its first word
 *   pry port DOMID         opens an event port for it
 *   pry sweep DOMID        looks for the canary (make-kernel canary) in all memory that it can reach, and prints for each way how many
 *                          pages it has read, and in how many of them the canary is
 *   pry sweepmem 0 FROM TO looks for the canary by /dev/mem, in every eighth page from address FROM up to TO
 *   pry holdcanary DOMID   maps the canary's frames, prints "held", and keeps them until it is killed
 *   pry plant 0            holds the canary in its own memory, prints "held", and keeps it until it is killed
 */
#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <setjmp.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>
#include <xen/xen.h>
#include <xen/domctl.h>
#include <xen/event_channel.h>
#include <xen/grant_table.h>
#include <xen/memory.h>
#include <xen/hvm/hvm_op.h>
#include <xen/hvm/params.h>

/* Linux's interface, include/uapi/xen. */
struct privcmd_call { uint64_t op, arg[5]; };
struct privcmd_map { uint32_t num; uint16_t dom; uint64_t addr, arr, err; };
struct privcmd_resource { uint16_t dom; uint32_t type, id, idx; uint64_t num, addr; };
struct gntdev_map { uint32_t count, pad; uint64_t index; struct { uint32_t domid, ref; } refs[1]; };
#define PRIVCMD(nr, type) _IOC(_IOC_NONE, 'P', nr, sizeof(type))

/* A frame of the guest's kernel, one beyond the memory of each guest here, and the first of the canary's. */
enum { KERNEL = 0x100, BEYOND = 0x20000, CANARY = 0x200, SEEDED = 8, RESOURCE_GRANTS = 1 };

static int privcmd;
static uint16_t domid;
static uint32_t version = XEN_DOMCTL_INTERFACE_VERSION;

static void result(const char *name, int rc)
{
	if (rc < 0)
		printf("%s: refused (%s)\n", name, strerror(errno));
	else
		printf("%s: done\n", name);
}

/* The buffers are locked, since the hypervisor reads them by the page tables. */
static int call(uint64_t op, uint64_t a, uint64_t b, uint64_t c)
{
	struct privcmd_call h = { .op = op, .arg = { a, b, c } };

	return ioctl(privcmd, PRIVCMD(0, h), &h);
}

static int domctl(struct xen_domctl *op, uint32_t cmd)
{
	op->cmd = cmd;
	op->interface_version = version;
	op->domain = domid;
	return call(__HYPERVISOR_domctl, (uintptr_t)op, 0, 0);
}

static int memory(unsigned cmd, void *arg) { return call(__HYPERVISOR_memory_op, cmd, (uintptr_t)arg, 0); }

/* Returns the frame's contents, or NULL. */
static uint64_t *map(uint64_t gfn)
{
	uint64_t *at = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, privcmd, 0);
	int err = 0;
	struct privcmd_map m = { 1, domid, (uintptr_t)at, (uintptr_t)&gfn, (uintptr_t)&err };

	if (ioctl(privcmd, PRIVCMD(4, m), &m) < 0 || err) {
		errno = err ? -err : errno;
		return NULL;
	}
	return at;
}

static uint64_t *map_grants(void)
{
	uint64_t *at = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, privcmd, 0);
	struct privcmd_resource r = { domid, RESOURCE_GRANTS, 0, 0, 1, (uintptr_t)at };

	return ioctl(privcmd, PRIVCMD(7, r), &r) < 0 ? NULL : at;
}

static uint64_t *use_grant(void)
{
	struct gntdev_map m = { .count = 1, .refs = { { domid, SEEDED } } };
	int fd = open("/dev/xen/gntdev", O_RDWR);
	uint64_t *at;

	if (ioctl(fd, _IOC(_IOC_NONE, 'G', 0, sizeof(m)), &m) < 0)
		return NULL;
	at = mmap(NULL, 4096, PROT_READ, MAP_SHARED, fd, (off_t)m.index);
	return at == MAP_FAILED ? NULL : at;
}

static void print(const uint64_t *at)
{
	if (at)
		printf("%" PRIx64 "\n", *at);
	else
		printf("refused (%s)\n", strerror(errno));
}

static void registers(void)
{
	static vcpu_guest_context_t context;
	static uint8_t stream[1 << 16];
	struct xen_domctl op = { 0 };

	op.u.vcpucontext.ctxt.p = &context;
	result("getvcpucontext", domctl(&op, XEN_DOMCTL_getvcpucontext));
	op = (struct xen_domctl){ 0 };
	domctl(&op, XEN_DOMCTL_pausedomain);
	op = (struct xen_domctl){ 0 };
	op.u.vcpucontext.ctxt.p = &context;
	result("setvcpucontext", domctl(&op, XEN_DOMCTL_setvcpucontext));
	op = (struct xen_domctl){ 0 };
	op.u.hvmcontext.size = sizeof(stream);
	op.u.hvmcontext.buffer.p = stream;
	result("gethvmcontext", domctl(&op, XEN_DOMCTL_gethvmcontext));
	result("sethvmcontext", domctl(&op, XEN_DOMCTL_sethvmcontext));
	op = (struct xen_domctl){ 0 };
	domctl(&op, XEN_DOMCTL_unpausedomain);
	op = (struct xen_domctl){ 0 };
	op.u.settimeoffset.time_offset_seconds = 100;
	result("settimeoffset", domctl(&op, XEN_DOMCTL_settimeoffset));
}

static void frames(void)
{
	uint64_t gfn = BEYOND, first = KERNEL;
	struct xen_memory_reservation r = { .nr_extents = 1, .domid = domid };
	struct xen_add_to_physmap a = { .domid = domid, .space = XENMAPSPACE_shared_info, .gpfn = BEYOND + 1 };
	struct xen_remove_from_physmap gone = { .domid = domid, .gpfn = BEYOND + 1 };
	struct xen_domctl op = { 0 };
	struct xen_memory_domain m = { .domid = domid };
	uint64_t *grants;

	op.u.max_mem.max_memkb = 1 << 20;
	domctl(&op, XEN_DOMCTL_max_mem);
	result("maximum_gpfn", memory(XENMEM_maximum_gpfn, &m));
	r.extent_start.p = (xen_pfn_t *)&gfn;
	result("populate", memory(XENMEM_populate_physmap, &r) == 1 ? 0 : -1);
	result("decrease", memory(XENMEM_decrease_reservation, &r) == 1 ? 0 : -1);
	result("shared_info over a page", memory(XENMEM_add_to_physmap, &a));
	result("remove", memory(XENMEM_remove_from_physmap, &gone));
	a = (struct xen_add_to_physmap){ .domid = domid, .space = XENMAPSPACE_grant_table, .gpfn = BEYOND + 2 };
	result("grant table over a page", memory(XENMEM_add_to_physmap, &a));
	a = (struct xen_add_to_physmap){ .domid = domid, .space = XENMAPSPACE_gmfn, .idx = first + 1, .gpfn = BEYOND + 3 };
	result("move a page", memory(XENMEM_add_to_physmap, &a));
	grants = map_grants();
	result("map the grant table", grants ? 0 : -1);
	op = (struct xen_domctl){ 0 };
	op.u.shadow_op.op = XEN_DOMCTL_SHADOW_OP_ENABLE_LOGDIRTY;
	result("dirty log", domctl(&op, XEN_DOMCTL_shadow_op));
	op = (struct xen_domctl){ 0 };
	op.u.shadow_op.op = XEN_DOMCTL_SHADOW_OP_OFF;
	domctl(&op, XEN_DOMCTL_shadow_op);
}

static int open_port(void)
{
	struct evtchn_alloc_unbound port = { .dom = domid, .remote_dom = DOMID_SELF };

	return call(__HYPERVISOR_event_channel_op, EVTCHNOP_alloc_unbound, (uintptr_t)&port, 0);
}

static void interrupts(void)
{
	struct xen_hvm_param p = { .domid = domid, .index = HVM_PARAM_VM86_TSS, .value = 1 };
	struct evtchn_reset reset = { .dom = domid };
	struct xen_domctl op = { 0 };

	result("set_param", call(__HYPERVISOR_hvm_op, HVMOP_set_param, (uintptr_t)&p, 0));
	result("open a port for it", open_port());
	result("reset its ports", call(__HYPERVISOR_event_channel_op, EVTCHNOP_reset, (uintptr_t)&reset, 0));
	op.u.sendtrigger.trigger = XEN_DOMCTL_SENDTRIGGER_NMI;
	result("nmi", domctl(&op, XEN_DOMCTL_sendtrigger));
}

/* ---- the canary ---- */

/*
 * A page full of this word. No program and no file has it, only its two halves. A page is read by its first line, and a line of memory is as
 * good as the page: either all of it can be read or nothing.
 */
enum { CANARY_LINE = 64, PLANTED = 64 };
static volatile uint32_t half[2] = { 0x13579bdf, 0x5b0c2e91 };

static int is_canary(const uint32_t *line)
{
	for (unsigned i = 0; i < CANARY_LINE / 4; i++)
		if (line[i] != (half[0] ^ half[1]))
			return 0;
	return 1;
}

static void plant(void)
{
	volatile uint32_t *at = mmap(NULL, PLANTED * 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	for (unsigned i = 0; i < PLANTED * 1024; i++)
		at[i] = half[0] ^ half[1];
	puts("held");
	pause();
}

struct swept { uint64_t read, found; };
static void tell(const char *way, const struct swept *s) { printf("%s: %" PRIu64 " read, %" PRIu64 " found\n", way, s->read, s->found); }

/* All the kernel's memory, by the window that Linux has for its own debuggers: all RAM of the service domain, whoever has it. */
static void sweep_own(void)
{
	static uint32_t line[CANARY_LINE / 4];
	int fd = open("/proc/kcore", O_RDONLY);
	struct swept s = { 0 };
	Elf64_Ehdr e;
	Elf64_Phdr p;

	if (fd < 0 || pread(fd, &e, sizeof(e), 0) != sizeof(e)) {
		printf("own memory: %s\n", strerror(errno));
		return;
	}
	for (unsigned n = 0; n < e.e_phnum; n++) {
		if (pread(fd, &p, sizeof(p), (off_t)(e.e_phoff + n * sizeof(p))) != sizeof(p))
			break;
		/* Only what has a place in physical memory. */
		if (p.p_type != PT_LOAD || p.p_paddr == UINT64_MAX || p.p_memsz > 1ull << 40)
			continue;
		for (uint64_t at = 0; at < p.p_memsz; at += 4096)
			if (pread(fd, line, sizeof(line), (off_t)(p.p_offset + at)) == sizeof(line)) {
				s.read++;
				s.found += (uint64_t)is_canary(line);
			}
	}
	memset(line, 0, sizeof(line));
	tell("own memory", &s);
}

static sigjmp_buf beyond;
static void fault(int sig) { siglongjmp(beyond, sig); }

/* A page by its address. Returns 1 if the canary is in it, 0 if not, or -1 if Bothy doesn't let us read it. */
static int look(const void *page)
{
	if (sigsetjmp(beyond, 1))
		return -1;
	return is_canary(page);
}

/*
 * By /dev/mem: Linux's own RAM it denies (CONFIG_STRICT_DEVMEM), whatever the command line says. With iomem=relaxed it gives all other addresses,
 * also the ones at which it has mapped a guest's frames. An address of memory that isn't the service domain's makes a #GP, so the program gets a signal.
 */
static void sweep_devmem(uint64_t from, uint64_t to)
{
	enum { STEP = 8 };
	int fd = open("/dev/mem", O_RDONLY);
	uint64_t denied = 0, refused = 0;
	struct swept s = { 0 };

	signal(SIGSEGV, fault);
	signal(SIGBUS, fault);
	for (uint64_t at = from; at < to; at += STEP * 4096) {
		void *page = mmap(NULL, 4096, PROT_READ, MAP_SHARED, fd, (off_t)at);
		int found;

		if (page == MAP_FAILED) {
			denied += errno == EPERM;
			continue;
		}
		found = look(page);
		if (found < 0)
			refused++;
		else
			s.read++;
		s.found += found > 0;
		munmap(page, 4096);
	}
	printf("/dev/mem: %" PRIu64 " denied by Linux, %" PRIu64 " refused by Bothy\n", denied, refused);
	tell("/dev/mem", &s);
}

/* The guest's own frames, as the toolstack maps them. */
static void sweep_frames(uint64_t frames)
{
	struct swept s = { 0 };

	for (uint64_t gfn = 0; gfn < frames; gfn++) {
		uint64_t *at = map(gfn);

		if (!at)
			continue;
		s.read++;
		s.found += (uint64_t)is_canary((const uint32_t *)(const void *)at);
		munmap(at, 4096);
	}
	tell("frames", &s);
}

/* Every frame of the machine by its own number, as the guest's and as the hypervisor's: how many of them a raw hypercall gives us. */
static void sweep_machine(uint64_t frames)
{
	enum { BATCH = 512, FREE = 0x200000 };
	static const uint16_t owners[] = { 0, DOMID_XEN, DOMID_IO };
	static uint64_t idx[BATCH], gpfn[BATCH];
	static int err[BATCH];
	uint64_t asked = 0, given = 0;

	for (unsigned o = 0; o < sizeof(owners) / sizeof(owners[0]); o++)
		for (uint64_t mfn = 0; mfn < frames; mfn += BATCH) {
			struct xen_add_to_physmap_batch b = { .domid = DOMID_SELF, .space = XENMAPSPACE_gmfn_foreign, .size = BATCH };

			for (unsigned i = 0; i < BATCH; i++) {
				idx[i] = mfn + i;
				gpfn[i] = FREE + i;
				err[i] = 1;
			}
			b.u.foreign_domid = owners[o] ? owners[o] : domid;
			b.idxs.p = (xen_ulong_t *)idx;
			b.gpfns.p = (xen_pfn_t *)gpfn;
			b.errs.p = err;
			asked += BATCH;
			if (!memory(XENMEM_add_to_physmap_batch, &b))
				for (unsigned i = 0; i < BATCH; i++)
					given += !err[i];
		}
	printf("machine: %" PRIu64 " asked for, %" PRIu64 " given\n", asked, given);
}

int main(int argc, char **argv)
{
	uint64_t gfn = argc > 3 ? strtoull(argv[3], NULL, 0) : KERNEL, *at;

	if (argc < 3)
		return 2;
	domid = (uint16_t)atoi(argv[2]);
	privcmd = open("/dev/xen/privcmd", O_RDWR | O_CLOEXEC);
	mlockall(MCL_CURRENT | MCL_FUTURE);
	setvbuf(stdout, NULL, _IOLBF, 0);
	if (!strcmp(argv[1], "all")) {
		result("map a page", map(gfn) ? 0 : -1);
		registers();
		frames();
		interrupts();
	} else if (!strcmp(argv[1], "read")) {
		print(map(gfn));
	} else if (!strcmp(argv[1], "holdcanary")) {
		for (gfn = CANARY; gfn < CANARY + PLANTED && map(gfn);)
			gfn++;
		puts(gfn == CANARY + PLANTED ? "held" : "refused");
		if (gfn == CANARY + PLANTED)
			pause();
	} else if (!strncmp(argv[1], "hold", 4)) {
		at = argv[1][4] ? map_grants() : map(gfn);
		puts(at ? "held" : "refused");
		if (at)
			pause();
	} else if (!strcmp(argv[1], "seed")) {
		at = map_grants();
		if (at)
			at[SEEDED] = GTF_permit_access | gfn << 32;
		puts(at ? "seeded" : "refused");
	} else if (!strcmp(argv[1], "use")) {
		print(use_grant());
	} else if (!strcmp(argv[1], "port")) {
		result("open a port for it", open_port());
	} else if (!strcmp(argv[1], "plant")) {
		plant();
	} else if (!strcmp(argv[1], "sweepmem") && argc > 4) {
		sweep_devmem(gfn, strtoull(argv[4], NULL, 0));
	} else if (!strcmp(argv[1], "sweep")) {
		sweep_own();
		sweep_frames(0x1100);
		sweep_machine(0x180000);
	}
	return 0;
}
