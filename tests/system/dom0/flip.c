/*
 * The parts of a saved guest's file, and what it is with one bit turned over.
 *
 *     flip FILE              a line for each part: its number, offset, name and length; of the frames' records the first
 *     flip FILE PART BYTE    turns bit 0 of that byte of the part over
 *
 * The file has xl's header, libxl's records, and inside one of them libxc's.
 */
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static FILE *file;
static unsigned part, wanted;
static long byte = -1;

static void fail(const char *what)
{
	fprintf(stderr, "flip: %s\n", what);
	exit(1);
}

static uint32_t get32(void)
{
	unsigned char b[4];

	if (fread(b, 1, sizeof(b), file) != sizeof(b))
		fail("the file ends early");
	return b[0] | (uint32_t)b[1] << 8 | (uint32_t)b[2] << 16 | (uint32_t)b[3] << 24;
}

/* The part at this place, of a length. Behind it, the place is behind the part. */
static void a_part(const char *name, uint32_t type, uint64_t length)
{
	long at = ftell(file);

	part++;
	if (byte < 0) {
		printf("%u %ld %s.%x %" PRIu64 "\n", part, at, name, type, length);
	} else if (part == wanted) {
		int c;

		fseek(file, at + byte, SEEK_SET);
		c = fgetc(file);
		fseek(file, at + byte, SEEK_SET);
		if (c == EOF || fputc(c ^ 1, file) == EOF)
			fail("can't write");
		exit(0);
	}
	fseek(file, at + (long)length, SEEK_SET);
}

/* Records of 8 bytes and more, until the one whose type is 0. Returns at the type `until`, behind its header. */
static void records(const char *name, uint32_t until)
{
	bool pages = false;

	for (;;) {
		long at = ftell(file);
		uint32_t type = get32(), length = get32();

		if (until && type == until)
			return;
		fseek(file, at, SEEK_SET);
		/* Most are of type 1: frames. */
		if (until || type != 1 || !pages)
			a_part(name, type, 8 + (((uint64_t)length + 7) & ~7ull));
		else
			fseek(file, at + 8 + (((long)length + 7) & ~7l), SEEK_SET);
		pages |= type == 1;
		if (!type)
			return;
	}
}

int main(int argc, char **argv)
{
	if (argc != 2 && argc != 4)
		return 2;
	file = fopen(argv[1], argc == 4 ? "r+b" : "rb");
	if (!file)
		fail("can't open the file");
	if (argc == 4) {
		wanted = (unsigned)atoi(argv[2]);
		byte = atol(argv[3]);
	}
	fseek(file, 32 + 12, SEEK_SET);
	uint32_t config = get32();

	fseek(file, 0, SEEK_SET);
	a_part("xl", 0, 48);
	a_part("config", 0, config);
	a_part("libxl", 0, 16);
	records("libxl", 1);
	a_part("image", 0, 24);
	a_part("domain", 0, 16);
	records("libxc", 0);
	records("libxl-end", 0);
	return argc == 4;
}
