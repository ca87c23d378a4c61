/*
 * An unprivileged process of the service domain, as the one that could start the machine again:
 * CPUID was the last instruction below 4 GiB of its 32-bit code, the hypervisor did CPUID and moved
 * RIP to 100000000h, and the CPU refused to enter. A debugger that stepped over CPUID stopped one
 * instruction too late.
 *
 * Each case runs in a child, which has to get the signal that the CPU would give, with EIP where
 * the CPU would have it. Prints a line for each.
 */
#define _GNU_SOURCE
#include <cpuid.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <ucontext.h>
#include <unistd.h>

enum {
	CODE_32 = 0x23,
	NOBODY = 65534,
	TF = 0x100,
	TRAP_DB = 1,
	TRAP_UD = 6,
	TRAP_PF = 14
};
#define TOP 0xfffff000ul

/* Where nothing is, at 0, the next fetch faults. */
static const struct {
	const char *name;
	unsigned char bytes[4];
	unsigned length, flags, trap;
} cases[] = {
	{ "NOP", { 0x90 }, 1, 0, TRAP_PF },
	{ "CPUID", { 0x0f, 0xa2 }, 2, 0, TRAP_PF },
	{ "hypercall", { 0x0f, 0x01, 0xd9 }, 3, 0, TRAP_PF },
	{ "NOP, single-stepped", { 0x90 }, 1, TF, TRAP_DB },
	{ "CPUID, single-stepped", { 0x0f, 0xa2 }, 2, TF, TRAP_DB },
	{ "hypercall, single-stepped", { 0x0f, 0x01, 0xd9 }, 3, TF, TRAP_DB },
	{ "INT1", { 0xf1 }, 1, 0, TRAP_DB },
};
static unsigned current;

static void caught(int sig, siginfo_t *info, void *context)
{
	const greg_t *r = ((ucontext_t *)context)->uc_mcontext.gregs;
	int emulator;
	int right = r[REG_TRAPNO] == cases[current].trap && r[REG_RIP] == 0;

	/* TF was set in front of the jump, and this is the step behind the jump: the next one counts. */
	if (r[REG_TRAPNO] == TRAP_DB && cases[current].flags &&
	    r[REG_RIP] == (greg_t)(TOP + 4096 - cases[current].length))
		return;
	/* NOP and INT1 are the CPU's own: TCG has no INT1, and Bochs doesn't cut EIP behind NOP. */
	emulator = !right && cases[current].length == 1;

	printf("%s a process's 32-bit code ends at 4 GiB: %s%s: signal %d, trap %lld, ip %llx\n",
		right || emulator ? "ok" : "not ok", cases[current].name,
		emulator ? " (the emulator's fault)" : "", sig, (long long)r[REG_TRAPNO],
		(long long)r[REG_RIP]);
	fflush(stdout);
	(void)info;
	_exit(!right && !emulator);
}

static void run(void)
{
	static char stack[65536];
	stack_t alternate = { .ss_sp = stack, .ss_size = sizeof(stack) };
	struct sigaction action = { .sa_sigaction = caught, .sa_flags = SA_SIGINFO | SA_ONSTACK };
	unsigned char *page = mmap((void *)TOP, 4096, PROT_READ | PROT_WRITE | PROT_EXEC,
		MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
	unsigned a, b = 0, c, d;
	static struct { unsigned offset; unsigned short selector; } far = { 0, CODE_32 };
	static const int signals[] = { SIGSEGV, SIGTRAP, SIGILL, SIGBUS };

	if (page == MAP_FAILED || setgid(NOBODY) || setuid(NOBODY))
		_exit(2);
	sigaltstack(&alternate, NULL);
	for (unsigned i = 0; i < 4; i++)
		sigaction(signals[i], &action, NULL);
	memcpy(page + 4096 - cases[current].length, cases[current].bytes, cases[current].length);
	__get_cpuid(0, &a, &b, &c, &d);
	if (b == signature_INTEL_ebx && cases[current].bytes[2] == 0xd9)
		page[4095] = 0xc1;
	far.offset = (unsigned)(TOP + 4096 - cases[current].length);
	/* A jump, not IRET: TCG's IRET reads the stack as the kernel, which SMAP forbids. */
	__asm__ volatile("xor %%eax, %%eax; push %0; popfq; ljmp *%1"
			 :: "r"((long)(2 | cases[current].flags)), "m"(far) : "rax", "memory");
}

int main(void)
{
	int bad = 0;

	for (current = 0; current < sizeof(cases) / sizeof(cases[0]); current++) {
		int status = 0;
		pid_t child = fork();

		if (child == 0)
			run();
		if (waitpid(child, &status, 0) != child || !WIFEXITED(status) ||
			WEXITSTATUS(status)) {
			printf("not ok a process's 32-bit code ends at 4 GiB: %s: status %x\n",
				cases[current].name, status);
			bad = 1;
		}
	}
	return bad;
}
