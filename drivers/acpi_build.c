/*
 * Writes the few ACPI tables that the service domain gets instead of the firmware's. It reads all
 * others in place: it drives the machine's devices, so it needs the machine's description, but it
 * has its own CPUs.
 */
#include "drivers/acpi.h"
#include "lib/string.h"

/* `used` counts on behind `size`: the entries then didn't fit. */
struct output {
	u8 *start;
	size_t size, used;
};

static void append_bytes(struct output *o, const void *data, size_t len)
{
	if (o->used <= o->size && len <= o->size - o->used)
		memcpy(o->start + o->used, data, len);
	o->used += len;
}

/* Sets the length and the checksum. Returns the size. Errors: -ENOSPC if an entry didn't fit. */
static int finish_table(struct output *o)
{
	struct acpi_header *h = (struct acpi_header *)o->start;

	if (o->used > o->size)
		return -ENOSPC;
	h->length = (u32)o->used;
	h->checksum = 0;
	h->checksum = (u8)-acpi_checksum(h, o->used);
	return (int)o->used;
}

static struct acpi_header new_header(const char *signature, u8 revision)
{
	struct acpi_header h = {
		.revision = revision, .oem_id = { 'B', 'O', 'T', 'H', 'Y', ' ' }, .oem_table_id = { 'B', 'O', 'T', 'H', 'Y', ' ', ' ', ' ' },
		.oem_revision = 1, .creator_revision = 1,
	};

	memcpy(h.signature, signature, 4);
	memcpy(&h.creator_id, "BTHY", 4);
	return h;
}

/* In the older entry APIC id 255 means "all", and the UID has only 8 bits. */
static void append_cpu(struct output *o, u32 uid, u32 apic_id)
{
	const struct acpi_madt_lapic lapic = {
		.entry = { ACPI_MADT_LAPIC, sizeof(lapic) }, .uid = (u8)uid, .apic_id = (u8)apic_id, .flags = ACPI_MADT_ENABLED,
	};
	const struct acpi_madt_x2apic x2apic = {
		.entry = { ACPI_MADT_X2APIC, sizeof(x2apic) }, .uid = uid, .apic_id = apic_id, .flags = ACPI_MADT_ENABLED,
	};

	if (uid < 255 && apic_id < 255)
		append_bytes(o, &lapic, sizeof(lapic));
	else
		append_bytes(o, &x2apic, sizeof(x2apic));
}

/*
 * Appends the description of the machine's wiring, which the service domain's interrupts use
 * unchanged. Without an 8259, Linux takes an ISA interrupt for edge-triggered unless an override
 * says otherwise. Most firmware has no override for an ISA interrupt to which it routes PCI, so we
 * add one.
 */
static void append_wiring(struct output *o, const struct acpi_header *native, u16 level)
{
	const u8 *p = (const u8 *)native + sizeof(struct acpi_madt);
	const u8 *end = (const u8 *)native + native->length;

	while (end - p >= 2) {
		const struct acpi_madt_entry *e = (const void *)p;

		if (e->length < sizeof(*e) || e->length > end - p)
			return;     /* acpi_parse has complained */
		if (e->type == ACPI_MADT_IOAPIC || e->type == ACPI_MADT_OVERRIDE || e->type == ACPI_MADT_NMI_SOURCE)
			append_bytes(o, e, e->length);
		if (e->type == ACPI_MADT_OVERRIDE && e->length >= sizeof(struct acpi_madt_override))
			level &= (u16)~BIT(((const struct acpi_madt_override *)e)->irq & 15);
		p += e->length;
	}
	for (u8 irq = 0; irq < 16; irq++) {
		const struct acpi_madt_override override = {
			.entry = { ACPI_MADT_OVERRIDE, sizeof(override) }, .irq = irq, .gsi = irq, .flags = ACPI_LEVEL_LOW,
		};

		if (level >> irq & 1)
			append_bytes(o, &override, sizeof(override));
	}
}

int acpi_build_madt(void *buf, size_t len, const struct acpi_header *native, const u32 *apic_id, unsigned nr_vcpus, u16 level)
{
	struct output o = { .start = buf, .size = len };
	struct acpi_madt madt = { .header = new_header("APIC", 5), .lapic_address = 0xfee00000 };

	append_bytes(&o, &madt, sizeof(madt));
	for (unsigned i = 0; i < nr_vcpus; i++)
		append_cpu(&o, i, apic_id[i]);
	append_wiring(&o, native, level);
	return finish_table(&o);
}

/* The tables that the service domain must not see, and why. */
static const char hidden[][5] = {
	"APIC",                             /* it gets its own */
	"HPET",                             /* it would wait for an interrupt that never comes */
	"DMAR", "IVRS",                     /* it would program the IOMMU */
	"SRAT", "SLIT", "HMAT", "PPTT",     /* they describe CPUs and memory that it doesn't have */
	"BGRT", "FPDT", "TPM2", "TCPA",     /* they point into memory that may not be its own */
	"HEST", "BERT", "EINJ", "ERST",     /* hardware errors are reported to Bothy */
	"WAET",                             /* a promise of another hypervisor */
};

static bool is_hidden(const struct acpi_header *h)
{
	for (unsigned i = 0; i < ARRAY_SIZE(hidden); i++)
		if (memcmp(h->signature, hidden[i], 4) == 0)
			return true;
	return false;
}

int acpi_build_xsdt(void *buf, size_t len, const struct acpi *acpi, const paddr_t *extra, unsigned nr_extra)
{
	struct output o = { .start = buf, .size = len };
	struct acpi_header header = new_header("XSDT", 1);

	append_bytes(&o, &header, sizeof(header));
	for (unsigned i = 0; i < acpi->nr_tables; i++) {
		const struct acpi_header *h = acpi->table[i] ? acpi->map(acpi->table[i], sizeof(*h)) : NULL;

		if (h && !is_hidden(h))
			append_bytes(&o, &acpi->table[i], sizeof(acpi->table[i]));
	}
	append_bytes(&o, extra, nr_extra * sizeof(*extra));
	return finish_table(&o);
}

void acpi_build_rsdp(struct acpi_rsdp *rsdp, const struct acpi *acpi, paddr_t xsdt)
{
	*rsdp = (struct acpi_rsdp){ .revision = 2, .length = sizeof(*rsdp), .xsdt = xsdt };
	memcpy(rsdp->signature, "RSD PTR ", 8);
	memcpy(rsdp->oem_id, acpi->rsdp.oem_id, sizeof(rsdp->oem_id));
	rsdp->checksum = (u8)-acpi_checksum(rsdp, offsetof(struct acpi_rsdp, length));
	rsdp->extended_checksum = (u8)-acpi_checksum(rsdp, sizeof(*rsdp));
}
