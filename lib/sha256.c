/*
 * SHA-256 in the words and the order of FIPS 180-4. It is as short as it can be: it runs once for
 * each sealed guest, and not where time counts.
 */
#include "lib/sha256.h"
#include "lib/string.h"

/* The standard's constants, 4.2.2. */
static const u32 k[64] = {
	0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5,
	0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174,
	0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da,
	0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967,
	0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85,
	0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070,
	0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
	0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2,
};

static u32 rotate(u32 x, unsigned n) { return x >> n | x << (32 - n); }

/* 6.2.2: the working variables a to h are v[0] to v[7]. */
static void take_block(u32 h[8], const u8 *block)
{
	u32 w[64], v[8];

	for (unsigned t = 0; t < 64; t++) {
		if (t < 16) {
			memcpy(&w[t], block + 4 * t, 4);
			w[t] = __builtin_bswap32(w[t]);
		} else {
			w[t] = (rotate(w[t - 2], 17) ^ rotate(w[t - 2], 19) ^ w[t - 2] >> 10) + w[t - 7] +
			       (rotate(w[t - 15], 7) ^ rotate(w[t - 15], 18) ^ w[t - 15] >> 3) + w[t - 16];
		}
	}
	memcpy(v, h, sizeof(v));
	for (unsigned t = 0; t < 64; t++) {
		u32 t1 = v[7] + (rotate(v[4], 6) ^ rotate(v[4], 11) ^ rotate(v[4], 25)) + ((v[4] & v[5]) ^ (~v[4] & v[6])) + k[t] + w[t];
		u32 t2 = (rotate(v[0], 2) ^ rotate(v[0], 13) ^ rotate(v[0], 22)) + ((v[0] & v[1]) ^ (v[0] & v[2]) ^ (v[1] & v[2]));

		memmove(v + 1, v, 7 * sizeof(v[0]));
		v[4] += t1;
		v[0] = t1 + t2;
	}
	for (unsigned i = 0; i < 8; i++)
		h[i] += v[i];
}

void sha256_start(struct sha256 *s)
{
	/* 5.3.3 */
	*s = (struct sha256){ .h = { 0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a, 0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19 } };
}

void sha256_add(struct sha256 *s, const void *data, size_t size)
{
	const u8 *from = data;

	while (size) {
		size_t at = s->bytes % SHA256_BLOCK, n = MIN(size, SHA256_BLOCK - at);

		memcpy(s->block + at, from, n);
		s->bytes += n;
		from += n;
		size -= n;
		if (at + n == SHA256_BLOCK)
			take_block(s->h, s->block);
	}
}

/* 5.1.1: a one bit, zeroes, and the length in bits, which end a block. */
void sha256_end(struct sha256 *s, u8 out[SHA256_BYTES])
{
	static const u8 padding[SHA256_BLOCK] = { 0x80 };
	u64 bits = __builtin_bswap64(s->bytes * 8);

	sha256_add(s, padding, 1 + (2 * SHA256_BLOCK - 9 - s->bytes % SHA256_BLOCK) % SHA256_BLOCK);
	sha256_add(s, &bits, sizeof(bits));
	for (unsigned i = 0; i < 8; i++) {
		u32 word = __builtin_bswap32(s->h[i]);

		memcpy(out + 4 * i, &word, 4);
	}
}
