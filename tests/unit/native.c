/*
 * Signals are the way in and out: a handler may return to any registers and code segment, and finds
 * all that the CPU left.
 */
#include "tests/unit/native.h"
#include <asm/ldt.h>
#include <asm/prctl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <ucontext.h>
#include <unistd.h>

enum { LDT_CODE32, LDT_CODE16, LDT_DS, LDT_ES, LDT_SS32, LDT_SS16, LDT_GS };
#define SELECTOR(n) ((u64)(n) << 3 | 7)

static const int order[16] = {
	REG_RAX, REG_RCX, REG_RDX, REG_RBX, REG_RSP, REG_RBP, REG_RSI, REG_RDI,
	REG_R8, REG_R9, REG_R10, REG_R11, REG_R12, REG_R13, REG_R14, REG_R15,
};

static struct native *now;
static gregset_t home;
static volatile enum { OUTSIDE, ENTER, INSIDE } place;

static void enter(greg_t *g)
{
	u64 cs = (u64)g[REG_CSGSFS] & 0xffff, ss = (u64)g[REG_CSGSFS] >> 48;

	memcpy(home, g, sizeof(home));
	for (unsigned i = 0; i < 16; i++)
		g[order[i]] = (greg_t)now->regs[i];
	g[REG_RIP] = (greg_t)now->rip;
	g[REG_EFL] = (greg_t)now->rflags;
	if (now->mode != 8) {
		cs = SELECTOR(now->mode == 2 ? LDT_CODE16 : LDT_CODE32);
		ss = SELECTOR(now->small_stack ? LDT_SS16 : LDT_SS32);
	}
	g[REG_CSGSFS] = (greg_t)(((u64)g[REG_CSGSFS] & 0xffffffff0000) | cs | ss << 48);
	place = INSIDE;
}

static void leave(greg_t *g)
{
	for (unsigned i = 0; i < 16; i++)
		now->regs[i] = (u64)g[order[i]];
	now->vector = (u8)g[REG_TRAPNO];
	now->error = (u32)g[REG_ERR];
	now->cr2 = (u64)g[REG_CR2];
	now->rflags = (u64)g[REG_EFL];
	now->rip = (u64)g[REG_RIP] - (now->vector == 3);
	memcpy(g, home, sizeof(home));
	place = OUTSIDE;
}

static void handler(int sig, siginfo_t *info, void *context)
{
	ucontext_t *uc = context;

	if (place == ENTER)
		enter(uc->uc_mcontext.gregs);
	else if (place == INSIDE)
		leave(uc->uc_mcontext.gregs);
	else
		signal(sig, SIG_DFL);   /* the test's own fault */
}

void native_begin(void)
{
	static const int signals[] = { SIGTRAP, SIGSEGV, SIGBUS, SIGILL, SIGFPE };
	struct sigaction act = { .sa_sigaction = handler, .sa_flags = SA_SIGINFO | SA_ONSTACK };

	for (unsigned i = 0; i < ARRAY_SIZE(signals); i++)
		sigaction(signals[i], &act, NULL);
}

static bool segment(unsigned entry, u64 base, u32 limit, bool wide, unsigned contents, bool read_only)
{
	struct user_desc d = { .entry_number = entry, .base_addr = (u32)base, .limit = limit, .seg_32bit = wide, .contents = contents,
			       .read_exec_only = read_only, .useable = 1 };

	return syscall(SYS_modify_ldt, 1, &d, sizeof(d)) == 0;
}

bool native_init(void)
{
	stack_t stack = { .ss_size = 65536 };
	u8 *around = mmap((void *)(NATIVE_ARENA - 0x20000), 0x60000, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);

	stack.ss_sp = mmap(NULL, stack.ss_size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (around != (u8 *)(NATIVE_ARENA - 0x20000) || sigaltstack(&stack, NULL) ||
	    mprotect((void *)NATIVE_RW, 0x3000, PROT_READ | PROT_WRITE) || !memset((void *)NATIVE_RO, 0xa5, 0x1000) ||
	    mprotect((void *)NATIVE_RO, 0x1000, PROT_READ) ||
	    mprotect((void *)NATIVE_CODE, 0x1000, PROT_READ | PROT_WRITE | PROT_EXEC)) {
		perror("native_init");
		exit(1);
	}
	if (!segment(LDT_CODE32, NATIVE_CS_BASE, NATIVE_LIMIT, true, 2, false) || !segment(LDT_CODE16, NATIVE_CS_BASE, NATIVE_LIMIT, false, 2, false) ||
	    !segment(LDT_DS, NATIVE_DS_BASE, NATIVE_DS_LIMIT, true, 0, false) || !segment(LDT_ES, NATIVE_ES_BASE, NATIVE_ES_LIMIT, true, 1, false) ||
	    !segment(LDT_SS32, NATIVE_SS_BASE, NATIVE_SS_LIMIT, true, 0, false) || !segment(LDT_SS16, NATIVE_SS_BASE, NATIVE_SS_LIMIT, false, 0, false) ||
	    !segment(LDT_GS, NATIVE_GS_BASE, NATIVE_LIMIT, true, 0, true))
		return false;
	__asm__ volatile("mov %0, %%ds; mov %1, %%es; mov %2, %%gs" : :
			 "r"((u32)SELECTOR(LDT_DS)), "r"((u32)SELECTOR(LDT_ES)), "r"((u32)SELECTOR(LDT_GS)));
	return true;
}

u64 native_fs_base(void)
{
	u64 base = 0;

	syscall(SYS_arch_prctl, ARCH_GET_FS, &base);
	return base;
}

void native_run(struct native *s, const u8 *bytes, unsigned n)
{
	u8 *code = (u8 *)NATIVE_CODE;

	memcpy(code, bytes, n);
	code[n] = 0xcc;
	now = s;
	s->rip = s->mode == 8 ? NATIVE_CODE : NATIVE_CODE - NATIVE_CS_BASE;
	place = ENTER;
	__asm__ volatile("int3" : : : "memory");
}
