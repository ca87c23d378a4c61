/* The hypervisor's own command line: what the user can say in GRUB after the image's name. */
#ifndef LIB_CMDLINE_H
#define LIB_CMDLINE_H

enum console_port { CONSOLE_COM1, CONSOLE_COM2, CONSOLE_NONE };

struct cmdline {
	u64 dom0_mem;           /* bytes for the service domain; 0: as much as there is */
	u32 dom0_max_vcpus;     /* 0: one for each pCPU */
	enum console_port console;
	u32 baud;
	u8 log_level;           /* the digit of LOG_ERR..LOG_DEBUG: print lines up to this one */
	bool no_speculation_guards; /* leave it to the CPU */
	bool noreboot;          /* after a panic, stop instead of restarting */
	bool help;              /* the caller is to call cmdline_print_help() */
};

/*
 * Reads the options in `line` into *out, which first gets the defaults. What isn't understood is named in the log and
 * ignored.
 */
void cmdline_parse(const char *line, struct cmdline *out);

/* Prints the table of options. */
void cmdline_print_help(void);

#endif
