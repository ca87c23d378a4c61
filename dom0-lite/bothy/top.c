/*
 * bothy top: shows once a second what the guests do. On a terminal it uses ncurses, which works
 * on a serial line too. Otherwise it prints lines.
 */
#include "dom0-lite/bothy/bothy.h"
#include <inttypes.h>
#include <ncurses.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

/* ncurses defines bool too: both are the same type. */
static struct guest guests[2][GUESTS_MAX];
static u32 nr_guests[2];

static const struct guest none;

static const struct guest *before(const struct guest *g, u32 which)
{
	for (u32 i = 0; i < nr_guests[which]; i++)
		if (guests[which][i].domid == g->domid)
			return &guests[which][i];
	return &none;
}

/* A counter can go back when an id is used again. */
static u64 since(u64 now, u64 then) { return now > then ? now - then : 0; }

struct row { const struct guest *now, *then; u64 run; };

static int busiest(const void *a, const void *b)
{
	const struct row *x = a, *y = b;

	return x->run < y->run ? 1 : x->run > y->run ? -1 : (int)x->now->domid - (int)y->now->domid;
}

/*
 * Says how far a guest's migration is. Then lists its exits in that time, the commonest first, in
 * `room` characters: "hypercall 812/s (1.2 us), ..."
 */
static void describe_exits(const struct record_machine *m, const struct row *r, double seconds, char *out, size_t room)
{
	bool done[EXIT_REASONS] = { false };
	size_t at, begin;

	guest_migration(r->now, out, room + 1);
	begin = at = strlen(out);
	for (;;) {
		char one[64];
		int best = -1, length;
		u64 most = 0, ticks;

		for (int i = 0; i < EXIT_REASONS; i++) {
			u64 count = since(r->now->exits[i].count, r->then->exits[i].count);

			if (!done[i] && count > most) {
				most = count;
				best = i;
			}
		}
		if (best < 0)
			break;
		done[best] = true;
		ticks = since(r->now->exits[best].sum, r->then->exits[best].sum);
		length = snprintf(one, sizeof(one), "%s%s %.0f/s (%.1f us)", at > begin ? ", " : "", kind_label((u32)best), (double)most / seconds,
				  (double)ticks_to_ns(m, ticks) / 1000 / (double)most);
		if (at + (size_t)length > room)
			break;
		memcpy(out + at, one, (size_t)length + 1);
		at += (size_t)length;
	}
}

static u32 rows(struct row *r, u32 which)
{
	u32 nr = nr_guests[which];

	for (u32 i = 0; i < nr; i++) {
		r[i].now = &guests[which][i];
		r[i].then = before(r[i].now, !which);
		r[i].run = since(r[i].now->run, r[i].then->run);
	}
	qsort(r, nr, sizeof(*r), busiest);
	return nr;
}

static int figures(const struct row *r, double seconds, char *out, size_t size)
{
	return snprintf(out, size, "%-20.20s %5u %5u %6.1f %6.1f %9.0f", guest_name(r->now->domid), r->now->domid, r->now->vcpus,
			(double)r->run / seconds / 1e7, (double)since(r->now->steal, r->then->steal) / seconds / 1e7,
			(double)since(guest_exits(r->now), guest_exits(r->then)) / seconds);
}

static const char head[] = "guest                   id vcpus   cpu% steal%   exits/s";
static const char head_exits[] = "exits by reason, and how long one takes";

/*
 * Writes the longest time for which a CPU took no interrupts since the last `bothy info --reset`:
 * "83.1 us by CPU 1, memory_op ... of d3v0".
 */
static void describe_longest(const struct source *s, char *out, size_t size)
{
	struct record_longest l;
	char what[128];
	u32 cpu;

	out[0] = '\0';
	if (!longest_of_all(s->cpus, s->machine->cpus, &l, &cpu))
		return;
	longest_label(&l, what, sizeof(what));
	snprintf(out, size, "%.1f us by CPU %u, %s", (double)ticks_to_ns(s->machine, l.ticks) / 1000, cpu, what);
}

static void print_text(const struct source *s, const struct row *r, u32 nr, double seconds)
{
	char text[192], exits[101];

	describe_longest(s, text, sizeof(text));
	printf("longest without interrupts: %s\n%s  %s\n", text, head, head_exits);
	for (u32 i = 0; i < nr; i++) {
		figures(&r[i], seconds, text, sizeof(text));
		describe_exits(s->machine, &r[i], seconds, exits, sizeof(exits) - 1);
		printf("%s  %s\n", text, exits);
	}
}

static void print_json(const struct source *s, const struct row *r, u32 nr, double seconds)
{
	struct record_longest l = { 0 };
	char what[128] = "";
	u32 cpu = 0;

	if (longest_of_all(s->cpus, s->machine->cpus, &l, &cpu))
		longest_label(&l, what, sizeof(what));
	printf("{\"seconds\":%.3f,\"irqs_off\":{\"ns\":%" PRIu64 ",\"cpu\":%u,\"what\":\"%s\"},\"guests\":[", seconds,
	       ticks_to_ns(s->machine, l.ticks), cpu, what);
	for (u32 i = 0; i < nr; i++) {
		printf("%s\n{\"name\":", i ? "," : "");
		json_string(stdout, guest_name(r[i].now->domid));
		printf(",\"domid\":%u,\"vcpus\":%u,\"cpu_percent\":%.2f,\"steal_percent\":%.2f,\"log\":{\"round\":%" PRIu64
		       ",\"frames\":%" PRIu64 ",\"ns\":%" PRIu64 "},\"exits\":{", r[i].now->domid, r[i].now->vcpus,
		       (double)r[i].run / seconds / 1e7, (double)since(r[i].now->steal, r[i].then->steal) / seconds / 1e7,
		       r[i].now->log.round, r[i].now->log.frames, r[i].now->log.ns);
		for (u32 k = 0, more = 0; k < EXIT_REASONS; k++) {
			u64 n = since(r[i].now->exits[k].count, r[i].then->exits[k].count);

			if (!n)
				continue;
			printf("%s", more++ ? "," : "");
			json_string(stdout, kind_label(k));
			printf(":{\"per_second\":%.1f,\"mean_ns\":%" PRIu64 "}", (double)n / seconds,
			       ticks_to_ns(s->machine, since(r[i].now->exits[k].sum, r[i].then->exits[k].sum)) / n);
		}
		printf("}}");
	}
	printf("\n]}\n");
}

static u64 idle_time(const struct source *s)
{
	u64 idle = 0;

	for (u32 i = 0; i < s->machine->cpus; i++)
		idle += s->cpus[i].idle_ns;
	return idle;
}

/* Busy time is the CPUs' time without their idle time. */
static void show_machine(const struct source *s, u64 idle, double seconds)
{
	u64 up = system_time(s) / 1000000000;
	double share = 1 - (double)idle / seconds / 1e9 / s->machine->cpus;
	char longest[192];

	mvprintw(0, 0, "Bothy, up %" PRIu64 ":%02" PRIu64 ":%02" PRIu64 ", %u CPUs, %.1f %% busy", up / 3600, up / 60 % 60, up % 60, s->machine->cpus,
		 share > 0 ? 100 * share : 0);
	describe_longest(s, longest, sizeof(longest));
	mvprintw(1, 0, "longest without interrupts: %.*s", MAX(COLS - 28, 0), longest);
}

/* A wide screen shows a guest's exits right of its figures, one of 80 columns below them. */
static void show(const struct source *s, const struct row *r, u32 nr, u64 idle, double seconds)
{
	int beside = (int)sizeof(head) + 1, column = COLS >= beside + 60 ? beside : 4, y = 3;
	char text[512];

	erase();
	show_machine(s, idle, seconds);
	attron(A_REVERSE);
	snprintf(text, sizeof(text), "%s%s%s", head, column == beside ? "  " : "", column == beside ? head_exits : "");
	mvprintw(2, 0, "%-*.*s", COLS, COLS, text);
	attroff(A_REVERSE);
	for (u32 i = 0; i < nr && y < LINES - 1 - (column != beside); i++) {
		int room = COLS - column - 1;

		figures(&r[i], seconds, text, sizeof(text));
		mvprintw(y, 0, "%.*s", COLS, text);
		y += column != beside;
		describe_exits(s->machine, &r[i], seconds, text, room > 0 ? MIN((size_t)room, sizeof(text) - 1) : 0);
		mvprintw(y++, column, "%s", text);
	}
	mvprintw(LINES - 1, 0, "q: quit   space: now");
	refresh();
}

/* Waits for the next second or a key. Returns false if the user wants to stop. */
static bool wait_for_next(double seconds, bool screen)
{
	if (!screen) {
		usleep((useconds_t)(seconds * 1e6));
		return true;
	}
	timeout((int)(seconds * 1000));
	return getch() != 'q';
}

int top(struct source *s, int rounds, double seconds, bool batch, bool json)
{
	static struct row r[GUESTS_MAX];
	bool screen = !batch && !json;
	u32 which = 0;
	u64 then, idle = idle_time(s);

	if (screen && !newterm(NULL, stdout, stdin)) {
		fprintf(stderr, "bothy: the terminal type \"%s\" is unknown: try TERM=vt100, or bothy top --batch\n", getenv("TERM") ?: "");
		return END_FAILED;
	}
	if (screen) {
		cbreak();
		noecho();
		curs_set(0);
	}
	nr_guests[which] = guests_read(s, guests[which], GUESTS_MAX);
	then = system_time(s);
	while (rounds-- && wait_for_next(seconds, screen)) {
		u64 now;
		double took;
		u32 nr;

		which = !which;
		nr_guests[which] = guests_read(s, guests[which], GUESTS_MAX);
		now = system_time(s);
		took = (double)(now - then) / 1e9;
		then = now;
		nr = rows(r, which);
		if (screen) {
			show(s, r, nr, since(idle_time(s), idle), took);
			idle = idle_time(s);
		} else if (json) {
			print_json(s, r, nr, took);
		} else {
			print_text(s, r, nr, took);
		}
		fflush(stdout);
	}
	if (screen)
		endwin();
	return END_OK;
}
