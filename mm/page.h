/*
 * Every frame of RAM has a struct page: who owns it and how many references hold it. A frame is freed when its last
 * reference goes, whoever drops it. 16 bytes a frame is the 0.4 % of memory that Bothy keeps.
 */
#ifndef MM_PAGE_H
#define MM_PAGE_H

#include <asm/page.h>

enum page_state {
	PAGE_RESERVED,      /* not ours to hand out: firmware, the image, holes */
	PAGE_FREE,          /* in the buddy allocator */
	PAGE_HEAP,          /* the hypervisor's own */
	PAGE_DOMAIN,        /* counted in its owner's tot_pages */
};

struct page {
	u32 count;          /* [a] references; 0 only while free or reserved */
	u16 owner;          /* [I] while allocated: domid of a PAGE_DOMAIN page */
	u8 state;           /* [LOCK_PAGE] enum page_state; changes only while count is 0 */
	u8 order;           /* [LOCK_PAGE] of a free block's or heap block's head */
	u32 next, prev;     /* [LOCK_PAGE] free list, as frame numbers */
};

extern struct page *frame_table;
extern u64 max_mfn;         /* [I] frames at or above have no struct page */
extern u64 total_pages;     /* [I] frames of RAM in the machine */

static inline struct page *mfn_to_page(mfn_t mfn) { return &frame_table[mfn.v]; }
static inline mfn_t page_to_mfn(const struct page *pg) { return MFN((u64)(pg - frame_table)); }
static inline void *page_to_virt(const struct page *pg) { return mfn_to_virt(page_to_mfn(pg)); }
static inline bool mfn_valid(mfn_t mfn) { return mfn.v < max_mfn; }

/*
 * Before any page_add_range: the frames below `end` are home, the service domain's RAM or beside it. They are handed out only when nothing
 * else is free, since the service domain can have back no others than those that it gave up.
 */
void page_set_home(u64 end);
/* Hands [start, end) (machine bytes, page-aligned inwards) to the allocator; frame_table must cover it. */
void page_add_range(paddr_t start, paddr_t end);
/*
 * 2^order contiguous frames (order 0..18), naturally aligned, PAGE_HEAP with count 1 on the head, contents undefined.
 * NULL when there are none.
 */
struct page *page_alloc(unsigned order);
/* 2^order PAGE_DOMAIN frames of `owner` in one piece, each with count 1, contents undefined. NULL when there are none. */
struct page *page_alloc_domain(unsigned order, u16 owner);
/* As page_alloc, zeroed, one frame, as its address in the direct map. Freed with page_free_virt. */
void *page_alloc_zeroed(void);
void page_free_virt(void *va);
/* Frees 2^order frames from page_alloc; the head's count must be 1. */
void page_free(struct page *pg, unsigned order);
/* Turns a block just got from page_alloc into 2^order PAGE_DOMAIN frames of `owner`, each with count 1. */
void page_assign(struct page *pg, unsigned order, u16 owner);
/* Takes the exact frames [mfn, mfn+n) out of the free lists as PAGE_DOMAIN of `owner` (dom0's identity map); -EBUSY if one isn't free. */
int page_claim(mfn_t mfn, u64 n, u16 owner);

/* Inside page_put: the last reference of `before` is gone. */
void page_release(struct page *pg, u32 before);

/* One more reference, unless the frame has none (it is free). True if taken. */
static inline bool page_get(struct page *pg)
{
	/* Acquire: what the caller looks at next, to learn why there is none, is no older. */
	u32 count = __atomic_load_n(&pg->count, __ATOMIC_ACQUIRE);

	do {
		if (count == 0 || count == UINT32_MAX)  /* free; or one more would make it look free */
			return false;
	} while (!__atomic_compare_exchange_n(&pg->count, &count, count + 1, true, __ATOMIC_ACQUIRE, __ATOMIC_ACQUIRE));
	return true;
}
/* Drops one; at the last the frame is freed, and a PAGE_DOMAIN frame is reported to the release function. */
static inline void page_put(struct page *pg)
{
	/* Release our uses of the frame to whoever drops the last reference; acquire theirs if that is us. */
	u32 before = __atomic_fetch_sub(&pg->count, 1, __ATOMIC_ACQ_REL);

	if (unlikely(before <= 1))
		page_release(pg, before);
}
/* `fn(owner)` is called once for each PAGE_DOMAIN frame that is freed (the domain layer's accounting). */
void page_set_release(void (*fn)(u16 owner));

u64 page_free_count(void);      /* frames free now */

#endif
