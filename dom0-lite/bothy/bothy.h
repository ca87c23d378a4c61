/* bothy, the tool that shows what the hypervisor records of itself (vmm/domain/record_layout.h): what its parts share. */
#ifndef BOTHY_H
#define BOTHY_H

#include "vmm/domain/record_layout.h"
#include <stdio.h>

/* How it ends. */
enum { END_OK, END_FAILED, END_USAGE, END_NO_GUEST };

/* ---- source.c: the hypervisor's pages ---- */

#define GUESTS_MAX 4096

struct source {
	const struct record_machine *machine;
	const struct record_cpu *cpus;
	const struct record *ring[NR_CPUS];
	u64 next[NR_CPUS];              /* the first record of each ring that was not read yet */
	u64 lost;
	const u8 **slots;               /* pages of counters */
	u32 nr_slots;
};

/* What a trace is made of: a record, and the pCPU that wrote it. */
struct sample { struct record r; u32 cpu; };
struct samples { struct sample *s; size_t nr, room; u64 lost; };

/* Maps the machine's page: 0, or END_FAILED with a line on stderr. */
int source_open(struct source *s);
/* Maps the rings too; reading starts with what is recorded from now on. */
int source_open_rings(struct source *s);
/* Appends what has been recorded since the last time. */
void source_read(struct source *s, struct samples *to);
/* The same of one ring, for any of the rings that a test makes up. */
void ring_read(const struct record *ring, const u64 *head, u32 size, u64 *next, u32 cpu, struct samples *to);
/* The longest time without interrupts of a CPU, copied whole; false if there is none, or while it is written. */
bool longest_read(const struct record_longest *from, struct record_longest *to);
/* The longest of all CPUs, and which had it, by *cpu. */
bool longest_of_all(const struct record_cpu *cpus, u32 nr, struct record_longest *to, u32 *cpu);
/* The slot n, if it is somebody's, copied; slots appear while guests are made. */
bool source_counters(struct source *s, u32 n, struct record_vcpu *out);
u32 source_slots(struct source *s);
u64 system_time(const struct source *s);       /* ns */
u64 ticks_to_ns(const struct record_machine *m, u64 ticks);

/* Asks the hypervisor to forget the longest times without interrupts: 0, or END_FAILED with a line on stderr. */
int source_reset(void);

/* A domain's name from xenstore, or "domain N". In a buffer that the next call of the same domain keeps. */
const char *guest_name(u32 domid);
/* A name or a number: the domid, or -1. */
int guest_find(const char *text);

/* ---- decode.c: from numbers to names, by the hypervisor's own tables ---- */

const char *kind_label(u32 kind);
/* "memory_op populate_physmap"; row 0 is the call that has none. */
const char *call_label(u32 row);
u32 call_rows(void);
/* What one would call the record: a hypercall's name rather than "hypercall". */
const char *record_label(const struct record *r);
/* In which exit the time without interrupts began, and what more was in it: "memory_op populate_physmap of d3v0, and a switch". */
void longest_label(const struct record_longest *l, char *out, size_t size);
/* Calls fn for each field of the record, with its value as text; `number`: no quotes in JSON. */
typedef void field_fn(void *to, const char *name, const char *value, bool number);
void record_fields(const struct record *r, field_fn *fn, void *to);
static inline bool record_is_exit(const struct record *r) { return r->x.reason < EXIT_REASONS; }

/* ---- trace.c ---- */

void json_string(FILE *f, const char *s);
/* `only`: a domid, or -1 for all. */
void trace_text(FILE *f, const struct record_machine *m, const struct samples *t, int only);
void trace_json(FILE *f, const struct record_machine *m, const struct samples *t, int only);
void trace_html(FILE *f, const struct record_machine *m, const struct samples *t, int only);

/* ---- the other commands ---- */

struct guest {
	u32 domid, vcpus;
	u64 run, steal, blocked;        /* ns */
	struct record_exits exits[EXIT_REASONS];
	u64 calls[RECORD_CALLS];
};

/* The sums over each domain's vCPUs, sorted by domid: how many. */
u32 guests_read(struct source *s, struct guest *g, u32 max);
u64 guest_exits(const struct guest *g);
int top(struct source *s, int rounds, double seconds, bool batch, bool json);

#endif
