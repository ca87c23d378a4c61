/* Formatted output into a bounded buffer: the log, the panic screen and the tools' strings all go through here. */
#include "lib/printf.h"
#include "lib/string.h"

/* Where the text goes: `len` counts on after `size` is used up. */
struct out {
	char *buf;
	size_t size, len;
};

/* One conversion, %-08.3lx and so on, read from the format. */
struct spec {
	bool left, zero, alt;
	char plus;          /* sign to show on numbers >= 0, or 0 */
	int width;
	int precision;      /* -1: none given */
	int length;         /* bytes of the integer argument */
};

static void put(struct out *o, char c)
{
	if (o->len < o->size)
		o->buf[o->len] = c;
	o->len++;
}

static void fill(struct out *o, char c, int n)
{
	while (n-- > 0)
		put(o, c);
}

static void put_padded(struct out *o, const struct spec *s, const char *text, int len)
{
	if (!s->left)
		fill(o, ' ', s->width - len);
	for (int i = 0; i < len; i++)
		put(o, text[i]);
	if (s->left)
		fill(o, ' ', s->width - len);
}

/* `prefix` is the sign or 0x: it stands before the zeros that fill the width, after the spaces. */
static void put_number(struct out *o, const struct spec *s, u64 value, unsigned base, const char *digit, const char *prefix)
{
	char text[24];      /* 2^64 has 20 decimal digits */
	int start = sizeof(text), digits, zeros;
	int prefix_len = (int)strlen(prefix);

	for (; value; value /= base)
		text[--start] = digit[value % base];
	if (start == sizeof(text) && s->precision != 0)
		text[--start] = '0';
	digits = (int)sizeof(text) - start;

	zeros = s->precision - digits;
	if (s->zero && !s->left && s->precision < 0)
		zeros = s->width - prefix_len - digits;
	zeros = MAX(zeros, 0);

	if (!s->left)
		fill(o, ' ', s->width - prefix_len - zeros - digits);
	while (*prefix)
		put(o, *prefix++);
	fill(o, '0', zeros);
	for (int i = start; i < (int)sizeof(text); i++)
		put(o, text[i]);
	if (s->left)
		fill(o, ' ', s->width - prefix_len - zeros - digits);
}

static void put_signed(struct out *o, const struct spec *s, s64 value)
{
	const char sign[2] = { value < 0 ? '-' : s->plus, '\0' };

	put_number(o, s, value < 0 ? -(u64)value : (u64)value, 10, "0123456789", sign);
}

static void put_hex(struct out *o, const struct spec *s, u64 value, bool upper)
{
	const char *prefix = s->alt && value ? (upper ? "0X" : "0x") : "";

	put_number(o, s, value, 16, upper ? "0123456789ABCDEF" : "0123456789abcdef", prefix);
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
		case '+': s->plus = '+'; break;
		case ' ': s->plus = s->plus ? s->plus : ' '; break;
		default: return;
		}
	}
}

/* Size of the integer that the length letters name: none is int, h short, hh char, the others are 64 bits wide. */
static int read_length(const char **fmt)
{
	int size = sizeof(int);

	for (;; ++*fmt) {
		switch (**fmt) {
		case 'h': size /= 2; break;
		case 'l': case 'z': case 't': case 'j': size = sizeof(long); break;
		default: return MAX(size, 1);
		}
	}
}

static u64 truncate(int length, u64 raw)
{
	return length == 8 ? raw : raw & (BIT(8 * length) - 1);
}

static s64 sign_extend(int length, u64 raw)
{
	int unused_bits = 64 - 8 * length;

	return (s64)(raw << unused_bits) >> unused_bits;
}

/* Reads what stands between the % and the conversion's letter. */
static struct spec read_spec(const char **fmt, va_list *args)
{
	struct spec s = { .precision = -1 };

	read_flags(fmt, &s);
	if (**fmt == '*') {
		s.width = va_arg(*args, int);
		s.left |= s.width < 0;
		s.width = s.width < 0 ? -s.width : s.width;
		++*fmt;
	} else {
		s.width = read_number(fmt);
	}
	if (**fmt == '.') {
		++*fmt;
		if (**fmt == '*') {
			s.precision = va_arg(*args, int);
			++*fmt;
		} else {
			s.precision = read_number(fmt);
		}
	}
	s.length = read_length(fmt);
	return s;
}

static u64 next_integer(const struct spec *s, va_list *args)
{
	return s->length == 8 ? va_arg(*args, u64) : va_arg(*args, u32);
}

/* False if the letter is none of ours. */
static bool put_conversion(struct out *o, struct spec *s, char letter, va_list *args)
{
	char c;

	switch (letter) {
	case 'd': case 'i':
		put_signed(o, s, sign_extend(s->length, next_integer(s, args)));
		return true;
	case 'u':
		put_number(o, s, truncate(s->length, next_integer(s, args)), 10, "0123456789", "");
		return true;
	case 'x': case 'X':
		put_hex(o, s, truncate(s->length, next_integer(s, args)), letter == 'X');
		return true;
	case 'p':
		s->alt = true;
		put_hex(o, s, (u64)va_arg(*args, void *), false);
		return true;
	case 's':
		put_string(o, s, va_arg(*args, const char *));
		return true;
	case 'c':
		c = (char)va_arg(*args, int);
		put_padded(o, s, &c, 1);
		return true;
	case '%':
		put(o, '%');
		return true;
	default:
		return false;
	}
}

int vsnprintf(char *buf, size_t size, const char *fmt, va_list list)
{
	struct out o = { .buf = buf, .size = size };
	va_list args;

	va_copy(args, list);    /* a parameter of this type may be an array's address, which has no address of its own type */
	while (*fmt) {
		const char *start = fmt;
		struct spec s;

		if (*fmt++ != '%') {
			put(&o, *start);
			continue;
		}
		s = read_spec(&fmt, &args);
		if (*fmt && put_conversion(&o, &s, *fmt, &args)) {
			fmt++;
			continue;
		}
		while (start < fmt)     /* not a conversion of ours: show it as it stands, so that the mistake is seen */
			put(&o, *start++);
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
