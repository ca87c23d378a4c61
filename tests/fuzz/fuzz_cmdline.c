/* units: lib/cmdline.c */
/* The command line: any text, as far as its first zero byte. */
#include "tests/fuzz/fuzz.h"
#include "lib/cmdline.h"
#include "lib/string.h"

int LLVMFuzzerTestOneInput(const u8 *data, size_t size)
{
	char line[1024];
	struct cmdline c;

	size = MIN(size, sizeof(line) - 1);
	memcpy(line, data, size);
	line[size] = '\0';
	cmdline_parse(line, &c);
	BUG_ON(c.dom0_mem > BIT(52) || c.dom0_max_vcpus > 128 || c.console > CONSOLE_NONE || c.log_level > 3 || c.baud > 115200 || !c.baud || c.xen_minor < 17 || c.xen_minor > 22);
	return 0;
}
