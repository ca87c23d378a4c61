/* A Linux bzImage, as far as starting its own 32-bit entry needs it (Linux boot protocol 2.10 and later). */
#ifndef VMM_DOM0_BZIMAGE_H
#define VMM_DOM0_BZIMAGE_H

/* Where the compressed kernel is put. The unpacked one may start within it: the first it does is to move itself out of the way. */
#define BZIMAGE_LOAD 0x100000u

struct bzimage {
	const u8 *image;
	u64 setup_size;         /* bytes before the protected-mode part */
	u64 code_size;
	u64 start;              /* where the unpacked kernel starts */
	u32 unpacked_size;      /* what is written there; the decompressor itself runs behind that */
	u32 init_size;          /* memory from `start` on that unpacking needs */
};

bool bzimage_is(const void *image, u64 size);
/* 0, or -EINVAL with *why saying what is wrong. */
int bzimage_open(struct bzimage *bz, const void *image, u64 size, const char **why);
/* Makes the zero page for a protected-mode part at BZIMAGE_LOAD; it says that RAM ends at `ram_end`. */
void bzimage_zero_page(const struct bzimage *bz, paddr_t boot_params, paddr_t ram_end);

#endif
