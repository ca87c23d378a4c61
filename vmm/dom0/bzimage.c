/*
 * Reads the setup header of a bzImage and prepares its start. Only the kernel itself knows its
 * compression.
 */
#include <asm/page.h>
#include "vmm/dom0/bzimage.h"
#include "lib/string.h"

/*
 * Offsets in the image and in the zero page (Linux's Documentation/arch/x86/boot.rst,
 * zero-page.rst).
 */
enum {
	HDR_SETUP_SECTS = 0x1f1, HDR_SYSSIZE = 0x1f4, HDR_BOOT_FLAG = 0x1fe, HDR_JUMP = 0x200, HDR_MAGIC = 0x202, HDR_VERSION = 0x206,
	HDR_LOADER = 0x210, HDR_LOADFLAGS = 0x211, HDR_CODE32 = 0x214, HDR_CMDLINE = 0x228, HDR_ALIGNMENT = 0x230,
	HDR_PAYLOAD = 0x248, HDR_PAYLOAD_SIZE = 0x24c, HDR_PREF_ADDRESS = 0x258, HDR_INIT_SIZE = 0x260,
	ZP_E820_NR = 0x1e8, ZP_E820 = 0x2d0, ZP_CMDLINE = 0xf00,
};

static u32 get32(const u8 *p) { u32 v; memcpy(&v, p, sizeof(v)); return v; }
static u64 get64(const u8 *p) { u64 v; memcpy(&v, p, sizeof(v)); return v; }
static void put32(u8 *p, u32 v) { memcpy(p, &v, sizeof(v)); }

bool bzimage_is(const void *image, u64 size)
{
	return size > 0x300 && !memcmp((const u8 *)image + HDR_MAGIC, "HdrS", 4);
}

int bzimage_open(struct bzimage *bz, const void *image, u64 size, const char **why)
{
	const u8 *p = image;
	u8 sects = p[HDR_SETUP_SECTS] ?: 4;
	u64 payload_end;

	bz->image = p;
	bz->setup_size = (sects + 1u) * 512;
	bz->init_size = get32(p + HDR_INIT_SIZE);
	if (p[HDR_VERSION + 1] < 2 || (p[HDR_VERSION + 1] == 2 && p[HDR_VERSION] < 10)) {
		*why = "its boot protocol is older than 2.10 (Linux 2.6.31)";
		return -EINVAL;
	}
	if (size <= bz->setup_size || size - bz->setup_size < (u64)get32(p + HDR_SYSSIZE) * 16) {
		*why = "the file is truncated; copy it again";
		return -EINVAL;
	}
	bz->code_size = size - bz->setup_size;
	bz->start = get64(p + HDR_PREF_ADDRESS);
	/* A kernel loaded below that address unpacks itself to it, or to its alignment beyond. */
	if (bz->start < MiB(2) || bz->start > GiB(1) || bz->start & ~PAGE_MASK || get32(p + HDR_ALIGNMENT) > bz->start) {
		*why = "it doesn't unpack itself to between 2 MiB and 1 GiB (CONFIG_PHYSICAL_START)";
		return -EINVAL;
	}
	payload_end = (u64)get32(p + HDR_PAYLOAD) + get32(p + HDR_PAYLOAD_SIZE);
	bz->unpacked_size = payload_end > bz->code_size || payload_end < 4 ? 0 : get32(p + bz->setup_size + payload_end - 4);
	if (!bz->unpacked_size || bz->init_size > GiB(1) || bz->init_size < bz->unpacked_size + PAGE_SIZE ||
	    BZIMAGE_LOAD + bz->code_size > bz->start + bz->unpacked_size) {
		*why = "its header doesn't fit what it holds; copy it again";
		return -EINVAL;
	}
	return 0;
}

static void put_e820(u8 *zp, unsigned i, u64 start, u64 size)
{
	struct { u64 start, size; u32 type; } __packed e = { start, size, 1 };

	memcpy(zp + ZP_E820 + i * sizeof(e), &e, sizeof(e));
	zp[ZP_E820_NR] = (u8)(i + 1);
}

void bzimage_zero_page(const struct bzimage *bz, paddr_t boot_params, paddr_t ram_end)
{
	u8 *zp = phys_to_virt(boot_params);
	u64 header_end = HDR_MAGIC + bz->image[HDR_JUMP + 1];

	memset(zp, 0, PAGE_SIZE);
	memcpy(zp + HDR_SETUP_SECTS, bz->image + HDR_SETUP_SECTS, header_end - HDR_SETUP_SECTS);
	zp[HDR_LOADER] = 0xff;
	zp[HDR_LOADFLAGS] |= 1;         /* the code is at 1 MiB */
	put32(zp + HDR_CODE32, BZIMAGE_LOAD);
	/* Only for the unpacking: the kernel itself gets its command line by the PVH entry. */
	strlcpy((char *)zp + ZP_CMDLINE, "nokaslr", 16);
	put32(zp + HDR_CMDLINE, (u32)(boot_params + ZP_CMDLINE));
	put_e820(zp, 0, 0, 0x9f000);
	put_e820(zp, 1, BZIMAGE_LOAD, ram_end - BZIMAGE_LOAD);
}
