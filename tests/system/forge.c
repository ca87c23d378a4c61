/*
 * forge COMMAND: what a device may do that the service domain's root makes write where messages of interrupts go (SDM 11.11, APM 16.4).
 * The device is QEMU's `edu`, whose DMA engine copies between memory and a buffer of its own.
 *
 *   forge messages MODE   one burst to all CPUs: every vector but 128, with this delivery mode (0 to 7)
 *   forge touch ADDRESS   the CPU reads and writes a word there; status 3 if it faults
 */
#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

enum { EDU_ID = 0x11e81234, COMMAND = 4, MEMORY_AND_MASTER = 6 };
enum { EDU_SOURCE = 0x80, EDU_TARGET = 0x88, EDU_BYTES = 0x90, EDU_START = 0x98, EDU_BUFFER = 0x40000, FROM_MEMORY = 1, TO_MEMORY = 3 };

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

static void find_device(void)
{
	DIR *all = opendir("/sys/bus/pci/devices");
	struct dirent *e;
	uint16_t command;
	int fd;

	while ((e = readdir(all)) && (e->d_name[0] == '.' || id_of(e->d_name) != EDU_ID))
		;
	if (!e) {
		puts("there is no edu device");
		exit(1);
	}
	fd = open_file(e->d_name, "enable", O_WRONLY);
	if (write(fd, "1", 1) != 1)
		fail("enable");
	fd = open_file(e->d_name, "config", O_RDWR);
	if (pread(fd, &command, 2, COMMAND) != 2)
		fail("config");
	command |= MEMORY_AND_MASTER;
	if (pwrite(fd, &command, 2, COMMAND) != 2)
		fail("config");
	fd = open_file(e->d_name, "resource0", O_RDWR | O_SYNC);
	registers = mmap(NULL, 1 << 20, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (registers == MAP_FAILED)
		fail("resource0");
}

static void set(unsigned reg, uint64_t v) { *(volatile uint64_t *)(registers + reg) = v; }

static void copy(uint64_t source, uint64_t target, uint64_t bytes, unsigned command)
{
	set(EDU_SOURCE, source);
	set(EDU_TARGET, target);
	set(EDU_BYTES, bytes);
	set(EDU_START, command);
	for (int i = 0; i < 3000; i++) {
		if (!(*(volatile uint64_t *)(registers + EDU_START) & 1))
			return;
		usleep(10000);
	}
	puts("the device does not finish");
	exit(1);
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

/* Bits 19:12 of the address are the destination, all ones for every CPU; bit 2 is clear for a physical one. */
static void send_all_vectors(unsigned mode)
{
	uint32_t *page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE | MAP_LOCKED, -1, 0);

	if (page == MAP_FAILED)
		fail("memory");
	for (unsigned vector = 0; vector < 256; vector++) {
		page[vector * 2] = mode << 8 | (vector == LINUX_SYSCALL ? vector + 1 : vector);
		page[vector * 2 + 1] = page[vector * 2];
	}
	copy(address_of(page), EDU_BUFFER, 2048, FROM_MEMORY);
	copy(EDU_BUFFER, 0xfeeff000, 2048, TO_MEMORY);
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

int main(int argc, char **argv)
{
	if (argc == 3 && !strcmp(argv[1], "touch")) {
		touch(strtoull(argv[2], NULL, 0));
	} else if (argc == 3 && !strcmp(argv[1], "messages")) {
		find_device();
		send_all_vectors((unsigned)strtoul(argv[2], NULL, 0));
	} else {
		return 2;
	}
	return 0;
}
