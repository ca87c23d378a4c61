/* units: vmm/bzimage.c */
/* The setup header of a bzImage: what is refused, with its reason, and what the unpacking code is told (Linux boot protocol). */
#include "tests/unit/fake.h"
#include "vmm/bzimage.h"

enum { SECTS = 0x1f1, SYSSIZE = 0x1f4, VERSION = 0x206, CMDLINE = 0x228, PREF = 0x258, INIT_SIZE = 0x260, SETUP = 3 * 512, CODE = 4096 };

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
	set32(PREF, KERNEL_PHYS);
	set32(INIT_SIZE, MiB(60));
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
	set32(PREF, KERNEL_PHYS + 1);
	refused("16 MiB");
	set32(PREF, KERNEL_PHYS);
	set32(INIT_SIZE, GiB(1) + 1);
	refused("too large");
	set32(INIT_SIZE, CODE - 1);
	refused("too large");
	/* No number of sectors means four. */
	set32(INIT_SIZE, MiB(60));
	image[SECTS] = 0;
	size = 5 * 512 + CODE;
	accepted();
	assert_int_equal(bz.setup_size, 5 * 512);
}

/* The compressed kernel lies between 1 and 16 MiB, and may fill that. */
static void it_ends_where_the_kernel_begins(void **state)
{
	size = SETUP + MiB(15);
	accepted();
	size++;
	refused("too large");
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
		cmocka_unit_test_setup(it_ends_where_the_kernel_begins, good),
		cmocka_unit_test_setup(the_zero_page_is_the_header_and_our_words, good),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
