/* units: lib/sha256.c */
/* SHA-256 against FIPS 180-4's examples, and at the lengths where its padding changes. */
#include "tests/unit/fake.h"
#include <stdio.h>
#include <stdlib.h>
#include "lib/sha256.h"

static void assert_hex(const u8 digest[SHA256_BYTES], const char *hex)
{
	char text[2 * SHA256_BYTES + 1];

	for (unsigned i = 0; i < SHA256_BYTES; i++)
		snprintf(text + 2 * i, 3, "%02x", digest[i]);
	assert_string_equal(text, hex);
}

/* The digest of the bytes, taken in pieces of `piece` bytes. */
static void assert_digest(const void *data, size_t size, size_t piece, const char *hex)
{
	u8 digest[SHA256_BYTES];
	struct sha256 s;

	sha256_start(&s);
	for (size_t at = 0; at < size; at += piece)
		sha256_add(&s, (const u8 *)data + at, size - at < piece ? size - at : piece);
	sha256_end(&s, digest);
	assert_hex(digest, hex);
}

static void digests_are_those_of_the_standards_examples(void **state)
{
	static const struct { const char *text, *hex; } example[] = {
		{ "abc", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad" },
		{ "", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855" },
		{ "abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq",
		  "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1" },
		{ "abcdefghbcdefghicdefghijdefghijkefghijklfghijklmghijklmnhijklmnoijklmnopjklmnopqklmnopqrlmnopqrsmnopqrstnopqrstu",
		  "cf5b16a778af8380036ce59e7b0492370b249b11e8f07a51afac45037afee9d1" },
	};

	for (unsigned i = 0; i < ARRAY_SIZE(example); i++)
		assert_digest(example[i].text, strlen(example[i].text), 1000, example[i].hex);
}

static void a_million_letters_have_the_standards_digest(void **state)
{
	char *a = malloc(1000000);

	memset(a, 'a', 1000000);
	for (size_t piece = 1; piece < 1000000; piece = piece * 10 + 7)
		assert_digest(a, 1000000, piece, "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
	free(a);
}

/* The values were made by Python's hashlib. */
static void lengths_around_a_blocks_end_are_padded_correctly(void **state)
{
	static const struct { unsigned size; const char *hex; } length[] = {
		{ 1, "084fed08b978af4d7d196a7446a86b58009e636b611db16211b65a9aadff29c5" },
		{ 55, "e7313d333c272e639f790978283f9eb392e843d0f29b7016828bb1daa4aac70b" },
		{ 56, "4324d65f3c103567f5589c710bc08f8523f929a9272e3af36fc968e52abc6c27" },
		{ 63, "81c80242132f230c3bd41b3e63bbcff16107339549214a99614ff26664625055" },
		{ 64, "39e3d7b6b5d075d37d053ad89b24b41bef4f3c29760c84447cab3f3be1882241" },
		{ 65, "aacca6ff74fdbb296d165a45cecfa04e5127bc008770fbbdd48006f2d2fae95e" },
		{ 119, "9ce7368e4daf32341631b492e80359dc9f594b48453cd0dd5bf0b19279cc177e" },
		{ 120, "7836b787757e95e58b3ca5aec90b1b004e8deba1e50e9675af9cabf1a13a04b5" },
		{ 127, "a8d23e75d936f303d248888d9b165ee543f4cbafcad3c9dd2a79bd84faa11d07" },
		{ 128, "d2742f1f4ac6bb7ca2b239ee18402ba8b3f9f8e652d2a72973c2b9ba11c08cf6" },
		{ 300, "04773f8726c81cafcfa1a09a82664b98b00d2021031a1715bca1154f2dad3472" },
	};
	u8 bytes[300];

	for (unsigned i = 0; i < sizeof(bytes); i++)
		bytes[i] = (u8)(i * 7 + 3);
	for (unsigned i = 0; i < ARRAY_SIZE(length); i++)
		for (size_t piece = 1; piece <= 300; piece += 13)
			assert_digest(bytes, length[i].size, piece, length[i].hex);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(digests_are_those_of_the_standards_examples),
		cmocka_unit_test(a_million_letters_have_the_standards_digest),
		cmocka_unit_test(lengths_around_a_blocks_end_are_padded_correctly),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
