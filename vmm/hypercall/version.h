/* What the hypervisor says of itself to guests and tools. */
#ifndef VMM_HYPERCALL_VERSION_H
#define VMM_HYPERCALL_VERSION_H

/* The boot command line, as `xl info` shows it; the string must stay. xl looks for "dom0_mem=" in it (abi.md L.26). */
void version_set_cmdline(const char *cmdline);

#endif
