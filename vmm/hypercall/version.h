/* What the hypervisor says of itself to guests and tools. */
#ifndef VMM_VERSION_H
#define VMM_VERSION_H

#include "lib/base.h"

/* Debian's tools are chosen by this number (abi.md L.28). */
#define XEN_MAJOR   4
#define XEN_MINOR   17
#define XEN_VERSION ((u32)(XEN_MAJOR << 16 | XEN_MINOR))

/* The boot command line, as `xl info` shows it; the string must stay. xl looks for "dom0_mem=" in it (abi.md L.26). */
void version_set_cmdline(const char *cmdline);

#endif
