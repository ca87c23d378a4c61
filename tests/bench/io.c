/*
 * The benchmark's tool for Linux, in the service domain and in a guest: reads and writes a disk around the page cache, moves bytes over
 * TCP, asks the hypervisor for its time, writes to memory without a pause, and times what a migration asks of the hypervisor. A measurement is a line "IO NAME UNITS NANOSECONDS".
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <fcntl.h>
#include <inttypes.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>
#include <xen/xen.h>
#include <xen/domctl.h>
#include <xen/vcpu.h>
#include <xen/sys/privcmd.h>

#define CHUNK (256u << 10)

static uint8_t buffer[1 << 20] __attribute__((aligned(4096)));

struct request { uint64_t bytes; char mode; } __attribute__((packed));

static void need(int ok, const char *what)
{
	if (ok)
		return;
	perror(what);
	exit(1);
}

static uint64_t nanoseconds(clockid_t which)
{
	struct timespec t;

	clock_gettime(which, &t);
	return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

static void result(const char *name, uint64_t units, uint64_t start)
{
	printf("IO %s %" PRIu64 " %" PRIu64 "\n", name, units, nanoseconds(CLOCK_MONOTONIC) - start);
}

/* By how much this system's clock is ahead of the hypervisor's time: who has slept got the CPU just now, and the hypervisor knows when. */
static void tell_clock(void)
{
	struct vcpu_runstate_info *r = (void *)buffer;
	struct privcmd_hypercall call = { .op = __HYPERVISOR_vcpu_op, .arg = { VCPUOP_get_runstate_info, 0, (uint64_t)r } };
	struct timespec ms = { .tv_nsec = 1000000 };
	int fd = open("/dev/xen/privcmd", O_RDWR);

	need(fd >= 0, "/dev/xen/privcmd");
	mlock(buffer, 4096);
	buffer[0] = 0;
	nanosleep(&ms, NULL);
	need(ioctl(fd, IOCTL_PRIVCMD_HYPERCALL, &call) == 0, "get_runstate_info");
	printf("%" PRIu64 "\n", nanoseconds(CLOCK_REALTIME) - r->state_entry_time);
}

/* Rewrites so much memory, a word in each page, for ever. */
static void dirty(size_t bytes)
{
	volatile uint64_t *at = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);

	need(at != MAP_FAILED, "mmap");
	printf("IO dirty 1 1\n");
	fflush(stdout);
	for (uint64_t round = 0;; round++)
		for (size_t i = 0; i < bytes / sizeof(*at); i += 4096 / sizeof(*at))
			at[i] = round;
}

static struct xen_domctl domctl;

/* Does the operation that stands in domctl.u for the domain, and returns the instructions that it took. */
static uint64_t ask(int fd, uint32_t cmd, domid_t domain)
{
	struct privcmd_hypercall call = { .op = __HYPERVISOR_domctl, .arg = { (uint64_t)&domctl } };
	uint64_t start;

	domctl.cmd = cmd;
	domctl.interface_version = XEN_DOMCTL_INTERFACE_VERSION;
	domctl.domain = domain;
	start = __builtin_ia32_rdtsc();
	need(ioctl(fd, IOCTL_PRIVCMD_HYPERCALL, &call) == 0, "domctl");
	return __builtin_ia32_rdtsc() - start;
}

static uint64_t shadow_op(int fd, domid_t domain, uint32_t op, uint64_t pages)
{
	memset(&domctl, 0, sizeof(domctl));
	domctl.u.shadow_op.op = op;
	domctl.u.shadow_op.pages = pages;
	domctl.u.shadow_op.dirty_bitmap.p = pages ? buffer : NULL;
	return ask(fd, XEN_DOMCTL_shadow_op, domain);
}

/*
 * In the first round of a migration: the fewest instructions for the types of 1024 frames that are all of one kind, and for a round's bitmap.
 * What the kernel here adds is some 1,000 of them.
 */
static void types(domid_t domain, uint64_t gfns)
{
	enum { HOLES, USED, ZERO, MIXED, BATCH = 1024 };
	static const char *const names[] = { "types_holes", "types_used", "types_zero" };
	uint64_t least[] = { ~0ull, ~0ull, ~0ull, ~0ull }, clean = ~0ull, *type = (uint64_t *)buffer;
	int fd = open("/dev/xen/privcmd", O_RDWR);

	need(fd >= 0, "/dev/xen/privcmd");
	mlock(buffer, sizeof(buffer));
	mlock(&domctl, sizeof(domctl));
	shadow_op(fd, domain, XEN_DOMCTL_SHADOW_OP_ENABLE_LOGDIRTY, 0);
	for (uint64_t gfn = 0; gfn + BATCH <= gfns; gfn += BATCH) {
		uint64_t took;
		int kind;

		for (uint64_t i = 0; i < BATCH; i++)
			type[i] = gfn + i;
		memset(&domctl, 0, sizeof(domctl));
		domctl.u.getpageframeinfo3.num = BATCH;
		domctl.u.getpageframeinfo3.array.p = type;
		took = ask(fd, XEN_DOMCTL_getpageframeinfo3, domain);
		kind = type[0] == XEN_DOMCTL_PFINFO_XTAB ? HOLES : type[0] == XEN_DOMCTL_PFINFO_XALLOC ? ZERO : USED;
		for (uint64_t i = 1; i < BATCH; i++)
			if (type[i] != type[0])
				kind = MIXED;
		if (took < least[kind])
			least[kind] = took;
	}
	for (int i = 0; i < 4; i++) {
		uint64_t took = shadow_op(fd, domain, XEN_DOMCTL_SHADOW_OP_CLEAN, gfns);

		clean = took < clean ? took : clean;
	}
	shadow_op(fd, domain, XEN_DOMCTL_SHADOW_OP_OFF, 0);
	for (int i = 0; i < MIXED; i++)
		if (~least[i])
			printf("MIGRATE %s %" PRIu64 "\n", names[i], least[i]);
	printf("MIGRATE clean %" PRIu64 "\n", clean);
}

static void disk(const char *name, const char *file, int writes, int randomly, size_t block, uint64_t count)
{
	int fd = open(file, (writes ? O_RDWR : O_RDONLY) | O_DIRECT);
	uint64_t blocks, start, seed = 1;

	need(fd >= 0, file);
	blocks = (uint64_t)lseek(fd, 0, SEEK_END) / block;
	start = nanoseconds(CLOCK_MONOTONIC);
	for (uint64_t i = 0; i < count; i++) {
		off_t at;

		seed = seed * 6364136223846793005ull + 1442695040888963407ull;
		at = (off_t)((randomly ? seed >> 20 : i) % blocks * block);
		need((writes ? pwrite(fd, buffer, block, at) : pread(fd, buffer, block, at)) == (ssize_t)block, file);
	}
	result(name, count, start);
}

static void take(int s, uint64_t bytes)
{
	while (bytes) {
		ssize_t n = read(s, buffer, bytes < CHUNK ? bytes : CHUNK);

		need(n > 0, "read");
		bytes -= (uint64_t)n;
	}
}

static void give(int s, uint64_t bytes)
{
	while (bytes) {
		ssize_t n = write(s, buffer, bytes < CHUNK ? bytes : CHUNK);

		need(n > 0, "write");
		bytes -= (uint64_t)n;
	}
}

static void answer(int s)
{
	struct request r;

	need(read(s, &r, sizeof(r)) == sizeof(r), "request");
	if (r.mode == 'd') {
		give(s, r.bytes);
	} else if (r.mode == 'u') {
		take(s, r.bytes);
		give(s, 1);
	} else {
		for (; r.bytes; r.bytes--) {
			take(s, 1);
			give(s, 1);
		}
	}
}

static struct sockaddr_in address(const char *host, const char *port)
{
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_port = htons((uint16_t)atoi(port)) };

	need(inet_pton(AF_INET, host, &a.sin_addr) == 1, host);
	return a;
}

static void serve(const char *port)
{
	struct sockaddr_in a = address("0.0.0.0", port);
	int s = socket(AF_INET, SOCK_STREAM, 0), one = 1;

	need(!bind(s, (void *)&a, sizeof(a)) && !listen(s, 1), "listen");
	for (;;) {
		int c = accept(s, NULL, NULL);

		need(c >= 0, "accept");
		setsockopt(c, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
		answer(c);
		close(c);
	}
}

static void net(const char *name, const char *host, const char *port, char mode, uint64_t bytes)
{
	struct sockaddr_in a = address(host, port);
	struct request r = { bytes, mode };
	int s = socket(AF_INET, SOCK_STREAM, 0), one = 1;
	uint64_t start;

	setsockopt(s, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	need(!connect(s, (void *)&a, sizeof(a)), "connect");
	start = nanoseconds(CLOCK_MONOTONIC);
	need(write(s, &r, sizeof(r)) == sizeof(r), "request");
	if (mode == 'd') {
		take(s, bytes);
	} else if (mode == 'u') {
		give(s, bytes);
		take(s, 1);
	} else {
		for (uint64_t i = 0; i < bytes; i++) {
			give(s, 1);
			take(s, 1);
		}
	}
	result(name, bytes, start);
}

int main(int argc, char **argv)
{
	if (argc == 2 && !strcmp(argv[1], "clock"))
		tell_clock();
	else if (argc == 3 && !strcmp(argv[1], "dirty"))
		dirty((size_t)atol(argv[2]));
	else if (argc == 4 && !strcmp(argv[1], "types"))
		types((domid_t)atoi(argv[2]), (uint64_t)atoll(argv[3]));
	else if (argc == 8 && !strcmp(argv[1], "disk"))
		disk(argv[2], argv[3], *argv[4] == 'w', *argv[5] == 'r', (size_t)atol(argv[6]), (uint64_t)atoll(argv[7]));
	else if (argc == 3 && !strcmp(argv[1], "serve"))
		serve(argv[2]);
	else if (argc == 7 && !strcmp(argv[1], "net"))
		net(argv[2], argv[3], argv[4], *argv[5], (uint64_t)atoll(argv[6]));
	else
		return fprintf(stderr, "usage: io clock | dirty BYTES | types DOMID GFNS | disk NAME FILE r|w seq|random BLOCK COUNT | serve PORT | net NAME HOST PORT u|d|p BYTES\n"), 2;
	return 0;
}
