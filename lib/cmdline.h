/*
 * The hypervisor's own command line: the options that the user writes after the image's name in
 * GRUB.
 */
#ifndef LIB_CMDLINE_H
#define LIB_CMDLINE_H

enum console_port { CONSOLE_COM1, CONSOLE_COM2, CONSOLE_NONE };

struct cmdline {
	u64 dom0_mem;           /* bytes for the service domain; 0: boot/main.c chooses */
	u32 dom0_max_vcpus;     /* 0: one for each CPU */
	enum console_port console;
	u32 baud;
	u8 log_level;           /* the digit of LOG_ERR..LOG_DEBUG: print lines up to this one */
	bool no_speculation_guards; /* no guards against speculation */
	u32 xen_minor;          /* the release of Xen that is reported: 4 and this */
	const char *cpuid;      /* the features to hide, with what follows them in the line; "": none */
	u8 iommu;               /* enum iommu_option of drivers/iommu/iommu.h */
	bool filter_interrupts; /* IOMMUs let devices send ordinary interrupts only */
	u8 seal;                /* enum seal_option of vmm/life/seal.h */
	bool noreboot;          /* after a panic, stop instead of restarting */
	bool help;              /* the caller must call cmdline_print_help() */
};

/*
 * Reads the options in `line` into *out, which first gets the defaults. Unknown or malformed
 * options are ignored, and the log names them.
 */
void cmdline_parse(const char *line, struct cmdline *out);

/* Prints the table of options. */
void cmdline_print_help(void);

#endif
