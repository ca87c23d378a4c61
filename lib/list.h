/* Doubly linked lists whose links live inside the objects, so that adding to one never allocates. */
#ifndef LIB_LIST_H
#define LIB_LIST_H

#include "lib/base.h"

/* A head, or the link inside an entry. An empty head, or an entry on no list, points at itself. */
struct list {
	struct list *next, *prev;
};

#define LIST_INIT(name) { &(name), &(name) }

static inline void list_init(struct list *l)
{
	l->next = l->prev = l;
}

static inline bool list_empty(const struct list *l)
{
	return l->next == l;
}

static inline void list_insert_between(struct list *entry, struct list *prev, struct list *next)
{
	entry->prev = prev;
	entry->next = next;
	prev->next = entry;
	next->prev = entry;
}

/* At the front of the list. */
static inline void list_add(struct list *head, struct list *entry)
{
	list_insert_between(entry, head, head->next);
}

/* At the end of the list; with an entry for head: just before it. */
static inline void list_add_tail(struct list *head, struct list *entry)
{
	list_insert_between(entry, head->prev, head);
}

/* Takes the entry off whatever list it is on. It may be removed again, or asked list_empty(). */
static inline void list_remove(struct list *entry)
{
	entry->prev->next = entry->next;
	entry->next->prev = entry->prev;
	list_init(entry);
}

#define list_entry(link, type, member) container_of(link, type, member)

/* The first entry, or NULL. */
#define list_first(head, type, member) \
	(list_empty(head) ? NULL : list_entry((head)->next, type, member))

/* Visits each entry in order; the list must not change meanwhile. */
#define list_for_each(pos, head, member) \
	for (pos = list_entry((head)->next, __typeof__(*pos), member); &pos->member != (head); \
	     pos = list_entry(pos->member.next, __typeof__(*pos), member))

#endif
