/*
 * Reads an xl.cfg as far as a guest's digest needs it: names, each with a text, a number, or a list.
 * What would change the digest in a way that isn't known here is an error, and all else is skipped.
 * The command ends soon, so nothing is freed.
 */
#include "dom0-lite/bothy/expect/expect.h"
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { NAME_MOST = 32, VALUE_MOST = 4096 };

struct setting {
	char name[NAME_MOST];
	char value[VALUE_MOST];             /* empty for a list */
	bool is_list;
};

static char complaint[NAME_MOST + 96];

static const char *about(const char *name, const char *what)
{
	snprintf(complaint, sizeof(complaint), "%s= in the configuration %s", name, what);
	return complaint;
}

/* Skips blanks and comments. `lines`: line ends and semicolons too. */
static const char *skip(const char *p, bool lines)
{
	for (;; p++) {
		if (*p == '#')
			p += strcspn(p, "\n");
		if (!*p || !(*p == ' ' || *p == '\t' || *p == '\r' || (lines && (*p == '\n' || *p == ';'))))
			return p;
	}
}

/* Copies a quoted text. Returns what follows it, or NULL if it has no end or is too long. */
static const char *read_text(const char *p, char *to, size_t room)
{
	char quote = *p++;

	for (; *p && *p != '\n' && *p != quote; p++) {
		if (*p == '\\' && (p[1] == quote || p[1] == '\\'))
			p++;
		else if (*p == '\\')
			return NULL;
		if (!--room)
			return NULL;
		*to++ = *p;
	}
	*to = '\0';
	return *p == quote ? p + 1 : NULL;
}

/* Returns what follows the list, or NULL if it has no end. */
static const char *skip_list(const char *p)
{
	static char ignored[VALUE_MOST];
	unsigned depth = 0;

	do {
		if (*p == '[')
			depth++;
		else if (*p == ']')
			depth--;
		else if (*p == '#')
			p += strcspn(p, "\n");
		if (*p == '"' || *p == '\'')
			p = read_text(p, ignored, sizeof(ignored));
		else if (*p)
			p++;
		if (!p || !*p)
			return depth ? NULL : p;
	} while (depth);
	return p;
}

static const char *read_value(const char *p, struct setting *s)
{
	size_t n = strcspn(p, " \t\r\n;#");

	s->is_list = *p == '[';
	s->value[0] = '\0';
	if (s->is_list)
		return skip_list(p);
	if (*p == '"' || *p == '\'')
		return read_text(p, s->value, sizeof(s->value));
	if (!n || n >= sizeof(s->value))
		return NULL;
	memcpy(s->value, p, n);
	s->value[n] = '\0';
	return p + n;
}

/* Reads the next setting. Returns what follows it, or NULL if it can't be read. */
static const char *read_setting(const char *p, struct setting *s)
{
	size_t n = 0;

	while (isalnum((unsigned char)p[n]) || p[n] == '_')
		n++;
	if (!n || n >= sizeof(s->name))
		return NULL;
	memcpy(s->name, p, n);
	s->name[n] = '\0';
	p = skip(p + n, false);
	if (*p != '=')
		return NULL;
	p = read_value(skip(p + 1, false), s);
	if (!p)
		return NULL;
	p = skip(p, false);
	return !*p || *p == '\n' || *p == ';' ? p : NULL;
}

static bool read_number(const char *text, u32 least, u32 most, u32 *out)
{
	char *end;
	unsigned long n = strtoul(text, &end, 0);

	*out = (u32)n;
	return isdigit((unsigned char)*text) && !*end && n >= least && n <= most;
}

struct words { char *root, *extra; u32 maxmem; bool is_pvh; };

static const char *take_setting(const struct setting *s, struct config *c, struct words *w)
{
	static const char *const unknown[] = {
		"bootloader", "firmware", "firmware_override", "acpi", "apic", "vnuma", "pvshim", "video_memory", "rdm", "device_model_args",
	};
	const struct { const char *name; char **text; } texts[] = {
		{ "kernel", &c->kernel }, { "ramdisk", &c->ramdisk }, { "cmdline", &c->cmdline }, { "root", &w->root }, { "extra", &w->extra },
	};
	const struct { const char *name; u32 *number, most; } numbers[] = {
		{ "memory", &c->memory, 1u << 24 }, { "maxmem", &w->maxmem, 1u << 24 }, { "vcpus", &c->vcpus, VCPUS_MOST },
		{ "maxvcpus", &c->maxvcpus, VCPUS_MOST },
	};

	for (unsigned i = 0; i < ARRAY_SIZE(unknown); i++)
		if (!strcmp(s->name, unknown[i]))
			return about(s->name, "changes the guest in a way that isn't known here");
	for (unsigned i = 0; i < ARRAY_SIZE(texts); i++)
		if (!strcmp(s->name, texts[i].name)) {
			if (s->is_list)
				return about(s->name, "is a list");
			*texts[i].text = strdup(s->value);
		}
	for (unsigned i = 0; i < ARRAY_SIZE(numbers); i++)
		if (!strcmp(s->name, numbers[i].name) && !read_number(s->value, 1, numbers[i].most, numbers[i].number))
			return about(s->name, "isn't a number that xl takes");
	if (!strcmp(s->name, "type"))
		w->is_pvh = !strcmp(s->value, "pvh");
	return NULL;
}

/* As xl does: root= and extra= count only if there is no cmdline=. */
static void join_cmdline(struct config *c, const struct words *w)
{
	char joined[2 * VALUE_MOST + 8];

	if (c->cmdline || (!w->root && !w->extra))
		return;
	snprintf(joined, sizeof(joined), "%s%s%s%s", w->root ? "root=" : "", w->root ?: "", w->root && w->extra ? " " : "", w->extra ?: "");
	c->cmdline = strdup(joined);
}

const char *config_read(const char *text, struct config *c)
{
	static struct setting s;
	struct words w = { 0 };
	const char *why = NULL;

	*c = (struct config){ .vcpus = 1 };
	for (const char *p = skip(text, true); !why && *p; p = skip(p, true)) {
		p = read_setting(p, &s);
		why = p ? take_setting(&s, c, &w) : "the configuration can't be read: it isn't one for xl";
		if (!p)
			break;
	}
	join_cmdline(c, &w);
	if (why)
		return why;
	if (!w.is_pvh)
		return "the configuration isn't that of a PVH guest: type=\"pvh\" is missing";
	if (!c->kernel)
		return "the configuration has no kernel=";
	if (!c->memory)
		return "the configuration has no memory=";
	if (w.maxmem && w.maxmem != c->memory)
		return "maxmem= in the configuration differs from memory=, which isn't known here";
	c->maxvcpus = c->maxvcpus ?: c->vcpus;
	return c->maxvcpus < c->vcpus ? "maxvcpus= in the configuration is less than vcpus=" : NULL;
}
