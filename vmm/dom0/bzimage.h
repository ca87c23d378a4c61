/*
 * The parts of a Linux bzImage that a start of its 32-bit entry needs (Linux boot protocol 2.10 and
 * later).
 */
#ifndef VMM_DOM0_BZIMAGE_H
#define VMM_DOM0_BZIMAGE_H

/*
 * Address of the compressed kernel. The unpacked kernel may start within it, because the
 * decompressor first moves itself out of the way.
 */
#define BZIMAGE_LOAD 0x100000u

struct bzimage {
	const u8 *image;
	u64 setup_size;         /* bytes before the protected-mode part */
	u64 code_size;
	u64 start;              /* address at which the unpacked kernel starts */
	u32 unpacked_size;      /* bytes written there; the decompressor itself runs behind them */
	u32 init_size;          /* memory from `start` on that unpacking needs */
};

/* True if the image has the signature of a bzImage. */
bool bzimage_is(const void *image, u64 size);
/*
 * Reads the header of an image that bzimage_is. Returns 0. Errors: -EINVAL if it can't be started;
 * *why says what is wrong.
 */
int bzimage_open(struct bzimage *bz, const void *image, u64 size, const char **why);
/*
 * Writes the zero page at `boot_params`, for a protected-mode part at BZIMAGE_LOAD. It says that
 * RAM ends at `ram_end`.
 */
void bzimage_zero_page(const struct bzimage *bz, paddr_t boot_params, paddr_t ram_end);

#endif
