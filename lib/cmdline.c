/*
 * One table row per option: its name, its value in words, a reader for that, and the line that
 * `help` prints. A wrong option must never keep a machine from booting, so it costs only one line
 * in the log.
 */
#include "lib/cmdline.h"
#include "lib/string.h"

/* The rest of a value that is being read: the option's text up to `end`. */
struct value {
	const char *pos, *end;
};

struct option {
	const char *name;       /* with its '=' if it takes a value */
	const char *expects;    /* the value, in words; NULL if there is none */
	const char *help;
	bool (*read)(struct value *v, struct cmdline *out);     /* false: malformed */
	/* without `read`: the number of the value's word goes to this byte; without a value 1 does */
	size_t field;
	const char *words[5];
};

static bool take_word(struct value *v, const char *word)
{
	size_t len = strlen(word);

	if ((size_t)(v->end - v->pos) < len || memcmp(v->pos, word, len) != 0)
		return false;
	v->pos += len;
	return true;
}

/* Reads decimal digits of a value of at most `max`. */
static bool take_number(struct value *v, u64 max, u64 *out)
{
	const char *start = v->pos;
	u64 n = 0;

	for (; v->pos < v->end && *v->pos >= '0' && *v->pos <= '9'; v->pos++) {
		u64 digit = (u64)(*v->pos - '0');

		if (n > (max - digit) / 10)
			return false;
		n = n * 10 + digit;
	}
	*out = n;
	return v->pos > start;
}

static bool at_end(const struct value *v) { return v->pos == v->end; }

static bool read_dom0_mem(struct value *v, struct cmdline *out)
{
	u64 n;
	unsigned shift;

	/*
	 * 2^22 of the largest unit is 4 PiB, all that a CPU can address; so the shift below can't
	 * overflow.
	 */
	if (!take_number(v, BIT(42), &n) || at_end(v))
		return false;
	switch (*v->pos++) {
	case 'k': case 'K': shift = 10; break;
	case 'm': case 'M': shift = 20; break;
	case 'g': case 'G': shift = 30; break;
	default: return false;
	}
	if (!at_end(v) || n == 0 || n > BIT(52 - shift))
		return false;
	out->dom0_mem = n << shift;
	return true;
}

static bool read_dom0_max_vcpus(struct value *v, struct cmdline *out)
{
	u64 n;

	if (!take_number(v, 128, &n) || !at_end(v) || n == 0)
		return false;
	out->dom0_max_vcpus = (u32)n;
	return true;
}

static bool read_console(struct value *v, struct cmdline *out)
{
	enum console_port port = take_word(v, "com1") ? CONSOLE_COM1 : take_word(v, "com2") ? CONSOLE_COM2 : CONSOLE_NONE;
	u64 baud = out->baud;

	if (port == CONSOLE_NONE && !take_word(v, "none"))
		return false;
	if (port != CONSOLE_NONE && take_word(v, ",") && !take_number(v, 115200, &baud))
		return false;
	/* A rate that the UART's divisor makes exactly. */
	if (!at_end(v) || baud < 50 || 115200 % baud != 0)
		return false;
	out->console = port;
	out->baud = (u32)baud;
	return true;
}

static bool read_xen(struct value *v, struct cmdline *out)
{
	u64 minor;

	if (!take_word(v, "4.") || !take_number(v, 99, &minor) || !at_end(v) || minor < 17)
		return false;
	if (minor > 22)
		printk(LOG_WARN "Option \"xen=4.%lu\": Xen 4.22's toolstack is the newest that is served, so 4.22 is reported\n", minor);
	out->xen_minor = (u32)MIN(minor, 22u);
	return true;
}

/* cpu_policy_level() reads the names, because they are in a table of the hypervisor. */
static bool read_cpuid(struct value *v, struct cmdline *out)
{
	out->cpuid = v->pos;
	return take_word(v, "-");
}

#define BY(fn)         fn, 0, { NULL }
#define TO(field, ...) NULL, offsetof(struct cmdline, field), { __VA_ARGS__ }

static const struct option known[] = {
	{ "dom0_mem=", "a size such as 512M or 2G", "memory of the service domain (default: a quarter, from 512M to 4G)", BY(read_dom0_mem) },
	{ "dom0_max_vcpus=", "a number from 1 to 128", "virtual CPUs of the service domain (default: one per CPU)", BY(read_dom0_max_vcpus) },
	{ "console=", "com1, com2, com1,BAUD or none", "serial line of the log (default: com1,115200)", BY(read_console) },
	{ "loglvl=", "err, warn, info or debug", "how much is printed (default: info)", TO(log_level, "err", "warn", "info", "debug") },
	{ "spec=", "yes or no", "do what this CPU needs against speculation (default: yes)", TO(no_speculation_guards, "yes", "no") },
	{ "iommu=", "yes, no, verbose or strict", "let devices reach only the service domain's memory; strict: don't boot without that (default: yes)", TO(iommu, "yes", "no", "verbose", "strict") },
	{ "intremap=", "yes or no", "AMD: devices send ordinary interrupts only, no NMI, INIT or ExtINT (default: no)", TO(filter_interrupts, "no", "yes") },
	{ "seal=", "ask, all, no or soft", "seal guests with seclabel=\"sealed\", or all, or none; soft: also without an IOMMU (default: ask)", TO(seal, "ask", "all", "no", "soft") },
	{ "xen=", "a release from 4.17 to 4.22", "whose toolstack is installed: Debian selects it by this (default: 4.17)", BY(read_xen) },
	{ "cpuid=", "features to hide, such as -avx512f,-avx2", "level guests in a pool of machines (default: all that guests may have)", BY(read_cpuid) },
	{ "noreboot", NULL, "stop after a fatal error instead of restarting", TO(noreboot, "") },
	{ "help", NULL, "print this table", TO(help, "") },
};

void cmdline_print_help(void)
{
	printk(LOG_INFO "Options, as in: multiboot2 /boot/bothy.elf dom0_mem=1G console=com1\n");
	for (const struct option *o = known; o < known + ARRAY_SIZE(known); o++)
		printk(LOG_INFO "  %s%s%s: %s\n", o->name, o->expects ? " " : "", o->expects ? o->expects : "", o->help);
}

/*
 * Returns the row whose name the word begins with. A word without a value must match in full, so
 * that "helpme" isn't "help".
 */
static const struct option *find_option(const struct value *word)
{
	for (unsigned i = 0; i < ARRAY_SIZE(known); i++) {
		struct value rest = *word;

		if (take_word(&rest, known[i].name) && (known[i].expects || at_end(&rest)))
			return &known[i];
	}
	return NULL;
}

static bool read_word(const struct option *o, struct value *v, struct cmdline *out)
{
	for (u8 n = 0; o->words[n]; n++) {
		if (take_word(v, o->words[n]) && at_end(v)) {
			((u8 *)out)[o->field] = (u8)(o->expects ? n : 1);
			return true;
		}
	}
	return false;
}

static void parse_word(const struct value *word, struct cmdline *out)
{
	const struct option *o = find_option(word);
	struct cmdline changed = *out;
	struct value v = *word;
	int len = (int)(word->end - word->pos);

	if (!o) {
		printk(LOG_WARN "Option \"%.*s\" is unknown and ignored; \"help\" lists the known ones\n", len, word->pos);
		return;
	}
	v.pos += strlen(o->name);
	if (o->read ? o->read(&v, &changed) : read_word(o, &v, &changed))
		*out = changed;
	else
		printk(LOG_WARN "Option \"%.*s\" is ignored: %s has to be %s\n", len, word->pos, o->name, o->expects);
}

void cmdline_parse(const char *line, struct cmdline *out)
{
	*out = (struct cmdline){ .console = CONSOLE_COM1, .baud = 115200, .log_level = 2, .xen_minor = 17, .cpuid = "" };

	while (*line) {
		struct value word = { .pos = line };

		while (*line && *line != ' ' && *line != '\t' && *line != '\n')
			line++;
		word.end = line;
		if (word.end > word.pos)
			parse_word(&word, out);
		if (*line)
			line++;
	}
}
