/*
 * Small objects cut out of pages. A slab is one page: a header, then objects of one size. The sizes
 * are chosen so that a whole number of objects fits after the header. The header keeps every object
 * off the start of the page; so a page-aligned address is a block of pages, and kfree needs no more
 * to tell them apart.
 */
#include "mm/heap.h"
#include "mm/page.h"
#include "lib/bits.h"
#include "lib/config.h"
#include "lib/list.h"
#include "lib/string.h"
#include <asm/spinlock.h>

#define SLAB_TAG  0x51ab
/* Debug builds: second word of a free object, mixed with its address. */
#define FREE_WORD 0xf4eef4eef4eef4eeull
#define JUNK      0x5a

/* At the start of the page; all fields [LOCK_HEAP] once the slab is on its list. */
struct slab {
	struct list link;       /* in partial[class] while the slab has room */
	void *free;             /* freed objects, each pointing at the next */
	u16 tag;
	u16 class;
	u16 used;               /* objects out */
	/* objects ever handed out; those after them have never been touched */
	u16 carved;
};
_Static_assert(sizeof(struct slab) == 32, "the sizes below count on it");

/*
 * The largest size of which n objects fit into 4096 - 32 bytes, rounded down to the alignment of
 * 16.
 */
static const u16 class_size[] = { 16, 32, 48, 64, 96, 128, 192, 256, 336, 448, 576, 800, 1008, 1344, 2032 };
#define NR_CLASSES ARRAY_SIZE(class_size)

static spinlock_t heap_lock = SPINLOCK(LOCK_HEAP);
/* [LOCK_HEAP] slabs with room; all zero until the first use */
static struct list partial[NR_CLASSES];

static unsigned slab_capacity(unsigned class)
{
	return (unsigned)(PAGE_SIZE - sizeof(struct slab)) / class_size[class];
}

/* Returns a slab of the class with room for one more object, or NULL. */
static struct slab *slab_with_room(unsigned class)
{
	struct list *slabs = &partial[class];
	struct page *pg;
	struct slab *slab;

	if (!slabs->next)
		list_init(slabs);
	if (!list_empty(slabs))
		return list_first(slabs, struct slab, link);
	pg = page_alloc(0);
	if (!pg)
		return NULL;
	slab = page_to_virt(pg);
	*slab = (struct slab){ .tag = SLAB_TAG, .class = (u16)class };
	list_add(slabs, &slab->link);
	return slab;
}

static void *take_object(struct slab *slab)
{
	void *object = slab->free;

	if (object)
		slab->free = *(void **)object;
	else
		object = (char *)(slab + 1) + (size_t)slab->carved++ * class_size[slab->class];
	if (++slab->used == slab_capacity(slab->class))
		list_remove(&slab->link);
	return object;
}

static void *alloc_small(size_t size)
{
	struct slab *slab;
	void *object = NULL;
	unsigned class = 0;

	while (class_size[class] < size)
		class++;
	spin_lock(&heap_lock);
	slab = slab_with_room(class);
	if (slab)
		object = take_object(slab);
	spin_unlock(&heap_lock);
	if (object)
		memset(object, 0, MAX(size, class_size[0]));
	return object;
}

static void *alloc_pages(size_t size)
{
	unsigned order = ilog2_up(ROUND_UP(size, PAGE_SIZE) / PAGE_SIZE);
	struct page *pg = page_alloc(order);

	if (!pg)
		return NULL;
	memset(page_to_virt(pg), 0, PAGE_SIZE << order);
	return page_to_virt(pg);
}

void *kzalloc(size_t size)
{
	if (size > GiB(1))
		return NULL;
	return size <= class_size[NR_CLASSES - 1] ? alloc_small(size) : alloc_pages(size);
}

/* Debug builds: catches most second frees of an object, and makes a use after free visible. */
static void poison_object(void *object, const struct slab *slab)
{
	u64 *words = object;
	u64 mark = FREE_WORD ^ (uintptr_t)object;

	BUG_ON(words[1] == mark);
	memset(object, JUNK, class_size[slab->class]);
	words[1] = mark;
}

static void free_small(void *object)
{
	struct slab *slab = (struct slab *)((uintptr_t)object & PAGE_MASK);
	size_t offset = (size_t)((char *)object - (char *)(slab + 1));
	bool was_full, empty;

	BUG_ON(slab->tag != SLAB_TAG || slab->class >= NR_CLASSES || offset % class_size[slab->class]);
	spin_lock(&heap_lock);
	BUG_ON(!slab->used);
	if (DEBUG_BUILD)
		poison_object(object, slab);
	was_full = slab->used == slab_capacity(slab->class);
	*(void **)object = slab->free;
	slab->free = object;
	empty = --slab->used == 0;
	if (was_full)
		list_add(&partial[slab->class], &slab->link);
	if (empty)
		list_remove(&slab->link);
	spin_unlock(&heap_lock);
	if (empty) {    /* off its list and without objects: no one else can reach it */
		slab->tag = 0;
		page_free_virt(slab);
	}
}

void kfree(void *p)
{
	if (!p)
		return;
	if ((uintptr_t)p % PAGE_SIZE) {
		free_small(p);
		return;
	}
	page_free(mfn_to_page(virt_to_mfn(p)), mfn_to_page(virt_to_mfn(p))->order);
}
