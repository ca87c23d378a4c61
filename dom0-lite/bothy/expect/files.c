/* The files that a guest is made of. What is compressed is unpacked by the programs that every Linux has for it. */
#include "dom0-lite/bothy/expect/expect.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define UNPACKED_MOST (1ull << 30)          /* the toolstack's limit too */

static bool complain(const char *path, const char *what)
{
	fprintf(stderr, "bothy: %s: %s\n", path, what);
	return false;
}

/* Reads all of an open file from its beginning. */
static bool read_all(const char *path, int fd, struct bytes *out)
{
	struct stat st;
	size_t got = 0;
	ssize_t n = 1;
	u8 *to;

	if (fstat(fd, &st) || !S_ISREG(st.st_mode) || (u64)st.st_size > UNPACKED_MOST)
		return complain(path, "it isn't a file of at most 1 GiB");
	/* One byte more: texts end with a zero. */
	to = calloc(1, (size_t)st.st_size + 1);
	if (!to)
		return complain(path, strerror(errno));
	while (got < (size_t)st.st_size && n > 0) {
		n = pread(fd, to + got, (size_t)st.st_size - got, (off_t)got);
		got += n > 0 ? (size_t)n : 0;
	}
	*out = (struct bytes){ to, got };
	return n < 0 ? complain(path, strerror(errno)) : true;
}

bool file_read(const char *path, struct bytes *out)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	bool ok;

	if (fd < 0)
		return complain(path, strerror(errno));
	ok = read_all(path, fd, out);
	close(fd);
	return ok;
}

/* Each way to compress: what it begins with, and the program that undoes it. */
static const struct packing { const char *magic; u8 length; const char *program; } packings[] = {
	{ "\x1f\x8b", 2, "gzip" }, { "BZh", 3, "bzip2" }, { "\xfd" "7zXZ", 6, "xz" }, { "\x5d\0\0", 3, "lzma" },
	{ "\x28\xb5\x2f\xfd", 4, "zstd" }, { "\x02\x21\x4c\x18", 4, "lz4" }, { "\x89LZO", 4, "lzop" },
};

static const struct packing *packing_of(struct bytes b)
{
	for (unsigned i = 0; i < ARRAY_SIZE(packings); i++)
		if (b.size > packings[i].length && !memcmp(b.at, packings[i].magic, packings[i].length))
			return &packings[i];
	return NULL;
}

/* Runs `program -dc` from one file to another. Returns its status, or -1. */
static int run(const char *program, int from, int to)
{
	int status;
	pid_t child = fork();

	if (!child) {
		dup2(from, STDIN_FILENO);
		dup2(to, STDOUT_FILENO);
		close(STDERR_FILENO);
		execlp(program, program, "-dc", (char *)NULL);
		_exit(127);
	}
	if (child < 0 || waitpid(child, &status, 0) != child || !WIFEXITED(status))
		return -1;
	return WEXITSTATUS(status);
}

static bool unpack(const char *path, const struct packing *how, struct bytes packed, struct bytes *out)
{
	FILE *from = tmpfile(), *to = tmpfile();
	int status = -1;
	bool ok = false;

	if (!from || !to || fwrite(packed.at, 1, packed.size, from) != packed.size || fflush(from) || fseek(from, 0, SEEK_SET)) {
		complain(path, "it can't be unpacked: no temporary file can be made");
	} else {
		status = run(how->program, fileno(from), fileno(to));
		ok = !status && read_all(path, fileno(to), out) && out->size;
	}
	if (status == 127)
		fprintf(stderr, "bothy: %s: it is compressed, and the program %s isn't installed\n", path, how->program);
	else if (status && from && to)
		fprintf(stderr, "bothy: %s: %s says that it is damaged\n", path, how->program);
	if (from)
		fclose(from);
	if (to)
		fclose(to);
	return ok;
}

static u32 get32(const u8 *at)
{
	u32 v;

	memcpy(&v, at, sizeof(v));
	return v;
}

/* Finds the compressed kernel in a bzImage (Linux's boot protocol), or leaves *b as it is. Returns false if the image is truncated. */
static bool find_payload(struct bytes *b, bool *found)
{
	u64 begin, size;

	*found = b->size > 0x300 && !memcmp(b->at + 0x202, "HdrS", 4);
	if (!*found)
		return true;
	begin = ((b->at[0x1f1] ?: 4) + 1ull) * 512 + get32(b->at + 0x248);
	size = get32(b->at + 0x24c);
	if (size < 4 || begin > b->size || size > b->size - begin)
		return false;
	*b = (struct bytes){ b->at + begin, size };
	return true;
}

bool file_unpack_kernel(const char *path, struct bytes *kernel)
{
	const struct packing *how;
	struct bytes b = *kernel;
	bool found;

	if (!find_payload(&b, &found))
		return complain(path, "it is truncated");
	how = packing_of(b);
	if (!how)
		return !found || complain(path, "it is compressed in a way that isn't known here");
	/* The last four bytes are the unpacked length, which is part of gzip's own format alone. */
	if (found && strcmp(how->program, "gzip"))
		b.size -= 4;
	return unpack(path, how, b, kernel);
}

bool file_unpack_ramdisk(const char *path, struct bytes *ramdisk)
{
	struct bytes packed = *ramdisk, plain;
	u8 *padded;
	u64 size;

	if (packed.size < 6 || packing_of(packed) != &packings[0])
		return true;
	/* The toolstack believes the length at the end. It takes 16 bytes more, and never less than the file's. */
	size = get32(packed.at + packed.size - 4);
	if (size > UNPACKED_MOST)
		return true;
	if (!unpack(path, &packings[0], packed, &plain))
		return false;
	if (plain.size != size)
		return complain(path, "it has more than one part compressed by gzip, which isn't known here");
	size = MAX(size + 16, packed.size);
	padded = calloc(1, size);
	if (!padded)
		return complain(path, strerror(errno));
	memcpy(padded, plain.at, plain.size);
	*ramdisk = (struct bytes){ padded, size };
	return true;
}
