/*
 * Writes a trace as text, as JSON for Perfetto's and Chrome's viewers, or as a page that has its
 * viewer in it. Each CPU has a track (which vCPU ran there), and each vCPU has one (its exits).
 */
#include "dom0-lite/bothy/bothy.h"
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

enum { PID_CPUS = 1, PID_GUESTS = 1000 };       /* + domid */

extern const char viewer_html[], viewer_html_end[];
__asm__(".section .rodata\nviewer_html: .incbin \"dom0-lite/bothy/viewer.html\"\nviewer_html_end: .byte 0\n.previous\n");

/* The text may also stand in a page's script. */
void json_string(FILE *f, const char *s)
{
	fputc('"', f);
	for (; *s; s++)
		if (strchr("\"\\<>&", *s) || (u8)*s < ' ' || (u8)*s > '~')
			fprintf(f, "\\u%04x", (u8)*s);
		else
			fputc(*s, f);
	fputc('"', f);
}

static bool wanted(const struct record *r, int only) { return only < 0 || r->domid == only; }

static int by_time(const void *a, const void *b)
{
	u64 x = ((const struct sample *)a)->r.tsc, y = ((const struct sample *)b)->r.tsc;

	return x < y ? -1 : x > y;
}

/* ---- text ---- */

static void text_field(void *to, const char *name, const char *value, bool number __unused)
{
	fprintf(to, " %s=%s", name, value);
}

void trace_text(FILE *f, const struct record_machine *m, const struct samples *t, int only)
{
	qsort(t->s, t->nr, sizeof(*t->s), by_time);
	fprintf(f, "# seconds CPU vCPU what; %" PRIu64 " records were lost\n", t->lost);
	for (size_t i = 0; i < t->nr; i++) {
		const struct record *r = &t->s[i].r;
		u64 ns = ticks_to_ns(m, r->tsc - m->tsc_base);
		char who[24];

		if (!wanted(r, only))
			continue;
		snprintf(who, sizeof(who), r->vcpu == RECORD_NO_VCPU ? "d%u" : "d%uv%u", r->domid, r->vcpu);
		fprintf(f, "%" PRIu64 ".%09" PRIu64 " %u %-6s %s", ns / 1000000000, ns % 1000000000, t->s[i].cpu, who, record_label(r));
		record_fields(r, text_field, f);
		if (record_is_exit(r))
			fprintf(f, " took=%" PRIu64 "ns", ticks_to_ns(m, r->cost));
		fputc('\n', f);
	}
}

/* ---- JSON: the trace event format, whose times are microseconds ---- */

struct writer {
	FILE *f;
	const struct record_machine *m;
	bool more;                      /* not the first event */
};

static void time_field(struct writer *w, const char *name, u64 ticks)
{
	u64 ns = ticks_to_ns(w->m, ticks);

	fprintf(w->f, ",\"%s\":%" PRIu64 ".%03" PRIu64, name, ns / 1000, ns % 1000);
}

static void begin(struct writer *w, const char *phase, u32 pid, u32 tid, const char *name)
{
	fprintf(w->f, "%s\n{\"ph\":\"%s\",\"pid\":%u,\"tid\":%u,\"name\":", w->more ? "," : "", phase, pid, tid);
	json_string(w->f, name);
	w->more = true;
}

static void name_track(struct writer *w, const char *what, u32 pid, u32 tid, const char *name)
{
	begin(w, "M", pid, tid, what);
	fprintf(w->f, ",\"args\":{\"name\":");
	json_string(w->f, name);
	fprintf(w->f, "}}");
}

struct args { FILE *f; bool more; };

static void json_field(void *to, const char *name, const char *value, bool number)
{
	struct args *a = to;

	fprintf(a->f, "%s\"%s\":", a->more ? "," : "", name);
	if (number)
		fprintf(a->f, "%s", value);
	else
		json_string(a->f, value);
	a->more = true;
}

static void fields(struct writer *w, const struct record *r)
{
	struct args a = { w->f, false };

	fprintf(w->f, ",\"args\":{");
	record_fields(r, json_field, &a);
	fprintf(w->f, "}}");
}

/* Writes a vCPU's turn on a CPU. */
static void turn(struct writer *w, u32 cpu, const struct record *r, u64 from, u64 to)
{
	char name[96];

	snprintf(name, sizeof(name), "%s vCPU %u", guest_name(r->domid), r->vcpu);
	begin(w, "X", PID_CPUS, cpu, name);
	time_field(w, "ts", from - w->m->tsc_base);
	time_field(w, "dur", to - from);
	fputc('}', w->f);
}

static void one_record(struct writer *w, const struct record *r)
{
	bool exit = record_is_exit(r), whole = r->vcpu == RECORD_NO_VCPU;

	begin(w, exit ? "X" : "i", PID_GUESTS + r->domid, whole ? 0 : r->vcpu, record_label(r));
	time_field(w, "ts", r->tsc - w->m->tsc_base);
	if (exit)
		time_field(w, "dur", r->cost);
	else
		fprintf(w->f, ",\"s\":\"%s\"", whole ? "p" : "t");
	fields(w, r);
}

/* Names a track when it is first used. */
static void name_once(struct writer *w, bool *done, const char *what, u32 pid, u32 tid, const char *name)
{
	if (!*done)
		name_track(w, what, pid, tid, name);
	*done = true;
}

static void name_tracks(struct writer *w, const struct samples *t, int only)
{
	static bool guests[65536], vcpus[65536][256], cpus[NR_CPUS];
	char name[32];

	memset(guests, 0, sizeof(guests));
	memset(vcpus, 0, sizeof(vcpus));
	memset(cpus, 0, sizeof(cpus));
	name_track(w, "process_name", PID_CPUS, 0, "CPUs");
	for (size_t i = 0; i < t->nr; i++) {
		const struct record *r = &t->s[i].r;
		u32 cpu = t->s[i].cpu % NR_CPUS;

		if (!wanted(r, only))
			continue;
		snprintf(name, sizeof(name), "CPU %u", cpu);
		name_once(w, &cpus[cpu], "thread_name", PID_CPUS, cpu, name);
		name_once(w, &guests[r->domid], "process_name", PID_GUESTS + r->domid, 0, guest_name(r->domid));
		snprintf(name, sizeof(name), "vCPU %u", r->vcpu);
		if (r->vcpu != RECORD_NO_VCPU)
			name_once(w, &vcpus[r->domid][r->vcpu], "thread_name", PID_GUESTS + r->domid, r->vcpu, name);
	}
}

/*
 * Which vCPU each CPU runs, from "runs" to "stops". A vCPU that runs when the trace begins is
 * known by its first exit, if no record was lost.
 */
static void turns(struct writer *w, const struct samples *t, int only)
{
	struct { bool on; struct record r; u64 from, last; } cpu[NR_CPUS] = { 0 };

	for (size_t i = 0; i < t->nr; i++) {
		const struct record *r = &t->s[i].r;
		u32 c = t->s[i].cpu % NR_CPUS, kind = r->x.reason;
		bool ours = record_is_exit(r) || kind == RECORD_RUN || kind == RECORD_STOP;

		if (!ours)
			continue;
		if (cpu[c].on && (kind == RECORD_STOP || cpu[c].r.domid != r->domid || cpu[c].r.vcpu != r->vcpu)) {
			if (wanted(&cpu[c].r, only))
				turn(w, c, &cpu[c].r, cpu[c].from, kind == RECORD_STOP ? r->tsc : cpu[c].last);
			cpu[c].on = false;
		}
		if (kind != RECORD_STOP && !cpu[c].on) {
			cpu[c].on = true;
			cpu[c].r = *r;
			cpu[c].from = r->tsc;
		}
		cpu[c].last = r->tsc + (record_is_exit(r) ? r->cost : 0);
	}
	for (u32 c = 0; c < NR_CPUS; c++)
		if (cpu[c].on && wanted(&cpu[c].r, only))
			turn(w, c, &cpu[c].r, cpu[c].from, cpu[c].last);
}

void trace_json(FILE *f, const struct record_machine *m, const struct samples *t, int only)
{
	struct writer w = { f, m, false };

	qsort(t->s, t->nr, sizeof(*t->s), by_time);
	fprintf(f, "{\"displayTimeUnit\":\"ns\",\"otherData\":{\"hypervisor\":\"Bothy\",\"lost\":%" PRIu64 "},\"traceEvents\":[", t->lost);
	name_tracks(&w, t, only);
	turns(&w, t, only);
	for (size_t i = 0; i < t->nr; i++)
		if (wanted(&t->s[i].r, only) && t->s[i].r.x.reason != RECORD_RUN && t->s[i].r.x.reason != RECORD_STOP)
			one_record(&w, &t->s[i].r);
	fprintf(f, "\n]}\n");
}

void trace_html(FILE *f, const struct record_machine *m, const struct samples *t, int only)
{
	const char *mark = strstr(viewer_html, "@TRACE@");

	fwrite(viewer_html, 1, (size_t)(mark - viewer_html), f);
	trace_json(f, m, t, only);
	fputs(mark + strlen("@TRACE@"), f);
}
