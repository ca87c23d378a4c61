/*
 * bothy.conf, the text file next to bothy.efi that names what to start. Its lines are like those of
 * systemd-boot's entries.
 */
#ifndef EFI_CONFIG_H
#define EFI_CONFIG_H

#include "lib/base.h"

struct config {
	char bothy[1024];       /* the hypervisor's options */
	char kernel[256];       /* the service domain's kernel: a path */
	char initrd[256];       /* a path, or empty */
	char options[1024];     /* the kernel's options */
};

/*
 * Reads `size` bytes of text. Returns NULL, or the error in words. *line is then the number of the
 * line, from 1, or 0 for the file as a whole.
 */
const char *config_parse(const char *text, size_t size, struct config *out, unsigned *line);

#endif
