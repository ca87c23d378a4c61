/* SHA-256 (FIPS 180-4): the digest by which an owner knows a sealed guest, and Bothy's own image. */
#ifndef LIB_SHA256_H
#define LIB_SHA256_H

#define SHA256_BYTES 32
#define SHA256_BLOCK 64

/* A digest under way. */
struct sha256 {
	u32 h[8];
	u64 bytes;                  /* taken in so far */
	u8 block[SHA256_BLOCK];     /* the last of them, which don't fill a block yet */
};

/* Begins a digest. */
void sha256_start(struct sha256 *s);
/* Takes `size` bytes in. */
void sha256_add(struct sha256 *s, const void *data, size_t size);
/* Ends the digest and puts it into out[]. *s can't be used again before sha256_start(). */
void sha256_end(struct sha256 *s, u8 out[SHA256_BYTES]);

#endif
