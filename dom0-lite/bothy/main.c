/* bothy: shows from the service domain what the hypervisor does, and for how long. */
#include "dom0-lite/bothy/bothy.h"
#include "dom0-lite/bothy/expect/expect.h"
#include <getopt.h>
#include <inttypes.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define POLL_US 5000    /* a ring holds a few thousand records */

static const char help[] =
	"usage: bothy COMMAND [OPTION...]\n"
	"Show what the hypervisor does. Bothy records each exit and hypercall; these commands read the record.\n"
	"\n"
	"  top    [--json] [--batch] [--seconds S] [--count N]   the guests, live: CPU time, exits by reason and their cost\n"
	"  trace  [--guest G] [--seconds S] [--text|--html] -o FILE\n"
	"                       each exit and event of S seconds (default 5), for ui.perfetto.dev or chrome://tracing;\n"
	"                       --text: one line each; --html: a page for any browser. FILE may be - (standard output)\n"
	"  exits  [--json] G    a guest's exits by reason and its hypercalls, since its creation\n"
	"  list   [--json]      guests, their run time, and the time they waited for a CPU\n"
	"  info   [--json] [--reset]   the machine, the record's extent, and each CPU's longest time without interrupts;\n"
	"                       --reset: starts that measurement anew\n"
	"  attest               in a guest: whether it is sealed, and its digest; status 0 if it is and devices can't reach it.\n"
	"                       build/dom0/bothy-attest is this command as a program that needs no library\n"
	"  seal   --expect CONFIG   on any machine: the digest that a sealed guest has, computed from the files that it is made of.\n"
	"                       With --digest D it compares. build/dom0/bothy-seal is this command as a program that needs no library\n"
	"\n"
	"G is a guest's name or number. Exit status: 0, 1 if something failed, 2 for wrong usage, 3 if no such guest exists.\n";

struct options { bool json, batch, text, html, reset; double seconds; int count; const char *guest, *file; };

static struct source source;
static struct guest guests[GUESTS_MAX];
static volatile sig_atomic_t stopped;

static void stop(int signal __unused) { stopped = 1; }

static int usage(const char *why, const char *what)
{
	fprintf(stderr, "bothy: %s%s. See bothy --help\n", why, what);
	return END_USAGE;
}

static int no_guest(const char *name)
{
	fprintf(stderr, "bothy: no guest %s\n", name);
	return END_NO_GUEST;
}

/* Ends a CPU's line, or its JSON object, with its longest time without interrupts. */
static void print_longest(const struct record_cpu *c, bool json)
{
	const struct record_machine *m = source.machine;
	bool found;
	struct record_longest l;
	char what[128];
	u64 ns;

	found = longest_read(&c->irqs_off, &l);
	if (!found) {
		printf(json ? ",\"irqs_off\":null}" : "\n");
		return;
	}
	longest_label(&l, what, sizeof(what));
	ns = ticks_to_ns(m, l.ticks);
	if (json)
		printf(",\"irqs_off\":{\"ns\":%" PRIu64 ",\"until_ns\":%" PRIu64 ",\"what\":\"%s\"}}", ns, ticks_to_ns(m, l.tsc - m->tsc_base), what);
	else
		printf(", without interrupts for at most %.1f us: %s\n", (double)ns / 1000, what);
}

static int info(const struct options *o)
{
	const struct record_machine *m = source.machine;
	u64 now = system_time(&source);

	printf(o->json ? "{\"cpus\":%u,\"tsc_khz\":%u,\"seconds\":%.3f,\"ring\":%u,\"cpu\":[" :
	       "CPUs            %u\nTSC             %u kHz\nup for          %.3f s\nrecords kept    %u for each CPU\n",
	       m->cpus, m->tsc_khz, (double)now / 1e9, m->ring);
	for (u32 i = 0; i < m->cpus; i++) {
		u64 head = source.cpus[i].head, idle = source.cpus[i].idle_ns;

		if (o->json)
			printf("%s{\"records\":%" PRIu64 ",\"idle_ns\":%" PRIu64, i ? "," : "", head, idle);
		else
			printf("CPU %-3u         %" PRIu64 " records since boot, idle for %.3f s", i, head, (double)idle / 1e9);
		print_longest(&source.cpus[i], o->json);
	}
	if (o->json)
		printf("]}\n");
	return o->reset ? source_reset() : END_OK;
}

static int list(const struct options *o)
{
	u32 nr = guests_read(&source, guests, GUESTS_MAX);

	printf(o->json ? "[" : "guest                   id vcpus      run s    steal s         halts         exits\n");
	for (u32 i = 0; i < nr; i++) {
		const struct guest *g = &guests[i];
		u64 halts = g->exits[EXIT_HLT].count;

		if (!o->json) {
			printf("%-20.20s %5u %5u %10.3f %10.3f %13" PRIu64 " %13" PRIu64 "\n", guest_name(g->domid), g->domid, g->vcpus,
			       (double)g->run / 1e9, (double)g->steal / 1e9, halts, guest_exits(g));
			continue;
		}
		printf("%s\n{\"name\":", i ? "," : "");
		json_string(stdout, guest_name(g->domid));
		printf(",\"domid\":%u,\"vcpus\":%u,\"run_ns\":%" PRIu64 ",\"steal_ns\":%" PRIu64 ",\"blocked_ns\":%" PRIu64 ",\"halts\":%" PRIu64
		       ",\"exits\":%" PRIu64 "}", g->domid, g->vcpus, g->run, g->steal, g->blocked, halts, guest_exits(g));
	}
	if (o->json)
		printf("\n]\n");
	return END_OK;
}

/* Draws the part of the whole as a bar. */
static void bar(u64 part, u64 whole)
{
	for (u64 n = whole ? (part * 30 + whole / 2) / whole : 0; n; n--)
		putchar('#');
	putchar('\n');
}

static void print_exits(const struct guest *g, bool json)
{
	const struct record_machine *m = source.machine;
	u64 all = 0;

	for (u32 i = 0; i < EXIT_REASONS; i++)
		all += g->exits[i].sum;
	printf(json ? "{\"domid\":%u,\"exits\":{" : "domain %u\n%-22s %12s %10s %10s  part of all their time\n", g->domid, "exit", "count", "mean ns", "max ns");
	for (u32 i = 0, more = 0; i < EXIT_REASONS; i++) {
		const struct record_exits *e = &g->exits[i];
		u64 mean = e->count ? ticks_to_ns(m, e->sum) / e->count : 0, max = ticks_to_ns(m, e->max);

		if (!e->count)
			continue;
		if (!json) {
			printf("%-22s %12" PRIu64 " %10" PRIu64 " %10" PRIu64 "  ", kind_label(i), e->count, mean, max);
			bar(e->sum, all);
			continue;
		}
		printf("%s\n", more++ ? "," : "");
		json_string(stdout, kind_label(i));
		printf(":{\"count\":%" PRIu64 ",\"mean_ns\":%" PRIu64 ",\"max_ns\":%" PRIu64 "}", e->count, mean, max);
	}
}

static void print_calls(const struct guest *g, bool json)
{
	printf(json ? "},\n\"hypercalls\":{" : "\n%-44s %12s\n", "hypercall", "count");
	for (u32 i = 0, more = 0; i < RECORD_CALLS; i++) {
		if (!g->calls[i])
			continue;
		if (!json) {
			printf("%-44s %12" PRIu64 "\n", call_label(i), g->calls[i]);
			continue;
		}
		printf("%s\n", more++ ? "," : "");
		json_string(stdout, call_label(i));
		printf(":%" PRIu64, g->calls[i]);
	}
	if (json)
		printf("}}\n");
}

static int exits(const struct options *o)
{
	int domid = guest_find(o->guest);
	u32 nr = guests_read(&source, guests, GUESTS_MAX);

	for (u32 i = 0; i < nr; i++)
		if ((int)guests[i].domid == domid) {
			print_exits(&guests[i], o->json);
			print_calls(&guests[i], o->json);
			return END_OK;
		}
	return no_guest(o->guest);
}

static int trace(const struct options *o)
{
	int only = o->guest ? guest_find(o->guest) : -1, status;
	struct samples t = { 0 };
	FILE *f;
	u64 end;

	if (o->guest && only < 0)
		return no_guest(o->guest);
	status = source_open_rings(&source);
	if (status)
		return status;
	f = strcmp(o->file, "-") ? fopen(o->file, "w") : stdout;
	if (!f) {
		perror(o->file);
		return END_FAILED;
	}
	/* Ctrl-C ends the trace, not the file. */
	signal(SIGINT, stop);
	signal(SIGTERM, stop);
	for (end = system_time(&source) + (u64)(o->seconds * 1e9); !stopped && system_time(&source) < end; usleep(POLL_US))
		source_read(&source, &t);
	source_read(&source, &t);
	(o->text ? trace_text : o->html ? trace_html : trace_json)(f, source.machine, &t, only);
	if (fflush(f) || ferror(f)) {
		perror(o->file);
		return END_FAILED;
	}
	fprintf(stderr, "bothy: %zu records, %" PRIu64 " lost\n", t.nr, t.lost);
	return END_OK;
}

static const struct option longs[] = {
	{ "reset", no_argument, NULL, 'r' }, { "json", no_argument, NULL, 'j' }, { "batch", no_argument, NULL, 'b' }, { "text", no_argument, NULL, 't' },
	{ "html", no_argument, NULL, 'm' }, { "guest", required_argument, NULL, 'g' }, { "seconds", required_argument, NULL, 's' },
	{ "count", required_argument, NULL, 'n' }, { "output", required_argument, NULL, 'o' }, { "help", no_argument, NULL, 'h' }, { 0 },
};

/* Each command: its options, its arguments, and the function that runs it. */
static int run_top(const struct options *o) { return top(&source, o->count, o->seconds, o->batch, o->json); }
static const struct { const char *name, *takes; int (*run)(const struct options *); double seconds; } commands[] = {
	{ "top", "jbsn", run_top, 1 }, { "trace", "gtmso", trace, 5 }, { "exits", "j", exits, 0 }, { "list", "j", list, 0 }, { "info", "jr", info, 0 },
};

/* Reads the whole text as a number in the range. */
static bool number(const char *text, double min, double max, double *out)
{
	char *end;

	*out = strtod(text, &end);
	return end > text && !*end && *out >= min && *out <= max;
}

int main(int argc, char **argv)
{
	struct options o = { .count = -1 };
	int c, status;
	double count;
	u32 n;

	if (argc < 2)
		return usage("a command is missing", "");
	if (!strcmp(argv[1], "--help") || !strcmp(argv[1], "-h") || !strcmp(argv[1], "help")) {
		fputs(help, stdout);
		return END_OK;
	}
	/* In a guest, and on a machine without Bothy, there is no record to open. */
	if (!strcmp(argv[1], "attest"))
		return argc > 2 ? usage("wrong arguments for ", argv[1]) : attest();
	if (!strcmp(argv[1], "seal"))
		return seal(argc - 1, argv + 1);
	for (n = 0; n < ARRAY_SIZE(commands) && strcmp(argv[1], commands[n].name); n++)
		;
	if (n == ARRAY_SIZE(commands))
		return usage("no command ", argv[1]);
	o.seconds = commands[n].seconds;
	optind = 2;
	while ((c = getopt_long(argc, argv, "o:n:h", longs, NULL)) >= 0) {
		if (c == 'h') {
			fputs(help, stdout);
			return END_OK;
		}
		if (c == '?' || !strchr(commands[n].takes, c))
			return usage("wrong option for ", argv[1]);
		switch (c) {
		case 'j': o.json = true; break;
		case 'b': o.batch = true; break;
		case 'r': o.reset = true; break;
		case 't': o.text = true; break;
		case 'm': o.html = true; break;
		case 'g': o.guest = optarg; break;
		case 's':
			if (!number(optarg, 0, 3600, &o.seconds))
				return usage("--seconds needs a number from 1 to 3600, not ", optarg);
			break;
		case 'n':
			if (!number(optarg, 1, 1e9, &count))
				return usage("--count needs a number, not ", optarg);
			o.count = (int)count;
			break;
		case 'o': o.file = optarg; break;
		}
	}
	if (commands[n].run == exits)
		o.guest = argv[optind++];
	if (commands[n].run == exits && !o.guest)
		return usage("exits needs a guest's name or number", "");
	if (commands[n].run == trace && !o.file)
		return usage("trace needs -o FILE", "");
	if (optind < argc)
		return usage("wrong arguments for ", argv[1]);
	status = source_open(&source);
	if (!status)
		status = commands[n].run(&o);
	if (fflush(stdout) || ferror(stdout)) {
		perror("bothy: standard output");
		return END_FAILED;
	}
	return status;
}
