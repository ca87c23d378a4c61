/* Formatted output into a bounded buffer, for the log, the panic screen and other texts. */
#include "lib/printf.h"
#include "lib/string.h"

/* The text so far. `len` counts on after `size` is used up. */
struct out {
	char *buf;
	size_t size, len;
};

/* One conversion, %#08lx or %-8.3s and so on, read from the format. */
struct spec {
	bool left, zero, alt;
	bool wide;          /* the integer has 64 bits, not 32 */
	int width;
	int precision;      /* of text; -1: none given */
};

static void put_char(struct out *o, char c)
{
	if (o->len < o->size)
		o->buf[o->len] = c;
	o->len++;
}

static void put_spaces(struct out *o, int n)
{
	while (n-- > 0)
		put_char(o, ' ');
}

static void put_padded(struct out *o, const struct spec *s, const char *text, int len)
{
	if (!s->left)
		put_spaces(o, s->width - len);
	for (int i = 0; i < len; i++)
		put_char(o, text[i]);
	if (s->left)
		put_spaces(o, s->width - len);
}

/*
 * `prefix` is the sign or 0x. It comes after the spaces and before the zeros that fill the width.
 */
static void put_number(struct out *o, const struct spec *s, u64 value, unsigned base, const char *prefix)
{
	char text[64];      /* 2^64 has 20 decimal digits; zeros fill at most the rest */
	int start = sizeof(text), end = sizeof(text), prefix_len = (int)strlen(prefix);

	do
		text[--start] = "0123456789abcdef"[value % base];
	while (value /= base);
	while (s->zero && !s->left && end - start < s->width - prefix_len && start > prefix_len)
		text[--start] = '0';
	start -= prefix_len;
	memcpy(text + start, prefix, (size_t)prefix_len);
	put_padded(o, s, text + start, end - start);
}

static void put_signed(struct out *o, const struct spec *s, s64 value)
{
	put_number(o, s, value < 0 ? -(u64)value : (u64)value, 10, value < 0 ? "-" : "");
}

static void put_hex(struct out *o, const struct spec *s, u64 value)
{
	put_number(o, s, value, 16, s->alt && value ? "0x" : "");
}

static void put_string(struct out *o, const struct spec *s, const char *text)
{
	size_t max = s->precision < 0 ? INT32_MAX : (size_t)s->precision;

	if (!text)
		text = "(null)";
	put_padded(o, s, text, (int)strnlen(text, max));
}

static int read_number(const char **fmt)
{
	int n = 0;

	for (; **fmt >= '0' && **fmt <= '9'; ++*fmt)
		if (n < 100000)     /* wider than any text of ours; stays far from overflow */
			n = n * 10 + (**fmt - '0');
	return n;
}

static void read_flags(const char **fmt, struct spec *s)
{
	for (;; ++*fmt) {
		switch (**fmt) {
		case '-': s->left = true; break;
		case '0': s->zero = true; break;
		case '#': s->alt = true; break;
		default: return;
		}
	}
}

/* Reads the text between the % and the conversion's letter. */
static struct spec read_conversion(const char **fmt, va_list *args)
{
	struct spec s = { .precision = -1 };

	read_flags(fmt, &s);
	s.width = read_number(fmt);
	if (**fmt == '.') {
		++*fmt;
		if (**fmt == '*') {
			s.precision = va_arg(*args, int);
			++*fmt;
		} else {
			s.precision = read_number(fmt);
		}
	}
	/* The lengths l, ll and z say that the integer has 64 bits. */
	for (; **fmt == 'l' || **fmt == 'z'; ++*fmt)
		s.wide = true;
	return s;
}

static u64 next_integer(const struct spec *s, va_list *args)
{
	return s->wide ? va_arg(*args, u64) : va_arg(*args, u32);
}

/* Returns false if we don't know the letter. */
static bool put_conversion(struct out *o, struct spec *s, char letter, va_list *args)
{
	char c;

	switch (letter) {
	case 'd': put_signed(o, s, s->wide ? va_arg(*args, s64) : va_arg(*args, s32)); break;
	case 'u': put_number(o, s, next_integer(s, args), 10, ""); break;
	case 'x': put_hex(o, s, next_integer(s, args)); break;
	case 's': put_string(o, s, va_arg(*args, const char *)); break;
	case 'c':
		c = (char)va_arg(*args, int);
		put_padded(o, s, &c, 1);
		break;
	case '%': put_char(o, '%'); break;
	default: return false;
	}
	return true;
}

int vsnprintf(char *buf, size_t size, const char *fmt, va_list list)
{
	struct out o = { .buf = buf, .size = size };
	va_list args;

	/*
	 * A parameter of this type may be a pointer, and its address is then not that of a va_list.
	 */
	va_copy(args, list);
	while (*fmt) {
		const char *start = fmt;
		struct spec s;

		if (*fmt++ != '%') {
			put_char(&o, *start);
			continue;
		}
		s = read_conversion(&fmt, &args);
		if (*fmt && put_conversion(&o, &s, *fmt, &args)) {
			fmt++;
			continue;
		}
		/* Not a conversion of ours: show it as it is, so that the mistake is seen. */
		while (start < fmt)
			put_char(&o, *start++);
	}
	va_end(args);
	if (size)
		buf[MIN(o.len, size - 1)] = '\0';
	return (int)o.len;
}

int snprintf(char *buf, size_t size, const char *fmt, ...)
{
	va_list args;
	int len;

	va_start(args, fmt);
	len = vsnprintf(buf, size, fmt, args);
	va_end(args);
	return len;
}
