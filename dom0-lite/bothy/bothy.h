/* The parts of bothy, the command that reads the hypervisor's record (vmm/domain/record_layout.h). */
#ifndef BOTHY_H
#define BOTHY_H

#include "vmm/domain/record_layout.h"
#include <stdio.h>

/* Exit statuses. Only `bothy seal` knows the last one: the guest isn't the expected one. */
enum { END_OK, END_FAILED, END_USAGE, END_NO_GUEST, END_DIFFERS };

/* ---- source.c: the hypervisor's pages ---- */

#define GUESTS_MAX 4096

struct source {
	const struct record_machine *machine;
	const struct record_cpu *cpus;
	const struct record *ring[NR_CPUS];
	u64 next[NR_CPUS];              /* the first unread record of each ring */
	u64 lost;
	const u8 **slots;               /* pages of counters */
	u32 nr_slots;
};

/* An element of a trace: a record, and the CPU that wrote it. */
struct sample { struct record r; u32 cpu; };
struct samples { struct sample *s; size_t nr, room; u64 lost; };

/* Maps the machine's page. Returns 0, or END_FAILED after a line on stderr. */
int source_open(struct source *s);
/* Also maps the rings. Reading starts with the next record. Returns as source_open does. */
int source_open_rings(struct source *s);
/* Appends the records made since the last call. */
void source_read(struct source *s, struct samples *to);
/* Does the same for one ring. Tests call it with rings of their own. */
void ring_read(const struct record *ring, const u64 *head, u32 size, u64 *next, u32 cpu, struct samples *to);
/* Copies a CPU's longest time without interrupts. Returns false if none is set, or while the CPU writes it. */
bool longest_read(const struct record_longest *from, struct record_longest *to);
/* The longest time of all CPUs; *cpu is the CPU that had it. */
bool longest_of_all(const struct record_cpu *cpus, u32 nr, struct record_longest *to, u32 *cpu);
/* Copies slot n. Returns false if no vCPU has it. Slots appear while guests are created. */
bool source_counters(struct source *s, u32 n, struct record_vcpu *out);
u32 source_slots(struct source *s);
u64 system_time(const struct source *s);       /* ns */
u64 ticks_to_ns(const struct record_machine *m, u64 ticks);

/* Resets the longest times without interrupts. Returns 0, or END_FAILED after a line on stderr. */
int source_reset(void);

/* A domain's name from xenstore, or "domain N". The text stays valid. */
const char *guest_name(u32 domid);
/* Returns the domid of a name or number, or -1. */
int guest_find(const char *text);

/* ---- decode.c: from numbers to names, by the hypervisor's own tables ---- */

const char *kind_label(u32 kind);
/* "memory_op populate_physmap". Row 0 stands for unknown calls. */
const char *call_label(u32 row);
u32 call_rows(void);
/* The record's title: for a hypercall its name. */
const char *record_label(const struct record *r);
/*
 * Writes in which exit the time without interrupts began, and what followed in it:
 * "memory_op populate_physmap of d3v0, and a switch".
 */
void longest_label(const struct record_longest *l, char *out, size_t size);
/* Calls fn for each field of the record, with its value as text. `number`: JSON needs no quotes. */
typedef void field_fn(void *to, const char *name, const char *value, bool number);
void record_fields(const struct record *r, field_fn *fn, void *to);
static inline bool record_is_exit(const struct record *r) { return r->x.reason < EXIT_REASONS; }

/* ---- trace.c ---- */

void json_string(FILE *f, const char *s);
/* Writes a trace of the domain `only` (-1: all) in one of the three forms. */
void trace_text(FILE *f, const struct record_machine *m, const struct samples *t, int only);
void trace_json(FILE *f, const struct record_machine *m, const struct samples *t, int only);
void trace_html(FILE *f, const struct record_machine *m, const struct samples *t, int only);

/* ---- the other commands ---- */

struct guest {
	u32 domid, vcpus;
	u64 run, steal, blocked;        /* ns */
	struct record_exits exits[EXIT_REASONS];
	struct record_log log;          /* all 0 if no vCPU has one */
	u64 calls[RECORD_CALLS];
};

/* Sums the counters of each domain's vCPUs, sorted by domid. Returns the number of domains. */
u32 guests_read(struct source *s, struct guest *g, u32 max);
u64 guest_exits(const struct guest *g);
/*
 * Writes how far a guest's migration is, "round 3, 2295 frames dirty, 1100/s: ", or nothing if there
 * is none. The number of frames is that of the last round, and the rate is what the guest dirtied in it.
 */
void guest_migration(const struct guest *g, char *out, size_t size);
/* Prints what the hypervisor tells this guest. Returns END_OK if it is sealed, and DMA can't reach it. */
int attest(void);
int top(struct source *s, int rounds, double seconds, bool batch, bool json);

#endif
