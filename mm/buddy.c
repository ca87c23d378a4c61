/*
 * The page allocator: free memory in naturally aligned blocks of 2^order frames, and the references
 * that keep frames alive.
 *
 * A free block is on the list of its order, and the struct page of its first frame, the head,
 * describes it. All other frames, and all frames of a domain, have the order NOT_HEAD. So one look
 * answers "is the neighbour a free block of my size?". Whole blocks, and the parts of a cut one,
 * are taken from the top, because the service domain and 32-bit devices need low memory.
 *
 * The service domain's RAM is at its own addresses, so only the very frames that it gave up can go
 * back to it. These frames, its home, have lists of their own, which are used last.
 */
#include "mm/page.h"
#include "lib/bits.h"
#include "lib/config.h"
#include "lib/string.h"
#include <asm/spinlock.h>

#define NR_ORDERS 19        /* the largest block is 1 GiB */
#define NOT_HEAD  0xff
#define NO_FRAME  (~0u)
#define JUNK      0xa5      /* debug builds fill freed memory with this */
/*
 * While frames of home are free, domains leave this part of the others to the hypervisor. Nested
 * tables for all of home take a 512th of it, and twice that is enough. A domain's frames come back
 * when it ends, but tables may stay longer.
 */
#define HOME_PER_COMMON 256
#define COMMON_KEPT     1024

struct page *frame_table;
u64 max_mfn;
u64 total_pages;

static spinlock_t buddy_lock = SPINLOCK(LOCK_PAGE);
static struct part {
	u32 list[NR_ORDERS];    /* [LOCK_PAGE] head of the first block */
	u32 orders;             /* [LOCK_PAGE] bit n: list[n] isn't empty */
	u64 free;               /* [LOCK_PAGE] frames */
} common = { .list = { [0 ... NR_ORDERS - 1] = NO_FRAME } }, home = { .list = { [0 ... NR_ORDERS - 1] = NO_FRAME } };
static u64 home_end;        /* [I] frames below are home */
static u64 pages_free;      /* written under LOCK_PAGE, read without */
static void (*release_fn)(struct page *pg);  /* [I] */

typedef u32 __attribute__((may_alias)) kind_t;
#define KIND(owner, state, order) ((u32)(owner) | (u32)(state) << 16 | (u32)(order) << 24)

_Static_assert(sizeof(struct page) == 16 && offsetof(struct page, owner) == 4 && offsetof(struct page, state) == 6 && offsetof(struct page, order) == 7 &&
	       offsetof(struct page, next) == 8, "the count and the rest of what a frame is are words");

/*
 * One store, because other CPUs may look: one that frees a neighbour, or a look-up that is too
 * late.
 */
static void set_kind(struct page *pg, u32 kind)
{
	__atomic_store_n((kind_t *)&pg->owner, kind, __ATOMIC_RELAXED);
}

/*
 * Another CPU may own the frame and be changing its kind; it is no free block then, before and
 * after.
 */
static bool is_free_block(u64 frame, unsigned order)
{
	return __atomic_load_n((kind_t *)&frame_table[frame].owner, __ATOMIC_RELAXED) == KIND(0, PAGE_FREE, order);
}

static struct part *part_of(u64 frame) { return frame < home_end ? &home : &common; }

static void check_links(u64 frame)
{
	const struct page *pg = &frame_table[frame];

	BUG_ON(pg->count != 0);
	BUG_ON(pg->next != NO_FRAME && frame_table[pg->next].prev != frame);
	BUG_ON(pg->prev != NO_FRAME ? frame_table[pg->prev].next != frame : part_of(frame)->list[pg->order] != frame);
}

static void list_block(u64 frame, unsigned order)
{
	struct part *part = part_of(frame);
	u32 first = part->list[order];

	/* The count is 0. Late look-ups may read it to find that out, so it isn't written. */
	set_kind(&frame_table[frame], KIND(0, PAGE_FREE, order));
	frame_table[frame].next = first;
	frame_table[frame].prev = NO_FRAME;
	if (first != NO_FRAME)
		frame_table[first].prev = (u32)frame;
	part->list[order] = (u32)frame;
	part->orders |= 1u << order;
	part->free += BIT(order);
}

static void unlist_block(u64 frame)
{
	struct page *pg = &frame_table[frame];
	struct part *part = part_of(frame);

	if (DEBUG_BUILD)
		check_links(frame);
	if (pg->next != NO_FRAME)
		frame_table[pg->next].prev = pg->prev;
	if (pg->prev != NO_FRAME)
		frame_table[pg->prev].next = pg->next;
	else if ((part->list[pg->order] = pg->next) == NO_FRAME)
		part->orders &= ~(1u << pg->order);
	part->free -= BIT(pg->order);
	pg->order = NOT_HEAD;
}

/* Puts a block back, joined with its free neighbours as far as possible. */
static void free_block(u64 frame, unsigned order)
{
	spin_lock(&buddy_lock);
	__atomic_store_n(&pages_free, pages_free + BIT(order), __ATOMIC_RELAXED);
	for (; order < NR_ORDERS - 1; order++) {
		u64 buddy = frame ^ BIT(order);

		if (buddy >= max_mfn || !is_free_block(buddy, order) || part_of(buddy) != part_of(frame))
			break;
		unlist_block(buddy);
		/* Now inside a free block, and no longer a head. */
		frame_table[MAX(frame, buddy)].state = PAGE_FREE;
		frame_table[MAX(frame, buddy)].order = NOT_HEAD;
		frame = MIN(frame, buddy);
	}
	list_block(frame, order);
	spin_unlock(&buddy_lock);
}

void page_add_range(paddr_t start, paddr_t end)
{
	u64 frame = ROUND_UP(start, PAGE_SIZE) >> PAGE_SHIFT;
	u64 last = MIN(end >> PAGE_SHIFT, max_mfn);

	for (u64 i = frame; i < last; i++) {
		BUG_ON(frame_table[i].state != PAGE_RESERVED);
		frame_table[i].state = PAGE_FREE;
		frame_table[i].order = NOT_HEAD;
	}
	while (frame < last) {
		/* As large as the rest and the alignment of its start allow. */
		unsigned order = ilog2(last - frame);

		if (frame)
			order = MIN(order, lowest_bit(frame));
		if (frame < home_end)
			order = MIN(order, ilog2(home_end - frame));
		order = MIN(order, NR_ORDERS - 1);
		free_block(frame, order);
		frame += BIT(order);
	}
}

void page_set_home(u64 end) { home_end = end; }

/*
 * Returns the part to take 2^order frames from, or NULL. A domain leaves some common frames alone
 * while home has free ones.
 */
static struct part *choose_part(unsigned order, bool for_domain)
{
	u64 keep = for_domain ? home_end / HOME_PER_COMMON + COMMON_KEPT : 0;

	if ((home.orders >> order) && (!(common.orders >> order) || common.free < keep + BIT(order)))
		return &home;
	return common.orders >> order ? &common : NULL;
}

static struct page *alloc_block(unsigned order, bool for_domain)
{
	struct part *part;
	struct page *pg;
	u64 frame;
	unsigned have;

	BUG_ON(order >= NR_ORDERS);
	spin_lock(&buddy_lock);
	part = choose_part(order, for_domain);
	if (!part) {
		spin_unlock(&buddy_lock);
		return NULL;
	}
	have = order + lowest_bit(part->orders >> order);
	frame = part->list[have];
	unlist_block(frame);
	while (have > order) {
		have--;
		list_block(frame, have);
		frame += BIT(have);
	}
	pg = &frame_table[frame];
	pg->state = PAGE_HEAP;
	pg->order = (u8)order;
	__atomic_store_n(&pages_free, pages_free - BIT(order), __ATOMIC_RELAXED);
	spin_unlock(&buddy_lock);
	/* Release: a look-up that gets a reference sees the frame's new kind. */
	__atomic_store_n(&pg->count, 1, __ATOMIC_RELEASE);
	return pg;
}

struct page *page_alloc(unsigned order) { return alloc_block(order, false); }

struct page *page_alloc_domain(unsigned order, u16 owner)
{
	struct page *pg = alloc_block(order, true);

	if (pg)
		page_assign(pg, order, owner);
	return pg;
}

void *page_alloc_zeroed(void)
{
	struct page *pg = page_alloc(0);

	if (!pg)
		return NULL;
	clear_page(page_to_virt(pg));
	return page_to_virt(pg);
}

void page_free_virt(void *va) { page_free(mfn_to_page(virt_to_mfn(va)), 0); }

void page_free(struct page *pg, unsigned order)
{
	BUG_ON(pg->state != PAGE_HEAP || pg->order != order);
	/*
	 * Not straight to the free list: a look-up that is about to find that it came too late may
	 * hold a reference just now.
	 */
	page_put(pg);
}

void page_assign(struct page *pg, unsigned order, u16 owner)
{
	typedef u64 __attribute__((may_alias)) word_t;
	u64 assigned = 1 | (u64)KIND(owner, PAGE_DOMAIN, NOT_HEAD) << 32;

	/*
	 * The head's count stays as it is: a late look-up may hold a reference to it too (see
	 * page_free).
	 */
	set_kind(pg, KIND(owner, PAGE_DOMAIN, NOT_HEAD));
	/*
	 * Count, owner and state are one word, and one store sets it: so no one gets a reference
	 * before the rest is true.
	 */
	for (u64 i = 1; i < BIT(order); i++)
		__atomic_store_n((word_t *)&pg[i], assigned, __ATOMIC_RELEASE);
}

/* Returns the head of the free block that holds the frame, or NULL. */
static struct page *find_free_block(u64 frame)
{
	for (unsigned order = 0; order < NR_ORDERS; order++) {
		u64 head = frame & ~(BIT(order) - 1);

		if (is_free_block(head, order))
			return &frame_table[head];
	}
	return NULL;
}

static bool all_free(u64 frame, u64 end)
{
	while (frame < end) {
		const struct page *head = find_free_block(frame);

		if (!head)
			return false;
		frame = page_to_mfn(head).v + BIT(head->order);
	}
	return true;
}

/*
 * Cuts the free block around `frame` until a block begins there and ends at or before `end`.
 * Returns its order.
 */
static unsigned carve_block(u64 frame, u64 end)
{
	struct page *pg = find_free_block(frame);
	u64 head = page_to_mfn(pg).v;
	unsigned order = pg->order;

	unlist_block(head);
	while (head != frame || head + BIT(order) > end) {
		u64 upper = head + BIT(--order);

		if (frame >= upper) {
			list_block(head, order);
			head = upper;
		} else {
			list_block(upper, order);
		}
	}
	return order;
}

int page_claim(mfn_t mfn, u64 n, u16 owner)
{
	u64 frame = mfn.v, end = frame + n;
	bool free;

	if (end < frame || end > max_mfn)
		return -EBUSY;
	spin_lock(&buddy_lock);
	free = all_free(frame, end);
	while (free && frame < end) {
		unsigned order = carve_block(frame, end);

		page_assign(&frame_table[frame], order, owner);
		__atomic_store_n(&frame_table[frame].count, 1, __ATOMIC_RELEASE);
		frame += BIT(order);
	}
	if (free)
		__atomic_store_n(&pages_free, pages_free - n, __ATOMIC_RELAXED);
	spin_unlock(&buddy_lock);
	return free ? 0 : -EBUSY;
}

void page_release(struct page *pg, u32 before)
{
	unsigned order;

	BUG_ON(before == 0);
	BUG_ON(pg->state != PAGE_DOMAIN && pg->state != PAGE_HEAP);
	if (pg->state == PAGE_DOMAIN && release_fn)
		release_fn(pg);
	order = pg->state == PAGE_HEAP ? pg->order : 0;
	if (DEBUG_BUILD)
		memset(page_to_virt(pg), JUNK, PAGE_SIZE << order);
	free_block(page_to_mfn(pg).v, order);
}

void page_set_release(void (*fn)(struct page *pg)) { release_fn = fn; }

u64 page_free_count(void) { return __atomic_load_n(&pages_free, __ATOMIC_RELAXED); }
