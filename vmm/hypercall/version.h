/* The hypervisor's answers about itself, to guests and the toolstack. */
#ifndef VMM_HYPERCALL_VERSION_H
#define VMM_HYPERCALL_VERSION_H

/*
 * Sets the command line that `xl info` shows; xl looks for "dom0_mem=" in it (abi.md L.26). The
 * string isn't copied, so it must stay. Context: before the first domain.
 */
void version_set_cmdline(const char *cmdline);

#endif
