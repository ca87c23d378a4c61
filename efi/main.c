/*
 * bothy.efi: starts the hypervisor from UEFI without a boot loader in between. Read efi_main() from
 * top to bottom.
 */
#include <efi.h>
#include "boot/multiboot2.h"
#include "efi/config.h"
#include "efi/information.h"
#include "lib/elf.h"
#include "lib/printf.h"
#include "lib/string.h"

#define CONFIG_NAME     "bothy.conf"
#define CONFIG_MAX      KiB(64)
#define FILE_MAX        GiB(1)
#define PATH_MAX        512
#define IMAGE_LOWEST    MiB(80)         /* the service domain's kernel goes below */
#define IMAGE_ALIGN     MiB(2)
#define ERROR_SHOWN_US  5000000
#define MAP_SPARE       4096            /* an allocation for the map makes the map grow */
#define INFORMATION_MAX KiB(8)          /* all tags except the map */

typedef void jump_fn(u32 entry, u32 information, u32 magic);
extern const u8 jump_start[], jump_end[], hypervisor[], hypervisor_end[];

_Static_assert(offsetof(struct efi_memory, attributes) == offsetof(EFI_MEMORY_DESCRIPTOR, Attribute), "the same descriptor");

static EFI_HANDLE self;
static EFI_SYSTEM_TABLE *st;
static EFI_BOOT_SERVICES *bs;
/* pages to give back if the start fails */
static struct { EFI_PHYSICAL_ADDRESS at; UINTN pages; } taken[8];
static unsigned nr_taken;

struct file { u64 at, size; };

/* ---- what is said ---- */

static void vsay(const char *fmt, va_list args)
{
	char text[512];

	vsnprintf(text, sizeof(text), fmt, args);
	for (const char *p = text; *p; p++) {
		CHAR16 c[] = { *p == '\n' ? '\r' : (u8)*p, *p == '\n' ? '\n' : 0, 0 };

		st->ConOut->OutputString(st->ConOut, c);
	}
}

static void __printf(1, 2) say(const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	vsay(fmt, args);
	va_end(args);
}

/* Prints the error and returns to the firmware, which tries its next boot entry. */
static void __printf(1, 2) __noreturn fail(const char *fmt, ...)
{
	va_list args;

	say("bothy.efi: ");
	va_start(args, fmt);
	vsay(fmt, args);
	va_end(args);
	say("\n");
	bs->Stall(ERROR_SHOWN_US);
	while (nr_taken--)
		bs->FreePages(taken[nr_taken].at, taken[nr_taken].pages);
	for (;;)
		bs->Exit(self, EFI_LOAD_ERROR, 0, NULL);
}

/* ---- memory ---- */

/* Takes pages below 4 GiB, where 32-bit addresses reach them. Fails if there are none. */
static u64 take_pages(u64 size, EFI_MEMORY_TYPE type, const char *what)
{
	EFI_PHYSICAL_ADDRESS at = GiB(4) - 1;
	UINTN pages = ROUND_UP(size, PAGE_SIZE) / PAGE_SIZE;

	if (nr_taken == ARRAY_SIZE(taken) || EFI_ERROR(bs->AllocatePages(AllocateMaxAddress, type, pages, &at)))
		fail("no memory below 4 GiB for %s: %llu KiB", what, (unsigned long long)(size >> 10));
	taken[nr_taken].at = at;
	taken[nr_taken++].pages = pages;
	return at;
}

/* ---- files ---- */

/*
 * Finds the folder that this program was started from, with a backslash at its end: UEFI
 * specification 2.10, 10.3.5.4.
 */
static void find_folder(EFI_DEVICE_PATH *node, char *folder)
{
	enum { MEDIA = 4, FILE_PATH = 4, END = 0x7f };
	size_t len = 0, end = 0;

	for (; (node->Type & 0x7f) != END; node = (void *)((u8 *)node + (node->Length[0] | node->Length[1] << 8))) {
		const CHAR16 *text = (void *)(node + 1);
		size_t n = ((size_t)(node->Length[0] | node->Length[1] << 8) - sizeof(*node)) / 2;

		if (node->Type != MEDIA || node->SubType != FILE_PATH)
			continue;
		for (; n && *text && len < PATH_MAX - 2; n--, text++) {
			folder[len++] = (char)*text;
			if (*text == '\\')
				end = len;
		}
	}
	if (!end)
		folder[end++] = '\\';
	folder[end] = '\0';
}

/*
 * Makes a path from the volume's root if the name begins with a slash of either kind, else from
 * this program's folder.
 */
static bool make_path(CHAR16 *path, const char *folder, const char *name)
{
	const char *parts[] = { *name == '/' || *name == '\\' ? "" : folder, name };
	size_t len = 0;

	for (unsigned i = 0; i < ARRAY_SIZE(parts); i++)
		for (const char *p = parts[i]; *p; p++) {
			if (len == PATH_MAX - 1)
				return false;
			path[len++] = *p == '/' ? '\\' : (u8)*p;
		}
	path[len] = 0;
	return true;
}

static struct file read_file(EFI_FILE *root, const char *folder, const char *name, u64 max)
{
	CHAR16 path[PATH_MAX];
	struct file f = { 0 };
	EFI_FILE *file;
	u64 done = 0;

	if (!make_path(path, folder, name) || EFI_ERROR(root->Open(root, &file, path, EFI_FILE_MODE_READ, 0)))
		fail("no file %s%s on the disk that this was started from", *name == '/' || *name == '\\' ? "" : folder, name);
	if (EFI_ERROR(file->SetPosition(file, ~0ull)) || EFI_ERROR(file->GetPosition(file, &f.size)) || EFI_ERROR(file->SetPosition(file, 0)))
		fail("%s is not a file", name);
	if (!f.size || f.size > max)
		fail("%s is %s", name, f.size ? "too large" : "empty");
	f.at = take_pages(f.size, EfiLoaderData, name);
	while (done < f.size) {
		UINTN n = MIN(f.size - done, MiB(1));

		if (EFI_ERROR(file->Read(file, &n, (void *)(f.at + done))) || !n)
			fail("%s can't be read", name);
		done += n;
	}
	file->Close(file);
	return f;
}

static void read_config(EFI_FILE *root, const char *folder, struct config *config)
{
	struct file text = read_file(root, folder, CONFIG_NAME, CONFIG_MAX);
	unsigned line;
	const char *why = config_parse((const char *)text.at, text.size, config, &line);

	if (why && line)
		fail("%s, line %u: %s", CONFIG_NAME, line, why);
	if (why)
		fail("%s: %s", CONFIG_NAME, why);
}

/*
 * With Secure Boot on, the firmware has checked this program. We make it check the kernel in the
 * same way.
 */
static void check_signature(const struct file *kernel, const char *name)
{
	EFI_GUID global = EFI_GLOBAL_VARIABLE;
	UINT8 on = 0;
	UINTN size = sizeof(on);
	EFI_HANDLE image = NULL;
	EFI_STATUS status;

	if (EFI_ERROR(st->RuntimeServices->GetVariable(L"SecureBoot", &global, NULL, &size, &on)) || !on)
		return;
	status = bs->LoadImage(FALSE, self, NULL, (void *)kernel->at, kernel->size, &image);
	if (image)
		bs->UnloadImage(image);
	if (EFI_ERROR(status))
		fail("Secure Boot is on, and %s has no signature that the firmware accepts", name);
}

/* ---- the hypervisor ---- */

/*
 * Loads the hypervisor as its Multiboot2 header asks. Returns the entry's address; *base gets the
 * beginning of the image.
 */
static u32 load_hypervisor(u64 *base)
{
	struct elf elf;
	struct elf_segment s;
	const char *why;
	u64 low = ~0ull, high = 0;
	unsigned next = 0;

	if (elf_open(&elf, hypervisor, (size_t)(hypervisor_end - hypervisor), &why))
		fail("the hypervisor in it can't be used: %s", why);
	while (elf_next_segment(&elf, &next, &s)) {
		low = MIN(low, s.vaddr);
		high = MAX(high, s.vaddr + s.mem_size);
	}
	*base = ROUND_UP(take_pages(high - low + IMAGE_ALIGN, EfiLoaderData, "the hypervisor"), IMAGE_ALIGN);
	if (*base < IMAGE_LOWEST)
		fail("no memory between 80 MiB and 4 GiB for the hypervisor");
	memset((void *)*base, 0, high - low);
	for (next = 0; elf_next_segment(&elf, &next, &s); )
		memcpy((void *)(*base + s.vaddr - low), s.data, s.file_size);
	return (u32)(elf.entry - low + *base);
}

static void add_rsdp(struct information *info)
{
	EFI_GUID acpi1 = { 0xeb9d2d30, 0x2d88, 0x11d3, { 0x9a, 0x16, 0x00, 0x90, 0x27, 0x3f, 0xc1, 0x4d } };
	EFI_GUID acpi2 = { 0x8868e871, 0xe4f1, 0x11d3, { 0xbc, 0x22, 0x00, 0x80, 0xc7, 0x3c, 0x88, 0x81 } };

	for (UINTN i = 0; i < st->NumberOfTableEntries; i++) {
		EFI_CONFIGURATION_TABLE *t = &st->ConfigurationTable[i];

		if (!memcmp(&t->VendorGuid, &acpi1, sizeof(acpi1)))
			information_rsdp(info, t->VendorTable, 20, false);
		if (!memcmp(&t->VendorGuid, &acpi2, sizeof(acpi2)))
			information_rsdp(info, t->VendorTable, 36, true);
	}
}

/*
 * The firmware may change its map just before it ends its services. It then refuses once, and we
 * read the map and try again.
 */
static void end_boot_services(u64 map, UINTN room, UINTN *size, UINTN *each)
{
	for (unsigned tries = 0; tries < 8; tries++) {
		UINTN key;
		UINT32 version;

		*size = room;
		if (EFI_ERROR(bs->GetMemoryMap(size, (void *)map, &key, each, &version)))
			break;
		if (!EFI_ERROR(bs->ExitBootServices(self, key)))
			return;
	}
	fail("the firmware does not let go of the machine");
}

/* Adds all tags except the memory map, which is final only when the firmware has gone. */
static void describe_machine(struct information *info, const struct config *config, const struct file *kernel, const struct file *initrd, u64 base)
{
	information_cmdline(info, config->bothy);
	information_loader(info, "bothy.efi");
	information_module(info, kernel->at, kernel->size, config->options);
	if (initrd->size)
		information_module(info, initrd->at, initrd->size, "");
	information_efi(info, (u64)st, base);
	add_rsdp(info);
}

EFI_STATUS efi_main(EFI_HANDLE image, EFI_SYSTEM_TABLE *table)
{
	static struct config config;
	static char folder[PATH_MAX];
	EFI_GUID loaded_image = EFI_LOADED_IMAGE_PROTOCOL_GUID, file_system = EFI_SIMPLE_FILE_SYSTEM_PROTOCOL_GUID;
	EFI_LOADED_IMAGE *loaded;
	EFI_FILE_IO_INTERFACE *volume;
	EFI_FILE *root;
	struct file kernel, initrd = { 0 };
	struct information info;
	UINTN room = 0, size, each, key;
	u64 base, map, at;
	u32 entry, version;
	jump_fn *jump;

	self = image;
	st = table;
	bs = table->BootServices;
	bs->SetWatchdogTimer(0, 0, 0, NULL);
	if (EFI_ERROR(bs->HandleProtocol(image, &loaded_image, (void **)&loaded)) ||
	    EFI_ERROR(bs->HandleProtocol(loaded->DeviceHandle, &file_system, (void **)&volume)) || EFI_ERROR(volume->OpenVolume(volume, &root)))
		fail("not started from a disk with files");
	find_folder(loaded->FilePath, folder);
	read_config(root, folder, &config);
	kernel = read_file(root, folder, config.kernel, FILE_MAX);
	check_signature(&kernel, config.kernel);
	if (config.initrd[0])
		initrd = read_file(root, folder, config.initrd, FILE_MAX);
	entry = load_hypervisor(&base);
	jump = (jump_fn *)take_pages(PAGE_SIZE, EfiLoaderCode, "the last step");
	memcpy((void *)jump, jump_start, (size_t)(jump_end - jump_start));

	bs->GetMemoryMap(&room, NULL, &key, &each, &version);
	room += MAP_SPARE;
	map = take_pages(room, EfiLoaderData, "the memory map");
	at = take_pages(room + INFORMATION_MAX, EfiLoaderData, "the boot information");
	information_start(&info, (void *)at, room + INFORMATION_MAX);
	describe_machine(&info, &config, &kernel, &initrd, base);
	end_boot_services(map, room, &size, &each);
	/* We can't report errors now. The map fits: its entries are half the firmware's. */
	information_memory(&info, (void *)map, size, each);
	information_end(&info);
	jump(entry, (u32)at, MULTIBOOT2_BOOTLOADER_MAGIC);
	return EFI_LOAD_ERROR;
}
