/*
 * forge COMMAND: what a device may do that the service domain's root makes write where messages of interrupts go (SDM 11.11, APM 16.4).
 * The device is QEMU's `edu`, whose DMA engine copies between memory and a buffer of its own.
 *
 *   forge messages MODE [CPU]   one burst: every vector but 128, with this delivery mode (0 to 7). To all CPUs, by the physical and by the logical
 *                               destination; or to the CPU whose APIC has this number
 *   forge touch ADDRESS         the CPU reads and writes a word there; status 3 if it faults
 *
 * And what it may do to memory. Addresses are the machine's; a word has eight bytes:
 *
 *   forge own                          the device copies a word in the service domain's memory: status 0 if it arrives
 *   forge find FROM STEP COUNT WORD    prints the first of these addresses with this word, by the device's reads; status 1 if there is none
 *   forge write ADDRESS WORD           the device writes the word there
 *   forge grant DOMID REF [ro]         maps the granted page; the device reads it, writes to it, and tries again when it is no longer mapped
 *   forge balloon                      the same with a page of the service domain's that it gives back to Bothy, and then asks for again
 *   forge flood ADDRESS COUNT          all such devices together read there, in so many accesses
 */
#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

enum { EDU_ID = 0x11e81234, COMMAND = 4, MEMORY_AND_MASTER = 6 };
enum { EDU_SOURCE = 0x80, EDU_TARGET = 0x88, EDU_BYTES = 0x90, EDU_START = 0x98, EDU_BUFFER = 0x40000, FROM_MEMORY = 1, TO_MEMORY = 3 };

/* Of the first device, which all commands but flood use. */
static volatile uint8_t *registers;

static void fail(const char *what)
{
	perror(what);
	exit(1);
}

static int open_file(const char *device, const char *name, int flags)
{
	char path[512];
	int fd;

	snprintf(path, sizeof(path), "/sys/bus/pci/devices/%s/%s", device, name);
	fd = open(path, flags);
	if (fd < 0)
		fail(path);
	return fd;
}

static uint32_t id_of(const char *device)
{
	uint32_t id = 0;
	int fd = open_file(device, "config", O_RDONLY);

	if (pread(fd, &id, sizeof(id), 0) != sizeof(id))
		id = 0;
	close(fd);
	return id;
}

static volatile uint8_t *open_device(const char *name)
{
	uint16_t command;
	int fd = open_file(name, "enable", O_WRONLY);
	volatile uint8_t *at;

	if (write(fd, "1", 1) != 1)
		fail("enable");
	fd = open_file(name, "config", O_RDWR);
	if (pread(fd, &command, 2, COMMAND) != 2)
		fail("config");
	command |= MEMORY_AND_MASTER;
	if (pwrite(fd, &command, 2, COMMAND) != 2)
		fail("config");
	fd = open_file(name, "resource0", O_RDWR | O_SYNC);
	at = mmap(NULL, 1 << 20, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (at == MAP_FAILED)
		fail("resource0");
	return at;
}

/* The registers of the machine's edu devices, at most so many. Returns how many there are. */
static unsigned find_devices(volatile uint8_t *found[], unsigned most)
{
	DIR *all = opendir("/sys/bus/pci/devices");
	unsigned nr = 0;
	struct dirent *e;

	while (nr < most && (e = readdir(all)))
		if (e->d_name[0] != '.' && id_of(e->d_name) == EDU_ID)
			found[nr++] = open_device(e->d_name);
	closedir(all);
	if (!nr) {
		puts("there is no edu device");
		exit(1);
	}
	return nr;
}

static void find_device(void) { find_devices(&registers, 1); }

static void set(unsigned reg, uint64_t v) { *(volatile uint64_t *)(registers + reg) = v; }

static void begin_copy(uint64_t source, uint64_t target, uint64_t bytes, unsigned command)
{
	set(EDU_SOURCE, source);
	set(EDU_TARGET, target);
	set(EDU_BYTES, bytes);
	set(EDU_START, command);
}

static void end_copy(void)
{
	for (int i = 0; i < 3000; i++) {
		if (!(*(volatile uint64_t *)(registers + EDU_START) & 1))
			return;
		usleep(10000);
	}
	puts("the device does not finish");
	exit(1);
}

static void copy(uint64_t source, uint64_t target, uint64_t bytes, unsigned command)
{
	begin_copy(source, target, bytes, command);
	end_copy();
}

/* The service domain's memory is at machine addresses. */
static uint64_t address_of(void *p)
{
	uint64_t entry = 0;
	int fd = open("/proc/self/pagemap", O_RDONLY);

	if (pread(fd, &entry, 8, (off_t)((uintptr_t)p / 4096 * 8)) != 8)
		fail("pagemap");
	close(fd);
	return (entry & ((1ull << 55) - 1)) * 4096;
}

/* Linux panics of its own accord where 0x80, its system call, comes from outside. */
enum { LINUX_SYSCALL = 0x80 };

/*
 * Bits 19:12 of the address are the destination, all ones for every CPU; bit 2 is clear for a physical one. To one CPU, each second word is a fixed
 * message of vector 0, which every APIC refuses.
 */
enum { EVERY_CPU = 0xff };
static void send_all_vectors(unsigned mode, unsigned cpu)
{
	uint32_t *page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE | MAP_LOCKED, -1, 0);

	if (page == MAP_FAILED)
		fail("memory");
	for (unsigned vector = 0; vector < 256; vector++) {
		page[vector * 2] = mode << 8 | (vector == LINUX_SYSCALL ? vector + 1 : vector);
		page[vector * 2 + 1] = cpu == EVERY_CPU ? page[vector * 2] : 0;
	}
	copy(address_of(page), EDU_BUFFER, 2048, FROM_MEMORY);
	copy(EDU_BUFFER, 0xfee00000 + cpu * 4096, 2048, TO_MEMORY);
}

static void faulted(int signal)
{
	(void)signal;
	_exit(3);
}

static void touch(uint64_t address)
{
	int fd = open("/dev/mem", O_RDWR | O_SYNC);
	volatile uint32_t *p;

	if (fd < 0)
		fail("/dev/mem");
	p = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, (off_t)(address & ~4095ull));
	if (p == MAP_FAILED)
		fail("mmap of /dev/mem");
	p += address % 4096 / 4;
	signal(SIGSEGV, faulted);
	printf("read %x\n", *p);
	*p = 0;
}

/* ---- memory ---- */

enum { BUFFER_WORDS = 500 };
static uint64_t *own;   /* a page of the service domain's, for the device to copy to */

static uint64_t *new_page(void)
{
	uint64_t *page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE | MAP_LOCKED, -1, 0);

	if (page == MAP_FAILED)
		fail("memory");
	return page;
}

static void device_writes(uint64_t address, uint64_t word)
{
	*own = word;
	copy(address_of(own), EDU_BUFFER, 8, FROM_MEMORY);
	copy(EDU_BUFFER, address, 8, TO_MEMORY);
}

/* A blocked read leaves the device's buffer as it is, or gives zeros: so the buffer holds something else before. */
static uint64_t device_reads(uint64_t address)
{
	*own = 0x5a5a5a5a5a5a5a5a;
	copy(address_of(own), EDU_BUFFER, 8, FROM_MEMORY);
	copy(address, EDU_BUFFER, 8, FROM_MEMORY);
	copy(EDU_BUFFER, address_of(own), 8, TO_MEMORY);
	return *own;
}

static int copy_own(void)
{
	volatile uint64_t *other = new_page();

	*other = 1;
	device_writes(address_of((void *)other), 0x1122334455667788);
	printf("%lx\n", (unsigned long)*other);
	return *other != 0x1122334455667788;
}

/* A DMA takes the device a tenth of a second, so a whole buffer is looked at together. */
static int find(uint64_t from, uint64_t by, unsigned count, uint64_t word)
{
	for (unsigned at = 0; at < count; at += BUFFER_WORDS) {
		unsigned nr = count - at < BUFFER_WORDS ? count - at : BUFFER_WORDS;

		memset(own, 0, 4096);
		copy(address_of(own), EDU_BUFFER, nr * 8, FROM_MEMORY);
		for (unsigned i = 0; i < nr; i++)
			copy(from + (at + i) * by, EDU_BUFFER + i * 8, 8, FROM_MEMORY);
		copy(EDU_BUFFER, address_of(own), nr * 8, TO_MEMORY);
		for (unsigned i = 0; i < nr; i++)
			if (own[i] == word) {
				printf("%lx\n", (unsigned long)(from + (at + i) * by));
				return 0;
			}
	}
	return 1;
}

/* /dev/xen/gntdev, from Linux's xen/gntdev.h. */
struct map_grant { uint32_t count, pad; uint64_t index; uint32_t domid, ref; };
struct unmap_grant { uint64_t index; uint32_t count, pad; };
#define MAP_GRANT   _IOC(_IOC_NONE, 'G', 0, sizeof(struct map_grant))
#define UNMAP_GRANT _IOC(_IOC_NONE, 'G', 1, sizeof(struct unmap_grant))

/* The word that is tried is at the page's end. It isn't 0, because a blocked read may give the device zeros. */
enum { LAST = 511 };
static const uint64_t first_word = 0x1122334455667788, second_word = 0x8877665544332211;

static volatile uint64_t *map_grant(int fd, struct map_grant *map, int protection)
{
	volatile uint64_t *page;

	if (ioctl(fd, MAP_GRANT, map))
		fail("gntdev");
	page = mmap(NULL, 4096, protection, MAP_SHARED, fd, (off_t)map->index);
	if (page == MAP_FAILED)
		fail("mmap of the grant");
	return page;
}

static void unmap_grant(int fd, const struct map_grant *map, volatile uint64_t *page)
{
	struct unmap_grant unmap = { .index = map->index, .count = 1 };

	munmap((void *)page, 4096);
	if (ioctl(fd, UNMAP_GRANT, &unmap))
		fail("unmap");
}

static int try_grant(uint32_t domid, uint32_t ref, int writable)
{
	struct map_grant map = { .count = 1, .domid = domid, .ref = ref };
	int fd = open("/dev/xen/gntdev", O_RDWR);
	volatile uint64_t *page;
	uint64_t address, after;

	if (fd < 0)
		fail("gntdev");
	page = map_grant(fd, &map, PROT_READ | PROT_WRITE);
	page[LAST] = first_word;
	unmap_grant(fd, &map, page);
	page = map_grant(fd, &map, writable ? PROT_READ | PROT_WRITE : PROT_READ);
	address = address_of((void *)page) + LAST * 8;
	printf("read %s\n", device_reads(address) == first_word ? "arrives" : "blocked");
	device_writes(address, second_word);
	printf("write %s\n", page[LAST] == second_word ? "arrives" : page[LAST] == first_word ? "blocked" : "wrong");
	unmap_grant(fd, &map, page);
	after = device_reads(address);
	printf("after %s\n", after == first_word || after == second_word ? "arrives" : "blocked");
	return 0;
}

/* Linux's privcmd, and from Xen's memory.h: a list of frames that a domain gives back, or asks for. */
struct privcmd_call { uint64_t op, arg[5]; };
struct reservation { uint64_t frames, nr; uint32_t order, flags; uint16_t domid; };
#define HYPERCALL _IOC(_IOC_NONE, 'P', 0, sizeof(struct privcmd_call))
enum { MEMORY_OP = 12, DECREASE = 1, POPULATE = 6, DOMID_SELF = 0x7ff0 };

static void reserve(unsigned op, uint64_t frame)
{
	struct reservation r = { .frames = (uintptr_t)&frame, .nr = 1, .domid = DOMID_SELF };
	struct privcmd_call call = { .op = MEMORY_OP, .arg = { op, (uintptr_t)&r } };
	int fd = open("/dev/xen/privcmd", O_RDWR | O_CLOEXEC);

	if (fd < 0 || ioctl(fd, HYPERCALL, &call) != 1)
		fail("privcmd");
	close(fd);
}

/* Nobody else knows that the page has gone, so no CPU may touch it before it is back. */
static int try_balloon(void)
{
	volatile uint64_t *page = new_page();
	uint64_t address = address_of((void *)page) + LAST * 8;

	page[LAST] = first_word;
	printf("read %s\n", device_reads(address) == first_word ? "arrives" : "blocked");
	reserve(DECREASE, address / 4096);
	printf("after %s\n", device_reads(address) == first_word ? "arrives" : "blocked");
	device_writes(address, second_word);
	reserve(POPULATE, address / 4096);
	printf("write %s\n", page[LAST] == second_word ? "arrives" : "blocked");
	page[LAST] = first_word;
	printf("back %s\n", device_reads(address) == first_word ? "arrives" : "blocked");
	return 0;
}

/*
 * Each DMA has two accesses, since it goes across the end of a page. Each device is the first one in its turn, because a unit may have room for
 * one report only.
 */
static int flood(uint64_t address, unsigned count)
{
	enum { DEVICES = 16, HALF = 2048 };
	volatile uint8_t *device[DEVICES];
	unsigned nr = find_devices(device, DEVICES), done;

	for (done = 0; done < count; done += 2 * nr) {
		for (unsigned i = 0; i < nr; i++) {
			registers = device[(i + done / (2 * nr)) % nr];
			begin_copy(address + HALF, EDU_BUFFER, HALF + 8, FROM_MEMORY);
		}
		for (unsigned i = 0; i < nr; i++) {
			registers = device[i];
			end_copy();
		}
	}
	printf("%u accesses by %u devices\n", done, nr);
	return 0;
}

static int use_memory(int argc, char **argv)
{
	if (argc == 4 && !strcmp(argv[1], "flood"))
		return flood(strtoull(argv[2], NULL, 0), (unsigned)strtoul(argv[3], NULL, 0));
	find_device();
	own = new_page();
	if (argc == 2 && !strcmp(argv[1], "own"))
		return copy_own();
	if (argc == 6 && !strcmp(argv[1], "find"))
		return find(strtoull(argv[2], NULL, 0), strtoull(argv[3], NULL, 0), (unsigned)strtoul(argv[4], NULL, 0), strtoull(argv[5], NULL, 0));
	if (argc == 4 && !strcmp(argv[1], "write")) {
		device_writes(strtoull(argv[2], NULL, 0), strtoull(argv[3], NULL, 0));
		return 0;
	}
	if (argc == 2 && !strcmp(argv[1], "balloon"))
		return try_balloon();
	if (argc >= 4 && !strcmp(argv[1], "grant"))
		return try_grant((uint32_t)strtoul(argv[2], NULL, 0), (uint32_t)strtoul(argv[3], NULL, 0), argc == 4);
	return 2;
}

int main(int argc, char **argv)
{
	if (argc == 3 && !strcmp(argv[1], "touch")) {
		touch(strtoull(argv[2], NULL, 0));
	} else if ((argc == 3 || argc == 4) && !strcmp(argv[1], "messages")) {
		find_device();
		send_all_vectors((unsigned)strtoul(argv[2], NULL, 0), argc == 4 ? (unsigned)strtoul(argv[3], NULL, 0) : EVERY_CPU);
	} else {
		return use_memory(argc, argv);
	}
	return 0;
}
