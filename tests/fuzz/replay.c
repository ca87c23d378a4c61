/*
 * Gives a fuzz target each file of a directory, and many small changes of each, without a fuzzer: what was once found stays
 * found, and the targets are exercised wherever the tests run.
 */
#include "tests/fuzz/fuzz.h"
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void run(const u8 *data, size_t size)
{
	u8 *exact = malloc(size ? size : 1);

	memcpy(exact, data, size);
	LLVMFuzzerTestOneInput(exact, size);
	free(exact);
}

/* Every prefix, and every byte with some values that are often one too many. */
static void run_changed(u8 *data, size_t size)
{
	static const u8 values[] = { 0x00, 0x01, 0x7f, 0x80, 0xff };

	for (size_t n = 0; n <= size; n++)
		run(data, n);
	for (size_t i = 0; i < size; i++) {
		u8 was = data[i];

		for (unsigned v = 0; v < ARRAY_SIZE(values); v++) {
			data[i] = values[v];
			run(data, size);
		}
		data[i] = was;
	}
}

static void run_file(const char *path)
{
	static u8 data[65536];
	FILE *f = fopen(path, "rb");
	size_t size;

	if (!f) {
		perror(path);
		exit(1);
	}
	size = fread(data, 1, sizeof(data), f);
	fclose(f);
	run_changed(data, size);
}

int main(int argc, char **argv)
{
	unsigned files = 0;
	struct dirent *e;
	DIR *dir = argc == 2 ? opendir(argv[1]) : NULL;

	if (!dir) {
		fprintf(stderr, "usage: %s CORPUS-DIRECTORY\n", argv[0]);
		return 1;
	}
	while ((e = readdir(dir))) {
		char path[4096];

		if (e->d_name[0] == '.')
			continue;
		snprintf(path, sizeof(path), "%s/%s", argv[1], e->d_name);
		run_file(path);
		files++;
	}
	closedir(dir);
	printf("%u\n", files);
	return files == 0;
}
