/* units: vmm/dom0/bzimage.c */
/* The setup header of a bzImage: what is refused, with its reason, and what the unpacking code is told (Linux boot protocol). */
#include "tests/unit/fake.h"
#include "vmm/dom0/bzimage.h"

enum {
	SECTS = 0x1f1, SYSSIZE = 0x1f4, VERSION = 0x206, CMDLINE = 0x228, ALIGNMENT = 0x230, PAYLOAD = 0x248, PAYLOAD_SIZE = 0x24c, PREF = 0x258,
	INIT_SIZE = 0x260, SETUP = 3 * 512, CODE = 4096, BEGIN = MiB(16),
};

static u8 *image;
static u64 size;

static void set32(unsigned at, u32 v) { memcpy(image + at, &v, 4); }

/* Two sectors of setup behind the first, a page of code. */
static int good(void **state)
{
	image = phys_to_virt(MiB(8));
	size = SETUP + CODE;
	memset(image, 0, size);
	image[SECTS] = 2;
	image[0x201] = 0x6a;
	memcpy(image + 0x202, "HdrS", 4);
	image[VERSION] = 15, image[VERSION + 1] = 2;
	set32(SYSSIZE, CODE / 16);
	set32(ALIGNMENT, MiB(2));
	set32(PREF, BEGIN);
	set32(INIT_SIZE, MiB(60));
	/* The compressed kernel, whose last four bytes tell its length. */
	set32(PAYLOAD, 0x2cc);
	set32(PAYLOAD_SIZE, 2000);
	set32(SETUP + 0x2cc + 1996, MiB(50) + 12);
	return 0;
}

static struct bzimage bz;

static void refused(const char *because)
{
	const char *why = "";

	assert_int_equal(bzimage_open(&bz, image, size, &why), -EINVAL);
	if (!__builtin_strstr(why, because))
		fail_msg("'%s' does not say '%s'", why, because);
}

static void accepted(void)
{
	const char *why = NULL;

	assert_int_equal(bzimage_open(&bz, image, size, &why), 0);
}

static void a_good_one_is_read(void **state)
{
	assert_true(bzimage_is(image, size));
	assert_false(bzimage_is(image, 0x300));
	accepted();
	assert_int_equal(bz.setup_size, SETUP);
	assert_int_equal(bz.code_size, CODE);
	assert_int_equal(bz.init_size, MiB(60));
	assert_int_equal(bz.start, BEGIN);
	assert_int_equal(bz.unpacked_size, MiB(50) + 12);
	image[0x202] = 'x';
	assert_false(bzimage_is(image, size));
}

static void others_are_refused(void **state)
{
	image[VERSION] = 9;
	refused("older than 2.10");
	image[VERSION] = 10;
	accepted();
	image[VERSION] = 0xff, image[VERSION + 1] = 1;
	refused("older than 2.10");
	image[VERSION] = 15, image[VERSION + 1] = 2;
	size--;
	refused("truncated");
	size = SETUP;
	set32(SYSSIZE, 0);
	refused("truncated");
	size = SETUP + CODE;
	set32(INIT_SIZE, GiB(1) + 1);
	refused("its header");
	/* There has to be room for the decompressor behind what it writes. */
	set32(INIT_SIZE, MiB(50) + 4096 + 11);
	refused("its header");
	set32(INIT_SIZE, MiB(50) + 4096 + 12);
	accepted();
	/* No number of sectors means four. */
	set32(INIT_SIZE, MiB(60));
	image[SECTS] = 0;
	size = 5 * 512 + CODE;
	memmove(image + 5 * 512, image + SETUP, CODE);
	accepted();
	assert_int_equal(bz.setup_size, 5 * 512);
}

/* CONFIG_PHYSICAL_START and CONFIG_PHYSICAL_ALIGN. */
static void it_unpacks_itself_to_where_it_says(void **state)
{
	set32(PREF, MiB(2));
	accepted();
	assert_int_equal(bz.start, MiB(2));
	set32(PREF, MiB(512));
	accepted();
	assert_int_equal(bz.start, MiB(512));
	set32(PREF, MiB(1));
	refused("2 MiB");
	set32(PREF, BEGIN + 1);
	refused("2 MiB");
	set32(PREF, 0);
	set32(PREF + 4, 1);
	refused("2 MiB");
	set32(PREF + 4, 0);
	set32(PREF, BEGIN);
	/* Loaded at 1 MiB it would go to the next multiple of its alignment. */
	set32(ALIGNMENT, BEGIN);
	accepted();
	set32(ALIGNMENT, 2 * BEGIN);
	refused("2 MiB");
}

/* The compressed kernel may lie where the unpacked one will, and fill that; but not where the decompressor moves itself to. */
static void it_may_be_large(void **state)
{
	size = SETUP + MiB(15) + 1;
	accepted();
	size = SETUP + MiB(65) + 12;
	accepted();
	size++;
	refused("its header");
}

/* A length that lies outside the file is not looked at. */
static void the_payload_is_in_the_file(void **state)
{
	set32(PAYLOAD_SIZE, CODE - 0x2cc);
	memcpy(image + SETUP + CODE - 4, &(u32){ MiB(49) }, 4);
	accepted();
	assert_int_equal(bz.unpacked_size, MiB(49));
	set32(PAYLOAD_SIZE, CODE - 0x2cc + 1);
	refused("its header");
	set32(PAYLOAD_SIZE, UINT32_MAX);
	refused("its header");
	set32(PAYLOAD, 0);
	set32(PAYLOAD_SIZE, 3);
	refused("its header");
}

static void the_zero_page_is_the_header_and_our_words(void **state)
{
	u8 *zp = phys_to_virt(MiB(2));
	u32 v;

	image[0x262] = 0x77;            /* of the header, which ends at 0x202 + 0x6a */
	image[0x26c] = 0x99;            /* behind it */
	accepted();
	memset(zp, 0xee, PAGE_SIZE);
	bzimage_zero_page(&bz, MiB(2), MiB(512));
	assert_memory_equal(zp + 0x202, "HdrS", 4);
	assert_true(zp[0x262] == 0x77 && zp[0x26c] == 0);
	assert_int_equal(zp[0x210], 0xff);
	assert_int_equal(zp[0x211], 1);
	memcpy(&v, zp + 0x214, 4);
	assert_int_equal(v, BZIMAGE_LOAD);
	memcpy(&v, zp + CMDLINE, 4);
	assert_string_equal((char *)fake_arena + v, "nokaslr");
	/* Two pieces of RAM: below the firmware's, and from 1 MiB on. */
	assert_int_equal(zp[0x1e8], 2);
	static const struct { u64 start, size; u32 type; } __packed map[] = { { 0, 0x9f000, 1 }, { MiB(1), MiB(511), 1 } };
	assert_memory_equal(zp + 0x2d0, map, sizeof(map));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(a_good_one_is_read, good),
		cmocka_unit_test_setup(others_are_refused, good),
		cmocka_unit_test_setup(it_unpacks_itself_to_where_it_says, good),
		cmocka_unit_test_setup(it_may_be_large, good),
		cmocka_unit_test_setup(the_payload_is_in_the_file, good),
		cmocka_unit_test_setup(the_zero_page_is_the_header_and_our_words, good),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
