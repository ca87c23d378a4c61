/* What the fuzzed sources call of the hypervisor: the log goes nowhere, but its text is made, for it reads what it prints. */
#include "lib/base.h"
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

void printk(const char *fmt, ...)
{
	static char line[4096];
	va_list args;

	va_start(args, fmt);
	vsnprintf(line, sizeof(line), fmt, args);
	va_end(args);
}

void bug(const char *file, int line, const char *what)
{
	fprintf(stderr, "BUG: %s at %s:%d\n", what, file, line);
	abort();
}

void panic(const char *fmt, ...)
{
	bug("panic", 0, fmt);
}

struct domain;
struct cpuid_regs;
void seal_cpuid(const struct domain *d, u32 index, struct cpuid_regs *out);
void seal_cpuid(const struct domain *d, u32 index, struct cpuid_regs *out) { }
