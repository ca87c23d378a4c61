/* Doubly linked lists whose links are inside the objects, so that adding to one never allocates. */
#ifndef LIB_LIST_H
#define LIB_LIST_H

/* A head, or the link inside an entry. An empty head, or an entry on no list, points at itself. */
struct list {
	struct list *next, *prev;
};

static inline void list_init(struct list *l) { l->next = l->prev = l; }

static inline bool list_empty(const struct list *l) { return l->next == l; }

/* Adds the entry at the front of the list. */
static inline void list_add(struct list *head, struct list *entry)
{
	entry->prev = head;
	entry->next = head->next;
	head->next->prev = entry;
	head->next = entry;
}

/* Removes the entry from its list. It may be removed again, or asked list_empty(). */
static inline void list_remove(struct list *entry)
{
	entry->prev->next = entry->next;
	entry->next->prev = entry->prev;
	list_init(entry);
}

/* Returns the first entry, or NULL. */
#define list_first(head, type, member) (list_empty(head) ? NULL : container_of((head)->next, type, member))

#endif
