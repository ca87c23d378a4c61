/* Helpers with which both vendors write the rules of VM entry, one line for each rule. */
#ifndef ASM_ENTRY_CHECK_H
#define ASM_ENTRY_CHECK_H

struct check { void (*broken)(const char *rule); unsigned count; };

static inline void rule(struct check *c, bool holds, const char *text)
{
	if (holds)
		return;
	c->broken(text);
	c->count++;
}

static inline bool canonical(u64 a) { return (u64)((s64)(a << 16) >> 16) == a; }

#endif
