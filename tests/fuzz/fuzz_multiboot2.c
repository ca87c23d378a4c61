/* units: boot/multiboot2.c */
/* The boot loader's information: what is accepted must obey the limits that the header promises. */
#include "tests/fuzz/fuzz.h"
#include "boot/multiboot2.h"
#include "lib/string.h"

int LLVMFuzzerTestOneInput(const u8 *data, size_t size)
{
	static struct boot_info info;
	const char *why = NULL;

	if (multiboot2_parse(data, size, &info, &why) != 0) {
		BUG_ON(!why);
		return 0;
	}
	BUG_ON(info.nr_memory == 0 || info.nr_memory > BOOT_MAX_MEMMAP || info.nr_modules > BOOT_MAX_MODULES);
	BUG_ON(strnlen(info.cmdline, sizeof(info.cmdline)) == sizeof(info.cmdline));
	for (unsigned i = 0; i < info.nr_modules; i++) {
		BUG_ON(info.module[i].end <= info.module[i].start);
		BUG_ON(strnlen(info.module[i].cmdline, sizeof(info.module[i].cmdline)) == sizeof(info.module[i].cmdline));
	}
	for (unsigned i = 0; i < info.nr_memory; i++)
		BUG_ON(!info.memory[i].size || info.memory[i].start + info.memory[i].size < info.memory[i].start);
	return 0;
}
