/*
 * bothy seal --expect: the digest that a sealed guest will have, computed from the files that it is
 * made of. It needs no hypervisor: its owner runs it on a machine that he trusts.
 */
#include "dom0-lite/bothy/bothy.h"
#include "dom0-lite/bothy/expect/expect.h"
#include <getopt.h>
#include <glob.h>
#include <stdlib.h>
#include <string.h>

#define TOOLSTACKS "/usr/lib/*/libxenlight.so.4.*"
#define TOOLSTACKS_TOO "/lib/*/libxenlight.so.4.*"

static const char help[] =
	"usage: bothy seal --expect [OPTION...] CONFIG\n"
	"       bothy seal --expect --memory MIB [OPTION...] KERNEL [INITRD [CMDLINE]]\n"
	"Print the digest that a sealed guest has if it was built from these files, and from nothing else. CONFIG is the guest's xl.cfg.\n"
	"No hypervisor is needed. build/dom0/bothy-seal is this command as a program that needs no library.\n"
	"\n"
	"  --digest D        compare with the digest D, which the guest's bothy attest, or the log, has told\n"
	"  --again           print the digest of a guest that is built anew by the same program, as by xl reboot\n"
	"  --memory MIB      without CONFIG: the guest's memory, as memory= in it\n"
	"  --vcpus N         without CONFIG: its vCPUs (default 1)\n"
	"  --toolstack FILE  the library libxenlight.so.4.* of the machine that builds the guest (default: this machine's)\n"
	"\n"
	"Exit status: 0, 1 if something failed, 2 for wrong usage, 4 if the guest has another digest.\n";

enum { VERSION_LEAST = 17, VERSION_MOST = 20, VERSION_PLAIN = 20 };

struct choices { const char *digest, *toolstack, *memory, *vcpus; bool expect, again; };

static int usage(const char *why, const char *what)
{
	fprintf(stderr, "bothy: %s%s. See bothy seal --help\n", why, what);
	return END_USAGE;
}

static int fail(const char *what, const char *why)
{
	fprintf(stderr, "bothy: %s: %s\n", what, why);
	return END_FAILED;
}

/* Finds this machine's libxenlight. Returns its name without links, or NULL unless there is exactly one. */
static char *find_toolstack(void)
{
	char *found = NULL;
	glob_t g;

	glob(TOOLSTACKS, 0, NULL, &g);
	glob(TOOLSTACKS_TOO, GLOB_APPEND, NULL, &g);
	for (size_t i = 0; i < g.gl_pathc; i++) {
		char *name = realpath(g.gl_pathv[i], NULL);

		if (name && found && strcmp(name, found)) {
			found = NULL;
			break;
		}
		found = name ?: found;
	}
	globfree(&g);
	return found;
}

/* Reads the version's second number from the library's name: libxenlight.so.4.17.0. */
static bool find_version(const char *name, u32 *minor)
{
	const char *at = strstr(name, ".so.4.");

	*minor = at ? (u32)strtoul(at + 6, NULL, 10) : 0;
	return *minor >= VERSION_LEAST && *minor <= VERSION_MOST;
}

/* Reads what the toolstack gives to each guest. Returns an exit status. */
static int read_toolstack(const struct choices *o, struct guest_parts *g, u32 *version)
{
	char *name = o->toolstack ? realpath(o->toolstack, NULL) : find_toolstack();
	struct bytes library;

	if (!name && o->toolstack)
		return fail(o->toolstack, "there is no such file");
	if (!name)
		return fail(TOOLSTACKS, "there isn't exactly one toolstack on this machine; name one by --toolstack");
	if (!find_version(name, version))
		return fail(name, "its name isn't that of a libxenlight from 4.17 to 4.20");
	if (!file_read(name, &library))
		return END_FAILED;
	g->dsdt = acpi_find_dsdt(library);
	return g->dsdt.size ? END_OK : fail(name, "it doesn't have exactly one ACPI table (DSDT) for guests");
}

static bool number(const char *text, u32 most, u32 *out)
{
	char *end;
	unsigned long n = strtoul(text, &end, 10);

	*out = (u32)n;
	return *text >= '1' && *text <= '9' && !*end && n <= most;
}

/* Takes the guest's description from the arguments. Returns an exit status. */
static int describe(const struct choices *o, int argc, char **argv, struct config *c)
{
	struct bytes text;
	const char *why;

	if (o->memory) {
		*c = (struct config){ .kernel = argv[0], .ramdisk = argc > 1 && *argv[1] ? argv[1] : NULL, .cmdline = argc > 2 ? argv[2] : NULL,
				      .vcpus = 1 };
		if (!number(o->memory, 1u << 24, &c->memory))
			return usage("--memory needs a number of MiB, not ", o->memory);
		if (o->vcpus && !number(o->vcpus, VCPUS_MOST, &c->vcpus))
			return usage("--vcpus needs a number from 1 to 128, not ", o->vcpus);
		c->maxvcpus = c->vcpus;
		return END_OK;
	}
	if (!file_read(argv[0], &text))
		return END_FAILED;
	why = config_read((const char *)text.at, c);
	return why ? fail(argv[0], why) : END_OK;
}

static int gather(const struct config *c, u32 version, struct guest_parts *g)
{
	g->memory = c->memory;
	g->vcpus = c->vcpus;
	g->maxvcpus = c->maxvcpus;
	g->cmdline = c->cmdline;
	if (!file_read(c->kernel, &g->kernel) || !file_unpack_kernel(c->kernel, &g->kernel))
		return END_FAILED;
	if (!c->ramdisk)
		return END_OK;
	if (!file_read(c->ramdisk, &g->ramdisk))
		return END_FAILED;
	/* From 4.20 on the guest gets the file as it is. */
	return version >= VERSION_PLAIN || file_unpack_ramdisk(c->ramdisk, &g->ramdisk) ? END_OK : END_FAILED;
}

/* Computes the digest as a text. Returns an exit status. */
static int compute(struct guest_parts *g, bool again, const char *what, char text[2 * SHA256_BYTES + 1])
{
	u8 digest[SHA256_BYTES];
	const char *why;

	g->again = again;
	why = expect_digest(g, digest);
	if (why)
		return fail(what, why);
	for (unsigned i = 0; i < SHA256_BYTES; i++)
		snprintf(text + 2 * i, 3, "%02x", digest[i]);
	return END_OK;
}

static int compare(struct guest_parts *g, const char *digest, const char *what)
{
	char first[2 * SHA256_BYTES + 1], again[2 * SHA256_BYTES + 1];
	int status = compute(g, false, what, first) ?: compute(g, true, what, again);

	if (status)
		return status;
	if (!strcmp(digest, first) || !strcmp(digest, again)) {
		printf("the guest is the expected one%s\n", strcmp(digest, first) ? ", built anew by the same program" : "");
		return END_OK;
	}
	fprintf(stderr, "bothy: %s: the guest isn't the expected one, which has %s, or built anew %s\n", what, first, again);
	return END_DIFFERS;
}

static const struct option longs[] = {
	{ "expect", no_argument, NULL, 'e' }, { "again", no_argument, NULL, 'a' }, { "digest", required_argument, NULL, 'd' },
	{ "memory", required_argument, NULL, 'm' }, { "vcpus", required_argument, NULL, 'v' }, { "toolstack", required_argument, NULL, 't' },
	{ "help", no_argument, NULL, 'h' }, { 0 },
};

/* Reads the options, up to the first argument at optind. Returns an exit status, or -1 if the command is to run. */
static int read_options(int argc, char **argv, struct choices *o)
{
	int c, left;

	optind = 1;
	while ((c = getopt_long(argc, argv, "h", longs, NULL)) >= 0)
		switch (c) {
		case 'h':
			fputs(help, stdout);
			return END_OK;
		case 'e': o->expect = true; break;
		case 'a': o->again = true; break;
		case 'd': o->digest = optarg; break;
		case 'm': o->memory = optarg; break;
		case 'v': o->vcpus = optarg; break;
		case 't': o->toolstack = optarg; break;
		default:
			return usage("wrong option for ", argv[0]);
		}
	left = argc - optind;
	if (!o->expect)
		return usage("seal needs --expect", "");
	if (!left)
		return usage("seal --expect needs a configuration, or --memory and a kernel", "");
	if (left > (o->memory ? 3 : 1))
		return usage("wrong arguments for ", argv[0]);
	if (o->vcpus && !o->memory)
		return usage("--vcpus needs --memory; else the configuration has both", "");
	if (o->digest && (strlen(o->digest) != 2 * SHA256_BYTES || strspn(o->digest, "0123456789abcdef") != 2 * SHA256_BYTES))
		return usage("--digest needs 64 digits, 0 to 9 and a to f, not ", o->digest);
	return -1;
}

int seal(int argc, char **argv)
{
	char text[2 * SHA256_BYTES + 1];
	struct guest_parts g = { 0 };
	struct choices o = { 0 };
	struct config c;
	u32 version;
	int status = read_options(argc, argv, &o);

	if (status >= 0)
		return status;
	status = describe(&o, argc - optind, argv + optind, &c);
	status = status ?: read_toolstack(&o, &g, &version);
	status = status ?: gather(&c, version, &g);
	if (status)
		return status;
	if (o.digest)
		return compare(&g, o.digest, argv[optind]);
	status = compute(&g, o.again, argv[optind], text);
	if (!status)
		printf("%s\n", text);
	return status;
}
