/*
 * Reads the firmware's tables, which are often wrong. We check each length before we touch the
 * bytes that it covers, and each checksum before we use the table. A bad table costs only its own
 * information and one line in the log.
 */
#include "drivers/acpi.h"
#include "lib/string.h"

#define MAX_TABLE_SIZE MiB(4)   /* the largest DSDTs of servers have a few hundred KiB */

u8 acpi_checksum(const void *p, size_t len)
{
	const u8 *byte = p;
	u8 sum = 0;

	while (len--)
		sum = (u8)(sum + *byte++);
	return sum;
}

/* Logs why a table is left out. Returns NULL, which stands for the table. */
static const void *leave_out(const char *name, const char *why)
{
	printk(LOG_WARN "ACPI: the %.4s table is left out: %s\n", name, why);
	return NULL;
}

/*
 * Returns the whole table at `pa`, with length and checksum proved good, or NULL with the reason in
 * the log. `min_size` is at least the header's.
 */
static const struct acpi_header *map_table(const struct acpi *acpi, paddr_t pa, const char *name, size_t min_size)
{
	const struct acpi_header *h = pa ? acpi->map(pa, sizeof(*h)) : NULL;
	u32 length;

	if (!h)
		return leave_out(name, "its address isn't memory");
	length = h->length;
	if (memcmp(h->signature, name, 4) != 0)
		return leave_out(name, "another signature stands at its address");
	if (length < min_size)
		return leave_out(name, "it is too short");
	if (length > MAX_TABLE_SIZE)
		return leave_out(name, "its length is absurd");
	h = acpi->map(pa, length);
	if (!h)
		return leave_out(name, "it reaches beyond memory");
	return acpi_checksum(h, length) == 0 ? h : leave_out(name, "its checksum is wrong");
}

/* Copies the addresses, `width` bytes each, that follow the root table's header. */
static bool read_root(struct acpi *acpi, paddr_t pa, const char *name, unsigned width)
{
	const struct acpi_header *root = map_table(acpi, pa, name, sizeof(*root));
	unsigned n;

	if (!root)
		return false;
	n = (unsigned)((root->length - sizeof(*root)) / width);
	if (n > ACPI_MAX_TABLES) {
		printk(LOG_WARN "ACPI: only %u of %u tables are looked at\n", ACPI_MAX_TABLES, n);
		n = ACPI_MAX_TABLES;
	}
	for (unsigned i = 0; i < n; i++) {
		acpi->table[i] = 0;
		memcpy(&acpi->table[i], (const u8 *)(root + 1) + i * width, width);
	}
	acpi->nr_tables = n;
	return true;
}

int acpi_init(struct acpi *acpi, const void *rsdp, size_t size, acpi_map_fn *map)
{
	size_t v1_size = offsetof(struct acpi_rsdp, length);
	bool has_xsdt;

	memset(acpi, 0, sizeof(*acpi));
	acpi->map = map;
	if (size < v1_size) {
		printk(LOG_WARN "ACPI: the boot loader found no root pointer\n");
		return -EINVAL;
	}
	memcpy(&acpi->rsdp, rsdp, MIN(size, sizeof(acpi->rsdp)));
	if (memcmp(acpi->rsdp.signature, "RSD PTR ", 8) != 0 || acpi_checksum(&acpi->rsdp, v1_size) != 0) {
		printk(LOG_WARN "ACPI: the root pointer's checksum or signature is wrong\n");
		return -EINVAL;
	}
	has_xsdt = acpi->rsdp.revision >= 2 && size >= sizeof(acpi->rsdp) && acpi->rsdp.xsdt &&
		   acpi_checksum(&acpi->rsdp, sizeof(acpi->rsdp)) == 0;
	if (has_xsdt && read_root(acpi, acpi->rsdp.xsdt, "XSDT", sizeof(u64)))
		return 0;
	return read_root(acpi, acpi->rsdp.rsdt, "RSDT", sizeof(u32)) ? 0 : -EINVAL;
}

/* As acpi_find, for a table that has at least `min_size` bytes. */
static const void *find_table(const struct acpi *acpi, const char signature[4], size_t min_size)
{
	for (unsigned i = 0; i < acpi->nr_tables; i++) {
		const struct acpi_header *h = acpi->table[i] ? acpi->map(acpi->table[i], sizeof(*h)) : NULL;

		if (!h || memcmp(h->signature, signature, 4) != 0)
			continue;
		h = map_table(acpi, acpi->table[i], signature, min_size);
		if (h)
			return h;
	}
	return NULL;
}

const struct acpi_header *acpi_find(const struct acpi *acpi, const char signature[4])
{
	return find_table(acpi, signature, sizeof(struct acpi_header));
}

/* ---- MADT: CPUs and interrupt controllers ---- */

static void add_cpu(struct acpi_info *info, u32 apic_id, u32 flags)
{
	if (!(flags & ACPI_MADT_ENABLED))
		return;
	/*
	 * Some firmware has both kinds of entry for the same CPU. To start a running CPU again
	 * would stop it.
	 */
	for (unsigned i = 0; i < info->nr_cpus; i++)
		if (info->apic_id[i] == apic_id)
			return;
	if (info->nr_cpus == ACPI_MAX_CPUS)
		info->too_many_cpus = true;
	else
		info->apic_id[info->nr_cpus++] = apic_id;
}

/* Returns the least number of bytes of an entry that we read; 0 for other types. */
static size_t madt_entry_size(u8 type)
{
	return type == ACPI_MADT_LAPIC ? sizeof(struct acpi_madt_lapic) : type == ACPI_MADT_X2APIC ? sizeof(struct acpi_madt_x2apic) : 0;
}

static void read_madt_entry(const struct acpi_madt_entry *e, struct acpi_info *info)
{
	const struct acpi_madt_lapic *lapic = (const void *)e;
	const struct acpi_madt_x2apic *x2apic = (const void *)e;

	/* 0xff is a place holder of some firmware */
	if (e->type == ACPI_MADT_LAPIC && lapic->apic_id != 0xff)
		add_cpu(info, lapic->apic_id, lapic->flags);
	else if (e->type == ACPI_MADT_X2APIC)
		add_cpu(info, x2apic->apic_id, x2apic->flags);
}

static void parse_madt(const struct acpi *acpi, struct acpi_info *info)
{
	const struct acpi_madt *madt = find_table(acpi, "APIC", sizeof(*madt));
	const u8 *p, *end;

	if (!madt)
		return;
	info->has_madt = true;
	end = (const u8 *)madt + madt->header.length;
	for (p = (const u8 *)(madt + 1); end - p >= 2; p += ((const struct acpi_madt_entry *)p)->length) {
		const struct acpi_madt_entry *e = (const void *)p;

		if (e->length < sizeof(*e) || e->length > end - p || e->length < madt_entry_size(e->type)) {
			printk(LOG_WARN "ACPI: the APIC table (MADT) is read up to its entry at byte %zu, which is malformed\n",
			       (size_t)(p - (const u8 *)madt));
			return;
		}
		read_madt_entry(e, info);
	}
}

/* ---- FADT and DSDT: ports, and how to switch off ---- */

/* False if the table ends before the end of the field: it then has an older revision. */
#define FADT_HAS(f, field) ((f)->header.length >= offsetof(struct acpi_fadt, field) + sizeof((f)->field))

/*
 * Returns a register's port: from the extended description if that is a port, else from the older
 * field; 0 if neither is one.
 */
static u16 register_port(const struct acpi_gas *extended, u32 port)
{
	if (extended && extended->space == ACPI_SPACE_IO && extended->address && extended->address <= UINT16_MAX)
		return (u16)extended->address;
	return port > UINT16_MAX ? 0 : (u16)port;
}

static void parse_fadt(const struct acpi *acpi, struct acpi_info *info)
{
	const struct acpi_fadt *f = find_table(acpi, "FACP", ACPI_FADT_V1_SIZE);

	if (!f)
		return;
	info->pm1a_control = register_port(FADT_HAS(f, x_pm1a_control) ? &f->x_pm1a_control : NULL, f->pm1a_control);
	info->pm1b_control = register_port(FADT_HAS(f, x_pm1b_control) ? &f->x_pm1b_control : NULL, f->pm1b_control);
	info->pm_timer = register_port(FADT_HAS(f, x_pm_timer) ? &f->x_pm_timer : NULL, f->pm_timer);
	info->dsdt = FADT_HAS(f, x_dsdt) && f->x_dsdt ? f->x_dsdt : f->dsdt;
	if (FADT_HAS(f, reset_value) && f->flags & ACPI_FADT_RESET) {
		info->reset = register_port(&f->reset, 0);
		info->reset_value = f->reset_value;
	}
}

/* AML, ACPI 20.2.3: reads an integer constant at *p that fits a byte, and moves *p behind it. */
static bool read_aml_byte(const u8 **p, const u8 *end, u8 *value)
{
	enum { ZERO_OP = 0x00, ONE_OP = 0x01, BYTE_PREFIX = 0x0a, WORD_PREFIX = 0x0b, DWORD_PREFIX = 0x0c };
	size_t width;

	if (*p == end)
		return false;
	switch (*(*p)++) {
	case ZERO_OP: *value = 0; return true;
	case ONE_OP: *value = 1; return true;
	case BYTE_PREFIX: width = 1; break;
	case WORD_PREFIX: width = 2; break;
	case DWORD_PREFIX: width = 4; break;
	default: return false;
	}
	if ((size_t)(end - *p) < width)
		return false;
	*value = **p;
	*p += width;
	return true;
}

/* AML, ACPI 20.2.5.4: reads Package () { SLP_TYPa, SLP_TYPb, ... } at p. */
static bool read_s5_package(const u8 *p, const u8 *end, struct acpi_info *info)
{
	enum { PACKAGE_OP = 0x12 };
	u8 a, b;

	if (end - p < 2 || *p++ != PACKAGE_OP)
		return false;
	p += 1 + (*p >> 6);         /* the package's length: its first byte says how many follow */
	if (p >= end || *p++ < 2)   /* the number of elements */
		return false;
	if (!read_aml_byte(&p, end, &a) || !read_aml_byte(&p, end, &b))
		return false;
	info->slp_typ_a = a & 7;
	info->slp_typ_b = b & 7;
	info->has_s5 = true;
	return true;
}

/*
 * Finds Name (_S5_, Package ...) by its bytes, because we have no AML interpreter. Without it we
 * can still restart the machine. The service domain has an interpreter and normally switches the
 * machine off.
 */
static void parse_s5(const struct acpi *acpi, struct acpi_info *info)
{
	const struct acpi_header *dsdt;
	const u8 *p, *end;

	if (!info->dsdt)
		return;
	dsdt = map_table(acpi, info->dsdt, "DSDT", sizeof(*dsdt));
	if (!dsdt)
		return;
	end = (const u8 *)dsdt + dsdt->length;
	for (p = (const u8 *)(dsdt + 1); end - p >= 4; p++)
		if (memcmp(p, "_S5_", 4) == 0 && read_s5_package(p + 4, end, info))
			return;
	printk(LOG_WARN "ACPI: the DSDT has no _S5_ package that can be read, so Bothy can't switch the machine off by itself\n");
}

void acpi_parse(const struct acpi *acpi, struct acpi_info *info)
{
	memset(info, 0, sizeof(*info));
	parse_madt(acpi, info);
	parse_fadt(acpi, info);
	parse_s5(acpi, info);
	if (info->too_many_cpus)
		printk(LOG_WARN "ACPI: there are more CPUs than Bothy can keep; the last ones are left out\n");
}
