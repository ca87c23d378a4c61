/*
 * A line is a word and its value. Empty lines and those that begin with # are ignored. A wrong line
 * is reported: we don't guess.
 */
#include "efi/config.h"
#include "lib/string.h"

/*
 * `more`: the key may come several times, and each value is appended. A key without a size is only
 * for human readers.
 */
static const struct { const char *name; size_t offset, size; bool more; } keys[] = {
#define KEY(name, field, more) { name, offsetof(struct config, field), sizeof(((struct config *)0)->field), more }
	KEY("bothy", bothy, true),
	KEY("linux", kernel, false),
	KEY("initrd", initrd, false),
	KEY("options", options, true),
#undef KEY
	{ .name = "title" }, { .name = "version" }, { .name = "machine-id" }, { .name = "sort-key" }, { .name = "architecture" },
};

static bool is_blank(char c) { return c == ' ' || c == '\t'; }

static const char *add_value(char *to, size_t size, bool more, const char *value, size_t len)
{
	size_t used = strlen(to);

	if (used && !more)
		return "this is here for the second time";
	if (used + 1 + len >= size)
		return "this is too long";
	if (used)
		to[used++] = ' ';
	memcpy(to + used, value, len);
	to[used + len] = '\0';
	return NULL;
}

/* Reads one line, without its end. */
static const char *read_line(const char *p, const char *end, struct config *out)
{
	const char *word;
	size_t len;

	while (p < end && is_blank(*p))
		p++;
	while (end > p && is_blank(end[-1]))
		end--;
	if (p == end || *p == '#')
		return NULL;
	for (const char *c = p; c < end; c++)
		if ((u8)*c < ' ' && *c != '\t')
			return "this is no text";
	for (word = p; p < end && !is_blank(*p); )
		p++;
	len = (size_t)(p - word);
	while (p < end && is_blank(*p))
		p++;
	for (unsigned i = 0; i < ARRAY_SIZE(keys); i++) {
		if (strlen(keys[i].name) != len || memcmp(keys[i].name, word, len))
			continue;
		if (!keys[i].size)
			return NULL;
		if (p == end)
			return "nothing follows the word";
		return add_value((char *)out + keys[i].offset, keys[i].size, keys[i].more, p, (size_t)(end - p));
	}
	return "the first word is none of: bothy, linux, initrd, options";
}

const char *config_parse(const char *text, size_t size, struct config *out, unsigned *line)
{
	const char *p = text, *end = text + size, *why;

	memset(out, 0, sizeof(*out));
	/* Some editors begin a file with a byte order mark. */
	if (size >= 3 && !memcmp(p, "\xef\xbb\xbf", 3))
		p += 3;
	for (*line = 1; p < end; ++*line) {
		const char *start = p;

		while (p < end && *p != '\n')
			p++;
		why = read_line(start, p > start && p[-1] == '\r' ? p - 1 : p, out);
		if (why)
			return why;
		if (p < end)
			p++;
	}
	*line = 0;
	return out->kernel[0] ? NULL : "it names no kernel (linux)";
}
