/* units: efi/config.c */
/* bothy.conf, the text file of bothy.efi: any bytes. */
#include "tests/fuzz/fuzz.h"
#include "efi/config.h"
#include "lib/string.h"

int LLVMFuzzerTestOneInput(const u8 *data, size_t size)
{
	struct config c;
	unsigned line;
	const char *why = config_parse((const char *)data, size, &c, &line);

	BUG_ON(strnlen(c.bothy, sizeof(c.bothy)) == sizeof(c.bothy) || strnlen(c.options, sizeof(c.options)) == sizeof(c.options));
	BUG_ON(strnlen(c.kernel, sizeof(c.kernel)) == sizeof(c.kernel) || strnlen(c.initrd, sizeof(c.initrd)) == sizeof(c.initrd));
	BUG_ON((!why && !c.kernel[0]) || line > size + 1);
	return 0;
}
