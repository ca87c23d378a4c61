/*
 * Every frame of RAM has a struct page: its owner, and the number of references that hold the
 * frame. The last reference frees the frame, whoever drops it. The table takes 16 bytes a frame,
 * which is 0.4 % of memory.
 */
#ifndef MM_PAGE_H
#define MM_PAGE_H

#include <asm/page.h>

enum page_state {
	PAGE_RESERVED,      /* not ours to hand out: firmware, the image, holes */
	PAGE_FREE,          /* in the buddy allocator */
	PAGE_HEAP,          /* the hypervisor's own */
	PAGE_DOMAIN,        /* a domain's, counted in its owner's tot_pages */
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
 * Makes the frames below `end` home: the service domain's RAM and the frames around it. Other
 * frames are handed out first, because only the frames that the service domain gave up can go back
 * to it. Context: boot, before any page_add_range.
 */
void page_set_home(u64 end);
/*
 * Gives [start, end) to the allocator: machine bytes, rounded inwards to pages. frame_table must
 * cover it.
 */
void page_add_range(paddr_t start, paddr_t end);
/*
 * Allocates 2^order contiguous frames (order 0 to 18), naturally aligned: PAGE_HEAP, with count 1
 * on the head, contents undefined. Returns the head, or NULL if there are none.
 */
struct page *page_alloc(unsigned order);
/*
 * Allocates 2^order PAGE_DOMAIN frames of `owner` in one piece, each with count 1, contents
 * undefined. Returns the first, or NULL if there are none.
 */
struct page *page_alloc_domain(unsigned order, u16 owner);
/*
 * Allocates one frame as page_alloc does, zeroed. Returns its address in the direct map, or NULL.
 * Free it with page_free_virt.
 */
void *page_alloc_zeroed(void);
/* Frees a frame from page_alloc_zeroed, by its address in the direct map. */
void page_free_virt(void *va);
/* Frees 2^order frames from page_alloc, by dropping the head's reference. */
void page_free(struct page *pg, unsigned order);
/*
 * Turns a block that has just come from page_alloc into 2^order PAGE_DOMAIN frames of `owner`, each
 * with count 1.
 */
void page_assign(struct page *pg, unsigned order, u16 owner);
/*
 * Takes exactly the frames [mfn, mfn+n) out of the free lists, as PAGE_DOMAIN of `owner`: for the
 * service domain's identity map. Returns 0. Errors: -EBUSY if one of them isn't free.
 */
int page_claim(mfn_t mfn, u64 n, u16 owner);

/* The part of page_put that frees the frame, whose count was `before`. Only page_put calls it. */
void page_release(struct page *pg, u32 before);

/*
 * Takes one more reference, unless the frame has none, which means that it is free. Returns true if
 * taken.
 */
static inline bool page_get(struct page *pg)
{
	/*
	 * Acquire: if there is no reference, the caller looks for the reason next and must not see
	 * older data.
	 */
	u32 count = __atomic_load_n(&pg->count, __ATOMIC_ACQUIRE);

	do {
		/* free; or at the maximum, where one more would make it look free */
		if (count == 0 || count == UINT32_MAX)
			return false;
	} while (!__atomic_compare_exchange_n(&pg->count, &count, count + 1, true, __ATOMIC_ACQUIRE, __ATOMIC_ACQUIRE));
	return true;
}
/*
 * Drops one reference. The last one frees the frame, and a PAGE_DOMAIN frame is reported to the
 * release function. Locks: may take LOCK_PAGE.
 */
static inline void page_put(struct page *pg)
{
	/*
	 * Release: our uses of the frame come before its end. Acquire: if we drop the last
	 * reference, all others' uses do too.
	 */
	u32 before = __atomic_fetch_sub(&pg->count, 1, __ATOMIC_ACQ_REL);

	if (unlikely(before <= 1))
		page_release(pg, before);
}
/*
 * Sets the release function: fn(pg) is called once for each PAGE_DOMAIN frame that is freed, just
 * before, for the accounting of the domain layer. Locks: fn takes none, because the caller of
 * page_put may hold any below LOCK_PAGE.
 */
void page_set_release(void (*fn)(struct page *pg));

/* Returns the number of frames that are free now. */
u64 page_free_count(void);

#endif
