/*
 * Turns the numbers of a record into names. The tables are the hypervisor's own:
 * vmm/hypercall/hypercalls.def, asm/exits.def and vmm/domain/records.def.
 */
#include "dom0-lite/bothy/bothy.h"
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

static const struct { const char *label, *fields; } kinds[RECORD_KINDS] = {
#define EXIT(name, l, f) [EXIT_##name] = { l, f },
#include <asm/exits.def>
#undef EXIT
#define EVENT(name, l, f) [RECORD_##name] = { l, f },
#include "vmm/domain/records.def"
#undef EVENT
};

/* "__HYPERVISOR_memory_op" and "populate_physmap". A call without sub-operations has one name, twice. */
static const struct { const char *number, *name; } rows[] = {
#define HC(number, sub, name, type, direction, who, target, handler) { #number, #name },
#include "vmm/hypercall/hypercalls.def"
#undef HC
};

const char *kind_label(u32 kind)
{
	return kind < RECORD_KINDS && kinds[kind].label ? kinds[kind].label : "?";
}

u32 call_rows(void) { return ARRAY_SIZE(rows); }

const char *call_label(u32 row)
{
	static char labels[ARRAY_SIZE(rows) + 1][64];
	char *l = row < ARRAY_SIZE(labels) ? labels[row] : labels[0];

	if (*l)
		return l;
	if (l == labels[0])
		return strcpy(l, "unknown hypercall");
	const char *number = rows[row - 1].number + strlen("__HYPERVISOR_"), *name = rows[row - 1].name;

	if (!strcmp(number, name))
		snprintf(l, sizeof(labels[0]), "%s", name);
	else
		snprintf(l, sizeof(labels[0]), "%s %s", number, name);
	return l;
}

const char *record_label(const struct record *r)
{
	u32 kind = r->x.reason;

	return kind == EXIT_HYPERCALL || kind == RECORD_CALL ? call_label(r->x.call.row) : kind_label(kind);
}

void longest_label(const struct record_longest *l, char *out, size_t size)
{
	if (l->reason >= EXIT_REASONS)
		snprintf(out, size, "waking up");
	else
		snprintf(out, size, "%s of d%uv%u%s", l->reason == EXIT_HYPERCALL ? call_label(l->row) : kind_label(l->reason), (u32)l->who & 0xffff,
			 (u32)(l->who >> 16) & 0xff, l->switched ? ", and a switch" : "");
}

/* The word for `value` in "{a|b|c}", or the number. */
static void choose(char *out, size_t size, const char *list, u64 value)
{
	const char *p = list + 1;
	u64 n = value;

	while (n-- && *p != '}') {
		p += strcspn(p, "|}");
		p += *p == '|';
	}
	size_t len = strcspn(p, "|}");

	if (*p == '}' || !len)
		snprintf(out, size, "%" PRIu64, value);
	else
		snprintf(out, size, "%.*s", (int)len, p);
}

/* Reads one field "name=word+bit:bits" with its letter. Returns where the next one starts. */
static const char *one_field(const struct record *r, const char *p, field_fn *fn, void *to)
{
	const char *equals = strchr(p, '='), *end = p + strcspn(p, " ");
	char name[32], text[64], *rest;
	u64 value = r->x.word[equals[1] - 'a'];
	unsigned bit = (unsigned)strtoul(equals + 2, &rest, 10), bits = (unsigned)strtoul(rest + 1, &rest, 10);
	bool number = false;

	/* A list of words may contain spaces. */
	if (*rest == '{')
		end = strchr(rest, '}') + 1;
	snprintf(name, sizeof(name), "%.*s", (int)(equals - p), p);
	value >>= bit;
	if (bits < 64)
		value &= BIT(bits) - 1;
	switch (*rest) {
	case 'x': snprintf(text, sizeof(text), "0x%" PRIx64, value); break;
	case 'd': snprintf(text, sizeof(text), "%" PRId64, (s64)value); number = true; break;
	case 'n': snprintf(text, sizeof(text), "%" PRIu64 " ns", value); break;
	case 'h': snprintf(text, sizeof(text), "%s", call_label((u32)value)); break;
	case '{': choose(text, sizeof(text), rest, value); break;
	default: snprintf(text, sizeof(text), "%" PRIu64, value); number = true;
	}
	fn(to, name, text, number);
	return end;
}

void record_fields(const struct record *r, field_fn *fn, void *to)
{
	u32 kind = r->x.reason;
	bool call = kind == EXIT_HYPERCALL || kind == RECORD_CALL;
	const char *p = kind < RECORD_KINDS && kinds[kind].fields ? kinds[kind].fields : "";
	char text[32];

	while (*p) {
		/* A call of the table is shown by its name. Only unknown calls show number and sub-operation. */
		bool skip = call && r->x.call.row && (!strncmp(p, "number=", 7) || !strncmp(p, "sub-op=", 7));

		if (skip)
			p += strcspn(p, " ");
		else
			p = one_field(r, p, fn, to);
		while (*p == ' ')
			p++;
	}
	if (!record_is_exit(r))
		return;
	snprintf(text, sizeof(text), "0x%" PRIx64, r->rip);
	fn(to, "rip", text, false);
	if (r->injected) {
		snprintf(text, sizeof(text), "%u", r->injected);
		fn(to, "injected", text, true);
	}
}
